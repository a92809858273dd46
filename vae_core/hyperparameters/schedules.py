"""Schedules are arithmetic on where training stands: no counter, nothing to save.

A `Length` up to 1 is a fraction of the trial, above 1 a number of steps: `0.5` ends half-way, `100000` after so many
steps however long the trial is, 0 at once.
"""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from vae_core.types import Context, Knob

Length = Annotated[float, Ge(0)]


def steps(length: float, total_steps: int) -> int:
    """Return a length in steps of a trial of `total_steps`."""
    return (
        math.ceil(length * total_steps - 1e-9) if length <= 1 else math.ceil(length)
    )  # .1 * 30 is a little over 3


def ramp(ctx: Context, start: Knob, end: Knob, length: float) -> Knob:
    """Return start + (end − start)·min(1, t/T), T = `length` in steps; `end` at once if T is 0."""
    over = steps(length, ctx.total_steps)
    done = min(1.0, ctx.step / over) if over else 1.0
    return end if done == 1.0 else start + (end - start) * done


def at_most(value: Knob, bound: float) -> Knob:
    """Return min(value, bound)."""
    return value.clamp(max=bound) if isinstance(value, Tensor) else min(value, bound)
