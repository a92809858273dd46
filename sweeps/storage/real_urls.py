"""The URLs of the section `store` as their libraries open them: with the values of `${NAME}`.

Everything that is stored or shown has the URL of the spec instead, with passwords hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sweeps.errors import SweepError
from sweeps.spec import store_urls
from sweeps.spec.sections import StoreSpec
from sweeps.urls import expanded, redacted, without_hidden

_CHECKS: Mapping[str, Callable[[str | None], str | None]] = {
    "mlflow": store_urls.check_server,
    "ledger": store_urls.check_database,
    "files": store_urls.check_files,
}


def real_url(url: str | None, field: str, *, title: str = "") -> str | None:
    """Return a URL with the values of its variables, without the passwords that are hidden in it.

    Args:
        url: of a spec, or of a stored spec.
        field: of `store`: mlflow, ledger or files.
        title: what names the URL in messages; `store.FIELD` if it is "".

    Raises:
        SweepError: a variable is not set, or the URL that it completes is none.
    """
    if url is None:
        return None
    try:
        real = expanded(without_hidden(url))
    except ValueError as error:
        raise SweepError(f"{title or f'store.{field}'} {error}") from None
    if real == url or "${" in real:
        return real
    try:
        return _CHECKS[field](real)
    except ValueError as error:
        raise SweepError(redacted(f"{title or f'store.{field}'} {error}", real)) from None


def require_variables(store: StoreSpec) -> None:
    """Raise one SweepError for all URLs of a spec whose variables are not set."""
    problems: list[str] = []
    for field in _CHECKS:
        try:
            real_url(getattr(store, field), field)
        except SweepError as error:
            problems.append(str(error))
    if problems:
        raise SweepError("\n".join(problems))
