"""The FactorVAE score: which latent stands still when a factor does (Kim and Mnih 2018, section 3 and appendix)."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from metrics import progress
from metrics.codes import latents, rows_by_level, variability
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
    min_std: float = 0.05,
    min_kl: float | None = None,
    if_dead: float | None = None,
) -> Score:
    """Accuracy of a majority vote, on votes it was not built from.

    A vote fixes a factor k and one of its levels at random, draws `group` rows that show it (with
    replacement), and names the latent of least normalised variance, argmin_j Var(mu_j) / Var_all(mu_j). The
    classifier maps each latent to the factor for which it was named most often in `train_votes`; the score
    is its accuracy on `test_votes` further votes: in-sample votes would put noise at .26 instead of 1/K =
    .20 for 800 votes.

    The variance of a discrete latent is Gini's, 1/2 (1 - sum_c p_c^2) with p_c the share of category c: the variance
    with (x - y)^2 replaced by 1[x != y], so that both kinds divided by their own over all rows compare, and noise has
    the same mean in both. Without it, or with categories read as numbers, the comparison depends on their names.

    Latents that are dead may not be named (their ratio is 0/0). Factors with no two levels present that have at least
    two rows each are excluded. Factors and levels are uniform over what remains. Numbers of Locatello et al. 2019 as
    defaults.

    Args:
        inputs: codes and factors.
        protocol: "held_out", or "in_sample": the value is the accuracy on the training votes, |C|_inf,1 / |C|_1 of the
            matrix C of votes, latents x factors; biased upward, the more the fewer votes there are.
        group: rows of a vote.
        train_votes, test_votes: how many; without `test_votes` in an in-sample protocol.
        normalise: False compares raw variances, as in some lecture notes: a latent of small scale then wins votes.
        stratified: the same number of votes for every factor instead of a factor drawn for every vote.
        min_std: latents whose standard deviation over all rows is smaller are dead; of a discrete latent the root of
            its Gini variance.
        min_kl: further, continuous latents whose mean KL to the prior is not above this (nats per image); None: any.
        if_dead: the value where no latent is active; None: chance, 1/K.

    Variants: `in_sample`, about the paper's own, on 800 votes of 100 rows. `lecture`: raw variance, groups of 1,000,
    in-sample. `dlib` (Locatello et al. 2019): the defaults, and 0 where no latent is active. `snu` (Jeong and Song
    2019): 800 votes of 100 rows, as many for every factor, in-sample, latents of KL > .1. Their code also lets
    a discrete latent of a single category vote, and it then wins every vote; here it may not.

    Returns:
        value: accuracy; error: its binomial standard error, given the classifier.
        details: votes (d + m, K) of the training votes, factor_of_latent (d + m,) the column each latent stands for
        (-1: never named), train_accuracy, active_latents (d + m,), excluded factors and latents.
        Without an active latent the value is `if_dead`; without a varying factor NaN; both with a reason.

    Raises:
        ValueError: an option outside its range, or min_kl for codes without logvar.
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
        return Score(
            1 / len(pools) if if_dead is None else if_dead, details=details, identity=identity
        )
    rng = np.random.default_rng(inputs.seed)
    candidates = _candidates(inputs.codes, active, normalise=normalise)
    tallies: list[Array] = []
    for votes in (train_votes, test_votes)[: 2 if protocol == "held_out" else 1]:
        tallies.append(np.zeros((int(active.sum()), len(pools)), dtype=np.int64))
        per_factor = _votes_per_factor(votes, len(pools), stratified, rng)
        for position, pool in progress.steps(list(enumerate(pools.values())), "factor_vae: factor"):
            rows = rows_by_level.draw(pool, per_factor[position], group, rng)
            tallies[-1][:, position] = np.bincount(
                _stillest(candidates, rows), minlength=len(tallies[-1])
            )
    train, judged = tallies[0], tallies[-1]
    classifier = train.argmax(axis=1)
    accuracy = float(judged[np.arange(len(judged)), classifier].sum() / judged.sum())
    votes_of_all = np.zeros((len(active), len(names)), dtype=np.int64)
    votes_of_all[np.ix_(active, np.array(list(pools)))] = train
    details |= {
        "votes": votes_of_all,
        "factor_of_latent": np.where(votes_of_all.sum(axis=1) > 0, votes_of_all.argmax(axis=1), -1),
        "train_accuracy": float(train.max(axis=1).sum() / train.sum()),
    }
    error = math.sqrt(accuracy * (1 - accuracy) / judged.sum())
    return Score(accuracy, error, details=details, identity=identity)


class _Candidates(NamedTuple):
    """What may be named: active latents, and what the variance of each discrete one is divided by."""

    means: Array  # (N, a), divided by their standard deviations if variances are to be
    categories: list[Array]  # of (N,), each from 0 on
    gini: list[float]


def _candidates(codes: Codes, active: Array, *, normalise: bool) -> _Candidates:
    d = codes.mean.shape[1]
    means = codes.mean.astype(np.float64)[:, active[:d]]
    if normalise:
        means = means / means.std(axis=0)
    columns = latents.discrete_columns(codes)
    categories = [column for column, used in zip(columns, active[d:], strict=True) if used]
    return _Candidates(
        means,
        categories,
        [float(variability.gini(c[None])[0]) if normalise else 1.0 for c in categories],
    )


def _votes_per_factor(
    votes: int, factors: int, stratified: bool, rng: np.random.Generator
) -> list[int]:
    """How many votes each factor gets. What cannot be divided evenly goes to the first ones."""
    factor = np.arange(votes) % factors if stratified else rng.integers(factors, size=votes)
    return np.bincount(factor, minlength=factors).tolist()


def _stillest(candidates: _Candidates, rows: Array) -> Array:
    """The candidate of least variance within each vote, continuous ones counted first: (votes,)."""
    width = rows.shape[1] * (candidates.means.shape[1] + len(candidates.categories))
    step = max(1, _CHUNK // width)
    parts = [
        _variances(candidates, rows[i : i + step]).argmin(axis=1) for i in range(0, len(rows), step)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _variances(candidates: _Candidates, rows: Array) -> Array:
    of_means = candidates.means[rows].var(axis=1)
    of_categories = [
        variability.gini(category[rows])[:, None] / whole
        for category, whole in zip(candidates.categories, candidates.gini, strict=True)
    ]
    return np.concatenate([of_means, *of_categories], axis=1)


def _check(protocol: str, group: int, votes: tuple[int, int]) -> None:
    if protocol not in _WORDS:
        raise ValueError(f"protocol must be one of {', '.join(_WORDS)}, got {protocol!r}")
    if group < 2:
        raise ValueError(f"group must be >= 2 rows to have a variance, got {group}")
    if min(votes) < 1:
        raise ValueError(f"train_votes and test_votes must be >= 1, got {votes[0]} and {votes[1]}")
