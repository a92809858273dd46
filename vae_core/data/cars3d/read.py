"""Reads the meshes of Cars3D from the published archive, without unpacking it on disk."""

# scipy has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
ORIGINAL_SIDE = 128


def read_meshes(path: Path, sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the images in index order, (elevation * azimuth * object, 3*64*64) uint8.

    Args:
        path: of the .tar.gz; its `data/cars/*.mat` are read, one object each.
        sizes: numbers of elevations, azimuths and objects that it must hold.

    Raises:
        ValueError: another number of objects, or an object of another shape.
        EOFError, OSError, zlib.error: the archive is truncated or damaged.
    """
    elevations, azimuths, objects = sizes
    images = np.empty((elevations, azimuths, objects, 3 * SIDE * SIDE), np.uint8)
    names: list[str] = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = PurePosixPath(member.name)
                if member.isfile() and file.parent.name == "cars" and file.suffix == ".mat":
                    content = archive.extractfile(member)
                    assert content is not None  # it is a file
                    mesh = _mesh(content.read(), file.name, (azimuths, elevations))
                    if len(names) < objects:
                        images[:, :, len(names)] = mesh
                    names.append(file.name)
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error
    if len(names) != objects:
        raise ValueError(f"it must hold {objects} files cars/*.mat, got {len(names)}")
    if names != sorted(names):  # the order in the archive has no meaning
        images = images[:, :, np.argsort(names)]
    return images.reshape(-1, 3 * SIDE * SIDE)


def _mesh(content: bytes, name: str, sizes: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the images of one object, (elevation, azimuth, 3*64*64)."""
    import scipy.io  # pyright: ignore[reportMissingTypeStubs]  # slow to import, needed only here

    try:
        variables: Any = scipy.io.loadmat(io.BytesIO(content), variable_names=["im"])
    except Exception as error:  # scipy raises many kinds of errors for a damaged file
        raise ValueError(f"{name} is not a MATLAB file: {error}") from error
    mesh: Any = variables.get("im")
    shape = (ORIGINAL_SIDE, ORIGINAL_SIDE, 3, *sizes)
    if mesh is None or mesh.shape != shape or mesh.dtype != np.uint8:
        got = "none" if mesh is None else f"{mesh.dtype} {mesh.shape}"
        raise ValueError(f"{name} must hold an array im of uint8 {shape}, got {got}")
    views: NDArray[np.uint8] = mesh.transpose(4, 3, 0, 1, 2)  # [elevation, azimuth, y, x, colour]
    flat_views = views.reshape(-1, *views.shape[2:])
    small = np.stack([_resize(view) for view in flat_views])
    colours_first = small.transpose(0, 3, 1, 2)
    return colours_first.reshape(*views.shape[:2], -1)


def _resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image at 64 x 64, resized by Lanczos' filter as the field does it."""
    original = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(original.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
