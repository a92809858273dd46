"""What the report says of chance and of too few rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_runs import synthetic

import metrics
from metrics import Codes, Factors
from sweeps.report import tables, wording, yardsticks
from sweeps.results.run_table import Runs


def store_codes(runs: Runs, *, rows: int = 96, informed: bool = True) -> tuple[Codes, Factors]:
    """Write the codes of every complete trial, and return them."""
    rng = np.random.default_rng(0)
    levels = np.stack([np.arange(rows) % 4, np.arange(rows) // 4 % 3], axis=1)
    mean = levels - 1.5 + 0.1 * rng.standard_normal((rows, 2))
    if not informed:
        mean = rng.standard_normal((rows, 2))
    logvar = np.full(mean.shape, 2 * np.log(0.3))
    for folder in runs.table["artifacts"]:
        Path(folder).mkdir(parents=True, exist_ok=True)
        np.savez(
            Path(folder) / "codes.npz",
            mean=mean,
            logvar=logvar,
            factors=levels,
            factor_names=np.array(["x", "y"]),
            factor_sizes=np.array([4, 3]),
        )
    return Codes(mean, logvar), Factors(levels, ["x", "y"], [4, 3])


def texts(table: tables.Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_the_best_trial_of_each_objective_has_its_own_chance(tmp_path: Path) -> None:
    runs = synthetic(tmp_path)
    codes, factors = store_codes(runs)
    score = metrics.score("mig", codes, factors, chance="own")
    table = yardsticks.own_chance(runs)
    assert table is not None
    first, second = texts(table)
    assert (first[0].partition(",")[0], second[0].partition(",")[0]) == ("beta_vae", "beta_tcvae")
    assert first[2] == "MIG"
    assert first[3] == wording.with_error(score.value, score.error or 0.0)
    assert first[5] == "0.048"  # better than all of 20 permutations: 1 / 21
    assert "20 permutations" in table.caption


def test_codes_without_information_have_a_large_p_value(tmp_path: Path) -> None:
    runs = synthetic(tmp_path)
    codes, factors = store_codes(runs, informed=False)
    p = metrics.score("mig", codes, factors, chance="own").details["p_value"]
    table = yardsticks.own_chance(runs)
    assert table is not None
    assert [row[5] for row in texts(table)] == [f"{p:.2g}"] * 2
    assert p > 0.05


def test_without_stored_codes_or_with_too_many_rows_there_is_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = synthetic(tmp_path)
    assert yardsticks.own_chance(runs) is None
    store_codes(runs)
    monkeypatch.setattr(yardsticks, "MOST_ROWS", 95)
    assert yardsticks.own_chance(runs) is None


def test_a_score_that_a_trial_does_not_have_is_left_out(tmp_path: Path) -> None:
    # `accuracy` needs discrete codes: a rescore gave it to one objective only.
    runs = synthetic(tmp_path)
    store_codes(runs)
    identity = runs.table["objective"].map(lambda _: '{"metric": "accuracy"}')
    only = np.where(runs.table["objective"] == "no such objective", 0.5, np.nan)
    changed = {"final/accuracy": only, "identity/accuracy": identity}
    table = yardsticks.own_chance(runs._replace(table=runs.table.assign(**changed)))
    assert table is not None
    assert {row[2] for row in texts(table)} == {"MIG"}


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_codes_that_cannot_be_read_are_named(tmp_path: Path, content: bytes) -> None:
    runs = synthetic(tmp_path)
    store_codes(runs)
    best = yardsticks.traversals.best_pictures(runs, file="codes.npz")["beta_vae"]
    best.path.write_bytes(content)
    table = yardsticks.own_chance(runs)
    assert table is not None
    assert [row[0].partition(",")[0] for row in texts(table)] == ["beta_tcvae"]
    assert "their codes cannot be read: beta_vae, β = " in table.caption


def test_a_score_that_few_rows_may_change_much_gets_a_sentence(tmp_path: Path) -> None:
    runs = synthetic(tmp_path)
    complete = (runs.table["state"] == "COMPLETE").to_numpy()
    mig = runs.table["final/mig"].to_numpy(float)
    # Large in one trial: above a tenth of the score and above .01.
    effects = np.where(complete, 0.05 * mig, np.nan)
    effects[np.flatnonzero(complete)[0]] = 0.08
    changed = runs._replace(table=runs.table.assign(**{"final/mig_few_rows": effects}))
    (sentence,) = yardsticks.few_rows(changed)
    n = int(complete.sum())
    assert f"MIG may be wrong by up to 0.0800 in 1 of {n} trials" in sentence
    assert yardsticks.few_rows(runs) == []


def test_metrics_that_take_long_are_left_out() -> None:
    assert yardsticks._is_fast("mig_hist20")
    assert not yardsticks._is_fast("mig.monte_carlo")
    assert not yardsticks._is_fast("dci")
    assert not yardsticks._is_fast("elbo")
    assert not yardsticks._is_fast("no such metric")
