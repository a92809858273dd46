"""What a spec can name: objectives, networks, metrics, data sets and the bundled specs, as plain rows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from metrics.registry import METRICS
from sweeps.cells import cell_grid
from sweeps.spec import field_docs, load
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.data import DATASETS
from vae_core.epoch_metrics import COMMON_METRICS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

Row = dict[str, Any]


def objectives() -> list[Row]:
    """Return one row per objective: its knob of the trade-off, and its fields with bounds and defaults."""
    return [
        {
            "name": name,
            "about": field_docs.summary(cls),
            "strength": cls.strength,
            "fields": _fields(cls),
        }
        for name, cls in OBJECTIVES.items()
    ]


def networks() -> list[Row]:
    """Return one row per network, with the image sides that it takes (none listed: any)."""
    return [
        {
            "name": name,
            "about": field_docs.summary(cls),
            "sizes": list(cls.sizes or ()),
            "fields": _fields(cls),
        }
        for name, cls in NETWORKS.items()
    ]


def datasets() -> list[Row]:
    """Return one row per data set, with its options."""
    return [
        {"name": name, "about": field_docs.summary(cls), "fields": _fields(cls)}
        for name, cls in DATASETS.items()
    ]


def metrics() -> list[Row]:
    """Return one row per metric of `evaluation.final`; `goal` marks those that every epoch reports too.

    `references` names what a score of it comes with, each computed on the factors at hand; `variants` has the options
    of each other way of computing it, by the name that `metric.variant` is written with; `unchanged_by` what its value
    does not depend on (the order of latents, the names of levels, further dead latents, the scale of each latent).
    """
    return [
        {
            "name": name,
            "about": field_docs.summary(metric.function),
            "needs": sorted(metric.needs),
            "range": list(metric.range),
            "better": metric.better,
            "tier": metric.tier,
            "unit": metric.unit,
            "references": ["chance", "ceiling"] if "factors" in metric.needs else [],
            "goal": name in COMMON_METRICS,
            "variants": {variant: dict(options) for variant, options in metric.variants.items()},
            "unchanged_by": sorted(metric.invariant),
            "weighted": metric.weighted,
            "options": _options(metric.function),
        }
        for name, metric in METRICS.items()
    ]


def specs() -> list[Row]:
    """Return one row per bundled spec: what its first comment says, and its size, be its data at hand or not."""
    rows: list[Row] = []
    for name, file in load.bundled_specs().items():
        about = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        rows.append(
            {
                "name": name,
                "about": about,
                **size(load.load_spec(name, files=False)),
                "path": str(file),
            }
        )
    return rows


def size(sweep: SweepSpec) -> dict[str, int]:
    """Return the numbers of cells and of trials of a spec."""
    found = len(cell_grid.all_layouts(sweep)) * cell_grid.cells_per_layout(sweep)
    return {"cells": found, "trials": found * len(sweep.seeds)}


def field_lines(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return one row per field of every row, for a table: `beta | number >= 0 | 4.0`."""
    lines: list[Row] = []
    for row in rows:
        fields = row["fields"] or [{"field": "", "allowed": "", "default": "", "about": ""}]
        for at, field in enumerate(fields):
            # `*` marks the knob of the trade-off.
            mark = "*" if row.get("strength") == field["field"] else ""
            name = row["name"] if at == 0 else ""
            lines.append(
                {"name": name, **field, "field": f"{field['field']}{mark}", "about": field["about"]}
            )
    return lines


def _fields(cls: type) -> list[Row]:
    return [
        {
            "field": field.name,
            "allowed": field_docs.words(field.schema),
            "default": "required" if field.required else field.default,
            "about": field.meaning,
        }
        for field in field_docs.fields(cls)
    ]


def _options(function: Any) -> dict[str, Any]:
    """Return a metric's options with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
