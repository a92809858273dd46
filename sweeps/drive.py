"""Runs a sweep, or goes on with it: the same call, whatever happened in between."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from sweeps import dashboard
from sweeps import ledger as tables
from sweeps.conductor import Conductor
from sweeps.fold import retry_failed
from sweeps.ledger import Ledger
from sweeps.live import Live
from sweeps.spec import SweepSpec
from sweeps.store import AbstractFiles, Checkpoints, open_files
from vae_core.types import Data

EXPORT_PATIENCE = 120.0
"""Seconds that a finished sweep waits for MLflow to take the rest."""

# Sections that decide no number and no choice of cells: a sweep may go on with others.
FREE = ("resources", "budget", "store", "checkpoint", "published")


class SweepError(Exception):
    """A mistake of the user's that shows only when the sweep starts: exit code 2."""


class SweepResult(NamedTuple):
    """How a driver's life ended."""

    name: str
    states: dict[str, int]  # trials by end; OPEN: asked and not ended
    finished: bool  # every trial of the sweep has ended
    why: str  # why the sweep stopped early, "" if it did not
    exported: bool  # MLflow has everything

    @property
    def exit_code(self) -> int:
        """0: every trial COMPLETE or PRUNED; 1: any FAILED, or interrupted."""
        return 0 if self.finished and not self.states.get("FAILED") else 1


def run(
    spec: SweepSpec,
    *,
    workspace: Path,
    address: str | None = None,
    console: Console | None = None,
    retry: bool = False,
) -> SweepResult:
    """Run a sweep to its end, or from where it stands; `retry` gives failed trials another try.

    Raises:
        SweepError: the sweep cannot run as asked (another driver has it, another spec has its name, resources that the
            cluster cannot give, a GPU required and none there).
    """
    console = console or Console(stderr=True)
    ledger = Ledger.of_workspace(workspace, spec.store.ledger)
    try:
        with one_driver(spec.name, workspace):
            _register(spec, ledger)
            if retry:
                retry_failed(ledger, spec.name)
            return _live(spec, ledger, workspace, address, console)
    finally:
        ledger.close()


class _Life(NamedTuple):
    """One driver process on one sweep."""

    id: int  # row of the ledger's `life`
    spec: SweepSpec
    ledger: Ledger
    conductor: Conductor
    data: Data
    files: AbstractFiles
    workspace: Path
    console: Console

    def seen(self, **values: Any) -> None:
        """Write that the driver is alive: the budget counts the seconds until the last of these, also after a kill."""
        with self.ledger.transaction() as tx:
            tx.update(tables.LIFE, tables.LIFE.c.id == self.id, seen=time.time(), **values)


def _begin(spec: SweepSpec, ledger: Ledger, workspace: Path, console: Console) -> _Life:
    try:
        data = spec.data.load()
    except (OSError, ValueError) as error:
        raise SweepError(f"data: {error}") from error
    now = time.time()
    row = {"sweep": spec.name, "host": platform.node(), "pid": os.getpid(), "slots": 0, "started": now, "seen": now}
    with ledger.transaction() as tx:
        life = tx.insert(tables.LIFE, **row)
    conductor = Conductor(spec, ledger, fingerprint=data.fingerprint, n_data=len(data), life=life)
    files = open_files(workspace, spec.store.files)
    return _Life(life, spec, ledger, conductor, data, files, workspace, console)


def _live(spec: SweepSpec, ledger: Ledger, workspace: Path, address: str | None, console: Console) -> SweepResult:
    # Imported here: validation and listings must not wait for them.
    from sweeps.track import Tracker

    spent = sum(row["seen"] - row["started"] for row in ledger.of(tables.LIFE, spec.name))
    life = _begin(spec, ledger, workspace, console)
    conductor = life.conductor
    tracker = Tracker(spec.name, ledger, life.files, workspace, spec.store.mlflow, software())
    tracker.start()
    live = Live(conductor, tracker, console, spent=spent, beat=life.seen)
    why = ""
    try:
        if not conductor.finished and _execute(life, address, live):
            why = conductor.stopping or "interrupted"
    finally:
        _clear_checkpoints(conductor, life.files)
        _export_study(life)
        exported = tracker.finish(EXPORT_PATIENCE)
        life.seen(outcome=why or "ended")
    states = dict(Counter(trial.state if trial.ended else "OPEN" for trial in conductor.trials))
    result = SweepResult(spec.name, states, conductor.finished, why, exported)
    live.farewell(result, workspace, tracker.error)
    return result


def _export_study(life: _Life) -> None:
    """Bring Optuna's dashboard up to date; its trouble is not the sweep's, and the next life tries again."""
    try:
        dashboard.export(life.conductor, life.ledger, life.workspace)
    except Exception as error:
        life.console.print(f"warning: optuna.db was not brought up to date: {error}", style="yellow")


