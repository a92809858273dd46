"""FactorVAE: the density-ratio estimate of total correlation, and the separation of its players."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from objective_cases import Case, make
from torch import Tensor

from vae_core import FactorVAE
from vae_core.objectives.factor_vae import discriminator_loss, permuted
from vae_core.objectives.forward import autoencode
from vae_core.types import Batch, Noise, Posterior, Terms

RHO = 0.8
TC = -0.5 * math.log(1 - RHO**2)  # of N(0, R) in two dimensions: −½ ln det R = .510826


class KnownCodes:
    """Networks with given codes, and with the optimal discriminator of N(0, R) against N(0, I)."""

    def __init__(self, z: Tensor) -> None:
        self.z = z

    def encode(self, batch: Batch) -> Posterior:
        return Posterior(self.z, torch.full_like(self.z, -80.0), self.z[:, :0])

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        return z

    def log_likelihood(self, output: Tensor, images: Tensor) -> Tensor:
        return output[:, 0] * 0

    def discriminate(self, z: Tensor) -> Tensor:
        x, y = z.unbind(1)
        joint = -0.5 * (x**2 - 2 * RHO * x * y + y**2) / (1 - RHO**2) - 0.5 * math.log(1 - RHO**2)
        return torch.stack([joint, -0.5 * (x**2 + y**2)], 1)

    def squared_weights(self) -> Tensor:
        return self.z.new_zeros(())


def correlated(n: int) -> Tensor:
    x, y = torch.randn(2, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.stack([x, RHO * x + math.sqrt(1 - RHO**2) * y], 1)


def known(n: int) -> Terms:
    z = correlated(n)
    empty = z.new_zeros(n, 0)
    batch = Batch(empty[:, :, None, None], labels=empty, factors=empty, second=empty, code=empty)
    order = torch.rand(n, 2, generator=torch.Generator().manual_seed(1)).argsort(0)
    noise = Noise(torch.zeros_like(z), second=z[:0], gumbel=empty, permutation=order)
    return FactorVAE(gamma=2.0, second_batch=False).terms(
        KnownCodes(z), batch, noise, make(FactorVAE(depth=1)).ctx
    )


def test_optimal_discriminator_estimates_the_total_correlation() -> None:
    z = correlated(100_000)
    ratio = KnownCodes(z).discriminate(z)
    error = 4 * (ratio[:, 0] - ratio[:, 1]).std() / math.sqrt(len(z))
    assert abs(known(100_000).parts["tc_discriminator"] - TC) < error
    assert error < 0.02  # otherwise the test could not fail


def test_loss_of_the_optimal_discriminator_is_ln_2_minus_the_jensen_shannon_divergence() -> None:
    """At the optimum L_D = ln 2 − JSD(q(z), ∏ q(z_j)). The JSD is integrated numerically."""
    grid = np.linspace(-7, 7, 1401)
    x, y = np.meshgrid(grid, grid)
    joint = np.exp(-0.5 * (x**2 - 2 * RHO * x * y + y**2) / (1 - RHO**2)) / (
        2 * np.pi * np.sqrt(1 - RHO**2)
    )
    product = np.exp(-0.5 * (x**2 + y**2)) / (2 * np.pi)
    middle = 0.5 * (joint + product)
    divergence = joint * np.log(joint / middle) + product * np.log(product / middle)
    jsd = 0.5 * divergence.sum() * 0.01**2
    # The sd of this cross-entropy per sample is below 1: four standard errors of 1e5 pairs are
    # .013.
    assert known(100_000).rivals["adversary"].item() == pytest.approx(math.log(2) - jsd, abs=0.013)


def test_permutation_keeps_each_marginal_exactly() -> None:
    z = correlated(500)
    order = torch.rand(500, 2, generator=torch.Generator().manual_seed(3)).argsort(0)
    mixed = permuted(z, order)
    assert torch.equal(mixed.sort(0).values, z.sort(0).values)
    assert abs(torch.corrcoef(mixed.T)[0, 1]) < 0.2  # 4.5 standard errors of 500 independent pairs
    assert not torch.equal(order[:, 0], order[:, 1])


def test_the_second_batch_is_permuted() -> None:
    paper, shortcut = FactorVAE(depth=1, width=9), FactorVAE(depth=1, width=9, second_batch=False)
    case = make(paper)
    flipped = case._replace(batch=case.batch._replace(second=case.batch.second.flip(3)))

    def loss(objective: FactorVAE, on: Case) -> Tensor:
        return objective.terms(*on).rivals["adversary"]

    assert loss(paper, case) != loss(paper, flipped)
    assert loss(shortcut, case) == loss(shortcut, flipped)


@dataclass(frozen=True)
class Leaky:
    """A published mistake: the codes in the loss of the discriminator are not detached."""

    objective: FactorVAE

    def terms(self, case: Case) -> Terms:
        _, z, *_ = autoencode(case.nets, case.batch, case.noise)
        rival = discriminator_loss(case.nets, z, permuted(z, case.noise.permutation))
        return self.objective.terms(*case)._replace(rivals={"adversary": rival})


def encoder_gradient_of_the_rival(terms: Terms, case: Case) -> list[Tensor | None]:
    return list(
        torch.autograd.grad(
            terms.rivals["adversary"], list(case.nets.encoder.parameters()), allow_unused=True
        )
    )


def test_loss_of_the_discriminator_has_no_gradient_in_the_encoder_and_a_leak_is_detected() -> None:
    objective = FactorVAE(depth=1, width=9)
    case = make(objective)
    assert encoder_gradient_of_the_rival(objective.terms(*case), case) == [None] * 4
    for gradient in encoder_gradient_of_the_rival(Leaky(objective).terms(case), case):
        assert gradient is not None
        assert gradient.any()
