"""What a real MLflow server refuses costs that thing only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mini_sweep import conductor, play, spec
from mlflow_proxy import MlflowProxy
from test_mlflow_away import NOTHING_BEHIND, MlflowServer

from sweeps.exports.mlflow_keys import accepted_key
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths

pytestmark = pytest.mark.slow

LONG = "information/" + 260 * "x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    mlflow_server = MlflowServer(tmp_path_factory.mktemp("server"))
    mlflow_server.start()
    mlflow_server.wait()
    yield mlflow_server
    mlflow_server.kill()


def finished(workspace: Path, name: str) -> Ledger:
    """Return the ledger of a finished sweep of four trials, each with two epochs and artifacts."""
    sweep = conductor(
        spec(name=name, train={"epochs": 2, "batch_size": 32}, pruning="none"), workspace
    )
    play(sweep)
    files = LocalFiles(workspace)
    for trial in sweep.trials:
        files.write(TrialPaths(trial.hash).artifact("config.yaml"), b"seed: 0\n")
    return Ledger.of_workspace(workspace)


def writer_of(workspace: Path, name: str, url: str) -> MlflowWriter:
    ledger = Ledger.of_workspace(workspace)
    return MlflowWriter(name, ledger, LocalFiles(workspace), workspace, url, {"torch": "2"})


def steps(client: Any, name: str, key: str = "mig") -> dict[str, list[int]]:
    """Return name of a run -> the steps of a metric."""
    experiment = client.get_experiment_by_name(name)
    found: dict[str, list[int]] = {}
    for run in client.search_runs([experiment.experiment_id]):
        if "sweep.trial" in run.data.tags:
            history = client.get_metric_history(run.info.run_id, key)
            found[run.data.tags["sweep.trial"]] = sorted(point.step for point in history)
    return found


def test_bad_rows_of_one_trial_cost_these_rows(tmp_path: Path, server: MlflowServer) -> None:
    ledger = finished(tmp_path, "bad")
    (trial,) = ledger.rows(tables.TRIAL, tables.TRIAL.c.number == 1)
    config = {**json.loads(trial["config"]), "long": "v" * 9000, "k" * 300: 1, "a(b)": 2}
    with ledger.transaction() as tx:
        tx.update(tables.TRIAL, tables.TRIAL.c.number == 1, config=json.dumps(config))
        tx.update(tables.END, tables.END.c.trial == 1, why="w" * 20000)
        for row in ledger.rows(tables.REPORT, tables.REPORT.c.trial == 1):
            body = json.loads(row["body"])
            body["metrics"] |= {LONG: 1.0, "tc (nats)": 2.0, "a//b": 3.0, "none": None, "": 4.0}
            tx.update(tables.REPORT, tables.REPORT.c.seq == row["seq"], body=json.dumps(body))
    (tmp_path / TrialPaths(trial["hash"]).artifact("codes.npz")).mkdir()
    writer = writer_of(tmp_path, "bad", server.url)
    writer.start()
    assert writer.finish(300), writer.why_behind()
    status = sweep_status(tmp_path, "bad")[0]
    assert {(row["trial"], row["thing"]) for row in status["left_out"]} == {
        (1, "metric none of epoch 1"),
        (1, "metric none of epoch 2"),
        (1, "artifact codes.npz"),
    }
    assert status["exports"]["mlflow"] == NOTHING_BEHIND
    client = mlflow.MlflowClient(server.url)
    assert steps(client, "bad") == {f"bad/{number}": [1, 2] for number in range(4)}
    for key in (LONG, "tc (nats)", "a//b", ""):
        assert steps(client, "bad", accepted_key(key))["bad/1"] == [1, 2]


def test_a_run_that_is_forbidden_costs_that_run(tmp_path: Path, server: MlflowServer) -> None:
    finished(tmp_path, "forbidden")
    client = mlflow.MlflowClient(server.url)
    with MlflowProxy(server.url) as proxy:
        proxy.forbidden = b"beta_vae-000-s1"  # the name, by which a run is created
        writer = writer_of(tmp_path, "forbidden", proxy.url)
        writer.start()
        assert writer.finish(300), writer.why_behind()
        assert writer.left_out().startswith("trial 1 (beta_vae-000-s1) is not written: ")
        assert "403" in writer.left_out()
        assert steps(client, "forbidden") == {f"forbidden/{number}": [1, 2] for number in (0, 2, 3)}
        status = sweep_status(tmp_path, "forbidden")[0]
        assert status["exports"]["mlflow"] == NOTHING_BEHIND
        assert [row["thing"] for row in status["left_out"]] == ["run"]
        proxy.forbidden = b""
        again = writer_of(tmp_path, "forbidden", proxy.url)
        again.start()
        assert again.finish(300), again.why_behind()
        assert again.left_out() == ""
    assert steps(client, "forbidden") == {f"forbidden/{number}": [1, 2] for number in range(4)}
