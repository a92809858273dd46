"""Cost and accuracy of MI, TC and dimension-wise KL over all posteriors: S samples, N posteriors.

    python benchmarks/bench_elbo.py [--full] [--samples 1000] [--threads 2]

The comparison is a naive float64 loop in numpy, one sample after another; a few of its samples are
timed and scaled up. Each row runs in a separate process; its memory is the peak of that process
minus the peak before the metric was called.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from metrics import Codes, chain, elbo_decomposition
from metrics.codes.sampling import Samples, draw
from metrics.gaussian import LOG_2PI
from metrics.mixture.log_density import log_densities
from metrics.types import Array

WIDTHS = ("plausible", "sharp", "mixed", "outliers")
CHECKED = 4  # samples of the naive loop


def posteriors(widths: str, n: int, latents: int, dtype: str) -> Codes:
    """Return N posteriors with means from N(0, 1).

    Args:
        widths: like a trained model's ("plausible"), .001 ("sharp"), .001 to 1 by latent ("mixed"),
            or .05 with a few that are far from it ("outliers").
        n: number of posteriors.
        latents: number of latents.
        dtype: of mean and logvar.
    """
    rng, latent = np.random.default_rng(0), np.arange(latents)
    width = {
        "plausible": np.where(latent < latents // 2, 0.1, 0.8),
        "sharp": np.full(latents, 1e-3),
        "mixed": np.geomspace(1e-3, 1, latents),
        "outliers": np.full(latents, 0.05),
    }[widths]
    mean, logvar = np.empty((n, latents), dtype), np.empty((n, latents), dtype)
    # In blocks: large temporary arrays would count as peak memory of the process.
    for start in range(0, n, 4096):
        block = mean[start : start + 4096]
        block[:] = rng.standard_normal(block.shape)
        block_width = width * np.exp(0.3 * rng.standard_normal(block.shape))
        logvar[start : start + 4096] = 2 * np.log(block_width)
    if widths == "outliers":
        logvar[::1000], logvar[500::1000] = 2 * np.log(1e-4), 2 * np.log(30.0)
    return Codes(mean, logvar)


def naive(z: Array, codes: Codes) -> Array:
    """Return log q(z) and sum_j log q(z_j) of each sample, (S, 2) float64, one after another."""
    assert codes.logvar is not None
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    scale, densities = np.exp(-0.5 * logvar), []
    for point in z:
        log_q = -0.5 * (np.square((point - mean) * scale) + logvar + LOG_2PI)  # image n, latent j
        joint = log_q.sum(axis=1)
        top, tops = joint.max(), log_q.max(axis=0)
        log_qz = top + np.log(np.exp(joint - top).mean())
        log_qzj = tops + np.log(np.exp(log_q - tops).mean(axis=0))
        densities.append((log_qz, log_qzj.sum()))
    return np.array(densities)


def peak() -> float:
    """Return the largest resident memory of the process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    widths: str, n: int, latents: int, dtype: str, samples: int, *, repeats: int
) -> dict[str, float]:
    """Return the numbers of one row.

    Returns:
        seconds of the metric by the clock, and of all cores ("cpu"); seconds with the chain rule
        ("chain"), and of the naive loop ("loop"); MB of memory above the codes; and the largest
        difference to the naive loop, in nats ("error").
    """
    codes = posteriors(widths, n, latents, dtype)
    # A small call first: it starts threads and loads libraries.
    elbo_decomposition(posteriors(widths, 64, latents, dtype), samples=64, seed=0)
    memory_before, seconds, cpu = peak(), [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        elbo_decomposition(codes, samples=samples, seed=0)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    memory = peak() - memory_before
    start = time.perf_counter()
    chain(codes, samples=samples, seed=0)
    chained = time.perf_counter() - start
    drawn = draw(codes, samples=samples, seed=0)
    few = Samples(drawn.z[:CHECKED], drawn.log_qzx[:CHECKED], drawn.precision)
    start = time.perf_counter()
    expected = naive(few.z, codes)
    loop = (time.perf_counter() - start) / CHECKED * samples
    ours = log_densities(few, codes)
    joint_error = abs(ours.joint[0] - expected[:, 0]).max()
    marginal_error = abs(ours.marginal.sum(axis=0) - expected[:, 1]).max()
    return {
        "seconds": min(seconds),
        "cpu": min(cpu),
        "chain": chained,
        "loop": loop,
        "memory": memory,
        "error": float(max(joint_error, marginal_error)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--full", action="store_true", help="all of dSprites, 737,280 images, not 23,040"
    )
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    n, latents = (737_280, 10) if arguments.full else (23_040, 10)
    if arguments.row:
        widths, dtype = arguments.row.split("/")
        repeats = 1 if arguments.full else 3
        row = measure(widths, n, latents, dtype, arguments.samples, repeats=repeats)
        print(json.dumps(row))
        return
    print(
        f"N={n} d={latents} S={arguments.samples} threads={arguments.threads}, "
        f"load {os.getloadavg()[0]:.2f} before"
    )
    for dtype in ("float32", "float64"):
        for widths in WIDTHS:
            run = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--row", f"{widths}/{dtype}"],
                capture_output=True,
                check=True,
                text=True,
            )
            row = json.loads(run.stdout)
            print(
                f"{widths:<10} {dtype}  seconds {row['seconds']:6.2f} ({row['cpu']:.1f} of cores)  "
                f"with chain {row['chain']:7.2f}  "
                f"naive loop {row['loop']:8.1f}  ratio {row['loop'] / row['seconds']:5.0f}  "
                f"memory +{row['memory']:.0f} MB  max error {row['error']:.1e} nats",
                flush=True,
            )
    print(f"load {os.getloadavg()[0]:.2f} after")


if __name__ == "__main__":
    main()
