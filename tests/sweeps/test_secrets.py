"""No password of a URL reaches anything that is stored, printed or raised.

A secret is planted in every URL of `store`; then every byte of what a sweep leaves is searched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from local_actor import FakeStore, actor, fake_ray, step
from mini_sweep import MINI, conductor, play, spec
from postgres_server import PostgresServer, free_port, why_missing
from stored_codes import PLAIN, finished
from typer.testing import CliRunner

from sweeps.cells.notes import spec_notes
from sweeps.cli.app import app
from sweeps.driver import trial_actor
from sweeps.errors import SweepError
from sweeps.exports.mlflow_writer import MlflowWriter
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.spec.errors import SpecError
from sweeps.spec.load import spec_from_mapping
from sweeps.spec.yaml_writer import dump
from sweeps.storage.files import LocalFiles, RemoteFiles
from sweeps.storage.real_urls import real_url
from sweeps.urls import redacted

SECRET = "hunter2Qx7"
STORE = {
    "ledger": f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/db?sslpassword={SECRET}",
    "mlflow": f"http://u:{SECRET}@127.0.0.1:1/mlflow?token={SECRET}",
    "files": f"s3://{SECRET}KEY:{SECRET}@bucket/x?endpoint_override=127.0.0.1:1&scheme=http",
}


def files_with(secret: str, folder: Path) -> list[str]:
    """Return the files below a folder that hold a secret in their name or content."""
    hits: list[str] = []
    for path in folder.rglob("*"):
        if secret in path.name or (path.is_file() and secret.encode() in path.read_bytes()):
            hits.append(str(path.relative_to(folder)))
    return hits


def printed(*arguments: str) -> str:
    """Return stdout and stderr of a command that succeeds."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


# ---- what is stored


def test_no_byte_of_a_workspace_holds_a_password(tmp_path: Path) -> None:
    workspace = tmp_path / "results"
    finished(workspace, seeds=1, store=STORE)  # ledger, MLflow's database and artifacts
    target = str(tmp_path / "runs.csv")
    output = printed("report", "mini", "--workspace", str(workspace))
    output += printed("runs", "mini", "--json", "--workspace", str(workspace))
    output += printed("status", "--json", "--workspace", str(workspace))
    output += printed("export", "mini", "--to", target, "--workspace", str(workspace))
    assert SECRET not in output
    assert files_with(SECRET, tmp_path) == []
    (stored,) = workspace.glob("artifacts/mini/*/artifacts/spec.json")
    in_mlflow = json.loads(stored.read_text())["store"]
    assert {field: in_mlflow[field] for field in STORE} == {
        "ledger": "postgresql+psycopg://u:***@127.0.0.1:1/db?sslpassword=***",
        "mlflow": "http://u:***@127.0.0.1:1/mlflow?token=***",
        "files": "s3://***:***@bucket/x?endpoint_override=127.0.0.1:1&scheme=http",
    }


def test_a_spec_hides_its_passwords_in_every_text(tmp_path: Path) -> None:
    sweep = spec(store=STORE)
    assert sweep.store.files == STORE["files"]  # what is opened has them
    for text in (sweep.to_dict(), sweep.store, sweep, sweep.store.model_dump_json()):
        assert SECRET not in f"{text!r} {text}"
    assert sweep != spec(store={**STORE, "mlflow": STORE["mlflow"].replace(SECRET, "other")})


def test_variables_are_stored_as_they_are_and_read_back_as_an_equal_spec() -> None:
    store = {
        "ledger": "postgresql+psycopg://u:${DB}@h/db",
        "mlflow": "${MLFLOW}",
        "files": "s3://${KEY}:${SECRET}@bucket/x",
    }
    sweep = spec(store=store)
    assert store.items() <= sweep.to_dict()["store"].items()
    assert spec_from_mapping(sweep.to_dict()) == sweep
    assert not any("holds a password" in note for note in spec_notes(sweep))


def test_a_note_recommends_a_variable_for_each_password() -> None:
    notes = [note for note in spec_notes(spec(store=STORE)) if "holds a password" in note]
    assert [note.split()[0] for note in notes] == ["store.ledger", "store.mlflow", "store.files"]
    assert all("write ${NAME} in its place" in note for note in notes)
    assert SECRET not in " ".join(notes)


