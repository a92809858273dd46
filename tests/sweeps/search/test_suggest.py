"""A suggestion is a function of the history, and falls where its space says."""

import math

import pytest

from sweeps.search.cell_outcome import CellOutcome
from sweeps.search.suggest import from_unit, suggest
from sweeps.spec.space import Choice, Int, LogInt, LogUniform, Uniform

SPACES = {
    "objective.beta": LogUniform(0.5, 16),
    "train.learning_rate": LogUniform(1e-4, 1e-2),
    "network.latents": Int(2, 5),
    "network.hidden": Choice(((16,), (32, 32))),
    "train.batch_size": LogInt(8, 64),
}


def outcome(number: int, mig: float) -> CellOutcome:
    params = suggest("random", SPACES, [], seed=0, layout=0, number=number, directions=["max"])
    return CellOutcome(params, "complete", (mig,), {1: mig})


def ask(name: str, number: int, history=(), seed: int = 0, layout: int = 0):
    return suggest(
        name, SPACES, history, seed=seed, layout=layout, number=number, directions=["max"]
    )


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_values_lie_in_their_spaces(name):
    history = [outcome(n, n / 20) for n in range(12)]
    for number in range(8):
        drawn = ask(name, number, history)
        assert list(drawn) == list(SPACES)
        assert 0.5 <= drawn["objective.beta"] <= 16
        assert 1e-4 <= drawn["train.learning_rate"] <= 1e-2
        assert drawn["network.latents"] in range(2, 6)
        assert tuple(drawn["network.hidden"]) in ((16,), (32, 32))
        assert 8 <= drawn["train.batch_size"] <= 64


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_the_same_history_gives_the_same_suggestion(name):
    history = [outcome(n, n / 20) for n in range(12)]
    assert ask(name, 12, history) == ask(name, 12, history)


@pytest.mark.parametrize("name", ["random", "qmc", "tpe"])
def test_numbers_and_seeds_give_different_suggestions(name):
    assert ask(name, 0) != ask(name, 1)
    assert ask(name, 0, seed=0) != ask(name, 0, seed=1)


def test_qmc_fills_the_range_more_evenly_than_chance():
    # A Sobol sequence of 16 points has one in each sixteenth of every axis, scrambled or not.
    values = [math.log(ask("qmc", n)["objective.beta"] / 0.5) / math.log(32) for n in range(16)]
    assert sorted(int(16 * u) for u in values) == list(range(16))


def test_tpe_goes_where_the_score_was():
    space = {"objective.beta": LogUniform(0.5, 16)}

    def score(beta: float) -> float:
        return -abs(math.log2(beta) - 2)  # best at 4

    history: list[CellOutcome] = []
    for number in range(30):
        drawn = suggest("tpe", space, history, seed=0, layout=0, number=number, directions=["max"])
        history.append(CellOutcome(drawn, "complete", (score(drawn["objective.beta"]),), {}))
    late = [score(each.params["objective.beta"]) for each in history[15:]]
    early = [score(each.params["objective.beta"]) for each in history[:10]]
    assert sum(late) / len(late) > sum(early) / len(early)


def test_tpe_takes_pruned_failed_and_running_cells_in_its_history():
    history = [
        outcome(0, 0.1),
        CellOutcome(outcome(1, 0).params, "pruned", (), {1: 0.05}),
        CellOutcome(outcome(2, 0).params, "failed", (), {}),
        CellOutcome(outcome(3, 0).params, "running", (), {}),
    ]
    assert set(ask("tpe", 4, history)) == set(SPACES)


@pytest.mark.parametrize(
    ("space", "low", "high"),
    [
        (Uniform(-1, 3), -1, 3),
        (LogUniform(0.01, 100), 0.01, 100),
        (Int(2, 5), 2, 5),
        (LogInt(1, 1000), 1, 1000),
        (Choice(("a", "b")), "a", "b"),
    ],
)
def test_both_ends_of_a_space_are_reached(space, low, high):
    assert (
        from_unit(space, 0.0) == pytest.approx(low)
        if not isinstance(low, str)
        else from_unit(space, 0.0) == low
    )
    last = from_unit(space, 1 - 1e-12)
    assert last == pytest.approx(high) if not isinstance(high, str) else last == high
