"""JointVAE: continuous and discrete latents, each kind with its own capacity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, MaxLen
from torch import Tensor

from metrics import gaussian
from vae_core import discrete
from vae_core.hyperparameters import field_checks, schedules
from vae_core.hyperparameters.limits import CODES, Categories, Length
from vae_core.objectives.abstract import AbstractObjective, Nets
from vae_core.objectives.capacity_vae import distance
from vae_core.objectives.forward import part, sample
from vae_core.types import Batch, Context, Noise, Posterior, Scalar, Terms, Wiring


@dataclass(frozen=True)
class JointVAE(AbstractObjective):
    """L = −E log p(x|z, c) + γ_z·|KL_z − C_z(t)| + γ_c·|KL_c − C_c(t)|, nats per image.

    KL_c = Σ (ln K + Σ_k a_k ln a_k) over the discrete latents, with the exact probabilities
    a = softmax(logits). It is at most Σ ln K, so C_c is limited to that. Training decodes
    Gumbel-softmax samples, an evaluation the most likely category.

    Source: Dupont 2018 (arXiv:1804.00104), eq. 7 and section 3.

    Args:
        categories: K of each discrete latent; in the paper on dSprites one latent of 3. An empty
            list: no discrete latents.
        gamma_z: γ_z.
        gamma_c: γ_c.
        c_z: C_z at the end, nats.
        c_c: C_c at the end, nats.
        annealing: how long both grow from 0; up to 1 a fraction of the trial, above 1 steps.
        temperature: τ of the Gumbel-softmax.
    """

    strength: ClassVar[str | None] = "gamma_z"
    neutral: ClassVar[dict[str, Any] | None] = {"categories": (), "gamma_z": 1.0, "c_z": 0.0}

    categories: Annotated[tuple[Categories, ...], MaxLen(CODES)] = (3,)
    gamma_z: Annotated[Scalar, Ge(0)] = 150.0
    gamma_c: Annotated[Scalar, Ge(0)] = 150.0
    c_z: Annotated[Scalar, Ge(0)] = 40.0
    c_c: Annotated[Scalar, Ge(0)] = 1.1
    annealing: Length = 0.5
    temperature: Annotated[Scalar, Gt(0)] = 0.67

    def __post_init__(self) -> None:
        field_checks.check(self)

    @property
    def wiring(self) -> Wiring:
        return Wiring(infers_code=self.categories, reads_code=self.categories)

    def settled(self, total_steps: int, latents: int) -> int:
        return schedules.steps(self.annealing, total_steps)

    def capacity(self, ctx: Context) -> Scalar:
        return schedules.ramp(ctx, 0.0, self.c_z, self.annealing)

    def terms(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Terms:
        posterior = nets.encode(batch)
        z = sample(posterior, noise.posterior)
        if self.categories:
            batch = batch._replace(code=self.relaxed_code(posterior, noise))
        reconstruction = -nets.log_likelihood(nets.decode(z, batch), batch.images).mean()
        kl = gaussian.kl(posterior.mean, posterior.logvar).sum(1).mean()
        kl_discrete = (
            discrete.kl(posterior.logits, self.categories).mean() if self.categories else kl * 0
        )
        capacity = self.capacity(ctx)
        # KL_c is at most Σ ln K, so it could never reach a larger capacity.
        capacity_c = schedules.at_most(
            schedules.ramp(ctx, 0.0, self.c_c, self.annealing),
            sum(math.log(k) for k in self.categories),
        )
        penalty = self.gamma_z * distance(kl, capacity, "abs") + self.gamma_c * distance(
            kl_discrete, capacity_c, "abs"
        )
        parts = {"kl": kl, "kl_discrete": kl_discrete}
        parts |= {"capacity": part(capacity, kl), "capacity_discrete": part(capacity_c, kl)}
        return Terms(reconstruction, penalty, parts, rivals={})

    def relaxed_code(self, posterior: Posterior, noise: Noise) -> Tensor:
        """Return the Gumbel-softmax samples (B, sum of K) that training decodes."""
        return discrete.relaxed(posterior.logits, noise.gumbel, self.categories, self.temperature)

    def code(self, nets: Nets, batch: Batch, posterior: Posterior, ctx: Context) -> Tensor:
        if not self.categories:
            return batch.code
        return discrete.most_likely(posterior.logits, self.categories)
