"""The functions behind `sweeps data`: they prepare, list and check data sets on disk."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vae_core.data.abstract import AbstractDataset
from vae_core.data.cache.fingerprint import digest
from vae_core.data.cache.store import cache_folder, checksum_file, load_checked
from vae_core.data.dsprites.dataset import DSprites
from vae_core.data.dsprites.render import FULL_SHA256
from vae_core.data.floor import known_floor, store_floor
from vae_core.data.original_files import Remote, checksum_mismatch


def prepare(dataset: AbstractDataset, cache: Path | None = None) -> dict[str, Any]:
    """Draw or read a data set into the cache, unless the cache has it, and describe the result.

    Args:
        dataset: with its options.
        cache: folder; None: `cache_folder()`.

    Returns:
        path (None if the cache does not keep this set), images, bytes (of that file, or in memory),
        floor (nats per image: no Bernoulli reconstruction is below it), sha256 (of the images),
        notes (what is worth knowing about them), seconds.

    Raises:
        ValueError: a file is missing or cannot be read, or the folder cannot be written to.
    """
    start = time.perf_counter()
    folder = cache or cache_folder()
    data = dataset.load(folder)
    path = dataset.cache_file(folder)
    if path is not None and not path.exists():
        raise ValueError(f"{path} could not be written; set SWEEPS_DATA to a writable folder")
    return {
        "path": None if path is None else str(path),
        "images": len(data),
        "bytes": data.images.nbytes if path is None else path.stat().st_size,
        "floor": store_floor(dataset, data, folder),
        "sha256": digest(data.images) if path is None else checksum_file(path).read_text().strip(),
        "notes": list(data.notes),
        "seconds": time.perf_counter() - start,
    }


def info(dataset: AbstractDataset, cache: Path | None = None) -> dict[str, Any]:
    """Return the outline of a data set and the prepared files of the cache; no image is read.

    Returns:
        name, images, shape, levels (of a pixel above 0; None if only the images tell), floor (nats
        per image: no Bernoulli reconstruction is below it; None if it is not known without reading
        images), factors (name -> levels), cache (folder), file (of this set; None if
        the cache does not keep it), prepared (whether that file exists), missing (rule and remedy
        for a missing file; else None), notes (what is worth knowing about the files), files (path
        and bytes of every prepared set).

    Raises:
        ValueError: the sizes of this set are in a file that is missing or cannot be read.
    """
    folder = cache or cache_folder()
    missing = dataset.missing(folder)
    outline = dataset.outline()
    path = None if missing else dataset.cache_file(folder)
    return {
        "name": dataset.name,
        "images": outline.images,
        "shape": list(outline.shape),
        "levels": outline.levels,
        "floor": known_floor(dataset, folder),
        "factors": dict(zip(outline.factor_names, outline.factor_sizes, strict=True)),
        "cache": str(folder),
        "file": None if path is None else str(path),
        "prepared": path is not None and path.exists(),
        "missing": missing,
        "notes": [] if missing else list(dataset.notes()),
        "files": [{"path": str(file), "bytes": file.stat().st_size} for file in _prepared(folder)],
    }


def verify(
    cache: Path | None = None, datasets: Iterable[type[AbstractDataset]] = ()
) -> list[dict[str, Any]]:
    """Read every file of the cache again and compare it with its checksum.

    The full grid of dSprites is compared with the published sha256 too.

    Args:
        cache: folder; None: `cache_folder()`.
        datasets: the sets of which the original files are checked as well. Files that do not exist
            or have no published checksum are left out.

    Returns:
        For each file: path, intact, sha256 (of a prepared set's images; None if damaged), published
        (whether it is what was published; None for a set that only we prepare), reason (why it is
        not intact, or None).
    """
    folder = cache or cache_folder()
    full = DSprites().cache_file(folder)
    rows = [_verify_prepared(path, full) for path in _prepared(folder)]
    for dataset in datasets:
        for remote in dataset.remotes:
            path = folder / dataset.name / remote.name
            if path.is_file() and remote.checksum is not None:
                rows.append(_verify_original(path, remote))
    return rows


def _verify_prepared(path: Path, full: Path) -> dict[str, Any]:
    """Return the row of a prepared set; `full` is the file of the full grid of dSprites."""
    sha256: str | None = None
    reason: str | None = None
    try:
        _, sha256 = load_checked(path, mapped=True)  # mapped: it may be larger than the memory
    except ValueError as error:
        reason = str(error)
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


def _verify_original(path: Path, remote: Remote) -> dict[str, Any]:
    """Return the row of an original file."""
    problem = checksum_mismatch(path, remote)
    return {
        "path": str(path),
        "intact": problem is None,
        "sha256": None,
        "published": problem is None,
        "reason": None if problem is None else f"{path} is not the original: {problem}",
    }


def _prepared(folder: Path) -> list[Path]:
    """Return the prepared sets of a cache, sorted."""
    return sorted(path for path in folder.glob("*.npy") if not path.name.startswith("."))
