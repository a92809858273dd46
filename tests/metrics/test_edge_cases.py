"""Input at the edge of what makes sense gets a number or a reason, never a library's error."""

import math

import numpy as np
import pytest
from metric_references import grid_factors

from metrics import Codes, Factors, names, score
from metrics.registry import METRICS

FACTORS = grid_factors(3, 4, 5)
REPEATED = Factors(np.repeat(FACTORS.values, 5, axis=0), FACTORS.names, FACTORS.sizes)
LEVELS = FACTORS.values / np.array([1.0, 2.0, 3.0])


def needs_of(name):
    return METRICS[name.partition(".")[0]].needs


# Metrics that need no images and take less than minutes.
OF_CODES = [
    name
    for name in names()
    if not needs_of(name) & {"images", "reconstructions"}
    and name not in ("dci.published", "density_ratio_tc")
]

SUPERVISED = [name for name in OF_CODES if "factors" in needs_of(name)]


def score_without_reference(name, codes, factors=REPEATED, **options):
    needs = needs_of(name)
    if "discrete" in needs and codes.discrete is None:
        codes = Codes(codes.mean, codes.logvar, factors.values)
    others = {"others": (codes, codes)} if "others" in needs else {}
    return score(name, codes, factors, reference=False, **others, **options)


def has_number_or_reason(result):
    return math.isfinite(result.value) or result.reason


def five_rows_each(column):
    return np.repeat(column, 5, axis=0)


@pytest.mark.parametrize("name", OF_CODES)
@pytest.mark.parametrize("logvar", [-300.0, -100.0, 300.0])
def test_the_sharpest_and_the_broadest_posteriors_get_a_number(name, logvar):
    codes = Codes(five_rows_each(LEVELS), np.full((300, 3), logvar))
    assert has_number_or_reason(score_without_reference(name, codes))


@pytest.mark.parametrize("name", OF_CODES)
@pytest.mark.parametrize("value", [0.1, 1000.1])
def test_constant_codes_of_any_value_get_a_number(name, value):
    codes = Codes(np.full((300, 3), value), np.full((300, 3), -100.0))
    assert has_number_or_reason(score_without_reference(name, codes))


@pytest.mark.parametrize("name", SUPERVISED)
def test_constant_factors_leave_a_reason_with_discrete_codes_too(name):
    constant = Factors(np.zeros_like(REPEATED.values), FACTORS.names, FACTORS.sizes)
    codes = Codes(five_rows_each(LEVELS), np.zeros((300, 3)), REPEATED.values)
    result = score_without_reference(name, codes, constant)
    assert result.details["reason"]
    assert result.reason == result.details["reason"]


@pytest.mark.parametrize("name", OF_CODES)
def test_numpys_global_stream_is_not_used(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    score_without_reference(name, Codes(five_rows_each(LEVELS), np.full((300, 3), -4.0)))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("name", ["sap", "dci", "modularity", "explicitness", "mig_hist20"])
def test_codes_without_a_latent_are_refused_in_our_words(name):
    with pytest.raises(ValueError, match="needs at least one latent"):
        score(name, Codes(np.zeros((60, 0))), FACTORS)


def test_log_variances_beyond_floats_are_refused():
    with pytest.raises(
        ValueError, match=r"codes.logvar must lie within \+-300 .* got values from -800 to -800"
    ):
        Codes(np.zeros((2, 1)), np.full((2, 1), -800.0))


@pytest.mark.parametrize("name", ["med", "modularity.posterior"])
def test_rounding_of_an_integral_is_no_knowledge(name):
    # I = 0: all posteriors are practically the same. The integral leaves 1e-15, and the shares of
    # such numbers could be anything.
    codes = Codes(np.random.default_rng(0).standard_normal((300, 3)), np.full((300, 3), 30.0))
    result = score_without_reference(name, codes)
    assert result.value == 0.0
    assert result.reason


def test_a_ceiling_depends_on_the_sizes_of_the_factors():
    larger = Factors(FACTORS.values, FACTORS.names, (3, 40, 50))
    codes = Codes(LEVELS, np.full((60, 3), -9.0))
    # H is ln of the declared sizes, so the other two factors reach ln 4 / ln 40 and ln 5 / ln 50.
    assert score("mig_chen4", codes, FACTORS).ceiling == pytest.approx(1.0, abs=1e-3)
    expected = (1 + math.log(4) / math.log(40) + math.log(5) / math.log(50)) / 3
    assert score("mig_chen4", codes, larger).ceiling == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["mig_hist20", "mig_sup.histogram", "med.histogram", "mig"])
def test_a_row_of_weight_zero_does_not_count(name):
    rng = np.random.default_rng(0)
    mean = LEVELS + 0.3 * rng.standard_normal(LEVELS.shape)
    weights = np.ones(61)
    weights[60] = 0
    with_far_row = Codes(
        np.vstack([mean, [[8.0, 8, 8]]]),
        np.full((61, 3), -4.0),
        np.append(FACTORS.values[:, 0], 9)[:, None],
    )
    factors_with_far_row = Factors(
        np.vstack([FACTORS.values, [[0, 0, 0]]]), FACTORS.names, FACTORS.sizes, weights
    )
    codes = Codes(mean, np.full((60, 3), -4.0), FACTORS.values[:, :1])
    with_row = score_without_reference(name, with_far_row, factors_with_far_row).value
    without_row = score_without_reference(name, codes, FACTORS).value
    assert with_row == pytest.approx(without_row, abs=1e-12)


def test_constant_latents_have_no_correlation():
    line = np.random.default_rng(0).standard_normal((300, 2))
    # The mean of each of these columns differs from its values in the last bit.
    constants = np.full((300, 3), [0.1, 0.3, 1000.1])
    varying = score("gaussian_tc", Codes(line, np.full((300, 2), -60.0)))
    all_latents = Codes(np.hstack([line, constants]), np.full((300, 5), -60.0))
    with_constants = score("gaussian_tc", all_latents)
    assert with_constants.value == pytest.approx(varying.value, abs=1e-9)
    assert with_constants.details["means"] == pytest.approx(varying.details["means"], abs=1e-9)


def test_sampled_information_is_not_cut_off_where_it_saturates():
    # Cut off at H(v), the mean over seeds would lie .4 of its standard error below the truth.
    codes = Codes(five_rows_each(LEVELS) * 10, np.full((300, 3), -6.0))
    results = [
        score("mig.monte_carlo", codes, REPEATED, seed=s, samples=100, reference=False)
        for s in range(40)
    ]
    best = np.array([result.details["mutual_information"].max(axis=0) for result in results])
    exact = score("mig", codes, REPEATED, reference=False)
    truth = exact.details["mutual_information"].max(axis=0)
    error = best.std(axis=0, ddof=1) / math.sqrt(40)
    assert (np.abs(best.mean(axis=0) - truth) < 4 * error + 1e-9).all()
    assert (best.max(axis=0) > np.log([3, 4, 5])).any()
    assert all(result.value <= 1 for result in results)


def test_neighbouring_floats_can_be_cut_into_bins():
    column = np.where(
        np.arange(300) % 2, np.float32(1000), np.nextafter(np.float32(1000), np.float32(1001))
    )
    codes = Codes(column[:, None].astype(np.float32))
    assert has_number_or_reason(score_without_reference("mig_hist20.dlib", codes))
