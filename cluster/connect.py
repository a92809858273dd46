"""Connects to a Ray cluster, or starts one on this machine, and counts what fits on it."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple

import ray

from cluster.temporary_folder import ray_folder

LOG_BYTES = 2**25
"""Bytes of a log file of Ray at which it begins a new one; it keeps the one before, too."""


class Node(NamedTuple):
    """The resources of one live node."""

    cpus: float
    gpus: float


def connect(address: str | None = None) -> str | None:
    """Connect to a Ray cluster, or start a local one, and return a note for the user or None.

    The note says that the folder of temporary files is not that of the environment.

    Args:
        address: of the cluster, "auto" or "host:port"; None or "local" starts one on this machine.

    Raises:
        ValueError: a `ray://` address.
        ConnectionError: no cluster answers at the address.
    """
    if address is not None and address.startswith("ray://"):
        raise ValueError(
            "a ray:// address runs the driver on a cluster node, away from this workspace, "
            f"got {address!r}; run the driver on the cluster itself: "
            "`sweeps submit SPEC --address http://HEAD:8265`, "
            "or log in to the head node and use `--address auto`"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray 2.60 warns that workers without a GPU will see all GPUs in a later version. This setting
    # chooses that now: a trial without a GPU sets its device itself.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None or address == "local":
        # Without it Ray keeps all that a trial prints: a gigabyte if it prints a gigabyte.
        os.environ.setdefault("RAY_ROTATION_MAX_BYTES", str(LOG_BYTES))
        os.environ.setdefault("RAY_ROTATION_BACKUP_COUNT", "1")
        folder, note = ray_folder()
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=folder,
        )
        return note
    _check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster accepts this driver at {address!r}; "
            "start one with `ray start --head`, or leave --address out; "
            "if it asks for a token, set RAY_AUTH_MODE=token "
            "(and RAY_AUTH_TOKEN, or ~/.ray/auth_token)"
        ) from error
    return None


def _check_reachable(address: str) -> None:
    """Raise ConnectionError if no program listens at the address; Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ConnectionError(
            f"nobody listens at {address!r} ({error}); "
            "start a cluster with `ray start --head`, or leave --address out"
        ) from error


def nodes() -> list[Node]:
    """Return the live nodes of the connected cluster."""
    return [
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]


def slots(offered: Sequence[Node], *, cpu: float, gpu: float) -> int:
    """Return how many workers run at once.

    A worker never spans nodes. A fraction of a GPU is taken from a single GPU: 0.3 fits three times
    on each GPU, however many there are.

    Args:
        offered: the nodes.
        cpu: processors of one worker.
        gpu: GPUs of one worker, 0 to 1.
    """
    total = 0
    for node in offered:
        # 1e-9: the quotient of two decimals may be a little below the whole number that it means.
        fitting = math.floor(node.cpus / cpu + 1e-9)
        if 0 < gpu <= 1:
            per_gpu = math.floor(1 / gpu + 1e-9)
            fitting = min(fitting, per_gpu * math.floor(node.gpus))
        total += fitting
    return total
