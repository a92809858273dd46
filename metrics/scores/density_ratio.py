"""Total correlation from a classifier of codes against codes with every latent permuted.

This is the density ratio trick (Kim and Mnih 2018, eq. 3): the best classifier of z ~ q(z) against
z ~ prod_j q(z_j) has the logit ln [q(z) / prod_j q(z_j)]. The mean of this logit over q(z) is the
total correlation.
"""

# torch's optimisers and `backward` carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, softplus

from metrics import device, progress
from metrics.codes import latents
from metrics.types import Array, Codes, Inputs, Score

Logit = Callable[[Tensor], Tensor]

_MIN_ROWS = 20
# Permuted copies per real row, each with a quarter of the weight: less noise from the permutation.
_COPIES = 4
_VALIDATION = 0.2  # share of the rows of a classifier that decide when to stop
_RIDGE = 1e-4  # keeps weights finite if the two classes can be separated without an error
_BATCH, _RATE, _AVERAGING = 256, 3e-3, 0.98
_EVERY = 50  # steps between two evaluations on the validation rows
_PATIENCE = 10  # evaluations without a new best before training stops


class _Half(NamedTuple):
    """The logits of the classifier of one half of the rows, on the rows of the other half."""

    real: Array  # (n,) logits of codes
    shuffled: Array  # (copies n,) logits of permuted codes
    seen: float  # mean logit of the codes that the classifier was trained on
    quadratic: float  # mean logit of codes without the network
    steps: int  # training steps of the network that was kept


def density_ratio_tc(
    inputs: Inputs, *, rows: int = 10_000, width: int = 64, steps: int = 3_000
) -> Score:
    """Return TC as the mean logit of a classifier: codes against codes with permuted latents.

    One z per image is drawn from its posterior. A discrete latent enters without a draw, as
    indicator columns that are permuted together. The rows are cut into halves, and the classifier
    of one half scores the rows of the other. On standardised columns the classifier is a logistic
    regression on all products of two columns (exact if q(z) is Gaussian). A network of two hidden
    layers is added if it lowers the loss on validation rows by more than two of its standard
    errors.

    The value is no bound in either direction: a classifier worse than the best one misses
    dependence, an overconfident one exaggerates it. For independent latents the value scatters
    about 0 by some tenths of d^2 / rows, and can be negative. The lower bound of Donsker and
    Varadhan is in the details. From n rows, little more than ln n nats can be shown. Above all,
    the classifier sees q(z) through n draws and does not see the finite mixture of `elbo`: it
    cannot reach the TC that N separate posteriors add there (up to (d - 1) ln N).

    Args:
        inputs: codes with posteriors, at least 20 rows; seed.
        rows: the largest number of images; a seeded draw without replacement.
        width: units of each hidden layer.
        steps: the largest number of training steps, in batches of 256; 0 leaves only the logistic
            regression.

    Returns:
        value: nats.
        error: root of the sum of three squares: the standard error of the mean of the held-out
            logits, half the difference of the two halves, and half of the excess of a
            classifier's mean logit on the rows that it was trained on. It covers sampling and
            fit, but not what no such classifier can see.
        details:
            halves: (2,) the value of each half.
            donsker_varadhan: the lower bound.
            accuracy: of the classifiers; .5 means that they cannot separate the two.
            quadratic: the value without networks.
            steps: (2,) training steps of the networks that were kept.
            rows: the number of images used.
            excluded: constant latents.
        With fewer than two latents the value is 0, with a reason.

    Raises:
        ValueError: fewer than 20 rows.
    """
    rng = np.random.default_rng(inputs.seed)
    columns, latent, excluded = _sampled(inputs.codes, rows, rng)
    identity = {"estimator": "density ratio, held out"}
    details: dict[str, Any] = {"excluded": excluded, "rows": float(len(columns))}
    if len(np.unique(latent)) < 2:
        details["reason"] = "fewer than two latents vary: nothing to correlate"
        return Score(0.0, 0.0, details=details, identity=identity)
    order = rng.permutation(len(columns))
    first, second = columns[order[: len(order) // 2]], columns[order[len(order) // 2 :]]
    halves: list[_Half] = []
    pairs = [(first, second), (second, first)]
    # With one thread the value is also the same on every number of cores.
    with device.one_thread():
        for seen, unseen in progress.steps(pairs, "density_ratio_tc: half"):
            halves.append(_score_half(seen, unseen, latent, rng, width=width, steps=steps))
    real = np.concatenate([half.real for half in halves])
    values = np.array([half.real.mean() for half in halves])
    details |= {
        "halves": values,
        "donsker_varadhan": float(np.mean([_donsker_varadhan(half) for half in halves])),
        "accuracy": float(np.mean([_accuracy(half) for half in halves])),
        "quadratic": float(np.mean([half.quadratic for half in halves])),
        "steps": np.array([half.steps for half in halves]),
    }
    overfit = float(np.mean([half.seen for half in halves]) - values.mean())
    error = math.hypot(
        float(real.std(ddof=1)) / math.sqrt(len(real)),
        0.5 * float(values[0] - values[1]),
        0.5 * overfit,
    )
    return Score(float(real.mean()), error, details=details, identity=identity)


def _sampled(
    codes: Codes, rows: int, rng: np.random.Generator
) -> tuple[Array, Array, dict[str, str]]:
    """Return columns (n, D) of one draw per image, the latent of each, and the latents left out."""
    assert codes.logvar is not None, "score() checks needs"
    if min(rows, len(codes)) < _MIN_ROWS:
        raise ValueError(
            f"density_ratio_tc needs at least {_MIN_ROWS} rows, got {min(rows, len(codes))}"
        )
    images = rng.permutation(len(codes))[:rows]
    mean, logvar = codes.mean[images].astype(np.float64), codes.logvar[images].astype(np.float64)
    z = mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)
    discrete = None if codes.discrete is None else codes.discrete[images]
    columns, latent = latents.features(Codes(z, discrete=discrete))
    # Not `std`: the deviation of equal numbers may differ from 0 in the last bit.
    varies = np.ptp(columns, axis=0) > 0
    excluded: dict[str, str] = {}
    for j, name in enumerate(latents.names(codes)):
        if j not in latent[varies]:
            excluded[name] = "constant"
    return columns[:, varies], latent[varies], excluded


def _score_half(
    seen: Array, unseen: Array, latent: Array, rng: np.random.Generator, *, width: int, steps: int
) -> _Half:
    """Return the logits of the rows `unseen` by a classifier trained on the rows `seen`."""
    spread = seen.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)  # a category may be missing from one half
    centre = seen.mean(axis=0)
    seen, unseen = (seen - centre) / scale, (unseen - centre) / scale
    held = max(1, int(_VALIDATION * len(seen)))
    train, validation = seen[held:], seen[:held]
    base = _quadratic(train, _shuffled(train, latent, rng))
    network, kept_steps = _network(base, train, validation, latent, rng, width=width, steps=steps)
    real, shuffled = torch.as_tensor(unseen), _shuffled(unseen, latent, rng)
    trained_on = torch.as_tensor(train)
    with torch.no_grad():
        return _Half(
            real=(base(real) + network(real)).numpy(),
            shuffled=(base(shuffled) + network(shuffled)).numpy(),
            seen=float((base(trained_on) + network(trained_on)).mean()),
            quadratic=float(base(real).mean()),
            steps=kept_steps,
        )


