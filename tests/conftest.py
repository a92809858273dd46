"""Runs tests in several processes: threads per process, and which tests start first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # There are as many test processes as cores: further threads would only wait for each other.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

TESTS = Path(__file__).parent
LONGEST = ("faults", "e2e")
"""Folders of tests that start Ray or whole sweeps."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in LONGEST)
