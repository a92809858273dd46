"""Successive halving by hand."""

import math

import pytest

from sweeps.ledger.states import Verdict
from sweeps.search.halving import judge
from sweeps.spec.rungs import expected_epochs, rung_epochs


@pytest.mark.parametrize(
    ("fractions", "epochs", "expected"),
    [
        ((0.5,), 6, {0: 3}),
        ((0.5,), 5, {0: 3}),  # ceil(2.5): never earlier than asked
        ((0.1,), 30, {0: 3}),  # 0.1 * 30 is a little over 3 in binary and stays 3
        ((0.25, 0.5), 4, {0: 1, 1: 2}),
        ((0.5,), 1, {}),  # the only epoch is the end
        ((0.1, 0.2), 4, {0: 1}),  # both fall on epoch 1: judged once
    ],
)
def test_rungs_are_epochs_before_the_end(fractions, epochs, expected):
    assert rung_epochs(fractions, epochs) == expected


def test_the_first_to_arrive_goes_on():
    assert judge(0.1, [], reduction=2, mode="max").promoted


@pytest.mark.parametrize(
    ("value", "others", "reduction", "promoted"),
    [
        (0.2, [0.1], 2, True),  # best 1 of 2
        (0.1, [0.2], 2, False),
        (0.1, [0.2, 0.3], 2, False),  # best 1 of 3
        (0.25, [0.2, 0.3, 0.1], 2, True),  # best 2 of 4
        (0.2, [0.2], 2, True),  # a tie with the last place goes on
        (0.25, [0.2, 0.3, 0.1], 4, False),  # best 1 of 4
    ],
)
def test_the_best_share_goes_on(value, others, reduction, promoted):
    assert judge(value, others, reduction=reduction, mode="max").promoted is promoted


def test_min_turns_the_order_round():
    assert judge(0.1, [0.2], reduction=2, mode="min").promoted
    assert not judge(0.2, [0.1], reduction=2, mode="min").promoted


@pytest.mark.parametrize(
    ("value", "mode", "verdict", "why"),
    [
        # The best 2 of 4 are 0.3 and 0.25, or 0.1 and 0.2: the cutoff is the second of them.
        (0.25, "max", Verdict.PROMOTE, "0.25 against a cutoff of 0.25 (best 2 of 4)"),
        (0.25, "min", Verdict.PRUNE, "0.25 against a cutoff of 0.2 (best 2 of 4)"),
        (math.nan, "max", Verdict.PRUNE, "the pruning metric is nan"),
    ],
)
def test_a_verdict_says_its_reason(value, mode, verdict, why):
    assert judge(value, [0.2, 0.3, 0.1], reduction=2, mode=mode) == (verdict, why)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_goes_on(value):
    # Ray's ASHA compares nan < cutoff, which is False, and promotes it at every rung.
    assert not judge(value, [0.1, 0.2], reduction=2, mode="max").promoted
    assert not judge(value, [], reduction=2, mode="max").promoted


def test_what_is_not_finite_is_not_counted_as_seen():
    # With the two nan counted this would be the best 2 of 4; of the two numbers it is the worse.
    assert not judge(0.1, [math.nan, math.nan, 0.2], reduction=2, mode="max").promoted


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [({}, 3 + 3 / 2), ({0: True}, 6), ({0: False}, 3)],  # 6 epochs, a rung at 3, half goes on
)
def test_expected_epochs_follow_the_verdicts_and_else_the_share(verdicts, expected):
    assert expected_epochs({0: 3}, verdicts, 6, 2) == expected
