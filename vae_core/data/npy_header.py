"""The header of an .npy file that lies within another file, such as an .npz."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.lib import format as npy


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether in Fortran order, and dtype; the file is then at its first value."""
    version = npy.read_magic(file)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return header(file)
