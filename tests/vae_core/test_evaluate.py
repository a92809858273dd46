"""The evaluation subset and the numbers measured on it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import metrics
from metrics import Codes, Factors
from vae_core import Data, Diverged, EvaluationConfig, TrialConfig, evaluate
from vae_core.data import ImageTable
from vae_core.draws import generator
from vae_core.networks import MLP, Networks, build_networks
from vae_core.types import Wiring


@pytest.fixture
def nets() -> Networks:
    network, draw = MLP(hidden=(8,), latents=3), generator(0, "weights")
    return build_networks(network, Wiring(), (1, 16, 16), likelihood="bernoulli", generator=draw)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("images", [24, 40, 95])
def test_subset_shows_every_factor_value(data: Data, images: int, seed: int) -> None:
    assert data.factors is not None
    subset = evaluate.evaluation_subset(data, images, seed)
    assert len(np.unique(subset)) == len(subset) == images
    assert (np.diff(subset) > 0).all()
    for column, size in zip(data.factors.values[subset].T, data.factors.sizes, strict=True):
        assert len(np.unique(column)) == size


def test_subset_is_a_draw_of_its_seed(data: Data) -> None:
    first, again, other = (evaluate.evaluation_subset(data, 40, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert evaluate.index_hash(first) == evaluate.index_hash(again) != evaluate.index_hash(other)


def test_subset_that_covers_anyway_is_a_plain_draw(data: Data) -> None:
    order = torch.randperm(96, generator=generator(0, "evaluation subset")).numpy()
    assert np.array_equal(evaluate.evaluation_subset(data, 90, 0), np.sort(order[:90]))


def test_subset_draws_every_image_equally_often(data: Data) -> None:
    counts = np.zeros(96)
    for seed in range(600):
        counts[evaluate.evaluation_subset(data, 70, seed)] += 1
    # binomial(600, 70/96): mean 437.5, sd 10.9; the largest of 96 deviations is below 4 sd
    assert np.abs(counts - 437.5).max() < 44


def test_subset_too_small_for_the_values_is_refused(data: Data) -> None:
    with pytest.raises(ValueError, match=r"evaluation\.images must be >= \d+ to show every factor value, got 10"):
        evaluate.evaluation_subset(data, 10, 0)


def test_whole_set_is_its_own_subset(data: Data) -> None:
    assert np.array_equal(evaluate.evaluation_subset(data, 4096, 0), np.arange(96))


def test_an_image_meets_the_same_noise_in_any_batch(
    data: Data, nets: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ImageTable(data)
    whole = evaluate.encode(nets, table, np.arange(96), seed=0)
    halves = [evaluate.encode(nets, table, half, seed=0).reconstruction for half in np.arange(96).reshape(2, 48)]
    # float32 products of another batch size
    assert whole.reconstruction == pytest.approx(np.mean(halves), rel=1e-6)
    monkeypatch.setattr(evaluate, "BATCH", 7)
    assert evaluate.encode(nets, table, np.arange(96), seed=0).reconstruction == pytest.approx(
        whole.reconstruction, rel=1e-6
    )


def test_numbers_are_what_their_names_say(data: Data, nets: Networks) -> None:
    config = EvaluationConfig(samples=64)
    values, codes = evaluate.evaluate(nets, ImageTable(data), np.arange(96), config=config, factors=data.factors)
    assert codes.logvar is not None
    mean, logvar = codes.mean.astype(float), codes.logvar.astype(float)
    kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(1).mean()
    parts = metrics.elbo_decomposition(codes, samples=64, seed=0)
    assert values["kl"] == pytest.approx(kl)
    assert values["elbo"] == -(values["reconstruction"] + values["kl"])
    assert (values["mi"], values["tc"], values["dimwise_kl"]) == (parts.mi, parts.tc, parts.dimwise_kl)
    assert values["mig"] == metrics.score("mig", codes, data.factors, reference=False).value
    images = torch.from_numpy(data.images).reshape(96, 1, 16, 16).float()
    noise = torch.randn(96, 3, generator=generator(0, "evaluation posterior"))
    z = torch.from_numpy(codes.mean) + (0.5 * torch.from_numpy(codes.logvar)).exp() * noise
    truth = -nets.log_likelihood(nets.decoder(z), images).mean()
    assert values["reconstruction"] == pytest.approx(truth.item(), rel=1e-6)


def test_active_units_are_latents_whose_mean_moves(data: Data, nets: Networks) -> None:
    last: torch.nn.Linear = nets.encoder[-1]  # type: ignore[index,assignment]
    with torch.no_grad():
        last.weight.zero_()  # every posterior is the same …
        last.weight[1] = 1.0  # … but for the mean of latent 1
    values, _ = evaluate.evaluate(
        nets, ImageTable(data), np.arange(96), config=EvaluationConfig(samples=8), factors=None
    )
    assert values["active_units"] == 1


def test_codes_that_are_not_finite_are_divergence(data: Data, nets: Networks) -> None:
    with torch.no_grad():
        next(nets.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="evaluated mean is not finite after epoch 2, step 9"):
        evaluate.encode(nets, ImageTable(data), np.arange(96), seed=0, moment="epoch 2, step 9")


def test_every_final_metric_of_the_registry_is_served(data: Data, nets: Networks) -> None:
    """What the metrics need (images, factors, codes) reaches them, and every number of theirs is finite."""
    chosen = tuple(name for name, metric in metrics.METRICS.items() if not metric.needs & {"others"})
    config = EvaluationConfig(images=40, samples=8, final=chosen)
    final = evaluate.final_evaluation(nets, data, ImageTable(data), config=config)
    assert set(chosen) <= set(final.metrics)
    assert set(final.scores) == set(chosen)
    assert final.metrics["elbo"] == -(final.metrics["reconstruction"] + final.metrics["kl"])  # not the rate


def test_final_metric_without_factors_is_refused_before_training(data: Data) -> None:
    bare = dataclasses.replace(data, factors=None)
    with pytest.raises(ValueError, match=r"evaluation.final: mig need factors, which data set 'bars' has not"):
        evaluate.check_final(EvaluationConfig(final=("mig",)), bare)


def test_kl_per_latent_needs_a_posterior() -> None:
    with pytest.raises(ValueError, match="logvar"):
        evaluate.kl_per_latent(Codes(np.zeros((2, 3))))


def test_unused_levels_do_not_ask_for_images(data: Data, config: TrialConfig) -> None:
    assert data.factors is not None
    wider = Factors(data.factors.values, data.factors.names, (99, 3, 2))  # a sub-grid shows fewer levels
    subset = evaluate.evaluation_subset(dataclasses.replace(data, factors=wider), 40, 0)
    assert np.array_equal(subset, evaluate.evaluation_subset(data, 40, config.evaluation.seed))
