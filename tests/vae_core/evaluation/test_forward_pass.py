"""The forward pass: its noise, its discrete codes, and its errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from evaluated_models import model_of
from torch import Tensor

from vae_core import Data, Diverged, EvaluationConfig
from vae_core.evaluation import epoch_scores, forward_pass
from vae_core.evaluation.forward_pass import Model
from vae_core.feed import Feed
from vae_core.likelihood import likelihood
from vae_core.networks import Networks
from vae_core.objectives import VAE, CascadeVAE, JointVAE
from vae_core.types import Batch, Context, Posterior


def test_an_image_meets_the_same_noise_in_any_batch(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(data, VAE())
    expected = forward_pass.encode(model, np.arange(96), seed=0).reconstruction
    halves = [
        forward_pass.encode(model, half, seed=0).reconstruction
        for half in np.arange(96).reshape(2, 48)
    ]
    # float32 products of another batch size
    assert expected == pytest.approx(np.mean(halves), rel=1e-6)
    monkeypatch.setattr(forward_pass, "BATCH", 7)
    in_small_batches = forward_pass.encode(model, np.arange(96), seed=0).reconstruction
    assert in_small_batches == pytest.approx(expected, rel=1e-6)


def test_codes_that_are_not_finite_are_divergence(data: Data) -> None:
    model = model_of(data, VAE())
    with torch.no_grad():
        next(model.nets.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="evaluated mean is not finite after epoch 2, step 9"):
        forward_pass.encode(model, np.arange(96), seed=0, moment="epoch 2, step 9")


def test_discrete_codes_are_kept_and_counted_in_the_elbo(data: Data) -> None:
    model = model_of(data, JointVAE(categories=(3, 2)))
    values, codes = epoch_scores.evaluate(
        model, np.arange(96), config=EvaluationConfig(samples=8), factors=data.factors
    )
    assert codes.discrete is not None
    assert codes.discrete.shape == (96, 2)
    assert 0 <= values["kl_discrete"] <= np.log(6)
    total = values["reconstruction"] + values["kl"] + values["kl_discrete"]
    assert values["elbo"] == pytest.approx(-total)


class TwoImages(Networks):
    """Networks with a decoder that the code alone makes certain of one of two images.

    q(c|x) is almost uniform.
    """

    def encode(self, batch: Batch) -> Posterior:
        first = batch.images[:, 0, 0, 0]
        zero = torch.zeros(len(first), 1)
        return Posterior(zero, zero, torch.stack([0.05 * (2 * first - 1), 0 * first], 1))

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        return 40 * (batch.code[:, :1, None, None].expand_as(batch.images) - 0.5)


def test_elbo_of_an_uncertain_code_is_a_bound() -> None:
    """log p(x) of two equally frequent images is at most −ln 2.

    With the most likely code instead of a sampled one the ELBO would be about 0.
    """
    pixels = np.repeat(np.array([[0], [1]], np.uint8), 4, axis=1).repeat(500, 0)
    data = Data("two", pixels, (1, 2, 2), False, 1, None, "two")
    objective = JointVAE(categories=(2,))
    parts = torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity()
    nets = TwoImages(*parts, likelihood=likelihood("bernoulli"), latents=1, wiring=objective.wiring)
    model = Model(nets, objective, Feed(data, objective.wiring), Context(9, 10, 1000))
    encoded = forward_pass.encode(model, np.arange(1000), seed=0)
    assert encoded.codes.discrete is not None
    # The most likely category is the right one, but only by chance: that is no information.
    assert np.array_equal(encoded.codes.discrete[:, 0], 1 - pixels[:, 0])
    assert -(encoded.reconstruction + encoded.kl_discrete) < -np.log(2)
    # q(c|x) is right with probability σ(.05) = .5125; a wrong code costs 4 pixels of 20 nats
    assert encoded.reconstruction == pytest.approx(0.4875 * 80, abs=4 * 80 * 0.5 / np.sqrt(1000))


def test_a_chosen_code_costs_ln_k_once_it_is_open(data: Data) -> None:
    """A bound on log p(x) with a uniform prior on the code must pay ln K for a certain code."""
    # The code opens in stage 4, of 2 steps each.
    closed, opened = (model_of(data, CascadeVAE(stage_length=2), step=step) for step in (7, 8))
    config = EvaluationConfig(samples=8)
    before, codes = epoch_scores.evaluate(closed, np.arange(96), config=config, factors=None)
    after, _ = epoch_scores.evaluate(opened, np.arange(96), config=config, factors=None)
    assert before["kl_discrete"] == 0
    assert codes.discrete is not None
    assert not codes.discrete.any()
    assert after["kl_discrete"] == pytest.approx(np.log(3))
    # the best of three codes against none
    assert after["reconstruction"] < before["reconstruction"] + 1


def test_cascade_codes_an_image_by_the_category_that_reconstructs_it_best(data: Data) -> None:
    model = model_of(data, CascadeVAE(stage_length=2), step=8)
    codes = forward_pass.encode(model, np.arange(96), seed=0).codes
    batch = model.feed.batch(torch.arange(96))
    costs: list[Tensor] = []
    with torch.no_grad():
        for k in range(3):  # one decoder pass per category
            code = torch.eye(3)[k].repeat(96, 1)
            output = model.nets.decode(model.nets.encode(batch).mean, batch._replace(code=code))
            costs.append(-model.nets.log_likelihood(output, batch.images))
    assert codes.discrete is not None
    assert np.array_equal(codes.discrete[:, 0], torch.stack(costs, 1).argmin(1).numpy())
