"""Training without a network: each epoch of a trial has a known report.

The state is one number that every epoch changes, so a trial that resumes from a wrong state reports
numbers that differ from those of `curve`. What a trial does (learn, diverge, collapse, raise) is
decided by its hash alone, so sweeps that share a trial see the same one.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from vae_core.config import TrialConfig
from vae_core.errors import Diverged
from vae_core.types import EpochReport, TrainState

N_DATA = 384
FINGERPRINT = "f" * 64
MODULUS = 2**31 - 1
STEPS = 12
"""Optimiser steps of an epoch: 384 images in batches of 32."""


class FakeData:
    """What a trial needs of a data set."""

    images = np.zeros(0, np.uint8)
    fingerprint = FINGERPRINT
    notes = ()
    factors = None

    def __len__(self) -> int:
        return N_DATA


class Nature(NamedTuple):
    """What is bound to happen to a trial; 0 is an epoch that never comes."""

    nan_from: int
    collapsed_from: int
    diverges_at: int
    raises_at: int


def digest(*parts: object) -> int:
    """Return a number of 63 bits that depends on the parts only."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@functools.lru_cache(maxsize=100_000)
def nature(trial_hash: str) -> Nature:
    """Return what is bound to happen to a trial: nothing for three of four."""
    lot = digest(trial_hash, "nature") % 100
    epoch = 1 + digest(trial_hash, "epoch") % 4
    return Nature(
        nan_from=epoch if lot < 8 else 0,
        collapsed_from=epoch if 8 <= lot < 16 else 0,
        diverges_at=epoch if 16 <= lot < 20 else 0,
        raises_at=epoch if 20 <= lot < 24 else 0,
    )


@functools.lru_cache(maxsize=100_000)
def state_after(trial_hash: str, epoch: int) -> int:
    """Return the training state after an epoch of an undisturbed trial."""
    if epoch == 0:
        return digest(trial_hash, "start") % MODULUS
    return next_state(trial_hash, epoch, state_after(trial_hash, epoch - 1))


def next_state(trial_hash: str, epoch: int, state: int) -> int:
    """Return the state after one more epoch."""
    return (state * 48271 + digest(trial_hash, epoch)) % MODULUS


def metrics_of(trial_hash: str, epoch: int, state: int) -> dict[str, float]:
    """Return the metrics of an epoch, given the state at its end."""
    noise = state / MODULUS
    quality = (digest(trial_hash, "quality") % 1000) / 1000
    bound_to = nature(trial_hash)
    mig = quality * (1 - math.exp(-epoch / 3)) + 0.05 * noise
    if bound_to.nan_from and epoch >= bound_to.nan_from:
        mig = math.nan
    collapsed = bound_to.collapsed_from and epoch >= bound_to.collapsed_from
    return {
        "mig": mig,
        "tc": 1.0 / epoch + noise,
        "reconstruction": 100.0 / epoch + noise,
        "active_units": 0.0 if collapsed else 3.0,
    }


def curve(trial_hash: str, epoch: int, epochs: int) -> dict[str, Any]:
    """Return what an undisturbed trial reports of an epoch: metrics, train, final."""
    state = state_after(trial_hash, epoch)
    metrics = metrics_of(trial_hash, epoch, state)
    return {
        "epoch": epoch,
        "step": STEPS * epoch,
        "metrics": metrics,
        "train": {"loss": 100.0 + state / MODULUS},
        "final": {"mig": metrics["mig"]} if epoch == epochs else None,
    }


def train(
    config: TrialConfig, data: Any, *, resume: TrainState | None = None, device: Any = None
) -> Iterator[EpochReport]:
    """Yield the reports of a trial from the beginning or from a state, as `vae_core.train` does."""
    del data, device
    trial_hash, epochs = config.hash, config.train.epochs
    assert epochs is not None
    epoch = 0 if resume is None else resume.epoch
    state = state_after(trial_hash, 0) if resume is None else int(resume.memory.item())
    while epoch < epochs:
        epoch += 1
        state = next_state(trial_hash, epoch, state)
        if nature(trial_hash).diverges_at == epoch:
            raise Diverged(f"loss is nan at step {STEPS * epoch}")
        if nature(trial_hash).raises_at == epoch:
            raise ValueError(f"no solution at step {STEPS * epoch}")
        yield _report(trial_hash, epoch, epochs, state)


def _report(trial_hash: str, epoch: int, epochs: int, state: int) -> EpochReport:
    metrics = metrics_of(trial_hash, epoch, state)
    final: Any = None
    if epoch == epochs:
        final = SimpleNamespace(
            metrics={"mig": metrics["mig"]}, best={}, scores={}, decomposition={}
        )
    return EpochReport(
        epoch=epoch,
        step=STEPS * epoch,
        metrics=metrics,
        train={"loss": 100.0 + state / MODULUS},
        images=N_DATA,
        seconds={"train": 1.0},
        snapshot=None,
        final=final,
        state=TrainState(
            epoch=epoch,
            step=STEPS * epoch,
            weights={},
            optimisers={},
            memory=torch.tensor([state]),
            best=None,
        ),
    )


def final_artifacts(config: TrialConfig, data: Any, report: Any) -> Mapping[str, bytes]:
    """Return small files in place of codes, weights and pictures."""
    del data
    text = f"{config.hash} {report.epoch} {int(report.state.memory.item())}".encode()
    return {"codes.npz": b"codes " + text, "weights.pt": b"weights " + text}
