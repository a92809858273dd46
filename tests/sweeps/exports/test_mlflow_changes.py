"""What a user deletes, renames or breaks in MLflow costs that run only, and comes back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest
from mini_sweep import body, conductor, play, spec

from sweeps.driver.conductor import Assignment
from sweeps.exports.mlflow_experiment import find_experiment
from sweeps.exports.mlflow_keys import accepted_key, key_hash
from sweeps.exports.mlflow_report import log_report
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths, WorkspacePaths

TAGS = {"git_commit": "abc", "torch": "2", "python": "3"}
SHORT: dict[str, Any] = {"train": {"epochs": 2, "batch_size": 32}, "pruning": "none"}
"""Two cells of two seeds, two epochs each."""


class Exported(NamedTuple):
    """A sweep that MLflow has completely, and a client of that MLflow."""

    workspace: Path
    client: Any

    @property
    def experiment(self) -> str:
        return find_experiment(self.client, "mini").experiment_id

    def runs(self) -> dict[str, Any]:
        """Return `parent` and the number of each trial -> its active run."""
        by_name: dict[str, Any] = {}
        for run in self.client.search_runs([self.experiment], max_results=1000):
            name = run.data.tags.get("sweep.trial", "mini/parent").rpartition("/")[2]
            assert name not in by_name  # one active run each
            by_name[name] = run
        return by_name

    def contents(self) -> dict[str, Any]:
        """Return everything that MLflow shows of every run, without ids."""
        runs = self.runs()
        parent = runs["parent"].info.run_id
        contents: dict[str, Any] = {}
        for name, run in runs.items():
            tags = dict(run.data.tags)
            assert tags.pop("mlflow.parentRunId", parent) == parent
            histories: dict[str, list[tuple[int, int, float]]] = {}
            for key in run.data.metrics:
                history = self.client.get_metric_history(run.info.run_id, key)
                histories[key] = sorted((one.step, one.timestamp, one.value) for one in history)
            artifacts = {file.path for file in self.client.list_artifacts(run.info.run_id)}
            artifacts -= {"report"}  # `sweeps report` writes it
            contents[name] = (run.info.status, tags, run.data.params, histories, artifacts)
        return contents


def writer_of(workspace: Path) -> MlflowWriter:
    ledger = Ledger.of_workspace(workspace)
    return MlflowWriter("mini", ledger, LocalFiles(workspace), workspace, None, TAGS)


def export(workspace: Path) -> str:
    """Export as a driver does at its end; return what MLflow does not have and why."""
    writer = writer_of(workspace)
    writer.start()
    finished = writer.finish(120)
    assert finished == (writer.why_behind() == "")
    return writer.why_behind()


def behind(workspace: Path) -> dict[str, int]:
    return sweep_status(workspace, "mini")[0]["exports"]["mlflow"]


NOTHING_BEHIND = {"reports_behind": 0, "ends_behind": 0, "rescored_behind": 0}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, dict[str, Any]]:
    """A finished sweep with two artifacts per trial and a rescored trial, and what MLflow shows."""
    workspace = tmp_path_factory.mktemp("complete")
    sweep = conductor(spec(**SHORT), workspace)
    play(sweep)
    files = LocalFiles(workspace)
    for trial in sweep.trials:
        for name in ("config.yaml", "codes.npz"):
            files.write(TrialPaths(trial.hash).artifact(name), name.encode())
    scored = {"value": 0.5, "numbers": {"udr": 0.5}, "identity": "", "excluded": {}, "reason": ""}
    with Ledger.of_workspace(workspace).transaction() as tx:
        tx.insert(
            tables.RESCORE,
            **{"sweep": "mini", "trial": 1, "metric": "udr", "epoch": 2, "at": 3.0, "run": ""},
            body=json.dumps(scored),
        )
    assert export(workspace) == ""
    client = mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))
    exported = Exported(workspace, client)
    contents = exported.contents()
    assert set(contents) == {"parent", "0", "1", "2", "3"}
    for number in "0123":
        status, _, _, histories, artifacts = contents[number]
        assert (status, artifacts) == ("FINISHED", {"config.yaml", "codes.npz"})
        assert [step for step, _, _ in histories["mig"]] == [1, 2]
    assert "final/udr" in contents["1"][3]
    return exported, contents


# ---- what a user may do


def delete_runs(*names: str) -> Callable[[Exported], None]:
    def delete(exported: Exported) -> None:
        runs = exported.runs()
        for name in names:
            exported.client.delete_run(runs[name].info.run_id)

    return delete


def delete_experiment(exported: Exported) -> None:
    exported.client.delete_experiment(exported.experiment)


def rename_experiment(exported: Exported) -> None:
    exported.client.rename_experiment(exported.experiment, "renamed by a user")


def rename_untagged_experiment(exported: Exported) -> None:
    """Rename the experiment of a version that did not tag it."""
    exported.client.delete_experiment_tag(exported.experiment, "sweep.name")
    experiment = exported.client.search_experiments(filter_string="name LIKE '%'")
    (mine,) = [each for each in experiment if each.name not in ("Default",)]
    exported.client.rename_experiment(mine.experiment_id, "renamed without a tag")


def remove_tags(name: str, *keys: str) -> Callable[[Exported], None]:
    def remove(exported: Exported) -> None:
        run = exported.runs()[name]
        for key in keys or run.data.tags:
            if key.startswith(("sweep.", "mlflow.parent")) or not key.startswith("mlflow."):
                exported.client.delete_tag(run.info.run_id, key)

    return remove


def artifact_folder(exported: Exported, name: str) -> Path:
    uri = exported.runs()[name].info.artifact_uri
    return Path(uri.removeprefix("file://"))


def remove_artifact_folder(exported: Exported) -> None:
    shutil.rmtree(artifact_folder(exported, "2"))


def remove_one_artifact(exported: Exported) -> None:
    (artifact_folder(exported, "0") / "codes.npz").unlink()


def lose_exports(exported: Exported) -> None:
    """Forget which runs belong to which trials, as a driver that died at the wrong moment."""
    with Ledger.of_workspace(exported.workspace).transaction() as tx:
        tx.delete(tables.EXPORT)


def gc(exported: Exported) -> None:
    """Let the command line of MLflow remove for good what is deleted."""
    uri = WorkspacePaths(exported.workspace).tracking_uri(None)
    command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri]
    command += ["--tracking-uri", uri]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def all_of(*changes: Callable[[Exported], None]) -> Callable[[Exported], None]:
    def change(exported: Exported) -> None:
        for each in changes:
            each(exported)

    return change


CHANGES: dict[str, Callable[[Exported], None]] = {
    "a run is deleted": delete_runs("2"),
    "the first run is deleted": delete_runs("0"),
    "the parent run is deleted": delete_runs("parent"),
    "all runs are deleted": delete_runs("parent", "0", "1", "2", "3"),
    "runs are deleted and the ledger has lost them": all_of(delete_runs("1", "3"), lose_exports),
    "the parent and a run are removed for good": all_of(delete_runs("parent", "3"), gc),
    "the experiment is deleted": delete_experiment,
    "the experiment is removed for good": all_of(delete_experiment, gc),
    "the experiment is renamed": rename_experiment,
    "an untagged experiment is renamed": rename_untagged_experiment,
    "the experiment is renamed and deleted": all_of(rename_experiment, delete_experiment),
    "the tag of a trial is removed": remove_tags("2", "sweep.trial"),
    "all tags of a trial are removed": remove_tags("2"),
    "the tags of a lost trial are removed": all_of(remove_tags("1", "sweep.trial"), lose_exports),
    "the tags of the parent are removed": remove_tags("parent"),
    "an artifact folder is removed": remove_artifact_folder,
    "an artifact is removed": remove_one_artifact,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_deleted_comes_back_and_nothing_else_changes(
    complete: tuple[Exported, dict[str, Any]], change: str
) -> None:
    exported, contents = complete
    before = {name: run.info.run_id for name, run in exported.runs().items()}
    CHANGES[change](exported)
    assert export(exported.workspace) == ""
    assert exported.contents() == contents
    assert behind(exported.workspace) == NOTHING_BEHIND
    after = {name: run.info.run_id for name, run in exported.runs().items()}
    if "for good" not in change:  # found again or restored, not made anew
        assert after == before
    elif "experiment" not in change:  # only what was removed is another run
        assert {name for name in after if after[name] != before[name]} == {"parent", "3"}


def test_a_report_goes_to_the_run_of_a_renamed_experiment_and_of_a_deleted_parent(
    complete: tuple[Exported, dict[str, Any]],
) -> None:
    exported, _ = complete
    rename_experiment(exported)
    delete_runs("parent")(exported)
    folder = exported.workspace / "page"
    folder.mkdir()
    (folder / "report.html").write_text("<p>")
    log_report("mini", exported.workspace, None, folder)
    parent = exported.runs()["parent"].info.run_id
    (file,) = exported.client.list_artifacts(parent, "report")
    assert file.path == "report/report.html"


# ---- a run that is deleted while the driver runs


def test_a_run_deleted_while_it_trains_gets_its_later_epochs(tmp_path: Path) -> None:
    sweep = conductor(spec(**SHORT), tmp_path)
    client = mlflow.MlflowClient(WorkspacePaths(tmp_path).tracking_uri(None))
    exported = Exported(tmp_path, client)
    writer = writer_of(tmp_path)
    first, second = sweep.next(), sweep.next()
    assert isinstance(first, Assignment)
    assert isinstance(second, Assignment)
    for assignment in (first, second):
        sweep.record(assignment.trial.number, body(assignment.trial, 1, 0.1))
    assert writer.step(last=False), writer.error
    delete_runs("0")(exported)
    for assignment in (first, second):
        sweep.record(assignment.trial.number, body(assignment.trial, 2, 0.2))
    assert writer.step(last=False), writer.error
    assert writer.why_behind() == ""
    # The same for a run that is gone, and for the experiment.
    third = sweep.next()
    assert isinstance(third, Assignment)
    sweep.record(third.trial.number, body(third.trial, 1, 0.1))
    assert writer.step(last=False), writer.error
    delete_runs("2")(exported)
    gc(exported)
    sweep.record(third.trial.number, body(third.trial, 2, 0.2))
    assert writer.step(last=False), writer.error
    delete_experiment(exported)
    play(sweep)
    assert not writer.step(last=False)
    assert writer.error == "the experiment 'mini' was deleted"
    assert writer.step(last=True), writer.error
    assert writer.why_behind() == ""
    contents = exported.contents()
    for number in "0123":
        assert [step for step, _, _ in contents[number][3]["mig"]] == [1, 2]
        assert contents[number][0] == "FINISHED"
    assert behind(tmp_path) == NOTHING_BEHIND


# ---- lasting errors of one run


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of MLflow without experiments: to make its tables takes seconds."""
    path = WorkspacePaths(tmp_path_factory.mktemp("empty")).mlflow
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def unexported(tmp_path: Path, empty_database: Path) -> Exported:
    """A finished sweep with one artifact per trial that MLflow does not have yet."""
    shutil.copy(empty_database, WorkspacePaths(tmp_path).mlflow)
    sweep = conductor(spec(**SHORT), tmp_path)
    play(sweep)
    for trial in sweep.trials:
        LocalFiles(tmp_path).write(TrialPaths(trial.hash).artifact("config.yaml"), b"seed: 0\n")
    client = mlflow.MlflowClient(WorkspacePaths(tmp_path).tracking_uri(None))
    return Exported(tmp_path, client)


