"""CascadeVAE: latents that open one after another, and a discrete code chosen by assignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from torch import Tensor

from vae_core.hyperparameters import field_checks
from vae_core.hyperparameters.limits import LATENTS, Categories, PositiveLength
from vae_core.objectives import assignment
from vae_core.objectives.abstract import AbstractAlternating, AbstractStaged, Nets
from vae_core.objectives.cascade_vae_c import cascade, stage_number, stage_steps
from vae_core.objectives.forward import autoencode, sample
from vae_core.types import Batch, Context, Noise, Posterior, Scalar, Terms, Wiring


@dataclass(frozen=True)
class CascadeVAE(AbstractAlternating, AbstractStaged):
    """L = −E log p(x|z, c) + Σ_j β_j(t)·KL_j + w·Σ W², nats per image, with a discrete code c.

    The code is one-hot, of K categories. For the first `code_stage` stages the decoder reads zeros
    for c. Later, before each step, the codes of the batch are those with the least

        Σ_i −log p(x_i|z_i, k_i) + λ·Σ_k n_k(n_k − 1)/2,

    solved exactly in float64 (`assignment.assign`; K decoder passes in one batch), and the step
    descends L with these codes fixed. The stage in which the code opens does not open a latent:
    with s = ⌊t/T⌋, min(s + 1, d) latents are open before it and min(s, d) from it on. In an
    evaluation the code of an image is the category that reconstructs it best from the posterior's
    mean.

    Source: Jeong and Song 2019 (arXiv:1905.09432), their alternating minimisation; `CascadeVAEC`
    lists what their code adds.

    Args:
        categories: K.
        beta_l: β_l; the best published values are 1 with 6 latents and 2 with 4.
        beta_h: β_h.
        weight_decay: w, weight of the squared weights of encoder and decoder, without biases.
        balance: λ, nats; in the paper it is small relative to the reconstruction, so most images
            get their best category.
        stage_length: T; up to 1 a fraction of the trial, above 1 steps (20,000 of 300,000 in the
            paper).
        code_stage: the stage in which the code opens.
        reset_moments: whether a new optimiser starts whenever a latent opens; none starts when the
            code opens.
    """

    strength: ClassVar[str | None] = "beta_l"
    neutral: ClassVar[dict[str, Any] | None] = {"beta_l": 1.0, "beta_h": 1.0, "weight_decay": 0.0}

    categories: Categories = 3
    beta_l: Annotated[Scalar, Ge(0)] = 1.0
    beta_h: Annotated[Scalar, Ge(0)] = 10.0
    weight_decay: Annotated[Scalar, Ge(0)] = 2e-5
    balance: Annotated[float, Ge(0)] = 0.001
    stage_length: PositiveLength = 0.06
    code_stage: Annotated[int, Ge(0), Le(LATENTS)] = 4
    reset_moments: bool = True

    def __post_init__(self) -> None:
        field_checks.check(self)

    @property
    def wiring(self) -> Wiring:
        return Wiring(reads_code=(self.categories,))

    def opened(self, ctx: Context, latents: int) -> int:
        """Return the number of open continuous latents at this step."""
        stage = stage_number(ctx, self.stage_length)
        return min(stage if self.alternates(ctx) else stage + 1, latents)

    def stage(self, ctx: Context, latents: int) -> int:
        return self.opened(ctx, latents) if self.reset_moments else 0

    def settled(self, total_steps: int, latents: int) -> int:
        # The last latent opens in stage d, or d − 1 if that is before the code. Its stage, or that
        # of the code, counts too.
        last = latents if latents > self.code_stage else latents - 1
        return (max(last, self.code_stage) + 1) * stage_steps(self.stage_length, total_steps)

    def alternates(self, ctx: Context) -> bool:
        return stage_number(ctx, self.stage_length) >= self.code_stage

    def cost(self, nets: Nets, batch: Batch, noise: Noise, ctx: Context) -> Tensor:
        del ctx
        return self._costs(nets, batch, sample(nets.encode(batch), noise.posterior))

    def resolve(self, cost: NDArray[np.float64], ctx: Context) -> NDArray[np.int64]:
        del ctx
        return assignment.assign(cost, self.balance)

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

    def code(self, nets: Nets, batch: Batch, posterior: Posterior, ctx: Context) -> Tensor:
        if not self.alternates(ctx):
            return batch.code
        best = self._costs(nets, batch, posterior.mean).argmin(1)
        return torch.eye(self.categories).to(posterior.mean)[best]

    def _costs(self, nets: Nets, batch: Batch, z: Tensor) -> Tensor:
        """Return −log p(x_i|z_i, k) of every image and category, (B, K) nats.

        One batch of B·K images computes all of them.
        """
        rows = len(z)
        # Rows k·B … (k + 1)·B − 1 have category k.
        codes = torch.eye(self.categories).to(z).repeat_interleave(rows, 0)
        repeated = batch._replace(
            images=batch.images.repeat(self.categories, 1, 1, 1),
            labels=batch.labels.repeat(self.categories, 1),
            code=codes,
        )
        output = nets.decode(z.repeat(self.categories, 1), repeated)
        return -nets.log_likelihood(output, repeated.images).view(self.categories, rows).T
