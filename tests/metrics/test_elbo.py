import math

import numpy as np
import pytest
import torch
from metric_references import elbo_by_loops, grid_factors, noisy_codes, sharp_codes

from metrics import Codes, elbo_decomposition, gaussian, score


def random_codes(n, d, *, std, seed, dtype):
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((n, d))
    logvar = 2 * np.log(std * np.exp(0.3 * rng.standard_normal((n, d))))
    return Codes(mean.astype(dtype), logvar.astype(dtype))


@pytest.mark.parametrize("std", [1.0, 0.1, 1e-3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_plain_loops(std, dtype):
    codes = random_codes(150, 4, std=std, seed=1, dtype=dtype)
    ours = elbo_decomposition(codes, samples=40, seed=3)[:3]
    # Float32 samples are rounded by up to 1e-7 |z|, 2e-4 of a width of 1e-3: 40 such errors in mean stay below 1e-3.
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=40, seed=3), rtol=1e-4, atol=1e-3)


def test_agrees_with_plain_loops_at_widths_that_float32_cannot_hold():
    codes = random_codes(60, 3, std=1e-6, seed=2, dtype=np.float32)
    ours = elbo_decomposition(codes, samples=30, seed=0)[:3]
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=30, seed=0), rtol=1e-9)  # float64 throughout


def test_agrees_with_plain_loops_where_widths_differ_wildly():
    logvar = np.repeat([[-80.0], [0.0], [60.0]], 20, axis=0).astype(np.float32)
    codes = Codes(np.random.default_rng(0).standard_normal((60, 1)).astype(np.float32), logvar)
    ours = elbo_decomposition(codes, samples=60, seed=0)[:3]
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=60, seed=0), rtol=1e-9, atol=1e-9)  # TC is 0


def test_blocks_do_not_change_the_value(monkeypatch):
    codes = random_codes(157, 3, std=0.2, seed=4, dtype=np.float32)
    whole = elbo_decomposition(codes, samples=64, seed=0)
    monkeypatch.setattr("metrics.elbo._BLOCK", 64 * 10)  # sixteen blocks, the last of seven images
    np.testing.assert_allclose(elbo_decomposition(codes, samples=64, seed=0), whole, rtol=1e-6)


def test_the_three_parts_sum_to_the_kl_exactly():
    d = elbo_decomposition(random_codes(200, 5, std=0.3, seed=5, dtype=np.float32), samples=100, seed=0)
    assert d.kl == d.mi + d.tc + d.dimwise_kl


def test_sampled_kl_is_the_closed_form_within_its_error():
    codes = random_codes(300, 4, std=0.3, seed=6, dtype=np.float64)
    closed = gaussian.kl(torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar)).sum(dim=1).mean().item()
    result = score("elbo", codes, samples=1000)
    assert abs(result.value - closed) < 4 * result.error


def test_more_samples_than_images_are_drawn_with_replacement():
    codes = random_codes(5, 2, std=0.3, seed=7, dtype=np.float64)
    ours = elbo_decomposition(codes, samples=50, seed=1)[:3]
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=50, seed=1), rtol=1e-9)


def test_product_grid_of_sharp_posteriors_has_full_mi_and_no_tc():
    factors = grid_factors(4, 5)  # 20 images: MI = ln 20; independent coordinates: TC = 0
    d = elbo_decomposition(sharp_codes(factors.values), samples=20, seed=0)
    np.testing.assert_allclose([d.mi, d.tc], [math.log(20), 0.0], atol=1e-9)


def test_collapsed_posterior_costs_nothing():
    codes = Codes(np.zeros((50, 3), np.float32), np.zeros((50, 3), np.float32))
    np.testing.assert_allclose(elbo_decomposition(codes, samples=30, seed=0), 0.0, atol=1e-6)  # float32 heights


def test_seed_decides_the_value():
    codes = noisy_codes(grid_factors(3, 4, 5), latents=4, seed=0)
    first, again, other = (elbo_decomposition(codes, samples=20, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_codes_without_logvar_are_refused():
    with pytest.raises(ValueError, match=r"codes\.logvar is None"):
        elbo_decomposition(Codes(np.zeros((3, 2))), samples=1, seed=0)


@pytest.mark.parametrize("samples", [0, -1])
def test_samples_must_be_positive(samples):
    with pytest.raises(ValueError, match="samples >= 1"):
        elbo_decomposition(sharp_codes(np.zeros((3, 2))), samples=samples, seed=0)
