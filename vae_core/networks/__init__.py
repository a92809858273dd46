"""Encoders and decoders of the field by name, built from a `Wiring`."""

from vae_core.networks.abstract import AbstractNetwork
from vae_core.networks.burgess import Burgess
from vae_core.networks.mlp import MLP, ChenMLP
from vae_core.networks.networks import Networks, build_networks, load_weights

NETWORKS: dict[str, type[AbstractNetwork]] = {"burgess": Burgess, "chen_mlp": ChenMLP, "mlp": MLP}

__all__ = [
    "MLP",
    "NETWORKS",
    "AbstractNetwork",
    "Burgess",
    "ChenMLP",
    "Networks",
    "build_networks",
    "load_weights",
]
