"""How many cells a sweep can have; plan, `validate`, the driver and `status` say the same."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from mini_sweep import MINI, conductor, play, spec
from rich.console import Console
from typer.testing import CliRunner

from sweeps.cells.cell_count import count_cells
from sweeps.cells.finite_points import count, point
from sweeps.cells.plan import plan_sweep
from sweeps.cli import catalogue
from sweeps.cli.app import app
from sweeps.driver.live_view import LiveView
from sweeps.driver.result import SweepResult
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.registration import register_sweep
from sweeps.ledger.status import sweep_status
from sweeps.results.run_table import load_runs
from sweeps.spec.space import Choice, Int, LogInt, LogUniform
from sweeps.storage.files import LocalFiles

ONE_BETA = [{"name": "beta_vae", "beta": 4}]


def train(**fields: Any) -> dict[str, Any]:
    return {"epochs": 1, "batch_size": 32, **fields}


def sampler(trials: int, name: str = "random") -> dict[str, Any]:
    return {"name": name, "trials": trials, "seed": 0}


TWO_RATES = train(learning_rate={"choice": [1e-2, 1e-3]})
CORRELATED = {
    "correlated": {"grid": [["pos_x", "pos_y"], ["scale", "pos_x"]]},
    "correlation_width": {"grid": [None, 0.2]},
}
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    # name -> (changes of the spec, cells asked, cells that can run)
    "two values of five": (
        {"train": TWO_RATES, "objectives": ONE_BETA, "search": sampler(5)},
        5,
        2,
    ),
    "two values for each of two grid values": ({"train": TWO_RATES, "search": sampler(5)}, 10, 4),
    "whole numbers": (  # 2, 3, 4
        {
            "train": train(),
            "network": {"name": "mlp", "hidden": [16], "latents": {"int": [2, 4]}},
            "objectives": ONE_BETA,
            "search": sampler(7),
        },
        7,
        3,
    ),
    "logarithms of whole numbers times a choice": (  # (32, 33, 34) x 2
        {
            "train": train(batch_size={"logint": [32, 34]}, learning_rate={"choice": [1e-2, 1e-3]}),
            "objectives": ONE_BETA,
            "search": sampler(20),
        },
        20,
        6,
    ),
    "as many as there are": (
        {"train": TWO_RATES, "objectives": ONE_BETA, "search": sampler(2)},
        2,
        2,
    ),
    "a real interval beside a choice": (
        {
            "train": train(learning_rate={"loguniform": [1e-4, 1e-2]}),
            "objectives": [{"name": "beta_vae", "beta": {"choice": [1, 4]}}],
            "search": sampler(9),
        },
        9,
        9,
    ),
    "entries with conditions of their own": (  # 2 rates for the first, 1 to 20 for the second
        {
            "train": train(),
            "objectives": [
                {"name": "beta_vae", "beta": 4, "train": {"learning_rate": {"choice": [0.1, 0.2]}}},
                {"name": "vae", "network": {"latents": {"int": [1, 20]}}},
            ],
            "search": sampler(5),
        },
        10,
        7,
    ),
    "entries of a grid that overlap": (  # {1, 4} and {4, 16}
        {
            "train": train(),
            "objectives": [
                {"name": "beta_vae", "beta": {"grid": [1, 4]}},
                {"name": "beta_vae", "beta": {"grid": [4, 16]}},
            ],
        },
        4,
        3,
    ),
    "entries of a sampler that overlap": (  # {1, 4} and {4, 16}, all of them drawn
        {
            "train": train(),
            "objectives": [
                {"name": "beta_vae", "beta": {"choice": [1, 4]}},
                {"name": "beta_vae", "beta": {"choice": [4, 16]}},
            ],
            "search": sampler(4),
        },
        8,
        3,
    ),
    "values that mean the same trial": (  # without a width the pairs say nothing: 1 + 2
        {
            "train": train(**CORRELATED),
            "objectives": ONE_BETA,
            "tradeoff": {"by": ["correlation_width", "correlated"]},
        },
        4,
        3,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_count_is_the_number_of_cells_that_run(tmp_path: Path, case: str) -> None:
    changes, asked, cells = CASES[case]
    sweep = spec(**{"pruning": "none", **changes})
    counted = count_cells(sweep)
    assert (counted.asked, counted.cells) == (asked, cells)
    plan = plan_sweep(sweep)
    assert (plan.cells_asked, plan.cells, plan.trials) == (asked, cells, 2 * cells)
    notes = [note for note in plan.notes if "that are asked for" in note]
    assert bool(notes) == (cells < asked)
    size = catalogue.size(sweep)
    assert size == {"cells": cells, "trials": 2 * cells, "cells_asked": asked}

    ledger = Ledger.of_workspace(tmp_path)
    register_sweep(sweep, ledger, fingerprint="f" * 64)
    driver = conductor(sweep, tmp_path)
    assert (driver.cells_total, driver.cells_asked) == (cells, asked)
    play(driver)
    assert driver.finished
    assert len(driver.cells) == cells
    assert len(load_runs(tmp_path, "mini").table) == len(driver.trials) == 2 * cells
    (status,) = sweep_status(tmp_path)
    assert (status["cells"], status["cells_total"], status["state"]) == (cells, cells, "ENDED")


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_a_sampler_draws_every_cell_of_a_finite_space_also_after_a_kill(
    tmp_path: Path, name: str
) -> None:
    # Of 24 cells the last one is hit by 20 random draws with probability 1 - (23/24)^20 = .57.
    sweep = spec(
        train=train(learning_rate={"choice": [1e-2, 1e-3, 1e-4, 1e-5]}),
        network={"name": "mlp", "hidden": [16], "latents": {"int": [1, 6]}},
        objectives=ONE_BETA,
        search=sampler(24, name),
        seeds=1,
        pruning="none",
    )
    whole = conductor(sweep, tmp_path / "whole")
    play(whole, slots=1)
    points = {json.dumps(cell.params) for cell in whole.cells}
    assert len(points) == len(whole.cells) == 24
    for stop_after in (5, 16):
        play(conductor(sweep, tmp_path / "cut"), slots=1, stop_after=stop_after)
    rest = conductor(sweep, tmp_path / "cut")
    play(rest, slots=1)
    assert [cell.params for cell in rest.cells] == [cell.params for cell in whole.cells]


def test_a_sampler_is_not_asked_for_cells_of_a_space_that_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.search import draw_cell

    asked: list[int] = []
    suggest = draw_cell.suggest
    monkeypatch.setattr(
        draw_cell, "suggest", lambda *given, **named: (asked.append(1), suggest(*given, **named))[1]
    )
    sweep = conductor(
        spec(train=TWO_RATES, objectives=ONE_BETA, search=sampler(500), seeds=1, pruning="none"),
        tmp_path,
    )
    play(sweep)
    assert sweep.finished
    assert len(sweep.cells) == 2
    assert len(asked) <= 40  # 20 for each of the two cells, none for the 498 other turns


def test_the_note_says_how_many_why_and_where(tmp_path: Path) -> None:
    file = tmp_path / "few.yaml"
    file.write_text(
        json.dumps(
            {
                **MINI,
                "train": TWO_RATES,
                "objectives": ONE_BETA,
                "search": sampler(5),
                "pruning": "none",
            }
        )
    )
    note = (
        "objectives[0] beta_vae: 2 of the 5 cells that are asked for run, because search.trials is "
        "5, and the values to choose from make 2 cells"
    )
    validated = CliRunner().invoke(app, ["validate", str(file)])
    assert validated.stdout.startswith("ok: 2 cells (of 5 that are asked for), 4 trials\n")
    assert note in validated.stderr
    planned = CliRunner().invoke(app, ["run", str(file), "--dry-run", "--workspace", str(tmp_path)])
    assert "cells: 2\ncells asked: 5\ntrials: 4\n" in planned.stdout
    assert note in planned.stderr


def farewell(result: SweepResult, workspace: Path) -> str:
    """Return what the driver prints at its end."""
    text = io.StringIO()
    few = spec(train=TWO_RATES, objectives=ONE_BETA, search=sampler(5), pruning="none")
    driver = conductor(few, workspace)
    ledger = Ledger.of_workspace(workspace)
    writer = MlflowWriter("mini", ledger, LocalFiles(workspace), workspace, None, {})
    view = LiveView(driver, writer, Console(file=text))
    view.farewell(result, workspace, "")
    return text.getvalue()


def test_the_end_of_a_run_says_which_cells_are_missing(tmp_path: Path) -> None:
    counts = {"cells": 2, "cells_total": 2, "cells_asked": 5}
    result = SweepResult("mini", {"COMPLETE": 4}, finished=True, why="", exported=True, **counts)
    assert farewell(result, tmp_path).splitlines()[1:] == [
        "2 of the 5 cells that were asked for ran:",
        "  objectives[0] beta_vae: 2 of the 5 cells that are asked for run, because search.trials "
        "is 5, and the values to choose from make 2 cells",
    ]
    why = "the budget of 1 hours is spent"
    stopped = SweepResult("mini", {"COMPLETE": 2}, finished=False, why=why, exported=True, cells=1)
    stopped = stopped._replace(cells_total=4, cells_asked=4)
    printed = farewell(stopped, tmp_path)
    assert "1 of 4 cells have begun" in printed
    assert f"stopped: {why}" in printed


def test_a_sweep_that_stopped_between_two_cells_is_open(tmp_path: Path) -> None:
    sweep = spec(pruning="none", seeds=1)
    register_sweep(sweep, Ledger.of_workspace(tmp_path), fingerprint="f" * 64)
    driver = conductor(sweep, tmp_path)
    play(driver, slots=1, stop_after=4)  # one trial of four epochs
    with Ledger.of_workspace(tmp_path).transaction() as tx:
        tx.update(tables.DRIVER_RUN, tables.DRIVER_RUN.c.id > 0, outcome="the budget is spent")
    (status,) = sweep_status(tmp_path)
    assert status["trials"] == {"COMPLETE": 1}
    assert (status["state"], status["cells"], status["cells_total"]) == ("OPEN", 1, 4)
    shown = CliRunner().invoke(app, ["status", "--workspace", str(tmp_path)])
    assert "1 of 4" in shown.stdout


def test_points_of_a_product_are_all_its_combinations() -> None:
    searched = {"a": Choice(("x", "y")), "b": Int(3, 5), "c": LogInt(1, 2)}
    assert count(searched) == 2 * 3 * 2
    drawn = [tuple(point(searched, index).values()) for index in range(12)]
    assert drawn == [(a, b, c) for a in "xy" for b in (3, 4, 5) for c in (1, 2)]
    assert count({**searched, "d": LogUniform(1.0, 2.0)}) is None
