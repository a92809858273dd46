"""Checks at the border: what the user gave against what a metric needs, every mistake named."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from metrics.types import Codes, Inputs, Metric

_HOW = {
    "mean": "codes (Codes with a mean)",
    "posterior": "posteriors (codes.logvar)",
    "factors": "factors",
    "images": "images=",
    "reconstructions": "reconstructions=",
    "others": "others= (codes of other models on the same images)",
}


def find(name: str, known: Mapping[str, Metric]) -> Metric:
    """The registry's row of that name.

    Raises:
        ValueError: unknown name; names the nearest known one and all others.
    """
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    raise ValueError(f"unknown metric {name!r}{hint} known: {', '.join(known)}")


def complete_options(name: str, metric: Metric, given: Mapping[str, Any]) -> dict[str, Any]:
    """The metric's options with defaults filled in.

    Raises:
        TypeError: an option that the metric does not have.
    """
    parameters = inspect.signature(metric.function).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    unknown = sorted(set(given) - set(options))
    if unknown:
        known = ", ".join(options) or "none"
        raise TypeError(f"metric {name!r} has no option {', '.join(map(repr, unknown))}; its options: {known}")
    return options | dict(given)


def check(name: str, metric: Metric, inputs: Inputs) -> None:
    """Hold the inputs against the metric's needs and against each other.

    Raises:
        ValueError: something needed is missing, or the numbers of rows differ.
    """
    given = {
        "mean": True,
        "posterior": inputs.codes.logvar is not None,
        "factors": inputs.factors is not None,
        "images": inputs.images is not None,
        "reconstructions": inputs.reconstructions is not None,
        "others": len(inputs.others) > 0,
    }
    missing = [how for need, how in _HOW.items() if need in metric.needs and not given[need]]
    if missing:
        raise ValueError(f"metric {name!r} needs {', '.join(missing)}")
    rows = len(inputs.codes)
    if not rows:
        raise ValueError(f"metric {name!r} needs at least one row of codes")
    sized: dict[str, Any] = {
        "factors": inputs.factors,
        "images": inputs.images,
        "reconstructions": inputs.reconstructions,
    }
    sized |= {f"others[{i}]": other for i, other in enumerate(inputs.others)}
    for what, thing in sized.items():
        if thing is not None and len(thing) != rows:
            verb = "has" if isinstance(thing, Codes) else "have"
            raise ValueError(f"codes have {rows} rows but {what} {verb} {len(thing)}; pass the same subset to both")
