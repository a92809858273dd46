"""What sharp posteriors and few rows add to the information is in the error of every gap."""

import math

import numpy as np
import pytest
from metric_references import grid_factors, sharp_codes

from metrics import Codes, Factors, score
from metrics.information import quadrature_grid
from metrics.information.few_rows import gap_bounds, largest_excess, shuffles
from metrics.information.matrix import quadrature_information
from metrics.information.plug_in import discrete_information

SIZES = (5, 4)
ROUNDING = 1e-12


def perfect_and_noise(std, n=2000, *, weights=None, seed=0):
    """Return codes with one latent per factor and one of noise, and factors drawn at random.

    The truth, which infinitely many rows would show: the gap of both factors is 1.
    """
    rng = np.random.default_rng(seed)
    values = np.stack([rng.integers(0, size, n) for size in SIZES], axis=1)
    mean = np.concatenate([values - 2.0, rng.standard_normal((n, 1))], axis=1)
    factors = Factors(values, ("first", "second"), SIZES, weights)
    return Codes(mean, np.full(mean.shape, 2 * math.log(std))), factors


def run(name, codes, factors, **options):
    return score(name, codes, factors, reference=False, **options)


@pytest.mark.parametrize("name", ["mig", "med", "mig.entropy_weighted"])
@pytest.mark.parametrize("std", [1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-12])
def test_the_error_reaches_the_truth_at_every_sharpness(name, std):
    ours = run(name, *perfect_and_noise(std))
    assert ours.value < 1.0
    assert ours.value + ours.error >= 1.0 - ROUNDING
    assert ours.error <= max(ours.value, 1 - ours.value)


def test_the_gap_divided_by_the_number_of_levels_reaches_its_ceiling():
    ours = run("mig_chen4", *perfect_and_noise(1e-3))
    # ln V is the entropy of the whole data set; the rows have a little less.
    ceiling = np.mean(ours.details["entropies_of_rows"] / ours.details["entropies"])
    assert ours.value + ours.error >= ceiling - ROUNDING


def test_the_reason_appears_where_the_effect_is_a_tenth_of_the_gap():
    # The noise makes the gap .989 too small by .011, and .909 by .091: a tenth.
    reasons = {std: run("mig", *perfect_and_noise(std)).reason for std in (0.1, 1e-2, 1e-3)}
    assert reasons[0.1] == ""
    assert "score more rows" in reasons[1e-2]
    assert "wrong by 0.52" in reasons[1e-3]


@pytest.mark.parametrize(
    "name", ["mig_hist20", "mig_hist20.dlib", "med.histogram", "med.published", "med"]
)
def test_bins_with_few_rows_are_in_the_error_too(name):
    # 20 bins x 5 levels and 300 rows: (19 x 4) / 600 = .13 nats for the latent of noise.
    ours = run(name, *perfect_and_noise(0.1, n=300))
    assert ours.value < 0.99
    assert ours.value + ours.error >= 1.0 - ROUNDING


def test_a_gap_between_factors_reaches_its_truth():
    # Two perfect latents have the gap 1; the active one of noise has 0: the truth is 2/3.
    for std in (1e-2, 1e-3, 1e-4):
        ours = run("mig_sup", *perfect_and_noise(std))
        assert abs(ours.value - 2 / 3) <= ours.error <= max(ours.value, 1 - ours.value)


def test_sampled_information_has_the_same_effect_of_few_rows():
    codes, factors = perfect_and_noise(1e-3, n=400)
    exact = run("mig", codes, factors)
    ours = run("mig.monte_carlo", codes, factors, samples=400)
    assert ours.details["few_rows"] == pytest.approx(exact.details["few_rows"], abs=0.05)
    np.testing.assert_allclose(
        ours.details["shuffled_information"], exact.details["shuffled_information"]
    )


