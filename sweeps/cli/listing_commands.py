"""Commands that list what a spec can name; `catalogue` makes their rows."""

from __future__ import annotations

from typing import Any

from sweeps.cli.arguments import AsJson
from sweeps.console import printing


def specs(as_json: AsJson = False) -> None:
    """List the bundled specs."""
    from sweeps.cli import catalogue

    printing.show(catalogue.specs(), ["name", "cells", "trials", "about"], as_json=as_json)


def objectives(as_json: AsJson = False) -> None:
    """List the objectives with their fields; * marks the strength, the field of the trade-off."""
    from sweeps.cli import catalogue

    _print_fields(catalogue.objectives(), as_json=as_json)


def networks(as_json: AsJson = False) -> None:
    """List the networks with their fields."""
    from sweeps.cli import catalogue

    _print_fields(catalogue.networks(), as_json=as_json)


def datasets(as_json: AsJson = False) -> None:
    """List the data sets with their options."""
    from sweeps.cli import catalogue

    _print_fields(catalogue.datasets(), as_json=as_json)


def metrics(as_json: AsJson = False) -> None:
    """List the metrics: what they need, range, better end, tier, unit, variants and options.

    A variant is named `metric.variant`. The column unchanged_by holds the changes of codes and
    factors that leave the value as it is.
    """
    from sweeps.cli import catalogue

    rows = catalogue.metrics()
    if not as_json:
        rows = [{**row, "variants": list(row["variants"])} for row in rows]
    columns = ["name", "needs", "range", "better", "tier", "unit"]
    columns += ["references", "variants", "unchanged_by", "options"]
    printing.show(rows, columns, as_json=as_json)


def _print_fields(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the rows of a registry: as JSON, or as a table with one line per field."""
    from sweeps.cli import catalogue

    columns = ["name", "field", "allowed", "default", "about"]
    printing.show(rows if as_json else catalogue.field_lines(rows), columns, as_json=as_json)
