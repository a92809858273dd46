"""Data sets by name."""

from vae_core.data.abstract import AbstractDataset

DATASETS: dict[str, type[AbstractDataset]] = {}