def test_weighted_rows_have_fewer_effective_rows():
    weights = np.where(np.arange(2000) % 10 == 0, 1.0, 0.01)
    ours = run("mig", *perfect_and_noise(1e-2, weights=weights))
    # 1 / sum p^2 = 218^2 / 200.18 = 237 rows, and with them about 8 times the information.
    assert ours.value + ours.error >= 1.0 - ROUNDING
    equal = run("mig", *perfect_and_noise(1e-2)).details["shuffled_information"][2]
    assert (ours.details["shuffled_information"][2] > 3 * equal).all()


def test_a_discrete_code_of_noise_is_in_the_error():
    rng = np.random.default_rng(0)
    values = np.arange(400)[:, None] % 4
    codes = Codes(
        values.astype(float), np.full((400, 1), -6.0), discrete=rng.integers(0, 50, (400, 1))
    )
    ours = run("mig", codes, Factors(values, ("factor",), (4,)))
    # (50 - 1)(4 - 1) / 800 = .18 nats of ln 4: the gap is .87, its truth 1.
    assert ours.value == pytest.approx(1 - 0.18 / math.log(4), abs=0.03)
    assert ours.value + ours.error >= 1.0 - ROUNDING


@pytest.mark.parametrize("name", ["mig", "mig_hist20", "med", "mig_sup"])
def test_perfect_codes_on_a_whole_grid_have_no_effect_of_few_rows(name):
    # Each latent has I = H for its factor and 0 for the others. Neither can be an accident.
    factors = grid_factors(3, 6, 10)
    ours = run(name, sharp_codes(factors.values, std=0.01), factors)
    assert ours.value == pytest.approx(1.0, abs=1e-6)
    assert ours.details["few_rows"] < 1e-4
    assert ours.reason == ""


def test_noise_on_a_whole_grid_has_it():
    factors = grid_factors(5, 8, 10)
    noise = np.random.default_rng(0).standard_normal((400, 1))
    mean = np.concatenate([factors.values.astype(float), noise], axis=1)
    ours = run("mig", Codes(mean, np.full(mean.shape, 2 * math.log(1e-3))), factors)
    assert ours.value < 0.3
    assert ours.value + ours.error >= 1.0 - ROUNDING


def test_the_error_of_usual_codes_is_small():
    # 4,096 rows, widths of .1 to 1: a latent tells some ten values apart, which adds about
    # 10 x 39 / 8,192 = .05 nats about a factor of 40 levels, of ln 40 = 3.7.
    rng = np.random.default_rng(0)
    sizes = (3, 6, 40)
    values = np.stack([rng.integers(0, size, 4096) for size in sizes], axis=1)
    mean = values / np.array(sizes) * 3.4 - 1.7 + 0.1 * rng.standard_normal(values.shape)
    mean = np.concatenate([mean, 0.01 * rng.standard_normal((4096, 2))], axis=1)
    std = np.array([0.1, 0.1, 0.1, 0.95, 0.95])
    logvar = np.broadcast_to(2 * np.log(std), mean.shape).copy()
    ours = run("mig", Codes(mean, logvar), Factors(values, ("a", "b", "c"), sizes))
    assert 0.001 < ours.error < 0.02
    assert ours.reason == ""


def test_shuffled_information_of_bins_is_that_of_miller():
    # Mean (20 - 1)(10 - 1) / (2 x 4000) = .0214 nats (Miller 1955), for any distribution of bins;
    # one order has a deviation of sqrt(2 x 171) / 8000 = .0023.
    rng = np.random.default_rng(0)
    factors = Factors(rng.integers(0, 10, (4000, 1)), ("factor",), (10,))
    ours = discrete_information(rng.integers(0, 20, (4000, 1)), factors)
    assert ours.shuffled[0, 0] == pytest.approx(0.0214, abs=4 * 0.0023)
    assert ours.error[0, 0] == 0.0


def test_factors_with_equal_frequencies_of_levels_are_shuffled_once():
    column = np.arange(60) % 6
    rare = np.where(np.arange(60) == 0, 1, 0)
    ours = shuffles([column, column[::-1], np.arange(60) % 2, rare, np.zeros(60, int)])
    assert ours.of_factor == [0, 0, 1, 2, -1]
    for shuffled, original in zip(ours.columns, (column, np.arange(60) % 2, rare), strict=True):
        np.testing.assert_array_equal(np.bincount(shuffled), np.bincount(original))
    assert not np.array_equal(ours.columns[0], column)


