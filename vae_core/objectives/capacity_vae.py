"""The capacity-annealed β-VAE: the KL follows a capacity that grows during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import Length
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.forward import autoencode, part
from vae_core.types import Batch, Context, Noise, Scalar, Terms

Form = Literal["abs", "relu"]


@dataclass(frozen=True)
class CapacityVAE(AbstractObjective):
    """L = −E log p(x|z) + γ·|KL − C(t)| (`abs`) or + γ·max(0, KL − C(t)) (`relu`), nats per image.

    KL is the batch mean of the KL summed over latents, and the distance is that of the mean: the
    mean of |KL_i − C| over images would be another loss, which is never smaller. C(t) goes linearly
    from `c_start` to `c_max` and stays there; the two may be equal, and C may fall. `abs` raises a
    KL below C, `relu` does not change it.

    Source: Burgess et al. 2018 (arXiv:1804.03599), eq. 5, for `abs`; `relu` is a later variant.

    Args:
        form: form of the distance between KL and C.
        gamma: γ.
        c_max: C at the end, nats; 25 in the paper on dSprites.
        c_start: C at the start, nats.
        annealing: how long C changes; up to 1 a fraction of the trial, above 1 steps (100,000 in
            the paper).
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
    """Return |KL − C| (`abs`) or max(0, KL − C) (`relu`) of a mean KL, 0-d."""
    return (kl - capacity).abs() if form == "abs" else (kl - capacity).relu()
