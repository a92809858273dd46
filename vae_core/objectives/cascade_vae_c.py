"""CascadeVAE-C: latents are opened one after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from metrics import gaussian
from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import PositiveLength
from vae_core.objectives.abstract import AbstractStaged, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Posterior, Scalar, Terms


@dataclass(frozen=True)
class CascadeVAEC(AbstractStaged):
    """L = −E log p(x|z) + Σ_j β_j(t)·KL_j + w·Σ W², nats per image.

    β_j is β_l for the open latents and β_h for the others. In stage s = ⌊t/T⌋ latents 0 … s are
    open, so all are open from stage d − 1 on.

    Source: Jeong and Song 2019 (arXiv:1905.09432), information cascading. `weight_decay` and
    `reset_moments` are in their code but not in the paper. The learning rate of their code is
    constant (`train.learning_rate_decay` 1, the default), because it never runs the schedule that
    it builds.

    Args:
        beta_l: β_l; the best published values are .7 with 5 latents and 1 with 10.
        beta_h: β_h.
        stage_length: T; up to 1 a fraction of the trial, above 1 steps (20,000 of 300,000 in the
            paper).
        weight_decay: w, weight of the squared weights of encoder and decoder, without biases.
        reset_moments: whether a new optimiser starts whenever a latent opens.
    """

    strength: ClassVar[str | None] = "beta_l"
    neutral: ClassVar[dict[str, Any] | None] = {"beta_l": 1.0, "beta_h": 1.0, "weight_decay": 0.0}

    beta_l: Annotated[Scalar, Ge(0)] = 0.7
    beta_h: Annotated[Scalar, Ge(0)] = 10.0
    weight_decay: Annotated[Scalar, Ge(0)] = 2e-5
    stage_length: PositiveLength = 0.06
    reset_moments: bool = True

    def __post_init__(self) -> None:
        field_checks.check(self)

    def opened(self, ctx: Context, latents: int) -> int:
        """Return the number of open latents at this step."""
        return min(stage_number(ctx, self.stage_length) + 1, latents)

    def stage(self, ctx: Context, latents: int) -> int:
        return self.opened(ctx, latents) if self.reset_moments else 0

    def settled(self, total_steps: int, latents: int) -> int:
        # The stage of the last latent counts too.
        return latents * stage_steps(self.stage_length, total_steps)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        posterior, _, reconstruction, kl = autoencode(nets, batch, noise)
        opened = self.opened(ctx, posterior.mean.shape[1])
        penalty = (
            cascade(posterior, opened, self.beta_l, self.beta_h)
            + self.weight_decay * nets.squared_weights()
        )
        return Terms(
            reconstruction, penalty, parts={"kl": kl, "opened": kl.detach() * 0 + opened}, rivals={}
        )


def stage_steps(length: float, total_steps: int) -> int:
    """Return T in steps, at least one."""
    return max(schedules.steps(length, total_steps), 1)


def stage_number(ctx: Context, length: float) -> int:
    """Return s = ⌊t/T⌋."""
    return ctx.step // stage_steps(length, ctx.total_steps)


def cascade(posterior: Posterior, opened: int, beta_l: Scalar, beta_h: Scalar) -> Tensor:
    """Return Σ_j β_j·KL_j, mean over the batch, 0-d; β_j is β_l for j < `opened`, else β_h."""
    kl = gaussian.kl(posterior.mean, posterior.logvar).mean(0)
    is_open = (torch.arange(len(kl), device=kl.device) < opened).to(kl)
    return ((beta_l * is_open + beta_h * (1 - is_open)) * kl).sum()
