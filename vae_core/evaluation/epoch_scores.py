"""Scores a model: after every epoch on the evaluation subset, at the end on all images."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

import metrics
from metrics import Codes, Factors, Score
from vae_core import random_draws
from vae_core.config import EvaluationConfig
from vae_core.epoch_metrics import FLOOR
from vae_core.errors import Diverged
from vae_core.evaluation.forward_pass import Encoded, Model, encode
from vae_core.evaluation.image_weights import rows_of, shares
from vae_core.evaluation.kl_shares import kl_per_factor, kl_per_latent
from vae_core.types import Data


def evaluation_subset(data: Data, images: int, seed: int) -> NDArray[np.int64]:
    """Return sorted indices of `images` rows, drawn without replacement, with every factor value.

    The rows are put in random order, and rows that are the first to have some value of a factor
    are taken before the others. So the draw is uniform if its first `images` rows have every value.
    If the data set has no more rows than that, all of them are returned.

    Raises:
        ValueError: so few images cannot have every value.
    """
    if images >= len(data):
        return np.arange(len(data))
    order = torch.randperm(
        len(data), generator=random_draws.generator(seed, "evaluation subset")
    ).numpy()
    cover = np.zeros(0, dtype=np.int64)
    if data.factors is not None:
        shuffled = data.factors.values[order]
        firsts = [np.unique(column, return_index=True)[1] for column in shuffled.T]
        cover = np.unique(np.concatenate(firsts))
    if len(cover) > images:
        raise ValueError(
            f"evaluation.images must be >= {len(cover)} to show every factor value, got {images}"
        )
    rest = np.setdiff1d(np.arange(images), cover)[: images - len(cover)]
    return np.sort(order[np.concatenate([cover, rest])])


def evaluate(
    model: Model,
    indices: NDArray[np.int64],
    *,
    config: EvaluationConfig,
    factors: Factors | None,
    best: bool = False,
    largest_error: float | None = None,
    moment: str = "",
) -> tuple[dict[str, float], Codes]:
    """Return the metrics of some images, nats per image, and their codes.

    The keys are those of `epoch_metrics.EPOCH_METRICS`: `reconstruction` = −E log p(x|z) with one z
    per image; `kl`, the closed form over the continuous latents, and `kl_discrete` over the
    discrete ones if there are any; `elbo` = −(reconstruction + kl + kl_discrete);
    `reconstruction_floor`, if there is one (`reconstruction_floor`); `mi`, `tc`, `dimwise_kl` of
    the mixture of the posteriors of all these images; `active_units`; `mig` if
    there are factors.

    `<key>_error` is the standard error of a number that is sampled or integrated: of
    `reconstruction` and `elbo` over z, of `mi`, `tc` and `dimwise_kl`, of `mig`. It does not
    include the choice of the images. The other numbers are exact. The draws depend on the
    evaluation's seed alone, so trials of a sweep share them, and a mean over trials does not
    average the error out.

    Further keys: with factors `information/<factor>`, the largest mutual information of the factor
    with one latent, and under a capacity also `kl_factors/<factor>` and
    `kl_factors_shuffled/<factor>` (`kl_per_factor`); `kl_latents/<j>`, the KL of latent j.

    If factors are correlated, all of these are computed for the weighted images, and
    `effective_images` = 1/Σ p_n² is the number of equally weighted images with the same variance of
    a mean; q(z) mixes about this number of posteriors.

    Args:
        model: the model.
        indices: rows of its data to score.
        config: `samples`, `seed` and `best` are used.
        factors: ground truth of the whole data set, with its weights if it has any, or None.
        best: whether to also score the metric that selects the best epoch.
        largest_error: the wanted sampling error of `mi` and `tc`, nats; None: that of `samples`.
            With it, `decomposition_samples` is the number of samples that were drawn.
        moment: when this is, for the message of an error.

    Raises:
        Diverged: a number is not finite.
    """
    encoded = encode(model, indices, seed=config.seed, moment=moment)
    codes = encoded.codes
    p = shares(model.feed.data, indices)
    per_latent = kl_per_latent(codes, p)
    values = _label_free(
        model, indices, encoded, per_latent, p=p, config=config, largest_error=largest_error
    )
    chosen = None if factors is None else rows_of(factors, indices)
    if chosen is not None:
        mig = metrics.score("mig", codes, chosen, seed=config.seed, reference=False)
        values |= _with_error("mig", mig)
        values |= per_factor(model, codes, chosen, mig)
    name = config.best if best else None
    if name is not None and name not in values:
        score = metrics.score(name, codes, chosen, seed=config.seed, reference=False)
        values |= _with_error(name, score)
    values |= {f"kl_latents/{j}": float(kl) for j, kl in enumerate(per_latent)}
    _require_finite(values, moment)
    return values, codes


def _label_free(
    model: Model,
    indices: NDArray[np.int64],
    encoded: Encoded,
    per_latent: NDArray[np.float64],
    *,
    p: NDArray[np.float64] | None,
    config: EvaluationConfig,
    largest_error: float | None,
) -> dict[str, float]:
    """Return the metrics that need no factors.

    `per_latent` (d,) is the KL of each latent, `p` (n,) are the shares of weighted images.
    """
    codes = encoded.codes
    decomposition = metrics.elbo_decomposition(
        codes, samples=config.samples, seed=config.seed, weights=p, largest_error=largest_error
    )
    kl = float(per_latent.sum())
    truth = model.feed.data.factors
    weights = None if p is None or truth is None else rows_of(truth, indices)
    values = {
        "reconstruction": encoded.reconstruction,
        "reconstruction_error": encoded.reconstruction_error,
        "kl": kl,
        "elbo": -(encoded.reconstruction + kl + encoded.kl_discrete),
        "elbo_error": encoded.reconstruction_error,
        "mi": decomposition.mi,
        "mi_error": decomposition.mi_error,
        "tc": decomposition.tc,
        "tc_error": decomposition.tc_error,
        "dimwise_kl": decomposition.dimwise_kl,
        "dimwise_kl_error": decomposition.dimwise_kl_error,
        "active_units": metrics.score("active_units", codes, weights, reference=False).value,
    }
    if largest_error is not None:
        values["decomposition_samples"] = float(decomposition.samples)
    floor = reconstruction_floor(model, indices)
    if np.isfinite(floor) and floor != 0:
        values[FLOOR] = floor
    if p is not None:
        values["effective_images"] = metrics.effective_rows(p)
    if codes.discrete is not None:
        values["kl_discrete"] = encoded.kl_discrete
    return values


def _with_error(name: str, score: Score) -> dict[str, float]:
    """Return the value of a score and, if it is known, its error."""
    if score.error is None or not np.isfinite(score.error):
        return {name: score.value}
    return {name: score.value, f"{name}_error": score.error}


def reconstruction_floor(model: Model, indices: NDArray[np.int64]) -> float:
    """Return the lowest reconstruction that any model can reach on some images, nats per image.

    It is −inf if there is no lowest one (`Likelihood.floor`).
    """
    data = model.feed.data
    entropy = float(np.average(data.entropies[indices], weights=shares(data, indices)))
    return model.nets.likelihood.floor(entropy, math.prod(data.shape))


def _require_finite(values: Mapping[str, float], moment: str) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise Diverged(
                f"training diverged: evaluated {name} is {value} after {moment or 'training'}"
            )


def per_factor(model: Model, codes: Codes, factors: Factors, mig: Score) -> dict[str, float]:
    """Return the information about each factor and, under a capacity, its share of the KL.

    Both come from the mutual information that the MIG was computed from, and from that of factors
    with shuffled rows, which the MIG measures for its error.
    """
    information = np.asarray(mig.details["mutual_information"])  # I(z_j; v_k), discrete codes last
    names = metric_keys(factors.names)
    values: dict[str, float] = {}
    for k, name in enumerate(names):
        values[f"information/{name}"] = float(information[:, k].max())
    if model.objective.capacity(model.ctx) is None:
        return values
    latents = codes.mean.shape[1]
    shares = kl_per_factor(
        codes,
        information[:latents],
        np.asarray(mig.details["shuffled_information"])[:latents],
        np.asarray(mig.details["entropies"]),
        factors.weights,
    )
    for k, name in enumerate(names):
        values[f"kl_factors/{name}"] = float(shares.kl[k])
        values[f"kl_factors_shuffled/{name}"] = float(shares.shuffled[k])
    return values


def metric_keys(names: Sequence[str]) -> list[str]:
    """Return names of factors as parts of metric names.

    Trackers take letters, digits, `_`, `-` and spaces; other characters become `_`. Names that are
    then equal get the index of their factor.
    """
    keys = [re.sub(r"[^\w\- ]", "_", name) or "_" for name in names]
    return [key if keys.count(key) == 1 else f"{key} {k}" for k, key in enumerate(keys)]
