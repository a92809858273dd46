"""Rules between the parts of a spec: what a sweep needs that no part can see alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from metrics import METRICS
from sweeps import blocks
from sweeps.blocks import Findings
from sweeps.sections import EPOCH_METRICS, NEED_FACTORS, Goal, PruningSpec, ResourceSpec, SearchSpec
from sweeps.space import Choice, Grid, Interval, Space
from sweeps.spec_errors import Path, spell
from vae_core import registry
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data.abstract import Outline
from vae_core.objectives import OBJECTIVES


class Draft(NamedTuple):
    """The parts of a spec that were read without a mistake; None for the others."""

    outline: Outline | None
    network: Mapping[str, Any] | None
    train: Mapping[str, Any] | None
    objectives: Sequence[Mapping[str, Any]] | None
    search: SearchSpec | None
    goals: Sequence[Goal] | None
    tradeoff_by: Sequence[str] | None
    pruning: PruningSpec | None
    evaluation: EvaluationConfig | None
    resources: ResourceSpec | None


def check(draft: Draft) -> Findings:
    """Return every rule between parts that a draft breaks."""
    return [
        *_search(draft),
        *_length(draft),
        *_metrics(draft),
        *_inputs(draft),
        *_tradeoff(draft),
        *_devices(draft),
    ]


def _spaces(draft: Draft) -> dict[Path, Space]:
    parts: list[tuple[Path, Mapping[str, Any]]] = [
        (("network",), draft.network or {}),
        (("train",), draft.train or {}),
    ]
    parts += [(("objectives", at), objective) for at, objective in enumerate(draft.objectives or ())]
    return {(*path, key): v for path, block in parts for key, v in block.items() if isinstance(v, Space)}


def _search(draft: Draft) -> Findings:
    search, spaces = draft.search, _spaces(draft)
    if search is None:
        return []
    if search.name == "grid":
        found: Findings = [
            (
                path,
                f"{spell(path)} is an interval, which search grid cannot lay out; list its values with {{grid: […]}}, "
                "or use search: {name: random, trials: N}",
            )
            for path, value in spaces.items()
            if isinstance(value, Interval)
        ]
        if search.trials is not None:
            message = (
                f"search.trials must be left out of a grid, which runs every cell once, got {search.trials}"
            )
            found.append((("search", "trials"), message))
        return found
    found = []
    if search.trials is None:
        message = f"search.trials is missing; {search.name} needs it, as in search: {{name: {search.name}, trials: 20}}"
        found.append((("search",), message))
    whole = None not in (draft.network, draft.train, draft.objectives)
    if whole and not any(isinstance(value, Interval | Choice) for value in spaces.values()):
        message = f"search {search.name} finds nothing to search; give a range such as {{loguniform: [1, 16]}}, or use grid"
        found.append((("search",), message))
    return found


def _length(draft: Draft) -> Findings:
    """Check batch size and rungs against the data's size at every sample of `train`."""
    if draft.train is None or draft.outline is None:
        return []
    found: Findings = []
    for _, sample in blocks.samples(draft.train):
        config = TrainConfig(**sample)
        try:
            epochs = config.total_epochs(draft.outline.images)
        except ValueError as error:
            found.append((("train", "batch_size"), f"train.{error}"))
            continue
        found.extend(_rungs(draft.pruning, epochs))
    return list(dict.fromkeys(found))


def _rungs(pruning: PruningSpec | None, epochs: int) -> Findings:
    if pruning is None:
        return []
    placed = dict(zip(pruning.rungs, pruning.rung_epochs(epochs), strict=True))
    path: Path = ("pruning", "rungs")
    outside = [
        (
            path,
            f"pruning.rungs: {rung} of {epochs} epochs is the end of epoch {epoch}, which must lie in 1..{epochs - 1}",
        )
        for rung, epoch in placed.items()
        if not 1 <= epoch < epochs
    ]
    if not outside and len(set(placed.values())) < len(placed):
        together = ", ".join(map(str, placed))
        outside.append(
            (path, f"pruning.rungs must end at different epochs; of {epochs} epochs, {together} do not")
        )
    return outside


