"""The aggregate posterior log q(z), estimated from one minibatch; differentiable.

l[i, j] = log q(z_i | x_j) for z_i ~ q(z | x_i) and x_j in a batch of B images out of N (Chen et al.
2018, appendix C). Every estimator is log q(z_i) = log sum_j W[i, j] exp l[i, j] with its own
weights W; for one latent alone the same weights apply.

Minibatch values are for gradients. Report the decomposition of `metrics.elbo_decomposition`
instead: the offset of weighted sampling alone is (d - 1) ln B to d ln N - ln B nats of total
correlation.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from metrics.gaussian import LOG_2PI

Estimator = Literal["mws", "mss", "mss-symmetric", "mss-published"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)


def log_qz(
    z: Tensor, mean: Tensor, logvar: Tensor, n_data: int, estimator: Estimator = "mws"
) -> tuple[Tensor, Tensor]:
    """Return estimates of log q(z_i) and sum_j log q(z_ij) for every sample of a batch.

    Args:
        z: (B, d) samples, row i from the posterior of image i.
        mean, logvar: (B, d) posterior parameters.
        n_data: size N of the training set (not of the batch, nor of an evaluation subset).
        estimator: "mws", "mss", "mss-symmetric" or "mss-published"; see `log_weights`.

    Returns:
        log q(z) of shape (B,) and log prod_j q(z_j) of shape (B,), nats. Gradients flow to all
        three tensors.

    Raises:
        ValueError: unknown estimator, N < B, or a stratified estimator on a batch of one.
    """
    batch = z.shape[0]
    # log_q[j, i, k]: latent j of sample i under the posterior of image k. Latents come first, and
    # contiguous, so that every pass runs along memory. Scale before squaring, so that posteriors of
    # any sharpness work.
    z, mean, logvar = (x.T.contiguous() for x in (z, mean, logvar))
    scaled = (z[:, :, None] - mean[:, None, :]) * (-0.5 * logvar).exp()[:, None, :]
    log_q = -0.5 * (scaled.square() + (logvar + LOG_2PI)[:, None, :])
    joint = log_q.sum(dim=0)
    if estimator == "mws":  # all pairs have the same weight: no matrix is needed
        _check(batch, n_data, estimator)
        offset = math.log(n_data * batch)
        return _log_sum_exp(joint) - offset, (_log_sum_exp(log_q) - offset).sum(dim=0)
    weights = log_weights(batch, n_data, estimator).to(joint)
    return _log_sum_exp(joint + weights), _log_sum_exp(log_q + weights).sum(dim=0)


def log_weights(batch: int, n_data: int, estimator: Estimator) -> Tensor:
    """Return the logarithm of the weight of image k in the estimate for sample i.

    With M = B - 1, the weights are:

    - "mws" (weighted sampling, Chen eq. S4): 1/(N B). Not normalised; too low by ln N where
      posteriors overlap.
    - "mss" (stratified sampling, Chen eq. S5): 1/N for the sample's own image, (N - M)/(N M) for
      the next one (cyclic), 1/M for all others. Rows sum to 1; unbiased for q(z) over batches drawn
      without replacement.
    - "mss-symmetric": 1/N for the sample's own image, (N - 1)/(N (B - 1)) for all others: the
      average of "mss" over the index of the stratified weight. It is therefore unbiased with less
      variance, and exact at B = N.
    - "mss-published": the matrix that the reference implementation and its copies build. Their
      strided fill writes columns 0 and 1 instead of the diagonal and the one above it, so that only
      row 0 is unbiased and row B - 2 does not sum to 1. Kept to reproduce published runs.

    Returns:
        (B, B) float64.

    Raises:
        ValueError: unknown estimator, N < B, or a stratified estimator on a batch of one.
    """
    _check(batch, n_data, estimator)
    n, m = n_data, batch - 1
    if estimator == "mws":
        return torch.full((batch, batch), -math.log(n * batch), dtype=torch.float64)
    if estimator == "mss-symmetric":
        weights = torch.full((batch, batch), (n - 1) / (n * m), dtype=torch.float64)
        return weights.fill_diagonal_(1 / n).log()
    weights = torch.full((batch, batch), 1 / m, dtype=torch.float64)
    stratified = (n - m) / (n * m)
    rows = torch.arange(batch)
    if estimator == "mss":
        weights[rows, (rows + 1) % batch] = stratified
        weights[rows, rows] = 1 / n
    else:
        weights[:, 0] = 1 / n
        weights[:, 1] = stratified
        weights[batch - 2, 0] = stratified
    return weights.log()


def _log_sum_exp(x: Tensor) -> Tensor:
    """Return the log of the sum of exponentials over the last axis; no exponential underflows.

    Vectorised exponentials are a hundred times slower if their result underflows, which is
    everywhere once posteriors are sharp. Next to the largest term, e^-80 changes neither value nor
    gradient in float32.
    """
    top = x.detach().amax(dim=-1, keepdim=True)
    return (x - top).clamp(min=-80).exp().sum(dim=-1).log() + top.squeeze(-1)


def _check(batch: int, n_data: int, estimator: str) -> None:
    """Raise ValueError if the estimator is unknown or cannot work with these sizes."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; known: {', '.join(ESTIMATORS)}")
    if n_data < batch:
        raise ValueError(
            "n_data is the size of the training set and must be >= the batch, "
            f"got {n_data} < {batch}"
        )
    if batch < 2 and estimator != "mws":
        raise ValueError(
            f"estimator {estimator!r} needs batches of at least 2 images, got {batch}; "
            "drop the last batch"
        )
