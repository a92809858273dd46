"""The lowest reconstruction that the pixels and the likelihood of a spec allow."""

from __future__ import annotations

import math

from sweeps.spec import registry_blocks
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.data import known_floor
from vae_core.likelihood import likelihood


def floor_sentences(spec: SweepSpec) -> list[str]:
    """Return the floor of each likelihood of a spec in a sentence, if there is one but 0."""
    outline = spec.data.outline()
    pixels = math.prod(outline.shape)
    trains = [
        TrainConfig(**sample)
        for index in range(len(spec.objectives))
        for _, sample in registry_blocks.sample_blocks(spec.parts(index).train)
    ]
    sentences: list[str] = []
    if any(train.likelihood == "bernoulli" for train in trains):
        sentence = bernoulli_floor(outline.levels, known_floor(spec.data))
        if sentence and any(train.has_correlation for train in trains):
            sentence += "; correlated factors weight the images: their trials report another floor"
        sentences.append(sentence)
    for sigma in dict.fromkeys(train.sigma for train in trains if train.likelihood == "gaussian"):
        floor = likelihood("gaussian", sigma).floor(0.0, pixels)
        sentences.append(f"with a Gaussian of sigma {sigma:g} {_limits(floor)}")
    return [sentence for sentence in sentences if sentence]


def bernoulli_floor(levels: int | None, floor: float | None) -> str:
    """Return the floor of a Bernoulli likelihood in a sentence, "" for binary pixels.

    Args:
        levels: of a pixel above 0; None if only the images tell.
        floor: nats per image; None if it is not known without reading images.
    """
    if levels == 1 or floor == 0:
        return ""
    if floor is not None:
        return f"pixels are grey, so with a Bernoulli likelihood {_limits(floor)}"
    pixels = "pixels are grey, so" if levels is not None else "unless all pixels are 0 or 1,"
    return (
        f"{pixels} a Bernoulli reconstruction has a floor above 0, the entropy of the pixels; "
        "`sweeps data render` computes it"
    )


def _limits(floor: float) -> str:
    return (
        f"no reconstruction of the whole data set is below {floor:.4g} nats per image, "
        f"and no ELBO is above {-floor:.4g}"
    )
