"""SIGKILLs of objectives with several players, stages, codes, a memory and a best epoch."""

import json
import signal

import pytest
from mini_sweep import MINI
from test_kills import rows, run

from sweeps.ledger import tables
from vae_core.objectives import OBJECTIVES

SHORT = {
    "stage_length": 0.1,
    "code_stage": 2,
    "depth": 2,
    "width": 32,
    "annealing": 0.7,
    "warmup": 0.5,
}
SPEC = {
    **MINI,
    "seeds": 1,
    "train": {
        "epochs": 4,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "learning_rate_decay": 0.5,
        "decay_every": 0.4,
    },
    "objectives": [
        {
            "name": name,
            **{key: value for key, value in SHORT.items() if key in cls.__dataclass_fields__},
        }
        for name, cls in OBJECTIVES.items()
    ],
    "pruning": "none",
    "evaluation": {"images": 64, "samples": 16, "final": ["mig"], "best": "mig"},
    "checkpoint": {"every": 1, "min_seconds": 0},
}


def everything(workspace):
    """Return (trial hash, epoch) -> all numbers of the report and of the final evaluation."""
    hashes = {row["number"]: row["hash"] for row in rows(workspace, tables.TRIAL)}
    assert {row["state"] for row in rows(workspace, tables.END)} == {"COMPLETE"}
    numbers = {}
    for row in rows(workspace, tables.REPORT):
        key = hashes[row["trial"]], row["epoch"]
        assert key not in numbers  # once
        body = json.loads(row["body"])
        numbers[key] = {part: body[part] for part in ("metrics", "train", "final", "best")}
    assert len(numbers) == 4 * len(OBJECTIVES)
    return numbers


@pytest.mark.slow
def test_every_objective_resumes_bitwise_after_kills_of_trials_and_driver(tmp_path):
    code, output = run(tmp_path / "clean", SPEC)
    assert code == 0, output
    killed = tmp_path / "killed"
    for moment in ("driver.reported:7", "driver.before_report:9", "driver.reported:11"):
        (killed / "killed").unlink(missing_ok=True)
        assert run(killed, SPEC, moment)[0] == -signal.SIGKILL
    (killed / "killed").unlink()
    # kills the process of a trial between checkpoint and report
    code, output = run(killed, SPEC, "trial.checkpointed:2")
    assert code == 0, output
    assert "lost" in {row["outcome"] for row in rows(killed, tables.ATTEMPT)}
    assert everything(killed) == everything(tmp_path / "clean")