def _execute(life: _Life, address: str | None, live: Live) -> bool:
    """Connect to Ray and run what is left; returns whether the sweep was stopped before its end."""
    # Tune's own snapshots would copy a growing state every ten seconds, and nothing reads them.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1000000000"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from cluster import connect
    from sweeps.executor import execute
    from sweeps.store import Store

    try:
        connect.connect(address)
    except (ValueError, ConnectionError) as error:
        raise SweepError(str(error)) from error
    try:
        slots, gpu = _slots(life.spec, connect.nodes(), life.console)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
        life.seen(slots=slots)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        store = (
            ray.remote(Store)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
            .remote(life.workspace.resolve(), life.spec.store.files)
        )
        with live.showing(slots), _sigterm_as_sigint():
            execute(life.conductor, life.data, life.files, store, slots=slots, gpu=gpu)
        return not life.conductor.finished
    except KeyboardInterrupt:
        return True
    finally:
        ray.shutdown()


def _slots(spec: SweepSpec, offered: list[Any], console: Console) -> tuple[int, float]:
    """Return how many trials run at once, and the share of a GPU that each gets; refuses what can never be given."""
    from cluster.connect import slots

    want = spec.resources
    gpu = want.gpu
    if gpu > 0 and not any(node.gpus for node in offered):
        if want.require_gpu:
            raise SweepError(f"resources.require_gpu is true, but no node has a GPU (gpu: {gpu} asked per trial)")
        console.print(f"warning: no GPU here: trials that ask for gpu: {gpu:g} run on CPU", style="yellow")
        gpu = 0.0
    found = slots(offered, cpu=want.cpu, gpu=gpu)
    if found == 0:
        best = max((node.cpus, node.gpus) for node in offered)
        raise SweepError(
            f"no node can ever run a trial with cpu: {want.cpu:g}, gpu: {gpu:g}; the largest of {len(offered)} has "
            f"{best[0]:g} CPUs and {best[1]:g} GPUs: lower resources.cpu or resources.gpu"
        )
    if gpu:
        console.print(f"each trial's process may take {100 * gpu:.0f} % of its GPU's memory, and fails beyond that")
    return found if want.max_concurrent == "auto" else min(found, want.max_concurrent), gpu


def _register(spec: SweepSpec, ledger: Ledger) -> None:
    """Write the sweep's row, or check that the spec is the one that the sweep began with."""
    row = ledger.sweep(spec.name)
    new = spec.to_dict()
    if row is None:
        with ledger.transaction() as tx:
            tx.insert(
                tables.SWEEP,
                name=spec.name,
                spec=json.dumps(new),
                created=time.time(),
                software=json.dumps(software()),
            )
        return
    changed = [line for line in differences(row["spec"], new) if not _free(line)]
    if changed:
        raise SweepError(
            f"sweep {spec.name!r} was begun with another spec:\n  "
            + "\n  ".join(f"{path}: was {json.dumps(old)}, is {json.dumps(value)}" for path, old, value in changed)
            + "\nuse another name, or the old values; trials that both have in common are not trained twice"
        )
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == spec.name, spec=json.dumps(new))


def _free(change: tuple[str, Any, Any]) -> bool:
    path, old, new = change
    if path == "search.trials":
        return old is not None and new is not None and new >= old  # more cells of the same sequence
    return path.split(".")[0] in FREE


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (path, old, new) of every leaf in which two nested mappings differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if old == new else [(path, old, new)]


def _clear_checkpoints(conductor: Conductor, files: AbstractFiles) -> None:
    """Drop the checkpoints of complete trials: their weights stay as an artifact."""
    checkpoints = Checkpoints(files)
    for trial in conductor.trials:
        if trial.state == "COMPLETE" and not trial.reused_from:
            checkpoints.clear(trial.hash)


def software() -> dict[str, str]:
    """Return the versions and the commit that a number's reader wants to know."""
    import torch

    here = Path(__file__).resolve().parent
    git = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10
    )
    commit = git.stdout.strip() if git.returncode == 0 else f"release {metadata.version('vae-sweeps')}"
    return {"git_commit": commit, "torch": torch.__version__, "python": platform.python_version()}


@contextlib.contextmanager
def one_driver(name: str, workspace: Path) -> Iterator[None]:
    """Hold the sweep's lock: one driver at a time; the kernel frees it however this process ends."""
    workspace.mkdir(parents=True, exist_ok=True)
    path = workspace / f".{name}.lock"
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise SweepError(f"sweep {name!r} is being driven by {owner}; end that one first") from None
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


@contextlib.contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Let a scheduler's SIGTERM (Slurm's notice) end the sweep as Ctrl-C does: cleanly, to be gone on with."""

    def forward(_signal: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    old = signal.signal(signal.SIGTERM, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
