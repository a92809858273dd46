"""The factor-conditioned bottleneck: it shows which factors a small capacity codes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, MaxLen

from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import DEPTH, Length, Width
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.capacity_vae import distance
from vae_core.objectives.forward import autoencode, part
from vae_core.types import Batch, Context, Noise, Scalar, Terms, Wiring


@dataclass(frozen=True)
class FactorBottleneck(AbstractObjective):
    """L = −E_q(z|f) log p(x|z) + γ·|KL(q(z|f) || N(0, I)) − C(t)|, nats per image.

    f are the ground-truth factors of x. The encoder is a perceptron on the factors, so only C
    limits the codes: as C grows, the factors that reduce the reconstruction most are coded first.
    At C = 0 and large γ the decoder can only return the mean image.

    Source: Burgess et al. 2018 (arXiv:1804.03599), eq. 4 and figure 3.

    Args:
        gamma: γ.
        c_max: C at the end, nats.
        c_start: C at the start, nats.
        annealing: how long C changes; up to 1 a fraction of the trial, above 1 steps.
        factors: how the encoder reads a factor: one-hot, or its level scaled to [−1, 1].
        hidden: widths of the encoder's hidden layers.
    """

    strength: ClassVar[str | None] = "c_max"
    neutral: ClassVar[dict[str, Any] | None] = {"gamma": 1.0, "c_max": 0.0}

    gamma: Annotated[Scalar, Ge(0)] = 1000.0
    c_max: Annotated[Scalar, Ge(0)] = 25.0
    c_start: Annotated[Scalar, Ge(0)] = 0.0
    annealing: Length = 1.0
    factors: Literal["one_hot", "scaled"] = "one_hot"
    hidden: Annotated[tuple[Width, ...], MaxLen(DEPTH)] = (256, 256)

    def __post_init__(self) -> None:
        field_checks.check(self)

    @property
    def wiring(self) -> Wiring:
        return Wiring(reads_factors=self.factors, factor_hidden=self.hidden)

    def settled(self, total_steps: int, latents: int) -> int:
        return schedules.steps(self.annealing, total_steps)

    def capacity(self, ctx: Context) -> Scalar:
        return schedules.ramp(ctx, self.c_start, self.c_max, self.annealing)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        _, _, reconstruction, kl = autoencode(nets, batch, noise)
        capacity = self.capacity(ctx)
        penalty = self.gamma * distance(kl, capacity, "abs")
        return Terms(
            reconstruction, penalty, parts={"kl": kl, "capacity": part(capacity, kl)}, rivals={}
        )
