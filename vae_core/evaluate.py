"""Scores a model on images: every epoch on a fixed subset, at the end on the whole set."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import metrics
from metrics import Codes, Factors, Score
from vae_core import draws
from vae_core.config import EvaluationConfig
from vae_core.data import ImageTable
from vae_core.errors import Diverged
from vae_core.networks import Networks
from vae_core.traversal import traverse
from vae_core.types import Data, Final

BATCH = 1024
"""Images per forward pass: large enough for the matrix products, small beside a training step's memory."""

SHOWN = 8
"""Originals, with their reconstructions, that a final evaluation keeps."""


class Encoded(NamedTuple):
    """A forward pass over a set of images."""

    codes: Codes
    reconstruction: float  # −E log p(x|z), nats per image


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
def encode(nets: Networks, table: ImageTable, indices: NDArray[np.int64], *, seed: int, moment: str = "") -> Encoded:
    """Return codes and reconstruction error of images; image n always meets the same noise, row n of one draw.

    Raises:
        Diverged: a code or the reconstruction is not finite; `moment` says in the message when.
    """
    rows = torch.from_numpy(indices)
    latents = nets.latents
    noise = torch.randn(len(table), latents, generator=draws.generator(seed, "evaluation posterior"))[rows]
    means: list[Tensor] = []
    logvars: list[Tensor] = []
    total = torch.zeros((), dtype=torch.float64)
    for batch, epsilon in zip(rows.split(BATCH), noise.split(BATCH), strict=True):
        images = table.batch(batch)
        mean, logvar = nets.posterior(images)
        z = mean + (0.5 * logvar).exp() * epsilon.to(mean)
        total += nets.log_likelihood(nets.decoder(z), images).double().sum().cpu()
        means.append(mean.cpu())
        logvars.append(logvar.cpu())
    mean, logvar = torch.cat(means), torch.cat(logvars)
    reconstruction = -total / len(rows)
    for term, value in (("mean", mean), ("logvar", logvar), ("reconstruction", reconstruction)):
        if not value.isfinite().all():
            raise Diverged(f"training diverged: evaluated {term} is not finite after {moment or 'training'}")
    return Encoded(Codes(mean.numpy(), logvar.numpy()), float(reconstruction))


def evaluate(
    nets: Networks,
    table: ImageTable,
    indices: NDArray[np.int64],
    *,
    config: EvaluationConfig,
    factors: Factors | None,
    moment: str = "",
) -> tuple[dict[str, float], Codes]:
    """Return the numbers of an epoch on some images, nats per image, and their codes.

    Keys: `reconstruction` = −E log p(x|z) with one z per image; `kl`, the closed form; `elbo` =
    −(reconstruction + kl); `mi`, `tc`, `dimwise_kl` of the mixture of all these images' posteriors;
    `active_units`; `mig` if there are factors; `kl_latents/<j>`, the KL of latent j.

    Args:
        nets: the trained functions.
        table: the images.
        indices: rows of the table to score.
        config: `samples` and `seed` are read.
        factors: ground truth of the whole table, or None.
        moment: when this is, for the message of an error.

    Raises:
        Diverged: a number is not finite.
    """
    encoded = encode(nets, table, indices, seed=config.seed, moment=moment)
    codes = encoded.codes
    decomposition = metrics.elbo_decomposition(codes, samples=config.samples, seed=config.seed)
    per_latent = kl_per_latent(codes)
    values = {
        "reconstruction": encoded.reconstruction,
        "kl": float(per_latent.sum()),
        "elbo": -(encoded.reconstruction + float(per_latent.sum())),
        "mi": float(decomposition.mi),
        "tc": float(decomposition.tc),
        "dimwise_kl": float(decomposition.dimwise_kl),
        "active_units": metrics.score("active_units", codes, reference=False).value,
    }
    if factors is not None:
        chosen = _rows(factors, indices)
        values["mig"] = metrics.score("mig", codes, chosen, seed=config.seed, reference=False).value
    values |= {f"kl_latents/{j}": float(kl) for j, kl in enumerate(per_latent)}
    for name, value in values.items():
        if not np.isfinite(value):
            raise Diverged(f"training diverged: evaluated {name} is {value} after {moment or 'training'}")
    return values, codes


