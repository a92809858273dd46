"""What a sweep costs beside its training: wall time x slots against the seconds spent inside `step()`.

Runs the quickstart in a new workspace (some five minutes on two cores) unless a workspace that holds one is given:
`python benchmarks/bench_sweep.py [WORKSPACE [NAME]]`. Prints one ratio, the share of evaluation and of final scores.
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
    """Measure one sweep."""
    name = sys.argv[2] if len(sys.argv) > 2 else "quickstart"
    with tempfile.TemporaryDirectory() as aside:
        workspace = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(aside)
        if len(sys.argv) == 1:
            run(name, workspace=workspace)
        (row,) = sweep_status(workspace, name)
        bodies = [
            json.loads(report["body"])
            for report in Ledger.existing(workspace).of(tables.REPORT, name)
        ]
    train = sum(body["seconds"]["train"] for body in bodies)
    evaluate = sum(body["seconds"]["evaluate"] for body in bodies)
    final = sum(body["seconds"].get("final", 0.0) for body in bodies)
    print(
        f"sweep {name}: {row['wall_seconds']:.0f} s wall on {row['slots']} slots, {row['trials']}"
    )
    print(
        f"wall x slots / seconds inside step(): {row['wall_seconds'] * row['slots'] / row['seconds_in_step']:.3f}"
    )
    print(f"evaluation / epoch (train + evaluate): {evaluate / (train + evaluate):.3f}")
    print(f"final scores / seconds inside step(): {final / row['seconds_in_step']:.3f}")


if __name__ == "__main__":
    main()
