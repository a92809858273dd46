"""Paths as URLs and URLs as paths, so that every character of a name survives; secrets in URLs.

A path may hold blanks, `?`, `#`, `%`, `{`, accents and line breaks. In a URL each of these means
something else, so a path is never pasted into a text that a library reads as a URL.

A URL may hold a password. `redacted` takes it out of every text that is stored, logged, printed or
raised, and `expanded` takes it from the environment just before a connection is opened.
"""

from __future__ import annotations

import os
import re
import urllib.parse
import urllib.request
from collections.abc import Iterable
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
        text = redacted(str(error), url)
        raise ValueError(
            f"is not a URL of a database ({text}), got {redacted_url(url)!r}"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        return None
    address, question_mark, _ = url.partition("?")
    unknown = [option for option in parsed.query if option not in _SQLITE_OPTIONS]
    if unknown or (question_mark and not parsed.query):
        raise ValueError(f"must write ? in a path as %3F, and % as %25, got {redacted_url(url)!r}")
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


# ---- secrets


HIDDEN = "***"
"""What stands for a password in every text that is stored, logged, printed or raised."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_URL = re.compile(rf"{_SCHEME}://[^\s'\"<>`]+")
_BLANK_IN_PASSWORD = re.compile(
    rf"({_SCHEME}://[^\s:/@?#'\"]*:)(?!\d{{1,5}}(?:\D|$)|\$\{{\w*\}}@)[^@\n]*@"
)
_PORT = re.compile(r"\d{0,5}")
_SECRET_OPTION = re.compile(
    r"(?i)((?:^|[?&;\s])(?:[\w.%-]*[_.-])?"
    r"(?:password|passwd|passphrase|pass|pwd|sslpassword|secret|secret_?key|secret_?access_?key|"
    r"(?:aws)?access_?key(?:_?id)?|account_?key|api_?key|token|sas|sig|signature|credentials?)=)"
    r"([^&;\s'\"<>#]*)"
)
_DATABASES = ("postgresql", "mysql", "mariadb", "mssql", "oracle")
_NAMED_USER = (*_DATABASES, "gs", "gcs", "hdfs", "file")
"""Schemes in which a user without a password is no secret. In `https://TOKEN@host` it is one."""

_KEYS_AS_USER = ("s3", "s3a", "s3n")
"""Schemes in which the user is the id of a key; it is hidden too."""

_SHORTEST_SECRET = 3
"""Shorter passwords are not searched for in a text: they occur in ordinary words."""


def redacted(text: str, *urls: str | None) -> str:
    """Return a text without the passwords of the URLs in it: `postgresql://user:***@host/db`.

    Hidden are what follows the user, keys and tokens in the place of a user, and the values of
    options such as `password=`, `secret_key=`, `token=` and `sig=`. It changes nothing else, and
    what it has redacted it leaves as it is.

    Args:
        text: a URL, or a text with URLs in it.
        urls: URLs whose passwords are hidden wherever they stand in the text; libraries repeat them
            alone, or decoded.
    """
    for secret in sorted(_all_secrets(urls), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(lambda match: redacted_url(match[0]), text)
    text = _BLANK_IN_PASSWORD.sub(rf"\1{HIDDEN}@", text)
    return _SECRET_OPTION.sub(_hidden_option, text)


def redacted_url(url: str) -> str:
    """Return one URL, all of the text, without its secrets. `redacted` finds URLs in a text."""
    start, end = _userinfo(url)
    if end > start:
        hidden = _hidden_userinfo(_dialect(url), url[start:end])
        url = f"{url[:start]}{hidden}{url[end:]}"
    return _SECRET_OPTION.sub(_hidden_option, url)


def has_secret(url: str) -> bool:
    """Return whether a URL holds a password, a key or a token, and not only `${NAME}` for it."""
    return any(secret != HIDDEN for secret in _secrets(url))


def without_hidden(url: str) -> str:
    """Return a URL that `redacted_url` has made, without its user and options that are hidden.

    The library that opens it then takes passwords from where it always looks: its environment
    variables, `~/.pgpass`.
    """
    start, end = _userinfo(url)
    user, _, password = url[start:end].partition(":")
    if HIDDEN in (user, password):
        kept = f"{user}@" if user and _dialect(url) in _NAMED_USER else ""
        url = f"{url[:start]}{kept}{url[end + 1 :]}"
    address, question_mark, options = url.partition("?")
    if not question_mark:
        return url
    shown = [option for option in options.split("&") if not option.endswith(f"={HIDDEN}")]
    return f"{address}?{'&'.join(shown)}" if shown else address


def _userinfo(url: str) -> tuple[int, int]:
    """Return where `user:password` begins and ends in a URL; equal numbers if there is none.

    A password that is not percent-encoded may hold `/`, `?`, `#` and `@`.
    """
    start = url.find("://") + 3
    if start < 3:
        return 0, 0
    authority = re.split(r"[/?#]", url[start:], maxsplit=1)[0]
    at = authority.rfind("@")
    if at >= 0 and _dialect(url) in _DATABASES:  # no name of a database holds an @
        return start, url.partition("?")[0].rfind("@")
    if at >= 0:
        return start, start + at
    user, colon, rest = authority.partition(":")
    at = url.find("@", start + len(authority))
    if not colon or at < 0 or (_PORT.fullmatch(rest) and user):
        return start, start
    further = re.split(r"[/?#]", url[at:], maxsplit=1)[0]
    return start, at + further.rfind("@")


def _dialect(url: str) -> str:
    """Return `postgresql` for `postgresql+psycopg://…`."""
    return url.partition(":")[0].partition("+")[0].lower()


def _hidden_userinfo(dialect: str, userinfo: str) -> str:
    """Return `user:password` with every part that is a secret hidden; `${NAME}` is none."""
    user, colon, password = userinfo.partition(":")
    hide_user = dialect in _KEYS_AS_USER if colon else dialect not in _NAMED_USER
    parts = [_hidden_part(user) if hide_user else user]
    if colon:
        parts.append(_hidden_part(password))
    return ":".join(parts)


def _hidden_part(text: str) -> str:
    return text if not text or _VARIABLE.fullmatch(text) else HIDDEN


def _hidden_option(option: re.Match[str]) -> str:
    return option[1] + _hidden_part(option[2])


def _secrets(url: str) -> list[str]:
    """Return the texts that `redacted_url` hides in a URL, as they stand in it."""
    start, end = _userinfo(url)
    texts: list[str] = []
    if end > start:
        user, colon, password = url[start:end].partition(":")
        hidden_user = _hidden_userinfo(_dialect(url), user + colon + password)
        texts += [user] if hidden_user.partition(":")[0] != user else []
        texts += [password]
    texts += [option[2] for option in _SECRET_OPTION.finditer(url)]
    return [text for text in texts if text and not _VARIABLE.fullmatch(text)]


def _all_secrets(urls: Iterable[str | None]) -> set[str]:
    """Return the secrets of URLs in every form in which a library may repeat them."""
    forms: set[str] = set()
    for url in urls:
        for secret in _secrets(url) if url else ():
            decoded = urllib.parse.unquote(secret)
            forms |= {secret, decoded, urllib.parse.unquote_plus(secret)}
            forms |= {urllib.parse.quote(decoded), urllib.parse.quote(decoded, safe="")}
            forms |= {urllib.parse.quote_plus(decoded), repr(decoded)[1:-1]}
    return {form for form in forms if len(form) >= _SHORTEST_SECRET and form != HIDDEN}


# ---- variables of the environment


_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE_OR_ESCAPE = re.compile(r"\$\$\{|\$\{([^{}]*)(\})?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variables(text: str) -> list[str]:
    """Return the names of the environment variables in a text with `${NAME}`; `$${` is no variable.

    Raises:
        ValueError: a name is none, or its brace is not closed.
    """
    names: list[str] = []
    for match in _VARIABLE_OR_ESCAPE.finditer(text):
        if match[0] == "$${":
            continue
        if match[2] is None or not _VARIABLE_NAME.fullmatch(match[1]):
            raise ValueError(
                "must hold names of environment variables as ${NAME}, and $${ for the text ${, "
                f"got {redacted_url(text)!r}"
            )
        names.append(match[1])
    return names


def expanded(text: str) -> str:
    """Return a text with the values of its environment variables in the place of `${NAME}`.

    In `user:password@` and after `?` of a URL a value is percent-encoded, so a variable holds the
    password itself. Elsewhere it is taken as it is: a whole URL, a host, a folder.

    Raises:
        ValueError: a variable is not set, or is empty; or see `variables`.
    """
    names = variables(text)
    unset = [name for name in dict.fromkeys(names) if not os.environ.get(name)]
    if unset:
        verb = "is" if len(unset) == 1 else "are"
        raise ValueError(
            f"must name variables of the environment that are set; {' and '.join(unset)} {verb} "
            f"not set or empty, got {redacted_url(text)!r}; set what is "
            "missing before the command (`export NAME=VALUE`), or write $${ for the text ${"
        )
    start, end = _userinfo(text) if not text.startswith("${") else (0, 0)
    options = text.find("?", end) if "://" in text else -1

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        value = os.environ[match[1]]
        is_encoded = start <= match.start() < end or 0 <= options < match.start()
        return urllib.parse.quote(value, safe="") if is_encoded else value

    return _VARIABLE_OR_ESCAPE.sub(value, text)
