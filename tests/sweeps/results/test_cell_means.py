"""Means over seeds, on tables that are small enough to compute by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import synthetic

from sweeps.report import findings
from sweeps.report.figures import pareto_front
from sweeps.results import cell_means, run_columns, run_series
from sweeps.results.run_table import Runs

NAN = math.nan


def tiny(
    *trials: tuple[float, float, str, float, float], goal: Any = None, **columns: list[Any]
) -> Runs:
    """Return the runs of trials.

    A trial is (beta, learning rate, state, TC at the last epoch, TC on the whole data set).
    """
    rows = [
        {
            "trial": f"{number:016x}",
            "number": number,
            "cell": f"b_vae beta={beta} rate={rate}",
            "bracket": f"b_vae beta={beta}",
            "entry": "b_vae",
            "bracket_fields": json.dumps([["beta", str(beta)]]),
            "objective": "b_vae",
            "strength_name": "beta",
            "strength": beta,
            "state": state,
            "objective.beta": beta,
            "train.learning_rate": rate,
            "tc": last,
            "final/tc": final,
        }
        for number, (beta, rate, state, last, final) in enumerate(trials)
    ]
    spec = {"goal": goal or {"metric": "tc", "mode": "min"}, "tradeoff": {"by": ["beta"]}}
    table = pd.DataFrame(rows).assign(**columns)
    return Runs("tiny", Path("results"), spec, 0.0, table, pd.DataFrame())


def test_mean_sd_and_se_by_hand():
    # Of 1, 3, 8: mean 4, squared deviations 9 + 1 + 16 = 26, sd = sqrt(26 / 2), se = sd / sqrt(3).
    # The NaN is left out.
    value, sd, se, n, _ = cell_means.mean([1, NAN, 3, 8])
    assert (value, n) == (4, 3)
    assert (sd, se) == pytest.approx((math.sqrt(13), math.sqrt(13 / 3)))


def test_one_trial_has_a_mean_and_no_spread():
    value, sd, se, n, error = cell_means.mean([2.0])
    assert (value, n, error) == (2, 1, 0)
    assert math.isnan(sd)
    assert math.isnan(se)


def test_the_error_of_the_estimator_counts_in_full_beside_the_spread_over_seeds():
    # sd of 1, 3 is sqrt(2), sd / sqrt(2) = 1. e^2 = (2^2 + 4^2) / 2 = 10, so se = sqrt(1 + 10).
    # The error of the value that is missing does not count.
    assert cell_means.mean([1, NAN, 3], [2, 100, 4]) == pytest.approx(
        (2, math.sqrt(2), math.sqrt(11), 2, math.sqrt(10))
    )


def test_more_seeds_do_not_average_the_error_of_the_estimator_out():
    many = cell_means.mean(np.tile([1.0, 3.0], 5000), np.full(10_000, 0.5))
    assert many.se == pytest.approx(math.hypot(0.01, 0.5), rel=1e-3)


def test_one_trial_has_the_error_of_its_estimator_alone():
    assert cell_means.mean([2.0], [0.3])[2:] == (0.3, 1, 0.3)


def test_an_error_that_is_not_known_leaves_the_spread_over_seeds():
    mean = cell_means.mean([1, 3], [0.1, NAN])
    assert (mean.se, mean.n) == (pytest.approx(1), 2)
    assert math.isnan(mean.error)
    assert math.isnan(cell_means.mean([1], [NAN]).se)


def test_errors_are_those_of_the_column_that_the_values_come_from():
    trials = [(4, 1e-3, "COMPLETE", 1, 2), (4, 1e-3, "COMPLETE", 3, 4)]
    errors = {"tc_error": [9, 9], "final/tc_error": [1, 1]}
    row = cell_means.cells(tiny(*trials, **errors)).iloc[0]
    # Of 2 and 4: sd / sqrt(2) = 1; e = 1.
    assert row[["tc", "tc_se", "tc_error"]].tolist() == pytest.approx([3, math.sqrt(2), 1])
    assert run_columns.errors_of_column(tiny(*trials, **errors).table, "tc").tolist() == [9, 9]


@pytest.mark.parametrize(
    ("column", "stated", "expected"),
    [
        ("kl", None, [0, 0]),  # exact by definition
        ("final/active_units", None, [0, 0]),
        ("tc", None, [NAN, NAN]),  # of a version that did not store it
        ("final/mig", [0.1, None], [0.1, NAN]),
        ("final/mig", [math.inf, 0.1], [NAN, 0.1]),
        ("final/med", None, [0, 0]),  # a score that states no error is exact
        ("final/dci", [0.1, 0.2], [0.1, 0.2]),
        ("best/epoch", None, [0, 0]),
    ],
)
def test_which_numbers_have_an_error(column, stated, expected):
    trials = [(4, 1e-3, "COMPLETE", 1, 2), (4, 1e-3, "COMPLETE", 3, 4)]
    columns = {column: [1.0, 2.0]} | ({f"{column}_error": stated} if stated else {})
    errors = run_columns.errors_of_column(tiny(*trials, **columns).table, column)
    np.testing.assert_array_equal(errors, expected)


def test_a_cell_is_the_mean_over_its_complete_trials():
    runs = tiny(
        (4, 1e-3, "COMPLETE", 1, 2), (4, 1e-3, "COMPLETE", 3, 4), (4, 1e-4, "PRUNED", 0, NAN)
    )
    rows = cell_means.cells(runs)
    assert rows["n"].tolist() == [2, 0]
    assert rows["pruned"].tolist() == [0, 1]
    assert rows["members"].tolist() == [(0, 1), ()]
    # On the whole set 2 and 4: mean 3, sd sqrt(2), se 1. The pruned cell has no numbers.
    assert rows.loc[0, ["tc", "tc_se"]].tolist() == pytest.approx([3, 1])
    assert rows.loc[0, "tc_sd"] == pytest.approx(math.sqrt(2))
    assert math.isnan(rows.loc[1, "tc"])


def test_numbers_of_the_whole_set_never_mix_with_those_of_the_last_epoch():
    runs = tiny((4, 1e-3, "COMPLETE", 1, 2), (4, 1e-3, "COMPLETE", 3, NAN))
    assert run_columns.source(runs.table, "tc") == "epoch"
    assert run_columns.values(runs.table, "tc").tolist() == [1, 3]


def test_a_metric_that_is_scored_only_at_the_end_has_a_source():
    runs = tiny((4, 1e-3, "COMPLETE", 1, 2), **{"final/dci": [0.5]})
    assert run_columns.source(runs.table, "dci") == "final"
    assert run_columns.source(runs.table, "mig") == ""


@pytest.mark.parametrize(("mode", "rate", "value"), [("min", 1e-4, 1.0), ("max", 1e-3, 5.0)])
def test_a_bracket_shows_its_best_cell_by_the_goal(mode, rate, value):
    trials = [(4, 1e-3, "COMPLETE", 5, 5), (4, 1e-4, "COMPLETE", 1, 1), (4, 1e-5, "PRUNED", 0, NAN)]
    rows = cell_means.brackets(tiny(*trials, goal={"metric": "tc", "mode": mode}))
    assert len(rows) == 1
    assert rows.loc[0, ["train.learning_rate", "tc", "n", "pruned", "complete_cells"]].tolist() == [
        rate,
        value,
        1,
        1,
        2,
    ]


def test_a_pooled_bracket_is_the_mean_of_all_its_complete_trials():
    trials = [(4, 1e-3, "COMPLETE", 5, 5), (4, 1e-4, "COMPLETE", 1, 1), (4, 1e-5, "PRUNED", 0, NAN)]
    rows = cell_means.brackets(tiny(*trials), choice="pooled")
    assert rows.loc[0, ["cell", "tc", "n"]].tolist() == ["", 3, 2]


def test_a_cell_without_the_goal_never_wins():
    rows = cell_means.brackets(tiny((4, 1e-3, "COMPLETE", NAN, NAN), (4, 1e-4, "COMPLETE", 9, 9)))
    assert rows.loc[0, "train.learning_rate"] == 1e-4


def test_the_best_cell_is_chosen_by_the_goal_even_if_other_metrics_are_averaged():
    columns = {"mig": [0.1, 0.9]}
    runs = tiny(
        (4, 1e-3, "COMPLETE", 5, 5),
        (4, 1e-4, "COMPLETE", 7, 7),
        goal={"metric": "mig", "mode": "max"},
        **columns,
    )
    assert cell_means.brackets(runs, ["tc"]).loc[0, "tc"] == 7


def test_a_bracket_without_a_complete_trial_keeps_its_counts():
    rows = cell_means.brackets(
        tiny((1, 1e-3, "PRUNED", 5, NAN), (1, 1e-4, "FAILED", 5, NAN), (2, 1e-3, "COMPLETE", 1, 1))
    )
    assert rows[["n", "pruned", "failed"]].to_numpy().tolist() == [[0, 1, 1], [1, 0, 0]]
    assert rows["tc"].isna().tolist() == [True, False]


def test_pruned_trials_never_enter_a_mean():
    runs = synthetic()
    table = runs.table.copy()
    table.loc[table["state"] != "COMPLETE", ["reconstruction", "tc", "mig"]] = 1e9
    for function in (cell_means.cells, cell_means.brackets):
        pd.testing.assert_frame_equal(function(runs), function(runs._replace(table=table)))


def test_the_strength_is_not_one_of_the_varying_parameters():
    runs = synthetic()
    assert run_series.parameters(runs.table) == ["train.learning_rate"]
    assert run_series.strength_names(runs) == ["beta"]
    assert run_series.strength_names(synthetic(objectives=["vae"], strengths=[None])) == []


def test_a_series_has_all_strengths_of_one_objective():
    assert set(cell_means.brackets(synthetic())["series"]) == {"beta_vae", "beta_tcvae"}


def test_a_spec_has_one_goal_or_a_list_of_goals():
    runs = synthetic()
    assert cell_means.goals(runs) == [("mig", "max")]
    two_goals = [{"metric": "mig", "mode": "max"}, {"metric": "tc", "mode": "min"}]
    assert cell_means.goals(runs._replace(spec={"goal": two_goals})) == [
        ("mig", "max"),
        ("tc", "min"),
    ]


def test_the_best_trial_of_an_objective_is_complete():
    runs = tiny(
        (4, 1e-3, "COMPLETE", 5, 5), (8, 1e-3, "PRUNED", 0, NAN), (2, 1e-3, "COMPLETE", 3, 3)
    )
    best = cell_means.best_trial(runs, "b_vae", cell_means.goals(runs)[0])
    assert best is not None
    assert (best["number"], best["value"]) == (2, 3)
    cell = cell_means.best_cell(runs, cell_means.goals(runs)[0])
    assert cell is not None
    assert cell["strength"] == 2


def test_a_sweep_in_which_all_trials_failed_has_counts_and_no_best():
    runs = synthetic(failed=range(40))
    goal = cell_means.goals(runs)[0]
    assert run_columns.counts(runs.table) == {"COMPLETE": 0, "PRUNED": 0, "FAILED": 40}
    assert cell_means.best_cell(runs, goal) is None
    assert cell_means.best_trial(runs, "beta_vae", goal) is None
    assert cell_means.brackets(runs)["n"].tolist() == [0] * 10


def test_an_empty_table_has_no_cells():
    empty = synthetic()
    empty = empty._replace(table=empty.table.iloc[:0])
    assert cell_means.cells(empty).empty
    assert cell_means.brackets(empty).empty


def test_each_distribution_of_the_factors_has_its_own_best_cell_and_front():
    # The better half of the trials has correlated factors, so it was measured on other images.
    runs = synthetic(objectives=["beta_vae"], rates=[1e-3], prune=False, failed=())
    is_strong = (runs.table["strength"] >= 4).to_numpy()
    columns = {
        "train.correlated": '[["pos_x", "pos_y"]]',
        "train.correlation_width": np.where(is_strong, 0.1, np.nan),
    }
    runs = runs._replace(table=runs.table.assign(**columns))
    assert set(run_series.distributions(runs.table)) == {
        "",
        "pos_x and pos_y correlated, width 0.1",
    }
    assert [sentence.partition(":")[0] for sentence in findings.best(runs)] == [
        "Highest mean MIG",
        "Highest mean MIG (pos_x and pos_y correlated, width 0.1)",
    ]
    rows = pareto_front.members(runs, pareto_front.PLANES[0])
    assert set(rows.loc[rows["on_front"], "distribution"]) == set(rows["distribution"])


def test_the_name_of_a_series_has_only_the_fields_that_differ():
    brackets: list[tuple[str, list[list[str]]]] = [
        ("b(beta)", [["beta", "1"], ["alpha", "1"]]),
        ("b(beta)", [["beta", "4"], ["alpha", "1"]]),
        ("v", [["width", "0.1"]]),
        ("v", [["width", "null"]]),
        ("c(form abs, hidden (8, 8))", []),
    ]
    table = pd.DataFrame(
        {
            "entry": [entry for entry, _ in brackets],
            "bracket_fields": [json.dumps(fields) for _, fields in brackets],
            "strength_name": ["beta", "beta", "", "", ""],
        }
    )
    names = run_series.series(synthetic()._replace(table=table))
    assert names == [
        "b(beta)",
        "b(beta)",
        "v width=0.1",
        "v width=null",
        "c(form abs, hidden (8, 8))",
    ]


def test_the_share_of_wrong_predictions_of_older_versions_is_no_error() -> None:
    old, new = '{"metric": "dci"}', '{"metric": "dci", "dead_latents": "<= 0.01 nats"}'
    table = pd.DataFrame({"final/dci_error": [0.35, 0.01], "identity/dci": [old, new]})
    errors = run_columns.errors_of_column(table, "final/dci")
    np.testing.assert_array_equal(errors, [np.nan, 0.01])
