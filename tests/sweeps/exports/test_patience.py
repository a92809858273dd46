"""Nothing waits for MLflow without a bound, whatever the server does."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fake_mlflow import FakeMlflow
from mini_sweep import conductor, play, spec
from mlflow_proxy import MlflowProxy
from typer.testing import CliRunner

from sweeps.cli.app import app
from sweeps.exports import mlflow_client, mlflow_writer, patience
from sweeps.exports.mlflow_report import log_report_in_time
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.exports.patience import NoAnswerError, Patience, answer_in_time
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles

SHORT: dict[str, Any] = {"train": {"epochs": 2, "batch_size": 32}, "pruning": "none"}

FOR_EVER = 240.0
"""Seconds that stand for waiting without a bound, on a busy machine too."""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace with a finished sweep."""
    play(conductor(spec(**SHORT), tmp_path))
    return tmp_path


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SILENCE", 0.5)
    monkeypatch.setattr(mlflow_writer, "LAST_TRIES", 0.5)


def export_to(workspace: Path, server: str) -> MlflowWriter:
    ledger = Ledger.of_workspace(workspace)
    return MlflowWriter("mini", ledger, LocalFiles(workspace), workspace, server, {})


BROKEN = ["500", "429", "silent", "drip", "refused", "unknown host"]


def server_of(mode: str) -> tuple[str, MlflowProxy]:
    """Return the URL of a broken server, and the server to close."""
    proxy = MlflowProxy(mode=mode)
    if mode == "refused":
        proxy.close()
    host = "http://no-such-host.invalid:5000"  # this domain never resolves (RFC 2606)
    return (host if mode == "unknown host" else proxy.url), proxy


@pytest.mark.usefixtures("short_silence")
def test_a_report_is_written_first_and_says_what_mlflow_lacks(workspace: Path) -> None:
    url, proxy = server_of("silent")
    ledger = Ledger.of_workspace(workspace)
    stored = ledger.require_sweep("mini")["spec"] | {"store": {"mlflow": url}}
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == "mini", spec=json.dumps(stored))
    with proxy:
        result = CliRunner().invoke(app, ["report", "mini", "--workspace", str(workspace)])
    assert result.exit_code == 0, result.output
    assert Path(result.stdout.strip()).exists()
    (notice,) = result.stderr.strip().splitlines()
    assert notice.startswith("MLflow does not have the report: no answer after ")
    assert notice.endswith(" s; `sweeps report mini` sends it again")


@pytest.mark.parametrize("mode", BROKEN)
@pytest.mark.usefixtures("short_silence")
def test_nothing_waits_for_a_broken_server_without_a_bound(workspace: Path, mode: str) -> None:
    url, proxy = server_of(mode)
    began = time.monotonic()
    with proxy:
        assert log_report_in_time("mini", workspace, url, workspace)
        writer = export_to(workspace, url)
        writer.start()
        assert not writer.finish(2 * FOR_EVER)
        assert writer.is_alive() or writer.why_behind()
    assert time.monotonic() - began < FOR_EVER


def test_a_finish_returns_in_its_time_although_a_call_blocks(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, release = FakeMlflow(), threading.Event()

    def block(method: str, *_: Any) -> None:
        if method == "log_batch":
            release.wait(FOR_EVER)

    server.fault = block
    monkeypatch.setattr(mlflow_client, "connect", lambda *_: server.connect())
    writer = export_to(workspace, "http://fake")
    writer.start()
    began = time.monotonic()
    assert not writer.finish(1.0)
    assert time.monotonic() - began < FOR_EVER / 2
    # The thread is left behind. It ends before it writes another run.
    release.set()
    writer.join(FOR_EVER)
    assert not writer.is_alive()
    runs = [run for run in server.runs.values() if "sweep.trial" in run.tags]
    assert len(runs) == 1
    assert writer.error == "there was no time left to write everything"


def test_a_writer_that_was_never_started_finishes_in_the_calling_thread(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeMlflow()
    monkeypatch.setattr(mlflow_client, "connect", lambda *_: server.connect())
    assert export_to(workspace, "http://fake").finish(60)
    assert len(server.runs) == 5


def test_a_server_that_comes_back_while_the_sweep_ends_gets_the_rest(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeMlflow()
    server.away = True
    passes: list[bool] = []

    def connect(*_: Any) -> Any:
        passes.append(True)
        server.away = len(passes) < 3
        return server.connect()

    monkeypatch.setattr(mlflow_client, "connect", connect)
    writer = export_to(workspace, "http://fake")
    writer.start()
    assert writer.finish(60), writer.error
    assert len(passes) >= 3


def test_a_lasting_refusal_of_the_whole_server_is_not_tried_again_and_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import RestException

    passes: list[bool] = []

    def refuse(*_: Any) -> None:
        passes.append(True)
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "no access"})

    monkeypatch.setattr(mlflow_client, "connect", refuse)
    writer = export_to(workspace, "http://fake")
    writer._finish.set()
    writer.start()
    assert not writer.finish(60)
    assert len(passes) == 2  # the second try is for an experiment that was deleted meanwhile
    assert writer.why_behind() == "RestException: no access"


def test_an_upload_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SILENCE", 0.1)

    class Slow:
        def log_artifact(self) -> str:
            time.sleep(0.5)
            return "sent"

        def get_run(self) -> None:
            time.sleep(FOR_EVER)

    assert answer_in_time(lambda waits: waits.watch(Slow()).log_artifact()) == "sent"
    with pytest.raises(NoAnswerError, match="no answer after 0 s"):
        answer_in_time(lambda waits: waits.watch(Slow()).get_run())


def test_an_answer_or_an_error_of_the_work_comes_through() -> None:
    def fail(_: Patience) -> None:
        raise LookupError("no run")

    assert answer_in_time(lambda _: 7) == 7
    with pytest.raises(LookupError, match="no run"):
        answer_in_time(fail)
    with pytest.raises(NoAnswerError):
        answer_in_time(lambda _: time.sleep(FOR_EVER), seconds=0.1)
