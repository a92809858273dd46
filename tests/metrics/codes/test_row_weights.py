"""Rows that do not all count alike, in drawn samples and in mixtures of densities."""

import math

import numpy as np
import pytest
from metric_references import densities_by_loops, grid_factors, noisy_codes

from metrics import Codes, Factors, elbo_decomposition, score
from metrics.codes import row_weights
from metrics.codes.sampling import draw
from metrics.mixture.log_density import log_densities
from metrics.reference.built_in_codes import factor_codes
from metrics.registry import METRICS

GRID = grid_factors(3, 4, 5)
CONTINUOUS = noisy_codes(GRID, latents=4, seed=0)
CODES = Codes(
    CONTINUOUS.mean.astype(np.float64),
    CONTINUOUS.logvar.astype(np.float64),
    GRID.values[:, :1] % 2,
)
# Some rows have weight 0.
COUNTS = np.random.default_rng(0).integers(0, 4, len(GRID)).astype(np.float64)
REPEATED = row_weights.rows(CODES, np.repeat(np.arange(len(GRID)), COUNTS.astype(int)))


def log_normal(z, mean, logvar):
    return -0.5 * ((z - mean) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi))


@pytest.mark.parametrize("prefixes", [False, True])
def test_densities_of_weighted_rows_are_those_of_repeated_rows(prefixes):
    kept, shares = row_weights.rows_with_weight(CODES, COUNTS)
    drawn = draw(kept, samples=200, seed=0, shares=shares)
    ours = log_densities(drawn, kept, prefixes=prefixes, shares=shares)
    joint, marginal = densities_by_loops(drawn.z, REPEATED)
    # float64, sums in another order
    np.testing.assert_allclose(ours.joint, joint if prefixes else joint[-1:], atol=1e-9)
    np.testing.assert_allclose(ours.marginal, marginal, atol=1e-9)


def test_few_samples_give_the_tc_of_the_elbo_as_a_mean_under_the_weighted_mixture():
    """Computes the equation sample by sample, with q(z) = sum_n p_n q(z|x_n)."""
    kept, p = row_weights.rows_with_weight(CODES, COUNTS)
    terms = []
    for z in draw(kept, samples=30, seed=3, shares=p).z:
        q = np.exp(log_normal(z, kept.mean, kept.logvar))  # image n, latent j
        terms.append(np.log(p @ q.prod(axis=1)) - np.log(p @ q).sum())
    ours = elbo_decomposition(CODES, samples=30, seed=3, weights=COUNTS * 0.37)
    assert ours.tc == pytest.approx(np.mean(terms), abs=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_equal_weights_change_no_bit(kind):
    codes = Codes(CODES.mean.astype(kind), CODES.logvar.astype(kind))
    even = elbo_decomposition(codes, samples=40, seed=1, weights=np.full(len(codes), 0.3))
    assert even == elbo_decomposition(codes, samples=40, seed=1)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.weighted])
def test_every_weighted_metric_scores_weighted_rows_as_repeated_ones(name):
    factors = Factors(GRID.values, GRID.names, GRID.sizes, COUNTS)
    repeated = Factors(np.repeat(GRID.values, COUNTS.astype(int), axis=0), GRID.names, GRID.sizes)
    ours = score(name, CODES, factors, reference=False)
    theirs = score(name, REPEATED, repeated, reference=False)
    assert abs(ours.value - theirs.value) < 1e-9  # sums in another order
    # The weights change every value but the count of active units.
    unweighted = score(name, CODES, GRID, reference=False)
    assert name == "active_units" or abs(ours.value - unweighted.value) > 1e-9


