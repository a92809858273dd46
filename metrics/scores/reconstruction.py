"""How well images are reconstructed."""

from __future__ import annotations

import numpy as np

from metrics.types import Array, Inputs, Score

_CHUNK = 1024  # images at a time


def reconstruction(inputs: Inputs, *, eps: float = 1e-7) -> Score:
    """Return the Bernoulli negative log likelihood of the images, averaged over images.

        value = mean over images of -sum_pixels [x ln p + (1 - x) ln(1 - p)]

    It is exact for the given arrays. The z that the reconstructions were decoded from decides what
    it means: samples estimate E_q[-log p(x|z)], the posterior mean gives the score of that mean.

    Args:
        inputs: images (N, …) in [0, 1] and reconstructions, probabilities of the same shape.
        eps: probabilities are kept this far from 0 and 1 (a float32 sigmoid reaches both).

    Returns:
        value: nats per image, summed over pixels and channels.
        details:
            per_pixel: the value divided by the number of pixels and channels.

    Raises:
        ValueError: shapes differ, or a value is outside [0, 1].
    """
    images, probabilities = inputs.images, inputs.reconstructions
    assert images is not None, "score() checks needs"
    assert probabilities is not None, "score() checks needs"
    if images.shape != probabilities.shape:
        raise ValueError(
            f"reconstructions must have the shape of images {images.shape}, "
            f"got {probabilities.shape}"
        )
    total = 0.0
    for start in range(0, len(images), _CHUNK):
        x = images[start : start + _CHUNK].astype(np.float64)
        p = probabilities[start : start + _CHUNK].astype(np.float64)
        _require_unit_range("images", x)
        _require_unit_range("reconstructions", p)
        p = np.clip(p, eps, 1 - eps)
        total -= float((x * np.log(p) + (1 - x) * np.log1p(-p)).sum())
    value = total / len(images)
    pixels = int(np.prod(images.shape[1:]))
    return Score(
        value,
        details={"per_pixel": value / pixels},
        identity={"estimator": "Bernoulli", "pixels": pixels},
    )


def _require_unit_range(name: str, array: Array) -> None:
    """Raise ValueError if a value is outside [0, 1] or NaN."""
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{name} must lie in [0, 1], got {array.min():g} to {array.max():g}")
