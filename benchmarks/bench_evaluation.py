"""What evaluation costs: seconds of one epoch's metrics, and quadrature against the paper's sampled MIG.

    python benchmarks/bench_evaluation.py [--full] [--threads 1]

The paper's protocol draws S = 10,000 samples of q(z) and of every q(z | v_k = v) and evaluates each under all images of
that mixture: S N (1 + K) densities per latent. A slice of that work is timed and scaled up to the whole.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from metrics import Codes, Factors, elbo_decomposition
from metrics.information import quadrature_information

SIZES = (3, 6, 40, 32, 32)
NAMES = ("shape", "scale", "orientation", "pos_x", "pos_y")
PAPER_SAMPLES = 10_000


def plausible(n: int, latents: int) -> tuple[Codes, Factors]:
    """Codes like a trained model's: position and scale on sharp latents, shape and angle mixed, the rest dead."""
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
    return Codes(mean.astype(np.float32), (2 * np.log(std)).astype(np.float32)), Factors(values, NAMES, SIZES)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs: what it takes when nothing else runs."""
    taken: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)


def paper_seconds(codes: Codes, factors: Factors, samples: int = 20) -> float:
    """Seconds of the paper's sampled I(z_j; v_k), all latents and factors, from a slice of `samples` of 10,000."""
    assert codes.logvar is not None
    mean, logvar = torch.as_tensor(codes.mean), torch.as_tensor(codes.logvar)
    inverse = (-0.5 * logvar).exp()
    groups = [torch.arange(len(mean))]
    for column in factors.values.T:
        groups += [torch.as_tensor(np.flatnonzero(column == level)) for level in np.unique(column)]

    def one_slice() -> None:
        for rows in groups:
            centre, scale, height = mean[rows], inverse[rows], logvar[rows]
            picked = torch.randint(len(rows), (samples,))
            z = centre[picked] + torch.randn(samples, mean.shape[1]) / scale[picked]
            for j in range(mean.shape[1]):
                log_q = -0.5 * (((z[:, j, None] - centre[:, j]) * scale[:, j]).square() + height[:, j])
                # Kept from underflowing, which would slow it down: nothing here can be smaller in effect.
                log_q.clamp(min=-80).exp().mean(dim=1).log().mean()

    return seconds(one_slice, 2) * PAPER_SAMPLES / samples


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also the whole of dSprites, 737,280 images, 10 latents")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    whole = [(int(np.prod(SIZES)), 10)] if arguments.full else []
    for n, latents in [(4096, 6), (23_040, 6), *whole]:
        codes, factors = plausible(n, latents)
        repeats = 1 if n > 100_000 else 5
        mig = seconds(partial(quadrature_information, codes, factors), repeats)
        elbo = seconds(partial(elbo_decomposition, codes, samples=512, seed=0), repeats)
        where = f"N={n} d={latents} K={len(SIZES)} threads={arguments.threads}"
        print(f"seconds  mig                {mig:9.3f}   {where}")
        print(f"seconds  elbo_decomposition {elbo:9.3f}   {where} S=512")
        print(f"seconds  both               {mig + elbo:9.3f}   {where}")
        if n < 100_000:
            paper = paper_seconds(codes, factors)
            print(f"seconds  mig as sampled     {paper:9.1f}   {where} S={PAPER_SAMPLES}, from a slice")
            print(f"ratio    mig as sampled / mig {paper / mig:7.0f}   {where}", flush=True)


if __name__ == "__main__":
    main()
