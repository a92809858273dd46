"""Checks the options of a data set; a user may have written any value for them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, cast, get_args, get_type_hints

from vae_core.hyperparameters import field_checks


def option_problems(options: Any) -> list[str]:
    """Return the problems with a dataclass of options.

    Checked are bounds, choices and numbers as for hyperparameters, and here text and booleans too.
    """
    problems: list[str] = []
    try:
        field_checks.check(options)
    except ValueError as error:
        problems.append(str(error))
    values: dict[str, Any] = {
        field.name: getattr(options, field.name) for field in dataclasses.fields(options)
    }
    if values.get("stand_in") is True and values.get("path") is not None:
        problems.append(
            f"give path or stand_in, not both, got path {values['path']!r}: "
            "a stand-in reads no file"
        )
    hints = get_type_hints(type(options))  # pyright: ignore[reportUnknownArgumentType]
    for name, value in values.items():
        hint = hints[name]
        kinds = get_args(hint) or (hint,)
        if hint is bool and not isinstance(value, bool):
            problems.append(f"{name} must be true or false, got {value!r}")
        elif set(kinds) <= {str, type(None)} and not isinstance(value, kinds):
            problems.append(f"{name} must be text, got {value!r}")
    return problems


def name_list_problems(option: str, names: Any) -> list[str]:
    """Return the problems with an option that must be a list of distinct names."""
    if not _is_list_of_text(names):
        return [f"{option} must be a list of names, got {names!r}"]
    counts: Counter[str] = Counter(names)
    repeated = sorted(name for name, times in counts.items() if times > 1)
    if repeated:
        return [f"{option} must give a name once, got {', '.join(repeated)} more than once"]
    return []


def _is_list_of_text(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    items = cast("list[Any] | tuple[Any, ...]", value)
    return all(isinstance(item, str) for item in items)
