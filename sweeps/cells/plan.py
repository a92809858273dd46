"""What a sweep will do, before it runs: cells, trials, images, time, resources. Starts no trial."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from metrics import Factors
from sweeps.cells import cell_grid, names, timeline
from sweeps.cells.cell_count import count_cells
from sweeps.cells.cell_grid import Layout
from sweeps.cells.floors import floor_sentences
from sweeps.cells.notes import spec_notes
from sweeps.cells.timeline import Timeline
from sweeps.spec.rungs import expected_epochs
from sweeps.spec.space import from_unit
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import CORRELATION_FIELDS, TrialConfig
from vae_core.data.abstract import Outline
from vae_core.objectives.abstract import AbstractObjective
from vae_core.training_loop import train
from vae_core.types import Data

PROBE_IMAGES = 8192
"""About how many images the speed is measured on; at least two steps, at most twelve."""


class Plan(NamedTuple):
    """The size of a sweep.

    The hours are an estimate for this machine, from a few training steps of each entry on noise.
    """

    name: str
    cells: int  # that run
    cells_asked: int  # by the grids and `search.trials`; a note says why fewer run
    trials: int
    epochs_per_trial: list[int]
    images_per_epoch: list[int]
    images: int  # trained on at most, by all trials together
    # If every rung promotes exactly its share of the cells. The first cells at a rung are promoted
    # in any case, so a sweep may train on more.
    images_if_pruned: int
    brackets: int
    rungs: dict[str, list[int]]  # "entry, 20 epochs" -> epochs at which its cells are compared
    resources: dict[str, float]
    slots_here: int  # trials that run at once on this machine
    hours_here: float  # of training, if pruned as planned; evaluation adds about 15 %
    floors: list[str]  # reconstructions that no model of these data can go below, in sentences
    notes: list[str]  # what is no problem but worth knowing


class _LayoutPlan(NamedTuple):
    """What the plan computes for one layout."""

    layout: Layout
    cells: int  # that run
    config: TrialConfig  # of one of its trials
    timeline: Timeline
    images: int  # that one trial trains on at most
    share: float  # of the epochs that is trained if every rung promotes exactly its share


def plan_sweep(spec: SweepSpec) -> Plan:
    """Return the plan of a sweep."""
    n_data = spec.data.outline().images
    count = count_cells(spec)
    layouts = zip(cell_grid.all_layouts(spec), count.by_layout, strict=True)
    plans = [_plan_layout(spec, layout, cells, n_data) for layout, cells in layouts if cells]
    seeds = len(spec.seeds)
    slots = _slots(spec)
    seconds = seeds * _seconds_of_training(spec, plans)
    brackets = {names.bracket(spec, one.layout, one.layout.fixed) for one in plans}
    images_per_epoch = {min(one.config.train.images_per_epoch or n_data, n_data) for one in plans}
    return Plan(
        name=spec.name,
        cells=count.cells,
        cells_asked=count.asked,
        trials=seeds * count.cells,
        epochs_per_trial=sorted({one.timeline.epochs for one in plans}),
        images_per_epoch=sorted(images_per_epoch),
        images=seeds * sum(one.cells * one.images for one in plans),
        images_if_pruned=round(seeds * sum(one.cells * one.images * one.share for one in plans)),
        brackets=len(brackets),
        rungs=_rungs_by_entry(spec, plans),
        resources={"cpu": spec.resources.cpu, "gpu": spec.resources.gpu},
        slots_here=slots,
        hours_here=round(seconds / slots / 3600, 3),
        floors=floor_sentences(spec),
        notes=spec_notes(spec),
    )


def _plan_layout(spec: SweepSpec, layout: Layout, cells: int, n_data: int) -> _LayoutPlan:
    config = _first_trial(spec, layout)
    layout_timeline = timeline.on_data(config.to_dict(), n_data)
    images = layout_timeline.steps * config.train.batch_size
    share = _share(spec, layout_timeline)
    return _LayoutPlan(layout, cells, config, layout_timeline, images, share)


def _first_trial(spec: SweepSpec, layout: Layout) -> TrialConfig:
    """Return the config of one trial of a layout; searched values lie at the low end."""
    searched = {path: from_unit(space, 0.0) for path, space in layout.searched.items()}
    return cell_grid.trial_config(spec, layout, {**layout.fixed, **searched}, spec.seeds[0], "plan")


def _rungs_by_entry(spec: SweepSpec, plans: Sequence[_LayoutPlan]) -> dict[str, list[int]]:
    """Return "entry, 20 epochs" -> epochs of its rungs."""
    rungs: dict[str, list[int]] = {}
    for one in plans:
        entry = names.entry_name(spec, one.layout.objective)
        epochs = list(_rungs(spec, one.timeline).values())
        rungs[f"{entry}, {one.timeline.epochs} epochs"] = epochs
    return rungs


def _rungs(spec: SweepSpec, layout_timeline: Timeline) -> dict[int, int]:
    """Return index in `pruning.rungs` -> epoch of the rungs that are not skipped."""
    if spec.pruning is None:
        return {}
    return timeline.settled_rungs(spec.pruning.rungs, layout_timeline)


def _share(spec: SweepSpec, layout_timeline: Timeline) -> float:
    """Return the share of the epochs that is trained if each rung promotes 1/reduction of cells."""
    reduction = spec.pruning.reduction if spec.pruning else 1.0
    epochs = layout_timeline.epochs
    return expected_epochs(_rungs(spec, layout_timeline), {}, epochs, reduction) / epochs


def _slots(spec: SweepSpec) -> int:
    """Return the number of trials that run at once on this machine."""
    cores = os.cpu_count() or 1
    slots = max(1, int(cores // spec.resources.cpu))
    if spec.resources.max_concurrent != "auto":
        slots = min(slots, spec.resources.max_concurrent)
    return slots


def _seconds_of_training(spec: SweepSpec, plans: Sequence[_LayoutPlan]) -> float:
    """Return the seconds that one seed of every cell trains, one after another, if pruned as
    planned.
    """
    speeds = {
        entry_index: _images_per_second(spec, entry_index)
        for entry_index in {one.layout.objective for one in plans}
    }
    return sum(one.cells * one.images * one.share / speeds[one.layout.objective] for one in plans)


def _images_per_second(spec: SweepSpec, entry_index: int) -> float:
    """Return the training speed of an entry's first trial here, from a few steps on noise."""
    outline = spec.data.outline()
    layout = next(
        layout for layout in cell_grid.all_layouts(spec) if layout.objective == entry_index
    )
    config = _first_trial(spec, layout)
    steps = max(2, min(12, PROBE_IMAGES // config.train.batch_size))
    n_images = min(outline.images, steps * config.train.batch_size)
    data = _noise(outline, n_images, config.objective)
    probe = _probe_config(config, outline, data)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(spec.resources.cpu)))
    try:
        started = time.monotonic()
        for report in train(probe, data):
            if report.epoch == 1:
                return report.images / report.seconds["train"]
        return n_images / (time.monotonic() - started)
    finally:
        torch.set_num_threads(threads)


