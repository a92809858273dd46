import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes, sharp_codes

from metrics import Codes, score
from metrics.scores import med

FACTORS = grid_factors(3, 4, 5)
CODES = noisy_codes(FACTORS, latents=5, seed=0)


def run(codes=CODES, name="med", **options):
    return score(name, codes, FACTORS, reference=False, **options)


def test_a_code_equal_on_two_of_five_factors_has_the_known_disentanglement():
    # D_j = 1 - log5 2 = .569323; a latent of one factor has 1. The weights are 2 and 1.
    each, weights = med._concentration(
        np.array([[1.0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
    )
    np.testing.assert_allclose(each, [0.569323, 1.0, np.nan], atol=1e-6)
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3, 0])


def test_score_is_the_weighted_mean_of_its_details():
    ours = run()
    # The importance is 0 if I is not above the error of its integration.
    importance = ours.details["importance"]
    with_rounding = ours.details["mutual_information"] / np.log([3, 4, 5])
    importance, with_rounding = importance[:3], with_rounding[:3]  # the other latents are dead
    p = importance / importance.sum(axis=1, keepdims=True)
    each = 1 + (p * np.log(np.maximum(p, 1e-300))).sum(axis=1) / np.log(3)
    np.testing.assert_allclose(importance, with_rounding, atol=1e-4)
    assert ours.value == pytest.approx((each * importance.sum(axis=1)).sum() / importance.sum())


def test_published_form_gives_every_factor_the_same_weight():
    importance = run(name="med.published").details["importance"]
    np.testing.assert_allclose(importance.sum(axis=0), 1.0)
    assert run(name="med.published").identity["estimator"] == "histogram"


def test_a_histogram_gives_noise_mutual_information():
    noise = Codes(np.random.default_rng(0).standard_normal((60, 3)), np.full((60, 3), 3.0))
    # The posterior is much wider than the noise of its means and hides it. Twenty bins of 60 rows
    # have .2 nats and more.
    assert run(noise).details["mutual_information"].max() < 0.01
    assert run(noise, "med.histogram").details["mutual_information"].min() > 0.2


def test_top_k_keeps_the_most_disentangled_latents_of_each_factor():
    importance = np.array([[1.0, 0.0], [0.6, 0.4], [0.9, 0.1], [0.1, 0.3], [0.0, 0.0]])
    assert med._most_disentangled(importance, 1).tolist() == [True, False, False, True, False]
    assert med._most_disentangled(importance, 2).tolist() == [True, False, True, True, False]


def test_latents_that_top_k_leaves_out_are_named():
    separate = FACTORS.values - FACTORS.values.mean(axis=0)
    mixed = separate[:, :1] + separate[:, 1:2]  # has information about two factors
    codes = sharp_codes(np.concatenate([separate, mixed], axis=1), std=0.02)
    all_latents, best = run(codes), run(codes, top_k=1)
    assert best.value == pytest.approx(1.0, abs=1e-6)
    assert all_latents.value < 0.95
    assert list(best.details["excluded"]) == ["latent 3"]


def test_one_factor_scores_one_with_a_reason():
    one = grid_factors(4)
    ours = score("med", sharp_codes(one.values, std=0.02), one, reference=False)
    assert ours.value == 1.0
    assert "one factor" in ours.details["reason"]


def test_error_without_posteriors_names_the_histogram():
    codes = Codes(CODES.mean)
    with pytest.raises(ValueError, match=r"med\.histogram"):
        run(codes)
    assert 0 < run(codes, "med.histogram").value < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be >= 1"),
        ({"normalise": "max"}, "normalise must be one of entropy, sum"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
