"""CascadeVAE: its assignment against brute force, and the stages that open latents and code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_cases import make

from vae_core import BetaVAE, CascadeVAE, CascadeVAEC
from vae_core.objectives.assignment import assign
from vae_core.types import Context


def total(cost: np.ndarray, chosen: np.ndarray, balance: float) -> float:
    counts = np.bincount(chosen, minlength=cost.shape[1])
    pairs = (counts * (counts - 1) / 2).sum()
    return float(cost[np.arange(len(cost)), chosen].sum() + balance * pairs)


def brute_force(cost: np.ndarray, balance: float) -> float:
    images, classes = cost.shape
    return min(
        total(cost, np.array(codes), balance)
        for codes in itertools.product(range(classes), repeat=images)
    )


@given(
    st.integers(1, 6),
    st.integers(2, 3),
    st.sampled_from([0.0, 0.001, 0.3, 1.0, 7.0, 1e4]),
    st.integers(0, 2**31),
)
def test_assignment_is_optimal(images: int, classes: int, balance: float, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(images, classes)) * 3
    assigned = assign(cost, balance)
    least = brute_force(cost, balance)
    assert assigned.shape == (images,)
    assert total(cost, assigned, balance) == pytest.approx(least, rel=1e-12, abs=1e-12)


def test_without_balance_every_image_gets_its_best_category() -> None:
    cost = np.random.default_rng(0).normal(size=(64, 3))
    assert np.array_equal(assign(cost, 0.0), cost.argmin(1))
    assert np.array_equal(assign(cost, 1e-12), cost.argmin(1))


@pytest.mark.parametrize(("images", "counts"), [(64, [21, 21, 22]), (6, [2, 2, 2]), (2, [0, 1, 1])])
def test_large_balance_makes_the_classes_equal(images: int, counts: list[int]) -> None:
    cost = np.random.default_rng(1).normal(size=(images, 3))
    assert sorted(np.bincount(assign(cost, 1e9), minlength=3)) == counts


def test_costs_of_any_size_are_exact() -> None:
    """The published code multiplies costs by 10,000 and truncates them to int32.

    It overflows beyond 2.1e5 nats.
    """
    cost = np.array([[9e8 + 1e-3, 9e8], [9e8, 9e8 + 1e-3]])
    assert assign(cost, 1e-5).tolist() == [1, 0]


def test_negative_balance_and_infinite_costs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be >= 0, got -1"):
        assign(np.zeros((2, 2)), -1.0)
    with pytest.raises(ValueError, match="costs must be finite"):
        assign(np.array([[np.nan, 0.0]]), 1.0)


def context(step: int) -> Context:
    return Context(step, 300_000, 737_280)


def betas(objective: CascadeVAEC, step: int, latents: int) -> list[float]:
    opened = objective.opened(context(step), latents)
    return [float(objective.beta_l)] * opened + [float(objective.beta_h)] * (latents - opened)


def test_continuous_cascade_opens_a_latent_every_20_000_steps() -> None:
    objective = CascadeVAEC(beta_l=0.7, beta_h=10.0, stage_length=20_000)
    assert betas(objective, 0, 5) == betas(objective, 19_999, 5) == [0.7, 10, 10, 10, 10]
    assert betas(objective, 20_000, 5) == [0.7, 0.7, 10, 10, 10]
    assert betas(objective, 79_999, 5) == [0.7, 0.7, 0.7, 0.7, 10]
    assert betas(objective, 80_000, 5) == betas(objective, 299_999, 5) == [0.7] * 5
    assert objective.settled(300_000, 5) == 100_000  # the last latent also has 20,000 steps


def test_stage_of_the_code_opens_no_latent() -> None:
    objective = CascadeVAE(stage_length=20_000, code_stage=4)
    six = [objective.opened(context(stage * 20_000), 6) for stage in range(9)]
    four = [objective.opened(context(stage * 20_000), 4) for stage in range(6)]
    assert six == [1, 2, 3, 4, 4, 5, 6, 6, 6]
    assert four == [1, 2, 3, 4, 4, 4]
    assert (objective.settled(300_000, 6), objective.settled(300_000, 4)) == (140_000, 100_000)
    assert not objective.alternates(context(79_999))
    assert objective.alternates(context(80_000))


def resets(objective: CascadeVAE | CascadeVAEC, latents: int) -> list[int]:
    """Return the steps, in thousands, at which the optimiser is reset."""
    thousands: list[int] = []
    for step in range(1000, 300_000, 1000):
        before = objective.stage(context(step - 1), latents)
        if objective.stage(context(step), latents) != before:
            thousands.append(step // 1000)
    return thousands


def test_optimiser_is_reset_with_every_latent_and_not_with_the_code() -> None:
    assert resets(CascadeVAEC(stage_length=20_000), 5) == [20, 40, 60, 80]
    assert resets(CascadeVAE(stage_length=20_000), 6) == [20, 40, 60, 100, 120]
    assert resets(CascadeVAE(stage_length=20_000), 4) == [20, 40, 60]
    assert resets(CascadeVAE(stage_length=20_000, reset_moments=False), 6) == []


def test_cascade_has_one_weight_per_latent() -> None:
    """With one of three latents open L = reconstruction + β_l·KL_1 + β_h·(KL_2 + KL_3)."""
    objective = CascadeVAEC(beta_l=0.5, beta_h=7.0, stage_length=100, weight_decay=0.0)
    nets, batch, noise, ctx = make(objective, step=3, total=1000)
    mean, logvar, _ = nets.encode(batch)
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean(0)
    wanted = 0.5 * kl[0] + 7 * kl[1] + 7 * kl[2]
    torch.testing.assert_close(objective.terms(nets, batch, noise, ctx).penalty, wanted)


def test_equal_betas_are_the_beta_vae() -> None:
    even = CascadeVAEC(beta_l=3.0, beta_h=3.0, weight_decay=0.0)
    case = make(even)
    torch.testing.assert_close(even.terms(*case).penalty, BetaVAE(3.0).terms(*case).penalty)


def test_weight_decay_counts_weights_and_no_biases() -> None:
    """Σ W² over encoder and decoder by hand: the matrices of four linear layers."""
    light, heavy = CascadeVAEC(weight_decay=0.0), CascadeVAEC(weight_decay=2e-5)
    case = make(light)
    squares = 0.0
    for name, w in case.nets.named_parameters():
        if name.endswith("weight"):
            squares = squares + (w.double() ** 2).sum()
    wanted = light.terms(*case).penalty + 2e-5 * squares
    torch.testing.assert_close(heavy.terms(*case).penalty, wanted)


def test_code_is_the_best_category_from_its_stage_on() -> None:
    objective = CascadeVAE(stage_length=2, code_stage=2)
    before, after = make(objective, step=3), make(objective, step=4)
    costs = objective.cost(after.nets, after.batch, after.noise, after.ctx)
    assert costs.shape == (8, 3)
    # λ = .001 is small compared with the differences between these costs.
    assert torch.equal(after.batch.code.argmax(1), costs.argmin(1))
    assert not objective.alternates(before.ctx)
    assert objective.alternates(after.ctx)


def test_closed_latents_of_the_cascade_with_a_code_have_weight_beta_h() -> None:
    """In the stage of the code (step 2, stages of 2 steps) one of three latents is open."""
    objective = CascadeVAE(beta_l=0.5, beta_h=7.0, stage_length=2, code_stage=1, weight_decay=0.0)
    case = make(objective, step=2, total=1000)
    mean, logvar, _ = case.nets.encode(case.batch)
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean(0)
    torch.testing.assert_close(objective.terms(*case).penalty, 0.5 * kl[0] + 7 * kl[1] + 7 * kl[2])


def test_costs_of_a_batch_agree_with_one_pass_per_category() -> None:
    objective = CascadeVAE(stage_length=1, code_stage=1)
    nets, batch, noise, ctx = make(objective)
    mean, logvar, _ = nets.encode(batch)
    z = mean + (0.5 * logvar).exp() * noise.posterior
    for k in range(3):
        alone = batch._replace(code=torch.eye(3).double()[k].expand(8, 3))
        wanted = -nets.log_likelihood(nets.decode(z, alone), batch.images)
        torch.testing.assert_close(objective.cost(nets, batch, noise, ctx)[:, k], wanted)