def _probe_config(config: TrialConfig, outline: Outline, data: Data) -> TrialConfig:
    """Return the config of a trial that trains two epochs on noise and evaluates almost nothing."""
    mapping: dict[str, Any] = config.to_dict()
    mapping["train"] |= {"epochs": 2, "steps": None, "images_per_epoch": None}
    mapping["train"] |= dict.fromkeys(CORRELATION_FIELDS)  # to choose the next image takes no time
    mapping["train"]["correlated"] = ()
    mapping["fingerprint"] = ""  # noise is no data set
    # If there are factors, the evaluated images must contain every level.
    images = 2 if data.factors is None else max(2, sum(outline.factor_sizes))
    mapping["evaluation"] |= {"images": images, "samples": 2, "final": [], "best": None}
    return TrialConfig.from_dict(mapping)


def _noise(outline: Outline, n_images: int, objective: AbstractObjective) -> Data:
    """Return images of noise, with random levels of the factors if the objective reads any."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (n_images, int(np.prod(outline.shape))), dtype=np.uint8)
    factors = None
    if objective.wiring.reads_label != "nowhere" or objective.wiring.reads_factors != "no":
        levels = rng.integers(0, outline.factor_sizes, (n_images, len(outline.factor_sizes)))
        factors = Factors(levels, outline.factor_names, outline.factor_sizes)
    return Data(
        "noise", images, outline.shape, packed=False, levels=1, factors=factors, fingerprint="noise"
    )
