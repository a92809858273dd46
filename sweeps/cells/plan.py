"""What a sweep will do, before it runs: cells, trials, images, time, resources. Starts no trial."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sweeps.cells import cell_grid, names, timeline
from sweeps.cells.built_sections import BuiltSections
from sweeps.cells.cell_count import count_cells
from sweeps.cells.cell_grid import Layout
from sweeps.cells.floors import floor_sentences
from sweeps.cells.memory import entry_memories, memory_notes, require_memory
from sweeps.cells.names import Bracket
from sweeps.cells.notes import spec_notes
from sweeps.cells.speed import training_speeds
from sweeps.cells.timeline import Timeline
from sweeps.spec.rungs import expected_epochs
from sweeps.spec.space import from_unit
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig


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
    memory_per_trial: int  # bytes of the largest trial beside the data, estimated from shapes
    hours_here: float  # of training, if pruned as planned; evaluation adds about 15 %
    floors: list[str]  # reconstructions that no model of these data can go below, in sentences
    notes: list[str]  # what is no problem but worth knowing


class _LayoutPlan(NamedTuple):
    """What the plan computes for one layout."""

    layout: Layout
    cells: int  # that run
    train: TrainConfig  # of one of its trials
    timeline: Timeline
    bracket: Bracket
    images: int  # that one trial trains on at most
    share: float  # of the epochs that is trained if every rung promotes exactly its share


def plan_sweep(spec: SweepSpec, *, elsewhere: bool = False) -> Plan:
    """Return the plan of a sweep.

    Args:
        spec: the spec.
        elsewhere: whether the trials run on other machines: their memory is not known here.

    Raises:
        SweepError: this machine has not the memory of one trial, by an estimate from shapes.
    """
    memories = entry_memories(spec)  # before anything is allocated
    if not elsewhere:
        require_memory(spec, memories)
    n_data = spec.data.outline().images
    count = count_cells(spec)
    planner = _Planner(spec, n_data)
    layouts = zip(cell_grid.all_layouts(spec), count.by_layout, strict=True)
    plans = [planner.plan(layout, cells) for layout, cells in layouts if cells]
    seeds = len(spec.seeds)
    slots = _slots(spec)
    speeds = training_speeds(spec, sorted({one.layout.objective for one in plans}))
    seconds = seeds * _seconds_of_training(plans, speeds.images_per_second)
    images_per_epoch = {min(one.train.images_per_epoch or n_data, n_data) for one in plans}
    return Plan(
        name=spec.name,
        cells=count.cells,
        cells_asked=count.asked,
        trials=seeds * count.cells,
        epochs_per_trial=sorted({one.timeline.epochs for one in plans}),
        images_per_epoch=sorted(images_per_epoch),
        images=seeds * sum(one.cells * one.images for one in plans),
        images_if_pruned=round(seeds * sum(one.cells * one.images * one.share for one in plans)),
        brackets=len({one.bracket for one in plans}),
        rungs=_rungs_by_entry(spec, plans),
        resources={"cpu": spec.resources.cpu, "gpu": spec.resources.gpu},
        slots_here=slots,
        memory_per_trial=max((one.memory.total for one in memories), default=0),
        hours_here=round(seconds / slots / 3600, 3),
        floors=floor_sentences(spec),
        notes=[
            *spec_notes(spec, count),
            *memory_notes(spec, memories, slots, here=not elsewhere),
            *speeds.notes,
        ],
    )


class _Planner:
    """Plans layouts; what many of them share is computed once."""

    def __init__(self, spec: SweepSpec, n_data: int) -> None:
        self._spec = spec
        self._n_data = n_data
        self._built = BuiltSections(spec)
        self._brackets = names.Brackets(spec)
        self._shares: dict[Timeline, float] = {}

    def plan(self, layout: Layout, cells: int) -> _LayoutPlan:
        """Return the plan of a layout of which some cells run; searched values at the low end."""
        searched = {path: from_unit(space, 0.0) for path, space in layout.searched.items()}
        built = self._built.of_cell(layout, searched)
        layout_timeline = timeline.of_trial(
            built.train,
            built.objective,
            latents=built.network.latents,
            steps_per_epoch=built.train.steps_per_epoch(self._n_data),
        )
        if layout_timeline not in self._shares:
            self._shares[layout_timeline] = _share(self._spec, layout_timeline)
        return _LayoutPlan(
            layout,
            cells,
            built.train,
            layout_timeline,
            self._brackets.of(layout, layout.fixed),
            layout_timeline.steps * built.train.batch_size,
            self._shares[layout_timeline],
        )


def _rungs_by_entry(spec: SweepSpec, plans: Sequence[_LayoutPlan]) -> dict[str, list[int]]:
    """Return "entry, 20 epochs" -> epochs of its rungs."""
    rungs: dict[str, list[int]] = {}
    timelines = dict.fromkeys((one.layout.objective, one.timeline) for one in plans)
    names_of_entries = {
        index: names.entry_name(spec, index) for index in dict.fromkeys(i for i, _ in timelines)
    }
    for index, layout_timeline in timelines:
        epochs = list(_rungs(spec, layout_timeline).values())
        rungs[f"{names_of_entries[index]}, {layout_timeline.epochs} epochs"] = epochs
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


def _seconds_of_training(plans: Sequence[_LayoutPlan], speeds: Mapping[int, float]) -> float:
    """Return the seconds that one seed of every cell trains, one after another, if pruned as
    planned.
    """
    return sum(one.cells * one.images * one.share / speeds[one.layout.objective] for one in plans)
