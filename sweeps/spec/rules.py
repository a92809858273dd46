"""Rules between the parts of a spec: what a sweep needs that no part can see alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import metrics
from sweeps.spec import objective_settings, registry_blocks, rungs
from sweeps.spec.errors import Path, spell
from sweeps.spec.objective_settings import LENGTHS, Own
from sweeps.spec.registry_blocks import Findings
from sweeps.spec.sections import (
    EPOCH_METRICS,
    NEED_FACTORS,
    Goal,
    PruningSpec,
    ResourceSpec,
    SearchSpec,
)
from sweeps.spec.space import Choice, Grid, Interval, Space
from vae_core.config import CORRELATION, EvaluationConfig, TrainConfig
from vae_core.data.abstract import Outline
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES


class Draft(NamedTuple):
    """The parts of a spec that were read without a mistake; None for the others."""

    outline: Outline | None
    network: Mapping[str, Any] | None
    train: Mapping[str, Any] | None
    objectives: Sequence[Mapping[str, Any]] | None
    own: Sequence[Own] | None  # of each objective
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


def _own(draft: Draft) -> Sequence[Own]:
    """Return the settings of their own that objectives carry; while the objectives have a mistake, of one without."""
    return ({},) if draft.own is None else draft.own


def _networks(draft: Draft) -> list[dict[str, Any]]:
    """Return the network of each objective, none if the shared one has a mistake."""
    shared = draft.network
    return (
        []
        if shared is None
        else [objective_settings.network(shared, own.get("network", {})) for own in _own(draft)]
    )


def _trains(draft: Draft) -> list[dict[str, Any]]:
    """Return the training of each objective, none if the shared one has a mistake."""
    shared = draft.train
    return (
        []
        if shared is None
        else [objective_settings.train(shared, own.get("train", {})) for own in _own(draft)]
    )


def _spaces(draft: Draft) -> dict[Path, Space]:
    """Return every space that some objective's trials are made of, by where it is written."""
    own = _own(draft)
    parts: list[tuple[Path, Any]] = [
        ((*objective_settings.deciding_section(own, at, section, key), key), value)
        for section, of_all in (("network", _networks(draft)), ("train", _trains(draft)))
        for at, block in enumerate(of_all)
        for key, value in block.items()
    ]
    parts += [
        (("objectives", at, key), v)
        for at, block in enumerate(draft.objectives or ())
        for key, v in block.items()
    ]
    return {path: value for path, value in parts if isinstance(value, Space)}


def _repeats(draft: Draft) -> Findings:
    own = [
        {section: fields for section, fields in of.items() if section != "evaluation"}
        for of in _own(draft)
    ]
    networks, trains = _networks(draft) or own, _trains(draft) or own
    trained = (
        list(zip(draft.objectives, networks, trains, strict=True))
        if draft.objectives is not None
        else []
    )
    found: Findings = []
    for at, one in enumerate(trained):
        first = trained.index(one)
        alike = _own(draft)[first].get("evaluation") == _own(draft)[at].get("evaluation")
        remedy = "leave it out" if alike else "leave it out, and give the metrics of both to one"
        if first < at:
            found.append(
                (("objectives", at), f"objectives[{at}] repeats objectives[{first}]; {remedy}")
            )
    return found


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
    """Check batch size and rungs against the data's size at every sample of each objective's `train`."""
    if draft.outline is None:
        return []
    found: Findings = []
    for at, train in enumerate(_trains(draft)):
        path = objective_settings.deciding_section(
            _own(draft), at, "train", "batch_size", "images_per_epoch"
        )
        counted = objective_settings.deciding_section(
            _own(draft), at, "train", *LENGTHS, "batch_size", "images_per_epoch"
        )
        for _, sample in registry_blocks.samples(train):
            config = TrainConfig(**sample)
            try:
                epochs = config.total_epochs(draft.outline.images)
            except ValueError as error:
                found.append(((*path, "batch_size"), f"{spell(path)}.{error}"))
                continue
            found.extend(
                _rungs(draft.pruning, epochs, "" if len(counted) == 1 else f" ({spell(counted)})")
            )
    return list(dict.fromkeys(found))


