"""What MLflow never takes costs that thing only, is said once, and is not sent again."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fake_mlflow import FakeMlflow, Fault
from mini_sweep import conductor, play, spec

from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_errors import is_lasting
from sweeps.exports.mlflow_keys import accepted_key
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths

SHORT: dict[str, Any] = {"train": {"epochs": 2, "batch_size": 32}, "pruning": "none"}
"""Two cells of two seeds, two epochs each."""

BAD = "beta_vae-000-s1"  # the name of the run of trial 1, to which the faults happen


class Exported(NamedTuple):
    """A finished sweep with one artifact per trial, and the server that it is exported to."""

    workspace: Path
    server: FakeMlflow

    def writer(self) -> MlflowWriter:
        """Return the writer of another driver run."""
        ledger = Ledger.of_workspace(self.workspace)
        files = LocalFiles(self.workspace)
        return MlflowWriter("mini", ledger, files, self.workspace, "http://fake", {"torch": "2"})

    def run(self, name: str = BAD) -> Any:
        (run,) = [run for run in self.server.runs.values() if run.run_name == name]
        return run

    def steps(self, key: str = "mig") -> dict[str, list[int]]:
        """Return name of a run -> the steps of a metric, each as often as it is there."""
        steps: dict[str, list[int]] = {}
        for run in self.server.runs.values():
            if "sweep.trial" in run.tags:
                assert run.run_name not in steps  # one run per trial
                steps[run.run_name] = sorted(step for step, *_ in run.points.get(key, {}))
        return steps

    def status(self) -> Any:
        return sweep_status(self.workspace, "mini")[0]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a finished sweep with one artifact per trial."""
    workspace = tmp_path_factory.mktemp("played")
    sweep = conductor(spec(**SHORT), workspace)
    play(sweep)
    for trial in sweep.trials:
        LocalFiles(workspace).write(TrialPaths(trial.hash).artifact("config.yaml"), b"seed: 0\n")
    return workspace


