import math
import tracemalloc

import numpy as np
import pytest
import torch
from metric_references import (
    densities_by_loops,
    elbo_by_loops,
    grid_factors,
    noisy_codes,
    sharp_codes,
)

from metrics import Codes, device, elbo_decomposition, gaussian, score
from metrics.codes.sampling import draw
from metrics.mixture.log_density import log_densities


def random_codes(n, d, *, std, seed, dtype):
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((n, d))
    logvar = 2 * np.log(std * np.exp(0.3 * rng.standard_normal((n, d))))
    return Codes(mean.astype(dtype), logvar.astype(dtype))


@pytest.mark.parametrize("std", [1.0, 0.1, 1e-3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_loops(std, dtype):
    codes = random_codes(150, 4, std=std, seed=1, dtype=dtype)
    ours = elbo_decomposition(codes, samples=40, seed=3)[:3]
    # Float32 samples are rounded by up to 1e-7 |z|, which is 2e-4 of a width of 1e-3. The mean of
    # 40 such errors is below 1e-3.
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=40, seed=3), rtol=1e-4, atol=1e-3)


def test_agrees_with_loops_at_widths_that_float32_cannot_represent():
    codes = random_codes(60, 3, std=1e-6, seed=2, dtype=np.float32)
    ours = elbo_decomposition(codes, samples=30, seed=0)[:3]
    # All of it is float64.
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=30, seed=0), rtol=1e-9)


def test_agrees_with_loops_if_widths_differ_by_many_orders_of_magnitude():
    logvar = np.repeat([[-80.0], [0.0], [60.0]], 20, axis=0).astype(np.float32)
    codes = Codes(np.random.default_rng(0).standard_normal((60, 1)).astype(np.float32), logvar)
    ours = elbo_decomposition(codes, samples=60, seed=0)[:3]
    # TC is 0, hence the absolute tolerance.
    truth = elbo_by_loops(codes, samples=60, seed=0)
    np.testing.assert_allclose(ours, truth, rtol=1e-9, atol=1e-9)


def posteriors(kind, *, n=5_000, d=6, dtype):
    """Return codes of one width, or with one width per latent from .001 to 1 ("mixed").

    "outliers" are narrow posteriors, with some much narrower and much wider ones among them.
    """
    rng = np.random.default_rng(0)
    mean, jitter = rng.standard_normal((n, d)), np.exp(0.3 * rng.standard_normal((n, d)))
    if kind == "outliers":
        std = 0.05 * jitter
        std[::100], std[50::100] = 1e-4, 30.0
    else:
        std = (np.geomspace(1e-3, 1, d) if kind == "mixed" else kind) * jitter
    return Codes(mean.astype(dtype), (2 * np.log(std)).astype(dtype))


