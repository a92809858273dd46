"""The largest sizes that a network or a trial may have.

They lie far above what anyone trains. A value beyond them is a slip of the pen, and would take all
memory before it failed. A network within them may still be too large for a machine: the dry run
estimates the memory of a trial from its shapes (`vae_core.trial_memory`).
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

LATENTS = 1024
"""Continuous latents. Every report has a metric per latent."""

WIDTH = 100_000
"""Units of a layer."""

DEPTH = 100
"""Layers of a perceptron."""

CATEGORIES = 1000
"""Categories of a discrete latent or code."""

CODES = 100
"""Discrete latents."""

STEPS = 1_000_000_000
"""Optimiser steps of a trial."""

EPOCHS = 100_000
"""Epochs of a trial: each is a report in the ledger."""

IMAGES = 1_000_000_000
"""Images of a batch, of an epoch or of an evaluation."""

SAMPLES = 1_000_000
"""Samples of z in an evaluation."""

FINAL_METRICS = 100
"""Metrics of a final evaluation."""

PAIRS = 100
"""Pairs of correlated factors."""

TABLE_CHARACTERS = 256 * 1024
"""Characters of a factor table. Every trial of the sweep holds its text."""

Latents = Annotated[int, Ge(1), Le(LATENTS)]
Width = Annotated[int, Ge(1), Le(WIDTH)]
Categories = Annotated[int, Ge(2), Le(CATEGORIES)]
Length = Annotated[float, Ge(0), Le(STEPS)]
"""A part of a trial: up to 1 a fraction of it, above 1 a number of steps."""

PositiveLength = Annotated[float, Gt(0), Le(STEPS)]
