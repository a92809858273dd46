"""What an error of a database says, in one line without passwords, and what a user can do."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from sweeps.urls import redacted

LONGEST_CAUSE = 300
"""Characters of an error of a library in a message."""

_REMEDIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("password authentication failed", "no password supplied", "pg_hba.conf", 'role "'),
        "correct user and password: in the URL as ${NAME}, in PGPASSWORD or in ~/.pgpass",
    ),
    (
        ("permission denied for",),
        "let this user create tables there (GRANT CREATE ON SCHEMA public TO USER)",
    ),
    (("read-only transaction",), "name a server that takes writes, not its replica"),
    (("does not exist",), "create the database (createdb NAME), or correct its name"),
    (
        ("connection refused", "no such file or directory\n\tis the server"),
        "start the server, or correct host and port",
    ),
    (
        ("timeout", "timed out", "no route", "unreachable"),
        "see that the host answers from here (firewall, VPN), or correct host and port",
    ),
    (("resolve host", "translate host"), "correct the name of the host"),
    (("invalid connection option", "bad value for"), "correct what follows ? in the URL"),
    (("database is locked",), "end the program that holds the file, or wait for it"),
    (
        ("malformed", "not a database", "disk i/o error", "corrupt"),
        "put a copy of the ledger back, or move this file away: the sweeps then begin again",
    ),
    (
        ("readonly", "read-only", "permission denied", "unable to open database file"),
        "let this user write to the file and its folder (SQLite writes beside a file that it "
        "reads), or copy the workspace to a folder that can be written to",
    ),
    (("no space", "disk is full", "disk full"), "free space on the disk"),
)
"""Words of a driver's message -> the remedy. Servers in other languages get the general one."""


def cause(error: BaseException, url: str | None) -> str:
    """Return the first line of an error of SQLAlchemy or a driver, without the passwords of a URL.

    Args:
        error: of SQLAlchemy, of a driver, or of the operating system.
        url: that was opened, with its password; None if it is not known.
    """
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = [line.strip() for line in redacted(str(original), url).splitlines() if line.strip()]
    text = lines[0] if lines else type(original).__name__
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"


def remedy(error: BaseException, url: str | None) -> str:
    """Return what a user can do about an error; the arguments are those of `cause`."""
    text = str(error.orig if isinstance(error, DBAPIError) and error.orig else error).lower()
    for words, what_to_do in _REMEDIES:
        if any(word in text for word in words):
            return what_to_do
    if url is not None and not url.startswith("sqlite"):
        return "see that the database runs, and correct the URL"
    return "see that the file is there, is a ledger, and can be written to"
