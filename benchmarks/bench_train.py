"""Our training loop against a bare PyTorch step of the same network, in one process, as a ratio.

    python benchmarks/bench_train.py [--objective beta_tcvae] [--network mlp] [--threads 1]

The bare step is what one would write by hand: images and noise already in memory, one loss,
`backward`, a fused Adam. It records no terms, checks nothing and evaluates nothing. Denormal
numbers are flushed in both. Epochs of the two alternate, so that a change of the machine's load
affects both; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch.nn import functional

import vae_core
from metrics import minibatch
from vae_core import random_draws
from vae_core.data import ImageTable
from vae_core.flush_denormals import flushed
from vae_core.likelihood import likelihood
from vae_core.networks import build_networks
from vae_core.objectives import AbstractObjective
from vae_core.types import Wiring

GRID = {"scale": 2, "orientation": 4, "pos_x": 2, "pos_y": 2}  # 23,040 images


def bare_epoch(config: vae_core.TrialConfig, data: vae_core.Data) -> Callable[[], float]:
    """Return a function that trains one epoch by hand and returns its seconds."""
    draw = random_draws.generator(config.seed, "weights")
    networks = build_networks(
        config.network, Wiring(), data.shape, likelihood=likelihood("bernoulli"), generator=draw
    )
    encoder, decoder = networks.encoder, networks.decoder
    optimiser = torch.optim.Adam(networks.parameters(), lr=config.train.learning_rate, fused=True)
    size, steps = config.train.batch_size, config.train.steps_per_epoch(len(data))
    images = ImageTable(data).batch(torch.arange(size))
    noise = torch.randn(size, networks.latents)
    objective = cast(Any, config.objective)
    total_correlation = isinstance(objective, vae_core.BetaTCVAE)
    beta = 1.0 if isinstance(objective, vae_core.VAE) else objective.beta

    @flushed()
    def epoch() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            mean, logvar = encoder(images).chunk(2, dim=1)
            z = mean + (0.5 * logvar).exp() * noise
            loss = functional.binary_cross_entropy_with_logits(decoder(z), images, reduction="sum")
            loss = loss / size
            kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum() / size
            if total_correlation:
                log_qz, log_prod_qzj = minibatch.log_qz(
                    z, mean, logvar, len(data), objective.estimator
                )
                loss = loss + kl + (beta - 1) * (log_qz - log_prod_qzj).mean()
            else:
                loss = loss + beta * kl
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return time.perf_counter() - start

    return epoch


def main() -> None:
    """Print images per second of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--objective", default="beta_tcvae", choices=["vae", "beta_vae", "beta_tcvae"]
    )
    parser.add_argument("--network", default="mlp", choices=vae_core.NETWORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    data = vae_core.load_data("dsprites", resolution=32, stride=GRID)
    if arguments.network == "mlp":
        network = vae_core.MLP(latents=6)
    else:
        network = vae_core.NETWORKS[arguments.network]()
    objective: AbstractObjective = vae_core.OBJECTIVES[arguments.objective]()
    config = vae_core.TrialConfig(
        data=vae_core.DSprites(resolution=32, stride=GRID),
        objective=objective,
        network=network,
        train=vae_core.TrainConfig(epochs=arguments.epochs + 1),
        evaluation=vae_core.EvaluationConfig(final=()),
        fingerprint=data.fingerprint,
    )
    reports, bare = vae_core.train(config, data), bare_epoch(config, data)
    next(reports)  # the first epoch fills allocator and caches
    bare()
    ours: list[float] = []
    evaluations: list[float] = []
    theirs: list[float] = []
    for _ in range(arguments.epochs):
        theirs.append(bare())
        report = next(reports)
        ours.append(report.seconds["train"])
        evaluations.append(report.seconds["evaluate"])
    train, evaluate = statistics.median(ours), statistics.median(evaluations)
    by_hand = statistics.median(theirs)
    images = config.train.steps_per_epoch(len(data)) * config.train.batch_size
    print(
        f"{arguments.objective}, {arguments.network}, {arguments.threads} thread(s), "
        f"torch {torch.__version__}"
    )
    print(
        f"ours      {images / train:10,.0f} images/s   {train:.2f} s an epoch of {images:,} images"
    )
    print(f"by hand   {images / by_hand:10,.0f} images/s   {by_hand:.2f} s")
    print(f"ratio of our training to the bare steps: {train / by_hand:.3f}")
    print(f"evaluation: {evaluate:.2f} s, {evaluate / (train + evaluate):.1%} of an epoch")


if __name__ == "__main__":
    main()
