"""Rules about what a sweep searches: entries that repeat each other, spaces, the trade-off."""

from __future__ import annotations

import math
from typing import Any

from sweeps.spec import limits
from sweeps.spec.draft import Draft
from sweeps.spec.errors import Problems, SpecPath, spell
from sweeps.spec.sections import SearchSpec
from sweeps.spec.space import Choice, Grid, Interval, Space
from vae_core.hyperparameters import registry


def check_repeated_entries(draft: Draft, problems: Problems) -> None:
    """Check that no two entries train the same trials."""
    trained = _trained(draft)
    for index, entry in enumerate(trained):
        first = trained.index(entry)
        if first == index:
            continue
        remedy = "leave it out"
        settings = draft.settings_of_entries
        if settings[first].get("evaluation") != settings[index].get("evaluation"):
            remedy += f", and list the final metrics of both in objectives[{first}]"
        message = f"objectives[{index}] repeats objectives[{first}]; {remedy}"
        problems.add(("objectives", index), message)


def _trained(draft: Draft) -> list[tuple[Any, Any, Any]]:
    """Return objective, network and training of each entry: all that its trials are trained on.

    If a shared section has a problem, the fields that the entry gives for it are compared alone.
    """
    if draft.objectives is None:
        return []
    settings_without_evaluation = [
        {section: fields for section, fields in settings.items() if section != "evaluation"}
        for settings in draft.settings_of_entries
    ]
    networks = draft.networks() or settings_without_evaluation
    trains = draft.trains() or settings_without_evaluation
    return list(zip(draft.objectives, networks, trains, strict=True))


def check_search(draft: Draft, problems: Problems) -> None:
    """Check that the search suits the spaces: a grid has no interval, a sampler has a space."""
    if draft.search is None:
        return
    if draft.search.name == "grid":
        _check_grid(draft.search, draft.spaces(), problems)
    else:
        _check_sampler(draft.search, draft, problems)


def _check_grid(search: SearchSpec, spaces: dict[SpecPath, Space], problems: Problems) -> None:
    for path, space in spaces.items():
        if isinstance(space, Interval):
            rule = f"{spell(path)} is an interval, which search grid cannot lay out"
            remedy = "list its values with {grid: […]}, or use search: {name: random, trials: N}"
            problems.add(path, f"{rule}; {remedy}")
    if search.trials is not None:
        rule = "search.trials must be left out of a grid, which runs every cell once"
        problems.add(("search", "trials"), f"{rule}, got {search.trials}")


def _check_sampler(search: SearchSpec, draft: Draft, problems: Problems) -> None:
    path: SpecPath = ("search",)
    if search.trials is None:
        example = f"search: {{name: {search.name}, trials: 20}}"
        message = f"search.trials is missing; {search.name} needs it, as in {example}"
        problems.add(path, message)
    if draft.network is None or draft.train is None or draft.objectives is None:
        return  # a section with a problem may hold the space
    if not any(isinstance(space, Interval | Choice) for space in draft.spaces().values()):
        remedy = "give a range such as {loguniform: [1, 16]}, or use search: {name: grid}"
        problems.add(path, f"search {search.name} finds nothing to search; {remedy}")


def check_cells(draft: Draft, problems: Problems) -> None:
    """Check how many cells and trials the sweep asks for: a product, no cell is listed."""
    networks, trains, objectives = draft.networks(), draft.trains(), draft.objectives
    if draft.search is None or not networks or not trains or objectives is None:
        return
    layouts = 0
    for blocks in zip(networks, trains, objectives, strict=True):
        values = [value for block in blocks for value in block.values()]
        sizes = [
            len(value.values)
            for value in values
            if isinstance(value, Grid | Choice) and _is_laid_out(value, draft)
        ]
        layouts += math.prod(sizes)
    cells = layouts * (draft.search.trials or 1)
    problem = limits.cells_problem(cells, len(draft.seeds or (0,)))
    if problem is not None:
        problems.add(("objectives",), problem)


def check_tradeoff(draft: Draft, problems: Problems) -> None:
    """Check that `tradeoff.by` names each parameter once, and none that a sampler fills in."""
    names = draft.tradeoff_by or ()
    for index, name in enumerate(names):
        path: SpecPath = ("tradeoff", "by", index)
        if name not in draft.parameters:
            unknown = registry.unknown_name("parameter", name, draft.parameters)
            problems.add(path, f"{spell(path)}: {unknown}")
            continue
        if name in names[:index]:
            problems.add(path, f"{spell(path)} must not repeat a name, got {name!r} again")
        searched = [
            spell(space_path)
            for space_path, space in draft.spaces().items()
            if space_path[-1] == name and not _is_laid_out(space, draft)
        ]
        if searched:
            rule = f"{name} is searched ({', '.join(searched)}), so cells compete across its values"
            remedy = "lay it out with {grid: […]}, or leave it out"
            problems.add(path, f"{spell(path)}: {rule}; {remedy}")


def _is_laid_out(space: Space, draft: Draft) -> bool:
    if isinstance(space, Grid):
        return True
    return draft.search is not None and draft.search.name == "grid"
