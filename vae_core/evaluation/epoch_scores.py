"""Scores a model on images: every epoch on a fixed subset, and what `final` adds to on the whole set."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import metrics
from metrics import Codes, Factors, Score
from vae_core import discrete, random_draws
from vae_core.config import EvaluationConfig
from vae_core.errors import Diverged
from vae_core.evaluation.kl_shares import kl_per_factor, kl_per_latent
from vae_core.feed import Feed
from vae_core.networks import Networks
from vae_core.objectives import AbstractObjective
from vae_core.types import Batch, Context, Data, Posterior, Wiring

BATCH = 1024
"""Images per forward pass: large enough for the matrix products, small beside a training step's memory."""


class Model(NamedTuple):
    """What is evaluated: networks, how they are used, what they read, and where their training stands."""

    nets: Networks
    objective: AbstractObjective
    feed: Feed
    ctx: Context


class Encoded(NamedTuple):
    """A forward pass over a set of images."""

    codes: Codes
    reconstruction: float  # −E log p(x|z), nats per image
    kl_discrete: float  # of the discrete latents against uniform priors, nats per image


def weighted(data: Data, distribution: NDArray[np.float64] | None) -> Data:
    """Return data whose factors carry a distribution over the images; as they are for None.

    All that is evaluated on them is then of that distribution: a subset's rows by their shares in it.
    """
    if distribution is None or data.factors is None:
        return data
    return dataclasses.replace(
        data, factors=dataclasses.replace(data.factors, weights=distribution)
    )


@contextmanager
def evaluating(nets: Networks) -> Generator[None]:
    """Let batch normalisation use its running statistics, and leave them alone."""
    nets.eval()
    try:
        yield
    finally:
        nets.train()


def evaluation_subset(data: Data, images: int, seed: int) -> NDArray[np.int64]:
    """Return sorted indices of `images` rows drawn without replacement, every factor value among them.

    The rows come in random order; those that are the first to show a value of a factor are taken before the
    others. So the draw is uniform whenever its first `images` rows already show every value. The whole set if
    it has no more.

    Raises:
        ValueError: so few images cannot show every value.
    """
    if images >= len(data):
        return np.arange(len(data))
    order = torch.randperm(
        len(data), generator=random_draws.generator(seed, "evaluation subset")
    ).numpy()
    cover = np.zeros(0, dtype=np.int64)
    if data.factors is not None:
        shuffled = data.factors.values[order]
        cover = np.unique(
            np.concatenate([np.unique(column, return_index=True)[1] for column in shuffled.T])
        )
    if len(cover) > images:
        raise ValueError(
            f"evaluation.images must be >= {len(cover)} to show every factor value, got {images}"
        )
    rest = np.setdiff1d(np.arange(images), cover)[: images - len(cover)]
    return np.sort(order[np.concatenate([cover, rest])])


def index_hash(indices: NDArray[np.int64]) -> str:
    """Return 16 hex digits that name a subset: two scores may be compared only on the same one."""
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").tobytes()).hexdigest()[:16]


