"""The Tune trainable: one `step()` is one epoch of one trial, on a fraction of a device.

An actor outlives its trials (`reuse_actors`). It imports neither Optuna nor MLflow nor the ledger,
and never touches the workspace. It reports every failure of a trial, so that for Tune only the
death of a process and a failure of Ray are errors.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import time
import traceback
from collections.abc import Iterator
from typing import Any

import ray
import torch
from ray import cloudpickle, tune
from ray.exceptions import RayError, RayTaskError

from sweeps.driver.artifacts import final_artifacts, snapshot_artifacts
from sweeps.driver.data_guard import DataChangedError, DataGuard, FileStamp
from sweeps.driver.stored import StorageError, when_it_can
from sweeps.driver.worker_log import log_starts, log_tail, shortened
from sweeps.failpoints import failpoint
from sweeps.urls import redacted
from vae_core import checkpoint
from vae_core.config import TrialConfig
from vae_core.errors import Diverged
from vae_core.training_loop import train
from vae_core.types import Data, EpochReport

CHEAP = 0.02
"""A checkpoint is saved every epoch if saving takes less than this share of the time between two of
them.
"""


MESSAGE = 20_000
"""Characters of the message of a failure that are kept: its beginning and its end."""


class TrialActor(tune.Trainable):
    """Trains the trials that Tune assigns to it, one after the other."""

    # `tune.with_parameters` adds data, stamp and store to Tune's own setup(config).
    def setup(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, config: dict[str, Any], data: Data, stamp: FileStamp | None, store: Any
    ) -> None:
        """Take the data (shared memory, one copy per node) and the store, then the first trial."""
        self._data = data
        self._guard = DataGuard(data, stamp)
        self._store = store
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        # Pickled: the store keeps the handle without unpickling it, which would import torch there,
        # and the driver can unpickle it even if this process does not answer any more.
        self._handle = cloudpickle.dumps(context.current_actor)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial in the same process. Tune does not call `cleanup` in between."""
        self._free()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Free the memory of the trial."""
        self._free()

    def step(self) -> dict[str, Any]:
        """Train one epoch, or report the failure that stopped it, as {"report": JSON}.

        Raises:
            RayError: Ray itself fails under this process, mostly because the node dies.
        """
        started = time.monotonic()
        self._enlist()  # again in each epoch: the store may have been started anew
        try:
            if self._setup_failure is not None:
                raise self._setup_failure
            body = self._next_report()
        except Diverged as error:
            body = self._failure("diverged", str(error))
        except DataChangedError as error:
            body = self._failure("data", str(error))
        except StorageError as error:
            body = self._failure("storage", str(error))
        except Exception as error:
            if isinstance(error, RayError) and not isinstance(error, RayTaskError):
                raise  # not the fault of the trial: the driver finds out why this process is lost
            body = self._failure("error", traceback.format_exc())
        body |= {
            "number": self._assigned["number"],
            "attempt": self._assigned["attempt"],
            "step_seconds": time.monotonic() - started,
            "host": platform.node(),
            "pid": os.getpid(),
            "device": self._device_name,
        }
        if self._resumed is not None:
            body["resumed"], self._resumed = self._resumed, None
        return {"report": json.dumps(body)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: Tune's checkpoints are off; the store has those of `vae_core.checkpoint`."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see `save_checkpoint`."""

    def _begin(self, assigned: dict[str, Any]) -> None:
        self._assigned = assigned
        self._log_start = log_starts()
        self._setup_failure: Exception | None = None
        self._device_name = "cpu"
        self._epochs: Iterator[EpochReport] | None = None
        self._repeated_report: dict[str, Any] | None = None
        self._resumed: dict[str, Any] | None = None
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0
        try:
            self._prepare()
        except Exception as error:  # reported by the first step(), with its traceback
            self._setup_failure = error

    def _enlist(self) -> None:
        """Tell the store which attempt this actor runs, without waiting for it."""
        self._store.enlist.remote(self._assigned["attempt"], self._node, self._handle)

    def _prepare(self) -> None:
        """Enlist, choose the device, and begin or resume training."""
        self._enlist()
        torch.set_num_threads(self._assigned["threads"])
        use_gpu = self._assigned["gpu"] > 0 and torch.cuda.is_available()
        device = torch.device("cuda" if use_gpu else "cpu")
        if device.type == "cuda":
            # Ray's fractions are bookkeeping only: without this cap one trial can take the memory
            # of its neighbours.
            torch.cuda.set_per_process_memory_fraction(self._assigned["gpu"])
            self._device_name = torch.cuda.get_device_name()
        self._config = TrialConfig.from_dict(self._assigned["config"])
        self._guard.check()
        self._epochs = self._resume(device)

    def _resume(self, device: torch.device) -> Iterator[EpochReport]:
        """Return the epochs after the newest checkpoint that can be read, or all epochs.

        The sweep has the reports until `last_epoch`. A checkpoint of a later epoch than the next
        one belongs to another sweep: to resume there would leave a gap in this sweep's reports.
        """
        trial_hash = self._config.hash
        until = self._assigned["last_epoch"] + 1
        skipped: list[str] = []
        for epoch in ray.get(self._store.checkpoint_epochs.remote(trial_hash, until)):
            try:
                saved = self._read_checkpoint(epoch)
                epochs = train(self._config, self._data, resume=saved.state, device=device)
            except ValueError as error:
                skipped.append(f"{epoch:06d}.pt: {error}")
                continue
            # The process may have died between this checkpoint and its report, so the report is
            # sent again; the conductor ignores a repeated one.
            self._repeated_report = dict(saved.report)
            self._resumed = {"epoch": epoch, "skipped": skipped}
            return epochs
        if skipped:
            self._resumed = {"epoch": 0, "skipped": skipped}
        return train(self._config, self._data, device=device)

    def _read_checkpoint(self, epoch: int) -> checkpoint.Checkpoint:
        """Return the checkpoint of an epoch of this trial; raise ValueError if it is none."""
        trial_hash = self._config.hash
        blob, problem = ray.get(self._store.read_checkpoint.remote(trial_hash, epoch))
        if blob is None:
            raise ValueError(f"cannot be read: {problem}")
        saved = checkpoint.loads(blob)
        if saved.config_hash != trial_hash:
            raise ValueError(f"is of another trial ({saved.config_hash or 'without a hash'})")
        if saved.state.epoch != epoch:
            raise ValueError(f"is of epoch {saved.state.epoch}")
        return saved

    def _next_report(self) -> dict[str, Any]:
        """Train one epoch, store its files, and return its report."""
        if self._repeated_report is not None:
            body, self._repeated_report = self._repeated_report, None
            return body
        assert self._epochs is not None
        report = next(self._epochs)
        self._guard.check()  # before anything of this epoch is stored or reported
        trial_hash = self._config.hash
        files = snapshot_artifacts(report)
        if report.final is not None:
            files |= final_artifacts(self._config, self._data, report)
        if files:  # save before the checkpoint: a resumed trial skips this epoch
            self._write(self._store.save_artifacts, trial_hash, files)
        if self._checkpoint_due(report):
            started = time.monotonic()
            blob = checkpoint.dumps(self._config, report, report.state)
            failpoint("trial.before_checkpoint")
            self._write(self._store.save_checkpoint, trial_hash, report.epoch, blob)
            self._saved_at = time.monotonic()
            self._save_seconds = self._saved_at - started
        failpoint("trial.checkpointed")
        return checkpoint.report_dict(report)

    def _write(self, method: Any, *arguments: Any) -> None:
        """Let the store write, and wait for it; raise StorageError if it cannot."""
        when_it_can(lambda: ray.get(method.remote(*arguments)), self._assigned["patience"])

    def _checkpoint_due(self, report: EpochReport) -> bool:
        # A promoted trial resumes from the epoch of its rung; a report of the last epoch is
        # repeated from its checkpoint.
        if report.final is not None or report.epoch in self._assigned["judged"]:
            return True
        if report.epoch % self._assigned["checkpoint_every"]:
            return False
        since = time.monotonic() - self._saved_at
        return since >= self._assigned["checkpoint_seconds"] or self._save_seconds < CHEAP * since

    def _failure(self, kind: str, message: str) -> dict[str, Any]:
        message = redacted(shortened(message, MESSAGE))
        return {"failure": kind, "message": message, "log": redacted(log_tail(self._log_start))}

    def _free(self) -> None:
        self._epochs = None
        self._repeated_report = None
        self._setup_failure = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
