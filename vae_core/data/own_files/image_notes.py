"""Notes on the images of a folder: what is no error, but may spoil a result."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from metrics import Factors
from vae_core.data.own_files.image_files import Decoded


class ImageNotes:
    """Counts what the files of a data set have in common, to say it in one sentence each."""

    def __init__(self, files: Sequence[str], background: str) -> None:
        self._n_images = len(files)
        self._background = background
        self._transparent: list[str] = []
        self._warned: list[tuple[str, str]] = []  # file, what Pillow warned of

    def add(self, name: str, decoded: Decoded) -> None:
        """Count one image."""
        if decoded.is_transparent:
            self._transparent.append(name)
        if decoded.warnings:
            self._warned.append((name, "; ".join(decoded.warnings)))

    def sentences(self) -> list[str]:
        """Return the notes on all images that were counted."""
        notes: list[str] = []
        if self._transparent:
            notes.append(
                f"{len(self._transparent)} of {self._n_images} images have transparent pixels, "
                f"such as {self._transparent[0]!r}; they lie on background {self._background!r}"
            )
        if self._warned:
            name, text = self._warned[0]
            notes.append(
                f"{len(self._warned)} of {self._n_images} images were read with a warning, such as "
                f"{name!r}: {' '.join(text.split())}"
            )
        return notes


def identical_images(
    images: NDArray[np.uint8], factors: Factors | None, files: Sequence[str]
) -> list[str]:
    """Return a note if images with different factors have the same pixels, else nothing.

    No model can tell such images apart, so no score reaches its ceiling.
    """
    if factors is None:
        return []
    rows_of: dict[bytes, list[int]] = {}  # digest of the pixels -> rows
    for row, pixels in enumerate(images):
        rows_of.setdefault(hashlib.sha256(pixels.data).digest(), []).append(row)
    count = 0
    example: tuple[str, str] | None = None
    for rows in rows_of.values():
        differs = (factors.values[rows] != factors.values[rows[0]]).any(axis=1)
        if not differs.any():
            continue
        count += len(rows)
        if example is None:
            example = files[rows[0]], files[rows[int(differs.argmax())]]
    if example is None:
        return []
    return [
        f"{count} of {len(files)} images have the same pixels as an image with other factors, such "
        f"as {example[0]!r} and {example[1]!r}; no model can tell these apart"
    ]
