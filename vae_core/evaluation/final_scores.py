"""Scores a trained model once on all images: the metrics of an epoch, the final ones, pictures."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import metrics
from metrics import Codes, Score
from metrics.mixture import decomposition
from vae_core.config import EvaluationConfig
from vae_core.evaluation.epoch_scores import evaluate, evaluation_subset, per_factor
from vae_core.evaluation.forward_pass import BATCH, Model, coded, evaluating
from vae_core.evaluation.image_weights import rows_of
from vae_core.evaluation.permuted_tc import permuted_tc
from vae_core.evaluation.pictures import traverse
from vae_core.types import Data, Final, Wiring

FINAL_ERROR = 0.005
"""Standard error of MI and TC on all images, in nats, from which no more samples are drawn."""

PICTURED = 8
"""Originals that a final evaluation keeps, with their reconstructions."""


def check_final(config: EvaluationConfig, data: Data, wiring: Wiring) -> None:
    """Check before training that the final metrics suit the data and the objective's codes.

    Raises:
        ValueError: a metric needs factors and the data set does not have any, or needs discrete
            codes and the wiring does not have any; or factors are correlated and the metric does
            not take weights.
    """
    names = list(dict.fromkeys(config.final))
    if config.best is not None and config.best not in names:
        names.append(config.best)
    if data.factors is None:
        _refuse(names, "factors", f"factors, which data set {data.name!r} does not have")
    if not wiring.reads_code:
        _refuse(names, "discrete", "discrete codes, which the objective does not have")
    unweighted = ", ".join(name for name in names if not metrics.find(name).weighted)
    if data.factors is not None and data.factors.weights is not None and unweighted:
        raise ValueError(
            f"evaluation: {unweighted} take no weights, and factors are correlated; leave them out"
        )


def _refuse(names: list[str], need: str, missing: str) -> None:
    """Raise ValueError if some of the metrics have this need, which is not met."""
    needing = [name for name in names if need in metrics.find(name).needs]
    if needing:
        raise ValueError(f"evaluation: {', '.join(needing)} need {missing}; leave them out")


def final_evaluation(model: Model, *, config: EvaluationConfig, moment: str = "") -> Final:
    """Return the evaluation on all images.

    It has the metrics of an epoch, the metrics of `config.final` with chance and ceiling, and
    pictures. MI and TC are sampled until their error is `FINAL_ERROR` or a cap of work is reached;
    `decomposition_samples` is the number of samples. A score gives `<name>`, `<name>_error`,
    `<name>_chance`, `<name>_ceiling` (if known), and `<name>_<detail>` for every number among its
    details. `tc_permuted` is the TC that independent latents would have (`permuted_tc`), for images
    that all count alike. The metrics `elbo` and `reconstruction` are called `elbo_rate` and
    `reconstruction_of_means`, because an epoch uses their names for other quantities.

    Raises:
        Diverged: a number is not finite.
        ValueError: see `check_final`.
    """
    data = model.feed.data
    check_final(config, data, model.nets.wiring)
    names = _scored_names(config)
    # `final` computes the MIG, which is slow, so `evaluate` need not compute it too.
    factors = None if "mig" in names else data.factors
    values, codes = evaluate(
        model,
        np.arange(len(data)),
        config=config,
        factors=factors,
        largest_error=FINAL_ERROR,
        moment=moment,
    )
    if data.factors is None or data.factors.weights is None:
        values |= permuted_tc(codes, samples=config.samples, seed=config.seed)
    pictures = pictured(evaluation_subset(data, config.images, config.seed))
    images, reconstructions = reconstructed(model, pictures)
    scores = {name: _score(name, model, codes, config=config) for name in names}
    if factors is None and data.factors is not None:
        values |= per_factor(model, codes, data.factors, scores["mig"])
    for name, score in scores.items():
        values = flat_numbers(name, score) | values
    start = int(pictures[len(pictures) // 2])
    with evaluating(model.nets), torch.no_grad():
        posterior, batch = coded(model, model.feed.batch(torch.tensor([start])))
        traversal = traverse(model.nets, posterior.mean[0].cpu().numpy(), batch)
    return Final(
        metrics=values,
        best={},
        codes=codes,
        scores=scores,
        decomposition=decomposition_identity(config),
        images=images,
        reconstructions=reconstructions,
        traversal=traversal,
    )


def decomposition_identity(config: EvaluationConfig) -> dict[str, Any]:
    """Return the identity of MI, TC and dimension-wise KL on all images."""
    first = max(config.samples, decomposition.FIRST_ROUND)
    return {
        "estimator": f"full mixture: {decomposition.ESTIMATOR}",
        "samples": (
            f"{first} or more, until the sampling error of MI and TC is <= {FINAL_ERROR:g} nats or "
            f"samples x images x latents reach {decomposition.MOST_WORK:g}"
        ),
        "seed": config.seed,
    }


def _scored_names(config: EvaluationConfig) -> list[str]:
    """Return the final metrics, and the metric that selects the best epoch.

    So `best/*` has the metric that its epoch was selected by, and `final/*` has the same one.
    """
    names = list(config.final)
    if config.best is not None and config.best not in ("elbo", *names):
        names.append(config.best)
    return names


def pictured(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the few images of an evaluation subset that are kept as pictures."""
    count = min(PICTURED, len(indices))
    return indices[np.linspace(0, len(indices) - 1, count).astype(np.int64)]


@torch.no_grad()
def reconstructed(
    model: Model, indices: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return images and the reconstructions of their posterior means, (n, C, H, W) in [0, 1]."""
    originals: list[Tensor] = []
    decoded: list[Tensor] = []
    with evaluating(model.nets):
        for rows in torch.from_numpy(indices).split(BATCH):
            posterior, batch = coded(model, model.feed.batch(rows))
            originals.append(batch.images.cpu())
            decoded.append(model.nets.expected(posterior.mean, batch).cpu())
    return torch.cat(originals).numpy(), torch.cat(decoded).numpy()


def _score(name: str, model: Model, codes: Codes, *, config: EvaluationConfig) -> Score:
    """Return one score on all images; a metric that needs images gets the evaluation subset."""
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
        None if data.factors is None else rows_of(data.factors, subset),
        images=images,
        reconstructions=reconstructions,
        seed=config.seed,
    )


_RENAMED = {"elbo": "elbo_rate", "reconstruction": "reconstruction_of_means"}
"""New names of metrics with the name of an epoch's metric that is another quantity.

An epoch's `elbo` is the ELBO, and its `reconstruction` is the cost of one sampled z."""


def flat_numbers(name: str, score: Score) -> dict[str, float]:
    """Return the numbers of a score: `name`, `name_error`, … and every number of its details."""
    name = _RENAMED.get(name, name)
    numbers: dict[str, float | None] = {
        name: score.value,
        f"{name}_error": score.error,
        f"{name}_chance": score.chance,
        f"{name}_ceiling": score.ceiling,
    }
    for key, detail in score.details.items():
        if isinstance(detail, float):
            numbers[f"{name}_{key}"] = detail
    return {key: float(value) for key, value in numbers.items() if value is not None}
