import numpy as np
import pytest
from metric_references import grid_factors, noisy_codes

from metrics import Codes, Factors, score
from metrics.information import monte_carlo
from metrics.information.matrix import quadrature_information
from metrics.information.monte_carlo import monte_carlo_information

FACTORS = grid_factors(3, 4, 8)
CODES = noisy_codes(FACTORS, latents=4, seed=0)


def test_samples_agree_with_quadrature_within_four_standard_errors():
    sampled = monte_carlo_information(CODES, FACTORS, samples=4000, seed=0)
    exact = quadrature_information(CODES, FACTORS)
    assert (np.abs(sampled.matrix - exact.matrix) < 4 * sampled.error + exact.error).all()
    # Deviations of -ln q are about .7: twice .7 / sqrt(4000), and some more.
    assert (sampled.error < 0.03).all()


def test_standard_error_is_that_of_repeated_draws():
    runs = [
        score("mig.monte_carlo", CODES, FACTORS, samples=100, seed=s, reference=False)
        for s in range(200)
    ]
    spread = np.std([run.value for run in runs], ddof=1)
    # The deviation of 200 draws is known to 5 %; allow four times that. The best two latents do not
    # change here.
    standard_errors = [run.error - run.details["few_rows"] for run in runs]
    assert np.mean(standard_errors) == pytest.approx(spread, rel=0.2)


def test_error_falls_with_the_root_of_the_samples():
    few, many = (
        score("mig.monte_carlo", CODES, FACTORS, samples=s, reference=False) for s in (250, 4000)
    )
    few, many = (run.error - run.details["few_rows"] for run in (few, many))
    # Variances of 250 samples are known to 9 %.
    assert few / many == pytest.approx(4, rel=0.15)


def test_negative_information_is_zero():
    # I = 0: half of the estimates would be below it.
    noise = Codes(np.zeros((96, 3)), np.zeros((96, 3)))
    ours = monte_carlo_information(noise, FACTORS, samples=50, seed=0)
    assert (ours.matrix >= 0).all()
    assert (ours.matrix == 0).any()
    assert score("mig.monte_carlo", noise, FACTORS, samples=50, reference=False).error > 0


def test_blocks_do_not_change_the_value(monkeypatch):
    in_one_block = monte_carlo_information(CODES, FACTORS, samples=300, seed=1).matrix
    monkeypatch.setattr(monte_carlo, "_BLOCK", 1000)
    in_several_blocks = monte_carlo_information(CODES, FACTORS, samples=300, seed=1).matrix
    np.testing.assert_allclose(in_several_blocks, in_one_block, atol=1e-12)


def test_very_narrow_beside_very_broad_posteriors_do_not_overflow():
    std = np.where(np.arange(96) % 2, 1e-6, 10.0)[:, None]
    codes = Codes(CODES.mean[:, :1].astype(float), 2 * np.log(std))
    ours = monte_carlo_information(codes, FACTORS, samples=2000, seed=0)
    exact = quadrature_information(codes, FACTORS)
    assert (np.abs(ours.matrix - exact.matrix) < 4 * ours.error + exact.error).all()


def test_draws_follow_the_weights():
    # Two posteriors, one with three times the weight: H of the mixture is H(1/4) + H(N(0, .01)).
    codes = Codes(np.array([[0.0], [1.0], [0.0], [1.0]]), np.full((4, 1), 2 * np.log(0.01)))
    factors = Factors(np.array([[0], [1], [0], [1]]), ("v",), (2,), np.array([2.0, 1.0, 1.0, 0.0]))
    ours = monte_carlo_information(codes, factors, samples=10_000, seed=0)
    h = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert ours.matrix[0, 0] == pytest.approx(h, abs=4 * ours.error[0, 0])


@pytest.mark.parametrize("samples", [1, 0])
def test_one_sample_has_no_error(samples):
    with pytest.raises(ValueError, match="samples must be >= 2"):
        score("mig.monte_carlo", CODES, FACTORS, samples=samples, reference=False)
