"""What a spec can name: objectives, networks, metrics, data sets and bundled specs, as rows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from metrics.registry import METRICS
from sweeps.cells.cell_count import CellCount, count_cells
from sweeps.spec import field_docs, load
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.data import DATASETS
from vae_core.epoch_metrics import COMMON_METRICS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

Row = dict[str, Any]


def objectives() -> list[Row]:
    """Return one row per objective: its strength, and its fields with bounds and defaults."""
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
    """Return one row per network: the image sizes that it takes ([]: any), and its fields."""
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
    """Return one row per metric of `evaluation.final`.

    `goal`: whether every epoch reports the metric too. `references`: what is computed beside a
    score, on the same factors. `variants`: name -> options of each other way to compute it; it is
    written `metric.variant`. `unchanged_by`: what does not change the value (the order of latents,
    the names of levels, more dead latents, the scale of each latent).
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
    """Return one row per bundled spec: its first comment and its size.

    The data files of a spec need not exist.
    """
    rows: list[Row] = []
    for name, file in load.bundled_specs().items():
        first_line = file.read_text(encoding="utf-8").partition("\n")[0]
        rows.append(
            {
                "name": name,
                "about": first_line.lstrip("# "),
                **size(load.load_spec(name, files=False)),
                "path": str(file),
            }
        )
    return rows


def size(sweep: SweepSpec) -> dict[str, int]:
    """Return the numbers of cells and of trials of a spec, and of the cells that it asks for."""
    return size_of(sweep, count_cells(sweep))


def size_of(sweep: SweepSpec, count: CellCount) -> dict[str, int]:
    """Return what `size` does, from cells that are counted already."""
    trials = count.cells * len(sweep.seeds)
    return {"cells": count.cells, "trials": trials, "cells_asked": count.asked}


def field_lines(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return one line per field of every row, for a table: `beta* | number >= 0 | 4.0`.

    `*` marks the strength. The name stands on the first line of its row only.
    """
    lines: list[Row] = []
    for row in rows:
        name = row["name"]
        for field in row["fields"] or [{"field": "", "allowed": "", "default": "", "about": ""}]:
            mark = "*" if row.get("strength") == field["field"] else ""
            lines.append({"name": name, **field, "field": f"{field['field']}{mark}"})
            name = ""
    return lines


def _fields(cls: type) -> list[Row]:
    """Return one row per field of a dataclass."""
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
    """Return the options of a metric with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
