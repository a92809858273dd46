"""How much memory a trial needs, estimated from shapes, and whether this machine has it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.cells.entry_samples import entry_samples
from sweeps.errors import SweepError
from sweeps.spec.errors import spell
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import EvaluationConfig, TrainConfig, TrialConfig
from vae_core.hyperparameters import registry
from vae_core.likelihood import likelihood
from vae_core.networks import AbstractNetwork, shaped_networks
from vae_core.objectives import AbstractObjective
from vae_core.trial_memory import TrialMemory, estimate, input_widths

GIB = 2**30

MOST_ESTIMATED = 20
"""Kinds of trials of which the memory is estimated: each takes about a tenth of a second."""


class EntrySizes(NamedTuple):
    """What the memory of a trial depends on."""

    network: AbstractNetwork
    objective: AbstractObjective
    train: TrainConfig
    evaluation: EvaluationConfig
    weights: int


class EntryMemory(NamedTuple):
    """The memory of the largest trial of one entry."""

    entry: int  # index in `objectives`
    sizes: EntrySizes
    memory: TrialMemory


def entry_memories(spec: SweepSpec) -> list[EntryMemory]:
    """Return the memory of the largest trial of each entry.

    The largest network of an entry is the one with the most weights, the largest batch is that of
    all its cells, and of its objectives each kind is looked at. Entries that differ in numbers only
    are estimated once. Of more than `MOST_ESTIMATED` kinds those with the most weights and images
    per step are estimated.
    """
    candidates: dict[Any, tuple[int, EntrySizes]] = {}  # the first entry of each kind
    for index in range(len(spec.objectives)):
        for sizes in _largest_sizes(spec, index):
            candidates.setdefault(kind_of_trial(sizes), (index, sizes))
    pixels = math.prod(spec.data.outline().shape)
    ordered = sorted(
        candidates.values(),
        key=lambda candidate: -(candidate[1].weights + candidate[1].train.batch_size * pixels),
    )
    memories: dict[int, EntryMemory] = {}
    for index, sizes in ordered[:MOST_ESTIMATED]:
        memory = estimate(
            sizes.network, sizes.objective, sizes.train, sizes.evaluation, spec.data.outline()
        )
        if index not in memories or memory.total > memories[index].memory.total:
            memories[index] = EntryMemory(index, sizes, memory)
    return [memories[index] for index in sorted(memories)]


def machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that this process is in."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        text = limit.read_text().strip()
    except OSError:
        return physical
    return min(physical, int(text)) if text.isdigit() else physical


def runs_elsewhere(spec: SweepSpec, address: str | None) -> bool:
    """Return whether trials may run with other memory than that of this machine.

    That of another node of a cluster, or that of a GPU.
    """
    return address is not None or spec.resources.gpu > 0


def require_memory(spec: SweepSpec, memories: Sequence[EntryMemory]) -> None:
    """Raise if this machine, which is to run the trials, has not the memory of one of them.

    Raises:
        SweepError: it has a sentence for every entry that does not fit.
    """
    sentences = list(_too_large(spec, memories))
    if sentences:
        raise SweepError("\n".join(sentences))


def memory_notes(
    spec: SweepSpec, memories: Sequence[EntryMemory], slots: int, *, here: bool
) -> Iterator[str]:
    """Yield a note if trials, one or those that run at once, do not fit into this machine.

    Args:
        spec: the spec.
        memories: of its entries.
        slots: trials that run at once on this machine.
        here: whether `require_memory` was asked: then one trial fits.
    """
    if not here:
        yield from _too_large(spec, memories)
        return
    largest = max((one.memory.total for one in memories), default=0)
    machine = machine_memory()
    if slots > 1 and largest <= machine < slots * largest:
        fitting = max(1, machine // largest)
        yield (
            f"resources: {slots} trials at once need about {in_words(slots * largest)} of memory, "
            f"and this machine has {in_words(machine)}; "
            f"set resources.max_concurrent: {fitting} or lower"
        )


def in_words(size: float) -> str:
    """Return a number of bytes as text: `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} PiB"


def _too_large(spec: SweepSpec, memories: Sequence[EntryMemory]) -> Iterator[str]:
    """Yield a sentence for every entry of which a trial does not fit into this machine."""
    machine = machine_memory()
    for one in memories:
        if one.memory.total > machine:
            name = spec.objectives[one.entry]["name"]
            yield (
                f"{spell(('objectives', one.entry))} {name}: a trial needs about "
                f"{in_words(one.memory.total)} of memory ({_parts(one.memory)}), and this machine "
                f"has {in_words(machine)}; make the network or train.batch_size smaller, or run it "
                "on a larger machine (--address)"
            )


def _parts(memory: TrialMemory) -> str:
    """Return what a trial needs its memory for, the largest first."""
    parts = {
        "weights and gradients": memory.weights,
        "optimisers": memory.optimisers,
        "activations of a step": memory.activations,
        "evaluation": memory.evaluation,
        "checkpoint": memory.checkpoint,
    }
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {in_words(size)}" for name, size in ordered)


def _largest_sizes(spec: SweepSpec, index: int) -> list[EntrySizes]:
    """Return the sizes of the largest trials of one entry, one for each kind of objective."""
    outline = spec.data.outline()
    trains, objectives, networks = entry_samples(spec, index)
    train = max(trains, key=lambda one: (one.batch_size, one.optimiser == "adam"))

    def weights(network: AbstractNetwork, objective: AbstractObjective) -> int:
        nets = shaped_networks(
            network,
            objective.wiring,
            outline.shape,
            likelihood=likelihood(train.likelihood, train.sigma),
            widths=input_widths(objective.wiring, outline),
        )
        return sum(parameter.numel() for parameter in nets.parameters())

    network = networks[0]
    if len(networks) > 1:
        network = max(networks, key=lambda one: weights(one, objectives[0]))
    kinds = {_structure(objective): objective for objective in reversed(objectives)}
    return [
        EntrySizes(
            network, objective, train, spec.parts(index).evaluation, weights(network, objective)
        )
        for objective in list(kinds.values())[:MOST_ESTIMATED]
    ]


def _structure(objective: AbstractObjective) -> tuple[Any, ...]:
    """Return what changes the shapes of an objective: its fields that are no numbers with a point.

    A number such as beta weights a term; whether it is zero changes no shape.
    """
    fields = registry.fields_of(objective)
    texts = [f"{key}={value}" for key, value in fields.items() if not isinstance(value, float)]
    return (type(objective), *texts)


def kind_of_trial(trial: EntrySizes | TrialConfig) -> tuple[Any, ...]:
    """Return what two trials have in common if they need the same memory and time per step."""
    train = trial.train
    return (
        _structure(trial.objective),
        trial.network,
        train.batch_size,
        train.optimiser,
        train.likelihood,
        trial.evaluation,
    )
