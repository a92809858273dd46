"""Estimators of log q(z) from a minibatch; the published weight matrix is a negative control."""

import itertools
import math

import numpy as np
import pytest
import torch

from metrics import Codes, elbo_decomposition, gaussian
from metrics.minibatch import log_qz, log_weights

PROPER = ["mss", "mss-symmetric"]
ALL = ["mws", "mss", "mss-symmetric", "mss-published"]


def posterior(batch, d, seed=0, scale=1.0):
    z, mean, logvar = torch.randn(
        3, batch, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return z, scale * mean, 0.5 * logvar


def mixture(z, mean, logvar):
    # log_q[i, k, j]: sample i, image k, latent j
    log_q = gaussian.log_density(z[:, None], mean[None], logvar[None])
    n = math.log(len(mean))
    return log_q.sum(2).logsumexp(1) - n, (log_q.logsumexp(1) - n).sum(1)


@pytest.mark.parametrize("estimator", ALL)
def test_estimate_is_the_weighted_sum_over_the_batch(estimator):
    z, mean, logvar = posterior(5, 3)
    log_q = gaussian.log_density(z[:, None], mean[None], logvar[None])
    weights = log_weights(5, 40, estimator)
    joint, product = log_qz(z, mean, logvar, 40, estimator)
    torch.testing.assert_close(joint, (log_q.sum(2) + weights).logsumexp(1))
    torch.testing.assert_close(product, (log_q + weights[:, :, None]).logsumexp(1).sum(1))


@pytest.mark.parametrize("estimator", PROPER)
@pytest.mark.parametrize(("batch", "n"), [(2, 2), (3, 6), (8, 100), (64, 64)])
def test_rows_of_the_weights_sum_to_one(estimator, batch, n):
    sums = log_weights(batch, n, estimator).exp().sum(1)
    torch.testing.assert_close(sums, torch.ones(batch, dtype=torch.float64))


def test_stratified_weights_have_their_published_form():
    # B = 4, N = 10, M = 3: 1/N on the diagonal, (N - M)/(N M) = 7/30 after it, cyclic, 1/M
    # elsewhere.
    a, b, c = 1 / 10, 7 / 30, 1 / 3
    expected = [[a, b, c, c], [c, a, b, c], [c, c, a, b], [b, c, c, a]]
    np.testing.assert_allclose(log_weights(4, 10, "mss").exp(), expected)


def row_biases(estimator, n=6, batch=3):
    """Return the relative bias of the estimate of q(z), for a sample in each row of the batch.

    It is the mean of estimate / q(z) - 1 over all ordered batches with the image of the sample in
    that row.
    """
    _, mean, logvar = posterior(n, 2, scale=2.0)
    z = mean[:1] + 0.3  # a sample from image 0
    density = gaussian.log_density(z, mean, logvar).sum(1).exp()
    weights = log_weights(batch, n, estimator).exp()
    biases = []
    for row in range(batch):
        batches = [b for b in itertools.permutations(range(n), batch) if b[row] == 0]
        mean_estimate = np.mean([float(weights[row] @ density[list(b)]) for b in batches])
        biases.append(mean_estimate / float(density.mean()) - 1)
    return np.array(biases)


@pytest.mark.parametrize("estimator", PROPER)
def test_proper_estimators_are_unbiased_in_every_row(estimator):
    np.testing.assert_allclose(row_biases(estimator), 0.0, atol=1e-12)


def test_published_weights_are_biased_in_all_rows_but_the_first():
    biases = np.abs(row_biases("mss-published"))
    assert biases[0] < 1e-12
    assert (biases[1:] > 0.01).all()


def test_published_weights_have_a_row_that_does_not_sum_to_one():
    # Row B - 2 sums to 1 + 1/M - 2/N = 1 + 1/7 - 1/50 = 1.1229 at B = 8, N = 100.
    sums = log_weights(8, 100, "mss-published").exp().sum(1).numpy()
    assert sums[6] == pytest.approx(1.1229, abs=1e-4)
    np.testing.assert_allclose(np.delete(sums, 6), 1.0)


def test_symmetric_is_exact_if_the_batch_is_the_data_set():
    z, mean, logvar = posterior(7, 3)
    ours, truth = log_qz(z, mean, logvar, 7, "mss-symmetric"), mixture(z, mean, logvar)
    torch.testing.assert_close(ours[0], truth[0])
    torch.testing.assert_close(ours[1], truth[1])


def test_stratified_is_not_exact_if_the_batch_is_the_data_set():
    z, mean, logvar = posterior(7, 3)
    difference = log_qz(z, mean, logvar, 7, "mss")[0] - mixture(z, mean, logvar)[0]
    assert difference.abs().max() > 1e-3


def test_weighted_sampling_of_a_collapsed_posterior_is_low_by_log_n():
    # q(z|x) = p: log q(z) = log p(z) - ln N, and each of the d marginals likewise. With N = 20,000
    # and d = 10: MI = 9.9035, TC = (d - 1) ln N = 89.13, dimension-wise KL = -99.03.
    z, zero = torch.randn(32, 10, dtype=torch.float64), torch.zeros(32, 10, dtype=torch.float64)
    log_p = gaussian.log_density(z, zero, zero).sum(1)
    joint, product = log_qz(z, zero, zero, 20_000, "mws")
    terms = [(log_p - joint).mean(), (joint - product).mean(), (product - log_p).mean()]
    np.testing.assert_allclose(terms, [9.9035, 89.13, -99.03], atol=5e-3)


@pytest.mark.parametrize("estimator", PROPER)
def test_stratified_sampling_of_a_collapsed_posterior_is_exact(estimator):
    z, zero = torch.randn(32, 10, dtype=torch.float64), torch.zeros(32, 10, dtype=torch.float64)
    log_p = gaussian.log_density(z, zero, zero).sum(1)
    for ours in log_qz(z, zero, zero, 20_000, estimator):
        torch.testing.assert_close(ours, log_p)


def test_full_mixture_and_mean_over_a_batch_of_a_collapsed_posterior_are_exact():
    z, zero = torch.randn(32, 10, dtype=torch.float64), torch.zeros(32, 10, dtype=torch.float64)
    for ours in mixture(z, zero, zero):  # weights of 1/B
        torch.testing.assert_close(ours, gaussian.log_density(z, zero, zero).sum(1))
    flat = np.zeros((20_000, 10), np.float32)
    np.testing.assert_allclose(
        elbo_decomposition(Codes(flat, flat), samples=32, seed=0)[:4], 0.0, atol=1e-6
    )


def test_weighted_sampling_of_separate_posteriors_is_low_by_log_batch():
    # Only the image of a sample contributes: log q(z) = log q(z|x) - ln(N B) instead of
    # log q(z|x) - ln N.
    mean = 100 * torch.arange(8, dtype=torch.float64)[:, None].expand(8, 3)
    zero = torch.zeros_like(mean)
    joint, product = log_qz(mean, mean, zero, 50, "mws")
    log_qzx = gaussian.log_density(mean, mean, zero).sum(1)
    torch.testing.assert_close(joint, log_qzx - math.log(50 * 8))
    expected_tc = torch.tensor(2 * math.log(50 * 8), dtype=torch.float64)
    torch.testing.assert_close((joint - product).mean(), expected_tc)


@pytest.mark.parametrize("estimator", ALL)
def test_gradients_agree_with_finite_differences(estimator):
    inputs = tuple(x.requires_grad_() for x in posterior(4, 2))
    assert torch.autograd.gradcheck(lambda *x: log_qz(*x, 30, estimator), inputs)


@pytest.mark.parametrize("estimator", ALL)
def test_fused_models_get_the_gradients_of_single_models(estimator):
    pairs = zip(posterior(4, 2, 1), posterior(4, 2, 2), strict=True)
    stacked = tuple(torch.stack(pair) for pair in pairs)

    def total_correlation(z, mean, logvar):
        joint, product = log_qz(z, mean, logvar, 30, estimator)
        return (joint - product).mean()

    gradient = torch.func.grad(total_correlation, argnums=(0, 1, 2))
    fused = torch.func.vmap(gradient)(*stacked)
    for model in range(2):
        alone = gradient(*(x[model] for x in stacked))
        for of_both, of_one in zip(fused, alone, strict=True):
            torch.testing.assert_close(of_both[model], of_one)


def test_sharp_float32_posteriors_stay_finite():
    z, mean, logvar = (x.float().requires_grad_() for x in posterior(16, 4))
    # Widths of 1e-3: log densities down to -1e6.
    joint, product = log_qz(z, mean, logvar - 14, 1000, "mss")
    (joint - product).sum().backward()
    assert all(torch.isfinite(x).all() for x in (joint, product, z.grad, mean.grad, logvar.grad))


@pytest.mark.parametrize(
    ("n", "batch", "estimator", "message"),
    [
        (100, 4, "mss_symmetric", "unknown estimator 'mss_symmetric'; known: mws"),
        (3, 4, "mws", "n_data is the size of the training set"),
        (100, 1, "mss", "at least 2 images"),
    ],
)
def test_errors_name_the_wrong_argument(n, batch, estimator, message):
    with pytest.raises(ValueError, match=message):
        log_qz(*posterior(batch, 2), n, estimator)