@pytest.mark.parametrize("kind", [1e-5, 1e-3, 0.05, 1.0, "mixed", "outliers"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-12)])
def test_densities_of_every_sample_agree_with_loops(kind, dtype, tolerance):
    # Float32: exponents of up to 80 nats have relative errors of a few 6e-8, and a sum of six of
    # them is off by at most 2e-5. The means over samples are required to 1e-3 only.
    codes = posteriors(kind, dtype=dtype)
    samples = draw(codes, samples=60, seed=0)
    ours, truth = log_densities(samples, codes, prefixes=True), densities_by_loops(samples.z, codes)
    np.testing.assert_allclose(ours.joint, truth[0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours.marginal, truth[1], rtol=0, atol=tolerance)
    np.testing.assert_array_equal(log_densities(samples, codes).joint, ours.joint[-1:])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1e-3, "mixed", "outliers"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_of_dsprites_agrees_with_loops(kind, dtype):
    codes = posteriors(kind, n=737_280, d=10, dtype=dtype)
    samples = draw(codes, samples=8, seed=0)
    ours, truth = log_densities(samples, codes), densities_by_loops(samples.z, codes)
    np.testing.assert_allclose(ours.joint[0], truth[0][-1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.marginal, truth[1], rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [1e-3, 0.05, "mixed"])
def test_a_gpu_gives_the_value_of_the_cpu(kind, dtype, monkeypatch):
    codes = posteriors(kind, dtype=dtype)
    assert device.pick().type == "cuda"
    on_gpu = elbo_decomposition(codes, samples=256, seed=0)
    monkeypatch.setattr("metrics.device.pick", lambda: torch.device("cpu"))
    on_cpu = elbo_decomposition(codes, samples=256, seed=0)
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-6, atol=1e-6)


def test_memory_does_not_grow_with_the_data():
    """Torch's buffers have a fixed size. In numpy only the draw of images grows: 8 bytes each."""

    def peak(n):
        codes = random_codes(n, 4, std=0.3, seed=0, dtype=np.float32)
        tracemalloc.start()
        elbo_decomposition(codes, samples=256, seed=0)
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    # A copy of the means alone would be 16 bytes per image.
    assert peak(200_000) - peak(100_000) < 12 * 100_000


def test_blocks_do_not_change_the_value(monkeypatch):
    codes = random_codes(157, 3, std=0.2, seed=4, dtype=np.float32)
    in_one_block = elbo_decomposition(codes, samples=64, seed=0)
    # Parts of nine or ten images, in blocks of three.
    monkeypatch.setattr("metrics.mixture.log_density._BLOCK", {"cpu": 64 * 3})
    monkeypatch.setattr("metrics.device.pick", lambda: torch.device("cpu"))
    in_blocks = elbo_decomposition(codes, samples=64, seed=0)
    np.testing.assert_allclose(in_blocks, in_one_block, rtol=1e-6)


def test_the_three_parts_sum_to_the_kl_exactly():
    d = elbo_decomposition(
        random_codes(200, 5, std=0.3, seed=5, dtype=np.float32), samples=100, seed=0
    )
    assert d.kl == d.mi + d.tc + d.dimwise_kl


def test_sampled_kl_is_the_closed_form_within_its_error():
    codes = random_codes(300, 4, std=0.3, seed=6, dtype=np.float64)
    kl = gaussian.kl(torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar))
    closed = kl.sum(dim=1).mean().item()
    result = score("elbo", codes, samples=1000)
    assert abs(result.value - closed) < 4 * result.error


def test_more_samples_than_images_are_drawn_with_replacement():
    codes = random_codes(5, 2, std=0.3, seed=7, dtype=np.float64)
    ours = elbo_decomposition(codes, samples=50, seed=1)[:3]
    np.testing.assert_allclose(ours, elbo_by_loops(codes, samples=50, seed=1), rtol=1e-9)


def test_product_grid_of_sharp_posteriors_has_full_mi_and_no_tc():
    factors = grid_factors(4, 5)  # 20 images: MI = ln 20. Independent coordinates: TC = 0
    d = elbo_decomposition(sharp_codes(factors.values), samples=20, seed=0)
    np.testing.assert_allclose([d.mi, d.tc], [math.log(20), 0.0], atol=1e-9)


def test_collapsed_posterior_has_no_kl():
    codes = Codes(np.zeros((50, 3), np.float32), np.zeros((50, 3), np.float32))
    # The densities are float32.
    np.testing.assert_allclose(elbo_decomposition(codes, samples=30, seed=0), 0.0, atol=1e-6)


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


def test_terms_of_the_chain_sum_to_the_total_correlation():
    codes = noisy_codes(grid_factors(3, 4, 5), latents=4, seed=0)
    unsplit, split = score("elbo", codes, samples=40), score("elbo.chain", codes, samples=40)
    assert split.value == pytest.approx(unsplit.value, rel=1e-12)
    assert split.details["chain"].shape == split.details["chain_errors"].shape == (3,)
    assert split.details["chain"].sum() == pytest.approx(split.details["tc"], abs=1e-10)
    assert "chain" not in unsplit.details


def test_discrete_latents_are_left_out_by_name():
    values = grid_factors(3, 4, 5).values
    codes = noisy_codes(grid_factors(3, 4, 5), latents=2, seed=0)
    alone = score("elbo", codes)
    mixed = score("elbo", Codes(codes.mean, codes.logvar, values[:, :1]))
    assert mixed.value == alone.value
    assert mixed.details["excluded"] == {
        "latent 2": "discrete: outside the continuous posterior q(z|x)"
    }
    assert mixed.identity["latents"] == "continuous"
    assert alone.details["excluded"] == {}


def test_only_discrete_latents_score_zero_with_a_reason():
    none = np.zeros((12, 0), np.float32)
    result = score("elbo", Codes(none, none, np.arange(12)[:, None] % 3))
    assert (result.value, result.details["tc"]) == (0.0, 0.0)
    assert "no continuous latents" in result.details["reason"]
