"""What MI, TC and dimension-wise KL of all posteriors cost, and how right they are: S samples against N posteriors.

    python benchmarks/bench_elbo.py [--full] [--samples 1000] [--threads 2]

Against a naive float64 loop, one sample after another in numpy, of which a few samples are timed and scaled up. Each
row is a process of its own, whose peak memory is compared with that before the metric was called.
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
    """Means N(0, 1); widths like a trained model's, of .001, of .001 to 1 by latent, or of .05 with few far from it."""
    rng, each = np.random.default_rng(0), np.arange(latents)
    width = {
        "plausible": np.where(each < latents // 2, 0.1, 0.8),
        "sharp": np.full(latents, 1e-3),
        "mixed": np.geomspace(1e-3, 1, latents),
        "outliers": np.full(latents, 0.05),
    }[widths]
    mean, logvar = np.empty((n, latents), dtype), np.empty((n, latents), dtype)
    for start in range(
        0, n, 4096
    ):  # in blocks: what is made on the way would count as the process's peak memory
        block = mean[start : start + 4096]
        block[:] = rng.standard_normal(block.shape)
        logvar[start : start + 4096] = 2 * np.log(
            width * np.exp(0.3 * rng.standard_normal(block.shape))
        )
    if widths == "outliers":
        logvar[::1000], logvar[500::1000] = 2 * np.log(1e-4), 2 * np.log(30.0)
    return Codes(mean, logvar)


def naive(z: Array, codes: Codes) -> Array:
    """log q(z) and sum_j log q(z_j) at each sample, (S, 2): float64, one sample after another."""
    assert codes.logvar is not None
    mean, logvar = codes.mean.astype(np.float64), codes.logvar.astype(np.float64)
    scale, found = np.exp(-0.5 * logvar), []
    for point in z:
        log_q = -0.5 * (np.square((point - mean) * scale) + logvar + LOG_2PI)  # image n, latent j
        joint = log_q.sum(axis=1)
        top, tops = joint.max(), log_q.max(axis=0)
        log_qz = top + np.log(np.exp(joint - top).mean())
        found.append((log_qz, (tops + np.log(np.exp(log_q - tops).mean(axis=0))).sum()))
    return np.array(found)


def peak() -> float:
    """The process's largest resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    widths: str, n: int, latents: int, dtype: str, samples: int, *, repeats: int
) -> dict[str, float]:
    """Seconds of clock and of cores, MB beyond what was there, and the largest difference to the naive loop."""
    codes = posteriors(widths, n, latents, dtype)
    elbo_decomposition(
        posteriors(widths, 64, latents, dtype), samples=64, seed=0
    )  # threads and libraries are there
    before, seconds, cpu = peak(), [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        elbo_decomposition(codes, samples=samples, seed=0)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    memory, start = peak() - before, time.perf_counter()
    chain(codes, samples=samples, seed=0)
    chained = time.perf_counter() - start
    drawn = draw(codes, samples=samples, seed=0)
    few = Samples(drawn.z[:CHECKED], drawn.log_qzx[:CHECKED], drawn.precision)
    start = time.perf_counter()
    truth = naive(few.z, codes)
    loop = (time.perf_counter() - start) / CHECKED * samples
    ours = log_densities(few, codes)
    error = max(
        abs(ours.joint[0] - truth[:, 0]).max(), abs(ours.marginal.sum(axis=0) - truth[:, 1]).max()
    )
    return {
        "seconds": min(seconds),
        "cpu": min(cpu),
        "chain": chained,
        "loop": loop,
        "memory": memory,
        "error": float(error),
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
        print(
            json.dumps(
                measure(
                    widths, n, latents, dtype, arguments.samples, repeats=1 if arguments.full else 3
                )
            )
        )
        return
    print(
        f"N={n} d={latents} S={arguments.samples} threads={arguments.threads}, load {os.getloadavg()[0]:.2f} before"
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
