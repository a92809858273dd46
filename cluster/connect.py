"""Reaches a Ray cluster, or starts one on this machine, and says what fits on it."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Sequence
from typing import NamedTuple

import ray


class Node(NamedTuple):
    """What one live node offers."""

    cpus: float
    gpus: float


def connect(address: str | None = None) -> None:
    """Connect to the cluster at `address` ("auto", "host:port"), or start a local one for None or "local".

    Raises:
        ValueError: a `ray://` address.
        ConnectionError: no cluster answers at the address.
    """
    if address is not None and address.startswith("ray://"):
        raise ValueError(
            f"a ray:// address runs the driver on a cluster node, away from this workspace, got {address!r}; "
            "run the driver on the cluster itself: `sweeps submit SPEC --address http://HEAD:8265`, or log in to the "
            "head node and use `--address auto`"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray 2.60 warns that zero-GPU workers will see all GPUs one day; trials without a GPU set the device themselves.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local = address in (None, "local")
    if local:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return
    _knock(str(address))
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster lets this driver in at {address!r}; start one with `ray start --head`, or leave --address "
            "out; if it asks for a token, set RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN, or ~/.ray/auth_token)"
        ) from error


def _knock(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ConnectionError(
            f"nobody listens at {address!r} ({error}); start a cluster with `ray start --head`, or leave --address out"
        ) from error


def nodes() -> list[Node]:
    """Return the live nodes of the connected cluster."""
    return [
        Node(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]


def slots(offered: Sequence[Node], *, cpu: float, gpu: float) -> int:
    """Return how many workers of this size run at once; one never spans nodes.

    A fraction of a GPU is packed on single GPUs: 0.3 fits three times on each, however many there are.
    """
    total = 0
    for node in offered:
        by_cpu = math.floor(node.cpus / cpu + 1e-9)
        by_gpu = math.floor(1 / gpu + 1e-9) * math.floor(node.gpus) if 0 < gpu <= 1 else by_cpu
        total += min(by_cpu, by_gpu)
    return total
