"""Fixtures: all drawn images of dSprites, and files of real images if this machine has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_core.data.dsprites.render import SIZES, render_blocks


@pytest.fixture(scope="session")
def full_grid() -> NDArray[np.uint8]:
    """Return every image of dSprites, (737280, 512) packed."""
    return np.concatenate(list(render_blocks([range(size) for size in SIZES])))


@pytest.fixture(scope="session")
def real_file() -> Callable[[str], Path]:
    """Return a function from the name of a file of real images to its path.

    The repository holds none of these files; a test that needs one is skipped without it.
    """

    def find(name: str) -> Path:
        default = Path(__file__).parents[3] / ".." / "shared" / "data"
        path = Path(os.environ.get("VAE_SWEEPS_REAL_DATA", default)) / name
        if not path.exists():
            pytest.skip(f"{name} not found: set VAE_SWEEPS_REAL_DATA to a folder with real images")
        return path

    return find
