"""Drivers that no test leaves behind, and a sweep without a fault to compare with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes_of_a_driver import TWO_SLOTS, Driver
from test_kills import run


@pytest.fixture
def drivers() -> Iterator[list[Driver]]:
    """Return a list; what is left of the drivers in it is killed after the test."""
    started: list[Driver] = []
    yield started
    for driver in started:
        driver.end()


@pytest.fixture(scope="session")
def faultless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of the sweep TWO_SLOTS, which met no fault."""
    workspace = tmp_path_factory.mktemp("clean")
    code, output = run(workspace, TWO_SLOTS)
    assert code == 0, output
    return workspace
