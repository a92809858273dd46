"""Correlated factors: a distribution over the images of a data set, in which factors depend.

p_n ∝ w(v_n), n = 1 … N, where w is a function of the image's levels v of a few factors. The other
factors stay as they are in the data set. On a grid of all combinations they are uniform and
independent; in other data sets w multiplies the frequencies of the set.

There are two forms of w. The first is a band along the diagonal of pairs of factors (a, b), each
scaled to c in [0, 1] by its levels:

    w(v) = Π over pairs of exp(−(c_a − c_b)² / (2 σ²))

(Träuble et al. 2021, arXiv:2006.07886; from memory: they scale a by the range of b; widths σ of .1
to .7 and pairs that share a factor as in Roth et al. 2023). The second is a table of w over joint
levels, as CSV.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics import Array, Factors
from vae_core.hyperparameters import registry

Pairs = tuple[tuple[str, str], ...]

WEIGHT = "weight"
"""The last column of a table."""

_LONGEST_TEXT = 300
_LISTED = 3  # problems of one kind that a message lists
_MOST_LEVELS = 1 << 31


class FactorTable(NamedTuple):
    """A weight for each of some joint levels of some factors."""

    names: tuple[str, ...]
    """K names of factors."""

    levels: Array
    """(R, K) int64, no row twice."""

    weights: Array
    """(R,) float64, >= 0, in any unit."""

    def text(self) -> str:
        """Return the CSV that `read_table` reads, rows sorted: equal tables have equal texts."""
        order = np.lexsort(self.levels.T[::-1])
        lines = [",".join([*self.names, WEIGHT])]
        rows = zip(self.levels[order].tolist(), self.weights[order].tolist(), strict=True)
        for levels, weight in rows:
            lines.append(",".join([*map(str, levels), f"{weight:.17g}"]))
        return "\n".join([*lines, ""])


def read_table(text: str) -> FactorTable:
    """Return the table of a CSV text.

    Its first line has factor names and `weight`; every other line has levels and a weight.

    Raises:
        ValueError: the text is no such table; the message lists the first few bad lines.
    """
    lines = _cells(text)
    if len(lines) < 2:
        raise ValueError(
            "factor_table must be CSV text: a line of factor names and weight, then a line per "
            f"joint level, as in 'shape,scale,weight\\n0,0,2.5\\n…', got {text[:40]!r}"
        )
    *names, last = lines[0]
    if last != WEIGHT or not names or len(set(names)) < len(names):
        raise ValueError(
            f"factor_table must have columns of different factors, then {WEIGHT}, "
            f"got {_shortened(','.join(lines[0]))}"
        )
    rows, bad_lines = _rows(lines[1:], len(names))
    if bad_lines:
        raise ValueError(f"factor_table: {_first_few(bad_lines)}")
    weights = np.array([weight for _, weight in rows])
    if not weights.any():
        raise ValueError("factor_table must have a weight above 0, got all zero")
    levels = np.array([levels for levels, _ in rows], dtype=np.int64)
    return FactorTable(tuple(names), levels, weights)


def _cells(text: str) -> list[list[str]]:
    """Return the cells of every line of a CSV text, without blank lines.

    Raises:
        ValueError: a cell is too long for a reader of CSV.
    """
    lines: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text)):
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append(cells)
    except csv.Error as error:
        raise ValueError(f"factor_table must be CSV text: {error}") from error
    return lines


def _rows(
    lines: Sequence[Sequence[str]], factors: int
) -> tuple[list[tuple[tuple[int, ...], float]], list[str]]:
    """Return levels and weight of every line, and a message for every bad line."""
    rows: list[tuple[tuple[int, ...], float]] = []
    problems: list[str] = []
    seen: set[tuple[int, ...]] = set()
    for cells in lines:
        line = ",".join(cells)
        try:
            levels, weight = tuple(int(cell) for cell in cells[:-1]), float(cells[-1])
        except ValueError:
            problems.append(
                f"line {line!r} must be whole numbers, the levels, and a number, the weight"
            )
            continue
        if len(levels) != factors:
            problems.append(f"line {line!r} must have {factors} levels and a weight")
        elif min(levels) < 0 or not 0 <= weight < math.inf:
            problems.append(f"line {line!r} must have levels >= 0 and a finite weight >= 0")
        elif max(levels) >= _MOST_LEVELS:
            problems.append(f"line {line!r} must have levels below {_MOST_LEVELS}")
        elif levels in seen:
            problems.append(f"line {line!r} repeats its levels; give each once")
        seen.add(levels)
        rows.append((levels, weight))
    return rows, problems


def require_pairs(pairs: Sequence[Any]) -> Pairs:
    """Return pairs of factors in alphabetical order; `pairs` may also be a single pair.

    Raises:
        ValueError: an item is not a pair of two different factors, or a pair is repeated.
    """
    single = len(pairs) > 0 and all(isinstance(item, str) for item in pairs)
    checked: list[tuple[str, str]] = []
    for pair in [pairs] if single else pairs:
        members: list[Any] = [*pair] if isinstance(pair, list | tuple) else [pair]
        names = sorted(name for name in members if isinstance(name, str))
        if len(names) != 2 or len(members) != 2:
            raise ValueError(
                "correlated must be a pair of factors, as in [pos_x, pos_y], or a list of pairs, "
                f"got {members}"
            )
        a, b = names
        if a == b:
            raise ValueError(f"correlated must pair two different factors, got {a} with itself")
        if (a, b) in checked:
            raise ValueError(
                f"correlated must not repeat a pair, got {a} and {b} more than once; "
                "take a smaller width"
            )
        checked.append((a, b))
    return tuple(sorted(checked))


def problems(
    pairs: Pairs,
    table: FactorTable | None,
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    grid: bool,
) -> list[tuple[str, str]]:
    """Return (field, message) for every problem of pairs and a table with a data set's factors.

    Args:
        pairs: pairs of a band.
        table: table of weights, if there is one.
        names: names of the data set's factors.
        sizes: numbers of levels of these factors.
        grid: whether the set has an image of every combination: a table must then have a weight for
            each of them.
    """
    level_counts = dict(zip(names, sizes, strict=True))
    paired = chain.from_iterable(pairs)
    messages = [("correlated", text) for text in _name_problems("correlated", paired, level_counts)]
    if table is None:
        return messages
    name_problems = _name_problems("factor_table", table.names, level_counts)
    table_problems = name_problems or _level_problems(table, level_counts, grid=grid)
    return messages + [("factor_table", text) for text in table_problems]


def _name_problems(field: str, used: Iterable[str], level_counts: dict[str, int]) -> list[str]:
    """Return a message for every factor that a field names and the data set cannot correlate."""
    messages: list[str] = []
    for name in dict.fromkeys(used):
        if name not in level_counts:
            messages.append(f"{field}: {registry.unknown_name('factor', name, level_counts)}")
        elif level_counts[name] < 2:
            messages.append(
                f"{field}: {name} has one level in this data set, so nothing can depend on it"
            )
    return messages


def _level_problems(table: FactorTable, level_counts: dict[str, int], *, grid: bool) -> list[str]:
    """Return a message if a table has levels that do not exist, or misses levels of a full grid."""
    messages: list[str] = []
    limits = [level_counts[name] for name in table.names]
    rows = table.levels.tolist()
    outside = [row for row in rows if not _within(row, limits)]
    if outside:
        ranges = ", ".join(
            f"{name} 0 to {n - 1}" for name, n in zip(table.names, limits, strict=True)
        )
        messages.append(f"factor_table: unknown levels {_first_few(outside)}; known: {ranges}")
    if grid:
        covered = {tuple(row) for row in rows}
        missing = [levels for levels in product(*map(range, limits)) if levels not in covered]
        if missing:
            messages.append(_missing_levels(table.names, missing))
    return messages


def _within(levels: Sequence[int], limits: Sequence[int]) -> bool:
    return all(level < limit for level, limit in zip(levels, limits, strict=True))


def band_distribution(factors: Factors, pairs: Pairs, width: float) -> NDArray[np.float64]:
    """Return p (N,), sum 1, of a band along the diagonal of every pair.

    `width` is σ as a fraction of a factor's range.
    """
    scaled = {
        name: factors.values[:, k] / max(size - 1, 1)
        for k, (name, size) in enumerate(zip(factors.names, factors.sizes, strict=True))
    }
    log_w = np.zeros(len(factors))
    for a, b in pairs:
        log_w -= 0.5 * np.square((scaled[a] - scaled[b]) / width)
    w = np.exp(log_w - log_w.max())  # the most likely image has weight 1, for any width
    return w / w.sum()


def table_distribution(factors: Factors, table: FactorTable) -> NDArray[np.float64]:
    """Return p (N,), sum 1, in proportion to the table's weights of the images' levels.

    Raises:
        ValueError: the levels of an image are not in the table, or all images have the weight 0.
    """
    columns = [factors.names.index(name) for name in table.names]
    levels = factors.values[:, columns]
    shape = tuple(factors.sizes[column] for column in columns)
    weights = np.full(math.prod(shape), np.nan)
    weights[np.ravel_multi_index(tuple(table.levels.T), shape)] = table.weights
    w = weights[np.ravel_multi_index(tuple(levels.T), shape)]
    if np.isnan(w).any():
        missing = np.unique(levels[np.isnan(w)], axis=0).tolist()
        raise ValueError(_missing_levels(table.names, missing))
    if not w.any():
        raise ValueError(
            "factor_table must weigh the levels of some image above 0, got 0 for all of them"
        )
    w = w / w.max()  # the sum of the largest floats would overflow
    return w / w.sum()


def _missing_levels(names: Sequence[str], levels: Sequence[Sequence[int]]) -> str:
    return (
        "factor_table must have a line for the levels of every image, of "
        f"{','.join(names)} it has none for {_first_few(levels)}; give those that never occur the "
        "weight 0"
    )


def _shortened(text: str) -> str:
    """Return a text, of a long one the beginning: a cell may be of any length."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _first_few(items: Sequence[object]) -> str:
    """Return the first items as text, and how many more there are."""
    texts = [
        _shortened(",".join(map(str, item)) if isinstance(item, list | tuple) else str(item))  # pyright: ignore
        for item in items[:_LISTED]
    ]
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return "; ".join(texts) + more
