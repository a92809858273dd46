"""Checks the options of a data set, whatever the user wrote in their place."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

from vae_core.hyperparameters import field_checks


def violations(options: Any) -> list[str]:
    """Return every option that breaks its annotation: bounds, choices, numbers, and here text and booleans too."""
    wrong: list[str] = []
    try:
        field_checks.check(options)
    except ValueError as error:
        wrong.append(str(error))
    given: dict[str, Any] = {
        field.name: getattr(options, field.name) for field in dataclasses.fields(options)
    }
    if given.get("stand_in") is True and given.get("path") is not None:
        wrong.append(
            f"give path or stand_in, not both, got path {given['path']!r}: a stand-in reads no file"
        )
    hints = get_type_hints(type(options))  # pyright: ignore[reportUnknownArgumentType]
    for name, value in given.items():
        hint = hints[name]
        kinds = get_args(hint) or (hint,)
        if hint is bool and not isinstance(value, bool):
            wrong.append(f"{name} must be true or false, got {value!r}")
        elif set(kinds) <= {str, type(None)} and not isinstance(value, kinds):
            wrong.append(f"{name} must be text, got {value!r}")
    return wrong


def bad_names(option: str, names: Any) -> list[str]:
    """Return what is wrong with a list of names, each given once."""
    listed = isinstance(names, list | tuple)
    if not listed or not names or not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnknownVariableType]
        return [f"{option} must be a list of names, got {names!r}"]
    doubled = sorted({name for name in names if names.count(name) > 1})  # pyright: ignore
    return (
        [f"{option} must give a name once, got {', '.join(doubled)} more than once"]
        if doubled
        else []
    )  # pyright: ignore
