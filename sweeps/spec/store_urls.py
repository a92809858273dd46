"""Checks the URLs of the section `store`, as far as a spec alone can tell.

A URL that holds `${NAME}` is complete only when its connection is opened. Until then what stands
before the first variable is checked.
"""

from __future__ import annotations

import urllib.parse

from metrics.near_names import nearest
from sweeps.urls import HIDDEN, absolute_url, local_path, redacted, redacted_url, variables

DATABASES = ("sqlite", "postgresql")
SERVERS = ("http", "https", "databricks", *DATABASES, "mysql", "mssql")
FILE_SYSTEMS = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "mock")
"""Schemes that MLflow and pyarrow can open."""


def check_server(value: str | None) -> str | None:
    """Return the URL of MLflow; raise ValueError if it is none."""
    if value is None or _begins_with_variable(value):
        return value
    rule = "must be a server or a database (http://…, sqlite:///…, postgresql://…)"
    if "://" not in value or value.startswith("file:"):
        reason = "MLflow's folder of files loses metrics"
        remedy = "leave it null to keep the runs in the workspace"
        raise ValueError(f"{rule}, got {redacted_url(value)!r}; {reason}, {remedy}")
    dialect = _check_scheme(value, SERVERS, rule)
    if dialect in ("http", "https"):
        _check_host(value)
    return _checked_database(value) if dialect in ("sqlite", "postgresql") else value


def check_database(value: str | None) -> str | None:
    """Return the URL of the ledger, with the absolute path of a SQLite file; else ValueError."""
    if value is None or _begins_with_variable(value):
        return value
    rule = "must be a sqlite:///… or postgresql://… URL"
    if "://" not in value:
        raise ValueError(f"{rule}, got {redacted_url(value)!r}")
    _check_scheme(value, DATABASES, rule)
    return _checked_database(value)


def check_files(value: str | None) -> str | None:
    """Return a URI as it is given, and a path as an absolute one: later commands must find it."""
    if value is None or _begins_with_variable(value):
        return value
    path = local_path(value)
    if path is not None:
        return str(path.absolute())
    _check_scheme(value, FILE_SYSTEMS, "must be a folder or a URI that pyarrow can open (s3://…)")
    return value


def _begins_with_variable(value: str) -> bool:
    """Return whether nothing of a value is known before its connection is opened.

    Raises:
        ValueError: a variable has no valid name; or a password is hidden in the value, because it
            was copied from a stored spec.
    """
    variables(value)
    if HIDDEN in value:
        raise ValueError(
            f"must have its password, got {redacted_url(value)!r}: stored specs have {HIDDEN} in "
            "its place; write ${NAME} there, and set that environment variable"
        )
    return value.startswith("${")


def _check_scheme(value: str, known: tuple[str, ...], rule: str) -> str:
    """Return the scheme of a URL without its driver; raise ValueError if it is not known."""
    scheme = value.partition("://")[0]
    dialect = scheme.partition("+")[0]
    if dialect in known:
        return dialect
    near = nearest(dialect, known, cutoff=0.5)
    hint = f"; did you mean {near}://?" if near else ""
    raise ValueError(f"{rule}, got {redacted_url(value)!r}{hint}")


def _check_host(value: str) -> None:
    """Raise ValueError if a URL has no host, or a port that is no number."""
    if variables(value):
        return
    try:
        parts = urllib.parse.urlsplit(value)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
    if not has_host or any(character.isspace() for character in value):
        raise ValueError(
            f"must be http://HOST:PORT, got {redacted_url(value)!r}; percent-encode / ? # @ in a "
            "password, or write ${NAME} there"
        )


def _checked_database(value: str) -> str:
    """Return the URL of a database, that of a SQLite file with its absolute path.

    Raises:
        ValueError: SQLAlchemy cannot read it, or does not know its driver.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    if variables(value):
        return value
    try:
        make_url(value).get_dialect()
    except NoSuchModuleError:
        raise ValueError(
            f"must name a driver that SQLAlchemy knows, got {redacted_url(value)!r}; use "
            "postgresql+psycopg://… or sqlite:///…"
        ) from None
    except ImportError as error:
        raise ValueError(
            f"must name a driver that is installed, got {redacted_url(value)!r}: {error}; use "
            "postgresql+psycopg://… and pip install 'vae-sweeps[postgres]'"
        ) from None
    except (ArgumentError, ValueError) as error:
        raise ValueError(
            f"is not a URL of a database ({redacted(str(error), value)}), got "
            f"{redacted_url(value)!r}; percent-encode / ? # @ : in a password, or write ${{NAME}} "
            "there"
        ) from None
    return absolute_url(value)