def rename_metric(workspace: Path, trial: int, old: str, new: str) -> None:
    ledger = Ledger.of_workspace(workspace)
    report = tables.REPORT.c
    for row in ledger.rows(tables.REPORT, report.trial == trial):
        with ledger.transaction() as tx:
            text = row["body"].replace(f'"{old}"', f'"{new}"')
            tx.update(tables.REPORT, report.seq == row["seq"], body=text)


@pytest.mark.parametrize("key", ["tc (nats)!", "information/" + 260 * "x"])
def test_a_metric_whose_key_mlflow_refuses_gets_a_similar_one(
    unexported: Exported, key: str
) -> None:
    rename_metric(unexported.workspace, 1, "tc", key)
    assert export(unexported.workspace) == ""
    assert behind(unexported.workspace) == NOTHING_BEHIND
    contents = unexported.contents()
    for number in "0123":
        status, tags, _, histories, artifacts = contents[number]
        assert (status, tags["state"], artifacts) == ("FINISHED", "COMPLETE", {"config.yaml"})
        shown = accepted_key(key) if number == "1" else "tc"
        assert {"mig", "reconstruction", "train/loss", "final/mig", shown} <= set(histories)
        assert [step for step, _, _ in histories[shown]] == [1, 2]
        assert ("tc" in histories) == (number != "1")
    assert contents["1"][1][f"key.{key_hash(key)}"] == key


