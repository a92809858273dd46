"""Scores a model on images: every epoch on a fixed subset, at the end on the whole set."""

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
from vae_core import discrete, draws
from vae_core.config import EvaluationConfig
from vae_core.errors import Diverged
from vae_core.feed import Feed
from vae_core.networks import Networks
from vae_core.objectives import AbstractObjective
from vae_core.traversal import traverse
from vae_core.types import Batch, Context, Data, Final, Posterior, Wiring

BATCH = 1024
"""Images per forward pass: large enough for the matrix products, small beside a training step's memory."""

SHOWN = 8
"""Originals, with their reconstructions, that a final evaluation keeps."""


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
    return dataclasses.replace(data, factors=dataclasses.replace(data.factors, weights=distribution))


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
    order = torch.randperm(len(data), generator=draws.generator(seed, "evaluation subset")).numpy()
    cover = np.zeros(0, dtype=np.int64)
    if data.factors is not None:
        shuffled = data.factors.values[order]
        cover = np.unique(np.concatenate([np.unique(column, return_index=True)[1] for column in shuffled.T]))
    if len(cover) > images:
        raise ValueError(f"evaluation.images must be >= {len(cover)} to show every factor value, got {images}")
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
    noise = torch.randn(len(feed), nets.latents, generator=draws.generator(seed, "evaluation posterior"))[rows]
    inferred = nets.wiring.infers_code
    gumbel = discrete.standard_gumbel((len(feed), sum(inferred)), draws.generator(seed, "evaluation gumbel"))[rows]
    means: list[Tensor] = []
    logvars: list[Tensor] = []
    levels: list[Tensor] = []
    totals = torch.zeros(2, dtype=torch.float64)  # −log p(x|z), KL of the discrete latents
    p = _shares(feed.data, indices)
    # n p_n, so that both kinds of mean end in the same division; times 1.0 a number stays what it is.
    counts = itertools.repeat(1.0) if p is None else torch.from_numpy(p * len(p)).to(feed.images.device).split(BATCH)
    with evaluating(nets):
        batches = zip(rows.split(BATCH), noise.split(BATCH), gumbel.split(BATCH), strict=True)
        for (some, epsilon, g), count in zip(batches, counts, strict=False):
            posterior, batch = coded(model, feed.batch(some))
            z = posterior.mean + (0.5 * posterior.logvar).exp() * epsilon.to(posterior.mean)
            drawn = batch
            if inferred:  # a sample of q(c|x): the likeliest code for the price of an uncertain one would be no bound
                drawn = batch._replace(code=discrete.most_likely(posterior.logits + g.to(posterior.logits), inferred))
            totals[0] -= (nets.log_likelihood(nets.decode(z, drawn), batch.images).double() * count).sum().cpu()
            means.append(posterior.mean.cpu())
            logvars.append(posterior.logvar.cpu())
            if categories:
                totals[1] += (_discrete_kl(posterior, batch, nets.wiring).double() * count).sum().cpu()
                levels.append(discrete.levels(batch.code, categories).cpu())
    mean, logvar = torch.cat(means), torch.cat(logvars)
    reconstruction, kl_discrete = (totals / len(rows)).tolist()
    for term, finite in (
        ("mean", mean.isfinite().all()),
        ("logvar", (logvar.abs() <= metrics.MAX_LOGVAR).all()),  # NaN is not below anything either
        ("reconstruction", np.isfinite(reconstruction)),
    ):
        if not finite:
            raise Diverged(f"training diverged: evaluated {term} is not finite after {moment or 'training'}")
    codes = Codes(mean.numpy(), logvar.numpy(), torch.cat(levels).numpy() if categories else None)
    return Encoded(codes, reconstruction, kl_discrete)


def coded(model: Model, batch: Batch) -> tuple[Posterior, Batch]:
    """Return the posterior of a batch, and the batch with its discrete code as evaluation takes it."""
    posterior = model.nets.encode(batch)
    return posterior, batch._replace(code=model.objective.code(model.nets, batch, posterior, model.ctx))


