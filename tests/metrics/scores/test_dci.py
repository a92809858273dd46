import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes, sharp_codes
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.preprocessing import StandardScaler

from metrics import Codes, Factors, score
from metrics.prediction.row_splits import held_out, one_thread

MODELS = ("forest", "boosting", "published", "lasso", "linear")
FACTORS = grid_factors(5, 4, 6, 5)
CODES = noisy_codes(FACTORS, latents=6, seed=0)


def dci(codes, factors, **options):
    return score("dci", codes, factors, reference=False, **options)


def halves(codes, factors):
    """Return training and test rows as the metric draws them at seed 0, sizes (300, 300)."""
    rows = held_out(
        "dci", len(factors), train_rows=300, test_rows=300, rng=np.random.default_rng(0)
    )
    return [(codes.mean[part].astype(float), factors.values[part]) for part in rows]


def noise(rows, latents=4, seed=0):
    return Codes(np.random.default_rng(seed).standard_normal((rows, latents)))


@pytest.mark.parametrize("model", MODELS)
def test_codes_that_are_the_factors(model):
    result = dci(sharp_codes(FACTORS.values), FACTORS, model=model)
    assert result.value == pytest.approx(1.0, abs=1e-9)
    assert result.details["completeness"] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_each_code_mixing_two_factors_disentangles_less(model):
    factors = grid_factors(5, 5, 8)
    level = factors.values.astype(float)
    mixed = np.stack([level[:, 0] + level[:, 1], level[:, 0] - level[:, 1], level[:, 2]], axis=1)
    # Codes 0 and 1 each depend on two of three factors: 1 - log3 2 = .369 with two thirds of the
    # weight, so about .58.
    assert 0.5 < dci(Codes(mixed), factors, model=model).value < 0.7


@pytest.mark.parametrize("model", ["forest", "boosting", "published"])
def test_classifiers_report_accuracy_and_error_under_their_names(model):
    details = dci(sharp_codes(FACTORS.values), FACTORS, model=model).details
    # A published library calls the first number an error.
    assert (details["accuracy"], details["prediction_error"]) == (1.0, 0.0)
    noisy = dci(CODES, FACTORS, model=model).details
    np.testing.assert_allclose(noisy["prediction_errors"] + noisy["accuracies"], 1.0)


@pytest.mark.parametrize("model", ["lasso", "linear"])
def test_regressions_report_error_relative_to_guessing_the_mean(model):
    details = dci(CODES, FACTORS, model=model).details
    assert 0 < details["prediction_error"] < 1
    np.testing.assert_allclose(details["prediction_errors"] ** 2, 1 - details["r2_per_factor"])
    blind = dci(noise(len(FACTORS)), FACTORS, model=model).details
    # Four weights are fitted to 240 rows: a little overfitting.
    assert blind["prediction_error"] == pytest.approx(1.0, abs=0.05)
    assert "accuracy" not in details


@pytest.mark.parametrize("model", ["boosting", "lasso"])
def test_noise_has_no_importance(model):
    result = dci(noise(len(FACTORS)), FACTORS, model=model)
    assert result.value == 0.0
    assert result.details["reason"] == "no latent carries importance for any factor"


def test_importance_by_permutation_agrees_with_scikit_learn():
    options = {"train_rows": 300, "test_rows": 300, "trees": 20, "min_leaf": 5, "repeats": 8}
    ours = dci(CODES, FACTORS, model="boosting", **options).details["importance"]
    (x, y), (x_test, y_test) = halves(CODES, FACTORS)
    for k in range(len(FACTORS.names)):
        model = HistGradientBoostingClassifier(
            max_iter=20, min_samples_leaf=5, early_stopping=False, random_state=0
        )
        with one_thread():
            model.fit(x, y[:, k])
            rise = permutation_importance(
                model, x_test, y_test[:, k], scoring="neg_log_loss", n_repeats=8, random_state=1
            ).importances_mean.clip(min=0)
        # They draw other permutations, and do not set the importance of noise to 0.
        np.testing.assert_allclose(ours[:, k], rise / rise.sum(), atol=0.03)


def test_permutation_gives_the_known_disentanglement_and_impurity_credits_noise():
    # Latents 0 and 1 are one factor each, latent 2 encodes two, and six latents are noise:
    # D = 1/2 + 1/2 (1 - log4 2) = .75.
    rng = np.random.default_rng(0)
    factors = Factors(rng.integers(0, 8, (4000, 4)), ("a", "b", "c", "d"), (8, 8, 8, 8))
    level = factors.values.astype(float)
    blended = np.stack([level[:, 0], level[:, 1], 8 * level[:, 2] + level[:, 3]], axis=1)
    mean = np.concatenate(
        [blended + 0.8 * rng.standard_normal((4000, 3)), rng.standard_normal((4000, 6))], axis=1
    )
    by_permutation = dci(Codes(mean), factors, model="boosting", trees=10, min_leaf=20)
    assert by_permutation.value == pytest.approx(0.75, abs=0.005)
    # The leaves of the forest have five rows.
    assert score("dci.forest", Codes(mean), factors, reference=False).value < 0.5


