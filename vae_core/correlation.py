"""Correlated factors: a distribution over a data set's images under which its factors are not independent.

p_n ∝ w(v_n), n = 1 … N, with w a function of the image's levels v of a few factors; those that w does not name stay as
they are in the set. On a grid of all combinations these are uniform and independent; elsewhere w multiplies what
frequencies the set has.

Two forms of w. A band along the diagonal of pairs of factors (a, b), each scaled to c in [0, 1] by its levels:

    w(v) = prod over pairs of exp(−(c_a − c_b)² / (2 σ²))

(Träuble et al. 2021, arXiv:2006.07886; as remembered: they scale a by the range of b; widths σ of .1 to .7 and pairs
that share a factor as in Roth et al. 2023). And a table of w over joint levels, as CSV.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrics import Array, Factors
from vae_core.hyperparameters import registry

Pairs = tuple[tuple[str, str], ...]

WEIGHT = "weight"
"""The last column of a table."""

_SHOWN = 3  # mistakes of one kind that a message lists
_MOST_LEVELS = 1 << 31


class FactorTable(NamedTuple):
    """How often joint levels of some factors occur: a weight for each."""

    names: tuple[str, ...]  # K
    levels: Array  # (R, K) int64, no row twice
    weights: Array  # (R,) float64, >= 0, in any unit

    def text(self) -> str:
        """Return the CSV that `read_table` reads, its rows in order: equal tables have equal texts."""
        order = np.lexsort(self.levels.T[::-1])
        rows = [
            ",".join([*map(str, levels), f"{weight:.17g}"])
            for levels, weight in zip(
                self.levels[order].tolist(), self.weights[order].tolist(), strict=True
            )
        ]
        return "\n".join([",".join([*self.names, WEIGHT]), *rows, ""])


def read_table(text: str) -> FactorTable:
    """Return the table of a CSV text: a line of factor names and `weight`, then levels and a weight a line.

    Raises:
        ValueError: naming the first few lines that are wrong.
    """
    lines = [
        [cell.strip() for cell in row]
        for row in csv.reader(io.StringIO(text))
        if any(map(str.strip, row))
    ]
    if len(lines) < 2:
        raise ValueError(
            "factor_table must be CSV text: a line of factor names and weight, then a line per joint level, as in "
            f"'shape,scale,weight\\n0,0,2.5\\n…', got {text[:40]!r}"
        )
    *names, last = lines[0]
    if last != WEIGHT or not names or len(set(names)) < len(names):
        raise ValueError(
            f"factor_table must have columns of different factors, then {WEIGHT}, got {','.join(lines[0])}"
        )
    rows, wrong = _rows(lines[1:], len(names))
    if wrong:
        raise ValueError(f"factor_table: {_listed(wrong)}")
    weights = np.array([weight for _, weight in rows])
    if not weights.any():
        raise ValueError("factor_table must have a weight above 0, got all zero")
    return FactorTable(
        tuple(names), np.array([levels for levels, _ in rows], dtype=np.int64), weights
    )


def _rows(
    lines: Sequence[Sequence[str]], factors: int
) -> tuple[list[tuple[tuple[int, ...], float]], list[str]]:
    """Return levels and weight of every line, and what is wrong with them."""
    rows: list[tuple[tuple[int, ...], float]] = []
    wrong: list[str] = []
    seen: set[tuple[int, ...]] = set()
    for cells in lines:
        line = ",".join(cells)
        try:
            levels, weight = tuple(int(cell) for cell in cells[:-1]), float(cells[-1])
        except ValueError:
            wrong.append(
                f"line {line!r} must be whole numbers, the levels, and a number, the weight"
            )
            continue
        if len(levels) != factors:
            wrong.append(f"line {line!r} must have {factors} levels and a weight")
        elif min(levels) < 0 or not 0 <= weight < math.inf:
            wrong.append(f"line {line!r} must have levels >= 0 and a finite weight >= 0")
        elif max(levels) >= _MOST_LEVELS:
            wrong.append(f"line {line!r} must have levels below {_MOST_LEVELS}")
        elif levels in seen:
            wrong.append(f"line {line!r} repeats its levels; give each once")
        seen.add(levels)
        rows.append((levels, weight))
    return rows, wrong


def require_pairs(pairs: Sequence[Any]) -> Pairs:
    """Return pairs of factors, one pair alone too, in alphabetical order; ValueError where they are none."""
    alone = len(pairs) > 0 and all(isinstance(item, str) for item in pairs)
    found: list[tuple[str, str]] = []
    for pair in [pairs] if alone else pairs:
        members: list[Any] = [*pair] if isinstance(pair, list | tuple) else [pair]
        names = sorted(name for name in members if isinstance(name, str))
        if len(names) != 2 or len(members) != 2:
            raise ValueError(
                f"correlated must be a pair of factors, as in [pos_x, pos_y], or a list of pairs, got {members}"
            )
        a, b = names
        if a == b:
            raise ValueError(f"correlated must pair two different factors, got {a} with itself")
        if (a, b) in found:
            raise ValueError(
                f"correlated must not repeat a pair, got {a} and {b} more than once; take a smaller width"
            )
        found.append((a, b))
    return tuple(sorted(found))


def problems(
    pairs: Pairs,
    table: FactorTable | None,
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    grid: bool,
) -> list[tuple[str, str]]:
    """Return (field, what is wrong) of pairs and a table for a data set's factors.

    Args:
        pairs: of a band.
        table: of weights.
        names, sizes: of the factors, and their numbers of levels.
        grid: whether the set has an image of every combination: a table then says of each how often it occurs.
    """
    level_count = dict(zip(names, sizes, strict=True))
    used = {
        "correlated": [name for pair in pairs for name in pair],
        "factor_table": list(table.names if table else ()),
    }
    found: list[tuple[str, str]] = []
    for field, asked in used.items():
        for name in dict.fromkeys(asked):
            if name not in level_count:
                found.append((field, f"{field}: {registry.unknown('factor', name, names)}"))
            elif level_count[name] < 2:
                found.append(
                    (
                        field,
                        f"{field}: {name} has one level in this data set, so nothing can depend on it",
                    )
                )
    if table is None or any(field == "factor_table" for field, _ in found):
        return found
    limits = [level_count[name] for name in table.names]
    outside = [
        levels
        for levels in table.levels.tolist()
        if any(v >= n for v, n in zip(levels, limits, strict=True))
    ]
    if outside:
        ranges = ", ".join(
            f"{name} 0 to {n - 1}" for name, n in zip(table.names, limits, strict=True)
        )
        found.append(
            ("factor_table", f"factor_table: unknown levels {_listed(outside)}; known: {ranges}")
        )
    if grid:
        covered = {tuple(levels) for levels in table.levels.tolist()}
        bare = [levels for levels in product(*map(range, limits)) if levels not in covered]
        found += [("factor_table", _bare(table.names, bare))] if bare else []
    return found


def band(factors: Factors, pairs: Pairs, width: float) -> NDArray[np.float64]:
    """Return p (N,), the band along the diagonal of every pair; `width` is σ in units of a factor's whole range."""
    scaled = {
        name: factors.values[:, k] / max(size - 1, 1)
        for k, (name, size) in enumerate(zip(factors.names, factors.sizes, strict=True))
    }
    log_w = np.zeros(len(factors))
    for a, b in pairs:
        log_w -= 0.5 * np.square((scaled[a] - scaled[b]) / width)
    w = np.exp(log_w - log_w.max())  # the likeliest image weighs 1, however narrow the band
    return w / w.sum()


