"""The cost of every metric, and its growth with images, latents and factors.

    python benchmarks/bench_metrics.py [--quick] [--figure FILE]

One size is varied at a time around N = 4,096 images, d = 10 latents, K = 5 factors. A metric that
takes longer than the limit is not timed at a larger size. Chance and ceiling, which are computed
once per set of factors, are left out. With `--figure` it draws docs/metrics-cost.png.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from metrics import Codes, Factors, score
from metrics.registry import METRICS

LIMIT = 5.0  # seconds
IMAGES = (1024, 4096, 16_384, 65_536, 262_144, 737_280)
LATENTS = (2, 5, 10, 20, 40)
FACTORS = (1, 2, 5, 10, 20)
CENTRE = (4096, 10, 5)
SIDE = 32  # pixels of an image, for the metrics that need images


def plausible(n: int, latents: int, count: int) -> tuple[Codes, Factors]:
    """Return codes of a plausible model, and their factors.

    Each factor has one latent, as far as there are latents; the other latents are dead.
    """
    rng = np.random.default_rng(0)
    sizes = tuple((3, 6, 40, 32, 32)[k % 5] for k in range(count))
    values = np.stack([rng.integers(0, size, n) for size in sizes], axis=1)
    mean, std = 0.1 * rng.standard_normal((n, latents)), np.full((n, latents), 0.95)
    for j in range(min(latents, count)):
        mean[:, j] = 3.4 * (values[:, j] / (sizes[j] - 1) - 0.5) + 0.1 * rng.standard_normal(n)
        std[:, j] = 0.05 + 0.15 * rng.random(n)
    return (
        Codes(mean.astype(np.float32), (2 * np.log(std)).astype(np.float32)),
        Factors(values, tuple(f"factor{k}" for k in range(count)), sizes),
    )


def seconds(name: str, n: int, latents: int, count: int) -> float:
    """Return the seconds of one score; a short one is timed again: the first call also imports."""
    codes, factors = plausible(n, latents, count)
    needs = METRICS[name].needs
    extra: dict[str, object] = {}
    if needs & {"images", "reconstructions"}:
        images = np.random.default_rng(0).random((n, 1, SIDE, SIDE), dtype=np.float32)
        extra = {key: images for key in ("images", "reconstructions") if key in needs}
    if "others" in needs:
        extra["others"] = (codes, codes)
    if "discrete" in needs:
        codes = Codes(codes.mean, codes.logvar, factors.values[:, :1])
    for _ in range(2):
        start = time.perf_counter()
        score(name, codes, factors, reference=False, **extra)
        elapsed = time.perf_counter() - start
        if elapsed > 2:
            break
    return elapsed


def growth(name: str, axis: int, sizes: tuple[int, ...]) -> list[tuple[int, float]]:
    """Return (size, seconds) at each size of one axis of (images, latents, factors)."""
    times: list[tuple[int, float]] = []
    for size in sizes:
        if METRICS[name].needs & {"images", "reconstructions"} and size > 16_384:
            break  # the pixels of more images take too much memory
        point = list(CENTRE)
        point[axis] = size
        n, latents, factors = point
        elapsed = seconds(name, n, latents, factors)
        times.append((size, elapsed))
        print(f"seconds  {name:18s} {elapsed:9.4f}   N={n} d={latents} K={factors}", flush=True)
        if elapsed > LIMIT:
            break
    return times


def draw(measured: dict[str, dict[int, list[tuple[int, float]]]], file: Path) -> None:
    """Write a figure of three panels, one per axis, with one line per metric."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    styles = [(f"C{i % 10}", ("-", "--", ":")[i // 10]) for i in range(len(measured))]
    labels = ("images N", "latents d", "factors K")
    for axis, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        for (name, curves), (colour, dash) in zip(measured.items(), styles, strict=True):
            x, y = zip(*curves[axis], strict=True)
            panel.plot(x, y, color=colour, linestyle=dash, marker=".", label=name)
        panel.set(xscale="log", yscale="log", xlabel=label)
        longest = max((curves[axis] for curves in measured.values()), key=len)
        ticks = [size for size, _ in longest]
        panel.set_xticks(ticks, [f"{size:,}" for size in ticks], rotation=30 if axis == 0 else 0)
        panel.minorticks_off()
        panel.axhline(1, color="0.8", zorder=0)
        panel.grid(which="major", color="0.93")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    n, d, k = CENTRE
    figure.suptitle(f"One score, chance and ceiling left out; around N = {n:,}, d = {d}, K = {k}")
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure all metrics, print the table, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument(
        "--figure", type=Path, default=None, help="file of the figure, e.g. docs/metrics-cost.png"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    sizes = [s[: 3 if arguments.quick else None] for s in (IMAGES, LATENTS, FACTORS)]
    measured = {
        name: {axis: growth(name, axis, sizes[axis]) for axis in range(3)} for name in METRICS
    }
    epoch = {
        name: dict(curves[0])[CENTRE[0]]
        for name, curves in measured.items()
        if METRICS[name].tier == "epoch"
    }
    print(f"seconds  every-epoch tier   {sum(epoch.values()):9.3f}   {', '.join(epoch)}")
    if arguments.figure is not None:
        draw(measured, arguments.figure)


if __name__ == "__main__":
    main()
