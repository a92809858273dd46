"""Quadrature of posterior mixtures, and its estimate of its error, against dense integration."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_references import log_normal, mixture_information

from metrics import Codes, Factors
from metrics.information import quadrature, quadrature_blocks, quadrature_grid
from metrics.information.matrix import quadrature_information
from metrics.information.quadrature import isolated, mixture_entropies
from metrics.information.quadrature_blocks import all_blocks, refine, windows
from metrics.information.quadrature_grid import make_ladder, spread


def of(mean, std, level, weights=None):
    """Return the information by quadrature."""
    mean, std = np.asarray(mean, dtype=float), np.asarray(std, dtype=float)
    codes = Codes(mean[:, None], 2 * np.log(std)[:, None])
    factors = Factors(np.asarray(level)[:, None], ("factor",), (int(np.max(level)) + 1,), weights)
    return quadrature_information(codes, factors)


def adaptive_information(mean, std, level):
    """Return I of one latent, by Gauss-Legendre on panels no wider than any posterior in them.

    Ten points on a panel of one standard deviation integrate the products of Gaussians and
    logarithms here to about 1e-9. The trapezoid rule on points of uneven distance, which looks
    simpler, is wrong by up to 1e-4 where posteriors of different positions overlap.
    """
    edges = np.unique(mean[:, None] + std[:, None] * np.arange(-9.0, 9.5))
    nodes, weights = np.polynomial.legendre.leggauss(10)
    half = np.diff(edges)[:, None] / 2
    grid = (edges[:-1, None] + half * (nodes + 1)).ravel()
    weight = (half * weights).ravel()

    def entropy(rows):
        p = np.mean([np.exp(log_normal(grid, mean[n], std[n])) for n in rows], axis=0)
        return weight @ (-p * np.log(np.maximum(p, 1e-300)))

    rows = np.arange(len(mean))
    return entropy(rows) - sum(
        (level == v).mean() * entropy(rows[level == v]) for v in np.unique(level)
    )


def realistic(kind, rng, n=240):
    """Return means by level with noise, widths that differ by image, and levels."""
    level = np.arange(n) % 4
    mean = 0.8 * level + rng.standard_normal(n)
    std = {
        "half sharp": np.where(rng.random(n) < 0.5, 1e-3, 1.0),
        "few broad": np.where(rng.random(n) < 0.95, 1e-3, 1.0),
        "every width": np.exp(rng.uniform(np.log(1e-3), 0, n)),
        "sharp for one level": np.where(level == 0, 1e-3, 1.0),
        "nearly alike": 0.1 * 2 ** rng.uniform(0, 0.5, n),
    }[kind]
    return mean, std, level


@pytest.mark.parametrize(
    "kind", ["half sharp", "few broad", "every width", "sharp for one level", "nearly alike"]
)
def test_sharp_and_broad_posteriors_in_one_latent_are_integrated_to_a_thousandth(kind):
    mean, std, level = realistic(kind, np.random.default_rng(0))
    ours = of(mean, std, level)
    # A range of 16 or so has 40,000 points: a step of .4 of the sharpest width, where the trapezoid
    # rule is exact to e^-100.
    exact = mixture_information(mean, std, level)
    assert abs(ours.matrix[0, 0] - exact) < min(1e-3, ours.error[0, 0])
    assert ours.error[0, 0] < 2e-3


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    low=st.floats(-6, 0),
    high=st.floats(-2, 1),
    n=st.integers(4, 120),  # up to 64 widths are represented exactly, more are spread over a ladder
    v=st.integers(2, 5),
)
def test_any_widths_between_a_millionth_and_ten_are_within_the_reported_error(
    seed, low, high, n, v
):
    rng = np.random.default_rng(seed)
    level = np.arange(n) % v
    mean = rng.standard_normal(n) * 10 ** rng.uniform(-1, 1)
    std = 10 ** rng.uniform(min(low, high), max(low, high), n)
    ours = of(mean, std, level)
    exact = adaptive_information(mean, std, level)  # itself right to some 1e-9
    assert abs(ours.matrix[0, 0] - exact) < ours.error[0, 0]
    assert abs(ours.matrix[0, 0] - exact) < 1e-3


def test_few_widths_are_represented_exactly():
    # With a ladder of four widths per octave, these four posteriors (the worst of a search) were
    # wrong by 8.6e-4 nats, 1.6 times the reported error.
    mean = np.array([1.2070433301, 2.0753666624, -0.3700328379, -0.3460874911])
    std = np.exp([-0.6296015399, -1.4882370118, -2.1841144172, -0.5524])
    level = np.array([0, 1, 2, 0])
    ours = of(mean, std, level)
    assert ours.matrix[0, 0] == pytest.approx(adaptive_information(mean, std, level), abs=1e-5)
    assert ours.error[0, 0] < 2e-5
    many = np.concatenate([std, std[0] * 2 ** np.linspace(0, 2, 100)])
    ladder = make_ladder(np.zeros(104), many)
    assert len(ladder.widths) < 40


def test_isolated_posteriors_of_any_width_are_exact():
    # No two of 20,000 posteriors overlap: I = H(v), however narrow they are.
    level = np.arange(20_000) % 3
    p = np.bincount(level) / len(level)
    for std in (1e-6, 1e-9, 1e-14):
        ours = of(np.arange(20_000) / 20_000, np.full(20_000, std), level)
        assert ours.matrix[0, 0] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-9)
        assert ours.error[0, 0] <= 1e-9


def test_isolated_posteriors_are_those_that_none_other_reaches():
    # At 7 widths: the broad one around 0 reaches to 7, over 1 and 5; 20 and 30 are alone.
    mean, std = np.array([30.0, 0.0, 5.0, 1.0, 20.0]), np.array([0.1, 1.0, 0.1, 0.1, 0.1])
    np.testing.assert_array_equal(isolated(mean, std), [True, False, False, False, True])


@pytest.mark.parametrize("together", [1 << 18, 600, 60])
def test_mixtures_one_after_another_have_the_same_information(together, monkeypatch):
    # 300 posteriors that overlap in pairs, with 5 blocks each for two sets of mixtures.
    rng = np.random.default_rng(5)
    mean = np.repeat(rng.standard_normal(150), 2) + np.tile([0.0, 1e-6], 150)
    level = rng.integers(0, 3, 300)
    expected = of(mean, np.full(300, 1e-6), level).matrix[0, 0]
    ladder = make_ladder(mean, np.full(300, 1e-6))
    monkeypatch.setattr(quadrature, "make_ladder", lambda mean, std: ladder)
    monkeypatch.setattr(quadrature_grid, "MOST_BLOCKS", together)
    ours = of(mean, np.full(300, 1e-6), level).matrix[0, 0]
    assert ours == pytest.approx(expected, abs=1e-12)


def test_the_step_follows_the_width():
    mean, std = np.linspace(-1, 1, 101), np.where(np.arange(101) == 50, 1e-5, 1.0)
    ladder = make_ladder(mean, std)
    assert ladder.widths[0] == pytest.approx(1e-5)
    for width, grid in zip(ladder.widths, ladder.grids, strict=True):
        assert 2 * ladder.step(grid) <= width * (1 + 1e-9)
    assert ladder.step(0) > 100 * 1e-5  # coarse where nothing is sharp


def blocks_of_grids(mean, std):
    """Return the ladder, and every grid's blocks of one mixture of all posteriors."""
    column = np.zeros(len(mean), dtype=np.int64)
    ladder = make_ladder(mean, std)
    parts = spread(ladder, mean, std, np.full(len(mean), 1 / len(mean)))
    grids = [all_blocks(ladder, torch.zeros((1, ladder.size), dtype=torch.float64))]
    for grid in range(1, ladder.depth):
        parts = parts.kept(ladder.grids[parts.rung] >= grid)
        grids.append(refine(ladder, parts, [column[parts.row]], np.ones(1), grids[-1], grid))
    return ladder, grids


