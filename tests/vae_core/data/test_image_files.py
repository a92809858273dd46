"""Image files: transparency is composited, EXIF turns, and what cannot be read is named."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae_core.data.own_files.image_files import colour_problems, decode

HALF = 128  # opacity 128/255
# 200 * 128/255 = 100.39, 100 * 128/255 = 50.20, 50 * 128/255 = 25.10; white adds 255 - 128 = 127
ON_BLACK = [100, 50, 25]
ON_WHITE = [227, 177, 152]


def pixel(path: Path, *, grey: bool = False, background: str = "black") -> list[int]:
    """Return the first pixel of a file."""
    image = decode(path, grey=grey, background=background).image
    return np.asarray(image).reshape(image.size[0] * image.size[1], -1)[0].tolist()


def palette() -> Image.Image:
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    return image


def rgba(path: Path) -> None:
    Image.new("RGBA", (3, 2), (200, 100, 50, HALF)).save(path)


def palette_with_opacities(path: Path) -> None:
    palette().save(path, transparency=bytes([255, HALF]))


@pytest.mark.parametrize("write", [rgba, palette_with_opacities])
@pytest.mark.parametrize(("background", "expected"), [("black", ON_BLACK), ("white", ON_WHITE)])
def test_half_transparent_pixels_are_a_mean_with_the_background(
    write: Callable[[Path], None], background: str, expected: list[int], tmp_path: Path
) -> None:
    write(tmp_path / "a.png")
    assert pixel(tmp_path / "a.png", background=background) == expected
    assert decode(tmp_path / "a.png", grey=False, background=background).is_transparent


def test_grey_with_opacity_is_a_mean_with_the_grey_of_the_background(tmp_path: Path) -> None:
    Image.new("LA", (3, 2), (200, HALF)).save(tmp_path / "a.png")
    assert pixel(tmp_path / "a.png") == [100, 100, 100]
    assert pixel(tmp_path / "a.png", grey=True, background="white") == [227]
    # mixed in colour, (227, 100, 100), and then made grey: 0.299 * 227 + 0.701 * 100 = 138.0
    assert pixel(tmp_path / "a.png", grey=True, background="#ff0000") == [138]


ONE_COLOUR: dict[str, Callable[[Path], None]] = {
    "trns_rgb.png": lambda path: Image.new("RGB", (3, 2), (9, 8, 7)).save(
        path, transparency=(9, 8, 7)
    ),
    "trns_grey.png": lambda path: Image.new("L", (3, 2), 9).save(path, transparency=9),
    "trns_bits.png": lambda path: Image.new("1", (3, 2), 1).save(path, transparency=255),
    "palette.png": lambda path: palette().save(path, transparency=1),
    "palette.gif": lambda path: palette().save(path, transparency=1),
    "alpha.webp": lambda path: Image.new("RGBA", (3, 2)).save(path, lossless=True),
    "alpha.tif": lambda path: Image.new("RGBA", (3, 2)).save(path),
    "palette_alpha.tif": lambda path: _palette_with_alpha().save(path),
}


def _palette_with_alpha() -> Image.Image:
    image = Image.new("PA", (3, 2), (1, 0))
    image.putpalette([0, 0, 0, 200, 100, 50])
    return image


@pytest.mark.parametrize("name", ONE_COLOUR)
def test_a_transparent_pixel_is_the_background_in_every_format(name: str, tmp_path: Path) -> None:
    ONE_COLOUR[name](tmp_path / name)
    assert pixel(tmp_path / name, background="#102030") == [16, 32, 48]


def test_opaque_pixels_do_not_depend_on_the_background(tmp_path: Path) -> None:
    Image.new("RGBA", (3, 2), (200, 100, 50, 255)).save(tmp_path / "a.png")
    for background in ("black", "white"):
        decoded = decode(tmp_path / "a.png", grey=False, background=background)
        assert not decoded.is_transparent
        assert pixel(tmp_path / "a.png", background=background) == [200, 100, 50]


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize(
    # EXIF: how the first row and first column of the file lie in the upright image
    ("orientation", "upright"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_the_orientation_of_exif_is_applied(
    suffix: str, orientation: int, upright: list[list[int]], tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    levels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    image = Image.fromarray(levels).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    decoded = decode(path, grey=True, background="black")
    assert np.asarray(decoded.image).tolist() == upright


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """Return a PNG file; Pillow itself writes none with 16 bits a colour."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def frames(path: Path) -> None:
    images = [Image.new("RGB", (3, 2), (40 * level, 0, 0)) for level in range(3)]
    images[0].save(path, save_all=True, append_images=images[1:])


