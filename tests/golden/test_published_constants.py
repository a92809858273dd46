"""Constants that every number on dSprites depends on."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

import metrics
from vae_core import DSprites
from vae_core.likelihood import likelihood


def test_logits_zero_cost_ln_2_a_pixel() -> None:
    # 4096 ln 2 = 2839.1309 nats for an image of 64 x 64, with any pixels.
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 64, 64, generator=generator, dtype=torch.float64) < 0.2
    images = images.double()
    cost = -likelihood("bernoulli").log_prob(torch.zeros_like(images), images, torch.zeros(()))
    expected = torch.full((3,), 2839.1309, dtype=torch.float64)
    torch.testing.assert_close(cost, expected, atol=1e-4, rtol=0)


def test_mutual_information_with_an_image_is_bounded_by_ln_n() -> None:
    images = DSprites().outline().images
    assert math.log(images) == pytest.approx(13.510723, abs=1e-6)  # 737,280 images
    # N codes that are far apart identify the image: I(x; z) = ln N, the largest possible value.
    mean = np.arange(64, dtype=np.float64)[:, None] * [[50.0, 70.0]]
    codes = metrics.Codes(mean, np.zeros((64, 2)))
    mi = metrics.elbo_decomposition(codes, samples=500, seed=0).mi
    assert mi == pytest.approx(math.log(64), abs=1e-6)  # the controls are fitted


def test_clustering_accuracy_does_not_depend_on_names() -> None:
    shape = np.repeat(np.arange(3), 100)
    factors = metrics.Factors(shape[:, None], ("shape",), (3,))
    for order in itertools.permutations((0, 1, 2)):
        codes = metrics.Codes(np.zeros((300, 0)), discrete=np.array(order)[shape][:, None])
        assert metrics.score("accuracy", codes, factors, reference=False).value == 1.0


def sharpness(images: np.ndarray) -> float:
    codes = metrics.Codes(np.zeros((len(images), 1)))
    return metrics.score("sharpness", codes, images=images, reconstructions=images).value


def test_flat_image_has_no_edges() -> None:
    flat = np.full((2, 1, 64, 64), 0.7)
    assert sharpness(flat) == 0.0
    # Negative control: with zeros outside the image, its border is an edge.
    assert ndimage.laplace(255 * flat[0, 0], mode="constant").var() > 100


def test_blur_lowers_sharpness() -> None:
    # A square of the size of a sprite, with more and more blur.
    square = np.zeros((1, 1, 64, 64))
    square[..., 24:40, 20:36] = 1
    values = [
        sharpness(ndimage.gaussian_filter(square, (0, 0, s, s), mode="mirror"))
        for s in (0, 0.5, 1, 2, 4)
    ]
    assert all(sharp > blurred for sharp, blurred in itertools.pairwise(values))
    # Without blur, 60 of 4,096 pixels are inside the edge (56 at -1, corners at -2), and 64 outside
    # it (at 1). The mean is 0.
    assert values[0] == pytest.approx(255**2 * (56 + 4 * 4 + 64) / 4096)
