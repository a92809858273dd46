"""The folder of a workspace: what names one, and which databases open in it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import mini_sweep
import pytest
from nasty_names import NASTY_FOLDER

from sweeps.errors import SweepError
from sweeps.exports import mlflow_client, optuna_db
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles, RemoteFiles, open_files
from sweeps.storage.workspace import LONGEST_PATH, WorkspacePaths, workspace_path


@pytest.fixture(scope="module")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without runs: to create its tables takes seconds, to copy them none."""
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow_client.connect(folder, None, "mini").search_experiments()
    return WorkspacePaths(folder).mlflow


@pytest.mark.parametrize("name", ["My Drive", "%41 what?", NASTY_FOLDER])
def test_all_three_databases_and_the_artifacts_are_in_the_workspace(
    name: str, tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / name
    monkeypatch.chdir(tmp_path)
    sweep = mini_sweep.spec()
    conductor = mini_sweep.conductor(sweep, Path(name))  # relative, as on a command line
    mini_sweep.play(conductor)
    shutil.copy(empty_mlflow, workspace)
    client = mlflow_client.connect(workspace, None, "mini")
    experiment = mlflow_client.require_experiment(client, "mini", workspace, None)
    run = mlflow_client.create_run(client, experiment, "r", created=0.0, tags={})
    files = LocalFiles(workspace)
    files.write("trials/abc/artifacts/config.yaml", b"seed: 0\n")
    mlflow_client.log_artifacts(client, run, files, "abc", ["config.yaml"])
    ledger = Ledger.existing(workspace)
    optuna_db.export_studies(sweep, conductor.cells, ledger, workspace)
    ledger.close()

    in_workspace = {path.name for path in workspace.iterdir()}
    assert {"ledger.db", "mlflow.db", "optuna.db", "artifacts", "trials"} <= in_workspace
    assert [path.name for path in tmp_path.iterdir()] == [name]
    downloaded = Path(client.download_artifacts(run, "config.yaml"))
    assert downloaded.read_text() == "seed: 0\n"
    (linked,) = (workspace / "artifacts").rglob("config.yaml")
    assert linked.samefile(workspace / "trials/abc/artifacts/config.yaml")
    assert _count(workspace / "ledger.db", "trial") == 8
    assert _count(workspace / "optuna.db", "trials") == 4


def _count(file: Path, table: str) -> int:
    """Return the rows of a table, read by SQLite itself."""
    connection = sqlite3.connect(file)
    try:
        (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        return count
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("results", "results"),
        ("results/", "results"),
        ("file:///tmp/a%20b%3F", "/tmp/a b?"),
        ("~/results", "/home/someone/results"),
        ("./~", "~"),
        (Path("results"), "results"),
        ("-x", "-x"),
    ],
)
def test_a_workspace_is_a_path_or_a_file_uri(
    given: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert workspace_path(given) == Path(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "workspace must be the path of a folder, got ''"),
        ("a\0b", "workspace must be the path of a folder"),
        ("s3://bucket/x", "must be a folder of this machine, got 's3://bucket/x'.*store.files"),
        ("file://host/x", "workspace must be file:///PATH"),
        ("/tmp/\udcff", "workspace must have a path in UTF-8"),
        (__file__, "workspace must be a folder, got .*, which is a file"),
        ("/" + "x" * 256, "workspace must be the path of a folder.*too long"),
        ("/x" * 250, f"at most {LONGEST_PATH} bytes, got 500: SQLite opens no longer one"),
    ],
)
def test_another_workspace_is_refused_with_its_rule(given: str, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        workspace_path(given)


def test_the_longest_path_is_just_what_sqlite_opens(tmp_path: Path) -> None:
    folder = tmp_path
    while len(str(folder)) < LONGEST_PATH - 101:
        folder /= "x" * 99
    folder /= "y" * (LONGEST_PATH - len(str(folder)) - 1)
    assert len(str(folder)) == LONGEST_PATH
    Ledger.of_workspace(workspace_path(folder)).close()
    with pytest.raises(SweepError):
        workspace_path(f"{folder}y")


@pytest.mark.parametrize("inside", [True, False])
def test_a_ledger_elsewhere_is_remembered_and_one_inside_moves_along(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    old, moved = Path("old?"), tmp_path / "moved %41"
    url = "sqlite:///old%3F/sub/my.db" if inside else "sqlite:///else where/my.db"
    with Ledger.of_workspace(old, url).transaction() as tx:
        tx.insert(tables.SWEEP, name="mini", spec="{}", created=0.0, software="{}")
    old.rename(moved)
    monkeypatch.chdir("/")
    assert Ledger.existing(moved).sweep_names() == ["mini"]
    assert not (tmp_path / "old?").exists()


def test_stored_files_may_lie_in_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a b#c?"
    for text in (str(folder), folder.as_uri()):
        files = open_files(tmp_path, text)
        assert isinstance(files, LocalFiles)
        assert files.root == folder
    assert isinstance(open_files(tmp_path, "mock://x"), RemoteFiles)
