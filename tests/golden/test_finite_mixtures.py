"""N separate posteriors have MI = ln N.

On a product grid TC = 0, and on the diagonal TC = (d - 1) ln N.
"""

import itertools
import math

import numpy as np
import pytest

from metrics import Codes, elbo_decomposition


def separate(points):
    mean = np.asarray(points, dtype=np.float32)
    return Codes(mean, np.full_like(mean, 2 * math.log(1e-3)))


def test_product_grid_has_mi_ln_n_and_no_tc():
    points = list(itertools.product(range(4), range(2), range(3)))
    d = elbo_decomposition(separate(points), samples=24, seed=0)
    # Float32 densities near e^5.
    np.testing.assert_allclose([d.mi, d.tc], [math.log(24), 0.0], atol=1e-4)


@pytest.mark.parametrize("latents", [2, 5])
def test_diagonal_has_mi_ln_n_and_tc_of_the_other_latents(latents):
    # N = 16, d = 2: TC = ln 16 = 2.772589.
    points = np.repeat(np.arange(16)[:, None], latents, axis=1)
    d = elbo_decomposition(separate(points), samples=16, seed=0)
    expected = [math.log(16), (latents - 1) * math.log(16)]
    np.testing.assert_allclose([d.mi, d.tc], expected, rtol=1e-5)


@pytest.mark.parametrize("std", [1e-4, 1e-2, 1.0])
def test_mi_never_exceeds_log_n(std):
    mean = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    d = elbo_decomposition(Codes(mean, np.full_like(mean, 2 * math.log(std))), samples=50, seed=0)
    assert d.mi <= math.log(50) + 3 * d.mi_error + 1e-6  # float32 densities