@torch.no_grad()
def encode(model: Model, indices: NDArray[np.int64], *, seed: int, moment: str = "") -> Encoded:
    """Return codes and reconstruction error of images; image n always meets the same noise, row n of one draw.

    The reconstruction is of one sample of every latent, continuous and inferred discrete ones; the codes are means and
    most likely categories. Where images do not all count alike both averages are by their shares.

    Raises:
        Diverged: a code or the reconstruction is not finite; `moment` says in the message when.
    """
    rows = torch.from_numpy(indices)
    nets, feed, categories = model.nets, model.feed, model.nets.wiring.reads_code
    noise = torch.randn(
        len(feed), nets.latents, generator=random_draws.generator(seed, "evaluation posterior")
    )[rows]
    inferred = nets.wiring.infers_code
    gumbel = discrete.standard_gumbel(
        (len(feed), sum(inferred)), random_draws.generator(seed, "evaluation gumbel")
    )[rows]
    means: list[Tensor] = []
    logvars: list[Tensor] = []
    levels: list[Tensor] = []
    totals = torch.zeros(2, dtype=torch.float64)  # −log p(x|z), KL of the discrete latents
    p = _shares(feed.data, indices)
    # n p_n, so that both kinds of mean end in the same division; times 1.0 a number stays what it is.
    counts = (
        itertools.repeat(1.0)
        if p is None
        else torch.from_numpy(p * len(p)).to(feed.images.device).split(BATCH)
    )
    with evaluating(nets):
        batches = zip(rows.split(BATCH), noise.split(BATCH), gumbel.split(BATCH), strict=True)
        for (some, epsilon, g), count in zip(batches, counts, strict=False):
            posterior, batch = coded(model, feed.batch(some))
            z = posterior.mean + (0.5 * posterior.logvar).exp() * epsilon.to(posterior.mean)
            drawn = batch
            if inferred:  # a sample of q(c|x): the likeliest code for the price of an uncertain one would be no bound
                drawn = batch._replace(
                    code=discrete.most_likely(posterior.logits + g.to(posterior.logits), inferred)
                )
            totals[0] -= (
                (nets.log_likelihood(nets.decode(z, drawn), batch.images).double() * count)
                .sum()
                .cpu()
            )
            means.append(posterior.mean.cpu())
            logvars.append(posterior.logvar.cpu())
            if categories:
                totals[1] += (
                    (_discrete_kl(posterior, batch, nets.wiring).double() * count).sum().cpu()
                )
                levels.append(discrete.levels(batch.code, categories).cpu())
    mean, logvar = torch.cat(means), torch.cat(logvars)
    reconstruction, kl_discrete = (totals / len(rows)).tolist()
    for term, finite in (
        ("mean", mean.isfinite().all()),
        ("logvar", (logvar.abs() <= metrics.MAX_LOGVAR).all()),  # NaN is not below anything either
        ("reconstruction", np.isfinite(reconstruction)),
    ):
        if not finite:
            raise Diverged(
                f"training diverged: evaluated {term} is not finite after {moment or 'training'}"
            )
    codes = Codes(mean.numpy(), logvar.numpy(), torch.cat(levels).numpy() if categories else None)
    return Encoded(codes, reconstruction, kl_discrete)


def coded(model: Model, batch: Batch) -> tuple[Posterior, Batch]:
    """Return the posterior of a batch, and the batch with its discrete code as evaluation takes it."""
    posterior = model.nets.encode(batch)
    return posterior, batch._replace(
        code=model.objective.code(model.nets, batch, posterior, model.ctx)
    )


def _discrete_kl(posterior: Posterior, batch: Batch, wiring: Wiring) -> Tensor:
    """Return the KL of the discrete latents (B,), nats; ln K for a code that is chosen, 0 before it opens."""
    if wiring.infers_code:
        return discrete.kl(posterior.logits, wiring.infers_code)
    return sum(
        (
            block.sum(1) * math.log(block.shape[1])
            for block in discrete.blocks(batch.code, wiring.reads_code)
        ),
        start=batch.code.new_zeros(len(batch.code)),
    )


