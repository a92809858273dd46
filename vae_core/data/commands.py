"""What `sweeps data` does and says: prepares data sets on disk, lists and checks them; plain dicts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vae_core.data.abstract import AbstractDataset
from vae_core.data.cache.fingerprint import digest
from vae_core.data.cache.store import beside, cache_folder, checked
from vae_core.data.dsprites.dataset import DSprites
from vae_core.data.dsprites.render import FULL_SHA256
from vae_core.data.original_files import altered


def render_to(dataset: AbstractDataset, cache: Path | None = None) -> dict[str, Any]:
    """Draw or read a data set into the cache, or read it there, and say where it stands.

    Args:
        dataset: with its options.
        cache: folder; None: `cache_folder()`.

    Returns:
        path (None where nothing is kept ready), images, bytes (of that file, or in memory), sha256 (of the
        images), seconds.

    Raises:
        ValueError: a file that is missing or cannot be read, or a folder that cannot be written to.
    """
    begun = time.perf_counter()
    folder = cache or cache_folder()
    data = dataset.load(folder)
    path = dataset.cache_file(folder)
    if path is not None and not path.exists():
        raise ValueError(f"{path} could not be written; set SWEEPS_DATA to a writable folder")
    return {
        "path": None if path is None else str(path),
        "images": len(data),
        "bytes": data.images.nbytes if path is None else path.stat().st_size,
        "sha256": digest(data.images) if path is None else beside(path).read_text().strip(),
        "seconds": time.perf_counter() - begun,
    }


def info(dataset: AbstractDataset, cache: Path | None = None) -> dict[str, Any]:
    """Return the outline of a data set and the prepared files of the cache, reading no image.

    Returns:
        name, images, shape, factors (name -> levels), cache (folder), file (of this set; None where none is
        kept ready), prepared (whether it is there), missing (what to do about a file that is not; else None),
        files (path and bytes of every prepared set).

    Raises:
        ValueError: the sizes of this set stand in a file that is missing or cannot be read.
    """
    folder = cache or cache_folder()
    missing = dataset.missing(folder)
    outline = dataset.outline()
    path = None if missing else dataset.cache_file(folder)
    return {
        "name": dataset.name,
        "images": outline.images,
        "shape": list(outline.shape),
        "factors": dict(zip(outline.factor_names, outline.factor_sizes, strict=True)),
        "cache": str(folder),
        "file": None if path is None else str(path),
        "prepared": path is not None and path.exists(),
        "missing": missing,
        "files": [{"path": str(file), "bytes": file.stat().st_size} for file in _prepared(folder)],
    }


def verify(
    cache: Path | None = None, datasets: Iterable[type[AbstractDataset]] = ()
) -> list[dict[str, Any]]:
    """Read every file of the cache again and compare it with its checksum.

    The full grid of dSprites is compared with the published sha256 too.

    Args:
        cache: folder; None: `cache_folder()`.
        datasets: whose original files are checked as well, where one is there and a checksum is published.

    Returns:
        For each file: path, intact, sha256 (of a prepared set's images; None if damaged), published (whether it
        is what was published; None for a set of our own making), reason (why it is not intact, or None).
    """
    folder = cache or cache_folder()
    full = DSprites().cache_file(folder)
    originals = [
        (folder / dataset.name / remote.name, remote)
        for dataset in datasets
        for remote in dataset.remotes
    ]
    rows = [_verified(path, full) for path in _prepared(folder)]
    for path, remote in originals:
        if path.is_file() and remote.checksum is not None:
            wrong = altered(path, remote)
            reason = None if wrong is None else f"{path} is not the original: {wrong}"
            row = {
                "path": str(path),
                "intact": wrong is None,
                "sha256": None,
                "published": wrong is None,
            }
            rows.append({**row, "reason": reason})
    return rows


def _verified(path: Path, full: Path) -> dict[str, Any]:
    try:
        sha256, reason = (
            checked(path, mapped=True)[1],
            None,
        )  # mapped: it may be larger than the memory
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
