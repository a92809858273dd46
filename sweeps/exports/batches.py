"""Sends things together, and finds out which of them are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sweeps.exports.mlflow_errors import is_lasting, may_be_of_one_element

Send = Callable[[Sequence[str]], None]
"""Send the things of these names in one call."""


def send_in_parts(names: Sequence[str], send: Send) -> dict[str, Exception]:
    """Send things together or, if that fails, in halves, down to those that are refused.

    One refused thing among n costs about 2 log2 n further calls.

    Returns:
        Name of a thing -> why it was refused.

    Raises:
        Exception: the call fails, whatever it sends: the server is away, the run is forbidden.
    """
    refused: dict[str, Exception] = {}
    # One refused thing makes at most this number of calls fail in succession. More failures of a
    # kind that passes, and none that succeeds, are the server's.
    most_failures = len(names).bit_length() + 1
    failures = 0

    def send_part(part: Sequence[str]) -> None:
        nonlocal failures
        try:
            send(part)
            failures = 0
            return
        except Exception as error:
            if not may_be_of_one_element(error):
                raise
            failures += not is_lasting(error)
            if failures > most_failures:
                raise
            if len(part) == 1:
                refused[part[0]] = error
                return
        middle = len(part) // 2
        send_part(part[:middle])
        send_part(part[middle:])

    if names:
        send_part(names)
    return refused
