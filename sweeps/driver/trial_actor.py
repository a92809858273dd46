"""The Tune trainable: one `step()` is one epoch of one trial, on a fraction of a device.

An actor outlives its trials (`reuse_actors`). It imports neither Optuna nor MLflow nor the ledger, never touches the
workspace, and answers every failure of a trial with a report, so that Tune hears only of processes that died.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import ray
import torch
from ray import tune

from sweeps.driver.artifacts import final_artifacts, snapshot_artifacts
from sweeps.failpoints import failpoint
from vae_core import checkpoint
from vae_core.config import TrialConfig
from vae_core.errors import Diverged
from vae_core.training_loop import train
from vae_core.types import Data, EpochReport

LOG_TAIL = 8_000
"""Bytes of a failed trial's output that are kept."""

CHEAP = 0.02
"""A checkpoint that took less than this share of the time since the one before it is taken every epoch."""


class TrialActor(tune.Trainable):
    """Trains the trial that its config assigns: {"number", "attempt", "config", "device", "threads", …}."""

    # `tune.with_parameters` adds data and store to Tune's own setup(config).
    def setup(self, config: dict[str, Any], data: Data, store: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take the data (shared memory, one copy per node) and the store, then the first trial."""
        self._data = data
        self._store = store
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process; Tune does not call `cleanup` in between, so it frees here."""
        self._free()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Let go of the trial."""
        self._free()

    def step(self) -> dict[str, Any]:
        """Train one epoch, or report the failure that stopped it, as {"report": JSON}."""
        started = time.monotonic()
        try:
            if self._setup_failure is not None:
                raise self._setup_failure
            body = self._next()
        except Diverged as error:
            body = self._failure("diverged", str(error))
        except Exception:
            body = self._failure("error", traceback.format_exc())
        body |= {
            "number": self._assigned["number"],
            "attempt": self._assigned["attempt"],
            "step_seconds": time.monotonic() - started,
            "host": platform.node(),
            "pid": os.getpid(),
            "device": self._device_name,
        }
        return {"report": json.dumps(body)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Unused: Tune's checkpoints are off (see `vae_core.checkpoint` and the store)."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Unused: see `save_checkpoint`."""

    def _begin(self, assigned: dict[str, Any]) -> None:
        self._assigned = assigned
        self._log_start = _log_sizes()
        self._setup_failure: Exception | None = None
        self._device_name = "cpu"
        self._epochs: Iterator[EpochReport] | None = None
        self._emit_first: dict[str, Any] | None = None
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0
        try:
            self._prepare()
        except Exception as error:  # reported by the first step(), with its traceback
            self._setup_failure = error

    def _prepare(self) -> None:
        # A handle inside a reference inside a list: the store keeps it without unpacking it (and importing torch).
        self._store.enlist.remote(
            self._assigned["number"], [ray.put(ray.get_runtime_context().current_actor)]
        )
        torch.set_num_threads(self._assigned["threads"])
        device = torch.device(
            "cuda" if self._assigned["gpu"] > 0 and torch.cuda.is_available() else "cpu"
        )
        if device.type == "cuda":
            # Ray's fractions are bookkeeping only: without this cap one trial's batch starves its neighbours.
            torch.cuda.set_per_process_memory_fraction(self._assigned["gpu"])
            self._device_name = torch.cuda.get_device_name()
        self._config = TrialConfig.from_dict(self._assigned["config"])
        resume = None
        blob: Any = ray.get(self._store.newest_checkpoint.remote(self._config.hash))
        if blob is not None:
            found = checkpoint.loads(blob)
            resume = found.state
            # The process may have died between this checkpoint and its report: say it again, a repeat is a no-op.
            self._emit_first = dict(found.report)
        self._epochs = train(self._config, self._data, resume=resume, device=device)

    def _next(self) -> dict[str, Any]:
        if self._emit_first is not None:
            body, self._emit_first = self._emit_first, None
            return body
        assert self._epochs is not None
        report = next(self._epochs)
        trial_hash = self._config.hash
        files = snapshot_artifacts(report)
        if report.final is not None:
            files |= final_artifacts(self._config, self._data, report)
        if files:  # before the checkpoint: who goes on from it does not come by this epoch again
            ray.get(self._store.save_artifacts.remote(trial_hash, files))
        if self._checkpoint_due(report):
            started = time.monotonic()
            blob = checkpoint.dumps(self._config, report, report.state)
            failpoint("trial.before_checkpoint")
            ray.get(self._store.save_checkpoint.remote(trial_hash, report.epoch, blob))
            self._saved_at = time.monotonic()
            self._save_seconds = self._saved_at - started
        failpoint("trial.checkpointed")
        return checkpoint.report_dict(report)

    def _checkpoint_due(self, report: EpochReport) -> bool:
        # A judged epoch must be there for a trial to go on from its rung, the last one for its report to be repeated.
        if report.final is not None or report.epoch in self._assigned["judged"]:
            return True
        if report.epoch % self._assigned["checkpoint_every"]:
            return False
        since = time.monotonic() - self._saved_at
        return since >= self._assigned["checkpoint_seconds"] or self._save_seconds < CHEAP * since

    def _failure(self, kind: str, message: str) -> dict[str, Any]:
        return {"failure": kind, "message": message, "log": _log_tail(self._log_start)}

    def _free(self) -> None:
        self._epochs = None
        self._emit_first = None
        self._setup_failure = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _log_files() -> list[str]:
    """Return the files that this process's stdout and stderr go to (Ray's worker logs), where the system can tell."""
    found: list[str] = []
    for descriptor in (1, 2):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if os.path.isfile(path) and path not in found:
            found.append(path)
    return found


def _log_sizes() -> dict[str, int]:
    return {path: os.path.getsize(path) for path in _log_files()}


def _log_tail(start: dict[str, int]) -> str:
    """Return the end of what was written to the worker's logs since a trial began."""
    sys.stdout.flush()
    sys.stderr.flush()
    text = b""
    for path in _log_files():
        with open(path, "rb") as file:
            size = os.path.getsize(path)
            file.seek(max(start.get(path, 0), size - LOG_TAIL))
            text += file.read()
    return text[-LOG_TAIL:].decode(errors="replace")
