"""The overhead of a sweep: wall time x slots against the seconds that are spent inside `step()`.

    python benchmarks/bench_sweep.py [WORKSPACE [NAME]]

It runs the quickstart in a new workspace (about five minutes on two cores), unless the workspace of
a finished sweep is given. It prints that ratio, and the shares of evaluation and of final scores.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from sweeps import run
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status


def main() -> None:
    """Print the numbers of one sweep."""
    name = sys.argv[2] if len(sys.argv) > 2 else "quickstart"
    with tempfile.TemporaryDirectory() as new_folder:
        workspace = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(new_folder)
        if len(sys.argv) == 1:
            run(name, workspace=workspace)
        (row,) = sweep_status(workspace, name)
        rows = Ledger.existing(workspace).of(tables.REPORT, name)
        reports = [json.loads(report["body"]) for report in rows]
    train = sum(report["seconds"]["train"] for report in reports)
    evaluate = sum(report["seconds"]["evaluate"] for report in reports)
    final = sum(report["seconds"].get("final", 0.0) for report in reports)
    slot_seconds = row["wall_seconds"] * row["slots"]
    print(
        f"sweep {name}: {row['wall_seconds']:.0f} s wall on {row['slots']} slots, {row['trials']}"
    )
    print(f"wall x slots / seconds inside step(): {slot_seconds / row['seconds_in_step']:.3f}")
    print(f"evaluation / epoch (train + evaluate): {evaluate / (train + evaluate):.3f}")
    print(f"final scores / seconds inside step(): {final / row['seconds_in_step']:.3f}")


if __name__ == "__main__":
    main()
