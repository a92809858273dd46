import math
import tracemalloc

import numpy as np
import pytest
import torch
from metric_references import (
    densities_by_loops,
    elbo_by_grids,
    elbo_by_loops,
    grid_factors,
    noisy_codes,
    sharp_codes,
)

from metrics import Codes, device, elbo_decomposition, gaussian, score
from metrics.codes.sampling import draw
from metrics.information.quadrature import mixture_entropies
from metrics.mixture.log_density import log_densities


def random_codes(n, d, *, std, seed, dtype):
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((n, d))
    logvar = 2 * np.log(std * np.exp(0.3 * rng.standard_normal((n, d))))
    return Codes(mean.astype(dtype), logvar.astype(dtype))


@pytest.mark.parametrize("std", [1.0, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_samples_give_tc_as_their_plain_mean(std, dtype):
    codes = random_codes(150, 4, std=std, seed=1, dtype=dtype)
    ours = elbo_decomposition(codes, samples=39, seed=3)
    # Float32 densities of a sample are right to some 1e-5 nats.
    assert ours.tc == pytest.approx(elbo_by_loops(codes, samples=39, seed=3)[1], abs=2e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("images", [20, 1000])
def test_the_parts_lie_within_four_standard_errors_of_their_integrals(images, weighted):
    codes = random_codes(images, 2, std=0.3, seed=1, dtype=np.float64)
    p = np.random.default_rng(2).dirichlet(np.ones(images)) if weighted else None
    ours = elbo_decomposition(codes, samples=600, seed=0, weights=p)
    truth = elbo_by_grids(codes, p=p)
    errors = np.array([ours.mi_error, ours.tc_error, ours.dimwise_kl_error])
    np.testing.assert_array_less(np.abs(ours[:3] - np.array(truth)), 4 * errors)
    assert errors.max() < 0.02  # a larger error could hide a failure


@pytest.mark.parametrize(
    ("cases", "least", "most"),
    [
        # The share of n cases has a standard deviation of sqrt(.95 x .05 / n): three are allowed.
        (100, 0.885, 1.0),
        pytest.param(500, 0.92, 0.98, marks=pytest.mark.slow),
    ],
)
def test_intervals_of_two_standard_errors_cover_the_truth_in_95_of_100_cases(cases, least, most):
    covered = 0
    for case in range(cases):
        rng = np.random.default_rng(case)
        images = int(rng.integers(10, 60))
        mean = rng.uniform(-2, 2, (images, 2)) @ rng.uniform(-1, 1, (2, 2))
        codes = Codes(mean, 2 * np.clip(rng.normal(-1, 0.4, (images, 2)), -1.5, 0))
        p = rng.dirichlet(np.ones(images)) if case % 2 else None
        ours = elbo_decomposition(codes, samples=512, seed=case, weights=p)
        covered += abs(ours.tc - elbo_by_grids(codes, p=p, points=200)[1]) < 1.96 * ours.tc_error
    assert least <= covered / cases <= most


def test_mi_and_tc_have_the_same_error_because_the_joint_entropy_is_the_only_sampled_number():
    # TC is a difference of two integrals and one mean; the bound of the integrals is the rest.
    codes = random_codes(500, 3, std=0.3, seed=1, dtype=np.float64)
    ours = elbo_decomposition(codes, samples=512, seed=0)
    again = elbo_decomposition(codes, samples=512, seed=1)
    assert ours.mi_error == pytest.approx(ours.tc_error, rel=0.05)
    assert ours.mi + ours.tc == pytest.approx(again.mi + again.tc, abs=1e-9)
    assert ours.dimwise_kl == again.dimwise_kl


def test_the_mi_of_separate_posteriors_needs_no_samples():
    # log q(z) = log q(z|x) - ln N at every sample: a control explains all of it.
    mean = np.random.default_rng(0).standard_normal((100, 4))
    ours = elbo_decomposition(Codes(mean, np.full_like(mean, -20.0)), samples=50, seed=0)
    assert ours.mi == pytest.approx(math.log(100), abs=1e-6)


def test_posteriors_that_float64_does_not_resolve_are_sampled():
    logvar = np.repeat([[-80.0], [0.0], [60.0]], 20, axis=0).astype(np.float32)
    codes = Codes(np.random.default_rng(0).standard_normal((60, 1)).astype(np.float32), logvar)
    ours = elbo_decomposition(codes, samples=30, seed=0)
    mi, tc, _ = elbo_by_loops(codes, samples=30, seed=0)
    assert (ours.mi, ours.tc) == pytest.approx((mi, tc), rel=1e-9, abs=1e-9)


def test_latents_too_narrow_for_the_quadrature_are_sampled(monkeypatch):
    """The numbers are those of the quadrature within their errors, which then also hold for it."""
    codes = random_codes(400, 2, std=0.2, seed=3, dtype=np.float64)
    integrated = elbo_decomposition(codes, samples=2000, seed=0)
    widened = np.ones(400, dtype=bool)

    def narrow(*arguments):
        return mixture_entropies(*arguments)._replace(widened=widened)

    monkeypatch.setattr("metrics.mixture.marginals.mixture_entropies", narrow)
    sampled = elbo_decomposition(codes, samples=2000, seed=0)
    assert sampled.dimwise_kl_error > 2 * integrated.dimwise_kl_error
    assert abs(sampled.dimwise_kl - integrated.dimwise_kl) < 4 * sampled.dimwise_kl_error
    assert sampled.mi == pytest.approx(integrated.mi, abs=0.02)
    assert sampled.kl == pytest.approx(integrated.kl, abs=1e-9)


def test_more_samples_are_drawn_until_the_error_is_small_enough():
    codes = random_codes(300, 3, std=0.3, seed=6, dtype=np.float64)
    few = elbo_decomposition(codes, samples=512, seed=0)
    many = elbo_decomposition(codes, samples=512, seed=0, largest_error=0.008)
    assert few.tc_error > 0.008 > many.tc_error
    assert many.samples % 300 == 0  # every image equally often
    assert many == elbo_decomposition(codes, samples=512, seed=0, largest_error=0.008)
    # A first round of few samples would not know its error: it has 512.
    assert many == elbo_decomposition(codes, samples=2, seed=0, largest_error=0.008)
    assert many[:7] == elbo_decomposition(codes, samples=many.samples, seed=0)[:7]


def test_no_round_of_samples_exceeds_the_work():
    codes = random_codes(300, 3, std=0.3, seed=6, dtype=np.float64)
    work = 512 * 900 + 700 * 900  # the first round, and one of 700 samples
    capped = elbo_decomposition(codes, samples=512, seed=0, largest_error=1e-4, most_work=work)
    assert capped.samples == 700
    assert capped.tc_error > 1e-4


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
    """Torch's buffers have a fixed size, and numpy's are of the samples only."""

    def peak(n):
        codes = random_codes(n, 4, std=0.3, seed=0, dtype=np.float32)
        tracemalloc.start()
        log_densities(draw(codes, samples=256, seed=0), codes)
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    # A copy of one latent's means would be 4 bytes per image.
    assert peak(200_000) - peak(100_000) < 4 * 100_000


def test_blocks_do_not_change_the_value(monkeypatch):
    codes = random_codes(157, 3, std=0.2, seed=4, dtype=np.float32)
    in_one_block = elbo_decomposition(codes, samples=64, seed=0)
    # Parts of nine or ten images, in blocks of three.
    monkeypatch.setattr("metrics.mixture.log_density._BLOCK", {"cpu": 64 * 3})
    monkeypatch.setattr("metrics.device.pick", lambda: torch.device("cpu"))
    in_blocks = elbo_decomposition(codes, samples=64, seed=0)
    np.testing.assert_allclose(in_blocks, in_one_block, rtol=1e-6)


@pytest.mark.parametrize("std", [1.0, 0.3, 1e-3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_parts_sum_to_the_closed_form_of_the_kl(std, weighted):
    codes = random_codes(300, 4, std=std, seed=6, dtype=np.float64)
    p = np.random.default_rng(0).dirichlet(np.ones(300)) if weighted else np.full(300, 1 / 300)
    kl = gaussian.kl(torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar)).sum(dim=1)
    parts = elbo_decomposition(codes, samples=100, seed=0, weights=p)
    assert parts.mi + parts.tc + parts.dimwise_kl == pytest.approx(p @ kl.numpy(), rel=1e-9)


def test_every_image_is_drawn_equally_often_if_their_number_divides_that_of_the_samples():
    # Means far apart and no widths to speak of: the sample says which image it is of.
    codes = Codes(np.arange(5.0)[:, None], np.full((5, 1), -20.0))
    drawn = draw(codes, samples=50, seed=1).z[:, 0]
    np.testing.assert_array_equal(np.bincount(drawn.round().astype(int)), [10] * 5)


def test_product_grid_of_sharp_posteriors_has_full_mi_and_no_tc():
    factors = grid_factors(4, 5)  # 20 images: MI = ln 20. Independent coordinates: TC = 0
    d = elbo_decomposition(sharp_codes(factors.values), samples=20, seed=0)
    # The quadrature of each latent is right to 1e-5.
    np.testing.assert_allclose([d.mi, d.tc], [math.log(20), 0.0], atol=2e-5)


def test_collapsed_posterior_has_no_kl():
    codes = Codes(np.zeros((50, 3), np.float32), np.zeros((50, 3), np.float32))
    # The densities are float32.
    np.testing.assert_allclose(elbo_decomposition(codes, samples=30, seed=0)[:4], 0.0, atol=1e-6)


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