def test_windows_of_all_grids_add_up_to_one():
    rng = np.random.default_rng(1)
    ladder, grids = blocks_of_grids(rng.standard_normal(30), 10 ** rng.uniform(-5, 0, 30))
    assert len(grids) > 4
    covered = 0.0
    for grid, blocks in enumerate(grids):
        finer = grids[grid + 1] if grid + 1 < len(grids) else None
        covered += float(windows(blocks, finer).sum()) * ladder.step(grid)
    # The windows' rise is cut off at 5 deviations.
    assert covered == pytest.approx(ladder.length, rel=1e-9)


def test_fine_blocks_lie_around_narrow_posteriors_only():
    std = np.full(400, 1.0)
    std[:3] = 1e-4
    ladder, grids = blocks_of_grids(np.linspace(-2, 2, 400), std)
    # Three blocks around each of three posteriors and a rim on either side, of all in the length.
    assert len(grids[-1].keys) <= 15 < grids[-1].per_mixture / 100
    assert ladder.depth == len(grids)


@pytest.mark.parametrize("std", [2.0, 2.5, 4.0])
def test_interpolation_of_a_density_of_two_steps_is_exact(std):
    weights = quadrature_blocks._interpolation()
    margin = (len(weights) - quadrature_grid.BLOCK // 4) // 2
    coarse = np.arange(len(weights)) - margin
    fine = np.arange(quadrature_grid.BLOCK) / 4
    centre = 13.3
    interpolated = np.exp(-0.5 * ((coarse - centre) / std) ** 2) @ weights
    exact = np.exp(-0.5 * ((fine - centre) / std) ** 2)
    np.testing.assert_allclose(interpolated, exact, atol=2e-6)  # of a peak of 1


def test_the_error_covers_widened_posteriors(monkeypatch):
    rng = np.random.default_rng(2)
    level = np.arange(60) % 3
    mean, std = rng.standard_normal(60), np.where(np.arange(60) % 2, 1e-6, 1.0)
    exact = of(mean, std, level).matrix[0, 0]
    monkeypatch.setattr(quadrature_grid, "MOST_BLOCKS", 0)  # no finer grid at all
    ours = of(mean, std, level)
    assert abs(ours.matrix[0, 0] - exact) > 0.01
    assert abs(ours.matrix[0, 0] - exact) < ours.error[0, 0] <= np.log(3)


def test_one_posterior_has_the_entropy_of_a_gaussian():
    column = np.zeros(1, dtype=np.int64)
    entropies = mixture_entropies(np.zeros(1), np.full(1, 0.3), np.ones(1), [column])
    assert entropies.values[0] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 0.09), abs=1e-5)


