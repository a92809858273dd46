"""Encoders and decoders of the field by name, built from a `Wiring`."""

from vae_core.networks.abstract import AbstractNetwork
from vae_core.networks.burgess import Burgess
from vae_core.networks.cascade import CascadeConv
from vae_core.networks.chen_conv import ChenConv
from vae_core.networks.factor_vae import FactorVAEConv
from vae_core.networks.higgins_conv import HigginsConv
from vae_core.networks.locatello import Locatello, LocatelloK4
from vae_core.networks.mlp import MLP, ChenMLP
from vae_core.networks.simple_conv import SimpleConv
from vae_core.networks.trento import Trento
from vae_core.networks.trial_networks import (
    Networks,
    Widths,
    build_networks,
    load_weights,
    require_weights,
    shaped_networks,
)

NETWORKS: dict[str, type[AbstractNetwork]] = {
    "burgess": Burgess,
    "cascade": CascadeConv,
    "chen_conv": ChenConv,
    "chen_mlp": ChenMLP,
    "factor_vae": FactorVAEConv,
    "higgins_conv": HigginsConv,
    "locatello": Locatello,
    "locatello_k4": LocatelloK4,
    "mlp": MLP,
    "simple_conv": SimpleConv,
    "trento": Trento,
}

__all__ = [
    "MLP",
    "NETWORKS",
    "AbstractNetwork",
    "Burgess",
    "CascadeConv",
    "ChenConv",
    "ChenMLP",
    "FactorVAEConv",
    "HigginsConv",
    "Locatello",
    "LocatelloK4",
    "Networks",
    "SimpleConv",
    "Trento",
    "Widths",
    "build_networks",
    "load_weights",
    "require_weights",
    "shaped_networks",
]
