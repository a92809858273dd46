"""Total correlation from a classifier that tells codes from codes whose latents were shuffled apart.

The density ratio trick (Kim and Mnih 2018, eq. 3): the classifier that tells z ~ q(z) from z ~ prod_j q(z_j) best has
the logit ln [q(z) / prod_j q(z_j)], whose mean over q(z) is the total correlation.
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

_LEAST_ROWS = 20
_COPIES = 4  # shuffled sets for every real one, each of a quarter of the weight: less noise from the shuffling
_VALIDATION = 0.2  # of the rows that a classifier may see: when to stop
_RIDGE = 1e-4  # keeps weights finite where the two classes can be told apart without a mistake
_BATCH, _RATE, _AVERAGING = 256, 3e-3, 0.98
_EVERY, _PATIENCE = (
    50,
    10,
)  # steps between two looks at the validation rows, and looks without a new best


class _Half(NamedTuple):
    """What the classifier of one half says of the other half's rows."""

    real: Array  # (n,) logits of codes
    shuffled: Array  # (copies n,) logits of shuffled codes
    seen: float  # mean logit of the codes that it was trained on
    quadratic: float  # mean logit of codes before the network was added
    steps: int  # of training that were kept


def density_ratio_tc(
    inputs: Inputs, *, rows: int = 10_000, width: int = 64, steps: int = 3_000
) -> Score:
    """Mean logit of a classifier on codes that it has not seen: z ~ q(z) against the same with every latent permuted.

    One z per image is drawn from its posterior; a discrete latent is taken as it is, as indicator columns that are
    permuted together. Each half of the rows is scored by a classifier of the other half. That is, on standardised
    columns, a logistic regression on all products of two (exact where q(z) is Gaussian) plus, where it lowers the loss
    on validation rows by more than two of its standard errors, a network of two hidden layers.

    No bound in either direction: a classifier short of the best one misses dependence, an overconfident one
    exaggerates; for independent latents it scatters about 0 by some tenths of d^2 / rows and can be negative. The lower
    bound of Donsker and Varadhan stands in the details. What n rows can show ends near ln n. Above all it sees q(z) as
    n draws show it, not the finite mixture of `elbo`: what N separate posteriors add to that TC (up to (d - 1) ln N) is
    out of its reach.

    Args:
        inputs: codes with posteriors, at least 20 rows; seed.
        rows: how many images at most; a seeded draw without replacement.
        width: units of each hidden layer.
        steps: of training at most, in batches of 256; 0 leaves the logistic regression.

    Returns:
        value: nats; error: of the standard error of the mean of held-out logits, half the difference of the two
        halves, and half of what a classifier says more of the rows it was trained on, the root of the sum of squares:
        sampling and fit, but not what no such classifier can see.
        details: halves (2,), donsker_varadhan, accuracy (.5: nothing tells the two apart), quadratic (the value without
        networks), steps (2,) kept, rows, excluded constant latents. With fewer than two latents the value is 0, with
        a reason.

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
    # One thread also makes the value the same on every number of cores.
    with device.one_thread():
        halves = [
            _score_half(seen, unseen, latent, rng, width=width, steps=steps)
            for seen, unseen in progress.steps(
                [(first, second), (second, first)], "density_ratio_tc: half"
            )
        ]
    real = np.concatenate([half.real for half in halves])
    values = np.array([half.real.mean() for half in halves])
    details |= {
        "halves": values,
        "donsker_varadhan": float(np.mean([_donsker_varadhan(half) for half in halves])),
        "accuracy": float(
            np.mean([0.5 * (np.mean(h.real > 0) + np.mean(h.shuffled <= 0)) for h in halves])
        ),
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
    """Columns (n, D) of one draw per image, the latent of each, and the latents left out."""
    assert codes.logvar is not None, "score() checks needs"
    if min(rows, len(codes)) < _LEAST_ROWS:
        raise ValueError(
            f"density_ratio_tc needs at least {_LEAST_ROWS} rows, got {min(rows, len(codes))}"
        )
    chosen = rng.permutation(len(codes))[:rows]
    mean, logvar = codes.mean[chosen].astype(np.float64), codes.logvar[chosen].astype(np.float64)
    z = mean + np.exp(0.5 * logvar) * rng.standard_normal(mean.shape)
    discrete = None if codes.discrete is None else codes.discrete[chosen]
    columns, latent = latents.features(Codes(z, discrete=discrete))
    varies = (
        np.ptp(columns, axis=0) > 0
    )  # the deviation of equal numbers may be off 0 in the last bit
    names = latents.names(codes)
    excluded = {name: "constant" for j, name in enumerate(names) if j not in latent[varies]}
    return columns[:, varies], latent[varies], excluded


def _score_half(
    seen: Array, unseen: Array, latent: Array, rng: np.random.Generator, *, width: int, steps: int
) -> _Half:
    """Train on the rows seen, and give the logits of those unseen."""
    spread = seen.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)  # a category may be missing from one half
    centre = seen.mean(axis=0)
    seen, unseen = (seen - centre) / scale, (unseen - centre) / scale
    held = max(1, int(_VALIDATION * len(seen)))
    train, validation = seen[held:], seen[:held]
    base = _quadratic(train, _shuffled(train, latent, rng))
    network, kept = _network(base, train, validation, latent, rng, width=width, steps=steps)
    real, shuffled, known = (
        torch.as_tensor(unseen),
        _shuffled(unseen, latent, rng),
        torch.as_tensor(train),
    )
    with torch.no_grad():
        return _Half(
            real=(base(real) + network(real)).numpy(),
            shuffled=(base(shuffled) + network(shuffled)).numpy(),
            seen=float((base(known) + network(known)).mean()),
            quadratic=float(base(real).mean()),
            steps=kept,
        )


def _shuffled(columns: Array, latent: Array, rng: np.random.Generator) -> Tensor:
    """Copies of the rows in which every latent is permuted by itself: (copies n, D)."""
    rows = np.tile(np.arange(len(columns)), (_COPIES, int(latent.max()) + 1, 1))
    rows = rng.permuted(rows, axis=2).transpose(0, 2, 1).reshape(_COPIES * len(columns), -1)
    return torch.as_tensor(np.take_along_axis(columns, rows[:, latent], axis=0))


def _loss(real: Tensor, shuffled: Tensor) -> Tensor:
    """Cross-entropy of both classes, which weigh the same whatever their sizes."""
    return softplus(-real).mean() + softplus(shuffled).mean()


def _quadratic(real: Array, shuffled: Tensor) -> Logit:
    """Logistic regression on columns and their products: a convex problem, so that there is nothing to tune."""
    wide, rows = real.shape[1], torch.as_tensor(real)
    weights = torch.zeros(1 + wide + wide * wide, dtype=torch.float64, requires_grad=True)

    def logit(z: Tensor, w: Tensor) -> Tensor:
        return w[0] + z @ w[1 : 1 + wide] + ((z @ w[1 + wide :].reshape(wide, wide)) * z).sum(dim=1)

    optimiser = torch.optim.LBFGS(
        [weights], max_iter=100, history_size=20, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (
            _loss(logit(rows, weights), logit(shuffled, weights))
            + _RIDGE * weights[1:].square().sum()
        )
        loss.backward()
        return loss

    optimiser.step(closure)  # pyright: ignore[reportArgumentType]: a tensor will do
    found = weights.detach()
    return lambda z: logit(z, found)


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
    """What to add to the base's logit, and after how many steps; nothing if the validation rows do not vouch for it.

    Every batch pairs real rows with draws from the product of the marginals: each latent from a row of its own. What is
    looked at and kept is a running average of the weights.
    """
    rows, wide = torch.as_tensor(train), train.shape[1]
    real, shuffled = torch.as_tensor(validation), _shuffled(validation, latent, rng)
    weights = _initial([wide, width, width, 1], rng)
    average = [w.detach().clone() for w in weights]
    optimiser = torch.optim.Adam(weights, lr=_RATE)

    def losses(parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            logits = [base(z) + _forward(z, parameters) for z in (real, shuffled)]
        # Copies of a row are one observation: their mean is what may be called independent.
        return softplus(-logits[0]), softplus(logits[1]).reshape(_COPIES, -1).mean(dim=0)

    before = losses(average)
    best, kept, kept_at, since = float(before[0].mean() + before[1].mean()), average, 0, 0
    for step in range(1, steps + 1):
        positive = rows[torch.as_tensor(rng.integers(len(rows), size=_BATCH))]
        drawn = rng.integers(len(rows), size=(_BATCH, int(latent.max()) + 1))[:, latent]
        negative = rows[torch.as_tensor(drawn), torch.arange(wide)]
        optimiser.zero_grad()
        loss = _loss(*(base(z) + _forward(z, weights) for z in (positive, negative)))
        loss.backward()
        optimiser.step()
        # The first average is over few steps: a share of 1 / step until that is less than the lasting one.
        share = max(1 - _AVERAGING, 1 / step)
        average = [a.lerp(w.detach(), share) for a, w in zip(average, weights, strict=True)]
        if step % _EVERY == 0:
            now = losses(average)
            value = float(now[0].mean() + now[1].mean())
            if value < best:
                best, kept, kept_at, since = value, average, step, 0
            else:
                since += 1
            if since == _PATIENCE:
                break
    gains = [old - new for old, new in zip(before, losses(kept), strict=True)]
    gain = sum(float(g.mean()) for g in gains)
    noise = math.sqrt(sum(float(g.var(correction=0)) / len(g) for g in gains))
    if not gain > 2 * noise:
        return lambda z: z.new_zeros(len(z)), 0
    return lambda z: _forward(z, kept), kept_at


def _initial(sizes: list[int], rng: np.random.Generator) -> list[Tensor]:
    """Weights and biases of each layer, uniform within 1 / sqrt(inputs); the last are 0: it begins as nothing."""
    weights: list[Tensor] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        bound = 0.0 if fan_out == 1 else 1 / math.sqrt(fan_in)
        for shape in ((fan_out, fan_in), (fan_out,)):
            drawn = rng.uniform(-bound, bound, shape).astype(np.float32)
            weights.append(torch.as_tensor(drawn).requires_grad_())
    return weights


def _forward(z: Tensor, weights: list[Tensor]) -> Tensor:
    """The network's output, (n, D) -> (n,), float64; inside it is float32."""
    hidden = z.float()
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        hidden = linear(hidden, weight, bias).relu()
    return linear(hidden, weights[-2], weights[-1])[:, 0].double()


def _donsker_varadhan(half: _Half) -> float:
    """E_q[T] - ln E_prod[e^T] <= TC, for any T."""
    top = half.shuffled.max()
    return float(half.real.mean() - top - np.log(np.mean(np.exp(half.shuffled - top))))
