"""InfoGAN against known values, and its noise outside training."""

from __future__ import annotations

import math
from dataclasses import replace

import objective_cases
import pytest
import torch
from objective_cases import Case, make
from torch import nn

import vae_core
from vae_core import Data, InfoGAN, TrialConfig
from vae_core.evaluation.pictures import traverse
from vae_core.feed import Feed
from vae_core.networks import Trento


def silenced(case: Case, *parts: nn.Module) -> Case:
    """Return the case with the last layer of some networks at zero, so that their output is 0."""
    for part in parts:
        *_, last = (layer for layer in part.modules() if isinstance(layer, nn.Linear))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return case


def test_a_discriminator_that_cannot_separate_costs_both_players_ln_2() -> None:
    objective = InfoGAN()
    case = make(objective)
    terms = objective.terms(*silenced(case, case.nets.discriminator))
    assert terms.parts["generator"].item() == pytest.approx(math.log(2))
    assert terms.rivals["adversary"].item() == pytest.approx(math.log(2))
    assert terms.parts["slope"] == 0


def test_an_encoder_that_returns_the_prior_has_no_information() -> None:
    """Q = N(0, I): log Q(z) + H = Σ ½(1 − z²), 0 in expectation and exactly for z² = 1."""
    objective = InfoGAN(lambda_information=2.0)
    case = make(objective)
    case = case._replace(noise=case.noise._replace(prior=case.noise.prior.sign()))
    terms = objective.terms(*silenced(case, case.nets.encoder))
    assert terms.parts["information"].item() == pytest.approx(0, abs=1e-12)
    # −log Q is then H, which is 1.5·ln 2πe for 3 latents
    surprise = 1.5 * math.log(2 * math.pi * math.e)
    assert terms.penalty.item() == pytest.approx(terms.parts["generator"].item() + 2 * surprise)


def test_the_gradient_penalty_is_the_discriminator_s_alone() -> None:
    case = make(InfoGAN())
    without, with_it = (InfoGAN(gradient_penalty=gamma).terms(*case) for gamma in (0.0, 6.0))
    assert torch.equal(without.penalty, with_it.penalty)
    difference = with_it.rivals["adversary"] - without.rivals["adversary"]
    torch.testing.assert_close(difference, 3 * with_it.parts["slope"])


def test_images_are_generated_from_the_prior_without_reading_an_image() -> None:
    case = make(InfoGAN())
    other = case._replace(batch=case.batch._replace(images=1 - case.batch.images))
    ours, theirs = (InfoGAN().terms(*each) for each in (case, other))
    assert torch.equal(ours.penalty, theirs.penalty)
    assert not torch.equal(ours.reconstruction, theirs.reconstruction)
    for noise in (
        case.noise._replace(prior=-case.noise.prior),
        case.noise._replace(decoder=-case.noise.decoder),
    ):
        moved = InfoGAN().terms(*case._replace(noise=noise))
        assert not torch.equal(ours.penalty, moved.penalty)
        assert torch.equal(ours.reconstruction, moved.reconstruction)


def test_outside_training_the_noise_is_zero(data: Data) -> None:
    objective = InfoGAN(noise=4)
    feed = Feed(data, objective.wiring)
    assert torch.equal(feed.batch(torch.arange(3)).noise, torch.zeros(3, 4))
    case = make(objective)
    nets = case.nets.float()
    one = feed.batch(torch.arange(1))
    rows = traverse(nets, torch.zeros(3).numpy(), one)
    around = one._replace(noise=torch.zeros(len(rows) * rows.shape[1], 4))
    codes = torch.zeros(*rows.shape[:2], 3)
    for j in range(3):
        codes[j, :, j] = torch.linspace(-3, 3, rows.shape[1])
    expected = nets.expected(codes.flatten(0, 1), around).detach().unflatten(0, rows.shape[:2])
    torch.testing.assert_close(torch.from_numpy(rows), expected)


def test_both_players_descend_the_game(config: TrialConfig, data: Data) -> None:
    """G's loss is lower against a discriminator that does not learn than against one that does."""
    train = replace(config.train, steps=60)

    def last_loss(objective: InfoGAN) -> float:
        *_, report = vae_core.train(replace(config, objective=objective, train=train), data)
        return report.train["generator"]

    against_idle = last_loss(InfoGAN(discriminator_learning_rate=1e-9))
    against_learning = last_loss(InfoGAN(gradient_penalty=0.0))
    assert against_idle < 0.5 < against_learning


def test_the_penalty_descends_its_own_gradient_beside_batch_normalisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """γ adds γ/2·∇E|∇_x logit D|² to the gradient of D's loss and nothing else.

    This holds for any forward passes of D before.
    """
    monkeypatch.setitem(objective_cases.NETWORKS, "trento", (Trento(latents=3), (1, 32, 32)))
    parts: list[tuple[torch.Tensor, ...]] = []
    for gamma in (0.0, 2.0):
        case = make(InfoGAN(), "trento")
        weights = case.nets.players()["adversary"]
        loss = InfoGAN(gradient_penalty=gamma).terms(*case).rivals["adversary"]
        parts.append(torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True))
    # With the running statistics after the step: D uses them for its slope.
    mean_slope = case.nets.squared_slope(case.batch.images).mean()
    slopes = torch.autograd.grad(mean_slope, weights, allow_unused=True)
    for without, with_penalty, slope in zip(*parts, slopes, strict=True):
        expected = torch.zeros_like(without) if slope is None else slope  # γ/2 = 1
        difference = with_penalty - without
        torch.testing.assert_close(difference, expected, rtol=1e-9, atol=1e-12)  # float64
