import warnings

import numpy as np
import pytest
from metric_references import grid_factors

from metrics import Codes, Factors, score
from metrics.codes import rows_by_level

FACTORS = grid_factors(3, 4, 5, 6, 4)
LEVELS = FACTORS.values / (np.array(FACTORS.sizes) - 1)


def z_diff(mean, factors=FACTORS, *, discrete=None, name="beta_vae", **options):
    sizes = {"train": 2_000, "test": 2_000} | options
    return score(name, Codes(mean, discrete=discrete), factors, reference=False, **sizes)


@pytest.mark.parametrize("name", ["beta_vae", "beta_vae.dlib", "beta_vae.svm", "beta_vae.trento"])
def test_codes_that_are_the_factors_score_one(name):
    assert z_diff(LEVELS, name=name).value == 1.0


def test_noise_is_at_chance():
    # Chance is 1/5; the tolerance is four binomial errors sqrt(.16 / 2000) = .0089. There are more
    # rows than the grid has, because on few rows noise would be memorised.
    rng = np.random.default_rng(0)
    factors = Factors(rng.integers(0, 4, (50_000, 5)), tuple("abcde"), (4,) * 5)
    value = z_diff(rng.standard_normal((50_000, 10)), factors, group=16).value
    assert abs(value - 0.2) < 4 * 0.0089


def test_two_factors_mixed_on_two_latents_are_confused_with_each_other():
    # Two latents are sum and difference of two factors of equal size. Their differences have the
    # same distribution if the first factor is shared and if the second one is.
    factors = grid_factors(6, 6, 3)
    turned = np.stack(
        [factors.values[:, 0] + factors.values[:, 1], factors.values[:, 0] - factors.values[:, 1]],
        axis=1,
    )
    mean = np.concatenate([turned, factors.values[:, 2:]], axis=1).astype(float)
    # Two of three factors are guessed with chance 1/2: 1/3 + 2/3 x 1/2. Four errors of
    # sqrt(2/9 / 2000).
    assert abs(z_diff(mean, factors).value - 2 / 3) < 4 * 0.0106


def test_many_pairs_hide_noise_that_one_pair_shows():
    # The score is insensitive: at 64 pairs, a correlation with the factors is enough.
    mean = LEVELS + 0.3 * np.random.default_rng(0).standard_normal(LEVELS.shape)
    assert z_diff(mean, group=1).value < 0.6
    assert z_diff(mean, group=64).value > 0.95


def test_scale_matters_to_raw_features_only():
    mean = LEVELS + 0.5 * np.random.default_rng(0).standard_normal(LEVELS.shape)
    scaled = mean * np.array([1.0, 10.0, 1.0, 0.02, 1.0])
    # Newton's method stops at 1e-4.
    assert z_diff(scaled, min_std=0.0).value == pytest.approx(z_diff(mean).value, abs=1e-3)
    raw = {"standardise": False, "min_std": 0.0}
    assert z_diff(scaled, **raw).value < z_diff(mean, **raw).value - 0.05


def test_sum_and_mean_are_equal_if_features_are_standardised():
    mean = LEVELS + 0.5 * np.random.default_rng(0).standard_normal(LEVELS.shape)
    assert z_diff(mean, reduce="sum").value == z_diff(mean).value


def test_names_of_categories_do_not_matter():
    names = np.array([40, -3, 8, 0, 5, 1])
    ours = z_diff(LEVELS[:, :3], discrete=FACTORS.values[:, 3:])
    assert ours.value == 1.0
    assert z_diff(LEVELS[:, :3], discrete=names[FACTORS.values[:, 3:]]).value == ours.value
    assert z_diff(np.zeros((len(FACTORS), 0)), discrete=FACTORS.values).value == 1.0


def test_latent_of_the_shared_factor_has_no_difference():
    by_factor = z_diff(LEVELS).details["mean_difference"]  # factor shared x latent
    np.testing.assert_array_equal(np.diag(by_factor), 0.0)
    assert by_factor[~np.eye(5, dtype=bool)].min() > 0.3


def test_pairs_are_two_rows_of_one_level():
    pool = rows_by_level.pools(FACTORS)[2]
    first, second = rows_by_level.draw_pairs(pool, 200, 16, np.random.default_rng(0))
    np.testing.assert_array_equal(FACTORS.values[first, 2], FACTORS.values[second, 2])
    assert (first != second).all()
    assert len(np.unique(FACTORS.values[first[0], 2])) > 1  # every pair has its own level


def test_dead_latents_are_left_out_by_name():
    result = z_diff(np.concatenate([LEVELS, np.full((len(LEVELS), 1), 0.3)], axis=1))
    assert result.details["excluded"] == {"latent 5": "dead: its mean is the same for every image"}
    assert np.isnan(result.details["mean_difference"][:, 5]).all()


def test_no_active_latent_scores_chance_and_one_factor_scores_one():
    assert z_diff(np.zeros((len(LEVELS), 2))).value == 0.2
    alone = z_diff(LEVELS[:, :1], Factors(FACTORS.values[:, :1], ("a",), (3,)))
    assert alone.value == 1.0
    assert "one factor" in alone.details["reason"]


def test_no_classifier_warns_of_an_early_stop():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("beta_vae.dlib", "beta_vae.trento"):
            scaled = LEVELS * np.array([0.01, 100.0, 1.0, 40.0, 0.1])
            assert z_diff(scaled, name=name).value > 0.2  # chance


def test_error_is_binomial_and_the_confusion_counts_every_example():
    result = z_diff(LEVELS, group=1)
    # Two successes and two failures more: p = (2000 v + 2) / 2004.
    p = (2_000 * result.value + 2) / 2_004
    assert result.error == pytest.approx(np.sqrt(p * (1 - p) / 2_004))
    assert np.trace(result.details["confusion"]) == pytest.approx(2_000 * result.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"group": 0}, "group"),
        ({"train": 0}, "train"),
        ({"classifier": "tree"}, "classifier"),
        ({"reduce": "max"}, "reduce"),
    ],
)
def test_options_outside_their_range_are_refused(option, words):
    with pytest.raises(ValueError, match=f"{words}.* must be"):
        z_diff(LEVELS, **option)
