"""Mistakes in `store` and workspaces: exit code 2, rule, value and remedy, and no traceback.

Every command that opens a workspace is tried with every damage that it can meet.
"""

from __future__ import annotations

import http.server
import os
import re
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result
from mini_sweep import MINI
from postgres_server import PostgresServer, free_port, why_missing
from stored_codes import PLAIN, finished
from typer.testing import CliRunner

import sweeps
from sweeps.cli.app import app
from sweeps.driver.start_checks import load_data
from sweeps.errors import SweepError
from sweeps.ledger import connecting
from sweeps.ledger.ledger import Ledger
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.spec.yaml_writer import dump
from sweeps.storage import file_checks
from vae_core.types import Data

SECRET = "hunter2-Qx7"
NAME = "mini"
READERS = (
    ("status",),
    ("runs", NAME),
    ("report", NAME),
    ("export", NAME, "--to", "runs.csv"),
    ("rescore", NAME, "--metrics", "mig"),
)
WRITERS = (("run", "mini.yaml"), ("run", "mini.yaml", "--dry-run"))


@pytest.fixture(scope="module")
def finished_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with a finished sweep, made without training. Tests copy it."""
    folder = tmp_path_factory.mktemp("finished")
    finished(folder, seeds=1)
    return folder


@pytest.fixture
def workspace(finished_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it; the current folder is beside it, with the spec as `mini.yaml`."""
    folder = tmp_path / "results"
    shutil.copytree(finished_workspace, folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    write_spec()
    return folder


def write_spec(**store: str) -> None:
    """Write the spec of the finished sweep, with a section `store`, to `mini.yaml`."""
    Path("mini.yaml").write_text(dump({**MINI, **PLAIN, "seeds": 1, "store": store}))


def command(*arguments: str, workspace: Path | str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [*arguments, "--workspace", str(workspace)])


def refused(result: Result) -> str:
    """Return the message of a command that must end with an error of the user."""
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    return " ".join(re.sub("[│╭╮╰╯─]", " ", " ".join(lines)).split())


def remove(workspace: Path, name: str) -> Path:
    """Delete a database with its side files, and return its path."""
    for file in workspace.glob(f"{name}*"):
        file.unlink()
    return workspace / name


def text(file: Path) -> None:
    file.write_text("no database at all, but some lines of text\n" * 40)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def folder(file: Path) -> None:
    file.mkdir()


def foreign(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE moz_places (id INTEGER, url TEXT)")
    connection.close()


def alike(file: Path) -> None:
    """Write a database of another program with a table of the same name."""
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE sweep (id INTEGER, broom TEXT)")
    connection.close()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (text, "must be a SQLite file of this program"),
    "empty": (empty, "is empty (0 bytes)"),
    "folder": (folder, "which is a folder"),
    "foreign": (foreign, "tables of another program (moz_places)"),
    "alike": (alike, "whose table 'sweep' is of another program"),
}


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS], ids=" ".join)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_ledger_that_is_none_is_refused(
    workspace: Path, damage: str, arguments: Sequence[str]
) -> None:
    make, rule = DAMAGES[damage]
    make(remove(workspace, "ledger.db"))
    before = snapshot(workspace)
    message = refused(command(*arguments, workspace=workspace))
    assert rule in message
    assert "ledger.db" in message
    assert "move" in message  # the remedy
    assert snapshot(workspace) == before  # nothing was added to a file of another program


def snapshot(workspace: Path) -> dict[str, bytes]:
    """Return the content of the ledger's file, if it is one."""
    return {file.name: file.read_bytes() for file in workspace.glob("ledger*") if file.is_file()}


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS], ids=" ".join)
def test_a_truncated_ledger_is_refused(workspace: Path, arguments: Sequence[str]) -> None:
    file = workspace / "ledger.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = file.read_bytes()
    remove(workspace, "ledger.db").write_bytes(content[: len(content) // 2])
    message = refused(command(*arguments, workspace=workspace))
    assert "malformed" in message
    assert "put a copy of the ledger back" in message


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS], ids=" ".join)
@pytest.mark.parametrize(
    "statement", ["ALTER TABLE sweep ADD COLUMN colour TEXT", "PRAGMA user_version=7"]
)
def test_a_ledger_of_a_newer_version_is_refused(
    workspace: Path, statement: str, arguments: Sequence[str]
) -> None:
    with sqlite3.connect(workspace / "ledger.db") as connection:
        connection.execute(statement)
    connection.close()
    message = refused(command(*arguments, workspace=workspace))
    assert "which a newer version has written" in message
    assert "update this program" in message


