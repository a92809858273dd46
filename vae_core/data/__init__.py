"""Data sets by name, and their images by index."""

from pathlib import Path
from typing import Any

from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.data.cache.store import cache_folder
from vae_core.data.cars3d.dataset import Cars3D
from vae_core.data.commands import info, prepare, verify
from vae_core.data.download import download
from vae_core.data.dsprites.dataset import DSprites
from vae_core.data.floor import known_floor, store_floor
from vae_core.data.image_table import ImageTable
from vae_core.data.mnist import MNIST
from vae_core.data.original_files import Remote
from vae_core.data.own_files.arrays import Arrays
from vae_core.data.own_files.image_folder import ImageFolder
from vae_core.data.shapes3d.dataset import Shapes3D
from vae_core.data.smallnorb.dataset import SmallNORB
from vae_core.hyperparameters import registry
from vae_core.types import Data

__all__ = [
    "DATASETS",
    "MNIST",
    "AbstractDataset",
    "Arrays",
    "Cars3D",
    "DSprites",
    "ImageFolder",
    "ImageTable",
    "Outline",
    "Remote",
    "Shapes3D",
    "SmallNORB",
    "cache_folder",
    "download",
    "info",
    "known_floor",
    "load_data",
    "prepare",
    "store_floor",
    "verify",
]

DATASETS: dict[str, type[AbstractDataset]] = {
    "dsprites": DSprites,
    "mnist": MNIST,
    "shapes3d": Shapes3D,
    "cars3d": Cars3D,
    "smallnorb": SmallNORB,
    "arrays": Arrays,
    "images": ImageFolder,
}


def load_data(name: str, *, cache: Path | str | None = None, **options: Any) -> Data:
    """Return a data set by name.

    For example `load_data("dsprites", resolution=32, stride={"orientation": 4})`.

    Args:
        name: a key of the registry `DATASETS`.
        cache: folder of prepared data sets; None: `cache_folder()`.
        options: the fields of the data set's class.

    Raises:
        ValueError: an unknown name or option, or a value that the data set refuses.
    """
    dataset = registry.build("data set", {"name": name, **options}, DATASETS)
    return dataset.load(None if cache is None else Path(cache))
