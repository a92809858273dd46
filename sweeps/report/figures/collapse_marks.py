"""The mark of collapse: a cross over each point with seeds that ended without an active unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.transforms import Transform

from sweeps.report.figures import style
from sweeps.results import run_columns

NOTE = "a cross: seeds of this point collapsed, no latent was active at their last report"


def has_collapsed(rows: pd.DataFrame) -> np.ndarray:
    """Return which cells or brackets have collapsed seeds, (n,) bool."""
    return run_columns.float_column(rows, "collapsed") > 0


def legend_entry(rows: pd.DataFrame) -> str:
    """Return how many seeds of the crossed cells or brackets collapsed, "" if none is crossed."""
    crossed = rows.loc[has_collapsed(rows)]
    if crossed.empty:
        return ""
    return f"collapsed: {int(crossed['collapsed'].sum())} of {int(crossed['seeds'].sum())} seeds"


def draw_crosses(
    axes: Axes,
    across: np.ndarray,
    up: np.ndarray,
    *,
    name: str = "",
    transform: Transform | None = None,
) -> PathCollection | None:
    """Draw crosses over markers and return them, None if there are none.

    Args:
        axes: to draw on.
        across: (n,) horizontal positions.
        up: (n,) vertical positions.
        name: of the crosses in the legend; without a name they are not in the legend.
        transform: of the positions, by default that of the data.
    """
    if not len(across):
        return None
    options = {"s": 62, "marker": "x", "color": style.INK, "linewidth": 1.5, "zorder": 5}
    if transform is not None:
        options["transform"] = transform
    # Matplotlib leaves a name that begins with an underscore out of the legend.
    return axes.scatter(across, up, gid="collapsed", label=name or "_collapsed", **options)
