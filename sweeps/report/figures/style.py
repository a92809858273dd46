"""What all figures share: colours, sizes, and the text at the foot that names the spec."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar, cast

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullLocator

from sweeps.report import wording
from sweeps.results import run_series
from sweeps.results.run_table import Runs

P = ParamSpec("P")
R = TypeVar("R")

# The colours of Okabe and Ito: people with a common colour vision deficiency can tell them apart.
# Their yellow is left out, as it is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKERS = ("o", "s", "D", "^")
DPI = 150
MOST_ABOVE = 5
"""The largest number of legend entries that fit in the line of the title."""
INK, GREY, FAINT = "#222222", "#666666", "#d9d9d9"

RC = {
    "text.parse_math": False,  # a name may hold two dollar signs
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececec",
    "grid.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    # Ids in the file are drawn from this salt, so that the same figure gives the same bytes.
    "svg.hashsalt": "vae-sweeps",
}


def with_figure_style(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that runs under this style and leaves the caller's style as it was."""

    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with _context():
            return function(*args, **kwargs)

    styled.__name__, styled.__doc__ = function.__name__, function.__doc__
    return styled


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches.

    It is made without pyplot, so that it opens no window and is in no global list.
    """
    # The layout is computed at the resolution of the PNG. Letters are a little wider at other
    # resolutions; the pads leave room for that.
    return Figure(
        figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.05)
    )


def png(drawing: Figure, *, dpi: int = DPI) -> bytes:
    """Return the figure as PNG."""
    return _saved(drawing, format="png", dpi=dpi, metadata={"Software": None})


def svg(drawing: Figure) -> bytes:
    """Return the figure as SVG, without the date."""
    return _saved(drawing, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})


def colours(runs: Runs) -> dict[str, str]:
    """Return the colour of each series, in the order of the sweep."""
    names = dict.fromkeys(run_series.series(runs))
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}


def markers(runs: Runs) -> dict[str, str]:
    """Return the marker of each series; the marker changes where the colours repeat."""
    names = dict.fromkeys(run_series.series(runs))
    return {name: MARKERS[k // len(COLOURS) % len(MARKERS)] for k, name in enumerate(names)}


def shades(strengths: Sequence[float] | np.ndarray) -> dict[float, str]:
    """Return the colour of each strength, from dark to light by rank.

    The lightest end of the colour map is not used: it cannot be read on white.
    """
    known = sorted({float(strength) for strength in strengths if not math.isnan(strength)})
    colour_map = matplotlib.colormaps["viridis"]
    positions = np.linspace(0.0, 0.88, max(len(known), 1))
    return {
        strength: to_hex(colour_map(position))
        for strength, position in zip(known, positions, strict=False)
    }


def areas(strengths: np.ndarray) -> np.ndarray:
    """Return areas of circles (points²) that grow with the strength.

    They grow with its logarithm if all strengths are positive. The smallest area is 40 and the
    largest is 320; a point without a strength (a plain VAE) gets the smallest. If all strengths are
    equal or none is known, every area is 90.
    """
    known = strengths[~np.isnan(strengths)]
    if len(known) == 0 or known.min() == known.max():
        return np.full(len(strengths), 90.0)
    scale = np.log(strengths) if known.min() > 0 else strengths
    low, high = np.nanmin(scale), np.nanmax(scale)
    return np.nan_to_num(40 + 280 * (scale - low) / (high - low), nan=40.0)


def strength_scale(axes: Axes, strengths: np.ndarray, label: str) -> None:
    """Set the x axis of strengths: its label, its scale, and ticks at the strengths themselves.

    The scale is a base-2 logarithm where the strengths span a factor of 4 or more.
    """
    known = np.unique(strengths[~np.isnan(strengths)])
    axes.set_xlabel(label)
    if len(known) == 0:
        axes.set_xticks([])
        return
    if logarithmic(known):
        axes.set_xscale("log", base=2)
    if len(known) <= 10:
        axes.set_xticks(_apart(known))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.value_text(float(value))))


def _apart(values: np.ndarray) -> np.ndarray:
    """Return rising values without those with a tick that would touch the tick before it."""
    positions = np.log(values) if logarithmic(values) else values
    gap = 0.06 * (positions[-1] - positions[0])
    kept: list[int] = []
    for index, position in enumerate(positions):
        if not kept or position - positions[kept[-1]] >= gap:
            kept.append(index)
    return values[kept]


def legend(drawing: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Write the legend above the panels, or beside them if it has more than `MOST_ABOVE` names."""
    if len(names) > MOST_ABOVE:
        drawing.legend(handles, names, loc="outside right upper")
    else:
        drawing.legend(handles, names, loc="outside upper right", ncols=max(len(names), 1))


def logarithmic(strengths: np.ndarray) -> bool:
    """Return whether strengths should be compared by their ratios, on a logarithmic axis."""
    return bool(len(strengths) and strengths.min() > 0 and strengths.max() >= 4 * strengths.min())


def finish(drawing: Figure, runs: Runs, title: str, note: str = "") -> Figure:
    """Write the title and the foot, fix the layout, and return the figure.

    The foot names the spec, the number of trials by state, and the note.
    """
    drawing.suptitle(title, x=0.012, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    foot = f"spec {runs.name}: {wording.states(runs.table)}"
    if note:
        foot += f". {note}"
    drawing.supxlabel(_wrapped(foot, drawing), x=0.012, ha="left", fontsize=7.5, color=GREY)
    return fix_layout(drawing)


def fix_layout(drawing: Figure) -> Figure:
    """Compute the layout once, for all file formats, and return the figure.

    What is added later moves nothing, so positions in pixels are known from here on.
    """
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")
    return drawing


def _wrapped(text: str, drawing: Figure) -> str:
    """Return the text in lines of the figure's width (a 7.5 point letter is about 0.062 inch)."""
    width = int(drawing.get_figwidth() / 0.062)
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _context() -> AbstractContextManager[None]:
    return matplotlib.rc_context(cast(dict[Any, Any], RC))


def _saved(drawing: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with _context():
        drawing.savefig(buffer, **options)
    return buffer.getvalue()
