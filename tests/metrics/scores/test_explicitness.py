import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from metrics import Codes, Factors, score
from metrics.prediction.logistic import one_vs_rest
from metrics.scores.explicitness import areas_under_roc

FACTORS = grid_factors(3, 4, 8, 6)
CODES = noisy_codes(FACTORS, latents=5, seed=0)


def explicitness(codes, factors=FACTORS, variant="", **options):
    return score(f"explicitness{variant}", codes, factors, reference=False, **options)


def uniform(size, rows):
    return Factors(np.random.default_rng(0).integers(0, size, (rows, 1)), ("a",), (size,))


def test_areas_are_those_of_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    positive = rng.random((500, 3)) < [0.1, 0.5, 0.9]
    scores = (positive + rng.standard_normal((500, 3))).round(1)
    areas, _ = areas_under_roc(scores, positive)
    expected = [roc_auc_score(positive[:, v], scores[:, v]) for v in range(3)]
    np.testing.assert_allclose(areas, expected, atol=1e-12)


def test_contributions_give_the_spread_of_a_mean_area_over_samples():
    rng = np.random.default_rng(0)

    def sample():
        level = rng.integers(0, 3, 400)
        scores = rng.standard_normal((400, 1)) + level[:, None] * np.array([-1.0, 0.2, 1.0])
        areas, rows = areas_under_roc(scores, level[:, None] == np.arange(3))
        return areas.mean(), rows.mean(axis=1).std() / 20

    means, errors = np.array([sample() for _ in range(400)]).T
    # The deviation of 400 samples has a relative error of 1 / sqrt(800); four of them are .14.
    assert np.mean(errors) == pytest.approx(means.std(), rel=0.15)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 30.0])
def test_regressions_are_those_of_scikit_learn(penalty):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 4))
    level = (x[:, 0] + 0.5 * x[:, 1] + rng.standard_normal(300) > [[0.0], [1.0], [-2.0]]).T
    weights, bias = one_vs_rest(x, level, penalty=penalty)
    for v in range(3):
        model = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=1000).fit(x, level[:, v])
        np.testing.assert_allclose(weights[v], model.coef_[0], atol=1e-4)
        assert bias[v] == pytest.approx(model.intercept_[0], abs=1e-4)


def test_regressions_converge_if_classes_are_separable_and_rare():
    x = np.concatenate([np.linspace(-1, 1, 999), [50.0]])[:, None]
    weights, bias = one_vs_rest(x, np.stack([x[:, 0] > 0, x[:, 0] > 40], axis=1))
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(x, x[:, 0] > 40)
    np.testing.assert_allclose(weights[1], model.coef_[0], rtol=1e-3)
    assert np.isfinite(bias).all()


def test_negative_control_a_linear_classifier_cannot_single_out_a_middle_value():
    # One latent orders V = 8 values: AUC max(v, 7 - v) / 7, on average 5.5 / 7. The softmax form
    # separates all values.
    factors = uniform(8, 15_000)
    codes = Codes(factors.values.astype(float))
    result = explicitness(codes, factors)
    expected = np.maximum(np.arange(8), 7 - np.arange(8)) / 7
    # Each value has 625 positives.
    np.testing.assert_allclose(result.details["auc_per_value"]["a"], expected, atol=0.03)
    assert result.value == pytest.approx(2 * 5.5 / 7 - 1, abs=4 * result.error)
    assert explicitness(codes, factors, ".multinomial").value == pytest.approx(1.0, abs=1e-3)


def test_squared_latents_make_the_middle_explicit():
    factors = uniform(3, 3_000)
    level = factors.values - 1.0
    alone = explicitness(Codes(level), factors)
    assert alone.value == pytest.approx(2 * (1 + 0.5 + 1) / 3 - 1, abs=0.05)
    with_square = explicitness(Codes(np.concatenate([level, level**2], axis=1)), factors)
    assert with_square.value == pytest.approx(1.0)


def test_unscaled_form_is_the_mean_area():
    scaled, unscaled = explicitness(CODES), explicitness(CODES, variant=".auc")
    assert scaled.value == pytest.approx(2 * unscaled.value - 1)
    assert scaled.error == pytest.approx(2 * unscaled.error)
    assert unscaled.details["auc"] == unscaled.value


def test_noise_is_chance_within_its_error_and_never_below_zero():
    result = explicitness(Codes(np.random.default_rng(0).standard_normal((len(FACTORS), 3))))
    assert 0.0 <= result.value <= 4 * result.error
    assert explicitness(Codes(np.zeros((len(FACTORS), 2))), variant=".auc").value == 0.5


def test_scale_and_offset_of_latents_do_not_matter():
    scaled = Codes(CODES.mean.astype(float) * [1e-3, 1e4, 1.0, 7.0, 30.0] + 5.0)
    unscaled = Codes(CODES.mean.astype(float))
    assert explicitness(scaled).value == pytest.approx(explicitness(unscaled).value, abs=1e-6)


def test_a_value_that_is_not_held_out_is_excluded_by_name():
    # One row has value 3; it is a training row, or a test row, or neither.
    level = np.concatenate([np.tile([0, 1, 2], 200), [3]])[:, None]
    result = explicitness(Codes(level.astype(float)), Factors(level, ("shape",), (4,)))
    assert "shape = 3" in result.details["excluded"]
    assert np.isnan(result.details["auc_per_value"]["shape"][3])
    assert np.isfinite(result.value)


def test_discrete_latents_are_read_by_their_categories():
    shuffled = np.random.default_rng(0).permutation(8)[FACTORS.values[:, 2]][:, None]
    result = explicitness(Codes(np.zeros((len(FACTORS), 0)), discrete=shuffled))
    assert result.details["auc_per_factor"][2] == 1.0


def test_unknown_classifier_is_refused():
    with pytest.raises(
        ValueError, match="classifier must be 'one_vs_rest' or 'multinomial', got 'svm'"
    ):
        explicitness(CODES, classifier="svm")