def test_a_password_that_an_older_version_stored_is_hidden_when_its_ledger_is_opened(
    tmp_path: Path,
) -> None:
    conductor(spec(), tmp_path)
    ledger = Ledger.of_workspace(tmp_path)
    old = json.dumps({**spec().to_dict(), "store": STORE})
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == "mini", spec=old)
    ledger.close()
    (row,) = Ledger.existing(tmp_path).rows(tables.SWEEP)
    assert SECRET not in row["spec"]
    stored = json.loads(row["spec"])["store"]
    assert stored.items() <= spec(store=STORE).to_dict()["store"].items()
    assert stored["ledger"] == "postgresql+psycopg://u:***@127.0.0.1:1/db?sslpassword=***"


def test_a_resume_may_change_the_password_and_the_section_store(tmp_path: Path) -> None:
    from sweeps.ledger.registration import register_sweep

    ledger = Ledger.of_workspace(tmp_path)
    register_sweep(spec(store=STORE), ledger, fingerprint="f" * 64)
    changed = {field: url.replace(SECRET, "another") for field, url in STORE.items()}
    assert register_sweep(spec(store=changed), ledger, fingerprint="f" * 64) == ""
    assert register_sweep(spec(store={"files": "${F}"}), ledger, fingerprint="f" * 64) == ""
    assert ledger.require_sweep("mini")["spec"]["store"]["files"] == "${F}"


# ---- what is printed and raised


def test_mlflow_errors_hide_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    play(conductor(spec(seeds=1), tmp_path), stop_after=1)
    url = f"http://u:{SECRET}@127.0.0.1:{free_port()}"
    writer = MlflowWriter(
        "mini", Ledger.of_workspace(tmp_path), LocalFiles(tmp_path), tmp_path, url, {}
    )
    writer.start()
    assert not writer.finish(120)
    assert "u:***@127.0.0.1" in writer.why_behind()  # the error names the URL
    assert SECRET not in writer.why_behind()
    assert SECRET not in str(writer.error)


@pytest.mark.parametrize(
    "changes",
    [
        {"store": STORE["ledger"]},
        {"store": {"ledger": [STORE["ledger"]]}},
        {"store": {"ledgr": STORE["ledger"]}},
        {"store": {"ledger": f"mysql://u:{SECRET}@h/db"}},
        {"store": {"ledger": f"postgresql://u:{SECRET}@h:port/db"}},
        {"store": {"ledger": f"postgresql://u:{SECRET} with blanks@h:port/db"}},
        {"store": {"ledger": f"postgresql://u:{SECRET}/and@more@h:port/db"}},
        {"store": {"mlflow": f"htp://{SECRET}@h"}},
        {"store": {"files": f"s4://KEY:{SECRET}@bucket"}},
        {"name": f"http://u:{SECRET}@host"},
        {"seeds": f"http://u:{SECRET}@host"},
        {STORE["ledger"]: 1},
    ],
    ids=str,
)
def test_problems_of_a_spec_hide_passwords(changes: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as raised:
        spec_from_mapping({**MINI, **changes})
    assert SECRET not in str(raised.value)
    assert all(SECRET not in problem.message for problem in raised.value.problems)


def test_an_override_with_a_password_is_not_printed(tmp_path: Path) -> None:
    file = tmp_path / "mini.yaml"
    file.write_text(dump(MINI))
    for value in (f"htp://u:{SECRET}@h", f"http://u:{SECRET}@h:port"):
        for arguments in (["validate", "--json"], ["validate"], ["run", "--dry-run"]):
            name, *options = arguments
            command = [name, str(file), *options, "--set", f"store.mlflow={value}"]
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 2
            assert "store.mlflow" in result.output
            assert SECRET not in result.output


def test_errors_of_the_files_hide_keys() -> None:
    with pytest.raises((OSError, ValueError)) as raised:
        RemoteFiles(f"s3://KEY:{SECRET}@bucket/x?secret_key={SECRET}&colour=red")
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__ or SECRET not in repr(raised.value.__context__)
    assert SECRET not in repr(RemoteFiles(f"s3://KEY:{SECRET}@bucket/x?region=x"))


def test_a_sweep_error_hides_passwords_whoever_raises_it() -> None:
    assert SECRET not in str(SweepError(f"cannot open {STORE['ledger']}"))


def test_a_failure_of_a_trial_is_reported_without_passwords(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial_actor, "ray", fake_ray())
    store = FakeStore()

    def fails(*_: object) -> None:
        print(f"opening {STORE['files']}")
        raise OSError(f"cannot open {STORE['files']}")

    monkeypatch.setattr(store, "checkpoint_epochs", SimpleNamespace(remote=fails))
    monkeypatch.setattr(trial_actor, "log_tail", lambda start: f"opening {STORE['files']}")
    report = step(actor(store))
    assert "cannot open s3://***:***@bucket" in report["message"]
    assert SECRET not in json.dumps(report)


# ---- where a password comes from


def test_a_value_is_encoded_in_user_and_options_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ODD", "p@ss/w:rd ?#")
    monkeypatch.setenv("HOST", "db.example:5433")
    url = real_url("postgresql+psycopg://u:${ODD}@${HOST}/d?sslpassword=${ODD}", "ledger")
    assert url is not None
    parsed = sa.make_url(url)
    assert (parsed.password, parsed.host, parsed.port) == ("p@ss/w:rd ?#", "db.example", 5433)
    assert parsed.query["sslpassword"] == "p@ss/w:rd ?#"
    monkeypatch.setenv("WHOLE", url)
    assert real_url("${WHOLE}", "ledger") == url
    assert redacted(str(sa.make_url(url)), url) == redacted(url)


def test_a_dollar_sign_is_escaped_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "value")
    assert real_url("/data/$${NAME}/$5/${NAME}", "files") == "/data/${NAME}/$5/value"


