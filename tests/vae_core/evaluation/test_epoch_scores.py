"""The evaluation subset and the metrics of an epoch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from evaluated_models import model_of

import metrics
from metrics import Factors
from vae_core import Data, EvaluationConfig, TrialConfig
from vae_core.epoch_metrics import COMMON_METRICS, EPOCH_METRICS
from vae_core.evaluation import epoch_scores, forward_pass, kl_shares
from vae_core.evaluation.image_weights import weighted
from vae_core.objectives import VAE, AbstractObjective, CapacityVAE, JointVAE
from vae_core.random_draws import generator


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("images", [24, 40, 95])
def test_subset_shows_every_factor_value(data: Data, images: int, seed: int) -> None:
    assert data.factors is not None
    subset = epoch_scores.evaluation_subset(data, images, seed)
    assert len(np.unique(subset)) == len(subset) == images
    assert (np.diff(subset) > 0).all()
    for column, size in zip(data.factors.values[subset].T, data.factors.sizes, strict=True):
        assert len(np.unique(column)) == size


def test_subset_is_a_draw_of_its_seed(data: Data) -> None:
    first, again, other = (epoch_scores.evaluation_subset(data, 40, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_subset_that_has_every_value_anyway_is_a_simple_draw(data: Data) -> None:
    order = torch.randperm(96, generator=generator(0, "evaluation subset")).numpy()
    assert np.array_equal(epoch_scores.evaluation_subset(data, 90, 0), np.sort(order[:90]))


def test_subset_draws_every_image_equally_often(data: Data) -> None:
    counts = np.zeros(96)
    for seed in range(600):
        counts[epoch_scores.evaluation_subset(data, 70, seed)] += 1
    # binomial(600, 70/96): mean 437.5, sd 10.9; the largest of 96 deviations is below 4 sd
    assert np.abs(counts - 437.5).max() < 44


def test_subset_too_small_for_the_values_is_refused(data: Data) -> None:
    with pytest.raises(
        ValueError, match=r"evaluation\.images must be >= \d+ to show every factor value, got 10"
    ):
        epoch_scores.evaluation_subset(data, 10, 0)


def test_complete_set_is_its_own_subset(data: Data) -> None:
    assert np.array_equal(epoch_scores.evaluation_subset(data, 4096, 0), np.arange(96))


def test_unused_levels_do_not_ask_for_images(data: Data, config: TrialConfig) -> None:
    assert data.factors is not None
    # a sub-grid shows fewer levels than its factors have
    wider = Factors(data.factors.values, data.factors.names, (99, 3, 2))
    subset = epoch_scores.evaluation_subset(dataclasses.replace(data, factors=wider), 40, 0)
    assert np.array_equal(subset, epoch_scores.evaluation_subset(data, 40, config.evaluation.seed))


@pytest.mark.parametrize("with_factors", [True, False])
@pytest.mark.parametrize("objective", [VAE(), JointVAE(categories=(3,)), CapacityVAE()])
def test_an_epoch_reports_the_metrics_of_the_table(
    data: Data, objective: AbstractObjective, with_factors: bool
) -> None:
    """Beside them there are only keys with a slash, of one factor or latent each."""
    factors = data.factors if with_factors else None
    values, codes = epoch_scores.evaluate(
        model_of(data, objective),
        np.arange(96),
        config=EvaluationConfig(samples=8),
        factors=factors,
    )
    expected = set(EPOCH_METRICS)
    if not with_factors:
        expected -= {name for name, metric in EPOCH_METRICS.items() if metric.needs_factors}
    if codes.discrete is None:
        expected -= {name for name, metric in EPOCH_METRICS.items() if metric.needs_discrete}
    errors = {f"{name}_error" for name in expected if not EPOCH_METRICS[name].exact}
    assert {name for name in values if "/" not in name} == expected | errors


@pytest.mark.parametrize("has_weights", [False, True])
def test_the_error_of_the_reconstruction_is_its_spread_over_draws_of_z(
    data: Data, monkeypatch: pytest.MonkeyPatch, has_weights: bool
) -> None:
    # With two z of every image, the error has a relative error of about 1 / sqrt(2 x 96) = .07;
    # the spread over 100 seeds has the same.
    monkeypatch.setattr(forward_pass, "TWICE", 96)
    p = np.random.default_rng(0).dirichlet(np.full(96, 0.3)) if has_weights else None
    model, rows = model_of(weighted(data, p), VAE()), np.arange(96)
    passes = [forward_pass.encode(model, rows, seed=seed) for seed in range(100)]
    spread = np.std([each.reconstruction for each in passes], ddof=1)
    error = np.sqrt(np.mean([each.reconstruction_error**2 for each in passes]))
    assert error == pytest.approx(spread, rel=0.25)
    assert spread > 0


def test_common_metrics_are_those_without_discrete_codes() -> None:
    assert set(EPOCH_METRICS) - set(COMMON_METRICS) == {"kl_discrete"}


def test_metrics_are_what_their_names_say(data: Data) -> None:
    model = model_of(data, VAE())
    config = EvaluationConfig(samples=64)
    values, codes = epoch_scores.evaluate(model, np.arange(96), config=config, factors=data.factors)
    assert codes.logvar is not None
    mean, logvar = codes.mean.astype(float), codes.logvar.astype(float)
    kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(1).mean()
    parts = metrics.elbo_decomposition(codes, samples=64, seed=0)
    assert values["kl"] == pytest.approx(kl)
    assert values["elbo"] == -(values["reconstruction"] + values["kl"])
    assert values["mi"] == parts.mi
    assert values["tc"] == parts.tc
    assert values["dimwise_kl"] == parts.dimwise_kl
    assert values["tc_error"] == parts.tc_error
    mig = metrics.score("mig", codes, data.factors, reference=False)
    assert (values["mig"], values["mig_error"]) == (mig.value, mig.error)
    images = torch.from_numpy(data.images).reshape(96, 1, 16, 16).float()
    noise = torch.randn(96, 3, generator=generator(0, "evaluation posterior"))
    z = torch.from_numpy(codes.mean) + (0.5 * torch.from_numpy(codes.logvar)).exp() * noise
    truth = -model.nets.log_likelihood(model.nets.decoder(z), images).mean()
    assert values["reconstruction"] == pytest.approx(truth.item(), rel=1e-6)


def test_active_units_are_latents_with_a_mean_that_varies(data: Data) -> None:
    model = model_of(data, VAE())
    last: torch.nn.Linear = model.nets.encoder[-1]  # type: ignore[index,assignment]
    with torch.no_grad():
        last.weight.zero_()  # every posterior is the same …
        last.weight[1] = 1.0  # … except for the mean of latent 1
    values, _ = epoch_scores.evaluate(
        model, np.arange(96), config=EvaluationConfig(samples=8), factors=None
    )
    assert values["active_units"] == 1


def test_factors_of_any_name_have_metrics_that_trackers_take() -> None:
    names = ["pos_x", "hue (deg)", "", "a=b/..", "Größe", "x+", "x*"]
    expected = ["pos_x", "hue _deg_", "_", "a_b___", "Größe", "x_ 5", "x_ 6"]
    assert epoch_scores.metric_keys(names) == expected


def test_an_epoch_reports_the_information_on_each_factor(data: Data) -> None:
    assert data.factors is not None
    values, codes = epoch_scores.evaluate(
        model_of(data, CapacityVAE()),
        np.arange(96),
        config=EvaluationConfig(samples=8),
        factors=data.factors,
    )
    mig = metrics.score("mig", codes, data.factors, reference=False)
    information = mig.details["mutual_information"]
    names = ("row", "length", "column")
    for k, name in enumerate(names):
        assert values[f"information/{name}"] == information[:, k].max()
    # Codes of an untrained network know little: of 96 images, no share is above the noise.
    shuffled = np.asarray(mig.details["shuffled_information"])[: codes.mean.shape[1]]
    shares = kl_shares.kl_per_factor(codes, information, shuffled, mig.details["entropies"])
    for k, name in enumerate(names):
        assert values[f"kl_factors/{name}"] == shares.kl[k] == 0
        assert values[f"kl_factors_shuffled/{name}"] == shares.shuffled[k] > 0
