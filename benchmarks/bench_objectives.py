"""The cost of each objective: seconds of training per epoch, and the ratio to the plain VAE.

    python benchmarks/bench_objectives.py [--network mlp] [--threads 1] [--epochs 3]

All objectives run in one process and take turns epoch by epoch, so that a change of the machine's
load affects all of them; ratios are those of the medians. Schedules are short, so that after the
first epoch (not counted) every latent and code is open. FactorVAE's discriminator is the paper's,
6 x 1000.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch

import vae_core

GRID = {"scale": 2, "orientation": 8, "pos_x": 2, "pos_y": 2}  # 11,520 images
SHORT: dict[str, Any] = {"annealing": 1, "stage_length": 2, "label": ("shape",)}


def main() -> None:
    """Print one line per objective."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="mlp", choices=vae_core.NETWORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = vae_core.load_data("dsprites", resolution=32, stride=GRID)
    if arguments.network == "mlp":
        network = vae_core.MLP(latents=6)
    else:
        network = vae_core.NETWORKS[arguments.network]()
    running = {}
    for name, cls in vae_core.OBJECTIVES.items():
        known = cls.__dataclass_fields__  # type: ignore[attr-defined]
        short = {field: value for field, value in SHORT.items() if field in known}
        config = vae_core.TrialConfig(
            data=vae_core.DSprites(resolution=32, stride=GRID),
            objective=cls(**short),
            network=network,
            train=vae_core.TrainConfig(epochs=arguments.epochs + 2),
            evaluation=vae_core.EvaluationConfig(images=1024, samples=64, final=()),
            fingerprint=data.fingerprint,
        )
        running[name] = vae_core.train(config, data)
        next(running[name])  # the first epoch fills allocator and caches
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(arguments.epochs):
        for name, reports in running.items():
            seconds[name].append(next(reports).seconds["train"])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{arguments.network}, {arguments.threads} thread(s), torch {torch.__version__}, "
        f"{len(data):,} images an epoch"
    )
    for name, median in medians.items():
        print(f"{name:18} {median:6.2f} s an epoch, {median / medians['vae']:5.2f} times the VAE")


if __name__ == "__main__":
    main()
