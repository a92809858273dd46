"""Variational autoencoders: data, objectives, networks and one training loop, without Ray.

>>> config = vae_core.TrialConfig(
...     data=vae_core.DSprites(resolution=32, stride={"orientation": 4, "pos_x": 2, "pos_y": 2}),
...     objective=vae_core.BetaTCVAE(beta=4.0),
...     network=vae_core.MLP(hidden=(256, 256), latents=6),
...     train=vae_core.TrainConfig(epochs=6),
... )
>>> for report in vae_core.train(config, config.data.load()):
...     metrics = report.metrics
...     print(report.epoch, metrics["reconstruction"], metrics["tc"], metrics["mig"])
"""

from vae_core.config import EvaluationConfig, TrainConfig, TrialConfig
from vae_core.data import (
    DATASETS,
    MNIST,
    Arrays,
    Cars3D,
    DSprites,
    ImageFolder,
    Shapes3D,
    SmallNORB,
    load_data,
)
from vae_core.errors import Diverged
from vae_core.networks import (
    MLP,
    NETWORKS,
    Burgess,
    CascadeConv,
    ChenConv,
    ChenMLP,
    FactorVAEConv,
    HigginsConv,
    Locatello,
    LocatelloK4,
    SimpleConv,
    Trento,
)
from vae_core.objectives import (
    DIPVAEI,
    DIPVAEII,
    OBJECTIVES,
    VAE,
    BetaTCVAE,
    BetaVAE,
    CapacityVAE,
    CascadeVAE,
    CascadeVAEC,
    ConditionalVAE,
    ControlVAE,
    FactorBottleneck,
    FactorVAE,
    InfoGAN,
    InfoVAE,
    JointVAE,
)
from vae_core.training_loop import finish, train
from vae_core.types import Data, EpochReport, Final, TrainState

__all__ = [
    "DATASETS",
    "DIPVAEI",
    "DIPVAEII",
    "MLP",
    "MNIST",
    "NETWORKS",
    "OBJECTIVES",
    "VAE",
    "Arrays",
    "BetaTCVAE",
    "BetaVAE",
    "Burgess",
    "CapacityVAE",
    "Cars3D",
    "CascadeConv",
    "CascadeVAE",
    "CascadeVAEC",
    "ChenConv",
    "ChenMLP",
    "ConditionalVAE",
    "ControlVAE",
    "DSprites",
    "Data",
    "Diverged",
    "EpochReport",
    "EvaluationConfig",
    "FactorBottleneck",
    "FactorVAE",
    "FactorVAEConv",
    "Final",
    "HigginsConv",
    "ImageFolder",
    "InfoGAN",
    "InfoVAE",
    "JointVAE",
    "Locatello",
    "LocatelloK4",
    "Shapes3D",
    "SimpleConv",
    "SmallNORB",
    "TrainConfig",
    "TrainState",
    "Trento",
    "TrialConfig",
    "finish",
    "load_data",
    "train",
]
