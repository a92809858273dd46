"""Measures the training speed of each entry here, from a few steps on noise, within limits."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from metrics import Factors
from sweeps.cells import cell_grid
from sweeps.cells.memory import kind_of_trial
from sweeps.spec.errors import shortened, spell
from sweeps.spec.space import from_unit
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import CORRELATION_FIELDS, TrialConfig
from vae_core.data.abstract import Outline
from vae_core.errors import Diverged
from vae_core.objectives import AbstractAlternating
from vae_core.objectives.abstract import AbstractObjective
from vae_core.training_loop import seconds_of_epoch
from vae_core.trial_memory import TrialMemory, estimate
from vae_core.types import Data

PROBE_IMAGES = 8192
"""About how many images the speed is measured on; at least two steps, at most twelve."""

PROBE_BYTES = 2**29
"""Memory that a measurement may take. A larger trial is measured at a smaller batch or not at all.
"""

PROBE_FLOPS = 4e10
"""Multiplications and additions of a measurement: a few seconds of one core."""

PROBE_SECONDS = 2.0
"""After this time no further entry is measured."""

PROBE_ASSIGNED = 256
"""Largest batch that is measured of an objective with an assignment, slow for large batches."""

USUAL_RATE = 1e10
"""Multiplications and additions per second of one core, if no entry can be measured."""


class Speeds(NamedTuple):
    """The training speeds of a sweep on this machine."""

    images_per_second: dict[int, float]  # by entry
    notes: list[str]


class _Probe(NamedTuple):
    """What is measured of one entry."""

    config: TrialConfig
    steps: int
    flops_per_image: float

    @property
    def images(self) -> int:
        """The images of all its steps."""
        return self.steps * self.config.train.batch_size


def training_speeds(spec: SweepSpec, entries: Sequence[int]) -> Speeds:
    """Return the speed of the first trial of some entries.

    Entries that are too large for a measurement, or that are left after `PROBE_SECONDS`, get the
    speed that their arithmetic has at the rate of the measured ones; a note says so. After that
    time an entry that differs from a measured one in numbers only gets its speed. A trial that
    diverges on noise, or fails, gets a note too.
    """
    speeds: dict[int, float] = {}
    rates: list[float] = []  # multiplications and additions per second
    unmeasured: dict[int, float | None] = {}  # entry -> multiplications and additions per image
    notes: list[str] = []
    measured: dict[Any, int] = {}  # kind of trial -> the entry that was measured
    started = time.monotonic()
    for index in entries:
        kind = kind_of_trial(_first_trial(spec, index))
        if time.monotonic() - started > PROBE_SECONDS:
            if kind in measured:
                speeds[index] = speeds[measured[kind]]
            else:
                unmeasured[index] = None
            continue
        probe, flops = _probe(spec, index)
        if probe is None:
            unmeasured[index] = flops
            continue
        speeds[index], problem = _measure(spec, probe)
        rates.append(speeds[index] * flops)
        if not problem:
            measured[kind] = index
        else:
            notes.append(f"{_entry(spec, index)}: {problem}")
    rate = statistics.median(rates) if rates else USUAL_RATE
    usual = statistics.median(speeds.values()) if speeds else float(PROBE_IMAGES)
    for index, flops in unmeasured.items():
        speeds[index] = usual if flops is None else rate / max(flops, 1.0)
    if unmeasured:
        some = ", ".join(_entry(spec, index) for index in list(unmeasured)[:3])
        more = f" and {len(unmeasured) - 3} more" if len(unmeasured) > 3 else ""
        notes.append(f"hours_here is a rough guess: the speed of {some}{more} was not measured")
    return Speeds(speeds, notes)


def _first_trial(spec: SweepSpec, index: int) -> TrialConfig:
    """Return the config of the first trial of an entry; searched values lie at the low end."""
    layouts = cell_grid.all_layouts(spec)
    layout = layouts[layouts.positions(index).start]
    searched = {path: from_unit(space, 0.0) for path, space in layout.searched.items()}
    return cell_grid.trial_config(spec, layout, {**layout.fixed, **searched}, spec.seeds[0], "plan")


def _entry(spec: SweepSpec, index: int) -> str:
    return f"{spell(('objectives', index))} {spec.objectives[index]['name']}"


def _probe(spec: SweepSpec, index: int) -> tuple[_Probe | None, float]:
    """Return what to measure of an entry, None if it is too large, and its work per image."""
    config = _first_trial(spec, index)
    outline = spec.data.outline()
    whole = _memory(config, outline, config.train.batch_size)
    flops = whole.flops / config.train.batch_size
    batch = config.train.batch_size
    if isinstance(config.objective, AbstractAlternating):
        batch = min(batch, PROBE_ASSIGNED)
    memory = whole if batch == config.train.batch_size else _memory(config, outline, batch)
    while not _fits(memory, outline, batch):
        if batch == 2:
            return None, flops
        batch = max(2, batch // 4)
        memory = _memory(config, outline, batch)
    steps = max(2, min(12, PROBE_IMAGES // batch, int(PROBE_FLOPS / max(memory.flops, 1.0))))
    return _Probe(_probe_config(config, outline, batch), steps, flops), flops


def _memory(config: TrialConfig, outline: Outline, batch: int) -> TrialMemory:
    return estimate(
        config.network,
        config.objective,
        config.train,
        config.evaluation,
        outline,
        batch_size=batch,
    )


def _fits(memory: TrialMemory, outline: Outline, batch: int) -> bool:
    """Return whether two steps of a batch can be measured here in a moment."""
    noise = 2 * batch * int(np.prod(outline.shape, dtype=object))
    needed = memory.weights + memory.optimisers + memory.activations + noise
    return needed <= PROBE_BYTES and 2 * memory.flops <= PROBE_FLOPS


def _measure(spec: SweepSpec, probe: _Probe) -> tuple[float, str]:
    """Return images per second, and a note if the trial fails or diverges within its first steps.

    A trial on noise that fails says what the trials of the sweep will do, so it is no error of the
    plan. The time up to then still tells the speed.
    """
    outline = spec.data.outline()
    data = _noise(outline, min(outline.images, probe.images), probe.config.objective)
    batch = probe.config.train.batch_size
    images = len(data) // batch * batch
    started = time.monotonic()
    with _threads(spec):
        try:
            return images / seconds_of_epoch(probe.config, data), ""
        except Exception as error:
            kind = "" if isinstance(error, Diverged) else f"{type(error).__name__}: "
            problem = f"a trial run of a few steps on noise failed: {kind}{shortened(str(error))}"
    return images / max(time.monotonic() - started, 1e-3), problem


@contextlib.contextmanager
def _threads(spec: SweepSpec) -> Iterator[None]:
    """Let torch use as many threads as a trial has cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(int(spec.resources.cpu), os.cpu_count() or 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _probe_config(config: TrialConfig, outline: Outline, batch: int) -> TrialConfig:
    """Return the config of a trial that trains two epochs on noise and evaluates almost nothing."""
    mapping: dict[str, Any] = config.to_dict()
    mapping["train"] |= {"epochs": 2, "steps": None, "images_per_epoch": None, "batch_size": batch}
    mapping["train"] |= dict.fromkeys(CORRELATION_FIELDS)  # to choose the next image takes no time
    mapping["train"]["correlated"] = ()
    mapping["fingerprint"] = ""  # noise is no data set
    # If there are factors, the evaluated images must contain every level.
    images = 2
    if _reads_factors(config.objective):
        images = max(2, sum(outline.factor_sizes))
    mapping["evaluation"] |= {"images": images, "samples": 2, "final": [], "best": None}
    return TrialConfig.from_dict(mapping)


def _reads_factors(objective: AbstractObjective) -> bool:
    return objective.wiring.reads_label != "nowhere" or objective.wiring.reads_factors != "no"


def _noise(outline: Outline, n_images: int, objective: AbstractObjective) -> Data:
    """Return images of noise, with random levels of the factors if the objective reads any."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, (n_images, int(np.prod(outline.shape))), dtype=np.uint8)
    factors = None
    if _reads_factors(objective):
        levels = rng.integers(0, outline.factor_sizes, (n_images, len(outline.factor_sizes)))
        factors = Factors(levels, outline.factor_names, outline.factor_sizes)
    return Data(
        "noise", images, outline.shape, packed=False, levels=1, factors=factors, fingerprint="noise"
    )