def test_a_damage_that_shows_only_later_is_refused_too(workspace: Path) -> None:
    with sqlite3.connect(workspace / "ledger.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_master SET rootpage=10000 WHERE name='report'")
    connection.close()
    for arguments in READERS[:2]:
        assert "malformed" in refused(command(*arguments, workspace=workspace))


def test_a_wal_without_its_ledger_is_refused_and_kept(workspace: Path) -> None:
    remove(workspace, "ledger.db")
    log = workspace / "ledger.db-wal"
    log.write_bytes(b"changes of a ledger")
    assert "which is missing while 'ledger.db-wal'" in refused(
        command("run", "mini.yaml", workspace=workspace)
    )
    assert log.read_bytes() == b"changes of a ledger"


# ---- mlflow.db


@pytest.mark.parametrize(
    "arguments",
    [("report", NAME), ("rescore", NAME, "--metrics", "mig"), ("ui",), *WRITERS],
    ids=" ".join,
)
@pytest.mark.parametrize("damage", ["text", "folder", "foreign"])
def test_an_mlflow_database_that_is_none_is_refused(
    workspace: Path, damage: str, arguments: Sequence[str]
) -> None:
    DAMAGES[damage][0](remove(workspace, "mlflow.db"))
    message = refused(command(*arguments, workspace=workspace))
    assert "mlflow.db of a workspace must be a database of MLflow" in message
    assert "move it away" in message


# ---- ledger.url

BAD_MEMORIES = {
    "junk": b"my ledger",
    "empty": b"",
    "binary": b"\xff\xfe\x00",
    "scheme": b"mysql://root:hunter2-Qx7@host/db",
}


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS], ids=" ".join)
@pytest.mark.parametrize("content", BAD_MEMORIES)
def test_a_remembered_url_that_is_none_is_refused(
    workspace: Path, content: str, arguments: Sequence[str]
) -> None:
    (workspace / "ledger.url").write_bytes(BAD_MEMORIES[content])
    message = refused(command(*arguments, workspace=workspace))
    assert "ledger.url' must hold the URL of the ledger" in message
    assert "delete the file" in message


def test_a_remembered_url_that_is_a_folder_is_refused(workspace: Path) -> None:
    (workspace / "ledger.url").mkdir()
    assert "cannot be read (Is a directory)" in refused(command("status", workspace=workspace))


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS], ids=" ".join)
def test_a_remembered_server_that_is_away_is_named_with_the_other_ledger(
    workspace: Path, arguments: Sequence[str]
) -> None:
    url = f"postgresql+psycopg://u:{SECRET}@127.0.0.1:{free_port()}/db"
    (workspace / "ledger.url").write_text(url)
    message = refused(command(*arguments, workspace=workspace))
    assert "postgresql+psycopg://u:***@127.0.0.1" in message
    assert "Connection refused" in message
    assert "ledger.db', which is there too" in message


# ---- store.ledger of a spec


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield a port on which connections are taken and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


