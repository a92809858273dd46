"""A PostgreSQL server for tests: on loopback, in a folder of its own, with a password.

`with PostgresServer(folder) as server:` starts it; the ledger of a test is then `server.url()`.
`why_missing()` says why there can be no server here, for `pytest.mark.skipif`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

BINARIES = ("initdb", "pg_ctl")
SERVER_USER = "postgres"
"""The user of the operating system that runs the server if the tests run as root."""

START_SECONDS = 120
"""How long a start or a stop may take on a machine that does other work too."""

StopMode = Literal["fast", "immediate"]
"""`fast` ends connections and writes everything; `immediate` is a crash: nothing is written."""


def why_missing() -> str:
    """Return why no server can be started here; "" if one can."""
    missing = [name for name in BINARIES if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} of PostgreSQL not on PATH"
    if os.geteuid() != 0:
        return ""
    if shutil.which("setpriv") is None:
        return "PostgreSQL refuses to run as root, and there is no setpriv"
    try:
        pwd.getpwnam(SERVER_USER)
    except KeyError:
        return f"PostgreSQL refuses to run as root, and there is no user {SERVER_USER!r}"
    return ""


def free_port() -> int:
    """Return a port of loopback on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PostgresServer:
    """One server with one user and one empty database. The port stays the same over restarts."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        user: str = "sweeper",
        password: str = "not a secret",
        database: str = "ledger",
    ) -> None:
        """Choose folder and port; `start` does the rest.

        Args:
            folder: for the files of the server; it is created. None: a temporary folder, deleted by
                `remove`.
            user: of the database.
            password: of the user. The server asks for it on every connection.
            database: the name of the database.
        """
        self.user, self.password, self.database = user, password, database
        self.port = free_port()
        self._temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="postgres-"))

    @property
    def log(self) -> str:
        """What the server has logged since its first start."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def pid(self) -> int:
        """The id of the server's first process, for tests that kill it."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def url(
        self,
        *,
        password: str | None = None,
        database: str | None = None,
        scheme: str = "postgresql+psycopg",
    ) -> str:
        """Return the URL of the database; other parts stand for those of the server.

        Args:
            password: as a user writes it in a URL (`${NAME}` stays as it is); "" for none.
            database: another name.
            scheme: dialect and driver.
        """
        if password is None:
            password = urllib.parse.quote(self.password, safe="")
        user = f"{self.user}:{password}" if password else self.user
        return f"{scheme}://{user}@127.0.0.1:{self.port}/{database or self.database}"

    def start(self) -> PostgresServer:
        """Start the server, and create its files at the first start."""
        if not (self.folder / "data" / "PG_VERSION").exists():
            self._create()
        listens = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories="
        self._run("pg_ctl", "start", "-D", self._data, "-l", self._log, "-w", "-o", listens)
        if not self._has_database():
            self._execute("postgres", f'CREATE DATABASE "{self.database}"')
        return self

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server; its files stay."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", self._data, "-w", "-m", mode)

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop the server and start it on the same port."""
        self.stop(mode)
        self.start()

    @contextlib.contextmanager
    def restarted_after(self, seconds: float, mode: StopMode = "fast") -> Iterator[None]:
        """Stop the server now, and start it in another thread after some seconds."""
        self.stop(mode)
        timer = threading.Timer(seconds, self.start)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def execute(self, statement: str) -> None:
        """Execute one SQL statement in the database, outside of a transaction."""
        self._execute(self.database, statement)

    def set_password(self, password: str) -> None:
        """Give the user another password; open connections stay open."""
        quoted = password.replace("'", "''")
        self.execute(f"ALTER USER \"{self.user}\" PASSWORD '{quoted}'")
        self.password = password

    def remove(self) -> None:
        """Stop the server, and delete its files if the folder is a temporary one."""
        self.stop("immediate")
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    @property
    def _log(self) -> str:
        return str(self.folder / "log")

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            account = pwd.getpwnam(SERVER_USER)
            for path in (self.folder, secret):
                os.chown(path, account.pw_uid, account.pw_gid)
            # Folders of pytest may be entered by their owner only.
            for parent in self.folder.resolve().parents:
                mode = parent.stat().st_mode
                if not mode & 0o001:
                    parent.chmod(mode | 0o011)
        try:
            self._run(
                *("initdb", "-D", self._data, "-U", self.user, "--pwfile", str(secret)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            )
        finally:
            secret.unlink()

    def _run(self, *command: str) -> None:
        """Run a program of PostgreSQL, as another user if this process is root.

        Its output goes into a file: a server that was started keeps the pipe open otherwise.
        """
        prefix: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(SERVER_USER)
            prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"]
            prefix.append("--clear-groups")
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, "LC_ALL": "C"},
                timeout=START_SECONDS,
                check=False,
            )
            output.seek(0)
            text = output.read().decode(errors="replace")
        if ended.returncode:
            raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {text}\n{self.log}")

    def _has_database(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._parameters(self.database)).close()
        except psycopg.OperationalError as error:
            if "does not exist" in str(error):
                return False
            raise
        return True

    def _execute(self, database: str, statement: str) -> None:
        import psycopg

        with psycopg.connect(self._parameters(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _parameters(self, database: str) -> str:
        from psycopg.conninfo import make_conninfo

        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=database,
            connect_timeout=10,
        )
