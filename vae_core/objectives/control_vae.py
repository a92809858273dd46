"""ControlVAE: a controller changes β so that the KL follows a set-point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import Length
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Context, Noise, Scalar, Terms


@dataclass(frozen=True)
class ControlVAE(AbstractObjective):
    """L = −E log p(x|z) + β(t)·KL, nats per image, with β from a proportional-integral controller:

        β(t) = K_p/(1 + exp e) + I(t) + β_min, within [β_min, β_max],
        I(t) = I(t − 1) − K_i·e,  e = C(t) − KL.

    The only state of the controller is I: it comes with the context and is returned with the terms.
    It is kept within [0, β_max − β_min], where β can follow it. The paper's rule, to stop
    integrating while β is outside its bounds, has the same effect when β leaves them, but then I
    can not come back. No gradient passes through β.

    Source: Shao et al. 2020 (arXiv:2004.05988), its PI control algorithm; the defaults are those of
    its dSprites experiment as far as they are known (C from .5 to 16 nats, K_p .01, K_i .001,
    β_min 1).

    Args:
        set_point: C at the end, nats.
        set_point_start: C at the start, nats.
        annealing: how long C changes; up to 1 a fraction of the trial, above 1 steps.
        beta_min: smallest β.
        beta_max: largest β.
        proportional: K_p.
        integral: K_i.
    """

    strength: ClassVar[str | None] = "set_point"
    neutral: ClassVar[dict[str, Any] | None] = {"beta_min": 1.0, "beta_max": 1.0}

    set_point: Annotated[Scalar, Ge(0)] = 16.0
    set_point_start: Annotated[Scalar, Ge(0)] = 0.5
    beta_min: Annotated[Scalar, Ge(0)] = 1.0
    beta_max: Annotated[Scalar, Ge(0)] = 100.0
    proportional: Annotated[Scalar, Ge(0)] = 0.01
    integral: Annotated[Scalar, Ge(0)] = 0.001
    annealing: Length = 0.5

    def __post_init__(self) -> None:
        field_checks.check(self)
        low, high = self.beta_min, self.beta_max
        if not isinstance(low, Tensor) and not isinstance(high, Tensor) and low > high:
            raise ValueError(
                f"beta_min must be <= beta_max, got beta_min={low} and beta_max={high}"
            )

    @property
    def memory(self) -> tuple[float, ...]:
        return (0.0,)

    def settled(self, total_steps: int, latents: int) -> int:
        return schedules.steps(self.annealing, total_steps)

    def capacity(self, ctx: Context) -> Scalar:
        return schedules.ramp(ctx, self.set_point_start, self.set_point, self.annealing)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        _, _, reconstruction, kl = autoencode(nets, batch, noise)
        error = self.capacity(ctx) - kl.detach()
        integrated = _within(
            ctx.memory.to(kl)[0] - self.integral * error, 0.0, self.beta_max - self.beta_min
        )
        beta = self.proportional * torch.sigmoid(-error) + integrated + self.beta_min
        beta = _within(beta, self.beta_min, self.beta_max)
        parts = {"kl": kl, "beta": beta, "capacity": kl.detach() + error}
        return Terms(reconstruction, beta * kl, parts, rivals={}, memory=integrated[None])


def _within(value: Tensor, low: Scalar, high: Scalar) -> Tensor:
    """Return a 0-d value, limited to two bounds, which may be tensors."""
    return torch.minimum(torch.maximum(value, value * 0 + low), value * 0 + high)
