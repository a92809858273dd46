"""Published numbers beside the numbers of a sweep, from the same cells, and their two orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from synthetic_runs import synthetic

from sweeps.cells import notes
from sweeps.report import published
from sweeps.results.run_table import Runs
from sweeps.spec import load
from sweeps.spec.errors import SpecError
from sweeps.spec.published import Published

SMALL = {
    "name": "small",
    "data": {
        "name": "dsprites",
        "resolution": 16,
        "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
    },
    "network": {"name": "mlp", "hidden": [8], "latents": 3},
    "train": {"epochs": 4, "batch_size": 32},
    "objectives": [{"name": "beta_vae", "beta": {"grid": [1, 4]}}, {"name": "vae"}],
}


def table(*rows: tuple[dict[str, Any], dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Return a published table as in YAML, of rows (where, values), with some fields changed."""
    fields = {
        "source": "Somebody 2018, table 1",
        "tag": "read",
        "n": 10,
        "differences": "64 pixels, 300,000 steps",
    }
    return {
        **fields,
        "rows": [{"where": where, "values": values} for where, values in rows],
        **changes,
    }


def error_message(*tables: dict[str, Any]) -> str:
    """Return the error of a spec with these published tables."""
    with pytest.raises(SpecError) as caught:
        load.spec_from_mapping({**SMALL, "published": list(tables)})
    return str(caught.value)


def compared(
    runs: Runs, *rows: tuple[dict[str, Any], dict[str, Any]]
) -> list[published.Comparison]:
    """Return the comparisons of rows that all have the same single metric."""
    (comparisons,) = published.compare(runs, Published.model_validate(table(*rows))).values()
    return comparisons


def test_a_number_alone_is_a_mean_and_survives_the_ledger() -> None:
    rows = [
        (
            {"objective": "beta_vae", "beta": 4},
            {"mig": 0.2, "factor_vae.snu": {"mean": 0.7, "sd": 0.1, "best": 0.9}},
        )
    ]
    loaded = load.spec_from_mapping({**SMALL, "published": table(*rows)})
    (row,) = loaded.published[0].rows
    assert row.values["mig"].mean == 0.2
    assert (row.values["factor_vae.snu"].sd, row.values["factor_vae.snu"].best) == (0.1, 0.9)
    assert load.spec_from_mapping(loaded.to_dict()) == loaded


def test_all_unknown_names_are_reported_at_once_with_the_nearest_known_name() -> None:
    message = error_message(table(({"objective": "beta_vea", "bata": 4}, {"mgi": 0.2})))
    where = "published[0].rows[0].where"
    assert f"{where}.objective: unknown objective of this spec 'beta_vea'; did you mean" in message
    assert (
        "published[0].rows[0].where.bata: unknown parameter 'bata'; did you mean 'beta'" in message
    )
    assert "published[0].rows[0].values.mgi: unknown metric 'mgi'; did you mean 'mig'" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tag": "hearsay"},
            "published[0].tag must be one of read, seed document, recalled, got 'hearsay'",
        ),
        ({"source": ""}, "published[0].source must be text of at least 1 character"),
        ({"rows": []}, "must have rows, or says"),
        (
            {"rows": [{"where": {"beta": 4}, "values": {"mig": 0.1}}]},
            "where must name an objective",
        ),
        ({"n": 0}, "published[0].n must be >= 1, got 0"),
    ],
)
def test_a_table_needs_a_source_a_tag_and_rows_or_words(
    changes: dict[str, Any], message: str
) -> None:
    assert message in error_message(table(({"objective": "vae"}, {"mig": 0.1}), **changes))


def test_a_row_that_matches_no_cell_is_a_note_and_not_a_problem() -> None:
    rows = [
        ({"objective": "beta_vae", "beta": beta, "latents": 3}, {"mig": 0.1}) for beta in (4, 5)
    ]
    spec_notes = notes.spec_notes(load.spec_from_mapping({**SMALL, "published": table(*rows)}))
    assert [note.partition(":")[0] for note in spec_notes] == ["published[0].rows[1]"]


def test_only_cells_with_all_the_values_are_compared() -> None:
    runs = synthetic(rates=[1e-3], prune=False, failed=())
    where = {"objective": "beta_vae", "beta": 4, "learning_rate": 1e-3}
    chosen = runs.table.loc[published.matching_trials(runs.table, where)]
    assert set(chosen["strength"]) == {4.0}
    assert set(chosen["objective"]) == {"beta_vae"}
    assert not published.matching_trials(runs.table, {**where, "learning_rate": 1e-4}).any()


def test_our_column_is_the_mean_of_complete_trials_with_their_seeds() -> None:
    # Trial 4 is beta_vae with β = 2 and seed 0. No trial has β = 5.
    runs = synthetic(rates=[1e-3], prune=False, failed=(4,), seeds=4)
    rows = [
        ({"objective": "beta_vae", "beta": beta}, {"mig": {"mean": 0.3, "best": 0.4}})
        for beta in (2, 4, 5)
    ]
    one_failed, all_complete, not_run = compared(runs, *rows)
    matches = published.matching_trials(runs.table, {"objective": "beta_vae", "beta": 4})
    values = runs.table.loc[matches, "final/mig"]
    assert all_complete.last.value == pytest.approx(values.mean())
    assert (all_complete.last_best, all_complete.last.n) == (values.max(), 4)
    assert one_failed.seeds == (1, 2, 3)
    assert all_complete.seeds == (0, 1, 2, 3)
    assert not_run.seeds == ()
    assert math.isnan(not_run.last.value)


