"""Codes and factors from anybody's file: what its keys mean, checked; every mistake of a file at once.

One row per image. A key may have any one of the names in its line:

| key                                | holds                                                                       |
|------------------------------------|-----------------------------------------------------------------------------|
| mean, means, mu, z_mean            | (N, d) posterior means, or deterministic codes                              |
| logvar, log_var                    | (N, d) natural log of the variances                                         |
| std, sigma; var, variance          | (N, d) the same as standard deviations or variances: turned into logs       |
| samples, z                         | (N, d) codes without a mean: scored as deterministic ones                   |
| discrete                           | (N, m) whole numbers: discrete codes, further latents                       |
| factors                            | (N, K) levels of the ground truth, numbered in their order                  |
| factor_names, factor_sizes         | (K,) names; numbers of levels of the whole data set                         |
| weights                            | (N,) how often each row counts, of factors that are no uniform draw         |
| images, reconstructions            | (N, …) pixels and probabilities in [0, 1], or levels 0 to 255               |

Parquet has columns instead of matrices: `mean_0`, `mean_1`, … (or one column `mean` of lists), likewise `logvar_0`,
`discrete_0`, …; one column `factor_NAME` per factor; `weights`; no pixels.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from metrics import Codes, Factors
from sweeps.scoring.file_formats import READERS, Array, Content, Unreadable
from vae_core.data.own_files.columns import MOST_LEVELS

MEAN = ("mean", "means", "mu", "z_mean")
LOGVAR, STD, VARIANCE = ("logvar", "log_var"), ("std", "sigma"), ("var", "variance")
SPREAD = (*LOGVAR, *STD, *VARIANCE)
SAMPLES = ("samples", "z")
OTHERS = (
    "discrete",
    "factors",
    "factor_names",
    "factor_sizes",
    "weights",
    "images",
    "reconstructions",
)
KEYS = (*MEAN, *SPREAD, *SAMPLES, *OTHERS)
_UNREAD = ("fingerprint",)
"""Keys that our own files have beside these."""


class CodesFileError(ValueError):
    """A file that cannot be scored; one line per mistake, each with the file and the key."""

    def __init__(self, source: str, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        super().__init__("\n".join(f"{source}: {mistake}" for mistake in self.mistakes))


class CodesFile(NamedTuple):
    """What a file holds, ready to be scored, and notes on what was converted, renumbered or ignored."""

    codes: Codes
    factors: Factors | None = None
    images: Array | None = None
    reconstructions: Array | None = None
    notes: tuple[str, ...] = ()


def read(path: Path) -> CodesFile:
    """Return what a file holds; its ending says what it is.

    Raises:
        CodesFileError: naming every mistake: of the file, or of its keys.
    """
    source = str(path)
    if path.suffix.lower() not in READERS:
        raise CodesFileError(
            source, [f"must end in {', '.join(READERS)}, got {path.suffix or 'no ending'}"]
        )
    try:
        with path.open("rb") as stream:
            return read_from(stream, source=source, suffix=path.suffix)
    except IsADirectoryError as error:
        raise CodesFileError(source, ["is a folder; name a file"]) from error
    except OSError as error:
        raise CodesFileError(source, [f"cannot be read: {error.strerror or error}"]) from error


def read_from(stream: BinaryIO, *, source: str, suffix: str) -> CodesFile:
    """Return what an open file holds; `source` is what messages call it. Raises as `read`."""
    if not stream.read(1):
        raise CodesFileError(source, ["is empty"])
    stream.seek(0)
    try:
        content = READERS[suffix.lower()](stream, KEYS)
    except Unreadable as error:
        raise CodesFileError(source, [str(error)]) from error
    reading = _Reading(content)
    found = reading.codes_file()
    if found is None or reading.mistakes:
        meant = [note for note in reading.notes if "did you mean" in note]
        raise CodesFileError(source, [*reading.mistakes, *meant])
    return found


class _Reading:
    """Turns arrays into codes and factors, collecting mistakes and notes on the way."""

    def __init__(self, content: Content) -> None:
        self._arrays = content.arrays
        self._rows: tuple[str, int] | None = None  # the key that says how many rows there are
        self.mistakes = list(content.mistakes)
        self.notes = _ignored([key for key in content.ignored if key not in _UNREAD])
        self._told = content.failed

    def codes_file(self) -> CodesFile | None:
        """Return what was read, None if there is a mistake."""
        codes = self._codes()
        factors = self._factors()
        images, reconstructions = self._pixels("images"), self._pixels("reconstructions")
        if (
            images is not None
            and reconstructions is not None
            and images.shape != reconstructions.shape
        ):
            self._wrong(
                "reconstructions",
                f"must have the shape of images {images.shape}, got {reconstructions.shape}",
            )
        if codes is None or self.mistakes:
            return None
        return CodesFile(codes, factors, images, reconstructions, tuple(self.notes))

    # ---- codes

    def _codes(self) -> Codes | None:
        key, spread = self._one_of(MEAN), self._one_of(SPREAD)
        samples = self._one_of(SAMPLES)
        mean = None if key is None else self._floats(key)
        if key is None and samples is not None:
            mean = self._floats(samples)
            self.notes.append(f"no mean: {samples} are scored as deterministic codes")
            if spread is not None:
                self._wrong(spread, f"needs mean beside it, got only {samples}")
                spread = None
        elif key is not None and samples is not None:
            self.notes.append(f"{samples} are not looked at: {key} and its spread say more")
        discrete = self._whole("discrete") if "discrete" in self._arrays else None
        if key is None and samples is None:
            if self._told & {*MEAN, *SAMPLES, "discrete"}:
                return None
            if "discrete" not in self._arrays:
                there = ", ".join(self._arrays) or "none of the known keys"
                return self._wrong(
                    "mean", f"(or samples, or discrete) is missing; the file has {there}"
                )
            if spread is not None:
                self._wrong(spread, "needs mean beside it")
            if discrete is None:
                return None
            mean, spread = np.zeros((len(discrete), 0)), None
        logvar = None if spread is None else self._logvar(spread, mean, key or "mean")
        if mean is None or self.mistakes:
            return None
        try:
            return Codes(mean, logvar, discrete)
        except ValueError as error:
            return self._wrong(spread or key or "mean", f"is refused: {error}")

    def _logvar(self, key: str, mean: Array | None, beside: str) -> Array | None:
        spread = self._floats(key)
        if spread is None or mean is None:
            return None
        if spread.shape[1] != mean.shape[1]:
            self._wrong(
                key, f"must have the {mean.shape[1]} latents of {beside}, got {spread.shape[1]}"
            )
            return None
        if key in LOGVAR:
            return spread
        bad = int((spread <= 0).any(axis=1).sum())
        if bad:
            remedy = "for deterministic codes leave it out"
            self._wrong(key, f"must be > 0, got 0 or less in {bad} of {len(spread)} rows; {remedy}")
            return None
        return (2.0 if key in STD else 1.0) * np.log(spread.astype(np.float64))

    # ---- factors

    def _factors(self) -> Factors | None:
        if "factors" not in self._arrays:
            for key in ("factor_names", "factor_sizes", "weights"):
                if key in self._arrays and "factors" not in self._told:
                    self._wrong(key, "needs factors beside it")
            return None
        array = self._arrays["factors"]
        names = self._names(array.shape[1]) if array.ndim == 2 else None
        values = self._whole(
            "factors", names=names or (), ranked="factor_sizes" not in self._arrays
        )
        weights = self._weights() if "weights" in self._arrays else None
        if values is None or names is None:
            return None
        sizes = self._sizes(names) if "factor_sizes" in self._arrays else None
        if "factor_sizes" in self._arrays and sizes is None:
            return None
        columns: list[Array] = []
        found: list[int] = []
        for k, name in enumerate(names):
            column = values[:, k]
            if sizes is None:
                column, size = self._ranked(name, column)
            else:
                size = sizes[k]
                if len(column) and (column.min() < 0 or column.max() >= size):
                    low, high = int(column.min()), int(column.max())
                    remedy = "number levels from 0, or leave factor_sizes out and they are ranked"
                    self._wrong(
                        "factors",
                        f"{name!r} must lie in [0, {size}), got {low} to {high}; {remedy}",
                    )
            columns.append(column)
            found.append(size)
        if self.mistakes:
            return None
        return Factors(np.stack(columns, axis=1), tuple(names), tuple(found), weights)

    def _ranked(self, name: str, column: Array) -> tuple[Array, int]:
        """Return a factor's levels numbered from 0 in their order, and how many there are."""
        levels, ranks = np.unique(column, return_inverse=True)
        if not np.array_equal(levels, np.arange(len(levels))):
            shown = [f"{level:g}" for level in levels]
            listed = ", ".join(shown if len(shown) <= 6 else [*shown[:3], "…", shown[-1]])
            self.notes.append(
                f"factor {name!r}: levels {listed} are numbered 0 to {len(levels) - 1}"
            )
        if len(column) > 2 and len(levels) > len(column) / 2:
            advice = "bin it, or its scores say little"
            self.notes.append(
                f"factor {name!r}: {len(levels)} levels in {len(column)} rows; {advice}"
            )
        return ranks.astype(np.int64).reshape(-1), max(len(levels), 1)

    def _names(self, count: int) -> list[str] | None:
        if "factor_names" not in self._arrays:
            return None if "factor_names" in self._told else [f"factor_{k}" for k in range(count)]
        array = self._arrays["factor_names"]
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8", "replace")
        if array.dtype.kind != "U" or array.shape != (count,):
            return self._wrong(
                "factor_names",
                f"must be {count} names, one per column of factors, got {_words(array)}",
            )
        names = [str(name) for name in array]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            return self._wrong(
                "factor_names", f"must not repeat a name, got {', '.join(doubled)} more than once"
            )
        return names

    def _sizes(self, names: Sequence[str]) -> list[int] | None:
        array = self._arrays["factor_sizes"]
        if array.dtype.kind not in "iu" or array.shape != (len(names),) or array.min(initial=1) < 1:
            rule = f"must be {len(names)} whole numbers >= 1, one per column of factors"
            return self._wrong("factor_sizes", f"{rule}, got {_words(array)}")
        return [int(size) for size in array]

    def _weights(self) -> Array | None:
        array = self._arrays["weights"]
        if array.dtype.kind not in "fiu" or array.ndim != 1:
            return self._wrong("weights", f"must be one number per row, got {_words(array)}")
        weights = array.astype(np.float64)
        if not self._same_rows("weights", weights):
            return None
        if not np.isfinite(weights).all() or weights.min(initial=0.0) < 0 or not weights.sum() > 0:
            return self._wrong("weights", "must be finite and >= 0, and not all zero")
        return weights

    # ---- arrays

    def _one_of(self, names: Sequence[str]) -> str | None:
        """Return the one of several names for a thing that the file has; more than one is a mistake."""
        there = [name for name in names if name in self._arrays]
        if len(there) > 1:
            self._wrong(there[1], f"says the same as {there[0]}; keep one of them")
        return there[0] if there else None

    def _floats(self, key: str) -> Array | None:
        array = self._matrix(key, kinds="fiub", what="latents")
        if array is None:
            return None
        small = array.dtype.kind == "f" and array.dtype.itemsize <= 4
        array = array.astype(np.float32 if small else np.float64, copy=False)
        same, finite = (
            self._same_rows(key, array),
            self._finite(key, array),
        )  # both, so that both are told
        return array if same and finite else None

    def _whole(self, key: str, *, names: Sequence[str] = (), ranked: bool = False) -> Array | None:
        """Return a matrix of whole numbers, or of floats that are; if it is ranked, of floats that repeat, too."""
        array = self._matrix(key, kinds="iubf", what="codes" if key == "discrete" else "factors")
        if array is None:
            return None
        same, finite = self._same_rows(key, array), self._finite(key, array)
        if not (same and finite):
            return None
        if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
            return self._wrong(key, f"must be below 2**63, got {array.max()}")
        if array.dtype.kind != "f":
            return array.astype(np.int64)
        parts = (array != np.round(array)) | (np.abs(array) > 2**53)
        before = len(self.mistakes)
        for k in np.flatnonzero(parts.any(axis=0)).tolist():
            which = repr(names[k]) if names else f"column {k}"
            different = len(np.unique(array[:, k]))
            if not ranked:
                self._wrong(key, f"{which} must be whole numbers, got {array[parts[:, k]][0, k]:g}")
            elif different > min(MOST_LEVELS, len(array) / 2):
                remedy = "bin a continuous factor first, as in np.digitize(x, np.quantile(x, [0.25, 0.5, 0.75]))"
                self._wrong(
                    key,
                    f"{which} must be levels, got {different} numbers in {len(array)} rows; {remedy}",
                )
        if len(self.mistakes) > before:
            return None
        if parts.any():
            return array  # each column is ranked
        self.notes.append(f"{key}: floats that are whole numbers are taken as levels")
        return array.astype(np.int64)

    def _pixels(self, key: str) -> Array | None:
        if key not in self._arrays:
            return None
        array = self._arrays[key]
        if array.dtype.kind not in "fiub" or array.ndim < 2:
            return self._wrong(key, f"must be numbers, one image per row, got {_words(array)}")
        if not array.size:
            return self._wrong(key, f"must have at least one pixel, got shape {array.shape}")
        self._same_rows(key, array)  # a mistake of its own
        low, high = array.min(), array.max()
        most = 1 if array.dtype.kind == "f" else 255
        if not (low >= 0 and high <= most):  # also catches NaN
            return self._wrong(
                key, f"must lie in [0, 1] (or be levels 0 to 255), got {low:g} to {high:g}"
            )
        if array.dtype.kind == "f":
            return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)
        if high > 1:
            self.notes.append(f"{key}: levels up to {high} are divided by 255")
        return array.astype(np.float32) / (255 if high > 1 else 1)

    def _matrix(self, key: str, *, kinds: str, what: str) -> Array | None:
        array = self._arrays[key]
        if array.dtype.kind not in kinds:
            return self._wrong(key, f"must hold numbers, got {_words(array)}")
        if array.ndim != 2:
            remedy = "; a single one is a column, x[:, None]" if array.ndim == 1 else ""
            return self._wrong(
                key, f"must have two axes (images, {what}), got shape {array.shape}{remedy}"
            )
        if not array.size:
            return self._wrong(
                key, f"must have at least one row and one column, got shape {array.shape}"
            )
        return array

    def _finite(self, key: str, array: Array) -> bool:
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        if bad:
            self._wrong(key, f"must be finite, got NaN or infinity in {bad} of {len(array)} rows")
        return not bad

    def _same_rows(self, key: str, array: Array) -> bool:
        if self._rows is None:
            self._rows = (key, len(array))
        first, rows = self._rows
        if len(array) != rows:
            self._wrong(
                key, f"has {len(array)} rows but {first} has {rows}; save the same images of both"
            )
        return len(array) == rows

    def _wrong(self, key: str, rule: str) -> None:
        self.mistakes.append(f"{key} {rule}")


def _ignored(keys: Sequence[str]) -> list[str]:
    """Return a note on each key that nobody reads, with the known one that it may be meant for."""
    notes: list[str] = []
    for key in keys:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.7)
        notes.append(f"{key} is not looked at" + (f"; did you mean {near[0]}?" if near else ""))
    return notes


def _words(array: Array) -> str:
    """Return an array in the words of a message."""
    kind = {"U": "text", "S": "text", "O": "Python objects"}.get(array.dtype.kind, str(array.dtype))
    return f"{kind} of shape {array.shape}"
