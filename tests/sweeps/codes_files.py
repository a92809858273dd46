"""Files of codes for tests, with 60 images, 3 latents and 2 factors.

There is a good file in every format, and one file per problem.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

N = 60
FACTORS = np.stack([np.arange(N) % 3, np.arange(N) // 3 % 4], axis=1)


def arrays(**changes: Any) -> dict[str, Any]:
    """Return the arrays of a good file with some of them changed; None leaves an array out."""
    rng = np.random.default_rng(0)
    mean = np.concatenate([FACTORS - 1.5, rng.normal(size=(N, 1))], axis=1).astype(np.float32)
    good = {
        "mean": mean,
        "logvar": np.full((N, 3), -4, np.float32),
        "factors": FACTORS,
        "factor_names": np.array(["shape", "scale"]),
        "factor_sizes": np.array([3, 4]),
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def npz(path: Path, **content: Any) -> Path:
    """Write an .npz file and return its path."""
    np.savez(path, **content)
    return path


def hdf5(path: Path, **content: Any) -> Path:
    """Write an HDF5 file and return its path."""
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            texts = np.asarray(value).dtype.kind == "U"
            file.create_dataset(key, data=value.astype(object) if texts else value)
    return path


def columns(content: dict[str, Any]) -> dict[str, Any]:
    """Return arrays as columns of a Parquet file."""
    by_name: dict[str, Any] = {}
    names = content.get("factor_names", ["shape", "scale"])
    for key, value in content.items():
        if key == "factors":
            by_name |= {f"factor_{name}": value[:, k] for k, name in enumerate(names)}
        elif key.startswith("factor_"):
            continue  # names are in the names of the columns; Parquet has no sizes
        elif value.ndim == 2:
            by_name |= {f"{key}_{j}": column for j, column in enumerate(value.T)}
        else:
            by_name[key] = value
    return by_name


def table(path: Path, **content: Any) -> Path:
    """Write a Parquet file and return its path."""
    parquet.write_table(pa.table({key: pa.array(value) for key, value in content.items()}), path)
    return path


def csv(
    path: Path, *, sep: str = ",", decimal: str = ".", index: bool = False, **content: Any
) -> Path:
    """Write a CSV file and return its path."""
    exact = {
        name: np.asarray(values, np.float64) if np.asarray(values).dtype.kind == "f" else values
        for name, values in content.items()
    }
    encoding = "utf-16" if index else "utf-8"
    pd.DataFrame(exact).to_csv(path, sep=sep, decimal=decimal, index=index, encoding=encoding)
    return path


WRITERS: dict[str, Callable[[Path], Path]] = {
    "npz": lambda folder: npz(folder / "codes.npz", **arrays()),
    "h5": lambda folder: hdf5(folder / "codes.h5", **arrays()),
    "hdf5": lambda folder: hdf5(folder / "codes.hdf5", **arrays()),
    "parquet": lambda folder: table(folder / "codes.parquet", **columns(arrays())),
}


TEXT_WRITERS: dict[str, Callable[[Path], Path]] = {
    "csv": lambda folder: csv(folder / "codes.csv", **columns(arrays())),
    "tsv": lambda folder: csv(folder / "codes.TSV", sep="\t", **columns(arrays())),
    "csv of Europe": lambda folder: csv(
        folder / "codes.csv", sep=";", decimal=",", **columns(arrays())
    ),
    "csv with the index": lambda folder: csv(folder / "x.csv", index=True, **columns(arrays())),
}
"""Formats whose numbers are read as float64."""


class Bomb:
    """An object with a pickle that writes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def bombed(path: Path) -> Path:
    """Write an .npz with a pickle as mean; it writes the file `exploded` when it is loaded."""
    hidden = np.empty((1, 1), dtype=object)
    hidden[0, 0] = Bomb(path.with_name("exploded"))
    np.savez(path, **arrays(mean=hidden))
    return path


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def _text(path: Path, text: str = "") -> Path:
    path.write_text(text)
    return path


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _with(key: str, index: Any, value: Any) -> dict[str, Any]:
    changed = arrays()
    changed[key] = changed[key].astype(np.float64)
    changed[key][index] = value
    return changed


def _npz_of(content: dict[str, Any]) -> Callable[[Path], Path]:
    return lambda folder: npz(folder / "bad.npz", **content)


def _table_of(content: dict[str, Any]) -> Callable[[Path], Path]:
    return lambda folder: table(folder / "bad.parquet", **content)


