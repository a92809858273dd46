"""How the KL is divided among latents, and shared among factors."""

from __future__ import annotations

import numpy as np
import pytest

import metrics
from metrics import Codes, Factors
from vae_core.evaluation import kl_shares

COPIES = 5_000
"""Copies of the four images of `four_images`: the noise of information falls with their number."""


def four_images() -> Codes:
    """Return codes of four images, repeated. Only latent 0 distinguishes them.

    Latent 1 is far from the prior and the same for all images. Latent 0 has the means ±1, ±3, so
    s = 5 + σ², σ² = .01, and ½ ln(5.01/.01) = 3.1083 nats are shared.
    """
    mean = np.array([[-3.0, 5.0, 1.0], [-1.0, 5.0, -1.0], [1.0, 5.0, 1.0], [3.0, 5.0, -1.0]])
    logvar = np.log(np.array([[0.01, 0.01, 1.0]])).repeat(4, 0)
    return Codes(np.tile(mean, (COPIES, 1)), np.tile(logvar, (COPIES, 1)))


CODING = 0.5 * np.log(5.01 / 0.01)
WIDE = np.array([9.0, 9.0])
"""Entropies above every share."""


def shares(
    information: list[list[float]], shuffled: list[list[float]], entropies: np.ndarray = WIDE
) -> kl_shares.FactorShares:
    """Return the shares of two factors in the KL of `four_images`, from rows of latent 0, 1, 2."""
    return kl_shares.kl_per_factor(
        four_images(), np.array(information), np.array(shuffled), entropies
    )


def memorised(images: int, seed: int) -> tuple[Codes, Factors]:
    """Return sharp codes that distinguish the images and depend on no factor."""
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((images, 3))
    codes = Codes(mean, np.full((images, 3), 2 * np.log(0.01)))
    values = np.stack([rng.integers(0, size, images) for size in (3, 10)], axis=1)
    return codes, Factors(values, ("shape", "orientation"), (3, 10))


def shuffled_information_of(codes: Codes, factors: Factors) -> np.ndarray:
    mig = metrics.score("mig", codes, factors, reference=False)
    return np.asarray(mig.details["shuffled_information"])


def information_of(codes: Codes, factors: Factors) -> np.ndarray:
    mig = metrics.score("mig", codes, factors, reference=False)
    return np.asarray(mig.details["mutual_information"])


NOTHING = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_kl_per_latent_needs_a_posterior() -> None:
    with pytest.raises(ValueError, match="codes must have logvar"):
        kl_shares.kl_per_latent(Codes(np.zeros((2, 3))))


def test_kl_is_shared_among_factors_by_information() -> None:
    """Latent 1 codes nothing, latent 2 knows no factor: 3.1083 nats are divided 3:1."""
    result = shares([[0.3, 0.1], [0.0, 1e-9], [0.0, 0.0]], NOTHING)
    np.testing.assert_allclose(result.kl, [0.75 * CODING, 0.25 * CODING], atol=1e-12)
    assert kl_shares.kl_per_latent(four_images())[1] > 10  # latent 1 has a KL nevertheless


def test_the_information_of_shuffled_factors_is_subtracted() -> None:
    """.5 − .2 and .3 − .2 are shared 3:1; the raw information would be shared 5:3."""
    shuffled = [[0.2, 0.2], [0.0, 0.0], [0.0, 0.0]]
    result = shares([[0.5, 0.3], [0.0, 0.0], [0.0, 0.0]], shuffled)
    np.testing.assert_allclose(result.kl, [0.75 * CODING, 0.25 * CODING], atol=1e-12)
    # Factor 0 with shuffled rows has .2 beside the .3 of factor 1, and factor 1 has .2 beside .5.
    np.testing.assert_allclose(result.shuffled, [0.4 * CODING, 2 / 7 * CODING], atol=1e-12)


def test_an_excess_within_the_noise_is_not_shared() -> None:
    """N = 20,000 and S = .2: 5 √(2 · .2 / 20,000) = .02236."""
    shuffled = [[0.2, 0.2], [0.0, 0.0], [0.0, 0.0]]
    below = shares([[0.2223, 0.2], [0.0, 0.0], [0.0, 0.0]], shuffled)
    assert below.kl.tolist() == [0.0, 0.0]
    above = shares([[0.2224, 0.2], [0.0, 0.0], [0.0, 0.0]], shuffled)
    np.testing.assert_allclose(above.kl, [CODING, 0.0], atol=1e-12)


def test_weights_count_by_their_effective_number() -> None:
    """Half of the images have no weight: 10,000 count, and 5 √(2 · .2 / 10,000) = .03162."""
    weights = np.tile([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], COPIES // 2)
    shuffled = np.array([[0.2, 0.2], [0.0, 0.0], [0.0, 0.0]])
    for excess, expected in ((0.0316, 0.0), (0.0317, CODING)):
        information = shuffled + np.array([[excess, 0.0], [0.0, 0.0], [0.0, 0.0]])
        result = kl_shares.kl_per_factor(four_images(), information, shuffled, WIDE, weights)
        assert result.kl[0] == pytest.approx(expected, abs=1e-12)


def test_no_factor_has_more_kl_than_its_entropy() -> None:
    """Latents 0 and 2 could both code factor 0 of two levels: it cannot take more than ln 2."""
    shuffled = [[0.1, 0.1], [0.0, 0.0], [0.0, 0.0]]
    result = shares([[0.5, 0.3], [0.0, 0.0], [0.0, 0.0]], shuffled, np.log([2.0, 2.0]))
    np.testing.assert_allclose(result.kl, np.log([2.0, 2.0]))
    assert (result.shuffled <= np.log(2.0)).all()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("images", [200, 2_000])
def test_memorised_images_give_no_factor_a_share(images: int, seed: int) -> None:
    """The posteriors are sharp, so finite rows seem to know the orientation; a shuffled one too."""
    codes, factors = memorised(images, seed)
    information = information_of(codes, factors)
    shuffled = shuffled_information_of(codes, factors)
    result = kl_shares.kl_per_factor(codes, information, shuffled, np.log([3.0, 10.0]))
    assert information[:, 1].min() > 0.05
    assert result.shuffled[1] > 2
    assert result.kl.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("images", [500, 4_000])
def test_a_coded_factor_keeps_its_share_beside_memorised_images(images: int) -> None:
    """Latent 0 holds the orientation; latents 1 and 2 distinguish images and know no factor.

    Means 0..9, so s = 8.25 up to the counts of the levels, and σ = .01: ½ ln(8.25/1e-4) = 5.66
    nats, more than ln 10. The shape has no share.
    """
    codes, factors = memorised(images, 0)
    codes.mean[:, 0] = factors.values[:, 1]
    information = information_of(codes, factors)
    shuffled = shuffled_information_of(codes, factors)
    result = kl_shares.kl_per_factor(codes, information, shuffled, np.log([3.0, 10.0]))
    np.testing.assert_allclose(result.kl, [0.0, np.log(10)])
