import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes
from sklearn.metrics import mutual_info_score

from metrics import Codes, Factors, score

FACTORS = grid_factors(3, 6, 10, names=("shape", "scale", "orientation"))
CODES = noisy_codes(FACTORS, latents=4, seed=0)


def run(name, codes=CODES, factors=FACTORS, **options):
    return score(name, codes, factors, reference=False, **options)


@pytest.mark.parametrize("name", ["mig", "mig_hist20"])
def test_entropy_weighting_is_all_gaps_in_nats_over_all_entropies(name):
    unweighted, weighted = run(name), run(f"{name}.entropy_weighted")
    gaps, entropies = unweighted.details["gaps"], unweighted.details["entropies"]
    assert unweighted.value == pytest.approx(gaps.mean())
    assert weighted.value == pytest.approx((gaps * entropies).sum() / entropies.sum())
    assert weighted.identity["average"] == "entropy"


def test_chens_mean_leaves_the_shape_out():
    ours, all_factors = run("mig_chen4"), run("mig")
    # On a whole grid ln V = H.
    assert ours.value == pytest.approx(all_factors.details["gaps"][1:].mean())
    assert ours.identity["left_out"] == ["shape"]
    assert ours.identity["scored"] == ["scale", "orientation"]
    assert "left out by name" in ours.details["excluded"]["shape"]


def test_chens_mean_without_a_shape_is_over_all_factors():
    factors = grid_factors(3, 6, 10)
    ours = run("mig_chen4", factors=factors)
    assert ours.value == pytest.approx(run("mig", factors=factors).value)
    assert ours.identity["left_out"] == []


def test_other_names_may_be_left_out():
    ours = run("mig_chen4", leave_out=("scale", "shape"))
    assert ours.identity["scored"] == ["orientation"]
    nothing = run("mig_chen4", leave_out=FACTORS.names)
    assert np.isnan(nothing.value)
    assert nothing.details["reason"] == "no factor is left to score"


def test_chens_entropies_are_of_the_whole_data_set():
    # Half of the orientations: H = ln 5, but V = 10.
    rows = np.flatnonzero(FACTORS.values[:, 2] < 5)
    factors = Factors(FACTORS.values[rows], FACTORS.names, FACTORS.sizes)
    codes = Codes(CODES.mean[rows], CODES.logvar[rows])
    ours, by_rows = run("mig_chen4", codes, factors), run("mig", codes, factors)
    np.testing.assert_allclose(ours.details["entropies"], np.log([3, 6, 10]))
    np.testing.assert_allclose(ours.details["entropies_of_rows"], np.log([3, 6, 5]))
    expected = by_rows.details["gaps"][2] * np.log(5) / np.log(10)
    assert ours.details["gaps"][2] == pytest.approx(expected)


def mig_by_sklearn(mean, values, bins=20):
    """Return the gap with bins by numpy's histogram and information by scikit-learn."""
    cut = [np.digitize(column, np.histogram(column, bins)[1][:-1]) for column in mean.T]
    table = np.array([[mutual_info_score(level, code) for level in values.T] for code in cut])
    entropies = [mutual_info_score(level, level) for level in values.T]
    top = np.sort(table, axis=0)[::-1]
    return np.mean((top[0] - top[1]) / entropies)


def test_protocol_of_disentanglement_lib_agrees_with_numpy_and_scikit_learn():
    ours = score("mig_hist20.dlib", CODES, FACTORS, seed=5, reference=False)
    rows = np.random.default_rng(5).choice(len(CODES), size=10_000)  # with replacement
    theirs = mig_by_sklearn(CODES.mean[rows], FACTORS.values[rows])
    assert ours.value == pytest.approx(theirs, abs=1e-12)
    assert ours.error == ours.details["draw_error"] + ours.details["few_rows"]


def test_all_rows_agree_with_scikit_learn():
    # Without posteriors no latent that varies is dead.
    ours = score("mig_hist20", Codes(CODES.mean), FACTORS, bins=13).value
    assert ours == pytest.approx(mig_by_sklearn(CODES.mean, FACTORS.values, bins=13), abs=1e-12)


def test_standard_error_of_the_draw_agrees_with_repeated_draws():
    runs = [
        score("mig_hist20.dlib", CODES, FACTORS, seed=s, rows=2000, reference=False)
        for s in range(100)
    ]
    spread = np.std([run.value for run in runs], ddof=1)
    # The spread of 100 draws has an error of 7 %.
    errors = [run.details["draw_error"] for run in runs]
    assert np.mean(errors) == pytest.approx(spread, rel=0.3)


def test_a_constant_factor_is_excluded_in_the_protocol_of_disentanglement_lib():
    values = np.concatenate([FACTORS.values, np.zeros((len(FACTORS), 1), np.int64)], axis=1)
    more = Factors(values, (*FACTORS.names, "colour"), (*FACTORS.sizes, 1))
    ours = run("mig_hist20.dlib", factors=more)
    assert ours.value == run("mig_hist20.dlib").value
    assert list(ours.details["excluded"]) == ["colour"]


def test_discrete_codes_are_latents_of_every_estimator():
    codes = Codes(CODES.mean, CODES.logvar, FACTORS.values[:, :1])  # the shape itself
    for name in ("mig", "mig_hist20", "mig_hist20.dlib", "mig_chen4"):
        matrix = run(name, codes).details["mutual_information"]
        assert matrix.shape == (5, 3)
        # The levels of a draw are not equally frequent.
        np.testing.assert_allclose(matrix[4, 0], np.log(3), atol=2e-3)


def test_codes_may_be_discrete_only():
    none = np.zeros((len(FACTORS), 0), np.float32)
    codes = Codes(none, none, FACTORS.values)
    names = ["mig", "mig.monte_carlo", "mig_hist20", "mig_hist20.dlib"]
    names += ["mig_sup", "rmig", "jemmig", "med"]
    for name in names:
        # The protocol of disentanglement_lib counts the rows of a draw.
        assert run(name, codes).value == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "mig",
            {"estimator": "histogram"},
            "estimator must be one of quadrature, monte_carlo, got 'histogram'",
        ),
        ("mig", {"average": "mean"}, "average must be one of factors, entropy, got 'mean'"),
        (
            "mig_hist20",
            {"protocol": "paper"},
            "protocol must be one of all_rows, dlib, got 'paper'",
        ),
        ("mig_hist20.dlib", {"rows": 1}, "need rows >= 2 and bins >= 1, got 1 rows"),
        (
            "mig_sup",
            {"estimator": "ksg"},
            "estimator must be one of quadrature, monte_carlo, histogram, got 'ksg'",
        ),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        run(name, **options)