def test_the_table_says_source_tag_n_and_what_was_not_run() -> None:
    runs = synthetic(rates=[1e-3], prune=False, failed=(), best="mig")
    rows = [
        ({"objective": "beta_vae", "beta": b}, {"mig": {"mean": 0.32345, "sd": 0.05, "best": 0.4}})
        for b in (4, 5)
    ]
    given = Published.model_validate(table(*rows))
    result = published.comparison_table(given, "mig", compared(runs, *rows), runs)
    words = (
        "Somebody 2018, table 1",
        "read",
        "n = 10 each",
        "quadrature of the posterior mixtures",
        "whole data set",
    )
    for word in words:
        assert word in result.caption
    assert [row.cells[7].text for row in result.rows] == ["0, 1", "not run"]
    assert result.rows[0].cells[1].text == "0.32345 (0.05)"  # with the published digits
    # The best published trial, our best one at the end, and our best one of the chosen epoch.
    assert [head.text for head in result.heads].count("best") == 3


def test_two_scales_never_share_a_column() -> None:
    runs = synthetic(rates=[1e-3], prune=False, failed=())
    row = ({"objective": "beta_vae", "beta": 4}, {"mig": 0.1, "mig_chen4": 0.4})
    comparisons = published.compare(runs, Published.model_validate(table(row)))
    assert list(comparisons) == ["mig", "mig_chen4"]


@pytest.mark.parametrize(("first", "same"), [(50.0, 1), (1.0, 0)])
def test_orders_can_agree_and_disagree(first: float, same: int) -> None:
    """The reconstruction of the synthetic runs rises with β, so β = 1 is the better one."""
    runs = synthetic(rates=[1e-3], prune=False, failed=())
    rows = [
        ({"objective": "beta_vae", "beta": b}, {"reconstruction": v})
        for b, v in ((16, first), (1, 20.0))
    ]
    given = Published.model_validate(table(*rows))
    sentence = published.order_sentence(given, "reconstruction", compared(runs, *rows))
    assert "Ours: beta_vae, beta 1 > beta_vae, beta 16" in sentence
    assert f"{same} of 1 pairs" in sentence


def test_equal_published_numbers_have_no_order() -> None:
    runs = synthetic(rates=[1e-3], prune=False, failed=())
    rows = [
        ({"objective": "beta_vae", "beta": b}, {"mig": v})
        for b, v in ((1, 0.2), (4, 0.2), (8, 0.1))
    ]
    given = Published.model_validate(table(*rows))
    sentence = published.order_sentence(given, "mig", compared(runs, *rows))
    assert "published: beta_vae, beta 1 = beta_vae, beta 4 > beta_vae, beta 8" in sentence
    assert " of 2 pairs" in sentence


def test_numbers_of_chosen_epochs_are_ordered_among_themselves() -> None:
    runs = synthetic(rates=[1e-3], prune=False, failed=(), best="mig")
    low, high = [{"objective": "beta_vae", "beta": b} for b in (4, 16)]
    chosen = np.where(published.matching_trials(runs.table, high), 0.99, 0.01)
    runs = runs._replace(table=runs.table.assign(**{"best/mig": chosen}))
    rows = [(low, {"mig": 0.1}), (high, {"mig": 0.2})]
    for weights, same in (("last", 0), ("chosen", 1)):
        given = Published.model_validate(table(*rows, weights=weights))
        sentence = published.order_sentence(given, "mig", compared(runs, *rows))
        assert f"{same} of 1 pairs" in sentence


def test_our_standard_error_holds_that_of_the_estimator() -> None:
    # MIG .1, .3: sd .1414, sd / sqrt(2) = .1. With e = sqrt(.03) the error is sqrt(.01 + .03) = .2.
    # One seed has e = .1732 alone.
    runs = synthetic(strengths=[1, 4], rates=[1e-3], prune=False, failed=(1, 4, 5, 6, 7))
    runs = runs._replace(
        table=runs.table.assign(
            **{
                "final/mig": [0.3, math.nan, 0.1, 0.3, *[math.nan] * 4],
                "final/mig_error": math.sqrt(0.03),
            }
        )
    )
    rows = [({"objective": "beta_vae", "beta": beta}, {"mig": beta / 10}) for beta in (1, 4)]
    comparisons = compared(runs, *rows)
    given = Published.model_validate(table(*rows))
    result = published.comparison_table(given, "mig", comparisons, runs)
    assert [row.cells[4].text for row in result.rows] == ["± 0.17†", "± 0.20"]
    assert result.caption.endswith("† one seed: ± is the estimator's error alone.")
    sentence = published.order_sentence(given, "mig", comparisons)
    assert "in 1 of the 1 our difference is within one standard error" in sentence
    assert "1 of our means, so only their estimator's error counts" in sentence


def test_trials_of_several_cells_are_not_called_seeds_of_one() -> None:
    runs = synthetic(prune=False, failed=())  # two learning rates
    (comparison,) = compared(runs, ({"objective": "beta_vae", "beta": 4}, {"mig": 0.3}))
    given = Published.model_validate(table(({"objective": "vae"}, {"mig": 1})))
    result = published.comparison_table(given, "mig", [comparison], runs)
    assert (comparison.last.n, comparison.n_cells) == (4, 2)
    assert result.rows[0].cells[7].text == "0, 1, in 2 cells together"
    assert "(" not in result.rows[0].cells[3].text  # no standard deviation over seeds