@pytest.fixture
def exported(played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """Return a copy of the sweep, and a server that has nothing of it."""
    shutil.copytree(played, tmp_path, dirs_exist_ok=True)
    server = FakeMlflow()
    monkeypatch.setattr(mlflow_client, "connect", lambda *_: server.connect())
    return Exported(tmp_path, server)


def change_reports(exported: Exported, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the body of every report of trial 1."""
    ledger = Ledger.of_workspace(exported.workspace)
    for row in ledger.rows(tables.REPORT, tables.REPORT.c.trial == 1):
        body = json.loads(row["body"])
        change(body)
        with ledger.transaction() as tx:
            tx.update(tables.REPORT, tables.REPORT.c.seq == row["seq"], body=json.dumps(body))


def set_text(exported: Exported, table: Any, column: str, text: str) -> None:
    """Set a column of the rows of trial 1."""
    key = table.c.number if table is tables.TRIAL else table.c.trial
    with Ledger.of_workspace(exported.workspace).transaction() as tx:
        tx.update(table, key == 1, **{column: text})


# ---- the faults: each happens to trial 1 only


def metric(key: str, value: Any = 0.5) -> Callable[[Exported], None]:
    return lambda exported: change_reports(
        exported, lambda body: body["metrics"].update({key: value})
    )


def refuse(*keys: str) -> Callable[[Exported], None]:
    """Refuse keys of the run of trial 1, and no other."""

    def fault_of(server: FakeMlflow) -> Callable[[str, tuple[Any, ...], dict[str, Any]], Any]:
        def fault(method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if server.run_name(arguments, options) != BAD:
                return None
            sent = {each.key for each in (*options.get("metrics", ()), *options.get("params", ()))}
            sent |= {arguments[1]} if method == "set_tag" else set()
            sent |= set(options["tags"]) if method == "create_run" else set()
            return Fault.REFUSED if sent & set(keys) else None

        return fault

    return lambda exported: setattr(exported.server, "fault", fault_of(exported.server))


def fail(method: str, fault: Fault) -> Callable[[Exported], None]:
    """Let every call of a method for the run of trial 1 fail."""

    def install(exported: Exported) -> None:
        server = exported.server

        def hit(called: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
            is_hit = called == method and server.run_name(arguments, options) == BAD
            return fault if is_hit else None

        server.fault = hit

    return install


def forbid(exported: Exported) -> None:
    exported.server.forbidden_runs = {BAD}


def artifact(name: str) -> Callable[[Exported], None]:
    """Put something that is no file where an artifact should be."""

    def make(exported: Exported) -> None:
        trial = Ledger.of_workspace(exported.workspace).of(tables.TRIAL, "mini")[1]
        (exported.workspace / TrialPaths(trial["hash"]).artifact(name)).mkdir()

    return make


LONG = "information/" + 260 * "x"
ODD = {"metric odd of epoch 1", "metric odd of epoch 2"}
FAULTS: dict[str, tuple[Callable[[Exported], None], set[str]]] = {
    # Keys that become acceptable: nothing is left out.
    "a key of 260 characters": (metric(LONG), set()),
    "a key with refused characters": (metric("tc (nats)!"), set()),
    "a key that is no plain path": (metric("a//../b/"), set()),
    "an empty key": (metric(""), set()),
    "a value too large": (metric("big", 10**400), set()),
    "a value that is not finite": (metric("tc", math.nan), set()),
    "a parameter too long": (
        lambda exported: set_text(
            exported,
            tables.TRIAL,
            "config",
            json.dumps(_config(exported) | {"notes": "n" * 9000, "k" * 300: 1, "a(b)": 2}),
        ),
        set(),
    ),
    "a reason too long": (
        lambda exported: set_text(exported, tables.END, "why", "w" * 20000),
        set(),
    ),
    # Things that MLflow does not take: they are left out, and nothing else.
    "a key that MLflow refuses": (refuse("tc"), {"metric tc"}),
    "several keys that MLflow refuses": (
        refuse("tc", "train/loss", "final/mig", "train.epochs"),
        {"metric tc", "metric train/loss", "metric final/mig", "parameter train.epochs"},
    ),
    "a tag that MLflow refuses": (refuse("state", "torch"), {"tag state", "tag torch"}),
    "a value that is no number": (metric("odd", "high"), ODD),
    "a value that is missing": (metric("odd", None), ODD),
    "a report that cannot be read": (
        lambda exported: set_text(exported, tables.REPORT, "body", "{"),
        {"report of epoch 1", "report of epoch 2"},
    ),
    "an artifact that cannot be read": (artifact("codes.npz"), {"artifact codes.npz"}),
    "artifacts that are forbidden": (
        fail("log_artifact", Fault.FORBIDDEN),
        {"artifact config.yaml"},
    ),
    "a run that is forbidden": (forbid, {"run"}),
    "a run that cannot be created": (fail("create_run", Fault.FORBIDDEN), {"run"}),
    "numbers that are forbidden": (fail("log_batch", Fault.FORBIDDEN), {"run"}),
    "an end that is refused": (fail("set_terminated", Fault.REFUSED), {"status FINISHED"}),
}


def _config(exported: Exported) -> dict[str, Any]:
    return json.loads(Ledger.of_workspace(exported.workspace).of(tables.TRIAL, "mini")[1]["config"])


NOTHING_BEHIND = {"reports_behind": 0, "ends_behind": 0, "rescored_behind": 0}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_error_costs_that_thing_only(exported: Exported, fault: str) -> None:
    install, expected = FAULTS[fault]
    install(exported)
    writer = exported.writer()
    assert writer.step(), writer.error
    calls = len(exported.server.calls)
    assert writer.step()
    assert len(exported.server.calls) == calls  # what was refused is not sent at every pass
    assert writer.step(last=True)
    # Nothing is behind, and what is left out is said.
    assert writer.why_behind() == ""
    assert bool(writer.left_out()) == bool(expected)
    status = exported.status()
    assert {row["thing"] for row in status["left_out"]} == expected
    assert {row["trial"] for row in status["left_out"]} <= {1}
    assert status["exports"]["mlflow"] == NOTHING_BEHIND
    # Everything else is there.
    for name, steps in exported.steps().items():
        if name != BAD or not expected & {"run", "report of epoch 1"}:
            assert steps == [1, 2], name
            has_ended = name != BAD or "status FINISHED" not in expected
            assert (exported.run(name).status == "FINISHED") == has_ended
            assert {"config.yaml"} <= exported.run(name).files.keys() or "config" in str(expected)
    # The next driver run says the same, and does not begin again: it tries a forbidden run and an
    # unreadable artifact once, and sends no number that MLflow has or refuses.
    exported.server.calls.clear()
    again = exported.writer()
    again.start()
    assert again.finish(60), again.why_behind()
    assert again.left_out() == writer.left_out()
    sent = Counter(method for method, _ in exported.server.calls)
    assert sent["log_batch"] <= (2 if expected == {"run"} else 0), sent
    assert exported.status()["left_out"] == status["left_out"]


def test_a_run_that_is_allowed_again_gets_everything(exported: Exported) -> None:
    forbid(exported)
    writer = exported.writer()
    assert writer.step(last=True)
    assert writer.left_out() == (f"trial 1 ({BAD}) is not written: the fake answers 403")
    exported.server.forbidden_runs = set()
    again = exported.writer()
    assert again.step(last=True)
    assert again.left_out() == again.why_behind() == ""
    assert exported.steps()[BAD] == [1, 2]
    assert exported.status()["left_out"] == []


def test_an_artifact_that_is_gone_is_left_out_no_more(exported: Exported) -> None:
    artifact("codes.npz")(exported)
    assert exported.writer().step(last=True)
    assert len(exported.status()["left_out"]) == 1
    trial = Ledger.of_workspace(exported.workspace).of(tables.TRIAL, "mini")[1]
    (exported.workspace / TrialPaths(trial["hash"]).artifact("codes.npz")).rmdir()
    assert exported.writer().step(last=True)
    assert exported.status()["left_out"] == []


def test_a_changed_key_is_the_same_in_every_driver_run_and_names_the_whole_key(
    exported: Exported,
) -> None:
    metric(LONG)(exported)
    assert exported.writer().step(last=True)
    shown = accepted_key(LONG)
    assert len(shown) == 250
    assert exported.steps(shown)[BAD] == [1, 2]
    assert exported.run().tags[f"key.{shown[-8:]}"] == LONG


@pytest.mark.parametrize(
    "key",
    ["", "/", "a/", "../a", "a/./b", "tc (nats)", "é" * 300, "\n", "a\n", "%", "ü:b c.d-e_f/g"],
)
def test_every_key_becomes_one_that_mlflow_takes(key: str) -> None:
    from mlflow.utils.validation import _validate_metric_name  # its rule is not public

    shown = accepted_key(key)
    _validate_metric_name(shown)
    assert 0 < len(shown) <= 250
    assert accepted_key(shown) == shown


def test_two_long_keys_with_the_same_beginning_stay_two() -> None:
    keys = {accepted_key("x" * 300 + end) for end in "ab"}
    assert len(keys) == 2


def test_a_parameter_that_exists_with_another_value_is_left_out(exported: Exported) -> None:
    writer = exported.writer()
    assert writer.step()
    run = exported.run()
    run.params["seed"] = "77"
    again = exported.writer()
    assert again.step(last=True)
    assert again.left_out() == (
        f"trial 1 ({BAD}) lacks parameter seed: the run has it already, with '77'"
    )
    assert run.params["seed"] == "77"


def test_a_number_that_is_missing_at_one_epoch_costs_that_epoch(exported: Exported) -> None:
    metric("odd", 0.5)(exported)
    ledger = Ledger.of_workspace(exported.workspace)
    (row,) = ledger.rows(tables.REPORT, tables.REPORT.c.trial == 1, tables.REPORT.c.epoch == 1)
    with ledger.transaction() as tx:
        text = row["body"].replace('"odd": 0.5', '"odd": null')
        tx.update(tables.REPORT, tables.REPORT.c.seq == row["seq"], body=text)
    writer = exported.writer()
    assert writer.step(last=True)
    assert exported.steps("odd")[BAD] == [2]
    assert "metric odd of epoch 1: None is not a number" in writer.left_out()


TAGS = ["state", "host", "key.", "not_finite", "collapsed"]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_that_cannot_be_set_for_a_while_is_set_later(exported: Exported, tag: str) -> None:
    change_reports(exported, lambda body: body.update(host="node-1", device="cpu"))
    change_reports(exported, lambda body: body["metrics"].update({"a(b)": 1.0, "x": math.nan}))
    server = exported.server

    def hit(method: str, arguments: tuple[Any, ...], options: Any) -> Fault | None:
        is_bad = server.run_name(arguments, options) == BAD
        return Fault.ERROR if is_bad and method == "set_tag" and tag in arguments[1] else None

    server.fault = hit
    writer = exported.writer()
    assert writer.step()
    assert f"tag {tag}" in writer.why_behind()
    server.fault = lambda *_: None
    writer.exporter.trial_runs[1].retry_at = 0.0
    assert writer.step()
    assert writer.why_behind() == ""
    assert any(tag in key for key in exported.run().tags)
    assert exported.status()["exports"]["mlflow"] == NOTHING_BEHIND


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.BUSY, Fault.TIMEOUT])
def test_an_error_that_passes_is_behind_and_is_tried_again(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    fail("log_batch", fault)(exported)
    writer = exported.writer()
    assert writer.step()
    assert f"trial 1 ({BAD})" in writer.why_behind()
    assert writer.left_out() == ""
    assert sum(exported.status()["exports"]["mlflow"].values()) > 0
    assert [steps for name, steps in exported.steps().items() if name != BAD] == 3 * [[1, 2]]
    exported.server.fault = lambda *_: None
    assert writer.step()
    assert writer.why_behind()  # its time has not come
    writer.exporter.trial_runs[1].retry_at = 0.0
    assert writer.step()
    assert writer.why_behind() == ""
    assert exported.steps()[BAD] == [1, 2]
    assert exported.status()["exports"]["mlflow"] == NOTHING_BEHIND


def test_one_key_that_makes_the_server_fail_keeps_no_other_from_being_written(
    exported: Exported,
) -> None:
    refuse("tc")(exported)
    refusing = exported.server.fault
    exported.server.fault = lambda *call: Fault.ERROR if refusing(*call) else None
    writer = exported.writer()
    assert writer.step(last=True)
    assert writer.why_behind() == f"trial 1 ({BAD}) lacks metric tc: the fake answers 500"
    assert exported.steps()[BAD] == [1, 2]
    exported.server.fault = lambda *_: None
    assert writer.step(last=True)
    assert writer.why_behind() == ""
    assert exported.steps("tc")[BAD] == [1, 2]


def test_runs_that_fail_keep_no_other_from_being_written(exported: Exported) -> None:
    """Three failures in succession end a pass; the next one begins with the others."""
    server = exported.server

    def hit(method: str, arguments: tuple[Any, ...], options: Any) -> Fault | None:
        is_bad = server.run_name(arguments, options) != "beta_vae-001-s1"
        return Fault.ERROR if method == "log_batch" and is_bad else None

    server.fault = hit
    writer = exported.writer()
    assert not writer.step(last=True)
    assert not writer.step(last=True)
    assert sorted(exported.steps().values()) == [[], [], [], [1, 2]]


def test_a_lost_answer_makes_no_second_run(exported: Exported) -> None:
    lost: Counter[str] = Counter()

    def lose_first(method: str, arguments: tuple[Any, ...], _: Any) -> Fault | None:
        call = f"{method} {arguments[:1]}"
        lost[call] += 1
        return Fault.LOST if lost[call] == 1 else None

    exported.server.fault = lose_first
    writer = exported.writer()
    passes = 0
    while not writer.step(last=True) or writer.why_behind():
        passes += 1
        assert passes < 40, writer.why_behind()
    assert set(map(tuple, exported.steps().values())) == {(1, 2)}
    assert len(exported.server.runs) == 5


def test_a_run_that_a_late_call_created_twice_is_deleted(exported: Exported) -> None:
    writer = exported.writer()
    assert writer.step()
    runs = {run.run_name: run for run in exported.server.runs.values()}
    for name in (BAD, "mini"):
        exported.server.create_run("1", start_time=1, tags=runs[name].tags, run_name=name)
    assert writer.step(last=True)
    active = [run for run in exported.server.runs.values() if run.lifecycle_stage == "active"]
    assert {run.run_id for run in active} == {run.run_id for run in runs.values()}
    assert {run.status for run in active} == {"FINISHED"}


def test_the_parent_run_costs_nothing_else(exported: Exported) -> None:
    assert exported.writer().step()
    exported.server.forbidden_runs = {"mini"}
    writer = exported.writer()
    assert writer.step(last=True), writer.error
    assert writer.why_behind() == ""
    assert writer.left_out().startswith("the parent run is not written: ")
    assert set(map(tuple, exported.steps().values())) == {(1, 2)}


class Answer(NamedTuple):
    """An error as MLflow raises it, and whether it lasts."""

    error: Exception
    lasts: bool


def answers() -> list[Answer]:
    import requests
    from mlflow.exceptions import MlflowException, RestException

    def rest(**answer: Any) -> Exception:
        return RestException({"message": "m", **answer})

    def http(status: int) -> Exception:
        response = requests.Response()
        response.status_code = status
        return requests.HTTPError("m", response=response)

    def proxy(status: int) -> Exception:
        text = f"API request to endpoint /x failed with error code {status} != 200. Body: '<html>'"
        return MlflowException(text)

    statuses = {400: True, 403: True, 404: True, 408: False, 413: True, 422: True, 425: False}
    statuses |= {429: False, 500: False, 502: False, 503: False, 504: False}
    return [
        *(Answer(http(status), lasts) for status, lasts in statuses.items()),
        *(Answer(proxy(status), lasts) for status, lasts in statuses.items()),
        *(Answer(rest(error_code=str(status)), lasts) for status, lasts in statuses.items()),
        Answer(rest(error_code="INVALID_PARAMETER_VALUE"), lasts=True),
        Answer(rest(error_code="PERMISSION_DENIED"), lasts=True),
        Answer(rest(error_code="REQUEST_LIMIT_EXCEEDED"), lasts=False),
        Answer(rest(error_code="TEMPORARILY_UNAVAILABLE"), lasts=False),
        Answer(rest(error_code="SOMETHING_NEW"), lasts=False),
        Answer(MlflowException("API request to x failed with exception y"), lasts=False),
        Answer(requests.ConnectionError("x"), lasts=False),
        Answer(json.JSONDecodeError("x", "<html>", 0), lasts=False),
        Answer(FileNotFoundError(2, "x"), lasts=True),
        Answer(IsADirectoryError(21, "x"), lasts=True),
        Answer(PermissionError(13, "x"), lasts=True),
        Answer(OSError(28, "disk full"), lasts=False),
        Answer(ConnectionResetError(104, "x"), lasts=False),
        Answer(OSError("AWS Error NETWORK_CONNECTION"), lasts=False),
        Answer(ValueError("x"), lasts=True),
        Answer(RuntimeError("x"), lasts=False),
    ]


def test_an_error_lasts_or_passes_by_its_code() -> None:
    for error, lasts in answers():
        assert is_lasting(error) == lasts, repr(error)
