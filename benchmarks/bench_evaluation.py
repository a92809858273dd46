"""The cost of evaluation: one epoch's metrics; MIG by quadrature and by the paper's sampling.

    python benchmarks/bench_evaluation.py [--full] [--threads 1]

The paper's protocol draws S = 10,000 samples of q(z) and of every q(z | v_k = v), ten at a time. It
evaluates each under all images of that mixture: S N (1 + K) densities per latent. One batch of ten
is timed and scaled up to all batches, once with plain code and once with tuned code. `--full` adds
all of dSprites, with the error against direct integration.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from metrics import Codes, Factors, elbo_decomposition, gaussian
from metrics.information.matrix import quadrature_information

SIZES = (3, 6, 40, 32, 32)
NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
PAPER_SAMPLES = 10_000
Densities = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def plausible(n: int, latents: int) -> tuple[Codes, Factors]:
    """Return codes like those of a trained model, and their factors.

    Position and scale have a sharp latent each, shape and angle share one, the other latents are
    dead.
    """
    rng = np.random.default_rng(0)
    if n == int(np.prod(SIZES)):
        values = np.stack(np.unravel_index(np.arange(n), SIZES), axis=1)
    else:
        values = np.stack([rng.integers(0, size, n) for size in SIZES], axis=1)
    mean, std = 0.1 * rng.standard_normal((n, latents)), np.full((n, latents), 0.95)
    for j, k in enumerate((3, 4, 1, 2)):
        mean[:, j] = 3.4 * (values[:, k] / (SIZES[k] - 1) - 0.5) + 0.1 * rng.standard_normal(n)
        std[:, j] = 0.05 + 0.15 * rng.random(n)
    mean[:, 3] += 0.5 * values[:, 0]
    codes = Codes(mean.astype(np.float32), (2 * np.log(std)).astype(np.float32))
    return codes, Factors(values, NAMES, SIZES)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the seconds of the shortest run: the one that other programs disturbed least."""
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def plain_densities(z: torch.Tensor, centre: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return log q(z_j) of every sample, (S, d): all log densities, and their log-sum-exp."""
    log_q = gaussian.log_density(z[:, None, :], centre, logvar)  # log_q[s, n, j]
    return torch.logsumexp(log_q, dim=1) - np.log(len(centre))


def tuned_densities(z: torch.Tensor, centre: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Return the same as `plain_densities`, faster.

    One latent at a time, without the maximum; underflow, which is slow, is avoided by a clamp.
    """
    scale, columns = (-0.5 * logvar).exp(), []
    for j in range(z.shape[1]):
        log_q = -0.5 * (((z[:, j, None] - centre[:, j]) * scale[:, j]).square() + logvar[:, j])
        columns.append(log_q.clamp(min=-80).exp().mean(dim=1).log())
    return torch.stack(columns, dim=1)


def paper_seconds(codes: Codes, factors: Factors, densities: Densities, samples: int = 10) -> float:
    """Return seconds of the paper's sampled I(z_j; v_k), from one batch of its 10,000 samples."""
    assert codes.logvar is not None
    mean, logvar = torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar)
    groups = [torch.arange(len(mean))]
    for column in factors.values.T:
        groups += [torch.as_tensor(np.flatnonzero(column == level)) for level in np.unique(column)]

    def one_batch() -> None:
        for rows in groups:
            picked = rows[torch.randint(len(rows), (samples,))]
            z = mean[picked] + torch.randn(samples, mean.shape[1]) * (0.5 * logvar[picked]).exp()
            densities(z, mean[rows], logvar[rows]).mean(dim=0)

    return seconds(one_batch, 2) * PAPER_SAMPLES / samples


def direct_information(codes: Codes, factors: Factors, j: int, points: int = 2048) -> np.ndarray:
    """Return I(z_j; v_k) of every factor by the trapezoid rule on all densities, in float64."""
    assert codes.logvar is not None
    mean = torch.as_tensor(codes.mean[:, j].astype(np.float64))
    std = (0.5 * torch.as_tensor(codes.logvar[:, j].astype(np.float64))).exp()
    # With a step below a fifth of the narrowest posterior's width, the error of the rule is
    # negligible: it converges exponentially for Gaussians.
    grid = torch.linspace(
        float((mean - 8 * std).min()), float((mean + 8 * std).max()), points, dtype=torch.float64
    )
    assert float(grid[1] - grid[0]) < float(std.min()) / 5
    sums = [torch.zeros(size, points, dtype=torch.float64) for size in factors.sizes]
    for start in range(0, len(mean), 1024):
        block = slice(start, start + 1024)
        z = (grid - mean[block, None]) / std[block, None]
        density = (-0.5 * z.square()).clamp(min=-700).exp() / (
            std[block, None] * np.sqrt(2 * np.pi)
        )
        for total, column in zip(sums, factors.values[block].T, strict=True):
            total.index_add_(0, torch.as_tensor(column), density)
    information: list[float] = []
    for total, column in zip(sums, factors.values.T, strict=True):
        counts = torch.as_tensor(np.bincount(column, minlength=len(total))).double()
        mixtures = torch.cat([total.sum(0, keepdim=True) / len(mean), total / counts[:, None]])
        p = mixtures.clamp(min=1e-300)
        entropy = torch.trapezoid(-p * p.log(), grid, dim=1)
        information.append(float(entropy[0] - (counts / len(mean)) @ entropy[1:]))
    return np.array(information)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="also all of dSprites, 737,280 images, 10 latents"
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = [(4096, 6), (23_040, 6)]
    if arguments.full:
        sizes.append((int(np.prod(SIZES)), 10))
    for n, latents in sizes:
        codes, factors = plausible(n, latents)
        repeats = 1 if n > 100_000 else 5
        mig = seconds(partial(quadrature_information, codes, factors), repeats)
        elbo = seconds(partial(elbo_decomposition, codes, samples=512, seed=0), repeats)
        setting = f"N={n} d={latents} K={len(SIZES)} threads={arguments.threads}"
        print(f"seconds  mig                {mig:9.3f}   {setting}")
        print(f"seconds  elbo_decomposition {elbo:9.3f}   {setting} S=512")
        print(f"seconds  both               {mig + elbo:9.3f}   {setting}")
        if n > 100_000:
            exact = np.stack([direct_information(codes, factors, j) for j in (0, 3)])
            ours = quadrature_information(codes, factors)
            error = np.abs(ours.matrix[[0, 3]] - exact).max()
            print(
                f"nats     largest error      {error:9.2g}   {setting}, "
                "latents 0 and 3 against direct integration"
            )
            print(f"nats     estimated error    {ours.error[[0, 3]].max():9.2g}   {setting}")
        for style, densities in (("plain", plain_densities), ("tuned", tuned_densities)):
            paper = paper_seconds(codes, factors, densities)
            print(
                f"seconds  sampled, {style:7s}   {paper:9.1f}   {setting} S={PAPER_SAMPLES}, "
                "from a batch of 10"
            )
            print(f"ratio    sampled, {style:7s} / mig {paper / mig:7.0f}   {setting}", flush=True)


if __name__ == "__main__":
    main()
