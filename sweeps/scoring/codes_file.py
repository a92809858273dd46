"""Codes and factors from anybody's file, checked. All problems of a file are reported at once.

A file has one row per image. A key may have any one of the names in its line:

| key                         | holds                                                             |
|-----------------------------|-------------------------------------------------------------------|
| mean, means, mu, z_mean     | (N, d) posterior means, or deterministic codes                    |
| logvar, log_var             | (N, d) natural log of the variances                               |
| std, sigma; var, variance   | (N, d) standard deviations; variances: converted to logs          |
| samples, z                  | (N, d) codes without a mean: scored as deterministic codes        |
| discrete                    | (N, m) whole numbers: discrete codes, further latents             |
| factors                     | (N, K) ground truth, numbers or text: levels in their order       |
| factor_names, factor_sizes  | (K,) names; numbers of levels in the whole data set               |
| weights                     | (N,) row weights, for factors that are not drawn uniformly        |
| images, reconstructions     | (N, …) pixels and probabilities in [0, 1], or levels 0 to 255     |

Tables (Parquet, CSV) have columns in place of matrices: `mean_0`, `mean_1`, … (in Parquet also one
column `mean` of lists), and likewise `logvar_0`, `discrete_0`, …; one column `factor_NAME` per
factor; `weights`; no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from metrics import Codes, Factors
from metrics.near_names import nearest
from sweeps.scoring.checked_arrays import CheckedArrays
from sweeps.scoring.factors_of_file import factors_of
from sweeps.scoring.file_formats import READERS, Array, Unreadable
from vae_core.data.own_files.other_formats import how_to_convert
from vae_core.data.own_files.words import capped, listed

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
_FINGERPRINT = "fingerprint"
"""A key that the stored codes of a trial have besides these."""
_MOST_IGNORED = 3
"""The most keys that are not known and get a note each."""


class CodesFileError(ValueError):
    """A file that cannot be scored; one line per problem, each with the file and the key."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = capped(tuple(dict.fromkeys(problems)), "problems")
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class CodesFile(NamedTuple):
    """What a file holds, checked, and notes on what was converted, numbered anew or ignored."""

    codes: Codes
    factors: Factors | None = None
    images: Array | None = None
    reconstructions: Array | None = None
    notes: tuple[str, ...] = ()


def read(path: Path) -> CodesFile:
    """Return what a file holds. Its ending says which format it has.

    Raises:
        CodesFileError: naming every problem of the file and of its keys.
    """
    source = str(path)
    if path.suffix.lower() not in READERS:
        rule = f"must end in {', '.join(READERS)}"
        remedy = how_to_convert(path, ("mean", "factors"))
        raise CodesFileError(source, [f"{rule}, got {path.suffix or 'no ending'}{remedy}"])
    try:
        with path.open("rb") as stream:
            return read_from(stream, source=source, suffix=path.suffix)
    except IsADirectoryError as error:
        raise CodesFileError(source, ["is a folder; name a file"]) from error
    except OSError as error:
        raise CodesFileError(source, [f"cannot be read: {error.strerror or error}"]) from error


def read_from(stream: BinaryIO, *, source: str, suffix: str) -> CodesFile:
    """Return what an open file holds.

    Args:
        stream: the file.
        source: the name of the file in messages.
        suffix: the ending of the file, which says its format.

    Raises:
        CodesFileError: naming every problem of the file and of its keys.
    """
    if not stream.read(1):
        raise CodesFileError(source, ["is empty"])
    stream.seek(0)
    try:
        content = READERS[suffix.lower()](stream, KEYS)
    except Unreadable as error:
        raise CodesFileError(source, [str(error)]) from error
    # The codes of a trial are stored by rows, even if there are fewer images than latents.
    arrays = CheckedArrays(content, stored_by_rows=_FINGERPRINT in content.ignored)
    arrays.notes += _notes_on_ignored(content.ignored)
    file = _codes_file(arrays, content.hint)
    if file is None:
        likely_typos = [note for note in arrays.notes if "did you mean" in note]
        raise CodesFileError(source, [*arrays.problems, *likely_typos])
    return file


def _codes_file(arrays: CheckedArrays, hint: str) -> CodesFile | None:
    """Return codes, factors and pixels, None if there is a problem.

    Args:
        arrays: of the file.
        hint: the advice if there are no codes.
    """
    codes = _codes(arrays, hint)
    factors = factors_of(arrays)
    images, reconstructions = arrays.pixels("images"), arrays.pixels("reconstructions")
    _check_same_shape(arrays, images, reconstructions)
    if codes is None or arrays.problems:
        return None
    return CodesFile(codes, factors, images, reconstructions, capped(arrays.notes, "notes"))


