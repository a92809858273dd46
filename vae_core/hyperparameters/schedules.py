"""Schedules: functions of the current step, without a counter and with nothing to save.

A length (`limits.Length`) up to 1 is a fraction of the trial, above 1 a number of steps: `0.5` ends
after half of the trial, `100000` after 100,000 steps for any length of the trial, 0 immediately.
"""

from __future__ import annotations

import math

from torch import Tensor

from vae_core.types import Context, Scalar


def steps(length: float, total_steps: int) -> int:
    """Return a length as a number of steps, in a trial of `total_steps`."""
    if length <= 1:
        return math.ceil(length * total_steps - 1e-9)  # in binary, .1 * 30 is a little over 3
    return math.ceil(length)


def ramp(ctx: Context, start: Scalar, end: Scalar, length: float) -> Scalar:
    """Return start + (end − start)·min(1, t/T), t the step, T = `length` in steps; T = 0: `end`."""
    ramp_steps = steps(length, ctx.total_steps)
    fraction = min(1.0, ctx.step / ramp_steps) if ramp_steps else 1.0
    return end if fraction == 1.0 else start + (end - start) * fraction


def at_most(value: Scalar, bound: float) -> Scalar:
    """Return min(value, bound)."""
    return value.clamp(max=bound) if isinstance(value, Tensor) else min(value, bound)
