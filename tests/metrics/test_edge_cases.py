"""Input at the edge of what makes sense: a number or a reason, never another library's error."""

import math

import numpy as np
import pytest
from metric_references import grid_factors

from metrics import Codes, Factors, names, score
from metrics.registry import METRICS

FACTORS = grid_factors(3, 4, 5)
REPEATED = Factors(np.repeat(FACTORS.values, 5, axis=0), FACTORS.names, FACTORS.sizes)
LEVELS = FACTORS.values / np.array([1.0, 2.0, 3.0])
# What neither needs images nor costs minutes.
OF_CODES = [
    name
    for name in names()
    if not METRICS[name.partition(".")[0]].needs & {"images", "reconstructions"}
    and name not in ("dci.published", "density_ratio_tc")
]

SUPERVISED = [name for name in OF_CODES if "factors" in METRICS[name.partition(".")[0]].needs]


def plain(name, codes, factors=REPEATED, **options):
    needs = METRICS[name.partition(".")[0]].needs
    if "discrete" in needs and codes.discrete is None:
        codes = Codes(codes.mean, codes.logvar, factors.values)
    others = {"others": (codes, codes)} if "others" in needs else {}
    return score(name, codes, factors, reference=False, **others, **options)


def said(result):
    return math.isfinite(result.value) or result.details["reason"]


def wide(column):
    return np.repeat(column, 5, axis=0)


@pytest.mark.parametrize("name", OF_CODES)
@pytest.mark.parametrize("logvar", [-300.0, -100.0, 300.0])
def test_the_sharpest_and_the_broadest_posteriors_get_a_number(name, logvar):
    assert said(plain(name, Codes(wide(LEVELS), np.full((300, 3), logvar))))


@pytest.mark.parametrize("name", OF_CODES)
@pytest.mark.parametrize("value", [0.1, 1000.1])
def test_constant_codes_of_any_value_get_a_number(name, value):
    assert said(plain(name, Codes(np.full((300, 3), value), np.full((300, 3), -100.0))))


@pytest.mark.parametrize("name", SUPERVISED)
def test_factors_that_are_all_constant_leave_a_reason_with_discrete_codes_too(name):
    flat = Factors(np.zeros_like(REPEATED.values), FACTORS.names, FACTORS.sizes)
    assert plain(name, Codes(wide(LEVELS), np.zeros((300, 3)), REPEATED.values), flat).details[
        "reason"
    ]


@pytest.mark.parametrize("name", OF_CODES)
def test_numpys_own_stream_is_left_alone(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    plain(name, Codes(wide(LEVELS), np.full((300, 3), -4.0)))
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
    # I = 0: every posterior is the same, or as good as. The integral leaves 1e-15, and its shares could be anything.
    codes = Codes(np.random.default_rng(0).standard_normal((300, 3)), np.full((300, 3), 30.0))
    result = plain(name, codes)
    assert result.value == 0.0
    assert result.details["reason"]


def test_sizes_of_factors_are_part_of_what_a_ceiling_belongs_to():
    more = Factors(FACTORS.values, FACTORS.names, (3, 40, 50))
    codes = Codes(LEVELS, np.full((60, 3), -9.0))
    # H is ln of the declared sizes: ln 4 / ln 40 and ln 5 / ln 50 of the other two factors can be had.
    assert score("mig_chen4", codes, FACTORS).ceiling == pytest.approx(1.0, abs=1e-3)
    expected = (1 + math.log(4) / math.log(40) + math.log(5) / math.log(50)) / 3
    assert score("mig_chen4", codes, more).ceiling == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["mig_hist20", "mig_sup.histogram", "med.histogram", "mig"])
def test_a_row_of_no_weight_is_not_there(name):
    rng = np.random.default_rng(0)
    mean = LEVELS + 0.3 * rng.standard_normal(LEVELS.shape)
    weights = np.ones(61)
    weights[60] = 0
    far = Codes(
        np.vstack([mean, [[8.0, 8, 8]]]),
        np.full((61, 3), -4.0),
        np.append(FACTORS.values[:, 0], 9)[:, None],
    )
    more = Factors(np.vstack([FACTORS.values, [[0, 0, 0]]]), FACTORS.names, FACTORS.sizes, weights)
    near = Codes(mean, np.full((60, 3), -4.0), FACTORS.values[:, :1])
    assert plain(name, far, more).value == pytest.approx(
        plain(name, near, FACTORS).value, abs=1e-12
    )


def test_constant_latents_have_no_correlation():
    line = np.random.default_rng(0).standard_normal((300, 2))
    constants = np.full((300, 3), [0.1, 0.3, 1000.1])  # whose mean is off by one in the last bit
    plain_tc = score("gaussian_tc", Codes(line, np.full((300, 2), -60.0)))
    more = score("gaussian_tc", Codes(np.hstack([line, constants]), np.full((300, 5), -60.0)))
    assert more.value == pytest.approx(plain_tc.value, abs=1e-9)
    assert more.details["means"] == pytest.approx(plain_tc.details["means"], abs=1e-9)


def test_sampled_information_is_not_cut_off_where_it_saturates():
    # Cut at H(v), each factor's mean over seeds would lie .4 of its standard error below the truth.
    codes = Codes(wide(LEVELS) * 10, np.full((300, 3), -6.0))
    found = [
        score("mig.monte_carlo", codes, REPEATED, seed=s, samples=100, reference=False)
        for s in range(40)
    ]
    best = np.array([result.details["mutual_information"].max(axis=0) for result in found])
    truth = score("mig", codes, REPEATED, reference=False).details["mutual_information"].max(axis=0)
    error = best.std(axis=0, ddof=1) / math.sqrt(40)
    assert (np.abs(best.mean(axis=0) - truth) < 4 * error + 1e-9).all()
    assert (best.max(axis=0) > np.log([3, 4, 5])).any()
    assert all(result.value <= 1 for result in found)


def test_neighbouring_floats_can_be_cut_into_bins():
    column = np.where(
        np.arange(300) % 2, np.float32(1000), np.nextafter(np.float32(1000), np.float32(1001))
    )
    assert said(plain("mig_hist20.dlib", Codes(column[:, None].astype(np.float32))))