def _check_same_shape(
    arrays: CheckedArrays, images: Array | None, reconstructions: Array | None
) -> None:
    """Add a problem if the file has both, in different shapes."""
    if images is None or reconstructions is None:
        return
    if images.shape != reconstructions.shape:
        rule = f"must have the shape of images {images.shape}, got {reconstructions.shape}"
        arrays.add_problem("reconstructions", rule)


def _codes(arrays: CheckedArrays, hint: str) -> Codes | None:
    """Return the codes, None if there is a problem.

    They are a mean with or without spread, or samples, or discrete codes alone.
    """
    mean_key, spread_key = arrays.only_one(MEAN), arrays.only_one(SPREAD)
    samples_key = arrays.only_one(SAMPLES)
    mean: Array | None = None
    if mean_key is not None:
        mean = arrays.floats(mean_key)
        if samples_key is not None:
            arrays.notes.append(f"{samples_key} is ignored: the codes are read from {mean_key}")
    elif samples_key is not None:
        mean = arrays.floats(samples_key)
        arrays.notes.append(f"no mean: {samples_key} are scored as deterministic codes")
        if spread_key is not None:
            arrays.add_problem(spread_key, f"needs mean beside it, got only {samples_key}")
    discrete = arrays.whole_numbers("discrete") if "discrete" in arrays else None
    if mean_key is None and samples_key is None:
        mean = _mean_of_discrete(arrays, discrete, spread_key, hint)
    logvar: Array | None = None
    if mean_key is not None and spread_key is not None:
        logvar = _logvar(arrays, spread_key, mean, mean_key)
    if mean is None or arrays.problems:
        return None
    try:
        return Codes(mean, logvar, discrete)
    except ValueError as error:
        key = next(key for key in (spread_key, mean_key, "mean") if key is not None)
        arrays.add_problem(key, f"is refused: {error}")
        return None


def _mean_of_discrete(
    arrays: CheckedArrays, discrete: Array | None, spread_key: str | None, hint: str
) -> Array | None:
    """Return the empty mean (N, 0) of discrete codes alone, None if there is a problem."""
    if arrays.failed({*MEAN, *SAMPLES, "discrete"}):
        return None
    if "discrete" not in arrays:
        keys = ", ".join(arrays.keys()) or "none of the known keys"
        arrays.add_problem(
            "mean", f"(or samples, or discrete) is missing; the file has {keys}{hint}"
        )
        return None
    if spread_key is not None:
        arrays.add_problem(spread_key, "needs mean beside it")
    return None if discrete is None else np.zeros((len(discrete), 0))


def _logvar(arrays: CheckedArrays, key: str, mean: Array | None, mean_key: str) -> Array | None:
    """Return the log variances from any of the keys in `SPREAD`, None if there is a problem."""
    spread = arrays.floats(key)
    if spread is None or mean is None:
        return None
    if spread.shape[1] != mean.shape[1]:
        rule = f"must have the {mean.shape[1]} latents of {mean_key}, got {spread.shape[1]}"
        arrays.add_problem(key, rule)
        return None
    if key in LOGVAR:
        return spread
    bad = int((spread <= 0).any(axis=1).sum())
    if bad:
        got = f"got 0 or less in {bad} of {len(spread)} rows"
        arrays.add_problem(key, f"must be > 0, {got}; for deterministic codes leave it out")
        return None
    return (2.0 if key in STD else 1.0) * np.log(spread.astype(np.float64))


def _notes_on_ignored(keys: Sequence[str]) -> list[str]:
    """Return a note on each key that is not known, with the nearest known one.

    Many keys without a near one share a note.
    """
    notes: list[str] = []
    without_hint: list[str] = []
    for key in keys:
        if key == _FINGERPRINT:
            continue
        near = nearest(key, KEYS, cutoff=0.7)
        if near:
            notes.append(f"{key} is ignored; did you mean {near}?")
        else:
            without_hint.append(key)
    if len(without_hint) > _MOST_IGNORED:
        return [*notes, f"{listed(without_hint)} are ignored"]
    return [*notes, *(f"{key} is ignored" for key in without_hint)]