def _discrete_kl(posterior: Posterior, batch: Batch, wiring: Wiring) -> Tensor:
    """Return the KL of the discrete latents (B,), nats; ln K for a code that is chosen, 0 before it opens."""
    if wiring.infers_code:
        return discrete.kl(posterior.logits, wiring.infers_code)
    return sum(
        (block.sum(1) * math.log(block.shape[1]) for block in discrete.blocks(batch.code, wiring.reads_code)),
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
    decomposition = metrics.elbo_decomposition(codes, samples=config.samples, seed=config.seed, weights=p)
    per_latent = kl_per_latent(codes, p)
    truth = model.feed.data.factors
    weighing = None if p is None or truth is None else _rows(truth, indices)
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
    chosen = None if factors is None else _rows(factors, indices)
    if chosen is not None:
        mig = metrics.score("mig", codes, chosen, seed=config.seed, reference=False)
        values["mig"] = mig.value
        values |= _per_factor(model, codes, chosen, mig)
    if best and config.best is not None and config.best not in values:
        values[config.best] = metrics.score(config.best, codes, chosen, seed=config.seed, reference=False).value
    values |= {f"kl_latents/{j}": float(kl) for j, kl in enumerate(per_latent)}
    for name, value in values.items():
        if not np.isfinite(value):
            raise Diverged(f"training diverged: evaluated {name} is {value} after {moment or 'training'}")
    return values, codes


def _per_factor(model: Model, codes: Codes, factors: Factors, mig: Score) -> dict[str, float]:
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


def kl_per_latent(codes: Codes, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the closed-form KL(q(z_j|x) || N(0, 1)) of each latent, (weighted) mean over images, nats (d,)."""
    if codes.logvar is None:
        raise ValueError("the KL needs a posterior: codes have no logvar")
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    return 0.5 * _mean(mean**2 + np.exp(logvar) - 1 - logvar, weights)


def kl_per_factor(
    codes: Codes, information: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the KL (K,) that codes each factor, nats: latent j's shared in proportion to I(z_j; v_k).

    Shared is what of KL_j can tell images apart, KL_j − KL(N(m_j, s_j) || N(0, 1)) = ½ ln s_j − ½ E ln σ_j² with m_j
    and s_j the mean and variance of q(z_j): I(z_j; x) if q(z_j) is Gaussian, more if not. The rest, a q(z_j) that is
    not the prior, is the same for all images and codes nothing.

    Args:
        codes: posteriors of N images.
        information: (d, K) I(z_j; v_k); a latent that knows of no factor counts for none.
        weights: (N,) how often each image counts; None: all alike.
    """
    if codes.logvar is None:
        raise ValueError("the KL needs a posterior: codes have no logvar")
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    spread = mean.var(axis=0) if weights is None else _mean(np.square(mean - _mean(mean, weights)), weights)
    telling = 0.5 * (np.log(spread + _mean(np.exp(logvar), weights)) - _mean(logvar, weights))
    total = information.sum(axis=1, keepdims=True)
    return telling @ np.divide(information, total, out=np.zeros_like(information), where=total > 0)


def _mean(terms: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return terms.mean(axis=0) if weights is None else weights @ terms / weights.sum()


def check_final(config: EvaluationConfig, data: Data, wiring: Wiring) -> None:
    """Refuse, before training, a final metric that the data or the objective's codes cannot serve.

    Raises:
        ValueError: a metric needs factors and the data set has none, or discrete codes and the wiring has none; or
            factors are correlated and it takes no weights.
    """
    asked = [*config.final, *([config.best] if config.best is not None else [])]
    needs = {name: metrics.find(name).needs for name in asked}
    for need, there, who in (
        ("factors", data.factors is not None, f"data set {data.name!r}"),
        ("discrete", bool(wiring.reads_code), "the objective"),
    ):
        needy = [name for name in needs if need in needs[name]]
        if needy and not there:
            what = {"discrete": "discrete codes"}.get(need, need)
            raise ValueError(f"evaluation: {', '.join(needy)} need {what}, which {who} has not")
    unweighted = ", ".join(name for name in asked if not metrics.find(name).weighted)
    if data.factors is not None and data.factors.weights is not None and unweighted:
        raise ValueError(f"evaluation: {unweighted} take no weights, and factors are correlated; leave them out")


def final_evaluation(model: Model, *, config: EvaluationConfig, moment: str = "") -> Final:
    """Return the evaluation on the whole set: an epoch's keys, `config.final` with chance and ceiling, and pictures.

    A score gives `<name>`, `<name>_error`, `<name>_chance`, `<name>_ceiling` (where known), and `<name>_<detail>` for
    every number among its details. The metrics `elbo` and `reconstruction`, whose names are epochs' keys of another
    meaning, are told as `elbo_rate` and `reconstruction_of_means`.

    Raises:
        Diverged: a number is not finite.
        ValueError: as `check_final`.
    """
    data = model.feed.data
    check_final(config, data, model.nets.wiring)
    everything = np.arange(len(data))
    # The metric that selects is scored too, so that `best/*` has what it was chosen by, and `final/*` the same.
    asked = list(config.final)
    if config.best is not None and config.best not in ("elbo", *asked):
        asked.append(config.best)
    # Its MIG, the costly part, is not computed twice.
    factors = None if "mig" in asked else data.factors
    values, codes = evaluate(model, everything, config=config, factors=factors, moment=moment)
    pictures = shown(evaluation_subset(data, config.images, config.seed))
    images, reconstructions = reconstructed(model, pictures)
    scores = {name: _score(name, model, codes, config=config) for name in asked}
    if factors is None and data.factors is not None:
        values |= _per_factor(model, codes, data.factors, scores["mig"])
    for name, score in scores.items():
        values = flattened(name, score) | values
    start = int(pictures[len(pictures) // 2])
    with evaluating(model.nets), torch.no_grad():
        posterior, batch = coded(model, model.feed.batch(torch.tensor([start])))
        traversal = traverse(model.nets, posterior.mean[0].cpu().numpy(), batch)
    return Final(
        metrics=values,
        best={},
        codes=codes,
        scores=scores,
        images=images,
        reconstructions=reconstructions,
        traversal=traversal,
    )


def shown(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the few images of an evaluation subset that are shown."""
    return indices[np.linspace(0, len(indices) - 1, min(SHOWN, len(indices))).astype(np.int64)]


@torch.no_grad()
def reconstructed(model: Model, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return images and what is decoded from the means of their posteriors, (n, C, H, W) in [0, 1] each."""
    originals: list[Tensor] = []
    decoded: list[Tensor] = []
    with evaluating(model.nets):
        for rows in torch.from_numpy(indices).split(BATCH):
            posterior, batch = coded(model, model.feed.batch(rows))
            originals.append(batch.images.cpu())
            decoded.append(model.nets.expected(posterior.mean, batch).cpu())
    return torch.cat(originals).numpy(), torch.cat(decoded).numpy()


def _score(name: str, model: Model, codes: Codes, *, config: EvaluationConfig) -> Score:
    """Return one metric of the whole set; one that looks at images gets the evaluation subset instead."""
    data = model.feed.data
    if not metrics.find(name).needs & {"images", "reconstructions"}:
        return metrics.score(name, codes, data.factors, seed=config.seed)
    subset = evaluation_subset(data, config.images, config.seed)
    images, reconstructions = reconstructed(model, subset)
    return metrics.score(
        name,
        Codes(
            codes.mean[subset],
            None if codes.logvar is None else codes.logvar[subset],
            None if codes.discrete is None else codes.discrete[subset],
        ),
        None if data.factors is None else _rows(data.factors, subset),
        images=images,
        reconstructions=reconstructions,
        seed=config.seed,
    )


def _rows(factors: Factors, indices: NDArray[np.int64]) -> Factors:
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


_OTHERWISE = {"elbo": "elbo_rate", "reconstruction": "reconstruction_of_means"}
"""What metrics are told by whose name is an epoch's key of another meaning (the ELBO; the cost of one sampled z)."""


def flattened(name: str, score: Score) -> dict[str, float]:
    """Return a score's numbers under flat names: `name`, `name_error`, … and every number among its details."""
    name = _OTHERWISE.get(name, name)
    numbers: dict[str, float | None] = {
        name: score.value,
        f"{name}_error": score.error,
        f"{name}_chance": score.chance,
        f"{name}_ceiling": score.ceiling,
    }
    details = {f"{name}_{key}": detail for key, detail in score.details.items() if isinstance(detail, float)}
    return {key: float(value) for key, value in (numbers | details).items() if value is not None}