def test_a_parameter_that_a_user_logged_before_keeps_its_value(unexported: Exported) -> None:
    writer = writer_of(unexported.workspace)
    assert writer.step()
    run = unexported.runs()["1"].info.run_id
    unexported.client.log_param(run, "seed_of_user", "7")
    ledger = Ledger.of_workspace(unexported.workspace)
    (trial,) = ledger.rows(tables.TRIAL, tables.TRIAL.c.number == 1)
    with ledger.transaction() as tx:
        config = json.dumps({**json.loads(trial["config"]), "seed_of_user": 8, "notes": 9000 * "n"})
        tx.update(tables.TRIAL, tables.TRIAL.c.number == 1, config=config)
    again = writer_of(unexported.workspace)
    assert again.step(last=True)
    assert again.why_behind() == ""
    assert again.left_out() == (
        "trial 1 (beta_vae-000-s1) lacks parameter seed_of_user: the run has it already, with '7'"
    )
    assert unexported.contents()["1"][2]["seed_of_user"] == "7"
    assert unexported.contents()["1"][2]["notes"].startswith("nnn")
    assert behind(unexported.workspace) == NOTHING_BEHIND


def test_an_artifact_that_cannot_be_read_costs_that_artifact(unexported: Exported) -> None:
    trial = Ledger.of_workspace(unexported.workspace).of(tables.TRIAL, "mini")[2]
    folder = unexported.workspace / TrialPaths(trial["hash"]).artifacts
    (folder / "codes.npz").mkdir()  # no permission stops a test that runs as root
    (folder / "weights.pt").write_bytes(b"w")
    assert export(unexported.workspace) == ""
    (row,) = sweep_status(unexported.workspace, "mini")[0]["left_out"]
    assert (row["trial"], row["thing"]) == (2, "artifact codes.npz")
    assert "Is a directory" in row["why"]
    contents = unexported.contents()
    assert contents["2"][4] == {"config.yaml", "weights.pt"}
    assert {contents[number][1]["state"] for number in "0123"} == {"COMPLETE"}
    assert behind(unexported.workspace) == NOTHING_BEHIND
    (folder / "codes.npz").rmdir()
    (folder / "codes.npz").write_bytes(b"c")
    assert export(unexported.workspace) == ""
    assert unexported.contents()["2"][4] == {"config.yaml", "weights.pt", "codes.npz"}
    assert sweep_status(unexported.workspace, "mini")[0]["left_out"] == []