def _rungs(pruning: PruningSpec | None, epochs: int, whose: str) -> Findings:
    if pruning is None:
        return []
    placed = rungs.rung_epochs(pruning.rungs, epochs)
    path: Path = ("pruning", "rungs")
    return [
        (
            path,
            f"pruning.rungs: {rung} of a trial of {epochs} epochs{whose} must be an epoch of its own in "
            f"1..{epochs - 1}; leave it out, or train longer",
        )
        for position, rung in enumerate(pruning.rungs)
        if position not in placed
    ]


def _metrics(draft: Draft) -> Findings:
    goals = draft.goals or ()
    asked: list[tuple[Path, str]] = [
        (("goal", at, "metric"), goal.metric) for at, goal in enumerate(goals)
    ]
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
        (("goal",), f"goal must not repeat a metric, got {name} more than once")
        for name in sorted(doubled)
    )
    best = draft.evaluation.best if draft.evaluation else None
    if best is not None and "factors" in metrics.find(best).needs and _without_factors(draft):
        message = f"evaluation.best: {_no_factors(best)}; use elbo, or leave it out"
        found.append((("evaluation", "best"), message))
    found.extend(_final(draft))
    sizes = draft.outline.factor_sizes if draft.outline else ()
    if (
        draft.evaluation
        and draft.outline
        and sizes
        and draft.evaluation.images < min(max(sizes), draft.outline.images)
    ):
        images = draft.evaluation.images
        message = f"evaluation.images must be >= {max(sizes)}, to show every value of every factor, got {images}"
        found.append((("evaluation", "images"), message))
    return found


def _final(draft: Draft) -> Findings:
    """Check that the data and the codes of the objectives serve the final metrics that they are scored with."""
    scored: dict[Path, list[int]] = {}
    for at in range(len(_own(draft))):
        scored.setdefault(
            (*objective_settings.deciding_section(_own(draft), at, "evaluation", "final"), "final"),
            [],
        ).append(at)
    shared = draft.evaluation.final if draft.evaluation else ()
    found: Findings = []
    for place, whose in scored.items():
        names = shared if place[0] == "evaluation" else _own(draft)[whose[0]]["evaluation"]["final"]
        remedy = "; leave it out"
        remedy += (
            ", and give evaluation: {final: […]} to the objectives that have"
            if place[0] == "evaluation"
            else ""
        )
        for at, name in enumerate(names):
            path: Path = (*place, at)
            needs = metrics.find(name).needs
            if "factors" in needs and _without_factors(draft):
                found.append((path, f"{spell(path)}: {_no_factors(name)}; leave it out"))
            without = _without_discrete(draft, whose) if "discrete" in needs else []
            if without:
                message = f"{spell(path)}: {name} needs discrete codes, which {', '.join(without)} has not{remedy}"
                found.append((path, message))
    return found


def _inputs(draft: Draft) -> Findings:
    """Check that the data has what the objectives read, and the size that the network takes."""
    if draft.outline is None:
        return []
    found: Findings = []
    for at, objective in enumerate(draft.objectives or ()):
        path: Path = ("objectives", at)
        wirings = [
            registry.build("objective", sample, OBJECTIVES).wiring
            for _, sample in registry_blocks.samples(objective)
        ]
        if not any(
            wiring.reads_label != "nowhere" or wiring.reads_factors != "no" for wiring in wirings
        ):
            continue
        if _without_factors(draft):
            found.append((path, f"{spell(path)}: {_no_factors(str(objective['name']))}"))
            continue
        known, path = draft.outline.factor_names, (*path, "label")
        names = dict.fromkeys(
            name for wiring in wirings for name in wiring.label or () if name not in known
        )
        found.extend(
            (path, f"{spell(path)}: {registry.unknown('factor', name, known)}") for name in names
        )
    _, height, width = draft.outline.shape
    for at, network in enumerate(_networks(draft)):
        name, takes = network["name"], NETWORKS[network["name"]].sizes
        if takes is not None and (height != width or height not in takes):
            path = (
                *objective_settings.deciding_section(_own(draft), at, "network", "name"),
                "name",
            )
            sides = " or ".join(f"{side} x {side}" for side in takes)
            message = f"{spell(path)}: {name} takes images of {sides} pixels, the data has {height} x {width}"
            found.append((path, message))
    return list(dict.fromkeys(found))


