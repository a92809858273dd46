"""Rules between the parts of a spec: what a sweep needs that no part can see alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import metrics
from sweeps import blocks, scheduler
from sweeps.blocks import Findings
from sweeps.sections import EPOCH_METRICS, NEED_FACTORS, Goal, PruningSpec, ResourceSpec, SearchSpec
from sweeps.space import Choice, Grid, Interval, Space
from sweeps.spec_errors import Path, spell
from vae_core import registry
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data.abstract import Outline
from vae_core.networks import NETWORKS
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
    names: Sequence[str]  # of everything that may span a trade-off
    pruning: PruningSpec | None
    evaluation: EvaluationConfig | None
    resources: ResourceSpec | None


def check(draft: Draft) -> Findings:
    """Return every rule between parts that a draft breaks."""
    return [
        *_repeats(draft),
        *_search(draft),
        *_length(draft),
        *_metrics(draft),
        *_inputs(draft),
        *_correlation(draft),
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


def _repeats(draft: Draft) -> Findings:
    objectives = list(draft.objectives or ())
    return [
        (("objectives", at), f"objectives[{at}] repeats objectives[{objectives.index(objective)}]; leave it out")
        for at, objective in enumerate(objectives)
        if objectives.index(objective) < at
    ]


def _search(draft: Draft) -> Findings:
    search, spaces = draft.search, _spaces(draft)
    if search is None:
        return []
    if search.name == "grid":
        found: Findings = [
            (
                path,
                f"{spell(path)} is an interval, which search grid cannot lay out; list its values with "
                "{grid: […]}, or use search: {name: random, trials: N}",
            )
            for path, value in spaces.items()
            if isinstance(value, Interval)
        ]
        if search.trials is not None:
            message = f"search.trials must be left out of a grid, which runs every cell once, got {search.trials}"
            found.append((("search", "trials"), message))
        return found
    found = []
    if search.trials is None:
        example = f"search: {{name: {search.name}, trials: 20}}"
        message = f"search.trials is missing; {search.name} needs it, as in {example}"
        found.append((("search",), message))
    whole = None not in (draft.network, draft.train, draft.objectives)
    if whole and not any(isinstance(value, Interval | Choice) for value in spaces.values()):
        remedy = "give a range such as {loguniform: [1, 16]}, or use grid"
        message = f"search {search.name} finds nothing to search; {remedy}"
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
    placed = scheduler.rung_epochs(pruning.rungs, epochs)
    path: Path = ("pruning", "rungs")
    return [
        (
            path,
            f"pruning.rungs: {rung} of a trial of {epochs} epochs must be an epoch of its own in 1..{epochs - 1}; "
            "leave it out, or train longer",
        )
        for position, rung in enumerate(pruning.rungs)
        if position not in placed
    ]


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
    found.extend((("goal",), f"goal must not repeat a metric, got {name} more than once") for name in sorted(doubled))
    best = draft.evaluation.best if draft.evaluation else None
    if best is not None and "factors" in metrics.find(best).needs and _without_factors(draft):
        message = f"evaluation.best: {_no_factors(best)}; use elbo, or leave it out"
        found.append((("evaluation", "best"), message))
    for at, name in enumerate(draft.evaluation.final if draft.evaluation else ()):
        path: Path = ("evaluation", "final", at)
        needs = metrics.find(name).needs
        if "factors" in needs and _without_factors(draft):
            found.append((path, f"{spell(path)}: {_no_factors(name)}; leave it out"))
        without = _without_discrete(draft) if "discrete" in needs else []
        if without:
            found.append((path, f"{spell(path)}: {name} needs discrete codes, which {', '.join(without)} has not"))
    sizes = draft.outline.factor_sizes if draft.outline else ()
    if draft.evaluation and draft.outline and sizes and draft.evaluation.images < min(max(sizes), draft.outline.images):
        images = draft.evaluation.images
        message = f"evaluation.images must be >= {max(sizes)}, to show every value of every factor, got {images}"
        found.append((("evaluation", "images"), message))
    return found


def _inputs(draft: Draft) -> Findings:
    """Check that the data has what the objectives read, and the size that the network takes."""
    if draft.outline is None:
        return []
    found: Findings = []
    for at, objective in enumerate(draft.objectives or ()):
        path: Path = ("objectives", at)
        wirings = [registry.build("objective", sample, OBJECTIVES).wiring for _, sample in blocks.samples(objective)]
        if not any(wiring.reads_label != "nowhere" or wiring.reads_factors != "no" for wiring in wirings):
            continue
        if _without_factors(draft):
            found.append((path, f"{spell(path)}: {_no_factors(str(objective['name']))}"))
            continue
        known, path = draft.outline.factor_names, (*path, "label")
        names = dict.fromkeys(name for wiring in wirings for name in wiring.label or () if name not in known)
        found.extend((path, f"{spell(path)}: {registry.unknown('factor', name, known)}") for name in names)
    name = str(draft.network["name"]) if draft.network is not None else ""
    takes = NETWORKS[name].sizes if name else None
    _, height, width = draft.outline.shape
    if takes is not None and (height != width or height not in takes):
        sides = " or ".join(f"{side} x {side}" for side in takes)
        message = f"network.name: {name} takes images of {sides} pixels, the data has {height} x {width}"
        found.append((("network", "name"), message))
    return found


def _correlation(draft: Draft) -> Findings:
    """Check that the data has the factors that are correlated, and that what is measured can be of them."""
    if draft.train is None:
        return []
    found: Findings = []
    if draft.train.get("correlated") and "correlation_width" not in draft.train:
        message = "train.correlation_width is missing; correlated needs it, as in correlation_width: 0.2"
        found.append((("train", "correlated"), message))
    trains = [TrainConfig(**sample) for _, sample in blocks.samples(draft.train)]
    if _without_factors(draft) and any(train.biased or train.correlated for train in trains):
        return [*found, (("train",), f"train: {_no_factors('a correlation')}")]
    if draft.outline is not None:
        names, sizes = draft.outline.factor_names, draft.outline.factor_sizes
        for train in trains:
            unfit = train.unfit(names, sizes, grid=draft.outline.images == math.prod(sizes))
            found += [(("train", field), f"train.{message}") for field, message in unfit]
    if draft.evaluation is not None and any(train.biased for train in trains):
        asked: list[tuple[Path, str]] = [(("evaluation", "final", k), m) for k, m in enumerate(draft.evaluation.final)]
        asked += [] if draft.evaluation.best is None else [(("evaluation", "best"), draft.evaluation.best)]
        found += [
            (path, f"{spell(path)}: {name} takes no weights, and factors are correlated; leave it out")
            for path, name in asked
            if not metrics.find(name).weighted
        ]
    return list(dict.fromkeys(found))


def _tradeoff(draft: Draft) -> Findings:
    found: Findings = []
    for at, name in enumerate(draft.tradeoff_by or ()):
        path: Path = ("tradeoff", "by", at)
        if name not in draft.names:
            found.append((path, f"{spell(path)}: {registry.unknown('parameter', name, draft.names)}"))
            continue
        if name in (draft.tradeoff_by or ())[:at]:
            found.append((path, f"{spell(path)} must not repeat a name, got {name!r} again"))
        searched = [place for place, value in _spaces(draft).items() if place[-1] == name and _searched(value, draft)]
        if searched:
            message = (
                f"{spell(path)}: {name} is searched ({', '.join(map(spell, searched))}), so cells compete "
                "across it; lay it out with {grid: […]}, or leave it out"
            )
            found.append((path, message))
    return found


def _searched(value: Space, draft: Draft) -> bool:
    laid_out = isinstance(value, Grid) or (draft.search is not None and draft.search.name == "grid")
    return not laid_out


def _devices(draft: Draft) -> Findings:
    if draft.resources is not None and draft.resources.require_gpu and draft.resources.gpu == 0:
        message = "resources.require_gpu is true while resources.gpu is 0; give each trial a share, as in gpu: 0.25"
        return [(("resources", "require_gpu"), message)]
    return []


def _without_factors(draft: Draft) -> bool:
    return draft.outline is not None and not draft.outline.factor_names


def _without_discrete(draft: Draft) -> list[str]:
    """Return the objectives, in words, that have no discrete code at some point of their spaces."""
    found: list[str] = []
    for at, objective in enumerate(draft.objectives or ()):
        built = (registry.build("objective", sample, OBJECTIVES) for _, sample in blocks.samples(objective))
        if not all(one.wiring.reads_code for one in built):
            found.append(f"{spell(('objectives', at))} {objective['name']}")
    return found


def _no_factors(name: str) -> str:
    return f"{name} needs ground-truth factors, which this data set has not"
