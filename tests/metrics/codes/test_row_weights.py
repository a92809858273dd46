"""Rows that do not all count alike, where samples are drawn and densities mixed."""

import math

import numpy as np
import pytest
from metric_references import densities_by_loops, grid_factors, noisy_codes

from metrics import Codes, Factors, elbo_decomposition, score
from metrics.chance_and_ceiling import own_codes
from metrics.codes import row_weights
from metrics.codes.sampling import draw
from metrics.mixture.log_density import log_densities
from metrics.registry import METRICS

GRID = grid_factors(3, 4, 5)
PLAIN = noisy_codes(GRID, latents=4, seed=0)
CODES = Codes(
    PLAIN.mean.astype(np.float64), PLAIN.logvar.astype(np.float64), GRID.values[:, :1] % 2
)
COUNTS = (
    np.random.default_rng(0).integers(0, 4, len(GRID)).astype(np.float64)
)  # some rows weigh nothing
REPEATED = row_weights.rows(CODES, np.repeat(np.arange(len(GRID)), COUNTS.astype(int)))


def log_normal(z, mean, logvar):
    return -0.5 * ((z - mean) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi))


@pytest.mark.parametrize("prefixes", [False, True])
def test_densities_of_weighted_rows_are_those_of_repeated_rows(prefixes):
    kept, shares = row_weights.counted(CODES, COUNTS)
    drawn = draw(kept, samples=200, seed=0, shares=shares)
    ours = log_densities(drawn, kept, prefixes=prefixes, shares=shares)
    joint, marginal = densities_by_loops(drawn.z, REPEATED)
    np.testing.assert_allclose(
        ours.joint, joint if prefixes else joint[-1:], atol=1e-9
    )  # float64, sums in another order
    np.testing.assert_allclose(ours.marginal, marginal, atol=1e-9)


def test_the_parts_of_the_elbo_are_means_under_the_weighted_mixture():
    """The equations written out for every sample, q(z) = sum_n p_n q(z|x_n)."""
    kept, p = row_weights.counted(CODES, COUNTS)
    drawn = draw(kept, samples=50, seed=3, shares=p)
    terms = []
    for z, own in zip(drawn.z, drawn.log_qzx, strict=True):
        q = np.exp(log_normal(z, kept.mean, kept.logvar))  # image n, latent j
        log_qz, log_prod = np.log(p @ q.prod(axis=1)), np.log(p @ q).sum()
        terms.append(
            (own.sum() - log_qz, log_qz - log_prod, log_prod - log_normal(z, 0.0, 0.0).sum())
        )
    ours = elbo_decomposition(CODES, samples=50, seed=3, weights=COUNTS * 0.37)
    np.testing.assert_allclose(ours[:3], np.mean(terms, axis=0), atol=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_equal_weights_change_no_bit(kind):
    codes = Codes(CODES.mean.astype(kind), CODES.logvar.astype(kind))
    even = elbo_decomposition(codes, samples=40, seed=1, weights=np.full(len(codes), 0.3))
    assert even == elbo_decomposition(codes, samples=40, seed=1)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.weighted])
def test_every_weighted_metric_scores_weighted_rows_as_repeated_ones(name):
    factors = Factors(GRID.values, GRID.names, GRID.sizes, COUNTS)
    many = Factors(np.repeat(GRID.values, COUNTS.astype(int), axis=0), GRID.names, GRID.sizes)
    options = {"samples": 20_000} if name == "elbo" else {}
    ours, theirs = (
        score(name, codes, f, reference=False, **options)
        for codes, f in ((CODES, factors), (REPEATED, many))
    )
    # Sums in another order; the samples of elbo are others, too.
    tolerance = 4 * math.hypot(ours.error, theirs.error) if name == "elbo" else 1e-9
    assert abs(ours.value - theirs.value) < tolerance
    plain = score(
        name, CODES, GRID, reference=False, **options
    )  # the weights do act, but for a mere count
    assert name == "active_units" or abs(ours.value - plain.value) > tolerance


def test_rows_too_light_for_float32_still_count_as_nothing_and_not_as_nan():
    """A block of rows whose weights float32 has no number for: what is left is the mixture of the others."""
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
    assert abs(ours.kl - heavy.kl) < 0.2  # other samples of the same distribution


def test_the_most_that_is_known_of_an_image_is_the_entropy_of_the_shares():
    factors = Factors(GRID.values, GRID.names, GRID.sizes, COUNTS)
    p = COUNTS[COUNTS > 0] / COUNTS.sum()
    assert score("elbo", CODES, factors, reference=False).details["mi_bound"] == pytest.approx(
        -(p * np.log(p)).sum()
    )


def test_variance_of_means_is_weighted():
    # Means 0 and 1 with shares 3/4 and 1/4: variance 3/16; unweighted 1/4.
    codes = Codes(np.array([[0.0], [1.0]]), np.zeros((2, 1)))
    factors = Factors(np.array([[0], [1]]), ("a",), (2,), np.array([3.0, 1.0]))
    assert score("active_units", codes, factors, reference=False).details[
        "variances"
    ] == pytest.approx([3 / 16])


def test_strata_give_each_row_its_share():
    p = row_weights.shares(np.array([0.0, 5.0, 1.0, 0.0, 2.5, 1.5, 0.0]))
    for seed in range(20):
        counts = np.bincount(
            row_weights.stratified(p, 40, np.random.default_rng(seed)), minlength=7
        )
        assert (counts == 40 * p).all()  # every share is a whole number of slices: 20, 4, 10 and 6


def test_effective_rows_of_equal_weights_are_all_of_them():
    assert row_weights.effective_rows(np.full(8, 0.2)) == pytest.approx(8)
    assert row_weights.effective_rows(np.array([3.0, 1.0])) == pytest.approx(
        1.6
    )  # 1 / (9/16 + 1/16)


def test_identity_names_the_distribution_whatever_its_unit():
    def identity(unit):
        return score(
            "mig", CODES, Factors(GRID.values, GRID.names, GRID.sizes, unit), reference=False
        ).identity

    assert identity(COUNTS) == identity(COUNTS * 0.1)
    assert identity(COUNTS) != identity(COUNTS[::-1].copy())
    assert "weights" not in score("mig", CODES, GRID, reference=False).identity


def test_ceiling_under_a_correlation_is_what_two_perfect_latents_share():
    # One row per joint level, weight p(a, b): the second best latent of a is that of b, which knows I(a; b) of it.
    grid = grid_factors(4, 4)
    p = np.exp(-((grid.values[:, 0] - grid.values[:, 1]) ** 2) / (2 * 9 * 0.3**2)).reshape(4, 4)
    p /= p.sum()
    a, b = p.sum(1), p.sum(0)
    entropy, shared = -(a * np.log(a)).sum(), (p * np.log(p / np.outer(a, b))).sum()
    factors = Factors(grid.values, grid.names, grid.sizes, p.ravel())
    ceiling = score("mig", own_codes(factors), factors).ceiling
    assert ceiling == pytest.approx(
        (entropy - shared) / entropy, abs=1e-4
    )  # the codes' mixtures overlap by 1e-6


@pytest.mark.parametrize("wrong", [np.zeros(60), -np.ones(60), np.ones(59), np.full(60, np.nan)])
def test_weights_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="weights must"):
        elbo_decomposition(CODES, samples=4, seed=0, weights=wrong)
