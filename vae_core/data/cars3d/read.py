"""Reads the meshes of Cars3D from the archive that they were published in, without unpacking it on disk."""

# scipy has no types.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

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
        ValueError: another number of objects, or one of another shape; tarfile's, gzip's and zlib's own errors.
    """
    elevations, azimuths, objects = sizes
    images = np.empty((elevations, azimuths, objects, 3 * SIDE * SIDE), np.uint8)
    names: list[str] = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                if member.isfile() and place.parent.name == "cars" and place.suffix == ".mat":
                    content = archive.extractfile(member)
                    assert content is not None  # it is a file
                    mesh = _mesh(content.read(), place.name, (azimuths, elevations))
                    if len(names) < objects:
                        images[:, :, len(names)] = mesh
                    names.append(place.name)
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error
    if len(names) != objects:
        raise ValueError(f"it must hold {objects} files cars/*.mat, got {len(names)}")
    if names != sorted(
        names
    ):  # the order in the archive, like that of a folder's listing, means nothing
        images = images[:, :, np.argsort(names)]
    return images.reshape(-1, 3 * SIDE * SIDE)


def _mesh(content: bytes, name: str, sizes: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the images of one object, (elevation, azimuth, 3*64*64)."""
    import scipy.io  # pyright: ignore[reportMissingTypeStubs]  # heavy, and only needed here

    try:
        read: Any = scipy.io.loadmat(io.BytesIO(content), variable_names=["im"])
    except Exception as error:  # whatever scipy trips over in a damaged file
        raise ValueError(f"{name} is not a MATLAB file: {error}") from error
    mesh: Any = read.get("im")
    wanted = (ORIGINAL_SIDE, ORIGINAL_SIDE, 3, *sizes)
    if mesh is None or mesh.shape != wanted or mesh.dtype != np.uint8:
        got = "none" if mesh is None else f"{mesh.dtype} {mesh.shape}"
        raise ValueError(f"{name} must hold an array im of uint8 {wanted}, got {got}")
    views: NDArray[np.uint8] = mesh.transpose(4, 3, 0, 1, 2)  # [elevation, azimuth, y, x, colour]
    small = np.stack([_resized(image) for row in views for image in row])
    return (
        small.reshape(*views.shape[:2], SIDE, SIDE, 3)
        .transpose(0, 1, 4, 2, 3)
        .reshape(*views.shape[:2], -1)
    )


def _resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image at 64 x 64 by Lanczos' filter, as the field does it."""
    small = Image.fromarray(np.ascontiguousarray(image)).resize(
        (SIDE, SIDE), Image.Resampling.LANCZOS
    )
    return np.asarray(small)
