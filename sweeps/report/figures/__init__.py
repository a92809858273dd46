"""Figures of a sweep, drawn from the run table. The foot of each figure names its spec.

`FIGURES` lists the kinds of figures in the order of the report page. `Kind.why_not` returns why a
figure cannot be drawn from a sweep; drawing it then gives an empty frame or raises an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from matplotlib.figure import Figure

from sweeps.ledger.states import TrialState
from sweeps.report import wording
from sweeps.report.figures import capacity
from sweeps.report.figures.capacity import capacity_figure
from sweeps.report.figures.curves import curves_figure
from sweeps.report.figures.distribution import distribution_figure
from sweeps.report.figures.pareto_front import front_figure
from sweeps.report.figures.pruning import MOST_CELLS, pruning_figure
from sweeps.report.figures.readme import readme_figure
from sweeps.report.figures.scatter import scatter_figure
from sweeps.report.figures.style import png, svg
from sweeps.report.figures.tradeoff import tradeoff_figure
from sweeps.report.figures.traversals import best_pictures, traversals_figure
from sweeps.results import cell_means, run_columns
from sweeps.results.run_table import Runs


class Kind(NamedTuple):
    """A figure of the report."""

    title: str
    draw: Callable[[Runs], Figure]
    why_not: Callable[[Runs], str]  # "" if it can be drawn


def _needs(*metrics: str) -> Callable[[Runs], str]:
    """Return a `why_not` that asks for complete trials and for measured metrics."""

    def why_not(runs: Runs) -> str:
        if run_columns.complete(runs.table).empty:
            return "no trial ran its whole length"
        missing = [
            wording.name(metric) for metric in metrics if not run_columns.source(runs.table, metric)
        ]
        if not missing:
            return ""
        factors = " (it needs a data set with known factors)" if "MIG" in missing else ""
        return f"{' and '.join(missing)} was not measured{factors}"

    return why_not


def _no_curves(runs: Runs) -> str:
    return "" if len(runs.curves) else "no trial reported an epoch"


def _no_traversals(runs: Runs) -> str:
    reason = _needs()(runs)
    if reason:
        return reason
    return "" if best_pictures(runs) else "no best trial has a stored traversal"


def _no_pruning(runs: Runs) -> str:
    if not run_columns.counts(runs.table)[TrialState.PRUNED]:
        return "nothing was pruned"
    most = int(cell_means.cells(runs, ())["series"].value_counts().max())
    if most > MOST_CELLS:
        return f"{most} cells of one objective are too many to draw; the table has them"
    return ""


FIGURES: dict[str, Kind] = {
    "scatter": Kind("MIG and total correlation", scatter_figure, _needs("tc", "mig")),
    "tradeoff": Kind("The trade-off", tradeoff_figure, _needs("reconstruction")),
    "distribution": Kind("Distribution of MIG", distribution_figure, _needs("mig")),
    "curves": Kind("Learning curves", curves_figure, _no_curves),
    "pruning": Kind("Pruning", pruning_figure, _no_pruning),
    "front": Kind("Pareto fronts", front_figure, _needs("reconstruction", "tc", "mig")),
    "traversals": Kind("Traversals", traversals_figure, _no_traversals),
    "capacity": Kind("Capacity", capacity_figure, capacity.why_not),
}

__all__ = [
    "FIGURES",
    "Kind",
    "capacity_figure",
    "curves_figure",
    "distribution_figure",
    "front_figure",
    "png",
    "pruning_figure",
    "readme_figure",
    "scatter_figure",
    "svg",
    "tradeoff_figure",
    "traversals_figure",
]
