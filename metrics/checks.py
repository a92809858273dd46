"""Checks at the border: what the user gave against what a metric needs, every mistake named."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from metrics.codes import latents
from metrics.types import Codes, Inputs, Metric

_HOW = {
    "mean": "codes (Codes with a mean)",
    "posterior": "posteriors (codes.logvar)",
    "discrete": "discrete codes (codes.discrete)",
    "factors": "factors",
    "images": "images=",
    "reconstructions": "reconstructions=",
    "others": "others= (codes of other models on the same images)",
}


def names(known: Mapping[str, Metric]) -> tuple[str, ...]:
    """Every name that `find` takes: the rows, each followed by its variants."""
    return tuple(
        full
        for name, row in known.items()
        for full in (name, *(f"{name}.{variant}" for variant in row.variants))
    )


def find(name: str, known: Mapping[str, Metric]) -> tuple[Metric, Mapping[str, Any]]:
    """The registry's row of a name, and the options of its variant where the name is `metric.variant`.

    Raises:
        ValueError: unknown name; names the nearest known one and all others.
    """
    row, dot, variant = name.partition(".")
    if row in known and (not dot or variant in known[row].variants):
        return known[row], known[row].variants[variant] if variant else {}
    near = difflib.get_close_matches(name, names(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    listed = known[row].variants if row in known else None
    rest = (
        ", ".join(known)
        if listed is None
        else ", ".join(f"{row}.{v}" for v in listed) or "no variants"
    )
    raise ValueError(f"unknown metric {name!r}{hint} known: {rest}")


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
        raise TypeError(
            f"metric {name!r} has no option {', '.join(map(repr, unknown))}; its options: {known}"
        )
    return options | dict(given)


def check(name: str, metric: Metric, inputs: Inputs) -> None:
    """Hold the inputs against the metric's needs and against each other.

    Raises:
        ValueError: something needed is missing, or the numbers of rows differ.
    """
    given = {
        "mean": True,
        "posterior": inputs.codes.logvar is not None,
        "discrete": inputs.codes.discrete is not None and inputs.codes.discrete.shape[1] > 0,
        "factors": inputs.factors is not None,
        "images": inputs.images is not None,
        "reconstructions": inputs.reconstructions is not None,
        "others": len(inputs.others) > 0,
    }
    missing = [how for need, how in _HOW.items() if need in metric.needs and not given[need]]
    if missing:
        raise ValueError(f"metric {name!r} needs {', '.join(missing)}")
    if inputs.factors is not None and inputs.factors.weights is not None and not metric.weighted:
        raise ValueError(
            f"metric {name!r} takes no weights: draw rows by their weights, and score those"
        )
    rows = len(inputs.codes)
    if not rows:
        raise ValueError(f"metric {name!r} needs at least one row of codes")
    if not latents.count(inputs.codes) and "mean" in metric.needs | {
        "mean" if "posterior" in metric.needs else ""
    }:
        raise ValueError(f"metric {name!r} needs at least one latent, got codes with none")
    sized: dict[str, Any] = {
        "factors": inputs.factors,
        "images": inputs.images,
        "reconstructions": inputs.reconstructions,
    }
    sized |= {f"others[{i}]": other for i, other in enumerate(inputs.others)}
    for what, thing in sized.items():
        if thing is not None and len(thing) != rows:
            verb = "has" if isinstance(thing, Codes) else "have"
            raise ValueError(
                f"codes have {rows} rows but {what} {verb} {len(thing)}; pass the same subset to both"
            )
