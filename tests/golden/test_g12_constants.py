"""G12: constants that every number of dSprites rests on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import metrics
from vae_core import DSprites
from vae_core.likelihood import likelihood


def test_logits_zero_cost_ln_2_a_pixel() -> None:
    # 4096 ln 2 = 2839.1309 nats for an image of 64 x 64, whatever its pixels
    images = (torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64) < 0.2).double()
    cost = -likelihood("bernoulli").log_prob(torch.zeros_like(images), images, torch.zeros(()))
    torch.testing.assert_close(cost, torch.full((3,), 2839.1309, dtype=torch.float64), atol=1e-4, rtol=0)


def test_mutual_information_with_an_image_is_bounded_by_ln_n() -> None:
    assert math.log(DSprites().outline().images) == pytest.approx(13.510723, abs=1e-6)  # 737,280 images
    # N codes far apart: the image is known from its code, I(x; z) = ln N and no more
    mean = np.arange(64, dtype=np.float64)[:, None] * [[50.0, 70.0]]
    codes = metrics.Codes(mean, np.zeros((64, 2)))
    assert metrics.elbo_decomposition(codes, samples=500, seed=0).mi == pytest.approx(math.log(64), abs=1e-9)
