"""Reading reports as columns gives what reading them one by one gives."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.ledger import report_columns, tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.replay import read_trials
from sweeps.results import report_table
from tests.sweeps.mini_sweep import conductor, play, spec

METRICS = ("mig", "tc", "active_units")


def bodies(count: int, *, strange: bool) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (trial, epoch, body) in the order of arrival; strange ones have NaN and gaps."""
    rng = random.Random(1)
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for index in range(count):
        number, epoch = index % 3, index // 3 + 1
        metrics = {"mig": rng.random(), "tc": -rng.random() * 1e-7, "active_units": 3.0}
        if strange:
            metrics["tc"] = rng.choice([math.nan, math.inf, -math.inf, 0.1])
            metrics |= {"kl_latents/0": rng.random()} if index > 4 else {}
            if index % 4 == 1:
                del metrics["mig"]
        body = {"step": 12 * epoch, "images": 384, "metrics": metrics, "identity": {}}
        if index % 5 == 2:
            body["identity"] = {"a": "NaN"}  # looks like a number that Arrow does not know
        final = {"mig": 0.5} if epoch == count // 3 else None
        rows.append((number, epoch, body | {"train": {"loss": rng.random()}, "final": final}))
    return rows


def filled(workspace: Path, rows: list[tuple[int, int, dict[str, Any]]]) -> Ledger:
    ledger = Ledger.of_workspace(workspace)
    with ledger.transaction() as tx:
        for number in range(3):
            tx.insert(
                tables.TRIAL,
                sweep="s",
                number=number,
                cell=number,
                seed=0,
                hash=f"{number}",
                config="{}",
                epochs=9,
                asked=0.0,
            )
        for number, epoch, body in rows:
            tx.report("s", number, epoch=epoch, at=1.5 * epoch, seconds=0.1 * epoch, body=body)
    return ledger


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_columns, "CHUNK", 7)
    monkeypatch.setattr(report_table, "CHUNK", 7)


@pytest.mark.parametrize("strange", [False, True])
def test_columns_hold_what_each_body_holds(tmp_path: Path, strange: bool) -> None:
    rows = bodies(30, strange=strange)
    columns = report_columns.read_columns(filled(tmp_path, rows), "s", METRICS)
    assert list(zip(columns.trial.tolist(), columns.epoch.tolist(), strict=True)) == [
        (number, epoch) for number, epoch, _ in rows
    ]
    assert columns.step.tolist() == [body["step"] for _, _, body in rows]
    expected = [[body["metrics"].get(name, math.nan) for name in METRICS] for _, _, body in rows]
    np.testing.assert_array_equal(columns.values, np.array(expected))


@pytest.mark.parametrize("strange", [False, True])
def test_trials_get_their_reports(tmp_path: Path, strange: bool) -> None:
    rows = bodies(30, strange=strange)
    trials = read_trials(filled(tmp_path, rows), "s", METRICS)
    for number, epoch, body in rows:
        known = {name: body["metrics"].get(name, math.nan) for name in METRICS}
        assert trials[number].at(epoch) == {
            name: value for name, value in known.items() if not math.isnan(value)
        }
    assert [trial.epoch for trial in trials] == [10, 10, 10]
    assert [trial.first_steps for trial in trials] == [12, 12, 12]
    seconds = 0.0
    for epoch in range(1, 11):
        seconds += 0.1 * epoch
    assert {trial.seconds for trial in trials} == {seconds}  # added in the same order


def test_a_sweep_without_reports_has_trials_without_reports(tmp_path: Path) -> None:
    ledger = filled(tmp_path, [])
    assert [(one.epoch, one.seconds, one.at(1)) for one in read_trials(ledger, "s")] == [
        (0, 0.0, None)
    ] * 3
    assert report_table.read_reports(ledger, "s").table.empty


def test_a_body_that_arrow_cannot_read_is_read_by_python(tmp_path: Path) -> None:
    # Two types in one column: Arrow refuses the chunk.
    rows = bodies(9, strange=False)
    rows[4][2]["train"]["loss"] = "none"
    table = report_table.read_reports(filled(tmp_path, rows), "s").table
    assert table["train/loss"].tolist() == [body["train"]["loss"] for _, _, body in rows]


@pytest.mark.parametrize("strange", [False, True])
def test_the_table_of_reports_is_that_of_the_bodies(tmp_path: Path, strange: bool) -> None:
    rows = bodies(30, strange=strange)
    reports = report_table.read_reports(filled(tmp_path, rows), "s")
    records = [
        {
            "number": number,
            "epoch": epoch,
            "step": body["step"],
            "at": 1.5 * epoch,
            "images": 384,
            "seconds": 0.1 * epoch,
            **dict(sorted(body["metrics"].items())),  # as bodies are written
            **{f"train/{name}": value for name, value in body["train"].items()},
        }
        for number, epoch, body in rows
    ]
    expected = pd.DataFrame(records)
    pd.testing.assert_frame_equal(reports.table, expected, check_like=strange, check_exact=True)
    assert set(reports.metrics) == {name for _, _, body in rows for name in body["metrics"]}
    last = {str(number): body["metrics"] for number, _, body in rows}
    assert json.dumps(reports.last_metrics) == json.dumps(last, sort_keys=True)
    assert {number: body["final"] for number, body in reports.final_bodies.items()} == {
        number: {"mig": 0.5} for number in range(3)
    }


def test_a_conductor_read_again_holds_what_the_first_one_held(tmp_path: Path) -> None:
    first = conductor(spec(), tmp_path)
    play(first, stop_after=13)
    again = conductor(spec(), tmp_path)
    for old, new in zip(first.trials, again.trials, strict=True):
        epochs = list(old.reports.epochs)
        assert list(new.reports.epochs) == epochs
        assert [new.at(epoch) for epoch in epochs] == [old.at(epoch) for epoch in epochs]
        assert (new.seconds, new.config, new.hash) == (old.seconds, old.config, old.hash)
    assert [cell.params for cell in again.cells] == [cell.params for cell in first.cells]