def tabled(factors: Factors, table: FactorTable) -> NDArray[np.float64]:
    """Return p (N,), the table's weights of the images' levels.

    Raises:
        ValueError: the table says nothing of the levels of an image, or none of them weighs anything.
    """
    own = factors.values[:, [factors.names.index(name) for name in table.names]]
    shape = tuple(factors.sizes[factors.names.index(name)] for name in table.names)
    weights = np.full(math.prod(shape), np.nan)
    weights[np.ravel_multi_index(tuple(table.levels.T), shape)] = table.weights
    w = weights[np.ravel_multi_index(tuple(own.T), shape)]
    if np.isnan(w).any():
        raise ValueError(_bare(table.names, np.unique(own[np.isnan(w)], axis=0).tolist()))
    if not w.any():
        raise ValueError(
            "factor_table must weigh the levels of some image above 0, got 0 for all of them"
        )
    w = w / w.max()  # or the sum of the largest floats would not be one
    return w / w.sum()


def _bare(names: Sequence[str], levels: Sequence[Sequence[int]]) -> str:
    return (
        f"factor_table must have a line for the levels of every image, of {','.join(names)} it has none for "
        f"{_listed(levels)}; give those that never occur the weight 0"
    )


def _listed(things: Sequence[object]) -> str:
    shown = "; ".join(
        ",".join(map(str, t)) if isinstance(t, list | tuple) else str(t) for t in things[:_SHOWN]
    )  # pyright: ignore
    return shown + (f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else "")