@pytest.mark.parametrize("method", ["create_run", "log_batch", "set_tag", "set_terminated"])
def test_an_error_of_one_run_costs_that_run_only(
    unexported: Exported, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    original = getattr(mlflow.MlflowClient, method)

    def fail_for_trial_0(self: Any, run: str, *arguments: Any, **options: Any) -> Any:
        name = options.get("run_name") or self.get_run(run).info.run_name
        if name == "beta_vae-000-s0":
            raise RuntimeError("disk of this run is full\nand more lines")
        return original(self, run, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, method, fail_for_trial_0)
        why = export(unexported.workspace)
    assert "trial 0 (beta_vae-000-s0)" in why
    assert why.endswith("disk of this run is full")
    contents = unexported.contents()
    for number in "123":
        assert contents[number][0] == "FINISHED"
        assert [step for step, _, _ in contents[number][3]["mig"]] == [1, 2]
    assert sum(behind(unexported.workspace).values()) > 0
    assert export(unexported.workspace) == ""
    assert [step for step, _, _ in unexported.contents()["0"][3]["mig"]] == [1, 2]
    assert behind(unexported.workspace) == NOTHING_BEHIND


def test_a_run_of_an_earlier_ledger_is_not_taken_for_a_trial(unexported: Exported) -> None:
    assert export(unexported.workspace) == ""
    earlier = {run.info.run_id for run in unexported.runs().values()}
    for file in unexported.workspace.glob("ledger.db*"):
        file.unlink()
    play(conductor(spec(**{**SHORT, "seeds": [7, 8]}), unexported.workspace))
    assert export(unexported.workspace) == ""
    runs = unexported.client.search_runs([unexported.experiment], "tags.seed = '7'")
    assert len(runs) == 2
    assert earlier.isdisjoint(run.info.run_id for run in runs)
    for run in runs:
        assert run.data.params["seed"] == "7"