def _correlation(draft: Draft) -> Findings:
    """Check that the data has the factors that are correlated, and that what is measured can be of them."""
    found: Findings = []
    for at, block in enumerate(_trains(draft)):
        path = objective_settings.deciding_section(_own(draft), at, "train", *CORRELATION)
        if block.get("correlated") and "correlation_width" not in block:
            message = f"{spell(path)}.correlation_width is missing; correlated needs it, as in correlation_width: 0.2"
            found.append(((*path, "correlated"), message))
        trains = [TrainConfig(**sample) for _, sample in registry_blocks.samples(block)]
        if _without_factors(draft):
            if any(train.biased or train.correlated for train in trains):
                found.append((path, f"{spell(path)}: {_no_factors('a correlation')}"))
            continue
        found += _unfit(draft, trains, path)
        if any(train.biased for train in trains):
            found += _unweighted(draft, at)
    return list(dict.fromkeys(found))


def _unfit(draft: Draft, trains: Sequence[TrainConfig], path: Path) -> Findings:
    """Return what of the correlated factors the data has not."""
    if draft.outline is None:
        return []
    names, sizes = draft.outline.factor_names, draft.outline.factor_sizes
    grid = draft.outline.images == math.prod(sizes)
    return [
        ((*path, field), f"{spell(path)}.{message}")
        for train in trains
        for field, message in train.unfit(names, sizes, grid=grid)
    ]


def _unweighted(draft: Draft, at: int) -> Findings:
    """Return the metrics of an objective's trials that cannot be of correlated factors."""
    place = (*objective_settings.deciding_section(_own(draft), at, "evaluation", "final"), "final")
    shared = draft.evaluation.final if draft.evaluation else ()
    names = shared if place[0] == "evaluation" else _own(draft)[at]["evaluation"]["final"]
    asked: list[tuple[Path, str]] = [((*place, k), name) for k, name in enumerate(names)]
    if draft.evaluation is not None and draft.evaluation.best is not None:
        asked.append((("evaluation", "best"), draft.evaluation.best))
    return [
        (path, f"{spell(path)}: {name} takes no weights, and factors are correlated; leave it out")
        for path, name in asked
        if not metrics.find(name).weighted
    ]


def _tradeoff(draft: Draft) -> Findings:
    found: Findings = []
    for at, name in enumerate(draft.tradeoff_by or ()):
        path: Path = ("tradeoff", "by", at)
        if name not in draft.names:
            found.append(
                (path, f"{spell(path)}: {registry.unknown('parameter', name, draft.names)}")
            )
            continue
        if name in (draft.tradeoff_by or ())[:at]:
            found.append((path, f"{spell(path)} must not repeat a name, got {name!r} again"))
        searched = [
            place
            for place, value in _spaces(draft).items()
            if place[-1] == name and _searched(value, draft)
        ]
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


def _without_discrete(draft: Draft, positions: Sequence[int]) -> list[str]:
    """Return those of some objectives, in words, that have no discrete code at some point of their spaces."""
    found: list[str] = []
    for at, objective in enumerate(draft.objectives or ()):
        if at not in positions:
            continue
        built = (
            registry.build("objective", sample, OBJECTIVES)
            for _, sample in registry_blocks.samples(objective)
        )
        if not all(one.wiring.reads_code for one in built):
            found.append(f"{spell(('objectives', at))} {objective['name']}")
    return found


def _no_factors(name: str) -> str:
    return f"{name} needs ground-truth factors, which this data set has not"
