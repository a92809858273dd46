"""The capacity-annealed β-VAE: the KL is held at a set amount that grows while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.schedules import Length
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode, part
from vae_core.types import Batch, Context, Noise, Scalar, Terms

Form = Literal["abs", "relu"]


@dataclass(frozen=True)
class CapacityVAE(AbstractObjective):
    """L = −E log p(x|z) + γ·|KL − C(t)| (`abs`) or + γ·max(0, KL − C(t)) (`relu`), nats per image.

    KL is the batch mean of the KL summed over latents, and the distance is taken of the mean: |KL_i − C| averaged over
    images would be another loss, never smaller. C(t) goes linearly from `c_start` to `c_max` and stays there; the two
    may be equal, or fall. `abs` pushes a KL below C up, `relu` leaves it alone.

    Source: Burgess et al. 2018 (arXiv:1804.03599), eq. 5, for `abs`; `relu` is a later variant of it.

    Args:
        form: the distance.
        gamma: γ.
        c_max: C at the end, nats; the paper's 25 on dSprites.
        c_start: C at the start, nats.
        annealing: how long C takes; up to 1 a fraction of the trial, above 1 steps (the paper's are 100,000).
    """

    strength: ClassVar[str | None] = "c_max"
    neutral: ClassVar[dict[str, Any] | None] = {"gamma": 1.0, "c_max": 0.0}

    form: Form = "abs"
    gamma: Annotated[Scalar, Ge(0)] = 1000.0
    c_max: Annotated[Scalar, Ge(0)] = 25.0
    c_start: Annotated[Scalar, Ge(0)] = 0.0
    annealing: Length = 0.5

    def __post_init__(self) -> None:
        field_checks.check(self)

    def settled(self, total_steps: int, latents: int) -> int:
        return schedules.steps(self.annealing, total_steps)

    def capacity(self, ctx: Context) -> Scalar:
        return schedules.ramp(ctx, self.c_start, self.c_max, self.annealing)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        _, _, reconstruction, kl = autoencode(nets, batch, noise)
        capacity = self.capacity(ctx)
        penalty = self.gamma * distance(kl, capacity, self.form)
        return Terms(
            reconstruction, penalty, parts={"kl": kl, "capacity": part(capacity, kl)}, rivals={}
        )


def distance(kl: Tensor, capacity: Scalar, form: Form) -> Tensor:
    """Return |KL − C| or max(0, KL − C) of a mean KL, 0-d."""
    return (kl - capacity).abs() if form == "abs" else (kl - capacity).relu()
