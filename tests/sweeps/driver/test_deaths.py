"""Why a process died, from Ray's own words."""

import socket

import pytest
from ray.exceptions import RaySystemError

from sweeps.driver import deaths
from sweeps.driver.deaths import cause_of_death, node_is_gone
from sweeps.ledger.replay import last_line

# Messages of Ray 2.60, seen after SIGKILL of a process, SIGKILL of a raylet, and with the memory
# monitor at a low threshold.
KILLED = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialActor
\tpid: 26393
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit \
detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes \
include: (1) the process was killed by the OOM killer due to high memory usage, (2) ray stop \
--force was called, or (3) the worker crashed unexpectedly due to SIGSEGV or another unexpected \
error."""
NODE = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialActor
The actor died because its node has died. Node Id: 6bb74bac16b5c25710bbba2dd839631aa7cd8179965144
\tthe actor's node was terminated unexpectedly: health check failed due to missing too many \
heartbeats"""
MEMORY = """1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: \
192.0.2.2, ID: e3bfee5b) was 3.05GB used / 23.54GB limit (0.129535)
OOM kill reason: Memory usage 3173904384B exceeded threshold of 252765008B"""


def death(message, timeout=None, node="", node_is_gone=False):
    return cause_of_death(message, timeout=timeout, node=node, node_is_gone=node_is_gone)


@pytest.mark.parametrize(
    ("message", "kind", "sentence"),
    [
        (KILLED, "lost", "its process died"),
        ("", "lost", "its process died"),
        (NODE, "node", "the node on which it ran died"),
        (MEMORY, "lost", "lower resources.max_concurrent, or raise resources.cpu"),
    ],
)
def test_the_last_line_says_what_happened(message, kind, sentence):
    result = death(message)
    assert result.kind == kind
    assert sentence in last_line(result.message)
    assert result.message.startswith(message)


def test_a_node_that_ray_does_not_list_any_more_has_died():
    result = death(KILLED, node="6bb74bac16b5c2571", node_is_gone=True)
    assert result.kind == "node"
    assert last_line(result.message) == "the node on which it ran died (6bb74bac16b5…)"


def test_a_process_that_the_watchdog_ended_is_a_timeout():
    result = death(KILLED, timeout=30.0)
    assert result.kind == "timeout"
    assert "no report for 30 s (resources.trial_timeout)" in last_line(result.message)


def test_a_long_message_keeps_its_beginning_and_the_sentence():
    result = death("begin" + "x" * 1_000_000)
    assert len(result.message) < 21_000
    assert result.message.startswith("begin")
    assert "its process died" in last_line(result.message)


def test_a_node_is_gone_if_ray_says_so_or_if_it_refuses_a_connection(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        nodes = [
            {
                "NodeID": name,
                "Alive": alive,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerPort": port,
            }
            for name, alive in (("up", True), ("down", False))
        ]
        monkeypatch.setattr(deaths.ray, "nodes", lambda: nodes)
        assert not node_is_gone("up")
        assert node_is_gone("down")
        assert node_is_gone("never listed")
        assert not node_is_gone("")
    assert node_is_gone("up")  # its raylet is dead, and Ray has not noticed yet


def test_nothing_is_known_of_nodes_if_ray_does_not_answer(monkeypatch):
    def fail():
        raise RaySystemError("no connection")

    monkeypatch.setattr(deaths.ray, "nodes", fail)
    assert not node_is_gone("up")
