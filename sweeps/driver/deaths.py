"""Says why the process of a trial died, from what Ray and the watchdog know."""

from __future__ import annotations

import socket
from typing import Literal, NamedTuple

import ray
from ray.exceptions import RayError

from sweeps.driver.worker_log import shortened

NODE_DIED = "its node has died"
OUT_OF_MEMORY = "running low on memory"
"""What Ray 2.60 writes into its errors; there is no field that says it."""

MESSAGE = 20_000
"""Characters of Ray's message that are kept."""


PROBE = 2.0
"""Seconds that a node gets to accept a connection."""


class Death(NamedTuple):
    """Why an attempt ended without a report. The last line of the message says it in a sentence."""

    kind: Literal["lost", "timeout", "node"]
    message: str


def cause_of_death(message: str, *, timeout: float | None, node: str, node_is_gone: bool) -> Death:
    """Return the kind of a death, and Ray's message with a plain sentence as its last line.

    Args:
        message: of Ray, "" if there is none.
        timeout: `resources.trial_timeout` if the watchdog ended the process, else None.
        node: Ray's id of the node on which the process ran, "" if the driver never knew it.
        node_is_gone: whether that node is not part of the cluster any more.
    """
    kind: Literal["lost", "timeout", "node"] = "lost"
    if node_is_gone or NODE_DIED in message:  # also if the watchdog saw the silence of it first
        kind = "node"
        sentence = f"the node on which it ran died{f' ({node[:12]}…)' if node else ''}"
    elif timeout is not None:
        kind = "timeout"
        sentence = (
            f"no report for {timeout:g} s (resources.trial_timeout), so its process was ended; "
            "raise resources.trial_timeout if an epoch can take longer"
        )
    elif OUT_OF_MEMORY in message:
        sentence = (
            "Ray ended its process because the node had hardly any memory left; let fewer trials "
            "share a node: lower resources.max_concurrent, or raise resources.cpu"
        )
    else:
        sentence = (
            "its process died or lost Ray: it crashed, or it was killed, for instance by the "
            "kernel because the node had no memory left"
        )
    text = shortened(message.strip(), MESSAGE)
    return Death(kind, f"{text}\n{sentence}" if text else sentence)


def node_is_gone(node: str) -> bool:
    """Return whether a node that has been part of the cluster is dead.

    Ray takes about fifteen seconds to notice that a node does not answer, and the processes there
    die at once. So the node is asked for a connection, too.

    Args:
        node: Ray's id of the node, "" if it is not known.
    """
    if not node:
        return False
    try:
        listed = [each for each in ray.nodes() if each["NodeID"] == node and each["Alive"]]
    except RayError:
        return False  # the head of the cluster does not answer: nothing is known
    if not listed:
        return True
    address = (listed[0]["NodeManagerAddress"], listed[0]["NodeManagerPort"])
    try:
        socket.create_connection(address, timeout=PROBE).close()
    except OSError:
        return True
    return False
