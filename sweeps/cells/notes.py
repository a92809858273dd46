"""Notes on a spec: what is no problem, but worth knowing before the sweep runs."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import metrics
from sweeps.cells import cell_grid, timeline
from sweeps.cells.cell_count import CellCount, count_cells, shortage_notes
from sweeps.cells.entry_samples import entry_samples
from sweeps.cells.timeline import Timeline
from sweeps.spec import objective_settings, published, registry_blocks, rungs
from sweeps.spec.errors import spell
from sweeps.spec.objective_settings import LENGTHS
from sweeps.spec.sections import PruningSpec
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.urls import has_secret
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES, AbstractAlternating

T = TypeVar("T")

SAMPLED = 20
"""Values of each of three parameters, at most, that the notes on schedules look at together."""

LARGEST_CHEAP_BATCH = 512
"""Largest batch, in images, for which the assignment of CascadeVAE takes less than 0.1 seconds.

See docs/decisions.md.
"""


def spec_notes(spec: SweepSpec, count: CellCount | None = None) -> list[str]:
    """Return the notes on a spec: its data, its networks, its entries in their order, the rest.

    Args:
        spec: the spec.
        count: its cells, if they are counted already.
    """
    notes = [f"data: {note}" for note in spec.data.notes()]
    notes += _network_notes(spec)
    for index, entry in enumerate(spec.objectives):
        where = f"{_entry_path(index)} {entry['name']}"
        timelines = _timelines(spec, index)
        notes += _schedule_notes(where, timelines)
        if spec.pruning is not None:
            notes += _rung_notes(where, timelines, spec.pruning)
            notes += _stop_notes(where, timelines, spec.pruning)
    notes += shortage_notes(spec, count or count_cells(spec))
    notes += _decay_notes(spec)
    notes += _batch_notes(spec)
    notes += _best_notes(spec)
    notes += _published_notes(spec)
    notes += _password_notes(spec)
    return notes


def _password_notes(spec: SweepSpec) -> Iterator[str]:
    """Yield a note for each URL that holds a password: the file of a spec is read by others."""
    not_stored = "it is stored nowhere, so `sweeps report` and `sweeps rescore` cannot use it"
    consequences = {
        "ledger": "ledger.url in the workspace keeps it, readable by its owner only",
        "mlflow": not_stored,
        "files": not_stored,
    }
    for field, consequence in consequences.items():
        url: str | None = getattr(spec.store, field)
        if url is not None and has_secret(url):
            yield (
                f"store.{field} holds a password; write ${{NAME}} in its place and set that "
                f"environment variable, so that the spec can be shared; {consequence}"
            )


def _network_notes(spec: SweepSpec) -> Iterator[str]:
    """Yield what the networks themselves warn of, each sentence once."""
    cautions: list[tuple[str, str]] = []
    for index in range(len(spec.objectives)):
        fields = spec.parts(index).network
        for _, sample in registry_blocks.sample_blocks(fields):
            network = registry.build("network", sample, NETWORKS)
            cautions.append((fields["name"], network.caution))
    for name, caution in dict.fromkeys(cautions):
        if caution:
            yield f"network {name}: {caution}"


def _timelines(spec: SweepSpec, index: int) -> list[Timeline]:
    """Return the timelines that the trials of an entry can have, at the samples of every space."""
    images = spec.data.outline().images
    trains, objectives, networks = entry_samples(spec, index)
    latents = {network.latents for network in networks}
    lengths: dict[tuple[int | None, int | None, int], TrainConfig] = {}
    for train in trains:
        lengths[train.epochs, train.steps, train.steps_per_epoch(images)] = train

    timelines: list[Timeline] = []
    combinations = itertools.product(
        _some_of(list(lengths)), _some_of(objectives), _some_of(sorted(latents))
    )
    for length, objective, n_latents in combinations:
        _, _, steps_per_epoch = length
        timelines.append(
            timeline.of_trial(
                lengths[length], objective, latents=n_latents, steps_per_epoch=steps_per_epoch
            )
        )
    return list(dict.fromkeys(timelines))


def _some_of(items: Sequence[T]) -> list[T]:
    """Return at most `SAMPLED` items, evenly spread, with the first and the last one."""
    if len(items) <= SAMPLED:
        return list(items)
    return [items[round(k * (len(items) - 1) / (SAMPLED - 1))] for k in range(SAMPLED)]


def _schedule_notes(where: str, timelines: Sequence[Timeline]) -> Iterator[str]:
    """Yield a note if a schedule ends after the trial."""
    late = [one for one in timelines if one.settled > one.steps]
    if late:
        yield (
            f"{where}: its schedules do not end{_in_some_cells(late, timelines)}: they run until "
            f"step {_span(late, 'settled')}, and a trial has {_span(late, 'steps')} steps"
        )


def _rung_notes(where: str, timelines: Sequence[Timeline], pruning: PruningSpec) -> Iterator[str]:
    """Yield which rungs are skipped because a schedule still runs there."""
    epochs = {one: rungs.rung_epochs(pruning.rungs, one.epochs) for one in timelines}
    skipping: list[list[Timeline]] = []  # for each rung, the timelines that skip it
    for rung in range(len(pruning.rungs)):
        unsettled: list[Timeline] = []
        for one in timelines:
            if rung in epochs[one] and not one.is_settled(epochs[one][rung]):
                unsettled.append(one)
        skipping.append(unsettled)

    if pruning.rungs and all(len(unsettled) == len(timelines) for unsettled in skipping):
        yield (
            f"{where}: every rung is skipped, because its schedules run until step "
            f"{_span(timelines, 'settled')} of {_span(timelines, 'steps')}; "
            "all its cells train to the end"
        )
        return
    for fraction, unsettled in zip(pruning.rungs, skipping, strict=True):
        if unsettled:
            yield (
                f"{where}: the rung at {fraction:g} is skipped"
                f"{_in_some_cells(unsettled, timelines)}, because its schedules run until step "
                f"{_span(unsettled, 'settled')} of {_span(unsettled, 'steps')}"
            )


def _stop_notes(where: str, timelines: Sequence[Timeline], pruning: PruningSpec) -> Iterator[str]:
    """Yield a note if `stop_collapsed` can never stop a trial.

    It needs two epochs that end after all schedules have ended and before the last epoch.
    """
    if not pruning.stop_collapsed:
        return
    never = [one for one in timelines if one.epochs < 3 or not one.is_settled(one.epochs - 2)]
    if never:
        yield (
            f"{where}: stop_collapsed never stops it{_in_some_cells(never, timelines)}, because "
            "fewer than two epochs end between the end of its schedules and the last epoch"
        )


def _decay_notes(spec: SweepSpec) -> Iterator[str]:
    """Yield a note for every training whose learning rate never decays although it should."""
    images = spec.data.outline().images
    noted: set[str] = set()
    for index in range(len(spec.objectives)):
        section = objective_settings.deciding_section(
            spec.entry_settings, index, "train", "decay_every", "learning_rate_decay", *LENGTHS
        )
        where = spell(section)
        for _, sample in registry_blocks.sample_blocks(spec.parts(index).train):
            train = TrainConfig(**sample)
            steps = train.total_steps(images)
            last_rate = train.learning_rate_at(steps - 1, steps)
            never_decays = train.learning_rate_decay < 1 and last_rate == train.learning_rate
            if never_decays and where not in noted:
                noted.add(where)
                yield (
                    f"{where}.decay_every: the learning rate never decays, because decay_every is "
                    f"{train.decay_every:g} and a trial has only {steps} steps"
                )


def _batch_notes(spec: SweepSpec) -> Iterator[str]:
    """Yield a note for every entry whose assignment is slow at its largest batch."""
    for index, entry in enumerate(spec.objectives):
        samples = registry_blocks.sample_blocks(spec.parts(index).train)
        largest = max(TrainConfig(**sample).batch_size for _, sample in samples)
        if (
            issubclass(OBJECTIVES[str(entry["name"])], AbstractAlternating)
            and largest > LARGEST_CHEAP_BATCH
        ):
            yield (
                f"{_entry_path(index)} {entry['name']}: its assignment takes seconds per step at "
                f"batch_size {largest} if the codes of the images are alike; "
                f"use batch_size <= {LARGEST_CHEAP_BATCH}"
            )


def _best_notes(spec: SweepSpec) -> Iterator[str]:
    """Yield a note if the best epoch is chosen by a metric that reads the factors."""
    name = spec.evaluation.best
    if name is not None and "factors" in metrics.find(name).needs:
        yield (
            f"evaluation.best: {name} needs ground-truth factors, so best/* comes from weights "
            "that were selected by the labels; compare it only with numbers selected in this way"
        )


def _published_notes(spec: SweepSpec) -> Iterator[str]:
    """Yield a note for every published row that matches no cell, and for impossible best seeds."""
    entries = [_EntryValues(spec, index) for index in range(len(spec.objectives))]
    for table_index, table in enumerate(spec.published):
        for row_index, row in enumerate(table.rows):
            where = spell(("published", table_index, "rows", row_index))
            if not any(entry.can_match(row.where) for entry in entries):
                yield (
                    f"{where}: no cell matches {dict(row.where)}; "
                    "this row will have no value of this sweep beside it"
                )
            yield from _impossible_best_notes(where, row, table.n)


def _impossible_best_notes(where: str, row: published.PublishedRow, n: int | None) -> Iterator[str]:
    """Yield a note for every best seed that is too far from the mean.

    No one of n values lies further from their mean than (n − 1)/√n standard deviations.
    """
    for metric, number in row.values.items():
        if n is None or number.sd is None or number.best is None:
            continue
        if abs(number.best - number.mean) > number.sd * (n - 1) / math.sqrt(n):
            yield (
                f"{where}.values.{metric}: best {number.best} is impossible for n={n} with mean "
                f"{number.mean} and sd {number.sd}; it comes from other seeds"
            )


class _EntryValues:
    """The values that the parameters of one entry take in some cell of the sweep.

    Grids are laid out in full, so values of different parameters meet in some cell: whether a cell
    matches a row is decided for each parameter alone, and no cell is listed.
    """

    def __init__(self, spec: SweepSpec, index: int) -> None:
        self._spec = spec
        self._index = index

    def can_match(self, where: Mapping[str, published.Scalar]) -> bool:
        """Return whether a cell can match `where`; searched parameters match any value."""
        if where["objective"] != self._spec.objectives[self._index]["name"]:
            return False
        return all(
            field == "objective" or field in self._searched or self._has(field, value)
            for field, value in where.items()
        )

    def _has(self, field: str, value: published.Scalar) -> bool:
        return any(published.matches(record, {field: value}) for record in self._records)

    @functools.cached_property
    def _searched(self) -> set[str]:
        """The fields that a sampler fills in."""
        searched = cell_grid.all_layouts(self._spec).searched(self._index)
        return {path.partition(".")[2] for path in searched}

    @functools.cached_property
    def _records(self) -> list[dict[str, Any]]:
        """Parts of cells, "section.field" -> value, that together have every value."""
        parts = self._spec.parts(self._index)
        built: list[tuple[str, Any]] = []
        for _, sample in registry_blocks.sample_blocks(parts.objective):
            built.append(("objective", registry.build("objective", sample, OBJECTIVES)))
        for _, sample in registry_blocks.sample_blocks(parts.network):
            built.append(("network", registry.build("network", sample, NETWORKS)))
        for _, sample in registry_blocks.sample_blocks(parts.train):
            built.append(("train", TrainConfig(**sample)))
        return [
            {f"{section}.{field}": value for field, value in registry.fields_of(part).items()}
            for section, part in built
        ]


def _entry_path(index: int) -> str:
    return spell(("objectives", index))


def _in_some_cells(some: Sequence[Timeline], timelines: Sequence[Timeline]) -> str:
    return "" if len(some) == len(timelines) else " in some of its cells"


def _span(timelines: Sequence[Timeline], field: str) -> str:
    """Return the values of a field as text: `60`, or `60 to 120`."""
    values = [getattr(one, field) for one in timelines]
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"