def test_published_form_is_gradient_boosting_with_defaults():
    result = score(
        "dci.published", CODES, FACTORS, reference=False, train_rows=300, test_rows=300, trees=5
    )
    (x, y), (x_test, y_test) = halves(CODES, FACTORS)
    model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(x, y[:, 1])
    np.testing.assert_allclose(result.details["importance"][:, 1], model.feature_importances_)
    assert result.details["accuracies"][1] == model.score(x_test, y_test[:, 1])


@pytest.mark.parametrize("model", [LinearRegression(), Lasso(alpha=0.1)])
def test_weights_are_those_of_scikit_learn_on_standard_units(model):
    name = type(model).__name__.removesuffix("Regression").lower()
    means = Codes(CODES.mean)  # without posteriors no latent that varies is dead
    ours = dci(means, FACTORS, model=name, alpha=0.1, train_rows=300, test_rows=300).details
    (x, y), (x_test, y_test) = halves(CODES, FACTORS)
    scale = StandardScaler().fit(x)
    level = (y[:, 2] - y[:, 2].mean()) / y[:, 2].std()
    model.fit(scale.transform(x), level)
    np.testing.assert_allclose(ours["importance"][:, 2], np.abs(model.coef_), atol=1e-6)
    rest = (y_test[:, 2] - y[:, 2].mean()) / y[:, 2].std()
    expected = np.mean((rest - model.predict(scale.transform(x_test))) ** 2) / np.mean(rest**2)
    assert ours["prediction_errors"][2] ** 2 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_importance_of_a_discrete_latent_is_that_of_its_categories_together(model):
    # Latent 0 is factor 0 in numbers; latent 1 is factor 1 by names, in no order.
    factors = grid_factors(6, 5, names=("a", "b"))
    factors = Factors(np.repeat(factors.values, 10, axis=0), factors.names, factors.sizes)
    codes = Codes(
        factors.values[:, :1].astype(float),
        discrete=np.array([[3], [0], [4], [1], [2]])[factors.values[:, 1], 0][:, None],
    )
    result = dci(codes, factors, model=model)
    assert result.details["importance"].shape == (2, 2)
    assert result.value == pytest.approx(
        1.0, abs=0.02
    )  # regression weights of an independent latent: 1 / sqrt(180)


@pytest.mark.parametrize("model", MODELS)
def test_codes_may_be_discrete_only(model):
    codes = Codes(np.zeros((len(FACTORS), 0)), discrete=FACTORS.values)
    # Not 1: the indicators give a regression more columns than it can weight well.
    assert dci(codes, FACTORS, model=model).value > 0.8


def test_a_factor_that_no_latent_predicts_counts_in_the_base():
    factors = grid_factors(4, 4, 4)
    factors = Factors(np.repeat(factors.values, 5, axis=0), factors.names, factors.sizes)
    # It encodes the first two factors, and does not depend on the third.
    both = factors.values[:, :1] * 4.0 + factors.values[:, 1:2]
    result = dci(Codes(both), factors, model="boosting")
    assert result.value == pytest.approx(1 - np.log(2) / np.log(3), abs=1e-9)


def test_completeness_of_active_latents_does_not_grow_with_dead_ones():
    level = FACTORS.values.astype(float)
    twice = Codes(np.concatenate([level, level, np.zeros((len(level), 8))], axis=1))
    details = dci(twice, FACTORS, model="linear").details
    # Every factor is on 2 of 8 active latents equally, of 16 in all: 1 - log8 2 = 2/3 and
    # 1 - log16 2 = 3/4.
    assert details["completeness_active"] == pytest.approx(2 / 3, abs=1e-9)
    assert details["completeness"] == pytest.approx(3 / 4, abs=1e-9)


def test_completeness_is_weighted_by_importance_and_comes_with_the_unweighted_mean():
    # Factor 0 is in latent 0 only. Factor 1 is on both latents, under much noise, so that its share
    # of importance is small.
    rng = np.random.default_rng(0)
    factors = Factors(rng.integers(0, 9, (4000, 2)), ("known", "faint"), (9, 9))
    level = factors.values - 4.0
    blend = np.stack([level[:, 0], 0.1 * level[:, 1] + rng.standard_normal(4000)], axis=1)
    codes = Codes(blend @ np.array([[1.0, 0.0], [1.0, 1.0]]))
    details = dci(codes, factors, model="linear").details
    each = details["completeness_per_factor"]
    assert details["completeness_mean"] == pytest.approx(each.mean())
    share = details["importance"].sum(axis=0) / details["importance"].sum()
    assert details["completeness"] == pytest.approx(share @ each)
    assert abs(details["completeness"] - details["completeness_mean"]) > 0.01


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"model": "svm"},
            "model must be one of forest, boosting, published, lasso, linear, got 'svm'",
        ),
        ({"trees": 0}, "must be >= 1, got 0, 20 and 3"),
        ({"alpha": -1.0}, "alpha must be > 0"),
        ({"test_rows": 0}, "train_rows and test_rows must be >= 1"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        dci(CODES, FACTORS, **options)


def test_a_single_row_is_refused():
    with pytest.raises(ValueError, match="at least 2 rows"):
        dci(Codes(np.zeros((1, 2))), grid_factors(1))
