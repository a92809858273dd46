"""Which errors of MLflow last, and which pass.

A lasting error comes again however often the same call is made: MLflow refuses a key, a run is
forbidden, a file cannot be read. An error that passes (a server that is away, a time-out, an
internal error) is worth another try.
"""

from __future__ import annotations

import errno
import json
import re
from typing import Any

from sqlalchemy.exc import DataError, SQLAlchemyError

from sweeps.urls import redacted

LONGEST_CAUSE = 300
"""Characters of an error of MLflow in a sentence for the user."""

PASSING_STATUSES = (408, 425, 429)
"""Statuses between 400 and 499 after which the same call may succeed later."""

CONTENT_STATUSES = (400, 409, 413, 422, 500)
"""Statuses that one element of a batch may cause; of the others the whole call is the cause."""

_LASTING_ERRNOS = frozenset(
    {
        *(errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM),
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EINVAL),
    }
)
"""Codes of files that are missing or cannot be read."""

_STATUS_IN_TEXT = re.compile(r"failed with error code (\d{3})\b|too many (\d{3}) error responses")
_FAILED_CALL = re.compile(r"API request to (https?://[^/\s]+)\S* failed with")
_REASON = re.compile(
    "Connection refused|timed out|Failed to resolve|Connection reset|Remote end closed|"
    "Network is unreachable|No route to host"
)
_TOO_MANY = re.compile(r"too many (\d{3}) error responses")
_STATUS_KEYS = ("error_code", "status_code", "statusCode", "status", "code")


class RunDeletedError(Exception):
    """A run was deleted, so nothing can be said of what was sent to it."""


def is_lasting(error: Exception) -> bool:
    """Return whether the same call fails in the same way however often it is made."""
    import requests

    status = http_status(error)
    if status is not None:
        return 400 <= status < 500 and status not in PASSING_STATUSES
    if isinstance(error, requests.RequestException | json.JSONDecodeError):
        return False  # no answer, or one of something that is not MLflow
    if isinstance(error, OSError):
        return error.errno in _LASTING_ERRNOS
    return isinstance(error, TypeError | ValueError | LookupError | AttributeError)


def may_be_of_one_element(error: Exception) -> bool:
    """Return whether one element of a batch may be the cause, so that the others may be taken."""
    import requests
    from mlflow.exceptions import MlflowException

    status = http_status(error)
    if status is not None:
        return status in CONTENT_STATUSES
    no_answer = MlflowException | requests.RequestException | json.JSONDecodeError
    return not isinstance(error, no_answer | RunDeletedError)


def http_status(error: Exception) -> int | None:
    """Return the HTTP status that an answer had, or that MLflow's own database would answer with.

    It is None for an error that is no answer: of the connection, or of this machine.
    """
    import requests
    from mlflow.exceptions import MlflowException, RestException

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code
    if not isinstance(error, MlflowException):
        return None
    if isinstance(error.__cause__, SQLAlchemyError):  # MLflow's own database, in this process
        return 400 if isinstance(error.__cause__, DataError) else 503
    status = error.get_http_status_code()
    if status != 500:
        return status
    # A proxy in front of the server may answer with codes that MLflow does not know.
    in_text = _STATUS_IN_TEXT.search(error.message)
    if in_text is not None:
        return int(in_text[1] or in_text[2])
    if isinstance(error, RestException):
        return _status_in(error.json)
    return None if error.message.startswith("API request to") else status


def _status_in(answer: dict[str, Any]) -> int:
    """Return the status that the JSON of an answer names; 500 if it names none."""
    for key in _STATUS_KEYS:
        text = str(answer.get(key, ""))
        if re.fullmatch(r"[45]\d\d", text):
            return int(text)
    return 500


def cause(error: Exception) -> str:
    """Return the first line of an error, without passwords of URLs and without the code that MLflow
    puts before it.
    """
    lines = [line.strip() for line in redacted(str(error)).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if has_no_answer(error):
        return _no_answer_text(text)
    code, _, rest = text.partition(": ")
    if rest and code.isupper() and " " not in code:
        text = rest
    return text if len(text) <= LONGEST_CAUSE else f"{text[: LONGEST_CAUSE - 1]}…"


def described(error: Exception) -> str:
    """Return an error in one line: its kind, unless it is that a server does not answer."""
    return cause(error) if has_no_answer(error) else f"{type(error).__name__}: {cause(error)}"


def has_no_answer(error: Exception) -> bool:
    """Return whether a call to a server had no answer, or only one of a server in trouble."""
    return _FAILED_CALL.match(str(error)) is not None


def _no_answer_text(text: str) -> str:
    """Return the server and the reason of a call that had no answer."""
    call, reason, status = (pattern.search(text) for pattern in (_FAILED_CALL, _REASON, _TOO_MANY))
    server = "the server" if call is None else call[1]
    if status is not None:
        return f"{server} answers with error {status[1]}"
    return f"{server} does not answer" + ("" if reason is None else f" ({reason[0].lower()})")