def test_equal_narrow_posteriors_of_one_width_need_no_coarse_grid():
    # Forty separate points, ten per level: I = H(v) = ln 4. The first grid carries no posterior.
    ours = of(np.arange(40.0), np.full(40, 1e-5), np.arange(40) % 4)
    assert ours.matrix[0, 0] == pytest.approx(np.log(4), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_and_position_change_nothing(scale):
    mean, std, level = realistic("every width", np.random.default_rng(3), n=60)
    original = of(mean, std, level).matrix
    moved = of(scale * mean + 7 * scale, scale * std, level).matrix
    # Another position on the grid: aliases of the binning.
    np.testing.assert_allclose(original, moved, atol=1e-6)


@pytest.mark.gpu
def test_a_gpu_gives_the_same(monkeypatch):
    mean, std, level = realistic("every width", np.random.default_rng(4))
    on_gpu = of(mean, std, level).matrix
    monkeypatch.setattr("metrics.device.pick", lambda: torch.device("cpu"))
    np.testing.assert_allclose(on_gpu, of(mean, std, level).matrix, atol=1e-9)


def test_all_of_dsprites_with_sharp_and_broad_posteriors_is_within_a_thousandth():
    """Has 737,280 rows with a known exact value.

    Every level has one mean, and widths are independent of the level.
    """
    level = np.arange(737_280) % 32
    std = np.where(np.arange(737_280) // 32 % 2, 1e-3, 1.0)
    ours = of(3.4 * (level / 31 - 0.5), std, level)
    rows = np.arange(64)  # one sharp and one broad row of each level: the same mixtures
    few_means = 3.4 * (level[rows] / 31 - 0.5)
    exact = mixture_information(few_means, np.where(rows // 32 % 2, 1e-3, 1.0), level[rows])
    assert abs(ours.matrix[0, 0] - exact) < min(1e-3, ours.error[0, 0])
