"""A binary channel: v in {-1, 1} with equal probabilities, and z ~ N(v, sigma^2).

The true I(z; v) comes from numerical integration.
"""

import numpy as np
import pytest

from metrics import Codes, Factors, score
from metrics.information.matrix import quadrature_information
from metrics.information.plug_in import histogram_information

CHANNELS = [(1.0, 0.336831), (0.5, 0.632720), (0.25, 0.693054)]  # nats


def binary(n):
    return Factors(np.arange(n)[:, None] % 2, ("v",), (2,))


@pytest.mark.parametrize(("std", "nats"), CHANNELS)
def test_quadrature_gives_the_information_of_the_channel(std, nats):
    factors = binary(20)
    mean = np.concatenate([2.0 * factors.values - 1, np.zeros((20, 2))], axis=1)
    codes = Codes(mean, np.full_like(mean, 2 * np.log(std)))
    information = quadrature_information(codes, factors)
    # Binning on a grid of half the width leaves an aliasing error of the order of 1e-5.
    np.testing.assert_allclose(information.matrix[:, 0], [nats, 0, 0], atol=2e-5)
    assert score("mig", codes, factors).value == pytest.approx(nats / np.log(2), abs=3e-5)


@pytest.mark.parametrize(("std", "nats"), CHANNELS)
def test_monte_carlo_gives_it_within_four_errors(std, nats):
    factors = binary(20)
    mean = np.concatenate([2.0 * factors.values - 1, np.zeros((20, 2))], axis=1)
    codes = Codes(mean, np.full_like(mean, 2 * np.log(std)))
    ours = score("mig.monte_carlo", codes, factors, seed=1, reference=False)
    errors = ours.details["information_error"]
    # Four standard errors of 10,000 samples. The deviation of -ln q is at most .7, and two
    # entropies are sampled: .01.
    difference = np.abs(ours.details["mutual_information"][:, 0] - [nats, 0, 0])
    assert (difference < 4 * errors[:, 0]).all()
    assert (errors < 0.011).all()
    assert ours.value == pytest.approx(nats / np.log(2), abs=4 * ours.error)


@pytest.mark.parametrize(("std", "nats"), CHANNELS)
def test_quantised_code_has_it_in_narrow_bins(std, nats):
    factors = binary(20)
    mean = 2.0 * factors.values - 1
    codes = Codes(mean, np.full_like(mean, 2 * np.log(std)))
    # Bins of at most a thirtieth of the posterior width lose less than width^2 / 24 of the Fisher
    # information: 1e-4.
    ours = score("rmig", codes, factors, bins=1000, limits=(-8.0, 8.0), reference=False)
    assert ours.value == pytest.approx(nats / np.log(2), abs=1e-4)


@pytest.mark.parametrize(("std", "nats"), CHANNELS)
def test_histogram_of_samples_has_it_up_to_bias(std, nats):
    n, bins = 100_000, 100
    factors = binary(n)
    z = 2.0 * factors.values - 1 + std * np.random.default_rng(0).standard_normal((n, 1))
    information = histogram_information(z, factors, bins=bins)
    # Bins of about .1 remove .001 of the information, the plug-in adds 99 / 200,000 = .0005, and
    # four errors of the sampling are .002.
    assert information.matrix[0, 0] == pytest.approx(nats, abs=0.004)
