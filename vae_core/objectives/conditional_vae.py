"""The conditional VAE: one of three KL penalties, with networks that read a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import Length
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.capacity_vae import distance
from vae_core.objectives.forward import autoencode, part
from vae_core.types import Batch, Context, Noise, Scalar, Terms, Wiring


@dataclass(frozen=True)
class ConditionalVAE(AbstractObjective):
    """L = −E log p(x|z, y) + β·KL, or + β·|KL − C(t)|, or + β·max(0, KL − C(t)), nats per image.

    KL is that of q(z|x), or q(z|x, y), from N(0, I). The decoder reads the label y, so the codes
    need not contain it: I(z; y) falls. With `reads_label: both` the encoder reads the label too, as
    one constant image channel per category. Only the wiring differs from β-VAE and capacity VAE.

    Source: Sohn et al. 2015 (NeurIPS), eq. 4, with the prior p(z|y) = N(0, I).

    Args:
        label: names of the factors that make the label, one-hot each; null: all factors of the data
            set.
        reads_label: which networks read the label.
        form: form of the penalty: the KL itself, or its distance from a capacity (see
            `CapacityVAE`).
        beta: β, the weight of the penalty (γ in the capacity VAE).
        c_max: C at the end, nats; for `abs` and `relu`.
        c_start: C at the start, nats.
        annealing: how long C changes; up to 1 a fraction of the trial, above 1 steps.
    """

    strength: ClassVar[str | None] = "beta"
    neutral: ClassVar[dict[str, Any] | None] = {"beta": 1.0, "form": "kl"}

    label: tuple[str, ...] | None = None
    reads_label: Literal["decoder", "both"] = "decoder"
    form: Literal["kl", "abs", "relu"] = "kl"
    beta: Annotated[Scalar, Ge(0)] = 4.0
    c_max: Annotated[Scalar, Ge(0)] = 20.0
    c_start: Annotated[Scalar, Ge(0)] = 0.0
    annealing: Length = 0.5

    def __post_init__(self) -> None:
        field_checks.check(self)
        if self.label is not None and (not self.label or len(set(self.label)) < len(self.label)):
            raise ValueError(
                f"label must name one factor or more, each once, got {list(self.label)}"
            )

    @property
    def wiring(self) -> Wiring:
        return Wiring(reads_label=self.reads_label, label=self.label)

    def settled(self, total_steps: int, latents: int) -> int:
        return 0 if self.form == "kl" else schedules.steps(self.annealing, total_steps)

    def capacity(self, ctx: Context) -> Scalar | None:
        if self.form == "kl":
            return None
        return schedules.ramp(ctx, self.c_start, self.c_max, self.annealing)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        _, _, reconstruction, kl = autoencode(nets, batch, noise)
        capacity = self.capacity(ctx)
        if self.form == "kl" or capacity is None:
            return Terms(reconstruction, self.beta * kl, parts={"kl": kl}, rivals={})
        penalty = self.beta * distance(kl, capacity, self.form)
        return Terms(
            reconstruction, penalty, parts={"kl": kl, "capacity": part(capacity, kl)}, rivals={}
        )
