"""How the KL is divided among latents and factors."""

from __future__ import annotations

import numpy as np
import pytest

from metrics import Codes
from vae_core.evaluation import kl_shares


def test_kl_per_latent_needs_a_posterior() -> None:
    with pytest.raises(ValueError, match="codes must have logvar"):
        kl_shares.kl_per_latent(Codes(np.zeros((2, 3))))


def test_kl_is_shared_among_factors_by_information() -> None:
    """Only latent 0 distinguishes the 4 images and has information on factors.

    Latent 1 is far from the prior and the same for all images; latent 2 does not have information
    on a factor. Latent 0 has the means ±1, ±3, so s = 5 + σ², σ² = .01: ½ ln(5.01/.01) = 3.1083
    nats, divided 3:1.
    """
    mean = np.array([[-3.0, 5.0, 1.0], [-1.0, 5.0, -1.0], [1.0, 5.0, 1.0], [3.0, 5.0, -1.0]])
    codes = Codes(mean, np.log(np.array([[0.01, 0.01, 1.0]])).repeat(4, 0))
    shares = kl_shares.kl_per_factor(codes, np.array([[0.3, 0.1], [0.0, 1e-9], [0.0, 0.0]]))
    coding = 0.5 * np.log(5.01 / 0.01)
    np.testing.assert_allclose(shares, [0.75 * coding, 0.25 * coding], atol=1e-12)
    assert kl_shares.kl_per_latent(codes)[1] > 10  # latent 1 has a KL nevertheless
