import numpy as np
import pytest
from metric_references import grid_factors, sharp_codes

from metrics import Codes, score

FACTORS = grid_factors(4, 4, 3)
OWN = FACTORS.values - FACTORS.values.mean(axis=0)


def run(mean, **options):
    return score("mig_sup", sharp_codes(mean, std=0.02), FACTORS, reference=False, **options)


def test_a_factor_on_two_latents_costs_nothing_where_mig_falls():
    codes = sharp_codes(OWN[:, [0, 0, 1, 2]], std=0.02)
    assert score("mig_sup", codes, FACTORS, reference=False).value == pytest.approx(1.0, abs=1e-6)
    assert score("mig", codes, FACTORS, reference=False).value == pytest.approx(2 / 3, abs=1e-6)


def test_a_latent_of_two_factors_has_no_gap_where_mig_sees_one():
    # One latent counts through two factors of four levels each: I = H of both.
    both = (4 * FACTORS.values[:, :1] + FACTORS.values[:, 1:2]) - 7.5
    ours = run(np.concatenate([both, OWN[:, 2:]], axis=1))
    np.testing.assert_allclose(ours.details["gaps"], [0, 1], atol=1e-6)
    assert ours.details["best_factors"][1] == 2


def test_dead_latents_are_excluded_by_name():
    ours = run(np.concatenate([OWN, 0.05 * np.sin(np.arange(len(OWN)))[:, None]], axis=1))
    assert list(ours.details["excluded"]) == ["latent 3"]
    assert ours.value == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(ours.details["gaps"][3])


def test_an_active_latent_of_noise_counts_as_zero():
    noise = np.random.default_rng(0).standard_normal((len(OWN), 1))
    codes = Codes(
        np.concatenate([OWN, noise], axis=1), np.repeat([[-8.0, -8.0, -8.0, 4.0]], len(OWN), axis=0)
    )
    ours = score("mig_sup", codes, FACTORS, reference=False)
    assert ours.value == pytest.approx(
        3 / 4, abs=1e-3
    )  # three of four; a posterior of width 7 hides the noise


def test_one_factor_has_a_gap_to_nothing():
    one = grid_factors(4)
    ours = score("mig_sup", sharp_codes(one.values - 1.5, std=0.02), one, reference=False)
    assert ours.value == pytest.approx(1.0, abs=1e-6)
    assert "one factor" in ours.details["reason"]


def test_histogram_variant_needs_no_posterior():
    ours = score("mig_sup.histogram", Codes(OWN.astype(np.float64)), FACTORS, reference=False)
    assert ours.value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="needs posteriors"):
        score("mig_sup", Codes(OWN.astype(np.float64)), FACTORS, reference=False)
