"""Checks of what the user gave against what a metric needs. A message names every problem."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from metrics.codes import latents
from metrics.near_names import did_you_mean
from metrics.types import Codes, Inputs, Metric

# How a message names each need of a metric.
_WORDS_FOR_NEEDS = {
    "mean": "codes (Codes with a mean)",
    "posterior": "posteriors (codes.logvar)",
    "discrete": "discrete codes (codes.discrete)",
    "factors": "factors",
    "images": "images=",
    "reconstructions": "reconstructions=",
    "others": "others= (codes of other models on the same images)",
}


def names(known: Mapping[str, Metric]) -> tuple[str, ...]:
    """Return every name that `find` takes: each metric, followed by its variants."""
    every: list[str] = []
    for name, metric in known.items():
        every.append(name)
        every += [f"{name}.{variant}" for variant in metric.variants]
    return tuple(every)


def find(name: str, known: Mapping[str, Metric]) -> tuple[Metric, Mapping[str, Any]]:
    """Return the metric of a name, and the options of its variant if the name has one.

    Args:
        name: `metric` or `metric.variant`.
        known: the registry.

    Raises:
        ValueError: unknown name. The message gives the nearest known name and all known names.
    """
    metric_name, dot, variant = name.partition(".")
    metric = known.get(metric_name)
    if metric is not None and not dot:
        return metric, {}
    if metric is not None and variant in metric.variants:
        return metric, metric.variants[variant]
    hint = did_you_mean(name, names(known))
    if metric is None:
        candidates = ", ".join(known)
    else:
        full_names = [f"{metric_name}.{variant}" for variant in metric.variants]
        candidates = ", ".join(full_names) or "no variants"
    raise ValueError(f"unknown metric {name!r}{hint} known: {candidates}")


def complete_options(name: str, metric: Metric, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metric's options, with defaults for those that are not given.

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
    """Check the inputs against the metric's needs and against each other.

    Raises:
        ValueError: a needed input is missing, the metric takes no weights, there is no row or no
            latent, or the numbers of rows differ.
    """
    _check_needs(name, metric, inputs)
    if inputs.factors is not None and inputs.factors.weights is not None and not metric.weighted:
        raise ValueError(
            f"metric {name!r} takes no weights: draw rows by their weights, and score those"
        )
    if not len(inputs.codes):
        raise ValueError(f"metric {name!r} needs at least one row of codes")
    if metric.needs & {"mean", "posterior"} and not latents.count(inputs.codes):
        raise ValueError(f"metric {name!r} needs at least one latent, got codes with none")
    _check_rows(inputs)


def _check_needs(name: str, metric: Metric, inputs: Inputs) -> None:
    """Raise ValueError if an input that the metric needs is missing; name all that are."""
    discrete = inputs.codes.discrete
    available = {
        "mean": True,
        "posterior": inputs.codes.logvar is not None,
        "discrete": discrete is not None and discrete.shape[1] > 0,
        "factors": inputs.factors is not None,
        "images": inputs.images is not None,
        "reconstructions": inputs.reconstructions is not None,
        "others": len(inputs.others) > 0,
    }
    missing = [
        words
        for need, words in _WORDS_FOR_NEEDS.items()
        if need in metric.needs and not available[need]
    ]
    if missing:
        raise ValueError(f"metric {name!r} needs {', '.join(missing)}")


def _check_rows(inputs: Inputs) -> None:
    """Raise ValueError if an input does not have one row per row of the codes."""
    rows = len(inputs.codes)
    by_name: dict[str, Any] = {
        "factors": inputs.factors,
        "images": inputs.images,
        "reconstructions": inputs.reconstructions,
    }
    by_name |= {f"others[{i}]": other for i, other in enumerate(inputs.others)}
    for input_name, value in by_name.items():
        if value is None or len(value) == rows:
            continue
        verb = "has" if isinstance(value, Codes) else "have"
        raise ValueError(
            f"codes have {rows} rows but {input_name} {verb} {len(value)}; "
            "pass the same subset to both"
        )
