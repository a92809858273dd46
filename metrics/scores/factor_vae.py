"""The FactorVAE score: which latent varies least while a factor is fixed?

Kim and Mnih 2018, section 3 and appendix.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from metrics import progress
from metrics.codes import latents, rows_by_level, variability
from metrics.codes.rows_by_level import Pool
from metrics.prediction.row_splits import share_error
from metrics.types import Array, Codes, Inputs, Score

_CHUNK = 1 << 20  # numbers gathered at a time
_WORDS = {"held_out": "held out", "in_sample": "in-sample"}


def factor_vae(
    inputs: Inputs,
    *,
    protocol: Literal["held_out", "in_sample"] = "held_out",
    group: int = 64,
    train_votes: int = 10_000,
    test_votes: int = 5_000,
    normalise: bool = True,
    stratified: bool = False,
    min_std: float = 0.0,
    min_kl: float | None = None,
    if_dead: float | None = None,
) -> Score:
    """Return how often the latent that varies least identifies the fixed factor, held out.

    A vote fixes a factor k and one of its levels at random, draws `group` rows with this level
    (with replacement), and names the latent of least normalised variance,

        argmin_j Var(mu_j) / Var_all(mu_j)

    (Kim and Mnih 2018). The classifier maps each latent to the factor for which it was named most
    often in `train_votes`. The score is its accuracy on `test_votes` further votes. On the votes
    that it was built from, noise would score .26 instead of 1/K = .20, for 800 votes.

    The variance of a discrete latent is that of Gini, 1/2 (1 - sum_c p_c^2), with p_c the share of
    category c: the variance with (x - y)^2 replaced by 1[x != y]. Both kinds of variance are
    divided by their value over all rows, so they can be compared, and noise has the same mean in
    both. Without the division, or with categories read as numbers, the comparison would depend on
    how categories are named.

    Constant latents cannot be named (their ratio is 0/0). A factor takes part if two of its levels
    have at least two rows each. Factors, and levels with two rows, are drawn uniformly. The
    defaults are the numbers of Locatello et al. 2019.

    Args:
        inputs: codes and factors.
        protocol: "held_out"; or "in_sample", where the value is the accuracy on the training
            votes, |C|_inf,1 / |C|_1 of the matrix C of votes, latents x factors. It is biased
            upward, and more so with fewer votes.
        group: rows of a vote.
        train_votes, test_votes: numbers of votes; "in_sample" ignores `test_votes`.
        normalise: False compares raw variances, as some lecture notes do; a latent of small scale
            then wins votes.
        stratified: use the same number of votes for every factor, instead of one factor drawn for
            every vote.
        min_std: a latent with a smaller standard deviation over all rows is left out as well, at
            any information. For a discrete latent this is the root of its Gini variance.
        min_kl: a continuous latent is left out as well if its mean KL to the prior is not above
            this (nats per image); None sets no such limit.
        if_dead: the value if no latent is active; None: chance, 1/K.

    Variants:
        `in_sample`: close to the protocol of the paper, on 800 votes of 100 rows.
        `lecture`: raw variance, groups of 1,000, in-sample.
        `dlib` (Locatello et al. 2019): latents of standard deviation below .05 are left out, and
        the score is 0 if no latent is active.
        `snu` (Jeong and Song 2019): 800 votes of 100 rows, as many for every factor, in-sample,
        latents of KL > .1. Their code also lets a discrete latent of one category vote, and it
        then wins every vote; here it cannot.

    Returns:
        value: accuracy.
        error: its binomial standard error, given the classifier (`share_error`).
        details:
            votes: (d + m, K) counts of the training votes.
            factor_of_latent: (d + m,) the column of the factor that each latent is mapped to; -1
                if it was never named.
            train_accuracy: accuracy on the training votes.
            active_latents: (d + m,) which latents may be named.
            excluded: factors and latents left out.
        Without an active latent the value is `if_dead`, and without a varying factor it is NaN;
        both come with a reason.

    Raises:
        ValueError: an option is outside its range, or min_kl is given for codes without logvar.
    """
    assert inputs.factors is not None, "score() checks needs"
    _check(protocol, group, (train_votes, test_votes))
    names, pools = inputs.factors.names, rows_by_level.pools(inputs.factors)
    active, dead = variability.active(inputs.codes, min_std=min_std, min_kl=min_kl)
    excluded = rows_by_level.excluded(inputs.factors, pools) | dead
    details: dict[str, Any] = {"active_latents": active, "excluded": excluded}
    identity = {
        "estimator": f"majority vote, {_WORDS[protocol]}",
        "scored": [names[k] for k in pools],
    }
    if not pools:
        details["reason"] = "every factor is constant, or shows no two levels with two rows each"
        return Score(math.nan, details=details, identity=identity)
    if not active.any():
        details["reason"] = "no latent is active"
        value = 1 / len(pools) if if_dead is None else if_dead
        return Score(value, details=details, identity=identity)
    rng = np.random.default_rng(inputs.seed)
    candidates = _candidates(inputs.codes, active, normalise=normalise)
    tallies: list[Array] = []
    rounds = [train_votes, test_votes] if protocol == "held_out" else [train_votes]
    for votes in rounds:
        per_factor = _votes_per_factor(votes, len(pools), stratified, rng)
        tallies.append(_tally(candidates, list(pools.values()), per_factor, group, rng))
    train, judged = tallies[0], tallies[-1]
    classifier = train.argmax(axis=1)
    accuracy = float(judged[np.arange(len(judged)), classifier].sum() / judged.sum())
    all_votes = np.zeros((len(active), len(names)), dtype=np.int64)
    all_votes[np.ix_(active, np.array(list(pools)))] = train
    was_named = all_votes.sum(axis=1) > 0
    details |= {
        "votes": all_votes,
        "factor_of_latent": np.where(was_named, all_votes.argmax(axis=1), -1),
        "train_accuracy": float(train.max(axis=1).sum() / train.sum()),
    }
    error = share_error(accuracy, int(judged.sum()))
    return Score(accuracy, error, details=details, identity=identity)


class _Candidates(NamedTuple):
    """The active latents, and what the variance of each discrete one is divided by."""

    means: Array  # (N, a), divided by their standard deviations if variances are normalised
    categories: list[Array]  # of (N,) categories numbered from 0
    gini: list[float]  # Gini variance of each over all rows, or 1


def _candidates(codes: Codes, active: Array, *, normalise: bool) -> _Candidates:
    """Return the latents that votes may name."""
    d = codes.mean.shape[1]
    means = codes.mean.astype(np.float64)[:, active[:d]]
    if normalise:
        means = means / means.std(axis=0)
    categories: list[Array] = []
    gini: list[float] = []
    for column, is_active in zip(latents.discrete_columns(codes), active[d:], strict=True):
        if is_active:
            categories.append(column)
            gini.append(float(variability.gini(column[None])[0]) if normalise else 1.0)
    return _Candidates(means, categories, gini)


def _votes_per_factor(
    votes: int, factors: int, stratified: bool, rng: np.random.Generator
) -> list[int]:
    """Return the number of votes of each factor; the first factors get the remainder."""
    factor = np.arange(votes) % factors if stratified else rng.integers(factors, size=votes)
    return np.bincount(factor, minlength=factors).tolist()


def _tally(
    candidates: _Candidates,
    pools: list[Pool],
    votes_per_factor: list[int],
    group: int,
    rng: np.random.Generator,
) -> Array:
    """Return how often each candidate is named for each factor: (candidates, factors)."""
    count = candidates.means.shape[1] + len(candidates.categories)
    tally = np.zeros((count, len(pools)), dtype=np.int64)
    for index, pool in progress.steps(list(enumerate(pools)), "factor_vae: factor"):
        rows = rows_by_level.draw(pool, votes_per_factor[index], group, rng)
        tally[:, index] = np.bincount(_least_variable(candidates, rows), minlength=count)
    return tally


def _least_variable(candidates: _Candidates, rows: Array) -> Array:
    """Return the candidate of least variance in each vote: (votes,); continuous ones come first."""
    width = rows.shape[1] * (candidates.means.shape[1] + len(candidates.categories))
    step = max(1, _CHUNK // width)
    parts: list[Array] = []
    for start in range(0, len(rows), step):
        parts.append(_variances(candidates, rows[start : start + step]).argmin(axis=1))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _variances(candidates: _Candidates, rows: Array) -> Array:
    """Return the variance of every candidate in every vote: (votes, candidates)."""
    columns = [candidates.means[rows].var(axis=1)]
    for category, gini_of_all in zip(candidates.categories, candidates.gini, strict=True):
        columns.append(variability.gini(category[rows])[:, None] / gini_of_all)
    return np.concatenate(columns, axis=1)


def _check(protocol: str, group: int, votes: tuple[int, int]) -> None:
    """Raise ValueError if an option is outside its range."""
    if protocol not in _WORDS:
        raise ValueError(f"protocol must be one of {', '.join(_WORDS)}, got {protocol!r}")
    if group < 2:
        raise ValueError(f"group must be >= 2 rows to have a variance, got {group}")
    if min(votes) < 1:
        raise ValueError(f"train_votes and test_votes must be >= 1, got {votes[0]} and {votes[1]}")