def excess_of(information, shuffled, *, rows=1e12, levels=4):
    """Return the excess of one latent and factor of ln 4 nats; so many rows leave no slack."""
    return largest_excess(
        np.array([[information]]),
        np.zeros((1, 1)),
        np.array([[shuffled]]),
        np.array([math.log(4)]),
        np.array([levels]),
        rows,
    )[0, 0]


def test_excess_is_all_up_to_the_shuffled_information_and_nothing_at_the_entropy():
    h = math.log(4)
    assert excess_of(0.3, 0.3001) == pytest.approx(0.3)
    assert excess_of(h, 0.3) == 0.0
    # f = 1/4 of H is known without knowing anything. A truth of H / 2 becomes
    # H / 2 + (H - H / 2) / 4 = 5/8 H: the excess is H / 8.
    assert excess_of(5 / 8 * h, h / 4) == pytest.approx(h / 8, rel=1e-4)


def test_excess_covers_what_a_latent_that_knows_half_of_a_factor_seems_to_know():
    # The latent shows which half of 16 levels it is, exactly, and one of 20 values of noise:
    # truth ln 2, and (20 - 1)(8 - 1) = 133 cells in each half add 2 x 133 / 2N.
    rng = np.random.default_rng(0)
    level = rng.integers(0, 16, (2000, 1))
    code = 20 * (level >= 8) + rng.integers(0, 20, (2000, 1))
    ours = discrete_information(code, Factors(level, ("factor",), (16,)))
    true_excess = ours.matrix[0, 0] - math.log(2)
    assert true_excess == pytest.approx(2 * 133 / 4000, rel=0.3)
    assert true_excess < ours.excess[0, 0] < 5 * true_excess


def test_bounds_of_gaps_are_those_of_all_corners():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.random((3, 1))
        excess = values * rng.random((3, 1)) ** 3
        corners = np.stack(np.meshgrid(*[[0, 1]] * 3), axis=-1).reshape(-1, 3)
        ascending = np.sort(values[:, 0] - corners * excess[:, 0], axis=1)
        gaps = ascending[:, -1] - ascending[:, -2]
        measured = gaps[(corners == 0).all(axis=1)][0]
        above, below = gap_bounds(values, excess)
        assert above[0] == pytest.approx(gaps.max() - measured, abs=1e-12)
        # Inside the box two values may be equal, also if they are not at any corner.
        assert below[0] >= measured - gaps.min() - 1e-12
        assert below[0] <= measured


def test_a_single_latent_may_lose_its_excess():
    above, below = gap_bounds(np.array([[0.5]]), np.array([[0.2]]))
    assert (above[0], below[0]) == (0.0, pytest.approx(0.2))


def test_posteriors_too_narrow_to_integrate_are_in_the_reason(monkeypatch):
    rng = np.random.default_rng(0)
    mean = np.repeat(rng.standard_normal(300), 2)[:, None] + 1e-8 * np.arange(600)[:, None]
    codes = Codes(mean, np.full((600, 1), 2 * math.log(1e-5)))
    factors = Factors(np.arange(600)[:, None] // 2 % 3, ("factor",), (3,))
    exact = run("mig", codes, factors)
    assert exact.value == pytest.approx(1.0, abs=1e-4)  # pairs of a level at 300 separate points
    monkeypatch.setattr(quadrature_grid, "MOST_BLOCKS", 0)
    ours = run("mig", codes, factors)
    assert "too narrow to be integrated" in ours.reason
    assert abs(ours.value - exact.value) <= ours.error <= 1.0


def test_the_order_of_shuffled_rows_does_not_depend_on_a_seed():
    codes, factors = perfect_and_noise(1e-2)
    first, second = (run("mig", codes, factors, seed=seed) for seed in (0, 1))
    assert first.error == second.error
    shuffled = quadrature_information(codes, factors).shuffled
    np.testing.assert_array_equal(first.details["shuffled_information"], shuffled)