def evaluate(
    model: Model,
    indices: NDArray[np.int64],
    *,
    config: EvaluationConfig,
    factors: Factors | None,
    best: bool = False,
    moment: str = "",
) -> tuple[dict[str, float], Codes]:
    """Return the numbers of an epoch on some images, nats per image, and their codes.

    Keys: `reconstruction` = −E log p(x|z) with one z per image; `kl`, the closed form over the continuous latents, and
    `kl_discrete` over the discrete ones if there are any; `elbo` = −(reconstruction + kl + kl_discrete); `mi`, `tc`,
    `dimwise_kl` of the mixture of all these images' posteriors; `active_units`; `mig` if there are factors, with
    `information/<factor>`, the most that one latent knows of it, and under a capacity `kl_factors/<factor>`
    (`kl_per_factor`); `kl_latents/<j>`, the KL of latent j.

    Where factors are correlated all of these are of the weighted images, and `effective_images` = 1/Σ p_n² says how
    many that count alike they are worth: means vary as those of so few, and q(z) mixes about so few posteriors.

    Args:
        model: what is evaluated.
        indices: rows of its data to score.
        config: `samples`, `seed` and `best` are read.
        factors: ground truth of the whole set, with its weights if it has any, or None.
        best: also score the metric that selects the best epoch.
        moment: when this is, for the message of an error.

    Raises:
        Diverged: a number is not finite.
    """
    encoded = encode(model, indices, seed=config.seed, moment=moment)
    codes = encoded.codes
    p = _shares(model.feed.data, indices)
    decomposition = metrics.elbo_decomposition(
        codes, samples=config.samples, seed=config.seed, weights=p
    )
    per_latent = kl_per_latent(codes, p)
    truth = model.feed.data.factors
    weighing = None if p is None or truth is None else rows_of(truth, indices)
    values = {
        "reconstruction": encoded.reconstruction,
        "kl": float(per_latent.sum()),
        "elbo": -(encoded.reconstruction + float(per_latent.sum()) + encoded.kl_discrete),
        "mi": float(decomposition.mi),
        "tc": float(decomposition.tc),
        "dimwise_kl": float(decomposition.dimwise_kl),
        "active_units": metrics.score("active_units", codes, weighing, reference=False).value,
    }
    if p is not None:
        values["effective_images"] = metrics.effective_rows(p)
    if codes.discrete is not None:
        values["kl_discrete"] = encoded.kl_discrete
    chosen = None if factors is None else rows_of(factors, indices)
    if chosen is not None:
        mig = metrics.score("mig", codes, chosen, seed=config.seed, reference=False)
        values["mig"] = mig.value
        values |= per_factor(model, codes, chosen, mig)
    if best and config.best is not None and config.best not in values:
        values[config.best] = metrics.score(
            config.best, codes, chosen, seed=config.seed, reference=False
        ).value
    values |= {f"kl_latents/{j}": float(kl) for j, kl in enumerate(per_latent)}
    for name, value in values.items():
        if not np.isfinite(value):
            raise Diverged(
                f"training diverged: evaluated {name} is {value} after {moment or 'training'}"
            )
    return values, codes


def per_factor(model: Model, codes: Codes, factors: Factors, mig: Score) -> dict[str, float]:
    """Return what is known of each factor, from the information that a MIG was made of."""
    known = np.asarray(mig.details["mutual_information"])  # I(z_j; v_k), discrete codes below
    names = metric_keys(factors.names)
    values = {f"information/{name}": float(known[:, k].max()) for k, name in enumerate(names)}
    if model.objective.capacity(model.ctx) is not None:
        shares = kl_per_factor(codes, known[: codes.mean.shape[1]], factors.weights)
        values |= {f"kl_factors/{name}": float(kl) for name, kl in zip(names, shares, strict=True)}
    return values


def metric_keys(names: Sequence[str]) -> list[str]:
    """Return factors' names as parts of metrics': trackers take letters, digits, `_`, `-` and spaces.

    Names that differ in other signs alone are told apart by their place.
    """
    keys = [re.sub(r"[^\w\- ]", "_", name) or "_" for name in names]
    return [key if keys.count(key) == 1 else f"{key} {k}" for k, key in enumerate(keys)]


def rows_of(factors: Factors, indices: NDArray[np.int64]) -> Factors:
    if len(indices) == len(factors):
        return factors
    weights = None if factors.weights is None else factors.weights[indices]
    return Factors(factors.values[indices], factors.names, factors.sizes, weights)


def _shares(data: Data, indices: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the shares (n,) of some images in their weight, sum 1; None where all count alike."""
    if data.factors is None or data.factors.weights is None:
        return None
    weights = data.factors.weights[indices]
    return weights / weights.sum()
