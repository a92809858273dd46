"""What a sweep would do, before it does it: cells, trials, images, time, resources. Starts nothing."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import numpy as np
import torch

from metrics import Factors
from sweeps.cells import cell_grid, names, timeline
from sweeps.cells.notes import spec_notes
from sweeps.cells.timeline import Timeline
from sweeps.spec.rungs import expected_epochs
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import CORRELATION, TrialConfig
from vae_core.data.abstract import Outline
from vae_core.objectives.abstract import AbstractObjective
from vae_core.training_loop import train
from vae_core.types import Data

PROBE_IMAGES = 8192
"""About how many images the speed is measured on; at least two steps, at most twelve."""


class Plan(NamedTuple):
    """A sweep's size. The time is an estimate for this machine, from a few steps of each objective on noise."""

    name: str
    cells: int
    trials: int
    epochs_per_trial: list[int]
    images_per_epoch: list[int]
    images: int  # trained on at most, by all trials together
    images_if_pruned: int  # if every rung keeps its share and no more
    brackets: int
    rungs: dict[str, list[int]]  # "objective, 20 epochs" -> epochs at which its cells are judged
    resources: dict[str, float]
    slots_here: int  # trials at once on this machine
    hours_here: float  # of training, if pruned as planned; evaluation comes to some 15 % more
    notes: list[str]  # what is no mistake and good to know


def plan_sweep(spec: SweepSpec) -> Plan:
    """Return the plan of a sweep."""
    outline = spec.data.outline()
    layouts = cell_grid.all_layouts(spec)
    per_layout = cell_grid.cells_per_layout(spec)
    seeds = len(spec.seeds)
    configs = [_first(spec, layout) for layout in layouts]
    courses = [timeline.on_data(config.to_dict(), outline.images) for config in configs]
    batch_images = [
        own.steps * config.train.batch_size for own, config in zip(courses, configs, strict=True)
    ]
    shares = [_share(spec, own) for own in courses]
    images = per_layout * seeds * sum(batch_images)
    pruned = (
        per_layout * seeds * sum(n * share for n, share in zip(batch_images, shares, strict=True))
    )
    speed = {
        position: _images_per_second(spec, position)
        for position in {layout.objective for layout in layouts}
    }
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
        epochs_per_trial=sorted({own.epochs for own in courses}),
        images_per_epoch=sorted(
            {min(one.train.images_per_epoch or outline.images, outline.images) for one in configs}
        ),
        images=images,
        images_if_pruned=round(pruned),
        brackets=len({names.bracket(spec, layout, layout.fixed) for layout in layouts}),
        rungs={
            f"{names.entry_name(spec, layout.objective)}, {own.epochs} epochs": list(
                _rungs(spec, own).values()
            )
            for layout, own in zip(layouts, courses, strict=True)
        },
        resources={"cpu": spec.resources.cpu, "gpu": spec.resources.gpu},
        slots_here=slots,
        hours_here=round(seconds / slots / 3600, 3),
        notes=spec_notes(spec),
    )


def _first(spec: SweepSpec, layout: cell_grid.Layout) -> TrialConfig:
    """Return a trial of a layout point, its searched values at the low end of their spaces."""
    from sweeps.spec.space import from_unit

    searched = {path: from_unit(space, 0.0) for path, space in layout.searched.items()}
    return cell_grid.trial_config(spec, layout, {**layout.fixed, **searched}, spec.seeds[0], "plan")


def _rungs(spec: SweepSpec, own: Timeline) -> dict[int, int]:
    return {} if spec.pruning is None else timeline.judged_rungs(spec.pruning.rungs, own)


def _share(spec: SweepSpec, own: Timeline) -> float:
    """Return the share of the epochs that is trained if each rung lets 1/reduction of the cells go on."""
    reduction = spec.pruning.reduction if spec.pruning else 1.0
    return expected_epochs(_rungs(spec, own), {}, own.epochs, reduction) / own.epochs


def _images_per_second(spec: SweepSpec, objective: int) -> float:
    """Return the training speed of an objective's first trial on this machine, from a few steps on noise."""
    outline = spec.data.outline()
    layout = next(layout for layout in cell_grid.all_layouts(spec) if layout.objective == objective)
    config = _first(spec, layout)
    steps = max(2, min(12, PROBE_IMAGES // config.train.batch_size))
    n = min(outline.images, steps * config.train.batch_size)
    data = _noise(outline, n, config.objective)
    mapping = config.to_dict()
    mapping["train"] |= {"epochs": 2, "steps": None, "images_per_epoch": None}
    mapping["train"] |= dict.fromkeys(CORRELATION)  # which image comes next takes no time
    mapping["train"]["correlated"] = ()
    mapping["fingerprint"] = ""  # the noise is no data set's
    # Where there are factors, the evaluated images must show every value.
    images = 2 if data.factors is None else max(2, sum(outline.factor_sizes))
    mapping["evaluation"] |= {"images": images, "samples": 2, "final": [], "best": None}
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


def _noise(outline: Outline, n: int, objective: AbstractObjective) -> Data:
    """Return n images of noise, with random levels of the factors if the objective reads any."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (n, int(np.prod(outline.shape))), dtype=np.uint8)
    factors = None
    if objective.wiring.reads_label != "nowhere" or objective.wiring.reads_factors != "no":
        values = rng.integers(0, outline.factor_sizes, (n, len(outline.factor_sizes)))
        factors = Factors(values, outline.factor_names, outline.factor_sizes)
    return Data(
        "noise", images, outline.shape, packed=False, levels=1, factors=factors, fingerprint="noise"
    )
