"""How sharp reconstructions are, by the variance of their Laplacian."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metrics.types import Array, Inputs, Score

_CHUNK = 1024  # images at a time


def sharpness(inputs: Inputs) -> Score:
    """Return the variance of the Laplacian over pixels, on grey levels 0 to 255, mean over images.

        L[y, x] = g[y-1, x] + g[y+1, x] + g[y, x-1] + g[y, x+1] - 4 g[y, x]
        value = mean over images of Var_yx(L)

    This is a focus measure of microscopy (Pech-Pacheco et al. 2000); lectures on VAEs use it to
    measure blur. Borders are mirrored about the outermost pixel, so that a flat image has value 0;
    zeros outside the image would add an edge around it. Each channel is treated as one image, and
    the variances of the channels of an image are averaged. Grey levels are not rounded.

    Compare values only on one data set at one image size: the value grows with contrast, noise
    counts as sharpness, and a shape drawn twice as large has half the edge pixels per area. The
    `ratio` to the originals removes the effect of the data set.

    Args:
        inputs: images and reconstructions, (N, H, W) or (N, C, H, W), in [0, 1].

    Returns:
        value: of the reconstructions, squared grey levels.
        details:
            originals: the same of the images.
            ratio: the value divided by `originals`; NaN, with a reason, if the originals are flat.
            per_image: (N,) of the reconstructions.

    Raises:
        ValueError: shapes differ or have no two axes of pixels, or a value is outside [0, 1].
    """
    images, reconstructions = inputs.images, inputs.reconstructions
    assert images is not None, "score() checks needs"
    assert reconstructions is not None, "score() checks needs"
    if images.shape != reconstructions.shape:
        raise ValueError(
            f"reconstructions must have the shape of images {images.shape}, "
            f"got {reconstructions.shape}"
        )
    if images.ndim not in (3, 4):
        raise ValueError(
            f"images must have the shape (N, H, W) or (N, C, H, W), got {images.shape}"
        )
    originals = float(_per_image("images", images).mean())
    per_image = _per_image("reconstructions", reconstructions)
    value = float(per_image.mean())
    details: dict[str, Any] = {
        "originals": originals,
        "ratio": value / originals if originals > 0 else math.nan,
        "per_image": per_image,
    }
    if not originals > 0:
        details["reason"] = "the originals are flat: there is no ratio to them"
    size = f"{images.shape[-2]} x {images.shape[-1]}"
    identity = {"estimator": "3 x 3 Laplacian, mirrored borders", "pixels": size}
    return Score(value, details=details, identity=identity)


def laplacian(grey: Array) -> Array:
    """Return the sum of the four neighbours minus four times the pixel, over the last two axes.

    Borders are mirrored about the outermost pixel. The shape (..., H, W) does not change.
    """
    around = np.pad(grey, [(0, 0)] * (grey.ndim - 2) + [(1, 1), (1, 1)], mode="reflect")
    vertical = around[..., :-2, 1:-1] + around[..., 2:, 1:-1]
    horizontal = around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
    return vertical + horizontal - 4 * grey


def _per_image(name: str, images: Array) -> Array:
    """Return the variance of the Laplacian of every image, averaged over its channels: (N,)."""
    parts: list[Array] = []
    for start in range(0, len(images), _CHUNK):
        grey = images[start : start + _CHUNK].astype(np.float64)
        if not (grey.min() >= 0 and grey.max() <= 1):  # also catches NaN
            raise ValueError(f"{name} must lie in [0, 1], got {grey.min():g} to {grey.max():g}")
        variances = laplacian(255 * grey).var(axis=(-2, -1))
        parts.append(variances.reshape(len(grey), -1).mean(axis=1))
    return np.concatenate(parts)
