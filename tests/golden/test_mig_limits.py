"""Codes with a known gap, and two published mistakes that these tests detect."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from metrics import Codes, Factors, score

DSPRITES = (3, 6, 40, 32, 32)


def grid(*sizes, constant=False):
    axes = np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij")
    values = np.stack([axis.ravel() for axis in axes], axis=1)
    if constant:
        values = np.concatenate([values, np.zeros((len(values), 1), dtype=values.dtype)], axis=1)
        sizes = (*sizes, 1)
    return Factors(values, tuple(f"factor{k}" for k in range(len(sizes))), sizes)


def identity(factors, std=0.005):
    top = np.maximum(factors.values.max(axis=0), 1)
    mean = 2 * factors.values / top - 1.0
    return Codes(mean, np.full_like(mean, 2 * np.log(std)))


def with_mean(codes, mean):
    return Codes(np.ascontiguousarray(mean), np.full_like(mean, codes.logvar.flat[0]))


def gap(name, codes, factors, **options):
    return score(name, codes, factors, reference=False, **options)


def test_one_to_one_code_scores_one():
    factors = grid(3, 6, 10, 4)
    assert gap("mig", identity(factors), factors).value == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("std", "share"), [(0.02, 0.873), (0.01, 0.992), (0.005, 1.000)])
def test_gap_of_forty_levels_depends_on_the_width_of_the_posterior(std, share):
    factors = grid(40)
    value = gap("mig", identity(factors, std), factors).value
    assert value == pytest.approx(share, abs=6e-4)  # three digits


def plug_in_share(levels, bins):
    """Return I(bin; level) / H(level) = H(bin) / ln(levels), for equally frequent levels."""
    level = np.arange(levels)
    bin_of = np.minimum(np.floor(level * bins / (levels - 1)), bins - 1)
    p = np.unique(bin_of, return_counts=True)[1] / levels
    return -(p * np.log(p)).sum() / np.log(levels)


@pytest.mark.parametrize(
    ("bins", "five", "four"), [(20, 0.9024, 0.8780), (10, 0.7897, 0.7372), (40, 1.0, 1.0)]
)
def test_histogram_ceiling_on_dsprites(bins, five, four):
    # The gap of an identity code is I/H, because on the complete grid all other latents are
    # independent of the factor. So the mean of `plug_in_share` over factors is the ceiling of the
    # complete data set, and its 737,280 rows need not be scored.
    shares = [plug_in_share(levels, bins) for levels in DSPRITES]
    assert_allclose([np.mean(shares), np.mean(shares[1:])], [five, four], atol=5e-5)


@pytest.mark.parametrize(("bins", "five"), [(20, 0.9024), (10, 0.7897), (40, 1.0)])
def test_ceilings_of_small_grids_add_up_to_that_of_dsprites(bins, five):
    # The gap of a factor does not depend on the other factors of the grid. So two small grids show
    # the gaps of four of the five factors; that of y is calculated.
    shape_scale, orientation_x = grid(3, 6), grid(40, 32)
    first = score("mig_hist20", identity(shape_scale), shape_scale, bins=bins).ceiling
    second = score("mig_hist20", identity(orientation_x), orientation_x, bins=bins).ceiling
    y = plug_in_share(32, bins)
    assert (2 * first + 2 * second + y) / 5 == pytest.approx(five, abs=5e-5)


def test_ceiling_and_chance_on_all_of_dsprites():
    factors = grid(*DSPRITES)
    ours = score("mig_hist20", Codes(np.zeros((len(factors), 1), np.float32)), factors)
    assert ours.ceiling == pytest.approx(0.9024, abs=5e-5)
    assert ours.chance < 1e-3  # 19 x 39 / (2 x 737,280) = .0005 nats of bias at most


def test_histogram_gap_of_an_identity_code_is_the_plug_in_share():
    factors = grid(40, 32)
    ours = gap("mig_hist20", identity(factors), factors).details["gaps"]
    assert_allclose(ours, [plug_in_share(40, 20), plug_in_share(32, 20)], atol=1e-12)
    assert_allclose(ours, [0.8121, 0.8500], atol=5e-5)


@pytest.mark.parametrize("name", ["mig", "mig_hist20", "rmig"])
def test_duplicated_codes_have_no_gap(name):
    factors = grid(5, 4)
    codes = identity(factors)
    twice = with_mean(codes, codes.mean[:, [0, 0, 1, 1]])
    assert gap(name, twice, factors).value == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["mig", "mig_hist20"])
def test_codes_rotated_by_45_degrees_have_no_gap(name):
    factors = grid(6, 6)
    codes = identity(factors)
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    # Both latents have equal information about both factors: one is the mirror image of the other.
    rotated = with_mean(codes, np.round(codes.mean @ turn, 12))
    tolerance = 0.02 if name == "mig_hist20" else 1e-6
    assert gap(name, rotated, factors).value == pytest.approx(0.0, abs=tolerance)


@pytest.mark.parametrize(
    "name", ["mig", "mig_chen4", "mig_hist20", "mig_sup", "rmig", "jemmig", "med"]
)
def test_constant_factor_is_excluded_and_named(name):
    varying, more = grid(5, 4), grid(5, 4, constant=True)
    ours = gap(name, identity(more), more)
    assert ours.value == pytest.approx(gap(name, identity(varying), varying).value)
    # Its latent may be excluded, too.
    excluded_factors = [name for name in ours.details["excluded"] if name in more.names]
    assert excluded_factors == ["factor2"]


@pytest.mark.parametrize("name", ["mig", "mig_hist20"])
def test_single_latent_has_its_gap_to_zero(name):
    factors = grid(5, 4)
    codes = identity(factors)
    ours = gap(name, with_mean(codes, codes.mean[:, :1]), factors).details["gaps"]
    assert_allclose(ours, [1.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("name", ["mig", "mig_hist20"])
def test_latents_read_in_the_wrong_memory_order_have_almost_no_gap(name):
    # The published evaluation should have transposed an (N, d) array. It viewed the array as (d,
    # N), which mixes latents.
    factors = grid(8, 8, 4)
    codes = identity(factors)
    mixed = with_mean(codes, codes.mean.reshape(3, -1).T)
    assert gap(name, codes, factors).value > 0.99
    assert gap(name, mixed, factors).value < 0.25


def test_one_to_one_code_scores_one_by_every_definition():
    factors = grid(3, 6, 10, 4)
    codes = identity(factors, std=0.001)
    for name in ("mig_chen4", "mig_sup", "rmig", "med", "med.published", "mig_sup.histogram"):
        assert gap(name, codes, factors).value == pytest.approx(1.0, abs=1e-6)


def test_sampling_by_the_protocol_of_the_paper_agrees():
    # H(z) and H(z|v) as means of -ln q over samples of the mixtures (Chen et al. 2018, section
    # 4.1).
    rng = np.random.default_rng(0)
    factors = grid(4, 3)
    mean = 0.4 * factors.values.astype(float)
    std = rng.uniform(0.2, 0.4, mean.shape)

    def entropy(rows, j, samples=20_000):
        picked = rng.choice(rows, samples)
        z = mean[picked, j] + std[picked, j] * rng.standard_normal(samples)
        density = np.exp(-0.5 * ((z[:, None] - mean[rows, j]) / std[rows, j]) ** 2) / std[rows, j]
        return -np.log(density.mean(axis=1) / np.sqrt(2 * np.pi)).mean()

    level, rows = factors.values[:, 0], np.arange(12)
    sampled = entropy(rows, 0) - np.mean([entropy(rows[level == v], 0) for v in range(4)])
    ours = gap("mig", Codes(mean, 2 * np.log(std)), factors).details["mutual_information"][0, 0]
    # Four errors of two entropies, each with deviations of about .7 over sqrt(20,000).
    assert abs(ours - sampled) < 0.03
