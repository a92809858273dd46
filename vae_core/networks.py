"""Encoders and decoders of the field, built from a `Wiring`."""

from __future__ import annotations

import abc


class AbstractNetwork(abc.ABC):
    """A frozen dataclass of a network's sizes."""


NETWORKS: dict[str, type[AbstractNetwork]] = {}
