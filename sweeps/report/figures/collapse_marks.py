"""The mark of collapse: a cross over points of which seeds ended with no active unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.transforms import Transform

from sweeps.report.figures import style
from sweeps.results import run_columns

NOTE = "a cross: seeds of this point collapsed, no latent was active at their last report"


def marked(rows: pd.DataFrame) -> np.ndarray:
    """Return which cells or brackets have collapsed seeds, (n,) bool."""
    return run_columns.floats(rows, "collapsed") > 0


def label(rows: pd.DataFrame) -> str:
    """Return the legend's entry for the crossed points among some cells or brackets; "" if there is none."""
    own = rows.loc[marked(rows)]
    if own.empty:
        return ""
    return f"collapsed: {int(own['collapsed'].sum())} of {int(own['seeds'].sum())} seeds"


def cross(
    axes: Axes,
    across: np.ndarray,
    up: np.ndarray,
    *,
    name: str = "",
    transform: Transform | None = None,
) -> PathCollection | None:
    """Draw crosses over markers, with a legend entry if it has a name; return them, None if there are none."""
    if not len(across):
        return None
    moved = {} if transform is None else {"transform": transform}
    options = {"s": 62, "marker": "x", "color": style.INK, "linewidth": 1.5, "zorder": 5, **moved}
    return axes.scatter(across, up, gid="collapsed", label=name or "_collapsed", **options)
