"""Decodes image files: upright, without transparency, as grey or RGB with 8 bits a channel."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from metrics.near_names import nearest

# Pillow also logs what it cannot read. Without a handler Python prints that on the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""The modes of Pillow that are converted. They have at most 8 bits a channel."""

_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""The modes of Pillow with more than 8 bits a channel."""

_REMEDY = "replace the file, or take it out of the folder and out of the table"


class Decoded(NamedTuple):
    """An image and what is worth knowing about its file."""

    image: Image.Image  # mode L or RGB
    is_transparent: bool  # some of its pixels were transparent and are laid on the background
    warnings: tuple[str, ...]  # what Pillow warned of


def decode(path: Path, *, grey: bool, background: str) -> Decoded:
    """Return the image of a file.

    The orientation in its EXIF data is applied. Transparent pixels are laid on the background: with
    opacity a in [0, 1] a channel becomes a * value + (1 - a) * background, rounded.

    Args:
        path: of the file.
        grey: whether the image becomes grey; else RGB.
        background: a colour that `colour_problems` has nothing against.

    Raises:
        ValueError: the file is no image, is truncated, too large, has several images or more than 8
            bits a channel; with the file's name and the remedy.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            upright = _read(path)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(
                f"{path} must have at most {Image.MAX_IMAGE_PIXELS} pixels; make the image "
                f"smaller ({error})"
            ) from error
        except _Refused as error:
            raise ValueError(f"{path} {error}") from error
        except UnidentifiedImageError as error:
            reason = "it is empty" if path.stat().st_size == 0 else "it is in no format known here"
            raise ValueError(f"{path} cannot be read as an image: {reason}; {_REMEDY}") from error
        # A decoder may raise anything for a broken file: OSError, SyntaxError, struct.error, …
        except Exception as error:
            raise ValueError(f"{path} cannot be read as an image: {error}; {_REMEDY}") from error
        target = "L" if grey else "RGB"
        opaque = _on_background(upright, background)
        image = (upright if opaque is None else opaque).convert(target)
    texts = dict.fromkeys(str(warning.message) for warning in caught)
    return Decoded(image, opaque is not None, tuple(texts))


def colour_problems(option: str, colour: str) -> list[str]:
    """Return the problem with an option that must be an opaque colour; nothing if it is one."""
    rule = (
        f"{option} must be a colour such as black, white or '#808080' (in quotes), got {colour!r}"
    )
    try:
        channels = len(ImageColor.getrgb(colour))
    except ValueError:
        near = nearest(colour, ImageColor.colormap, cutoff=0.5)
        return [rule if near is None else f"{rule}; did you mean {near!r}?"]
    return [] if channels == 3 else [f"{rule}, which is transparent itself"]


class _Refused(Exception):
    """The file is an image, but not one of this data set: rule, value and remedy."""


def _read(path: Path) -> Image.Image:
    """Return the image of a file, upright, in the mode of the file."""
    with Image.open(path) as image:
        _check_header(image)
        image.load()
        try:
            return ImageOps.exif_transpose(image)
        except Exception as error:  # of damaged EXIF data, whose pixels are intact
            warnings.warn(f"its EXIF data cannot be read: {error}", stacklevel=1)
            return image.copy()


def _check_header(image: Image.Image) -> None:
    """Raise _Refused unless a file has one image with 8 bits a channel."""
    if 0 in image.size:
        raise _Refused(f"must have pixels, got {image.size[0]} x {image.size[1]}; {_REMEDY}")
    # A camera's JPEG may hold small previews behind the photo (MPO): the photo comes first.
    images = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if images > 1:
        raise _Refused(f"must hold one image, got {images}; save each as a file of its own")
    depth = image.mode if image.mode in _DEEP_MODES else _deep_storage(image)
    if depth is not None:
        raise _Refused(f"must have 8 bits a channel, got mode {depth}; convert it")
    if image.mode not in _MODES:
        raise _Refused(f"must be grey or RGB, got mode {image.mode}; convert it to RGB")


def _deep_storage(image: Image.Image) -> str | None:
    """Return how a file stores more than 8 bits a channel, of which Pillow would drop some."""
    tiles: Any = getattr(image, "tile", [])
    for codec, _, _, arguments in tiles:
        texts = str(arguments)  # "RGB;16B", or a tuple with it and sizes
        stored = re.search(r"\w+;16\w?", texts)
        if stored is not None:
            return stored[0]
        if codec == "ppm" and arguments[-1] > 255:
            return f"{arguments[0]} up to {arguments[-1]}"
    return None


def _on_background(image: Image.Image, background: str) -> Image.Image | None:
    """Return an image laid on a colour; None if all its pixels are opaque."""
    if not image.has_transparency_data:
        return None
    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema()[0] == 255:
        return None
    canvas = Image.new("RGBA", image.size, ImageColor.getrgb(background))
    return Image.alpha_composite(canvas, layer)