def test_a_stored_url_is_opened_without_what_is_hidden() -> None:
    stored = spec(store=STORE).to_dict()["store"]
    assert real_url(stored["ledger"], "ledger") == "postgresql+psycopg://u@127.0.0.1:1/db"
    assert real_url(stored["mlflow"], "mlflow") == "http://127.0.0.1:1/mlflow"
    assert real_url(stored["files"], "files") == (
        "s3://bucket/x?endpoint_override=127.0.0.1:1&scheme=http"
    )


# ---- a real sweep


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Yield a PostgreSQL server; its password is the secret."""
    with PostgresServer(password=SECRET) as running:
        yield running


def rows_of(url: str) -> str:
    """Return every value of every table of a database as one text."""
    engine = sa.create_engine(url)
    texts: list[str] = []
    try:
        with engine.connect() as connection:
            for name in sa.inspect(connection).get_table_names():
                texts.append(name)
                texts += map(str, connection.execute(sa.text(f'SELECT * FROM "{name}"')).all())
    finally:
        engine.dispose()
    return "\n".join(texts)


@pytest.mark.slow
@pytest.mark.skipif(bool(why_missing()), reason=why_missing() or "it is here")
def test_a_real_sweep_leaves_its_password_in_ledger_url_alone(
    tmp_path: Path, server: PostgresServer
) -> None:
    """Ledger (by password) and MLflow (by variable) are in PostgreSQL; the trials run in Ray."""
    server.execute('CREATE DATABASE "mlflow"')
    store = {
        "ledger": server.url(),
        "mlflow": server.url(password="${STORE_PASSWORD}", database="mlflow"),
    }
    changes = {**PLAIN, "objectives": [{"name": "beta_vae", "beta": 1}], "seeds": 1}
    changes["train"] = {"epochs": 1, "batch_size": 32}
    (tmp_path / "mini.yaml").write_text(dump({**MINI, **changes, "store": store}))
    workspace = tmp_path / "results"
    environment = {**os.environ, "SWEEPS_WORKSPACE": str(workspace), "STORE_PASSWORD": SECRET}
    ray_folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # the path of a socket is short
    environment["RAY_TMPDIR"] = ray_folder
    output = ""
    commands = (
        ["run", str(tmp_path / "mini.yaml")],
        ["status", "--json"],
        ["runs", "mini", "--json"],
        ["report", "mini"],
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "sweeps", *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        output += done.stdout + done.stderr
        assert done.returncode == 0, output
    assert SECRET not in output
    assert files_with(SECRET, workspace) == ["ledger.url"]
    assert (workspace / "ledger.url").stat().st_mode & 0o777 == 0o600
    ledger, mlflow = rows_of(server.url()), rows_of(server.url(database="mlflow"))
    assert "mini" in ledger
    assert "mini" in mlflow
    assert SECRET not in ledger + mlflow
    assert files_with("mini", Path(ray_folder))  # Ray's logs are there
    assert files_with(SECRET, Path(ray_folder)) == []
    shutil.rmtree(ray_folder, ignore_errors=True)