def _metrics(draft: Draft) -> Findings:
    goals = draft.goals or ()
    asked: list[tuple[Path, str]] = [(("goal", at, "metric"), goal.metric) for at, goal in enumerate(goals)]
    if len(asked) == 1:
        asked = [(("goal", "metric"), asked[0][1])]
    if draft.pruning is not None:
        asked.append((("pruning", "metric"), draft.pruning.metric))
    found: Findings = []
    for path, name in asked:
        if name not in EPOCH_METRICS:
            known = registry.unknown("metric of every epoch", name, EPOCH_METRICS)
            found.append((path, f"{spell(path)}: {known}"))
        elif name in NEED_FACTORS and _without_factors(draft):
            found.append((path, f"{spell(path)}: {_no_factors(name)}; use elbo"))
    doubled = {goal.metric for goal in goals if [g.metric for g in goals].count(goal.metric) > 1}
    found.extend(
        (("goal",), f"goal must not repeat a metric, got {name} more than once") for name in sorted(doubled)
    )
    for at, name in enumerate(draft.evaluation.final if draft.evaluation else ()):
        path: Path = ("evaluation", "final", at)
        if "factors" in METRICS[name].needs and _without_factors(draft):
            found.append((path, f"{spell(path)}: {_no_factors(name)}; leave it out"))
    sizes = draft.outline.factor_sizes if draft.outline else ()
    if (
        draft.evaluation
        and draft.outline
        and sizes
        and draft.evaluation.images < min(max(sizes), draft.outline.images)
    ):
        images = draft.evaluation.images
        message = (
            f"evaluation.images must be >= {max(sizes)}, to show every value of every factor, got {images}"
        )
        found.append((("evaluation", "images"), message))
    return found


def _inputs(draft: Draft) -> Findings:
    """Check that the data has what the objectives' networks read."""
    found: Findings = []
    for at, objective in enumerate(draft.objectives or ()):
        sample = next(blocks.samples(objective))[1]
        wiring = OBJECTIVES[sample.pop("name")](**sample).wiring
        if _without_factors(draft) and (wiring.reads_factors or wiring.reads_label):
            path: Path = ("objectives", at)
            found.append((path, f"{spell(path)}: {_no_factors(str(objective['name']))}"))
    return found


def _tradeoff(draft: Draft) -> Findings:
    if not draft.tradeoff_by or draft.network is None or draft.train is None or draft.objectives is None:
        return []
    known = _field_names(draft)
    found: Findings = []
    for at, name in enumerate(draft.tradeoff_by):
        path: Path = ("tradeoff", "by", at)
        if name not in known:
            found.append((path, f"{spell(path)}: {registry.unknown('parameter', name, known)}"))
            continue
        if name in draft.tradeoff_by[:at]:
            found.append((path, f"{spell(path)} must not repeat a name, got {name!r} again"))
        searched = [
            place for place, value in _spaces(draft).items() if place[-1] == name and _searched(value, draft)
        ]
        if searched:
            message = (
                f"{spell(path)}: {name} is searched ({', '.join(map(spell, searched))}), so cells compete across it; "
                "lay it out with {grid: […]}, or leave it out"
            )
            found.append((path, message))
    return found


def _searched(value: Space, draft: Draft) -> bool:
    laid_out = isinstance(value, Grid) or (draft.search is not None and draft.search.name == "grid")
    return not laid_out


def _field_names(draft: Draft) -> list[str]:
    """Return what may span a trade-off: fields of the spec's objectives, then of training, then of its network."""
    classes: list[Any] = [OBJECTIVES[objective["name"]] for objective in draft.objectives or ()]
    names: Iterable[str] = [
        field.name for cls in [*classes, TrainConfig] for field in dataclasses.fields(cls)
    ]
    return list(dict.fromkeys([*names, *(draft.network or {})]))


def _devices(draft: Draft) -> Findings:
    if draft.resources is not None and draft.resources.require_gpu and draft.resources.gpu == 0:
        message = (
            "resources.require_gpu is true while resources.gpu is 0; give each trial a share, as in gpu: 0.25"
        )
        return [(("resources", "require_gpu"), message)]
    return []


def _without_factors(draft: Draft) -> bool:
    return draft.outline is not None and not draft.outline.factor_names


def _no_factors(name: str) -> str:
    return f"{name} needs ground-truth factors, which this data set has not"
