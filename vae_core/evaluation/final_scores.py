"""Scores a trained model on the whole set, once: an epoch's keys, the metrics that were asked for, pictures."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import metrics
from metrics import Codes, Score
from vae_core.config import EvaluationConfig
from vae_core.evaluation.epoch_scores import (
    BATCH,
    Model,
    coded,
    evaluate,
    evaluating,
    evaluation_subset,
    per_factor,
    rows_of,
)
from vae_core.evaluation.pictures import traverse
from vae_core.types import Data, Final, Wiring

SHOWN = 8
"""Originals, with their reconstructions, that a final evaluation keeps."""


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
        raise ValueError(
            f"evaluation: {unweighted} take no weights, and factors are correlated; leave them out"
        )


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
        values |= per_factor(model, codes, data.factors, scores["mig"])
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
def reconstructed(
    model: Model, indices: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
        None if data.factors is None else rows_of(data.factors, subset),
        images=images,
        reconstructions=reconstructions,
        seed=config.seed,
    )


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
    details = {
        f"{name}_{key}": detail
        for key, detail in score.details.items()
        if isinstance(detail, float)
    }
    return {key: float(value) for key, value in (numbers | details).items() if value is not None}
