"""The FactorVAE score: which latent stands still when a factor does (Kim and Mnih 2018, section 3 and appendix)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics.types import Array, Inputs, Score

_CHUNK = 1 << 20  # numbers gathered at a time


def factor_vae(
    inputs: Inputs,
    *,
    group: int = 64,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    min_std: float = 0.05,
) -> Score:
    """Accuracy of a majority vote, on votes it was not built from.

    A vote fixes a factor k and one of its levels at random, draws `group` rows that show it (with
    replacement), and names the latent of least normalised variance, argmin_j Var(mu_j) / Var_all(mu_j). The
    classifier maps each latent to the factor for which it was named most often in `train_votes`; the score
    is its accuracy on `test_votes` further votes: in-sample votes would put noise at .26 instead of 1/K =
    .20 for 800 votes.

    Latents whose standard deviation over all rows is below `min_std` are dead and may not be named (their
    ratio is 0/0). Factors with no two levels present that have at least two rows each are excluded. Factors
    and levels are uniform over what remains. Numbers of Locatello et al. 2019 as defaults.

    Returns:
        value: held-out accuracy; error: its binomial standard error.
        details: votes (d, K) of the training votes, train_accuracy, active_latents (d,), excluded factors.
        Without an active latent the value is chance, 1/K; without a varying factor NaN; both with a reason.
    """
    assert inputs.factors is not None, "score() checks needs"
    mean, names = inputs.codes.mean.astype(np.float64), inputs.factors.names
    pools = [_pool(inputs.factors.values[:, k]) for k in range(len(names))]
    kept = [k for k, pool in enumerate(pools) if pool is not None]
    excluded = {names[k]: "no two levels with two rows each" for k in range(len(names)) if k not in kept}
    active = mean.std(axis=0) >= min_std
    details: dict[str, Any] = {"active_latents": active, "excluded": excluded}
    identity = {"estimator": "majority vote, held out", "scored": [names[k] for k in kept]}
    if not kept:
        details["reason"] = "every factor is constant in the given rows"
        return Score(math.nan, details=details, identity=identity)
    if not active.any():
        details["reason"] = "no latent is active"
        return Score(1 / len(kept), details=details, identity=identity)
    rng = np.random.default_rng(inputs.seed)
    standard = mean[:, active] / mean[:, active].std(axis=0)
    tallies: list[Array] = []
    for votes in (train_votes, test_votes):
        factor = rng.integers(len(kept), size=votes)
        tally = np.zeros((standard.shape[1], len(kept)), dtype=np.int64)
        for position, k in enumerate(kept):
            rows = _draw(_found(pools[k]), int((factor == position).sum()), group, rng)
            tally[:, position] = np.bincount(_stillest(standard, rows), minlength=len(tally))
        tallies.append(tally)
    train, test = tallies
    classifier = train.argmax(axis=1)
    accuracy = float(test[np.arange(len(test)), classifier].sum() / test.sum())
    votes_of_all = np.zeros((len(active), len(names)), dtype=np.int64)
    votes_of_all[np.ix_(active, np.array(kept))] = train
    details |= {"votes": votes_of_all, "train_accuracy": float(train.max(axis=1).sum() / train.sum())}
    error = math.sqrt(accuracy * (1 - accuracy) / test.sum())
    return Score(accuracy, error, details=details, identity=identity)


def _pool(level: Array) -> tuple[Array, Array, Array] | None:
    """Rows sorted by level, and start and count of every level with at least two rows; None if below two levels."""
    counts = np.bincount(level)
    starts = np.cumsum(counts) - counts
    usable = counts >= 2
    if usable.sum() < 2:
        return None
    return np.argsort(level, kind="stable"), starts[usable], counts[usable]


def _found(pool: tuple[Array, Array, Array] | None) -> tuple[Array, Array, Array]:
    assert pool is not None
    return pool


def _draw(pool: tuple[Array, Array, Array], votes: int, group: int, rng: np.random.Generator) -> Array:
    """(votes, group) rows; each vote's rows share one level, levels are uniform."""
    order, starts, counts = pool
    level = rng.integers(len(starts), size=votes)
    within = (rng.random((votes, group), dtype=np.float32) * counts[level, None]).astype(np.int64)
    # A float32 product may round up to the count itself.
    return order[starts[level, None] + np.minimum(within, counts[level, None] - 1)]


def _stillest(standard: Array, rows: Array) -> Array:
    """The latent of least variance within each vote: (votes,)."""
    step = max(1, _CHUNK // (rows.shape[1] * standard.shape[1]))
    parts = [standard[rows[i : i + step]].var(axis=1).argmin(axis=1) for i in range(0, len(rows), step)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
