"""Runs the trials of a driver run on Ray: connects or starts it, watches it, and ends it."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from sweeps.driver.driver_run import DriverRun, say_note
from sweeps.driver.live_view import LiveView
from sweeps.driver.ray_watch import PERIOD, watching
from sweeps.driver.stopping import SIGNALS, Stopper, bounded
from sweeps.errors import SweepError
from sweeps.failpoints import failpoint
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.real_urls import real_url

SHUTDOWN_PATIENCE = 10.0
"""Seconds that Ray may take to end its processes; then they are killed."""

CUT_SHORT = 2.0
"""The same if the run must stop."""

GRACE = 3.0
"""Seconds that workers may live longer than their raylet."""

REMOTE_PERIOD = 2.0
"""Seconds between two looks at a cluster that this driver did not start."""


def run_trials(run: DriverRun, address: str | None, view: LiveView, stopper: Stopper) -> bool:
    """Connect to Ray and run the trials that are left; return whether the sweep stopped early."""
    # Tune's own snapshots would copy a growing state every ten seconds, and nothing reads them.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1000000000"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # the stopper takes the signals
    # An actor in the middle of an epoch does not end by itself; Tune would wait ten minutes for it.
    os.environ["TUNE_FORCE_TRIAL_CLEANUP_S"] = "2"
    try:
        with (
            contextlib.nullcontext() if stopper.ends_process else stopper.listening(),
            _connected(run, address, stopper),
        ):
            if not stopper.requested:
                _execute(run, view, stopper)
    except KeyboardInterrupt:
        run.conductor.interrupt("interrupted")
    except SweepError:
        raise
    except Exception:
        if not stopper.is_near():  # else Ray is gone, and this is what Tune says of it
            raise
    return not run.conductor.finished


@contextlib.contextmanager
def _connected(run: DriverRun, address: str | None, stopper: Stopper) -> Iterator[None]:
    """Connect to Ray while the block runs, or start it on this machine, and watch whether it lives.

    Raises:
        SweepError: no cluster can be reached or started.
    """
    import ray

    from cluster import connect
    from cluster.processes import LocalRay, groups_apart, orphans_adopted
    from cluster.reachable import RemoteRay

    local = LocalRay() if address in (None, "local") else None
    with contextlib.ExitStack() as stack:
        if local is not None:
            stack.enter_context(orphans_adopted())
            stopper.end_children = local.end
            stopper.freeze_children = local.freeze
        try:
            with _kept_signal_handlers(), groups_apart():
                note = connect.connect(address)
        except (ValueError, ConnectionError) as error:
            raise SweepError(str(error)) from error
        failpoint("driver.ray_started")
        if note is not None:
            say_note(run.console, f"note: {note}")
        try:
            if local is not None:
                local.started()
            watched, period = (local, PERIOD) if local else (RemoteRay.connected(), REMOTE_PERIOD)
            with watching(watched, stopper, period=period):
                yield
        finally:
            stopper.hold()
            # It waits for ever if Ray has died.
            bounded(ray.shutdown, CUT_SHORT if stopper.requested else SHUTDOWN_PATIENCE)
            if local is not None and not local.wait(GRACE):
                local.end()


def _execute(run: DriverRun, view: LiveView, stopper: Stopper) -> None:
    """Run the trials that are left on the connected cluster."""
    from cluster import connect
    from sweeps.driver.tune import execute

    slots, gpu = _slots(run.spec, connect.nodes(), run.console)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
    run.heartbeat.try_note(slots=slots)
    store = _start_store(run)
    with run.heartbeat.beating(run.conductor), view.showing(slots):
        execute(
            run.conductor,
            run.data,
            run.files,
            store,
            slots=slots,
            gpu=gpu,
            stopper=stopper,
            say=functools.partial(say_note, run.console),
        )


def _start_store(run: DriverRun) -> Any:
    """Start the store actor on this node, where the workspace is, and return its handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from sweeps.storage.store_actor import Store

    node = ray.get_runtime_context().get_node_id()
    options = {
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": -1,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }
    actor = ray.remote(Store).options(**options)
    # The values of variables are known here only: the actor may have another environment.
    return actor.remote(run.workspace.resolve(), real_url(run.spec.store.files, "files"))


def _slots(spec: SweepSpec, nodes: Sequence[Any], console: Console) -> tuple[int, float]:
    """Return the number of slots, and the share of a GPU per trial.

    Raises:
        SweepError: no node can ever run a trial.
    """
    from cluster.connect import slots

    resources = spec.resources
    gpu = resources.gpu
    if gpu > 0 and not any(node.gpus for node in nodes):
        if resources.require_gpu:
            raise SweepError(
                f"resources.require_gpu is true, but no node has a GPU (gpu: {gpu} asked per trial)"
            )
        say_note(console, f"warning: no GPU here: trials that ask for gpu: {gpu:g} run on CPU")
        gpu = 0.0
    available = slots(nodes, cpu=resources.cpu, gpu=gpu)
    if available == 0:
        cpus, gpus = max((node.cpus, node.gpus) for node in nodes)
        raise SweepError(
            f"no node can ever run a trial with cpu: {resources.cpu:g}, gpu: {gpu:g}; the largest "
            f"of {len(nodes)} has {cpus:g} CPUs and {gpus:g} GPUs: lower resources.cpu or "
            "resources.gpu"
        )
    if gpu:
        console.print(
            f"each trial's process may take {100 * gpu:.0f} % of its GPU's memory, and fails "
            "beyond that"
        )
    if resources.max_concurrent == "auto":
        return available, gpu
    return min(available, resources.max_concurrent), gpu


@contextlib.contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Give back the signal handlers that `ray.init` replaces in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # None: it was not installed by Python
                signal.signal(number, handler)
