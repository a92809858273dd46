import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from metrics import Codes, Factors, score
from metrics.prediction.row_splits import held_out
from metrics.reference.built_in_codes import factor_codes

DSPRITES = (3, 6, 40, 32, 32)
FACTORS = grid_factors(3, 4, 8, 6)
CODES = noisy_codes(FACTORS, latents=5, seed=0)


def drawn(rows, sizes=DSPRITES):
    rng = np.random.default_rng(0)
    values = np.stack([rng.integers(0, size, rows) for size in sizes], axis=1)
    return Factors(values, ("shape", "scale", "orientation", "pos_x", "pos_y"), sizes)


def sap(codes, factors, variant="", **options):
    return score(f"sap{variant}", codes, factors, reference=False, **options)


def test_the_factors_themselves_score_one_on_all_of_dsprites():
    size = int(np.prod(DSPRITES))
    values = np.stack(np.unravel_index(np.arange(size), DSPRITES), axis=1)
    factors = Factors(values, ("shape", "scale", "orientation", "pos_x", "pos_y"), DSPRITES)
    assert sap(Codes(values.astype(np.float32)), factors).value == pytest.approx(1.0, abs=1e-9)


def test_on_10_000_draws_the_factors_score_a_little_less():
    factors = drawn(10_000)
    # The second best has R² of chi²(1) / N by chance, 2 to 3 / 10,000 for the best of four.
    # Measured: .9994 to .9996.
    assert 0.9990 < sap(factor_codes(factors), factors).value < 0.9999


def test_predictability_is_the_squared_correlation():
    means = Codes(CODES.mean)  # without posteriors no latent that varies is dead
    predictability = sap(means, FACTORS).details["predictability"]
    both = np.concatenate([CODES.mean.astype(float), FACTORS.values], axis=1)
    expected = np.corrcoef(both, rowvar=False)[:5, 5:] ** 2
    np.testing.assert_allclose(predictability, expected, atol=1e-12)


def test_a_discrete_latent_predicts_by_its_categories():
    rng = np.random.default_rng(0)
    category = (FACTORS.values[:, 2:3] + rng.integers(0, 3, (len(FACTORS), 1))) % 5
    result = sap(Codes(CODES.mean[:, :0], discrete=category), FACTORS)
    indicators = np.eye(5)[category[:, 0]]
    expected = []
    for column in FACTORS.values.T:
        model = LinearRegression().fit(indicators, column)
        expected.append(model.score(indicators, column))
    np.testing.assert_allclose(result.details["predictability"][0], expected, atol=1e-12)


def test_categories_in_any_order_predict_a_factor_completely():
    shuffled = np.random.default_rng(0).permutation(8)[FACTORS.values[:, 2]][:, None]
    result = sap(Codes(CODES.mean[:, :0], discrete=shuffled), FACTORS)
    np.testing.assert_allclose(result.details["gaps"], [0, 0, 1, 0], atol=1e-12)
    assert sap(Codes(shuffled.astype(float)), FACTORS).value < 0.2  # as a number it predicts less


def test_levels_count_as_numbers():
    # The code of an ordered factor of three levels, centred: -1, 0, 1. Renaming 0 <-> 1 leaves
    # R² = (1/2)² = .25.
    level = np.tile([0, 1, 2], 10)
    renamed = np.array([1, 0, 2])[level]
    code = Codes(level.astype(float)[:, None])
    assert sap(code, Factors(level[:, None], ("a",), (3,))).value == pytest.approx(1.0)
    assert sap(code, Factors(renamed[:, None], ("a",), (3,))).value == pytest.approx(0.25)


def test_a_latent_below_the_least_variance_predicts_nothing():
    level = FACTORS.values[:, :1].astype(float)
    assert sap(Codes(1e-7 * level), FACTORS).value == 0.0  # variance below 1e-14
    assert sap(Codes(1e-5 * level), FACTORS).value == pytest.approx(1 / 4)  # one factor of four


@pytest.mark.parametrize(
    ("scale", "train_rows", "test_rows", "expected"),
    [
        (1.0, 10_000, 5_000, 0.2452),
        (0.1, 10_000, 5_000, 0.1808),
        (1.0, 1_000, 500, 0.1488),
        (0.03, 10_000, 5_000, 0.1158),
    ],
)
def test_negative_control_the_classifier_form_misjudges_ordered_codes(
    scale, train_rows, test_rows, expected
):
    # The expected values are recorded, not derived: perfect codes at several scales and sizes.
    # Linear classifiers of one number cannot separate 40 levels, and the penalty C = .01 makes the
    # score depend on the scale, too. R² gives 1 - O(1 / N) for each.
    factors = drawn(15_000)
    codes = Codes(scale * factor_codes(factors).mean)
    result = sap(codes, factors, ".dlib", train_rows=train_rows, test_rows=test_rows)
    assert result.value == pytest.approx(expected, abs=0.01)  # releases of liblinear differ
    assert sap(codes, factors).value > 0.999


def test_classifier_form_agrees_with_the_published_dual_solution():
    result = sap(CODES, FACTORS, ".dlib", train_rows=384, test_rows=192)
    train, test = held_out(
        "sap", len(FACTORS), train_rows=384, test_rows=192, rng=np.random.default_rng(0)
    )
    x = CODES.mean[:, 1:2].astype(float)
    model = LinearSVC(C=0.01, class_weight="balanced", dual=True, max_iter=20_000, random_state=0)
    model.fit(x[train], FACTORS.values[train, 1])
    accuracy = model.score(x[test], FACTORS.values[test, 1])
    # Both solvers stop at a tolerance, so two rows near a boundary may differ.
    assert result.details["predictability"][1, 1] == pytest.approx(accuracy, abs=2 / 192)


def test_classifier_form_has_a_standard_error_and_reads_discrete_latents():
    result = sap(Codes(CODES.mean[:, :0], discrete=FACTORS.values), FACTORS, ".dlib")
    np.testing.assert_allclose(np.diag(result.details["predictability"]), 1.0)
    assert 0 < result.error < 0.03  # sqrt(4 x .2 / 192) / 4


def test_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="protocol must be 'r2' or 'dlib', got 'svm'"):
        sap(CODES, FACTORS, protocol="svm")
