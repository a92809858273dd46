"""A column has the same levels, or the same problem, in every file of a user that may hold it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from sweeps.scoring import codes_file
from vae_core import Arrays, ImageFolder

N = 24
ROWS = np.arange(N)
COLUMNS: dict[str, Any] = {
    "whole numbers": (ROWS % 5) * 7 - 3,
    "one per row": ROWS + 100,
    "fractions": (ROWS % 12) / 8,
    "fractions of many values": (ROWS % 13) / 8,
    "measured": np.random.default_rng(0).normal(size=N),
    "rounded": np.array([0.1 * 3, 0.3, 0.1, np.float32(0.1)])[ROWS % 4],
    "text": np.array(["red", "NA", "blue"])[ROWS % 3],
    "numbers as text": np.array(["10", "9", "0.5"])[ROWS % 3],
    "gaps": np.array(["1", "2", "NA"])[ROWS % 3],
    "names of rows": np.array([f"image {row}" for row in ROWS]),
    "days": np.array([f"2020-01-{row % 4 + 10}" for row in ROWS]),
    "seconds": np.array([f"2020-01-01 00:00:{row:02d}" for row in ROWS]),
}
REFUSED = ("fractions of many values", "measured", "gaps", "names of rows", "seconds")


def _of_images(folder: Path, column: NDArray[Any]) -> list[int]:
    """Return the levels of a column in the table of a folder of images."""
    for row in range(N):
        Image.new("L", (4, 4)).save(folder / f"{row}.png")
    table = pd.DataFrame({"file": [f"{row}.png" for row in range(N)], "x": column})
    table.to_csv(folder / "factors.csv", index=False)
    factors = ImageFolder(path=str(folder), factors=("x",)).load().factors
    assert factors is not None
    return factors.values[:, 0].tolist()


def _of_arrays(folder: Path, column: NDArray[Any]) -> list[int]:
    """Return the levels of a column in a file of arrays."""
    np.savez(folder / "x.npz", images=np.zeros((N, 4, 4), np.uint8), factors=column)
    factors = Arrays(path=str(folder / "x.npz"), factor_names=("x",)).load().factors
    assert factors is not None
    return factors.values[:, 0].tolist()


def _of_codes(folder: Path, column: NDArray[Any]) -> list[int]:
    """Return the levels of a column in a file of codes, which must be the same in a table."""
    mean = np.zeros((N, 2)) + ROWS[:, None]
    np.savez(folder / "x.npz", mean=mean, factors=column[:, None], factor_names=["x"])
    pd.DataFrame({"mean_0": ROWS, "factor_x": column}).to_csv(folder / "x.csv", index=False)
    levels: list[list[int]] = []
    for name in ("x.npz", "x.csv"):
        factors = codes_file.read(folder / name).factors
        assert factors is not None
        levels.append(factors.values[:, 0].tolist())
    assert levels[0] == levels[1]
    return levels[0]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_means_the_same_in_every_file(name: str, tmp_path: Path) -> None:
    outcomes: list[Any] = []
    for index, read in enumerate((_of_images, _of_arrays, _of_codes)):
        folder = tmp_path / str(index)
        folder.mkdir()
        try:
            outcomes.append(read(folder, COLUMNS[name]))
        except ValueError as error:
            rule = re.search(r"must (be levels|have a value)[^;]*", str(error))
            outcomes.append(rule and rule[0])
    assert isinstance(outcomes[0], str) == (name in REFUSED)
    assert outcomes[0] == outcomes[1] == outcomes[2]
