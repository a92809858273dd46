"""Paths as URLs and URLs as paths, so that every character of a name survives.

A path may hold blanks, `?`, `#`, `%`, `{`, accents and line breaks. In a URL each of these means
something else, so a path is never pasted into a text that a library reads as a URL.
"""

from __future__ import annotations

import os
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_SQLITE_OPTIONS = frozenset(
    {
        *("uri", "timeout", "isolation_level", "detect_types", "check_same_thread"),
        *("cached_statements", "mode", "cache", "vfs", "immutable", "nolock", "psow"),
    }
)
"""What may follow `?` in a URL of SQLite: the options of Python's driver and of SQLite itself."""


def sqlite_url(file: Path) -> URL:
    """Return the SQLAlchemy URL of a SQLite file.

    The file is given as a `file://` URI, because SQLAlchemy before 2.1 has no way to write `?` in a
    path. The driver is named, because MLflow takes what follows `sqlite:///` for a path as it is
    written, and creates its folder: `My%20Drive` beside `My Drive`.
    """
    from sqlalchemy.engine import URL

    return URL.create("sqlite+pysqlite", database=file.absolute().as_uri(), query={"uri": "true"})


def sqlite_text(file: Path) -> str:
    """Return the URL of a SQLite file as text, for libraries that take no URL object."""
    return sqlite_url(file).render_as_string(hide_password=False)


def sqlite_file(url: str) -> Path | None:
    """Return the absolute path of the file of a SQLite URL; None for other URLs.

    None is also returned for a URL that gives options (`?mode=ro`): SQLite itself reads those.

    Raises:
        ValueError: SQLAlchemy cannot read the URL, or an option is unknown, because a `?` in the
            path is not written as %3F.
    """
    path = _sqlite_path(url)
    return None if path is None else home_expanded(path).absolute()


def absolute_url(url: str) -> str:
    """Return a database's URL with the path of a relative SQLite file made absolute.

    A relative path is relative to the current folder. Other commands may run in another folder, and
    must find the same file.

    Raises:
        ValueError: see `sqlite_file`.
    """
    path, file = _sqlite_path(url), sqlite_file(url)
    if file is None or str(file) == path:
        return url
    return f"{url.partition(':')[0]}:///{urllib.parse.quote(str(file))}"


def _sqlite_path(url: str) -> str | None:
    """Return the path in a SQLite URL, decoded; None for other URLs and for those with options."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"is not a URL of a database ({error}), got {url!r}") from error
    if parsed.get_backend_name() != "sqlite":
        return None
    address, question_mark, _ = url.partition("?")
    unknown = [option for option in parsed.query if option not in _SQLITE_OPTIONS]
    if unknown or (question_mark and not parsed.query):
        raise ValueError(f"must write ? in a path as %3F, and % as %25, got {url!r}")
    # Decoded here, because SQLAlchemy decodes the path only since its version 2.1.
    path = urllib.parse.unquote(address.partition("://")[2].removeprefix("/"))
    return None if parsed.query or path in ("", ":memory:") else path


def opened_url(url: str) -> str:
    """Return the text of a database's URL that SQLAlchemy, MLflow and Optuna all open.

    The folder of a SQLite file is created if it does not exist.

    Raises:
        ValueError: see `sqlite_file`.
    """
    file = sqlite_file(url)
    if file is None:
        return url
    file.parent.mkdir(parents=True, exist_ok=True)
    return sqlite_text(file)


def path_of_uri(uri: str) -> Path:
    """Return the path of a `file:` URI, decoded as MLflow decodes it.

    Raises:
        ValueError: it names another machine, or has a part after `?` or `#`.
    """
    parts = urllib.parse.urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise ValueError(f"must be file:///PATH, with three slashes, got {uri!r}")
    if "?" in uri or "#" in uri:
        raise ValueError(f"must write ? in a path as %3F and # as %23, got {uri!r}")
    return Path(urllib.request.url2pathname(parts.path))


def local_path(text: str) -> Path | None:
    """Return the path of a text that is a path or a `file:` URI; None for any other URI.

    A leading `~` is the home folder.

    Raises:
        ValueError: see `path_of_uri`.
    """
    if text.startswith("file:/"):
        return path_of_uri(text)
    scheme, separator, _ = text.partition("://")
    if separator and scheme.isidentifier():
        return None
    return home_expanded(text)


def home_expanded(path: str | Path) -> Path:
    """Return the path of a text; a leading `~` or `~user` is a home folder.

    It works on the text and not on a `Path`, which reads `./~` as `~`. A `~name` that is no user
    stays as it is: it may be the name of a file.
    """
    text = os.fspath(path)
    return Path(os.path.expanduser(text)) if text.startswith("~") else Path(text)