LEDGERS = {
    "refused": ("postgresql+psycopg://u:{secret}@127.0.0.1:{port}/db", "start the server"),
    "unknown host": ("postgresql+psycopg://u:{secret}@no-host.invalid/db", "name of the host"),
    "unknown driver": ("postgresql+foo://u:{secret}@127.0.0.1/db", "postgresql+psycopg://"),
    "missing driver": ("postgresql+pg8000://u:{secret}@127.0.0.1/db", "'vae-sweeps[postgres]'"),
    "port is no number": ("postgresql+psycopg://u:{secret}@host:port/db", "percent-encode"),
    "no URL": ("postgresql", "must be a sqlite:///… or postgresql://… URL"),
    "another database": ("mysql://u:{secret}@host/db", "must be a sqlite:///… or postgresql://…"),
    "unset variable": (
        "postgresql+psycopg://u:${{NOT_SET}}@host/db",
        "NOT_SET is not set",
    ),
    "no variable": ("postgresql+psycopg://u:${{}}@host/db", "names of environment variables"),
    "hidden": ("postgresql+psycopg://u:***@host/db", "must have its password"),
    "a folder": ("sqlite:///{folder}", "which is a folder"),
    "below a file": ("sqlite:///{folder}/mini.yaml/ledger.db", "must be a database that can be"),
}


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
@pytest.mark.parametrize("mistake", LEDGERS)
def test_a_ledger_that_cannot_be_opened_is_refused_and_not_remembered(
    workspace: Path, mistake: str, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    url, remedy = LEDGERS[mistake]
    values = {"secret": SECRET, "port": free_port(), "folder": str(workspace.parent)}
    write_spec(ledger=url.format(**values))
    new = workspace.parent / "new"
    message = refused(command(*arguments, workspace=new))
    assert message.startswith("mini.yaml:") or message.startswith("store.ledger")
    assert "store.ledger" in message
    assert remedy in message
    assert not (new / "ledger.url").exists()
    # In a workspace with sweeps the mistake changes nothing either.
    refused(command(*arguments, workspace=workspace))
    assert command("status", workspace=workspace).exit_code == 0


def test_a_server_that_never_answers_is_given_up(
    workspace: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 2)  # the least that libpq knows
    write_spec(ledger=f"postgresql+psycopg://u:{SECRET}@127.0.0.1:{silent_port}/db")
    message = refused(command("run", "mini.yaml", workspace=workspace.parent / "new"))
    assert "timeout expired" in message
    assert "firewall" in message


def test_every_unset_variable_is_named_at_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DB_PASSWORD", "S3_SECRET", "MLFLOW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    write_spec(
        ledger="postgresql+psycopg://u:${DB_PASSWORD}@h/db",
        files="s3://KEY:${S3_SECRET}@bucket",
        mlflow="http://u:${MLFLOW_PASSWORD}@h",
    )
    message = refused(command("run", "mini.yaml", workspace=workspace))
    assert all(name in message for name in ("DB_PASSWORD", "S3_SECRET", "MLFLOW_PASSWORD"))


def test_another_ledger_is_refused_while_the_workspace_has_sweeps(workspace: Path) -> None:
    other = workspace.parent / "other.db"
    write_spec(ledger=f"sqlite:///{other}")
    for arguments in WRITERS:
        message = refused(command(*arguments, workspace=workspace))
        assert str(workspace / "ledger.db") in message
        assert str(other) in message
        assert "its sweeps would no longer be found (mini)" in message
        assert "leave store.ledger out" in message
    assert not other.exists()
    assert not (workspace / "ledger.url").exists()
    assert Ledger.existing(workspace).sweep_names() == [NAME]


def test_a_remembered_file_that_is_gone_is_named(workspace: Path) -> None:
    other = workspace.parent / "elsewhere.db"
    new = workspace.parent / "new"
    Ledger.of_workspace(new, f"sqlite:///{other}").close()
    remove(workspace.parent, "elsewhere.db")
    message = refused(command("status", workspace=new))
    assert f"new/ledger.url' names holds none ({other})" in message
    assert "put it back there" in message


def test_a_moved_ledger_that_has_all_sweeps_is_accepted(workspace: Path) -> None:
    with sqlite3.connect(workspace / "ledger.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    other = workspace.parent / "other.db"
    shutil.copy(workspace / "ledger.db", other)
    Ledger.of_workspace(workspace, f"sqlite:///{other}").close()
    assert (workspace / "ledger.url").read_text() == f"sqlite:///{other}"
    # Now it is the first ledger that lacks what comes later.
    with sqlite3.connect(other) as connection:
        connection.execute("UPDATE sweep SET name='later'")
    connection.close()
    with pytest.raises(SweepError, match=r"no longer be found \(later\).*give store.ledger: "):
        Ledger.of_workspace(workspace, f"sqlite:///{workspace / 'ledger.db'}")


# ---- store.files and store.mlflow

FILES = {
    "unknown scheme": ("ftp://u:{secret}@host/x", "must be a folder or a URI that pyarrow"),
    "near scheme": ("s4://u:{secret}@host/x", "did you mean s3://?"),
    "refused": (
        "gs://KEY:{secret}@bucket/x?endpoint_override=127.0.0.1:{port}&scheme=http"
        "&retry_limit_seconds=0.5",
        "see that the bucket exists",
    ),
    "option": ("s3://KEY:{secret}@bucket/x?colour=red", "correct the URI"),
    "a file": ("{folder}/mini.yaml", "name a folder of this machine"),
    "below a file": ("{folder}/mini.yaml/x", "name a folder of this machine"),
}


@pytest.mark.parametrize("mistake", FILES)
def test_files_that_cannot_be_written_are_refused_before_the_data_are_loaded(
    workspace: Path, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.driver.run.load_data", lambda spec: pytest.fail("data were loaded"))
    uri, rule = FILES[mistake]
    values = {"secret": SECRET, "port": free_port(), "folder": str(workspace.parent)}
    write_spec(files=uri.format(**values))
    message = refused(command("run", "mini.yaml", workspace=workspace.parent / "new"))
    assert "store.files" in message
    assert rule in message


def test_files_that_never_answer_are_given_up(
    workspace: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_checks, "ANSWER_SECONDS", 1.0)
    uri = f"s3://KEY:{SECRET}@bucket?endpoint_override=127.0.0.1:{silent_port}&scheme=http&region=x"
    write_spec(files=uri)
    for arguments in WRITERS:
        message = refused(command(*arguments, workspace=workspace.parent / "new"))
        assert "has not answered in 1 seconds" in message


class ReadOnlyBucket(http.server.BaseHTTPRequestHandler):
    """A bucket of S3 that lists no object and takes none. Its refusal repeats the key."""

    def do_GET(self) -> None:
        self._answer(200, "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.count("/") == 1 else 404, "")

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        message = f"no access for {SECRET}"
        self._answer(403, f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>")

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())


def test_a_bucket_that_is_read_only_is_refused_before_the_sweep_begins(workspace: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), ReadOnlyBucket) as bucket:
        threading.Thread(target=bucket.serve_forever, daemon=True).start()
        address = f"endpoint_override=127.0.0.1:{bucket.server_port}&scheme=http&region=x"
        write_spec(files=f"s3://KEY:{SECRET}@bucket/x?{address}")
        message = refused(command("run", "mini.yaml", workspace=workspace))
        uri = load_spec("mini.yaml").store.files
        file_checks.open_checked_files(workspace, uri, write=False)  # reading is enough to rescore
        bucket.shutdown()
    assert "s3://***:***@bucket" in message
    assert "ACCESS_DENIED" in message
    assert "give keys that may write there" in message


@pytest.mark.parametrize(
    "server", ["http://", "htp://u:{}@host", "http://u:{}@host:port", "postgresql+foo://u:{}@h/d"]
)
def test_an_mlflow_server_that_is_none_is_a_problem_of_the_spec(
    workspace: Path, server: str
) -> None:
    write_spec(mlflow=server.format(SECRET))
    message = refused(command("run", "mini.yaml", workspace=workspace))
    assert "store.mlflow must" in message


# ---- names and folders


@pytest.mark.parametrize("length", [250, 300])
def test_a_name_that_is_too_long_for_a_file_is_a_problem_of_the_spec(
    workspace: Path, length: int
) -> None:
    result = command("run", "mini.yaml", "--set", f"name={'x' * length}", workspace=workspace)
    message = refused(result)
    assert f"name must have at most 249 characters, got {length}" in message
    assert "use a shorter one" in message


def test_the_longest_name_runs_into_no_limit_of_the_file_system(tmp_path: Path) -> None:
    from sweeps.storage.lock import one_driver
    from sweeps.storage.workspace import WorkspacePaths

    name = "x" * 249
    with one_driver(name, tmp_path):
        WorkspacePaths(tmp_path).report(name).mkdir(parents=True)
    with pytest.raises(SweepError), one_driver("x" * 250, tmp_path):
        pass


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS, ("ui",)], ids=" ".join)
def test_a_workspace_that_is_a_file_is_refused(workspace: Path, arguments: Sequence[str]) -> None:
    message = refused(command(*arguments, workspace=workspace.parent / "mini.yaml"))
    assert "workspace must be a folder" in message


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_a_workspace_below_a_file_is_refused(workspace: Path, arguments: Sequence[str]) -> None:
    message = refused(command(*arguments, workspace=workspace.parent / "mini.yaml" / "results"))
    assert "workspace must be a folder that can be written to" in message
    assert "name another with --workspace" in message


def test_a_report_folder_that_cannot_be_written_is_refused(workspace: Path) -> None:
    (workspace / "reports").write_text("a file in the place of a folder")
    message = refused(command("report", NAME, workspace=workspace))
    assert "workspace must be a folder that can be written to" in message


def test_a_workspace_that_vanishes_during_a_report_is_an_error_of_the_user(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps.results import run_table

    load_runs = run_table.load_runs

    def vanishing(folder: Path, name: str) -> object:
        runs = load_runs(folder, name)
        shutil.rmtree(folder)
        folder.write_text("")  # so that it cannot be made again
        return runs

    monkeypatch.setattr(run_table, "load_runs", vanishing)
    assert "workspace must be a folder" in refused(command("report", NAME, workspace=workspace))


def test_a_workspace_that_vanishes_during_a_run_is_an_error_of_the_user(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanishing(spec: SweepSpec) -> Data:
        shutil.rmtree(workspace)
        return load_data(spec)

    monkeypatch.setattr("sweeps.driver.run.load_data", vanishing)
    message = refused(command("run", "mini.yaml", "--set", "name=new", workspace=workspace))
    assert "it was moved, deleted or replaced while the sweep ran" in message
    assert "give the same command again" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("arguments", [*READERS, *WRITERS], ids=" ".join)
def test_a_workspace_that_is_read_only_is_refused(
    workspace: Path, arguments: Sequence[str]
) -> None:
    workspace.chmod(0o555)
    try:
        message = refused(command(*arguments, workspace=workspace))
    finally:
        workspace.chmod(0o755)
    assert "that can be written to" in message


def test_the_python_interface_raises_sweep_errors(workspace: Path) -> None:
    text(remove(workspace, "ledger.db"))
    with pytest.raises(SweepError, match=r"is no SQLite database"):
        sweeps.load_runs(workspace, NAME)
    with pytest.raises(SweepError, match=r"is no SQLite database"):
        sweeps.write_report(workspace, NAME)
    with pytest.raises(SweepError, match=r"is no SQLite database"):
        sweeps.run({**MINI, **PLAIN}, workspace=workspace)
    assert (workspace / "ledger.db").read_text().startswith("no database")


# ---- PostgreSQL

needs_postgres = pytest.mark.skipif(bool(why_missing()), reason=why_missing() or "it is here")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Yield a PostgreSQL server with a password."""
    with PostgresServer(password=SECRET) as running:
        yield running


@needs_postgres
def test_a_wrong_password_and_a_missing_database_are_refused(
    workspace: Path, server: PostgresServer
) -> None:
    new = workspace.parent / "new"
    cases = (
        (server.url(password=f"{SECRET}x"), "correct user and password"),
        (server.url(password=""), "PGPASSWORD or in ~/.pgpass"),
        (server.url(database="nowhere"), "create the database (createdb NAME)"),
        (f"{server.url()}?colour=red", "correct what follows ?"),
    )
    for url, remedy in cases:
        write_spec(ledger=url)
        for arguments in WRITERS:
            message = refused(command(*arguments, workspace=new))
            assert message.startswith("store.ledger must be a database that can be opened")
            assert remedy in message
        assert not (new / "ledger.url").exists()


@needs_postgres
def test_a_user_without_rights_and_a_foreign_table_are_refused(
    workspace: Path, server: PostgresServer
) -> None:
    server.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-pw'")
    write_spec(ledger=server.url(password="guest-pw").replace(f"//{server.user}:", "//guest:"))
    message = refused(command("run", "mini.yaml", workspace=workspace.parent / "new"))
    assert "GRANT CREATE ON SCHEMA" in message
    server.execute('CREATE DATABASE "foreign"')
    with sa.create_engine(server.url(database="foreign")).begin() as connection:
        connection.execute(sa.text("CREATE TABLE sweep (id INTEGER, broom TEXT)"))
    write_spec(ledger=server.url(database="foreign"))
    message = refused(command("run", "mini.yaml", workspace=workspace.parent / "new"))
    assert "whose table 'sweep' is of another program" in message


@needs_postgres
def test_a_ledger_in_postgres_is_remembered_and_follows_a_new_password(
    workspace: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = workspace.parent / "new"
    Ledger.of_workspace(new, server.url()).close()
    memory = new / "ledger.url"
    assert memory.read_text() == server.url()
    assert memory.stat().st_mode & 0o777 == 0o600
    assert command("status", workspace=new).exit_code == 0

    monkeypatch.setenv("LEDGER_PASSWORD", SECRET)  # the same database, named in another way
    Ledger.of_workspace(new, server.url(password="${LEDGER_PASSWORD}")).close()
    assert SECRET not in memory.read_text()
    assert command("status", workspace=new).exit_code == 0
    monkeypatch.delenv("LEDGER_PASSWORD")
    assert "LEDGER_PASSWORD is not set" in refused(command("status", workspace=new))
    monkeypatch.setenv("LEDGER_PASSWORD", "another one")
    assert "correct user and password" in refused(command("status", workspace=new))

    monkeypatch.setenv("PGPASSWORD", SECRET)  # as libpq defines it
    Ledger.of_workspace(new, server.url(password="")).close()
    assert command("status", workspace=new).exit_code == 0