def cut(path: Path) -> None:
    Image.effect_noise((40, 40), 90).convert("RGB").save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def content(value: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(value) and None


DEEP = "must have 8 bits a channel, got mode"
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty.png": (content(b""), "cannot be read as an image: it is empty; replace the file, or"),
    "text.png": (content(b"file,x\n"), "cannot be read as an image: it is in no format known here"),
    "cut.png": (cut, "cannot be read as an image: image file is truncated"),
    "cut.jpg": (cut, "cannot be read as an image: image file is truncated"),
    "cut.gif": (cut, "cannot be read as an image: image file is truncated"),
    "cut.tif": (cut, "cannot be read as an image: image file is truncated"),
    "cut.webp": (cut, "cannot be read as an image: "),
    "cut.bmp": (cut, "cannot be read as an image: image file is truncated"),
    "frames.gif": (frames, "must hold one image, got 3; save each as a file of its own"),
    "frames.tif": (frames, "must hold one image, got 3"),
    "frames.png": (frames, "must hold one image, got 3"),
    "frames.webp": (frames, "must hold one image, got 3"),
    "grey.png": (content(png(1, 1, 16, 0, bytes(3))), f"{DEEP} I;16; convert it"),
    "rgb.png": (content(png(1, 1, 16, 2, bytes(7))), f"{DEEP} RGB;16B; convert it"),
    "grey_alpha.png": (content(png(1, 1, 16, 4, bytes(5))), f"{DEEP} LA;16B; convert it"),
    "rgba.png": (content(png(1, 1, 16, 6, bytes(9))), f"{DEEP} RGBA;16B; convert it"),
    "rgb.ppm": (content(b"P6 1 1 65535\n" + bytes(6)), f"{DEEP} RGB up to 65535; convert it"),
    "float.tif": (
        lambda path: Image.fromarray(np.zeros((2, 3), np.float32)).save(path),
        f"{DEEP} F; convert it",
    ),
    "whole.tif": (
        lambda path: Image.fromarray(np.zeros((2, 3), np.int32)).save(path),
        f"{DEEP} I; convert it",
    ),
    "lab.tif": (
        lambda path: Image.new("LAB", (3, 2)).save(path),
        "must be grey or RGB, got mode LAB; convert it to RGB",
    ),
    # Pillow warns from 89,478,485 pixels on, and refuses twice as many itself.
    "large.png": (
        content(png(10_000, 10_000, 8, 0, bytes(9))),
        "must have at most 89478485 pixels; make the image smaller (Image size (100000000 pixels)",
    ),
    "larger.png": (
        content(png(60_000, 60_000, 8, 0, bytes(9))),
        "must have at most 89478485 pixels; make the image smaller (Image size (3600000000 pixels)",
    ),
    "folder.png": (lambda path: path.mkdir(), "cannot be read as an image: [Errno 21]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_refused_is_named_with_rule_and_remedy(name: str, tmp_path: Path) -> None:
    write, message = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        decode(tmp_path / name, grey=False, background="black")
    assert str(caught.value).startswith(f"{tmp_path / name} {message}")


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        # Pillow: red = 255 - cyan and so on, without black
        ("cmyk.tif", Image.new("CMYK", (3, 2), (255, 0, 55, 0)), [0, 255, 200]),
        ("bits.png", Image.new("1", (3, 2), 1), [255, 255, 255]),
    ],
)
def test_printing_colours_and_single_bits_become_rgb(
    name: str, image: Image.Image, expected: list[int], tmp_path: Path
) -> None:
    image.save(tmp_path / name)
    assert pixel(tmp_path / name) == expected


def test_the_photo_of_a_camera_comes_before_its_previews(tmp_path: Path) -> None:
    photo, preview = (Image.new("L", (16, 16), level).convert("RGB") for level in (200, 0))
    photo.save(tmp_path / "a.mpo", save_all=True, append_images=[preview])
    assert pixel(tmp_path / "a.mpo") == [200, 200, 200]


def test_a_warning_of_pillow_is_returned_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jpg"
    damaged: Any = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x05garbage"
    Image.new("RGB", (16, 16)).save(path, exif=damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode(path, grey=False, background="black")
    assert len(decoded.warnings) == 1
    assert "Corrupt EXIF data" in decoded.warnings[0]
    assert capfd.readouterr() == ("", "")


def test_damaged_files_raise_nothing_but_a_value_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "gif", "tif", "webp"):
        path = tmp_path / f"a.{suffix}"
        Image.effect_noise((16, 16), 90).convert("RGB").save(path)
        intact = path.read_bytes()
        messages: list[str] = []
        for _ in range(40):
            damaged = bytearray(intact)
            for index in rng.integers(0, len(intact), 5):
                damaged[index] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                decode(path, grey=False, background="black")
            except ValueError as error:
                messages.append(str(error))
        assert messages
        assert all(message.startswith(f"{path} ") for message in messages)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("colour", "problem"),
    [
        ("black", None),
        ("#808080", None),
        ("rgb(1, 2, 3)", None),
        (
            "blak",
            "background must be a colour such as black, white or '#808080' (in quotes), "
            "got 'blak'; did you mean 'black'?",
        ),
        (
            "#00000080",
            "background must be a colour such as black, white or '#808080' (in quotes), "
            "got '#00000080', which is transparent itself",
        ),
        ("", "background must be a colour such as black, white or '#808080' (in quotes), got ''"),
    ],
)
def test_a_background_is_an_opaque_colour(colour: str, problem: str | None) -> None:
    assert colour_problems("background", colour) == ([] if problem is None else [problem])