def kl_per_latent(codes: Codes) -> NDArray[np.float64]:
    """Return the closed-form KL(q(z_j|x) || N(0, 1)) of each latent, mean over images, nats (d,)."""
    if codes.logvar is None:
        raise ValueError("the KL needs a posterior: codes have no logvar")
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    return 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).mean(axis=0)


def check_final(config: EvaluationConfig, data: Data) -> None:
    """Refuse, before training, a final metric that the data cannot serve.

    Raises:
        ValueError: a metric needs factors and the data set has none.
    """
    needy = [name for name in config.final if "factors" in metrics.METRICS[name].needs]
    if needy and data.factors is None:
        raise ValueError(f"evaluation.final: {', '.join(needy)} need factors, which data set {data.name!r} has not")


def final_evaluation(
    nets: Networks, data: Data, table: ImageTable, *, config: EvaluationConfig, moment: str = ""
) -> Final:
    """Return the evaluation on the whole set: an epoch's keys, `config.final` with chance and ceiling, and pictures.

    A score gives `<name>`, `<name>_error`, `<name>_chance`, `<name>_ceiling` (where known), and `<name>_<detail>` for
    every number among its details; a name that is also an epoch's key (`elbo`, `reconstruction`) keeps the epoch's
    meaning, and `scores` has the metric's own.

    Raises:
        Diverged: a number is not finite.
        ValueError: a metric needs factors and the data set has none.
    """
    check_final(config, data)
    everything = np.arange(len(data))
    # Its MIG, the costly part, is not computed twice.
    factors = None if "mig" in config.final else data.factors
    values, codes = evaluate(nets, table, everything, config=config, factors=factors, moment=moment)
    shown = torch.from_numpy(evaluation_subset(data, config.images, config.seed))
    shown = shown[torch.linspace(0, len(shown) - 1, min(SHOWN, len(shown))).long()]
    with torch.no_grad():
        images = table.batch(shown)
        reconstructions = nets.expected(nets.posterior(images).mean)
    scores = {name: _score(name, nets, data, table, codes, config=config) for name in config.final}
    for name, score in scores.items():
        values = _flattened(name, score) | values  # the metric `elbo` (a rate) does not replace the epoch's key
    start = codes.mean[int(shown[len(shown) // 2])]
    return Final(
        metrics=values,
        codes=codes,
        scores=scores,
        images=images.cpu().numpy(),
        reconstructions=reconstructions.cpu().numpy(),
        traversal=traverse(nets, start),
    )


@torch.no_grad()
def _score(
    name: str, nets: Networks, data: Data, table: ImageTable, codes: Codes, *, config: EvaluationConfig
) -> Score:
    """Return one metric of the whole set; one that looks at images gets the evaluation subset instead."""
    if not metrics.METRICS[name].needs & {"images", "reconstructions"}:
        return metrics.score(name, codes, data.factors, seed=config.seed)
    subset = evaluation_subset(data, config.images, config.seed)
    chosen = Codes(codes.mean[subset], None if codes.logvar is None else codes.logvar[subset])
    pictures: list[Tensor] = []
    decoded: list[Tensor] = []
    for rows in torch.from_numpy(subset).split(BATCH):
        images = table.batch(rows)
        pictures.append(images.cpu())
        decoded.append(nets.expected(nets.posterior(images).mean).cpu())
    return metrics.score(
        name,
        chosen,
        None if data.factors is None else _rows(data.factors, subset),
        images=torch.cat(pictures).numpy(),
        reconstructions=torch.cat(decoded).numpy(),
        seed=config.seed,
    )


def _rows(factors: Factors, indices: NDArray[np.int64]) -> Factors:
    if len(indices) == len(factors):
        return factors
    return Factors(factors.values[indices], factors.names, factors.sizes)


def _flattened(name: str, score: Score) -> dict[str, float]:
    """Return a score's numbers under flat names."""
    numbers: dict[str, float | None] = {
        name: score.value,
        f"{name}_error": score.error,
        f"{name}_chance": score.chance,
        f"{name}_ceiling": score.ceiling,
    }
    details = {f"{name}_{key}": detail for key, detail in score.details.items() if isinstance(detail, float)}
    return {key: float(value) for key, value in (numbers | details).items() if value is not None}
