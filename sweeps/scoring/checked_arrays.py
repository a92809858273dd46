"""The arrays of a file by key, and the checks of one array: numbers, axes, rows, finite values."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from sweeps.scoring.file_formats import Array, Content
from vae_core.data.own_files.text_columns import typed
from vae_core.data.own_files.transposed import TRANSPOSE


class CheckedArrays:
    """The arrays of a file. A check that fails adds a problem, so that all are reported at once.

    The first array that is checked sets the number of rows that the others must have.

    Attributes:
        problems: one text per problem; each begins with the key, in a table with the column.
        notes: what was converted, numbered anew or ignored.
        factor_columns: the factors of a table, by name; {} if the file has matrices.
    """

    def __init__(self, content: Content, *, stored_by_rows: bool = False) -> None:
        """Keep the arrays; `stored_by_rows`: whether they are known not to be transposed."""
        self._arrays = content.arrays
        self._stored_by_rows = stored_by_rows
        self.factor_columns = content.factor_columns
        self._failed_keys = content.failed
        self._first_rows: tuple[str, int] | None = None  # the first checked key, its number of rows
        self.problems = list(content.problems)
        self.notes: list[str] = list(content.notes)

    def __contains__(self, key: str) -> bool:
        """Return whether the file has a readable array under a key."""
        return key in self._arrays or (key == "factors" and bool(self.factor_columns))

    def keys(self) -> list[str]:
        """Return the known keys that could be read."""
        return [*self._arrays, *(["factors"] if self.factor_columns else [])]

    def failed(self, keys: Collection[str]) -> bool:
        """Return whether one of the keys is in the file but could not be read.

        Its problem is already reported, so it must not be reported as missing.
        """
        return not self._failed_keys.isdisjoint(keys)

    def unchecked(self, key: str) -> Array:
        """Return an array as it is in the file."""
        return self._arrays[key]

    def add_problem(self, key: str, rule: str) -> None:
        """Add the problem that a key breaks a rule."""
        self.problems.append(f"{key} {rule}")

    def seems_transposed(self, array: Array) -> bool:
        """Return whether a matrix has fewer rows (images) than columns (latents, factors)."""
        return array.ndim == 2 and 0 < len(array) < array.shape[1] and not self._stored_by_rows

    def only_one(self, names: Sequence[str]) -> str | None:
        """Return which of several names for the same quantity the file has, None if it has none.

        More than one of them is a problem.
        """
        present = [name for name in names if name in self._arrays]
        if len(present) > 1:
            rule = f"holds the same quantity as {present[0]}; keep one of them"
            self.add_problem(present[1], rule)
        return present[0] if present else None

    def floats(self, key: str) -> Array | None:
        """Return a matrix (images, latents) of finite floats, None if it is not one.

        Floats of at most 32 bits become float32, all other numbers float64.
        """
        array = self._matrix(key, kinds="fiub", columns="latents")
        if array is None:
            return None
        small = array.dtype.kind == "f" and array.dtype.itemsize <= 4
        array = array.astype(np.float32 if small else np.float64, copy=False)
        return array if self._has_rows_and_is_finite(key, array) else None

    def whole_numbers(self, key: str) -> Array | None:
        """Return a matrix (images, codes) of whole numbers as int64, None if it is not one.

        Floats that are whole numbers are converted.
        """
        array = self._matrix(key, kinds="iubf", columns="codes")
        if array is None or not self._has_rows_and_is_finite(key, array):
            return None
        if array.dtype.kind != "f":
            return self._int64(key, array)
        fractional = _fractional(array)
        for k in np.flatnonzero(fractional.any(axis=0)).tolist():
            self._add_fraction(key, f"column {k}", array[:, k], fractional[:, k])
        return None if fractional.any() else self._converted(key, array)

    def whole_levels(self, key: str, names: Sequence[str]) -> Array | None:
        """Return a matrix (images, factors) of levels as int64, None if it is not one.

        Args:
            key: of the matrix.
            names: of the factors, for messages; empty if they are not known.
        """
        if self._arrays[key].dtype.kind in "US":
            remedy = "leave factor_sizes out, and its texts are levels"
            self.add_problem(key, f"must be whole numbers beside factor_sizes, got text; {remedy}")
            return None
        array = self._matrix(key, kinds="iubf", columns="factors")
        if array is None or not self._has_rows_and_is_finite(key, array):
            return None
        if array.dtype.kind != "f":
            return self._int64(key, array)
        fractional = _fractional(array)
        for k in np.flatnonzero(fractional.any(axis=0)).tolist():
            name = repr(names[k]) if names else f"column {k}"
            self._add_fraction(key, name, array[:, k], fractional[:, k])
        return None if fractional.any() else self._converted(key, array)

    def factor_values(self, key: str) -> list[Array] | None:
        """Return the columns of a matrix (images, factors) of numbers or text, or of a table.

        None if it is not one. A column of text is taken as numbers if all its texts are numbers.
        Numbers are int64 or floats; floats that are all whole numbers are converted.
        """
        if self.factor_columns:
            columns = list(self.factor_columns.values())
            return columns if self.has_rows(key, columns[0]) else None
        array = self._matrix(key, kinds="iubfUS", columns="factors")
        if array is None:
            return None
        if array.dtype.kind in "US":
            return self._text_columns(key, array) if self.has_rows(key, array) else None
        if not self._has_rows_and_is_finite(key, array):
            return None
        if array.dtype.kind == "f" and not _fractional(array).any():
            array = self._converted(key, array)
        elif array.dtype.kind == "b":
            array = array.astype(np.int64)
        return list(array.T)

    def pixels(self, key: str) -> Array | None:
        """Return images with values in [0, 1], None if the key is absent or holds something else.

        Whole numbers from 0 to 255 are divided by 255 if one of them is larger than 1.
        """
        if key not in self._arrays:
            return None
        array = self._arrays[key]
        if array.dtype.kind not in "fiub" or array.ndim < 2:
            self.add_problem(key, f"must be numbers, one image per row, got {describe(array)}")
            return None
        if not array.size:
            self.add_problem(key, f"must have at least one pixel, got shape {array.shape}")
            return None
        self.has_rows(key, array)  # adds a problem; the values are checked all the same
        low, high = array.min(), array.max()
        most = 1 if array.dtype.kind == "f" else 255
        if not (low >= 0 and high <= most):  # false for NaN, too
            rule = "must lie in [0, 1] (or be levels 0 to 255)"
            self.add_problem(key, f"{rule}, got {low:g} to {high:g}")
            return None
        if array.dtype.kind == "f":
            return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)
        if high > 1:
            self.notes.append(f"{key}: levels up to {high} are divided by 255")
        return array.astype(np.float32) / (255 if high > 1 else 1)

    def has_rows(self, key: str, array: Array) -> bool:
        """Return whether an array has as many rows as the first one that was checked.

        If not, a problem is added.
        """
        if self._first_rows is None:
            self._first_rows = (key, len(array))
        first_key, rows = self._first_rows
        if len(array) == rows:
            return True
        remedy = "save both for the same images"
        if array.ndim > 1 and array.shape[-1] == rows:
            remedy = TRANSPOSE
        self.add_problem(key, f"has {len(array)} rows but {first_key} has {rows}; {remedy}")
        return False

    def _matrix(self, key: str, *, kinds: str, columns: str) -> Array | None:
        """Return an array of one of the dtype kinds with two axes and at least one element."""
        array = self._arrays[key]
        if array.dtype.kind not in kinds:
            self.add_problem(key, f"must hold numbers, got {describe(array)}")
            return None
        if array.ndim != 2:
            remedy = "; a single one is a column, x[:, None]" if array.ndim == 1 else ""
            rule = f"must have two axes (images, {columns})"
            self.add_problem(key, f"{rule}, got shape {array.shape}{remedy}")
            return None
        if not array.size:
            rule = "must have at least one row and one column"
            self.add_problem(key, f"{rule}, got shape {array.shape}")
            return None
        if self.seems_transposed(array):
            rule = f"must have at least as many rows (images) as {columns}, got shape {array.shape}"
            self.add_problem(key, f"{rule}; {TRANSPOSE}")
            return None
        return array

    def _text_columns(self, key: str, array: Array) -> list[Array] | None:
        """Return the columns of a matrix of text, each as text, or as what all its texts are."""
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8", "replace")
        columns: list[Array] = []
        for k, column in enumerate(array.T):
            try:
                values, notes = typed(column.tolist())
            except ValueError as error:
                self.add_problem(key, f"column {k} {error}")
                continue
            columns.append(values)
            self.notes += [f"{key}: column {k} {note}" for note in notes]
        return columns if len(columns) == array.shape[1] else None

    def _has_rows_and_is_finite(self, key: str, array: Array) -> bool:
        """Return whether both hold. Both are checked, so that both problems are reported."""
        same_rows = self.has_rows(key, array)
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        if bad:
            rule = "must be finite, got NaN or infinity"
            self.add_problem(key, f"{rule} in {bad} of {len(array)} rows")
        return same_rows and not bad

    def _int64(self, key: str, array: Array) -> Array | None:
        if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
            self.add_problem(key, f"must be below 2**63, got {array.max()}")
            return None
        return array.astype(np.int64)

    def _converted(self, key: str, array: Array) -> Array:
        self.notes.append(f"{key}: floats that are whole numbers are taken as levels")
        return array.astype(np.int64)

    def _add_fraction(self, key: str, name: str, column: Array, fractional: Array) -> None:
        """Add the problem that a column holds a fraction; `fractional` says in which rows."""
        self.add_problem(key, f"{name} must be whole numbers, got {float(column[fractional][0])!r}")


def describe(array: Array) -> str:
    """Return the kind and the shape of an array, for a message."""
    kind = {"U": "text", "S": "text", "O": "Python objects"}.get(array.dtype.kind, str(array.dtype))
    return f"{kind} of shape {array.shape}"


def _fractional(array: Array) -> Array:
    """Return which floats are not whole numbers, or too large to be exact ones."""
    return (array != np.round(array)) | (np.abs(array) > 2**53)
