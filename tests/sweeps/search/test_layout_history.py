"""The history of a layout: what is kept of ended cells changes no suggestion."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from sweeps.cells import cell_grid, finite_points
from sweeps.ledger.progress import CellProgress, TrialProgress
from sweeps.search import tpe_history
from sweeps.search.cell_outcome import CellOutcome, cell_outcome
from sweeps.search.layout_history import SearchHistory
from sweeps.search.suggest import suggest
from sweeps.spec.space import Choice, Int, LogInt, LogUniform
from tests.sweeps.mini_sweep import conductor, learning_rate_decides, play, spec

SEARCHED = {"objective.beta": LogUniform(0.5, 16), "train.batch_size": LogInt(8, 64)}


def sampled(name: str = "tpe", trials: int = 10, **changes):
    return spec(
        train={"epochs": 4, "batch_size": 32, "learning_rate": {"loguniform": [1e-4, 1e-2]}},
        objectives=[{"name": "beta_vae", "beta": 4}],
        search={"name": name, "trials": trials, "seed": 3},
        **changes,
    )


def outcome(number: int, *values: float, state: str = "complete") -> CellOutcome:
    params = suggest("random", SEARCHED, [], seed=0, layout=0, number=number, directions=["max"])
    return CellOutcome(params, state, values, {1: values[0]} if values else {})


def test_kept_outcomes_are_those_that_are_computed_anew(tmp_path: Path) -> None:
    sweep = conductor(sampled(trials=8), tmp_path)
    layout = cell_grid.all_layouts(sweep.spec)[0]
    history = SearchHistory(sweep.spec, [])
    added: list[CellProgress] = []

    def checked(trial: TrialProgress, epoch: int) -> float:
        for cell in sweep.cells[len(added) :]:
            history.add(cell)
            added.append(cell)
        expected = [cell_outcome(cell, sweep.spec, last_only=True) for cell in sweep.cells]
        assert history.of(layout).outcomes() == expected
        return learning_rate_decides(trial, epoch)

    play(sweep, checked, slots=3)
    assert len(added) == 8
    assert sweep.finished


def test_of_the_intermediate_values_a_sampler_gets_the_last(tmp_path: Path) -> None:
    sweep = conductor(sampled(trials=3), tmp_path)
    play(sweep)
    for cell in sweep.cells:
        whole, last = (cell_outcome(cell, sweep.spec, last_only=only) for only in (False, True))
        assert last.intermediate == dict([max(whole.intermediate.items())])
        assert (last.state, last.values) == (whole.state, whole.values)


@pytest.mark.parametrize("states", [["complete"], ["complete", "pruned", "running", "failed"]])
def test_kept_optuna_trials_do_not_change_a_suggestion(states: list[str]) -> None:
    kept: dict[int, object] = {}
    history: list[CellOutcome] = []
    for number, state in zip(range(40), itertools.cycle(states), strict=False):
        values = (math.sin(number),) if state == "complete" else ()
        history.append(outcome(number, *values, state=state))
        asked = {"seed": 0, "layout": 0, "number": number, "directions": ["max"]}
        once = suggest("tpe", SEARCHED, history, **asked, optuna_trials=kept)
        assert once == suggest("tpe", SEARCHED, history, **asked)
    ended = [index for index, each in enumerate(history) if each.state != "running"]
    assert sorted(kept) == ended  # a cell that still runs will have another outcome


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_a_restarted_driver_asks_for_the_same_cells(tmp_path: Path, name: str) -> None:
    whole = conductor(sampled(name), tmp_path / "whole")
    play(whole, slots=1)
    for stop_after in (3, 17):
        play(conductor(sampled(name), tmp_path / "cut"), slots=1, stop_after=stop_after)
    rest = conductor(sampled(name), tmp_path / "cut")
    play(rest, slots=1)
    assert [cell.params for cell in rest.cells] == [cell.params for cell in whole.cells]


def test_a_point_of_a_finite_space_has_one_index() -> None:
    spaces = {"a": Choice(((16,), (32, 32), None)), "b": Int(2, 5), "c": LogInt(1, 3)}
    indices = range(finite_points.count(spaces) or 0)
    points = [finite_points.point(spaces, index) for index in indices]
    assert [finite_points.index_of(spaces, point) for point in points] == list(indices)
    stored = {"a": [32, 32], "b": 2, "c": 1}  # as the ledger returns it
    assert finite_points.point(spaces, finite_points.index_of(spaces, stored) or 0) == {
        "a": (32, 32),
        "b": 2,
        "c": 1,
    }
    assert finite_points.index_of(spaces, {"a": [1], "b": 2, "c": 1}) is None
    assert finite_points.index_of(spaces, {"a": [16], "b": 9, "c": 1}) is None


def test_tpe_is_given_all_of_a_short_history() -> None:
    history = [outcome(n, 1.0) for n in range(tpe_history.MOST)]
    assert list(tpe_history.selected(history, ["max"])) == list(range(tpe_history.MOST))


@pytest.mark.parametrize("mode", ["max", "min"])
def test_of_a_long_history_tpe_is_given_the_best_and_the_newest(
    monkeypatch: pytest.MonkeyPatch, mode
) -> None:
    monkeypatch.setattr(tpe_history, "MOST", 12)
    monkeypatch.setattr(tpe_history, "BEST", 4)
    # Cells 0 to 29: the best four are 7, 3, 11 and 20; the others get worse with their number.
    sign = 1 if mode == "max" else -1
    scores = {7: 90, 3: 80, 11: 70, 20: 60}
    history = [outcome(n, float(sign * scores.get(n, -n))) for n in range(30)]
    history[28] = outcome(28, state="failed")
    chosen = list(tpe_history.selected(history, [mode]))
    assert chosen == [3, 7, 11, 20, 21, 22, 23, 24, 25, 26, 27, 29]


def test_of_equal_cells_the_oldest_are_best_as_for_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpe_history, "MOST", 4)
    monkeypatch.setattr(tpe_history, "BEST", 2)
    history = [outcome(n, 1.0) for n in range(9)]
    assert list(tpe_history.selected(history, ["max"])) == [0, 1, 7, 8]


def test_without_complete_cells_the_best_pruned_ones_came_furthest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tpe_history, "MOST", 3)
    monkeypatch.setattr(tpe_history, "BEST", 2)
    reached = {0: (1, 0.9), 1: (3, 0.2), 2: (3, 0.5), 3: (2, 0.9), 4: (1, 0.1), 5: (1, 0.1)}
    history = [
        CellOutcome(outcome(n).params, "pruned", (), dict([reached[n]]))
        for n in range(len(reached))
    ]
    assert list(tpe_history.selected(history, ["max"])) == [1, 2, 5]


def test_with_two_goals_the_best_are_the_pareto_fronts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpe_history, "MOST", 30)
    monkeypatch.setattr(tpe_history, "BEST", 10)
    rng = np.random.default_rng(0)
    points = rng.random((200, 2))
    history = [outcome(n, float(x), float(y)) for n, (x, y) in enumerate(points)]
    chosen = set(tpe_history.selected(history, ["max", "min"]))
    losses = points * [-1.0, 1.0]
    front = {
        n
        for n, loss in enumerate(losses)
        if not any(np.all(o <= loss) and np.any(o < loss) for o in losses)
    }
    assert 1 < len(front) <= 10
    assert front <= chosen
    assert len(chosen) == 30
    assert set(range(190, 200)) <= chosen
