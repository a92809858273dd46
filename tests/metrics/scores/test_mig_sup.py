import numpy as np
import pytest
from metric_references import grid_factors, sharp_codes

from metrics import Codes, score

FACTORS = grid_factors(4, 4, 3)
SEPARATE = FACTORS.values - FACTORS.values.mean(axis=0)


def run(mean, **options):
    return score("mig_sup", sharp_codes(mean, std=0.02), FACTORS, reference=False, **options)


def test_a_factor_on_two_latents_lowers_mig_only():
    codes = sharp_codes(SEPARATE[:, [0, 0, 1, 2]], std=0.02)
    assert score("mig_sup", codes, FACTORS, reference=False).value == pytest.approx(1.0, abs=1e-6)
    assert score("mig", codes, FACTORS, reference=False).value == pytest.approx(2 / 3, abs=1e-6)


def test_a_latent_of_two_factors_has_no_gap():
    # One latent has a value for every pair of levels of two factors: I = H for both.
    both = (4 * FACTORS.values[:, :1] + FACTORS.values[:, 1:2]) - 7.5
    ours = run(np.concatenate([both, SEPARATE[:, 2:]], axis=1))
    np.testing.assert_allclose(ours.details["gaps"], [0, 1], atol=1e-6)
    assert ours.details["best_factors"][1] == 2


def test_dead_latents_are_excluded_by_name():
    # Of variance .0002, with posteriors of variance .0004: a signal of .2 nats is no dead latent;
    # at a tenth of that deviation it is 1/2 ln(1 + .005) = .0025 nats.
    faint = 0.02 * np.sin(np.arange(len(SEPARATE)))[:, None]
    assert not run(np.concatenate([SEPARATE, faint], axis=1)).details["excluded"]
    ours = run(np.concatenate([SEPARATE, 0.1 * faint], axis=1))
    assert list(ours.details["excluded"]) == ["latent 3"]
    assert ours.value == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(ours.details["gaps"][3])


def test_an_active_latent_of_noise_counts_with_gap_zero():
    noise = np.random.default_rng(0).standard_normal((len(SEPARATE), 1))
    codes = Codes(
        np.concatenate([SEPARATE, noise], axis=1),
        np.repeat([[-8.0, -8.0, -8.0, 2.0]], len(SEPARATE), axis=0),
    )
    ours = score("mig_sup", codes, FACTORS, reference=False)
    # Three latents of four. The posterior of width e hides the noise: 1/2 ln(1 + 1/e²) = .063 nats
    # about the image, of which the factors get a share.
    assert 3 / 4 - 1e-6 < ours.value < 3 / 4 + 0.063 / 4 / np.log(3)


def test_one_factor_has_a_gap_to_zero():
    one = grid_factors(4)
    ours = score("mig_sup", sharp_codes(one.values - 1.5, std=0.02), one, reference=False)
    assert ours.value == pytest.approx(1.0, abs=1e-6)
    assert "one factor" in ours.details["reason"]


def test_histogram_variant_needs_no_posterior():
    ours = score("mig_sup.histogram", Codes(SEPARATE.astype(np.float64)), FACTORS, reference=False)
    assert ours.value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="needs posteriors"):
        score("mig_sup", Codes(SEPARATE.astype(np.float64)), FACTORS, reference=False)
