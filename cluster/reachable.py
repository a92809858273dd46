"""Whether a cluster that somebody else started still answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

import ray

REFUSED = 8.0
"""Seconds for which connections must be refused: then the process is gone."""

SILENT = 45.0
"""Seconds without an answer from the network. Ray itself ends the driver after 60."""

TIMEOUT = 2.0
"""Longest wait in seconds for one connection."""


class RemoteRay:
    """The two processes of a cluster on which its driver depends."""

    def __init__(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """Take name -> host and port of each process."""
        self._addresses = dict(addresses)
        self._away_since: dict[str, float] = {}

    @classmethod
    def connected(cls) -> RemoteRay:
        """Return the processes of the cluster to which this process is connected."""
        context = ray.get_runtime_context()
        node_id = context.get_node_id()
        node = next(node for node in ray.nodes() if node["NodeID"] == node_id)
        return cls(
            {
                "Ray's head process (GCS)": _parts(context.gcs_address),
                "the driver's node (raylet)": (node["NodeManagerAddress"], node["NodeManagerPort"]),
            }
        )

    def failure(self) -> str:
        """Return which process is away, in words; "" if all answer or may answer again."""
        for name, address in self._addresses.items():
            refused = self._is_refused(address)
            now = time.monotonic()
            if refused is None:
                self._away_since.pop(name, None)
                continue
            since = self._away_since.setdefault(name, now)
            if now - since >= (REFUSED if refused else SILENT):
                host, port = address
                return f"{name} at {host}:{port} does not answer for {now - since:.0f} s"
        return ""

    def _is_refused(self, address: tuple[str, int]) -> bool | None:
        """Return None if somebody listens, True if nobody does, False if there is no answer."""
        try:
            socket.create_connection(address, timeout=TIMEOUT).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return None


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
