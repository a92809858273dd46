"""Says whether the content of a file is whole, without the libraries that made it.

`.npz` and `.pt` files are zip files: each entry has a checksum. A checkpoint begins with the sha256
of its rest. A PNG has a checksum per part; a GIF has none, so only its end is looked at.
"""

from __future__ import annotations

import hashlib
import io
import zipfile

from sweeps.storage.files import AbstractFiles

_DIGEST = hashlib.sha256().digest_size


def problem_of_artifact(files: AbstractFiles, path: str, size: int) -> str:
    """Return why an artifact cannot be read, as a clause; "" if it can."""
    if not size:
        return "is empty"
    try:
        content = files.read(path)
    except OSError as error:
        return f"cannot be read: {error}"
    return content_problem(path.rpartition("/")[2], content)


def content_problem(name: str, content: bytes) -> str:
    """Return why the content of an artifact is not whole, as a clause; "" if it is."""
    suffix = name.rpartition(".")[2]
    if suffix in ("npz", "pt"):
        return _zip_problem(content, needs="mean.npy" if name == "codes.npz" else "")
    if suffix == "png":
        return _png_problem(content)
    if suffix == "gif" and not (content.startswith(b"GIF8") and content.endswith(b";")):
        return "is no whole GIF"
    return ""


def checkpoint_problem(files: AbstractFiles, path: str) -> str:
    """Return why a checkpoint cannot be resumed from, as a clause; "" if it can."""
    try:
        blob = files.read(path)
    except OSError as error:
        return f"cannot be read: {error}"
    if hashlib.sha256(blob[_DIGEST:]).digest() != blob[:_DIGEST]:
        return f"is damaged: the sha256 of its {len(blob)} bytes does not match"
    return ""


def _zip_problem(content: bytes, *, needs: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        return f"is damaged: {error}"
    if damaged is not None:
        return f"is damaged: the checksum of its part {damaged} does not match"
    return f"has no {needs}" if needs and needs not in names else ""


def _png_problem(content: bytes) -> str:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
    except Exception as error:  # Pillow raises SyntaxError, OSError, ValueError and others
        return f"is damaged: {error}"
    return ""
