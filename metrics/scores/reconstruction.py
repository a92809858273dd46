"""How well images are given back."""

from __future__ import annotations

import numpy as np

from metrics.types import Inputs, Score

_CHUNK = 1024  # images at a time


def reconstruction(inputs: Inputs, *, eps: float = 1e-7) -> Score:
    """Bernoulli negative log likelihood: -sum_pixels [x ln p + (1 - x) ln(1 - p)], averaged over images.

    Exact for the given arrays: whether it estimates E_q[-log p(x|z)] or scores the posterior mean is
    decided by the z that the reconstructions were decoded from.

    Args:
        inputs: images (N, …) in [0, 1] and reconstructions, probabilities of the same shape.
        eps: probabilities are kept this far from 0 and 1 (a float32 sigmoid reaches both).

    Returns:
        value: nats per image, summed over pixels and channels. details: per_pixel.

    Raises:
        ValueError: shapes differ, or a value lies outside [0, 1].
    """
    images, probabilities = inputs.images, inputs.reconstructions
    assert images is not None, "score() checks needs"
    assert probabilities is not None, "score() checks needs"
    if images.shape != probabilities.shape:
        raise ValueError(
            f"reconstructions must have the shape of images {images.shape}, got {probabilities.shape}"
        )
    total = 0.0
    for start in range(0, len(images), _CHUNK):
        x = images[start : start + _CHUNK].astype(np.float64)
        p = probabilities[start : start + _CHUNK].astype(np.float64)
        for name, array in (("images", x), ("reconstructions", p)):
            if not (array.min() >= 0 and array.max() <= 1):  # also catches NaN
                raise ValueError(
                    f"{name} must lie in [0, 1], got {array.min():g} to {array.max():g}"
                )
        p = np.clip(p, eps, 1 - eps)
        total -= float((x * np.log(p) + (1 - x) * np.log1p(-p)).sum())
    value = total / len(images)
    pixels = int(np.prod(images.shape[1:]))
    return Score(
        value,
        details={"per_pixel": value / pixels},
        identity={"estimator": "Bernoulli", "pixels": pixels},
    )
