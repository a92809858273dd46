"""The command `python -m tests.mutation`: runs the mutants of some modules, and lists survivors."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from .running import KILLED, MutationRun

DRIVER = (
    "tests/sweeps/driver/test_event_rows.py",
    "tests/sweeps/driver/test_conductor.py",
    "tests/sweeps/driver/test_ledger_away.py",
    "tests/sweeps/driver/test_shared_trials.py",
)
AWAY = ("tests/sweeps/driver/test_ledger_away.py",)
LEDGER = (
    "tests/sweeps/ledger/test_lease.py",
    "tests/sweeps/ledger/test_outage.py",
    "tests/sweeps/ledger/test_progress.py",
)
TESTS = {
    "sweeps/search/halving.py": ("tests/sweeps/search/test_halving.py",),
    "sweeps/driver/cell_rules.py": DRIVER,
    "sweeps/ledger/lease.py": (*LEDGER, "tests/sweeps/ledger/test_lease_interleavings.py"),
    "sweeps/driver/conductor.py": DRIVER,
    "sweeps/driver/patience.py": AWAY,
    "sweeps/ledger/outage.py": (*LEDGER, *AWAY),
    "sweeps/ledger/roster.py": (*LEDGER, *DRIVER),
    "sweeps/ledger/reuse.py": ("tests/sweeps/ledger/test_reuse.py", *DRIVER),
    "sweeps/ledger/progress.py": ("tests/sweeps/ledger/test_progress.py",),
    "sweeps/ledger/ledger.py": ("tests/sweeps/ledger/test_ledger.py", *LEDGER),
}
"""Module -> the fast tests that are to find its mutants."""

GOAL = 0.95
"""The least share of killed mutants."""

SLOW = "tests/sweeps/ledger/test_ledger.py::test_a_reader_may_come_while_the_ledger_is_being_made"
"""A test that takes ten seconds and finds no mutant of its module alone."""


def main() -> int:
    """Run the mutants and print a table; return 1 if the score of a module is below 95 %."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help="paths of modules")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("mutation-results.jsonl"),
        help="what is killed there is not run again; delete it to run all",
    )
    parser.add_argument(
        "--most-tests", type=int, default=1000, help="tests of a mutant, the fastest first"
    )
    parser.add_argument("--temp", default="/tmp/mutation-tests", help="folder of the tests")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for module in options.modules:
        arguments = ["-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts="]
        arguments += ["-m", "not slow and not gpu", f"--basetemp={options.temp}"]
        plugin = MutationRun(module, options.results, options.most_tests)
        status = pytest.main(
            [*arguments, "--deselect", SLOW, *dict.fromkeys(TESTS[module])], plugins=[plugin]
        )
        if status != pytest.ExitCode.OK:
            return int(status)
        print(f"{module}: {len(plugin.rows)} mutants", flush=True)
        rows += plugin.rows
    return report(rows)


def report(rows: list[dict[str, Any]]) -> int:
    """Print the survivors and the table; return 1 if the score of a module is below `GOAL`."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["module"]][row["status"]] += 1
        if row["status"] not in KILLED:
            print(f"{row['module']}:{row['line']} {row['function']}: {row['status']}")
            print(row["diff"])
    print("| module | mutants | killed | survivors | score |")
    print("|---|---|---|---|---|")
    below_goal = False
    for module, count in counts.items():
        killed = sum(count[status] for status in KILLED)
        score = killed / count.total()
        below_goal = below_goal or score < GOAL
        print(f"| {module} | {count.total()} | {killed} | {count.total() - killed} | {score:.1%} |")
    return int(below_goal)


if __name__ == "__main__":
    sys.exit(main())
