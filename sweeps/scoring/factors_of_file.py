"""The factors of a file: levels, names, sizes and row weights, checked and assembled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from metrics import Factors
from sweeps.scoring.checked_arrays import CheckedArrays, describe
from sweeps.scoring.file_formats import Array
from vae_core.data.own_files.columns import to_levels
from vae_core.data.own_files.words import listed


def factors_of(arrays: CheckedArrays) -> Factors | None:
    """Return the factors of a file, None if it has none or if there is a problem.

    With `factor_sizes`, levels must be whole numbers in [0, size). Without, the levels of each
    factor are numbered from 0 in the order of their values, by the rule for all files of a user.
    """
    if "factors" not in arrays:
        for key in ("factor_names", "factor_sizes", "weights"):
            if key in arrays and not arrays.failed(["factors"]):
                arrays.add_problem(key, "needs factors beside it")
        return None
    names = _names(arrays)
    sizes: list[int] | None = None
    if "factor_sizes" in arrays:
        levels = arrays.whole_levels("factors", names or ())
        columns = None if levels is None else list(levels.T)
    else:
        columns = arrays.factor_values("factors")
    weights = _weights(arrays) if "weights" in arrays else None
    if columns is None or names is None:
        return None
    if "factor_sizes" in arrays:
        sizes = _sizes(arrays, names)
        if sizes is None:
            return None
        _check_levels(arrays, columns, names, sizes)
    else:
        columns, sizes = _numbered(arrays, columns, names)
    if arrays.problems:
        return None
    return Factors(np.stack(columns, axis=1), tuple(names), tuple(sizes), weights)


def _names(arrays: CheckedArrays) -> list[str] | None:
    """Return the names of the factors, `factor_0`, `factor_1`, … if the file does not name them."""
    if arrays.factor_columns:
        return list(arrays.factor_columns)
    matrix = arrays.unchecked("factors")
    if matrix.ndim != 2 or arrays.seems_transposed(matrix):
        return None  # the problem of the matrix is reported, and its number of columns is unknown
    count = matrix.shape[1]
    if "factor_names" not in arrays:
        if arrays.failed(["factor_names"]):
            return None
        return [f"factor_{k}" for k in range(count)]
    array = arrays.unchecked("factor_names")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind != "U" or array.shape != (count,):
        rule = f"must be {count} names, one per column of factors"
        arrays.add_problem("factor_names", f"{rule}, got {describe(array)}")
        return None
    names = [str(name) for name in array]
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        rule = f"must not repeat a name, got {listed(doubled)} more than once"
        arrays.add_problem("factor_names", rule)
        return None
    return names


def _sizes(arrays: CheckedArrays, names: Sequence[str]) -> list[int] | None:
    """Return the number of levels of each factor in the whole data set."""
    array = arrays.unchecked("factor_sizes")
    rule = f"must be {len(names)} whole numbers >= 1, one per column of factors"
    if array.dtype.kind not in "iu" or array.shape != (len(names),):
        arrays.add_problem("factor_sizes", f"{rule}, got {describe(array)}")
        return None
    sizes = [int(size) for size in array]
    if min(sizes, default=1) < 1:
        arrays.add_problem("factor_sizes", f"{rule}, got {listed(map(str, sizes))}")
        return None
    return sizes


def _weights(arrays: CheckedArrays) -> Array | None:
    """Return the row weights, (N,) float64."""
    array = arrays.unchecked("weights")
    if array.dtype.kind not in "fiu" or array.ndim != 1:
        arrays.add_problem("weights", f"must be one number per row, got {describe(array)}")
        return None
    weights = array.astype(np.float64)
    if not arrays.has_rows("weights", weights):
        return None
    if not np.isfinite(weights).all() or weights.min(initial=0.0) < 0 or not weights.sum() > 0:
        got = f"{weights.min():g} to {weights.max():g}" if weights.size else "none"
        rule = "must be finite and >= 0, and not all zero"
        arrays.add_problem("weights", f"{rule}, got {got}")
        return None
    return weights


def _check_levels(
    arrays: CheckedArrays, columns: Sequence[Array], names: Sequence[str], sizes: Sequence[int]
) -> None:
    """Add a problem for each factor with a level outside [0, size)."""
    for k, name in enumerate(names):
        column, size = columns[k], sizes[k]
        if len(column) and (column.min() < 0 or column.max() >= size):
            got = f"got {int(column.min())} to {int(column.max())}"
            remedy = "number levels from 0, or leave factor_sizes out and they are ranked"
            arrays.add_problem("factors", f"{name!r} must lie in [0, {size}), {got}; {remedy}")


def _numbered(
    arrays: CheckedArrays, columns: Sequence[Array], names: Sequence[str]
) -> tuple[list[Array], list[int]]:
    """Return each factor's levels numbered from 0 in their order, and how many levels it has."""
    numbers: list[Array] = []
    sizes: list[int] = []
    for name, column in zip(names, columns, strict=True):
        try:
            levels = to_levels(column)
        except ValueError as error:
            arrays.add_problem("factors", f"{name!r} {error}")
            continue
        if not _are_numbers_from_0(levels.values):
            renumbered = f"numbered 0 to {len(levels.values) - 1}"
            arrays.notes.append(
                f"factor {name!r}: levels {_shortened(levels.values)} are {renumbered}"
            )
        arrays.notes += [f"factor {name!r}: {note}" for note in levels.notes]
        numbers.append(levels.numbers)
        sizes.append(len(levels.values))
    return numbers, sizes


def _are_numbers_from_0(values: Array) -> bool:
    """Return whether the sorted values are 0, 1, 2, …."""
    return values.dtype.kind in "biuf" and np.array_equal(values, np.arange(len(values)))


def _shortened(values: Array) -> str:
    """Return "1, 2, 5"; of more than six values the first three and the last."""
    texts = [f"{value:g}" if values.dtype.kind in "iuf" else str(value) for value in values]
    if len(texts) > 6:
        texts = [*texts[:3], "…", texts[-1]]
    return ", ".join(texts)
