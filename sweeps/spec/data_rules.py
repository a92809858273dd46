"""Rules about the data set: its size, its factors and its images suit trials and networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeps.spec import registry_blocks, rungs
from sweeps.spec.draft import Draft, no_factors
from sweeps.spec.errors import Problems, SpecPath, spell
from sweeps.spec.objective_settings import LENGTHS
from sweeps.spec.sections import PruningSpec
from vae_core.config import TrainConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES
from vae_core.types import Wiring


def check_lengths(draft: Draft, problems: Problems) -> None:
    """Check batch size and rungs against the size of the data, for every sample of each entry."""
    if draft.outline is None:
        return
    for index, train in enumerate(draft.trains()):
        section = draft.deciding_section(index, "train", "batch_size", "images_per_epoch")
        for _, sample in registry_blocks.sample_blocks(train):
            try:
                epochs = TrainConfig(**sample).total_epochs(draft.outline.images)
            except ValueError as error:  # "batch_size must …"
                problems.add((*section, "batch_size"), f"{spell(section)}.{error}")
                continue
            if draft.pruning is not None:
                _check_rungs(draft, draft.pruning, index, epochs, problems)


def _check_rungs(
    draft: Draft, pruning: PruningSpec, index: int, epochs: int, problems: Problems
) -> None:
    """Check that a trial of one entry has every rung, if it trains for `epochs` epochs."""
    section = draft.deciding_section(index, "train", *LENGTHS, "batch_size", "images_per_epoch")
    section_note = "" if section == ("train",) else f" ({spell(section)})"
    reached = rungs.rung_epochs(pruning.rungs, epochs)
    for rung, fraction in enumerate(pruning.rungs):
        if rung not in reached:
            rule = "must come before the last epoch, at an epoch without another rung"
            remedy = "leave it out, or train longer"
            trial = f"{fraction} of a trial of {epochs} epochs{section_note}"
            problems.add(("pruning", "rungs"), f"pruning.rungs: {trial} {rule}; {remedy}")


def check_inputs(draft: Draft, problems: Problems) -> None:
    """Check that the data set has the factors that the objectives read."""
    if draft.outline is None:
        return
    factor_names = draft.outline.factor_names
    for index, objective in enumerate(draft.objectives or ()):
        path: SpecPath = ("objectives", index)
        wirings = _wirings(objective)
        if not any(_reads_factors(wiring) for wiring in wirings):
            continue
        if draft.lacks_factors:
            rule = no_factors(str(objective["name"]))
            problems.add(path, f"{spell(path)}: {rule}; leave it out, or use data with factors")
            continue
        for wiring in wirings:
            for name in wiring.label or ():
                if name not in factor_names:
                    label_path = (*path, "label")
                    unknown = registry.unknown_name("factor", name, factor_names)
                    problems.add(label_path, f"{spell(label_path)}: {unknown}")


def _wirings(objective: Mapping[str, Any]) -> list[Wiring]:
    """Return what an objective reads and trains on, at every sample of its spaces."""
    return [
        registry.build("objective", sample, OBJECTIVES).wiring
        for _, sample in registry_blocks.sample_blocks(objective)
    ]


def _reads_factors(wiring: Wiring) -> bool:
    return wiring.reads_label != "nowhere" or wiring.reads_factors != "no"


def check_image_sizes(draft: Draft, problems: Problems) -> None:
    """Check that the network of each entry takes images of the data set's size."""
    if draft.outline is None:
        return
    _, height, width = draft.outline.shape
    for index, network in enumerate(draft.networks()):
        name = network["name"]
        sides = NETWORKS[name].sizes
        if sides is None or (height == width and height in sides):
            continue
        path: SpecPath = (*draft.deciding_section(index, "network", "name"), "name")
        allowed = " or ".join(f"{side} x {side}" for side in sides)
        rule = f"{name} takes images of {allowed} pixels, the data has {height} x {width}"
        problems.add(path, f"{spell(path)}: {rule}; use another network, or another image size")
