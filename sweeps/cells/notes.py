"""What a user should know of a spec that is no mistake: one sentence each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import metrics
from sweeps.cells import cell_grid, timeline
from sweeps.cells.timeline import Timeline
from sweeps.spec import objective_settings, published, registry_blocks, rungs, space
from sweeps.spec.errors import spell
from sweeps.spec.objective_settings import LENGTHS
from sweeps.spec.sections import PruningSpec
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES, AbstractAlternating

LARGE = 512
"""Images of a batch up to which CascadeVAE's assignment takes less than a tenth of a second (see docs/decisions.md)."""


def spec_notes(spec: SweepSpec) -> list[str]:
    """Return the notes on a spec, in its own order."""
    found = [*_cautions(spec)]
    for position, entry in enumerate(spec.objectives):
        whose = f"{spell(('objectives', position))} {entry['name']}"
        courses = _courses(spec, position)
        found += _endless(whose, courses)
        if spec.pruning is not None:
            found += _rungs(whose, courses, spec.pruning)
            found += _stop(whose, courses, spec.pruning)
    return [*found, *_decay(spec), *_large(spec), *_best(spec), *_published(spec)]


def _cautions(spec: SweepSpec) -> Iterator[str]:
    of_all = [spec.parts(position).network for position in range(len(spec.objectives))]
    named = [
        (network["name"], registry.build("network", sample, NETWORKS).caution)
        for network in of_all
        for _, sample in registry_blocks.samples(network)
    ]
    for name, caution in dict.fromkeys(named):
        if caution:
            yield f"network {name}: {caution}"


def _courses(spec: SweepSpec, position: int) -> list[Timeline]:
    """Return the courses that an objective's trials can take, at the samples of every space."""
    images, parts = spec.data.outline().images, spec.parts(position)
    trains = [TrainConfig(**sample) for _, sample in registry_blocks.samples(parts.train)]
    entries = [sample for _, sample in registry_blocks.samples(parts.objective)]
    objectives = [registry.build("objective", sample, OBJECTIVES) for sample in entries]
    networks = [
        registry.build("network", sample, NETWORKS)
        for _, sample in registry_blocks.samples(parts.network)
    ]
    latents = {network.latents for network in networks}
    lengths = {
        (train.epochs, train.steps, train.steps_per_epoch(images)): train for train in trains
    }
    return list(
        dict.fromkeys(
            timeline.of_trial(train, objective, latents=d, per_epoch=per_epoch)
            for ((_, _, per_epoch), train), objective, d in itertools.product(
                lengths.items(), objectives, latents
            )
        )
    )


def _endless(whose: str, courses: Sequence[Timeline]) -> Iterator[str]:
    late = [own for own in courses if own.settled > own.steps]
    if late:
        yield (
            f"{whose}: its schedules end at step {_span(late, 'settled')}, after the trial's {_span(late, 'steps')} "
            f"steps{_part(late, courses)}: they do not end within the trial"
        )


def _rungs(whose: str, courses: Sequence[Timeline], pruning: PruningSpec) -> Iterator[str]:
    """Say which rungs fall away because a schedule runs; no rung before a schedule's end."""
    placed = [(own, rungs.rung_epochs(pruning.rungs, own.epochs)) for own in courses]
    skipped = {
        position: [
            own
            for own, epochs in placed
            if position in epochs and not own.is_settled(epochs[position])
        ]
        for position in range(len(pruning.rungs))
    }
    if pruning.rungs and all(len(own) == len(courses) for own in skipped.values()):
        yield (
            f"{whose}: no rung judges it, as its schedules run until step {_span(courses, 'settled')} of "
            f"{_span(courses, 'steps')}; its cells run to the end"
        )
        return
    for position, own in skipped.items():
        if own:
            yield (
                f"{whose}: the rung at {pruning.rungs[position]:g} does not judge it{_part(own, courses)}, as its "
                f"schedules run until step {_span(own, 'settled')} of {_span(own, 'steps')}"
            )