def test_rows_too_light_for_float32_count_as_nothing_and_not_as_nan():
    """Half of the rows have weights below float32's range; the mixture is that of the others."""
    rng = np.random.default_rng(0)
    codes = Codes(
        rng.normal(size=(4096, 3)).astype(np.float32), np.full((4096, 3), -2.0, np.float32)
    )
    light = np.where(np.arange(4096) < 2048, 1e-60, 1.0)
    ours = elbo_decomposition(codes, samples=200, seed=0, weights=light)
    heavy = elbo_decomposition(
        row_weights.rows(codes, light == 1.0), samples=200, seed=0, weights=light[2048:] * 0.5
    )
    assert np.isfinite(ours).all()
    exact = Codes(codes.mean.astype(np.float64), codes.logvar.astype(np.float64))
    # float32 densities of 4096 rows against float64 ones
    np.testing.assert_allclose(
        ours, elbo_decomposition(exact, samples=200, seed=0, weights=light), atol=1e-4
    )
    assert ours.kl == pytest.approx(heavy.kl, rel=1e-9)
    assert abs(ours.tc - heavy.tc) < 4 * math.hypot(ours.tc_error, heavy.tc_error)


def test_the_bound_of_the_mi_is_the_entropy_of_the_shares():
    factors = Factors(GRID.values, GRID.names, GRID.sizes, COUNTS)
    p = COUNTS[COUNTS > 0] / COUNTS.sum()
    bound = score("elbo", CODES, factors, reference=False).details["mi_bound"]
    assert bound == pytest.approx(-(p * np.log(p)).sum())


def test_variance_of_means_is_weighted():
    # Means 0 and 1 with shares 3/4 and 1/4: variance 3/16; unweighted 1/4.
    codes = Codes(np.array([[0.0], [1.0]]), np.zeros((2, 1)))
    factors = Factors(np.array([[0], [1]]), ("a",), (2,), np.array([3.0, 1.0]))
    result = score("active_units", codes, factors, reference=False)
    assert result.details["variances"] == pytest.approx([3 / 16])


def test_strata_give_each_row_its_share():
    p = row_weights.shares(np.array([0.0, 5.0, 1.0, 0.0, 2.5, 1.5, 0.0]))
    for seed in range(20):
        rows = row_weights.draw_stratified(p, len(p), 40, np.random.default_rng(seed))
        # Every share is a whole number of slices: 20, 4, 10 and 6.
        assert (np.bincount(rows, minlength=7) == 40 * p).all()


def test_effective_rows_of_equal_weights_are_all_of_them():
    assert row_weights.effective_rows(np.full(8, 0.2)) == pytest.approx(8)
    # 1 / (9/16 + 1/16)
    assert row_weights.effective_rows(np.array([3.0, 1.0])) == pytest.approx(1.6)


def test_identity_names_the_distribution_whatever_its_unit():
    def identity(weights):
        factors = Factors(GRID.values, GRID.names, GRID.sizes, weights)
        return score("mig", CODES, factors, reference=False).identity

    assert identity(COUNTS) == identity(COUNTS * 0.1)
    assert identity(COUNTS) != identity(COUNTS[::-1].copy())
    assert "weights" not in score("mig", CODES, GRID, reference=False).identity


def test_under_a_correlation_two_perfect_latents_share_information_and_are_no_ceiling():
    # One row per joint level, of weight p(a, b). The second best latent for a is that of b: its
    # information about a is I(a; b).
    grid = grid_factors(4, 4)
    p = np.exp(-((grid.values[:, 0] - grid.values[:, 1]) ** 2) / (2 * 9 * 0.3**2)).reshape(4, 4)
    p /= p.sum()
    a, b = p.sum(1), p.sum(0)
    entropy, shared = -(a * np.log(a)).sum(), (p * np.log(p / np.outer(a, b))).sum()
    factors = Factors(grid.values, grid.names, grid.sizes, p.ravel())
    result = score("mig", factor_codes(factors), factors)
    # The codes' mixtures overlap by 1e-6.
    assert result.value == pytest.approx((entropy - shared) / entropy, abs=1e-4)
    # .75 of a possible 1: whether another code scores more is not known.
    assert result.ceiling is None
    assert result.no_ceiling == (
        f"the best code is not known: the factors themselves score {result.value:.3g}, "
        "and no code can exceed 1"
    )


@pytest.mark.parametrize("weights", [np.zeros(60), -np.ones(60), np.ones(59), np.full(60, np.nan)])
def test_invalid_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights must"):
        elbo_decomposition(CODES, samples=4, seed=0, weights=weights)