def _shuffled(columns: Array, latent: Array, rng: np.random.Generator) -> Tensor:
    """Return copies of the rows, (copies n, D), with every latent permuted independently."""
    rows = np.tile(np.arange(len(columns)), (_COPIES, int(latent.max()) + 1, 1))
    rows = rng.permuted(rows, axis=2).transpose(0, 2, 1).reshape(_COPIES * len(columns), -1)
    return torch.as_tensor(np.take_along_axis(columns, rows[:, latent], axis=0))


def _loss(real: Tensor, shuffled: Tensor) -> Tensor:
    """Return the cross-entropy of both classes, which have the same weight at any size."""
    return softplus(-real).mean() + softplus(shuffled).mean()


def _quadratic(real: Array, shuffled: Tensor) -> Logit:
    """Return a logistic regression on columns and their products.

    The problem is convex, so nothing has to be tuned.
    """
    wide, rows = real.shape[1], torch.as_tensor(real)
    weights = torch.zeros(1 + wide + wide * wide, dtype=torch.float64, requires_grad=True)

    def logit(z: Tensor, w: Tensor) -> Tensor:
        return w[0] + z @ w[1 : 1 + wide] + ((z @ w[1 + wide :].reshape(wide, wide)) * z).sum(dim=1)

    optimiser = torch.optim.LBFGS(
        [weights], max_iter=100, history_size=20, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = _loss(logit(rows, weights), logit(shuffled, weights))
        # After the loss: the order of these terms decides the last bits of the gradient.
        loss = loss + _RIDGE * weights[1:].square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # pyright: ignore[reportArgumentType]: a tensor works, too
    fitted = weights.detach()
    return lambda z: logit(z, fitted)


def _network(
    base: Logit,
    train: Array,
    validation: Array,
    latent: Array,
    rng: np.random.Generator,
    *,
    width: int,
    steps: int,
) -> tuple[Logit, int]:
    """Return what a network adds to the logit of `base`, and its number of training steps.

    It adds 0, after 0 steps, unless the loss on the validation rows falls by more than two
    standard errors. Every batch pairs real rows with draws from the product of the marginals,
    which take each latent from a row of its own. A running average of the weights is evaluated
    and kept.
    """
    rows, wide = torch.as_tensor(train), train.shape[1]
    real, shuffled = torch.as_tensor(validation), _shuffled(validation, latent, rng)
    weights = _initial([wide, width, width, 1], rng)
    average = [w.detach().clone() for w in weights]
    optimiser = torch.optim.Adam(weights, lr=_RATE)

    def losses(parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            logits = [base(z) + _forward(z, parameters) for z in (real, shuffled)]
        # Copies of a row are one observation: only the means over copies are independent.
        return softplus(-logits[0]), softplus(logits[1]).reshape(_COPIES, -1).mean(dim=0)

    initial = losses(average)
    best, best_weights, best_step = _sum_of_means(initial), average, 0
    evaluations_since_best = 0
    for step in range(1, steps + 1):
        positive = rows[torch.as_tensor(rng.integers(len(rows), size=_BATCH))]
        drawn = rng.integers(len(rows), size=(_BATCH, int(latent.max()) + 1))[:, latent]
        negative = rows[torch.as_tensor(drawn), torch.arange(wide)]
        optimiser.zero_grad()
        loss = _loss(*(base(z) + _forward(z, weights) for z in (positive, negative)))
        loss.backward()
        optimiser.step()
        # The first averages are over few steps: weight 1 / step until that is below 1 - _AVERAGING.
        share = max(1 - _AVERAGING, 1 / step)
        average = [a.lerp(w.detach(), share) for a, w in zip(average, weights, strict=True)]
        if step % _EVERY == 0:
            value = _sum_of_means(losses(average))
            if value < best:
                best, best_weights, best_step = value, average, step
                evaluations_since_best = 0
            else:
                evaluations_since_best += 1
            if evaluations_since_best == _PATIENCE:
                break
    if not _clearly_lower(losses(best_weights), initial):
        return lambda z: z.new_zeros(len(z)), 0
    return lambda z: _forward(z, best_weights), best_step


def _sum_of_means(losses: tuple[Tensor, Tensor]) -> float:
    """Return the loss of both classes, each the mean over its rows."""
    return float(losses[0].mean() + losses[1].mean())


def _clearly_lower(losses: tuple[Tensor, Tensor], initial: tuple[Tensor, Tensor]) -> bool:
    """Return whether the loss fell by more than two standard errors of the difference."""
    gains = [old - new for old, new in zip(initial, losses, strict=True)]
    gain = sum(float(g.mean()) for g in gains)
    noise = math.sqrt(sum(float(g.var(correction=0)) / len(g) for g in gains))
    return gain > 2 * noise


def _initial(sizes: list[int], rng: np.random.Generator) -> list[Tensor]:
    """Return weights and biases of each layer, uniform within 1 / sqrt(inputs).

    Those of the last layer are 0, so that the network first adds nothing.
    """
    weights: list[Tensor] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        bound = 0.0 if fan_out == 1 else 1 / math.sqrt(fan_in)
        for shape in ((fan_out, fan_in), (fan_out,)):
            drawn = rng.uniform(-bound, bound, shape).astype(np.float32)
            weights.append(torch.as_tensor(drawn).requires_grad_())
    return weights


def _forward(z: Tensor, weights: list[Tensor]) -> Tensor:
    """Return the output of the network, (n, D) -> (n,), in float64; inside it is float32."""
    hidden = z.float()
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        hidden = linear(hidden, weight, bias).relu()
    return linear(hidden, weights[-2], weights[-1])[:, 0].double()


def _accuracy(half: _Half) -> float:
    """Return the accuracy of a classifier, the mean of that on codes and on permuted codes."""
    return float(0.5 * (np.mean(half.real > 0) + np.mean(half.shuffled <= 0)))


def _donsker_varadhan(half: _Half) -> float:
    """Return the lower bound E_q[T] - ln E_prod[e^T] <= TC, which holds for any T."""
    top = half.shuffled.max()
    return float(half.real.mean() - top - np.log(np.mean(np.exp(half.shuffled - top))))
