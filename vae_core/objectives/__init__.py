"""Objectives by name."""

from vae_core.objectives.abstract import AbstractObjective
from vae_core.objectives.beta_tcvae import BetaTCVAE
from vae_core.objectives.beta_vae import BetaVAE
from vae_core.objectives.vae import VAE

OBJECTIVES: dict[str, type[AbstractObjective]] = {"vae": VAE, "beta_vae": BetaVAE, "beta_tcvae": BetaTCVAE}

__all__ = ["OBJECTIVES", "VAE", "AbstractObjective", "BetaTCVAE", "BetaVAE"]
