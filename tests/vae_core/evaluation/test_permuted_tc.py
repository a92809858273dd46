"""The TC that independent latents have in a finite mixture."""

import math

import numpy as np
import pytest

import metrics
from metrics import Codes
from vae_core.evaluation.permuted_tc import permuted_tc


def test_separate_posteriors_have_a_tc_of_log_n_per_further_latent() -> None:
    # N posteriors that do not overlap in any latent: each latent alone tells the image, so
    # TC = (d - 1) ln N, dependent or not.
    mean = np.random.default_rng(0).permuted(np.tile(np.arange(50.0)[:, None], 3), axis=0)
    codes = Codes(mean, np.full(mean.shape, 2 * math.log(1e-3)))
    result = permuted_tc(codes, samples=500, seed=0)
    assert result["tc_permuted"] == pytest.approx(2 * math.log(50), abs=0.01)


def test_permuting_removes_the_tc_of_dependent_latents() -> None:
    # Gaussian means of correlation .8 with wide posteriors, sigma = .5: the two-latent TC is
    # -1/2 ln(1 - (.8 / 1.25)²) = .264; permuted latents have almost none.
    rng = np.random.default_rng(0)
    mean = rng.multivariate_normal(np.zeros(2), [[1, 0.8], [0.8, 1]], 4_000)
    codes = Codes(mean, np.full(mean.shape, 2 * math.log(0.5)))
    tc = metrics.elbo_decomposition(codes, samples=2_000, seed=0).tc
    assert tc == pytest.approx(0.264, abs=0.04)
    result = permuted_tc(codes, samples=2_000, seed=0)
    assert abs(result["tc_permuted"]) < 0.02 + 3 * result["tc_permuted_error"]


def test_a_seed_decides_the_value() -> None:
    codes = Codes(np.random.default_rng(0).standard_normal((200, 3)), np.full((200, 3), -3.0))
    assert permuted_tc(codes, samples=100, seed=1) == permuted_tc(codes, samples=100, seed=1)


def test_codes_without_posteriors_are_refused() -> None:
    with pytest.raises(ValueError, match="codes must have logvar"):
        permuted_tc(Codes(np.zeros((4, 2))), samples=10, seed=0)
