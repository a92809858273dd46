"""What all figures share: colours, sizes, the line at the foot that names the sweep."""

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

# Okabe and Ito's colours, told apart with any of the common colour vision deficiencies; yellow is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKERS = ("o", "s", "D", "^")
DPI = 150
MOST_ABOVE = 5
"""Entries of a legend that have room in the line of the title."""
INK, GREY, FAINT = "#222222", "#666666", "#d9d9d9"

RC = {
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
    "svg.hashsalt": "vae-sweeps",  # ids in the file are drawn from it: the same figure gives the same bytes
}


def drawn(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function run under this style, the caller's own left as it was."""

    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with _context():
            return function(*args, **kwargs)

    styled.__name__, styled.__doc__ = function.__name__, function.__doc__
    return styled


def figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches; apart from pyplot, so that no window and no global list knows it."""
    # Laid out at the dots of the PNG; the pads take up that letters are a little wider at other resolutions.
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
    """Return series -> colour, in the order of the sweep."""
    return {
        series: COLOURS[k % len(COLOURS)]
        for k, series in enumerate(dict.fromkeys(run_series.series(runs)))
    }


def markers(runs: Runs) -> dict[str, str]:
    """Return series -> marker; it changes when the colours begin again."""
    return {
        series: MARKERS[k // len(COLOURS) % len(MARKERS)]
        for k, series in enumerate(dict.fromkeys(run_series.series(runs)))
    }


def shades(strengths: Sequence[float] | np.ndarray) -> dict[float, str]:
    """Return strength -> colour from dark to light by rank, without the lightest end, unreadable on white."""
    known = sorted({float(strength) for strength in strengths if not math.isnan(strength)})
    colour_map = matplotlib.colormaps["viridis"]
    places = np.linspace(0.0, 0.88, max(len(known), 1))
    return {
        strength: to_hex(colour_map(place)) for strength, place in zip(known, places, strict=False)
    }


def areas(strengths: np.ndarray) -> np.ndarray:
    """Return circle areas (points²) that grow with the strength, with its logarithm if all are positive.

    The smallest is 40 and the largest 320; a strength that is not there (a plain VAE) gets the smallest.
    """
    known = strengths[~np.isnan(strengths)]
    if len(known) == 0 or known.min() == known.max():
        return np.full(len(strengths), 90.0)
    scale = np.log(strengths) if known.min() > 0 else strengths
    low, high = np.nanmin(scale), np.nanmax(scale)
    return np.nan_to_num(40 + 280 * (scale - low) / (high - low), nan=40.0)


def strength_scale(axes: Axes, strengths: np.ndarray, label: str) -> None:
    """Set the x axis of strengths: base-2 logarithm where they span a factor of 4, ticks at the values themselves."""
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.plain(float(value))))


def _apart(values: np.ndarray) -> np.ndarray:
    """Return the values, rising, without those whose ticks would touch the one before."""
    places = np.log(values) if logarithmic(values) else values
    kept: list[int] = []
    for at, place in enumerate(places):
        if not kept or place - places[kept[-1]] >= 0.06 * (places[-1] - places[0]):
            kept.append(at)
    return values[kept]


def legend(drawing: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Write the legend above the panels, or beside them where its entries are many."""
    if len(names) > MOST_ABOVE:
        drawing.legend(handles, names, loc="outside right upper")
    else:
        drawing.legend(handles, names, loc="outside upper right", ncols=max(len(names), 1))


def logarithmic(strengths: np.ndarray) -> bool:
    """Return whether strengths are best read by their ratios."""
    return bool(len(strengths) and strengths.min() > 0 and strengths.max() >= 4 * strengths.min())


def finish(drawing: Figure, runs: Runs, title: str, note: str = "") -> Figure:
    """Write the title, and at the foot the spec that the figure shows, its trials and a note; return the figure."""
    drawing.suptitle(title, x=0.012, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    foot = f"spec {runs.name}: {wording.states(runs.table)}" + (f". {note}" if note else "")
    drawing.supxlabel(_wrapped(foot, drawing), x=0.012, ha="left", fontsize=7.5, color=GREY)
    return settle(drawing)


def settle(drawing: Figure) -> Figure:
    """Lay the figure out, once for all formats; what is added later moves nothing, and pixels are known."""
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")
    return drawing


def _wrapped(line: str, drawing: Figure) -> str:
    """Return the line broken to the figure's width (a 7.5 point letter is about 0.062 inch wide)."""
    width, lines = int(drawing.get_figwidth() / 0.062), [""]
    for word in line.split(" "):
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
