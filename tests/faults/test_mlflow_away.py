"""Sweeps whose MLflow server is away, broken, slow or killed: training goes on, nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mini_sweep import MINI
from mlflow_proxy import MlflowProxy

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.spec.yaml_writer import dump

pytestmark = pytest.mark.slow

EPOCHS = 12
TRIALS = 4
PATIENCE = 400.0
"""Seconds for one driver run, with room for a busy machine."""

NOTICE = "MLflow does not have everything yet: "
NOTHING_BEHIND = {"reports_behind": 0, "ends_behind": 0, "rescored_behind": 0}


class MlflowServer:
    """A real `mlflow server`, which can be killed and started again on its database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db"),
            *("--artifacts-destination", str(self._folder / "artifacts")),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        ]
        with (self._folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True, cwd=self._folder
            )

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((self._folder / "server.log").read_text()[-3000:])

    def kill(self) -> None:
        """Kill the server and the processes that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    mlflow_server = MlflowServer(tmp_path_factory.mktemp("server"))
    mlflow_server.start()
    mlflow_server.wait()
    yield mlflow_server
    mlflow_server.kill()


class Sweep:
    """`sweeps run` in a process of its own, on a server."""

    def __init__(self, name: str, workspace: Path, url: str) -> None:
        self.name, self.workspace, self._url = name, workspace, url
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        spec = {
            **MINI,
            "name": self.name,
            "seeds": 1,
            "pruning": "none",
            "train": {"epochs": EPOCHS, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}},
            "resources": {"max_concurrent": 1},
            "store": {"mlflow": self._url},
        }
        path = self.workspace / "spec.yaml"
        path.write_text(dump(spec))
        command = [sys.executable, "-m", "sweeps", "run", str(path)]
        self._process = subprocess.Popen(
            [*command, "--workspace", str(self.workspace)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> str:
        """Wait for the end; return what was printed. The exit code is 0."""
        assert self._process is not None
        output, _ = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0, output
        return output

    def run(self) -> str:
        self.start()
        return self.end()

    def reports(self) -> list[Any]:
        if not (self.workspace / "ledger.db").exists():
            return []
        return Ledger.of_workspace(self.workspace).of(tables.REPORT, self.name)

    def wait_for_reports(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if len(self.reports()) >= number:
                return
            time.sleep(0.05)
        raise AssertionError(f"no {number} reports")

    def behind(self) -> dict[str, int]:
        return sweep_status(self.workspace, self.name)[0]["exports"]["mlflow"]

    def seconds_per_report(self) -> float:
        times = [row["at"] for row in self.reports()]
        return (max(times) - min(times)) / (len(times) - 1)


def assert_every_number_once(sweep: Sweep, server: MlflowServer) -> None:
    """Check that MLflow has one run per trial, and every metric of every epoch once."""
    import mlflow

    client = mlflow.MlflowClient(server.url)
    experiment = client.get_experiment_by_name(sweep.name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    trials = [run for run in runs if "sweep.trial" in run.data.tags]
    assert len(runs) == TRIALS + 1
    assert len({run.data.tags["sweep.trial"] for run in trials}) == TRIALS
    assert {run.info.status for run in runs} == {"FINISHED"}
    points = 0
    for run in trials:
        assert {"mig", "tc", "train/loss", "final/mig", "seconds"} <= run.data.metrics.keys()
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            steps = sorted(point.step for point in history)
            last_only = key.startswith(("final/", "best/"))
            assert steps == ([EPOCHS] if last_only else list(range(1, EPOCHS + 1))), key
            points += len(steps)
        artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert "config.yaml" in artifacts
    assert sweep.behind() == NOTHING_BEHIND
    print(f"{sweep.name}: {points} points once, {sweep.seconds_per_report():.3f} s a report")


def run_again_if_behind(sweep: Sweep, output: str) -> None:
    """Run the same command again if the first one said that MLflow lacks something."""
    print(output[-600:])
    if NOTICE in output:
        assert "the same command tries again" in output
        assert sweep.behind() != NOTHING_BEHIND
        assert NOTICE not in sweep.run()


Case = Callable[[Sweep, MlflowProxy], str]


def without_a_fault(sweep: Sweep, proxy: MlflowProxy) -> str:
    output = sweep.run()
    assert NOTICE not in output
    return output


def away_at_the_start(sweep: Sweep, proxy: MlflowProxy) -> str:
    proxy.close()
    sweep.start()
    sweep.wait_for_reports(15)
    proxy.open()
    return sweep.end()


def away_in_the_middle(sweep: Sweep, proxy: MlflowProxy) -> str:
    sweep.start()
    sweep.wait_for_reports(5)
    proxy.close()
    sweep.wait_for_reports(20)  # training goes on
    proxy.open()
    return sweep.end()


def away_for_good(sweep: Sweep, proxy: MlflowProxy) -> str:
    sweep.start()
    sweep.wait_for_reports(5)
    proxy.close()
    output = sweep.end()
    assert NOTICE in output
    proxy.open()
    return output


def answers_500_for_a_while(sweep: Sweep, proxy: MlflowProxy) -> str:
    sweep.start()
    sweep.wait_for_reports(5)
    proxy.mode = "500"
    sweep.wait_for_reports(20)
    proxy.mode = "pass"
    return sweep.end()


def answers_429_for_a_while(sweep: Sweep, proxy: MlflowProxy) -> str:
    proxy.mode = "429"  # with `Retry-After: 3600`
    sweep.start()
    sweep.wait_for_reports(20)
    proxy.mode = "pass"
    return sweep.end()


def silent_for_good(sweep: Sweep, proxy: MlflowProxy) -> str:
    sweep.start()
    sweep.wait_for_reports(5)
    proxy.mode = "silent"
    output = sweep.end()
    assert NOTICE in output
    proxy.mode = "pass"
    return output


def slow(sweep: Sweep, proxy: MlflowProxy) -> str:
    proxy.mode = "slow"
    output = sweep.run()
    proxy.mode = "pass"
    return output


def loses_every_second_answer(sweep: Sweep, proxy: MlflowProxy) -> str:
    proxy.mode = "lost"
    output = sweep.run()
    proxy.mode = "pass"
    return output


CASES: tuple[Case, ...] = (
    without_a_fault,
    away_at_the_start,
    away_in_the_middle,
    away_for_good,
    answers_500_for_a_while,
    answers_429_for_a_while,
    silent_for_good,
    slow,
    loses_every_second_answer,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_sweep_trains_and_mlflow_gets_everything_once(
    tmp_path: Path, server: MlflowServer, case: Case
) -> None:
    with MlflowProxy(server.url) as proxy:
        sweep = Sweep(case.__name__, tmp_path, proxy.url)
        output = case(sweep, proxy)
        assert len(sweep.reports()) == TRIALS * EPOCHS
        run_again_if_behind(sweep, output)
        print(f"{case.__name__}: calls {dict(proxy.answers)}")
    assert_every_number_once(sweep, server)


def test_a_server_that_is_killed_and_started_again_gets_everything_once(tmp_path: Path) -> None:
    server = MlflowServer(tmp_path)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    try:
        server.start()
        server.wait()
        sweep = Sweep("killed", workspace, server.url)
        sweep.start()
        sweep.wait_for_reports(5)
        server.kill()
        sweep.wait_for_reports(15)
        server.start()
        sweep.wait_for_reports(25)
        server.kill()
        server.start()
        output = sweep.end()
        server.wait()
        run_again_if_behind(sweep, output)
        assert_every_number_once(sweep, server)
    finally:
        server.kill()
