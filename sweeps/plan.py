"""What a sweep would do, before it does it: cells, trials, images, time, resources. Starts nothing."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import numpy as np
import torch

from sweeps import cells
from sweeps.scheduler import expected_epochs, rung_epochs
from sweeps.spec import SweepSpec
from vae_core.config import TrialConfig
from vae_core.train import train
from vae_core.types import Data

PROBE_IMAGES = 8192
"""About how many images the speed is measured on; at least two steps, at most twelve."""


class Plan(NamedTuple):
    """A sweep's size. The time is an estimate for this machine, from a few steps of each objective on noise."""

    name: str
    cells: int
    trials: int
    epochs_per_trial: list[int]
    images_per_epoch: int
    images: int  # trained on at most, by all trials together
    images_if_pruned: int  # if every rung keeps its share and no more
    brackets: int
    rungs: dict[str, list[int]]  # epochs per trial -> epochs of its rungs
    resources: dict[str, float]
    slots_here: int  # trials at once on this machine
    hours_here: float  # of training, if pruned as planned; evaluation comes to some 15 % more


def plan(spec: SweepSpec) -> Plan:
    """Return the plan of a sweep."""
    outline = spec.data.outline()
    layouts = cells.layouts(spec)
    per_layout = cells.cells_per_layout(spec)
    seeds = len(spec.seeds)
    configs = [_first(spec, layout) for layout in layouts]
    epochs = [config.train.total_epochs(outline.images) for config in configs]
    batch_images = [config.train.total_steps(outline.images) * config.train.batch_size for config in configs]
    shares = [_share(spec, count) for count in epochs]
    images = per_layout * seeds * sum(batch_images)
    pruned = per_layout * seeds * sum(n * share for n, share in zip(batch_images, shares, strict=True))
    speed = {position: _images_per_second(spec, position) for position in {layout.objective for layout in layouts}}
    cores = os.cpu_count() or 1
    slots = max(1, int(cores // spec.resources.cpu))
    if spec.resources.max_concurrent != "auto":
        slots = min(slots, spec.resources.max_concurrent)
    seconds = sum(
        per_layout * seeds * n * share / speed[layout.objective]
        for layout, n, share in zip(layouts, batch_images, shares, strict=True)
    )
    return Plan(
        name=spec.name,
        cells=per_layout * len(layouts),
        trials=per_layout * len(layouts) * seeds,
        epochs_per_trial=sorted(set(epochs)),
        images_per_epoch=min(configs[0].train.images_per_epoch or outline.images, outline.images),
        images=images,
        images_if_pruned=round(pruned),
        brackets=len({cells.bracket(spec, layout, layout.fixed) for layout in layouts}),
        rungs={str(n): list(_rungs(spec, n).values()) for n in sorted(set(epochs))},
        resources={"cpu": spec.resources.cpu, "gpu": spec.resources.gpu},
        slots_here=slots,
        hours_here=round(seconds / slots / 3600, 3),
    )


def _first(spec: SweepSpec, layout: cells.Layout) -> TrialConfig:
    """Return a trial of a layout point, its searched values at the low end of their spaces."""
    from sweeps.searcher import from_unit

    searched = {path: from_unit(space, 0.0) for path, space in layout.searched.items()}
    return cells.trial_config(spec, layout, {**layout.fixed, **searched}, spec.seeds[0], "plan")


def _rungs(spec: SweepSpec, epochs: int) -> dict[int, int]:
    return {} if spec.pruning is None else rung_epochs(spec.pruning.rungs, epochs)


def _share(spec: SweepSpec, epochs: int) -> float:
    """Return the share of the epochs that is trained if each rung lets 1/reduction of the cells go on."""
    reduction = spec.pruning.reduction if spec.pruning else 1.0
    return expected_epochs(_rungs(spec, epochs), {}, epochs, reduction) / epochs


def _images_per_second(spec: SweepSpec, objective: int) -> float:
    """Return the training speed of an objective's first trial on this machine, from a few steps on noise."""
    outline = spec.data.outline()
    layout = next(layout for layout in cells.layouts(spec) if layout.objective == objective)
    config = _first(spec, layout)
    steps = max(2, min(12, PROBE_IMAGES // config.train.batch_size))
    n = min(outline.images, steps * config.train.batch_size)
    noise = np.random.default_rng(0).integers(0, 2, (n, int(np.prod(outline.shape))), dtype=np.uint8)
    data = Data(
        spec.data.__class__.__name__, noise, outline.shape, packed=False, levels=1, factors=None, fingerprint="noise"
    )
    mapping = config.to_dict()
    mapping["train"] |= {"epochs": 2, "steps": None, "images_per_epoch": None}
    mapping["fingerprint"] = ""  # the noise is no data set's
    mapping["evaluation"] |= {"images": 2, "samples": 2, "final": []}
    probe = TrialConfig.from_dict(mapping)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(spec.resources.cpu)))
    try:
        started = time.monotonic()
        for report in train(probe, data):
            if report.epoch == 1:
                return report.images / report.seconds["train"]
        return n / (time.monotonic() - started)
    finally:
        torch.set_num_threads(threads)
