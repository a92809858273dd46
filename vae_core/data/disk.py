"""What `sweeps data` does and says: prepares dSprites on disk, lists and checks it; plain dicts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vae_core import registry
from vae_core.data.cache import cache_folder, checked, stored_or_made
from vae_core.data.dsprites import DSprites
from vae_core.data.dsprites_render import FULL_SHA256


def render_to(cache: Path | None = None, **options: Any) -> dict[str, Any]:
    """Draw (or read) a dSprites sub-grid into the cache and say where it stands.

    Args:
        cache: folder; None: `cache_folder()`.
        options: fields of `DSprites`.

    Returns:
        path, images, bytes (of the file), sha256 (of the images), seconds.

    Raises:
        ValueError: a wrong option, a file that cannot be read, or a folder that cannot be written to.
    """
    begun = time.perf_counter()
    dataset = registry.construct("data set dsprites", options, DSprites)
    path = dataset.cache_file(cache or cache_folder())
    images, sha256 = stored_or_made(path, dataset.images)
    if not path.exists():
        raise ValueError(f"{path} could not be written; set SWEEPS_DATA to a writable folder")
    return {
        "path": str(path),
        "images": len(images),
        "bytes": path.stat().st_size,
        "sha256": sha256,
        "seconds": time.perf_counter() - begun,
    }


def info(cache: Path | None = None, **options: Any) -> dict[str, Any]:
    """Return the outline of a dSprites sub-grid and the prepared files of the cache, reading no image.

    Returns:
        name, images, shape, factors (name -> levels), cache (folder), file (of this sub-grid), prepared
        (whether it is there), files (path and bytes of every prepared set).
    """
    folder = cache or cache_folder()
    dataset = registry.construct("data set dsprites", options, DSprites)
    outline = dataset.outline()
    path = dataset.cache_file(folder)
    return {
        "name": "dsprites",
        "images": outline.images,
        "shape": list(outline.shape),
        "factors": dict(zip(outline.factor_names, outline.factor_sizes, strict=True)),
        "cache": str(folder),
        "file": str(path),
        "prepared": path.exists(),
        "files": [{"path": str(file), "bytes": file.stat().st_size} for file in _prepared(folder)],
    }


def verify(cache: Path | None = None) -> list[dict[str, Any]]:
    """Read every prepared file of the cache again and compare its images with their sha256.

    The full grid of dSprites is compared with the published sha256 too.

    Returns:
        For each file: path, intact, sha256 (None if damaged), published (whether it is the published full
        grid; None for any other set), reason (why it is not intact, or None).
    """
    folder = cache or cache_folder()
    full = DSprites().cache_file(folder)
    return [_verified(path, full) for path in _prepared(folder)]


def _verified(path: Path, full: Path) -> dict[str, Any]:
    try:
        sha256, reason = checked(path)[1], None
    except ValueError as error:
        sha256, reason = None, str(error)
    published = sha256 == FULL_SHA256 if path == full else None
    if published is False and reason is None:
        reason = f"{path} is not the full grid: its sha256 is {sha256}, published is {FULL_SHA256}"
    return {
        "path": str(path),
        "intact": reason is None,
        "sha256": sha256,
        "published": published,
        "reason": reason,
    }


def _prepared(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.npy") if not path.name.startswith("."))
