"""Recognises arrays with their axes in reverse order, as Julia and MATLAB write them to HDF5."""

from __future__ import annotations

TRANSPOSE = (
    "the first axis counts images, but Julia and MATLAB write the axes in reverse order: "
    "transpose it (array.T in Python, permutedims in Julia and permute in MATLAB before saving)"
)
"""The remedy for an array that seems to be transposed."""

_IMAGES_LAST = "the first axis counts images: numpy.moveaxis(array, -1, 0) puts them first"
_COLOURS = (1, 3)
_TOO_LONG = 10
"""An image that is so many times longer than it is wide is probably a transposed array."""
_LONG = 4


def images_hint(shape: tuple[int, ...]) -> str:
    """Return what images with another order of axes seem to be, with the remedy; else "".

    Such are (C, W, H, N) and (H, W, C, N), where the channels would else be unknown, and (S, S, N),
    where the images would else be very long.
    """
    if len(shape) == 4 and shape[1] not in _COLOURS and shape[3] not in _COLOURS:
        if shape[0] in _COLOURS:
            return f"seems to be (channels, width, height, images); {TRANSPOSE}"
        if shape[2] in _COLOURS:
            return f"seems to be (height, width, channels, images); {_IMAGES_LAST}"
    if len(shape) == 3 and shape[0] == shape[1] and shape[2] >= _TOO_LONG * shape[0] > 0:
        count, height, width = shape
        return (
            f"seems to be (width, height, images); {TRANSPOSE}; if these are {count} images of "
            f"{height} x {width} pixels, save them as ({count}, 1, {height}, {width})"
        )
    return ""


def images_note(key: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return a note if images of three axes may be (width, height, images)."""
    if len(shape) != 3:
        return ()
    count, height, width = shape
    longer = width > height if count == height else width > _LONG * max(count, height)
    if not longer:
        return ()
    return (
        f"{key!r} of shape {shape} is read as {count} images of {height} x {width} pixels; "
        f"if these are {width} images, {TRANSPOSE}",
    )


def factors_hint(factors: tuple[int, ...], images: tuple[int, ...]) -> str:
    """Return which of two arrays with different numbers of rows seems to be transposed, or "".

    Args:
        factors: shape of the factors.
        images: shape of the images.
    """
    if len(factors) == 2 and factors[1] == images[0]:
        return f"; factors of shape {factors} seem to be transposed: {TRANSPOSE}"
    if images[-1] == factors[0]:
        return f"; images of shape {images} seem to be transposed: {TRANSPOSE}"
    if len(factors) == 2 and images[-1] == factors[1]:
        return f"; both, of shapes {factors} and {images}, seem to be transposed: {TRANSPOSE}"
    return ""
