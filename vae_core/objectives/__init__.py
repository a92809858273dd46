"""Objectives by name."""

from vae_core.objectives.abstract import (
    AbstractAlternating,
    AbstractObjective,
    AbstractStaged,
    Rival,
)
from vae_core.objectives.beta_tcvae import BetaTCVAE
from vae_core.objectives.beta_vae import BetaVAE
from vae_core.objectives.capacity_vae import CapacityVAE
from vae_core.objectives.cascade_vae import CascadeVAE
from vae_core.objectives.cascade_vae_c import CascadeVAEC
from vae_core.objectives.conditional_vae import ConditionalVAE
from vae_core.objectives.control_vae import ControlVAE
from vae_core.objectives.dip_vae import DIPVAEI, DIPVAEII
from vae_core.objectives.factor_bottleneck import FactorBottleneck
from vae_core.objectives.factor_vae import FactorVAE
from vae_core.objectives.info_vae import InfoVAE
from vae_core.objectives.infogan import InfoGAN
from vae_core.objectives.joint_vae import JointVAE
from vae_core.objectives.vae import VAE

OBJECTIVES: dict[str, type[AbstractObjective]] = {
    "vae": VAE,
    "beta_vae": BetaVAE,
    "capacity_vae": CapacityVAE,
    "beta_tcvae": BetaTCVAE,
    "factor_vae": FactorVAE,
    "joint_vae": JointVAE,
    "cascade_vae_c": CascadeVAEC,
    "cascade_vae": CascadeVAE,
    "conditional_vae": ConditionalVAE,
    "factor_bottleneck": FactorBottleneck,
    "dip_vae_i": DIPVAEI,
    "dip_vae_ii": DIPVAEII,
    "info_vae": InfoVAE,
    "control_vae": ControlVAE,
    "infogan": InfoGAN,
}

__all__ = [
    "DIPVAEI",
    "DIPVAEII",
    "OBJECTIVES",
    "VAE",
    "AbstractAlternating",
    "AbstractObjective",
    "AbstractStaged",
    "BetaTCVAE",
    "BetaVAE",
    "CapacityVAE",
    "CascadeVAE",
    "CascadeVAEC",
    "ConditionalVAE",
    "ControlVAE",
    "FactorBottleneck",
    "FactorVAE",
    "InfoGAN",
    "InfoVAE",
    "JointVAE",
    "Rival",
]