_GOOD = columns(arrays())
_WITH_NULL = [None, *range(1, N)]
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no such file": (lambda folder: folder / "none.npz", "cannot be read: No such file"),
    "folder": (
        lambda folder: folder,
        "must end in .npz, .h5, .hdf5, .csv, .tsv, .parquet, got no ending",
    ),
    "folder.npz": (lambda folder: (folder / "x.npz").mkdir() or folder / "x.npz", "is a folder"),
    "ending": (
        lambda folder: _text(folder / "x.yaml", "1,2"),
        "must end in .npz, .h5, .hdf5, .csv, .tsv, .parquet, got .yaml",
    ),
    "csv without a header": (
        lambda folder: _text(folder / "x.csv", "0.5,1,2\n0.25,3,4\n"),
        "mean (or samples, or discrete) is missing; the file has none of the known keys; "
        "the first line (0.5, 1, 2) seems to hold values",
    ),
    "csv of Latin-1": (
        lambda folder: _bytes(folder / "x.csv", "mean_0,factor_é\n1,2\n".encode("latin-1")),
        "must be UTF-8, got byte 0xe9 in line 1",
    ),
    "csv of text": (
        lambda folder: _text(folder / "x.csv", "mean_0,mean_1\n1,2\nabc,3\n"),
        "mean_0 must hold numbers, got text such as 'abc'",
    ),
    "csv with a gap": (
        lambda folder: _text(folder / "x.csv", "mean_0,factor_a\n1,2\n,3\n"),
        "mean_0 must have a value in every row, got none in 1 of 2 rows, first in row 1",
    ),
    "csv of one column": (
        lambda folder: _text(folder / "x.csv", "mean,factor_a\n1,2\n2,3\n"),
        "mean must hold lists, or be columns with one number each: mean_0, …",
    ),
    "names of rows": (
        lambda folder: csv(
            folder / "x.csv", **{**_GOOD, "factor_name": [f"image {k}" for k in range(N)]}
        ),
        "factors 'name' must be levels, got another text in each of 60 rows",
    ),
    "times": (
        lambda folder: csv(
            folder / "x.csv", **{**_GOOD, "factor_time": pd.date_range("2020-01-01", periods=N)}
        ),
        "factors 'time' must be levels, got 60 times in 60 rows; bin a continuous factor",
    ),
    "text beside sizes": (
        _npz_of(arrays(factors=FACTORS.astype(str))),
        "factors must be whole numbers beside factor_sizes, got text; leave factor_sizes out",
    ),
    "mean of Julia": (
        lambda folder: hdf5(folder / "x.h5", **arrays(mean=arrays()["mean"].T, logvar=None)),
        "mean must have at least as many rows (images) as latents, got shape (3, 60); "
        "the first axis counts images, but Julia and MATLAB write",
    ),
    "factors of Julia": (
        lambda folder: hdf5(folder / "x.h5", **arrays(factors=FACTORS.T)),
        "factors must have at least as many rows (images) as factors, got shape (2, 60); "
        "the first axis counts images",
    ),
    "images of Julia": (
        _npz_of(arrays(images=np.ones((4, 4, N)))),
        "images has 4 rows but mean has 60; the first axis counts images, but Julia",
    ),
    "empty": (lambda folder: _text(folder / "x.npz"), "is empty"),
    "npz text": (
        lambda folder: _text(folder / "x.npz", "mean"),
        "is not an .npz file, or is damaged",
    ),
    "h5 text": (
        lambda folder: _text(folder / "x.h5", "mean"),
        "is not an HDF5 file, or is damaged",
    ),
    "parquet text": (
        lambda folder: _text(folder / "x.parquet", "mean"),
        "is not a Parquet file, or is damaged",
    ),
    "npz cut": (
        lambda folder: _cut(npz(folder / "x.npz", **arrays()), 0.7),
        "is not an .npz file, or is damaged",
    ),
    "h5 cut": (
        lambda folder: _cut(hdf5(folder / "x.h5", **arrays()), 0.7),
        "is not an HDF5 file, or is damaged",
    ),
    "parquet cut": (
        lambda folder: _cut(table(folder / "x.parquet", **_GOOD), 0.7),
        "is not a Parquet file",
    ),
    "pickle": (
        lambda folder: bombed(folder / "x.npz"),
        "mean holds Python objects (a pickle), which are never loaded",
    ),
    "no codes": (
        _npz_of(arrays(mean=None, logvar=None)),
        "mean (or samples, or discrete) is missing; the file has",
    ),
    "logvar alone": (
        _npz_of(arrays(mean=None)),
        "mean (or samples, or discrete) is missing; the file has logvar",
    ),
    "logvar of discrete": (
        _npz_of(arrays(mean=None, discrete=FACTORS)),
        "logvar needs mean beside it",
    ),
    "logvar of samples": (
        _npz_of(arrays(mean=None, samples=arrays()["mean"])),
        "logvar needs mean beside it, got only samples",
    ),
    "two means": (
        _npz_of(arrays(mu=arrays()["mean"])),
        "mu holds the same quantity as mean; keep one of them",
    ),
    "two spreads": (
        _npz_of(arrays(std=np.ones((N, 3)))),
        "std holds the same quantity as logvar; keep one of them",
    ),
    "mean of one axis": (
        _npz_of(arrays(mean=np.zeros(N), logvar=None)),
        "mean must have two axes (images, latents)",
    ),
    "mean of text": (
        _npz_of(arrays(mean=np.array([["a"]]))),
        "mean must hold numbers, got text of shape (1, 1)",
    ),
    "no rows": (
        _npz_of(arrays(mean=np.zeros((0, 3)))),
        "mean must have at least one row and one column",
    ),
    "mean of nan": (
        _npz_of(_with("mean", (slice(0, 7), 1), np.nan)),
        "mean must be finite, got NaN or infinity in 7 of",
    ),
    "logvar of inf": (
        _npz_of(_with("logvar", (3, 1), -np.inf)),
        "logvar must be finite, got NaN or infinity in 1 of",
    ),
    "logvar of two": (
        _npz_of(arrays(logvar=np.zeros((N, 2)))),
        "logvar must have the 3 latents of mean, got 2",
    ),
    "rows of logvar": (
        _npz_of(arrays(logvar=np.zeros((9, 3)))),
        "logvar has 9 rows but mean has 60",
    ),
    "rows of factors": (
        _npz_of(arrays(factors=FACTORS[:50])),
        "factors has 50 rows but mean has 60",
    ),
    "std of zero": (
        _npz_of(arrays(logvar=None, std=np.zeros((N, 3)))),
        "std must be > 0, got 0 or less in 60 of 60",
    ),
    "continuous factor": (
        _npz_of(
            arrays(factors=np.stack([FACTORS[:, 0], np.arange(N) / 7], axis=1), factor_sizes=None)
        ),
        "factors 'scale' must be levels, got 60 numbers in 60 rows; "
        "bin a continuous factor first, as in np.digitize",
    ),
    "half a level": (
        _npz_of(_with("factors", (4, 1), 0.37)),
        "factors 'scale' must be whole numbers, got 0.37",
    ),
    "factors of one axis": (
        _npz_of(arrays(factors=FACTORS[:, 0])),
        "factors must have two axes (images, factors)",
    ),
    "names of three": (
        _npz_of(arrays(factor_names=np.array(["a"]))),
        "factor_names must be 2 names, one per column",
    ),
    "names twice": (
        _npz_of(arrays(factor_names=np.array(["a", "a"]))),
        "factor_names must not repeat a name, got a",
    ),
    "sizes": (
        _npz_of(arrays(factor_sizes=np.array([3, 0]))),
        "factor_sizes must be 2 whole numbers >= 1, one per column of factors, got 3, 0",
    ),
    "level outside": (
        _npz_of(arrays(factors=FACTORS + np.array([1, 0]))),
        "factors 'shape' must lie in [0, 3), got 1 to 3; "
        "number levels from 0, or leave factor_sizes out",
    ),
    "weights of two axes": (
        _npz_of(arrays(weights=np.ones((N, 1)))),
        "weights must be one number per row",
    ),
    "negative weight": (
        _npz_of(arrays(weights=np.arange(N) - 1.0)),
        "weights must be finite and >= 0, and not all zero, got -1 to 58",
    ),
    "weights alone": (
        _npz_of({"mean": np.ones((N, 1)), "weights": np.ones(N)}),
        "weights needs factors beside it",
    ),
    "discrete of halves": (
        _npz_of(arrays(discrete=np.full((N, 1), 0.5))),
        "discrete column 0 must be whole numbers",
    ),
    "bright images": (_npz_of(arrays(images=np.full((N, 4, 4), 2.0))), "images must lie in [0, 1]"),
    "other images": (
        _npz_of(arrays(images=np.ones((N, 4, 4)), reconstructions=np.ones((N, 16)))),
        "reconstructions must have the shape of images (60, 4, 4), got (60, 16)",
    ),
    "h5 group": (
        lambda folder: _group(folder / "x.h5"),
        "mean cannot be read (it is a group, not a data set)",
    ),
    "parquet gap": (
        _table_of({k: v for k, v in _GOOD.items() if k != "mean_1"}),
        "mean_1 is missing: columns of mean",
    ),
    "parquet null": (
        _table_of({**_GOOD, "mean_2": _WITH_NULL}),
        "mean_2 must have a value in every row, got none in 1 of 60 rows, first in row 0",
    ),
    "parquet text column": (
        _table_of({**_GOOD, "mean_2": ["a"] * N}),
        "mean_2 must hold numbers, got text such as 'a'",
    ),
    "parquet struct": (
        _table_of({**_GOOD, "factor_scale": [{"x": 1}] * N}),
        "factor_scale must hold numbers or text, got struct<x: int64>",
    ),
    "parquet ragged": (
        _table_of({"mean": [[1.0, 2.0]] * 59 + [[1.0]], "factor_shape": FACTORS[:, 0]}),
        "mean must hold lists of one length, got from 1 to 2",
    ),
    "parquet twice": (_table_of({**_GOOD, "mean": [[1.0] * 3] * N}), "mean occurs twice"),
}
"""One problem per file: how to write the file, and how the message begins after its name."""


def _group(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.create_group("mean")
        file["factors"] = FACTORS
    return path
