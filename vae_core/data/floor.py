"""The floor of a data set's reconstruction, stored beside its prepared images."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vae_core.atomic_files import write_atomically
from vae_core.data.abstract import AbstractDataset
from vae_core.data.cache.store import cache_folder
from vae_core.types import Data


def store_floor(dataset: AbstractDataset, data: Data, cache: Path | None = None) -> float:
    """Return `Data.floor` of a loaded data set; store it for `known_floor`.

    It is stored only if the cache keeps the images of this set, and can be written to.

    Args:
        dataset: with its options.
        data: the same set, loaded, all images with equal weight.
        cache: folder of prepared data; None: `cache_folder()`.
    """
    path = _floor_file(dataset, cache)
    if path is not None and known_floor(dataset, cache) is None:
        with suppress(OSError):
            write_atomically(path, f"{data.floor!r}\n".encode(), durable=True)
    return data.floor


def known_floor(dataset: AbstractDataset, cache: Path | None = None) -> float | None:
    """Return `Data.floor` of a data set without reading images; None if nobody stored it yet."""
    if dataset.missing(cache) is not None:
        return None
    if dataset.outline().levels == 1:
        return 0.0
    path = _floor_file(dataset, cache)
    if path is None:
        return None
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _floor_file(dataset: AbstractDataset, cache: Path | None) -> Path | None:
    """Return the file of the floor; None if the cache does not keep the images of this set."""
    images = dataset.cache_file(cache or cache_folder())
    if images is None or not images.exists():
        return None
    return images.with_suffix(".floor")