def _stop(whose: str, courses: Sequence[Timeline], pruning: PruningSpec) -> Iterator[str]:
    if not pruning.stop_collapsed:
        return
    never = [own for own in courses if own.epochs < 3 or not own.is_settled(own.epochs - 2)]
    if never:
        yield (
            f"{whose}: stop_collapsed never stops it{_part(never, courses)}, as no two epochs before the last come "
            "after its schedules"
        )


def _decay(spec: SweepSpec) -> Iterator[str]:
    images = spec.data.outline().images
    told: set[str] = set()
    for position in range(len(spec.objectives)):
        where = spell(
            objective_settings.deciding_section(
                spec.entry_settings,
                position,
                "train",
                "decay_every",
                "learning_rate_decay",
                *LENGTHS,
            )
        )
        for _, sample in registry_blocks.samples(spec.parts(position).train):
            train = TrainConfig(**sample)
            steps = train.total_steps(images)
            never = (
                train.learning_rate_decay < 1
                and train.learning_rate_at(steps - 1, steps) == train.learning_rate
            )
            if never and where not in told:
                told.add(where)
                yield (
                    f"{where}.decay_every: the learning rate never decays, as a trial of {steps} steps ends before "
                    f"{train.decay_every:g}"
                )


def _large(spec: SweepSpec) -> Iterator[str]:
    for position, entry in enumerate(spec.objectives):
        largest = max(
            TrainConfig(**sample).batch_size
            for _, sample in registry_blocks.samples(spec.parts(position).train)
        )
        if issubclass(OBJECTIVES[str(entry["name"])], AbstractAlternating) and largest > LARGE:
            yield (
                f"{spell(('objectives', position))} {entry['name']}: its assignment takes seconds a step at batch_size "
                f"{largest} if the code tells images little apart; up to {LARGE} it is cheap"
            )


def _best(spec: SweepSpec) -> Iterator[str]:
    name = spec.evaluation.best
    if name is not None and "factors" in metrics.find(name).needs:
        yield (
            f"evaluation.best: {name} needs ground-truth factors, so best/* is of weights that were selected by the "
            "labels; compare it with nothing that was not"
        )


def _published(spec: SweepSpec) -> Iterator[str]:
    """Name the published rows that no cell of the sweep can stand beside; a searched value may be any."""
    layouts = cell_grid.all_layouts(spec) if spec.published else []
    for at, table in enumerate(spec.published):
        for place, row in enumerate(table.rows):
            if not any(_meets(spec, layout, row.where) for layout in layouts):
                whose = spell(("published", at, "rows", place))
                yield f"{whose}: no cell of this sweep is {dict(row.where)}, so nothing stands beside it"
            yield from _impossible(at, place, row, table.n)


def _impossible(at: int, place: int, row: published.PublishedRow, n: int | None) -> Iterator[str]:
    """Name a best seed that is further from the mean than any of n values can be: (n − 1)/√n standard deviations."""
    for metric, number in row.values.items():
        if n is None or number.sd is None or number.best is None:
            continue
        if abs(number.best - number.mean) > number.sd * (n - 1) / math.sqrt(n):
            whose = spell(("published", at, "rows", place, "values", metric))
            yield f"{whose}: none of {n} values of this mean and sd is {number.best}; they are not of the same seeds"


def _meets(
    spec: SweepSpec, layout: cell_grid.Layout, where: Mapping[str, published.Scalar]
) -> bool:
    searched = {path: space.points(value)[0] for path, value in layout.searched.items()}
    config = cell_grid.trial_config(
        spec, layout, {**layout.fixed, **searched}, spec.seeds[0], ""
    ).to_dict()
    record = {"objective": config["objective"]["name"]}
    for part in ("objective", "network", "train"):
        record |= {f"{part}.{key}": value for key, value in config[part].items()}
    free = {path.partition(".")[2] for path in searched}
    return published.matches(
        record, {name: value for name, value in where.items() if name not in free}
    )


def _part(own: Sequence[Timeline], courses: Sequence[Timeline]) -> str:
    return "" if len(own) == len(courses) else " in some of its cells"


def _span(courses: Sequence[Timeline], field: str) -> str:
    values = [getattr(own, field) for own in courses]
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"
