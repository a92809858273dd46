"""The evaluation subset and the numbers measured on it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

import metrics
from metrics import Codes, Factors, Inputs, Metric, Score
from vae_core import Data, Diverged, EvaluationConfig, TrialConfig, train
from vae_core.evaluation import epoch_scores, final_scores, kl_shares
from vae_core.evaluation.epoch_scores import Model
from vae_core.feed import Feed
from vae_core.likelihood import likelihood
from vae_core.networks import MLP, Networks, build_networks
from vae_core.objectives import (
    VAE,
    AbstractObjective,
    CapacityVAE,
    CascadeVAE,
    ConditionalVAE,
    JointVAE,
)
from vae_core.random_draws import generator
from vae_core.types import Batch, Context, Posterior, Wiring


def model_of(data: Data, objective: AbstractObjective, *, step: int = 9) -> Model:
    feed, draw = Feed(data, objective.wiring), generator(0, "weights")
    nets = build_networks(
        MLP(hidden=(8,), latents=3),
        objective.wiring,
        (1, 16, 16),
        likelihood=likelihood("bernoulli"),
        generator=draw,
        widths=feed.widths,
    )
    return Model(nets, objective, feed, Context(step, 10, len(data)))


@pytest.fixture
def model(data: Data) -> Model:
    return model_of(data, VAE())


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
    assert (
        epoch_scores.index_hash(first)
        == epoch_scores.index_hash(again)
        != epoch_scores.index_hash(other)
    )


def test_subset_that_covers_anyway_is_a_plain_draw(data: Data) -> None:
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


def test_whole_set_is_its_own_subset(data: Data) -> None:
    assert np.array_equal(epoch_scores.evaluation_subset(data, 4096, 0), np.arange(96))


def test_an_image_meets_the_same_noise_in_any_batch(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = epoch_scores.encode(model, np.arange(96), seed=0)
    halves = [
        epoch_scores.encode(model, half, seed=0).reconstruction
        for half in np.arange(96).reshape(2, 48)
    ]
    # float32 products of another batch size
    assert whole.reconstruction == pytest.approx(np.mean(halves), rel=1e-6)
    monkeypatch.setattr(epoch_scores, "BATCH", 7)
    assert epoch_scores.encode(model, np.arange(96), seed=0).reconstruction == pytest.approx(
        whole.reconstruction, rel=1e-6
    )


def test_numbers_are_what_their_names_say(data: Data, model: Model) -> None:
    config = EvaluationConfig(samples=64)
    values, codes = epoch_scores.evaluate(model, np.arange(96), config=config, factors=data.factors)
    assert codes.logvar is not None
    mean, logvar = codes.mean.astype(float), codes.logvar.astype(float)
    kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(1).mean()
    parts = metrics.elbo_decomposition(codes, samples=64, seed=0)
    assert values["kl"] == pytest.approx(kl)
    assert values["elbo"] == -(values["reconstruction"] + values["kl"])
    assert (values["mi"], values["tc"], values["dimwise_kl"]) == (
        parts.mi,
        parts.tc,
        parts.dimwise_kl,
    )
    assert values["mig"] == metrics.score("mig", codes, data.factors, reference=False).value
    images = torch.from_numpy(data.images).reshape(96, 1, 16, 16).float()
    noise = torch.randn(96, 3, generator=generator(0, "evaluation posterior"))
    z = torch.from_numpy(codes.mean) + (0.5 * torch.from_numpy(codes.logvar)).exp() * noise
    truth = -model.nets.log_likelihood(model.nets.decoder(z), images).mean()
    assert values["reconstruction"] == pytest.approx(truth.item(), rel=1e-6)


def test_active_units_are_latents_whose_mean_moves(data: Data, model: Model) -> None:
    last: torch.nn.Linear = model.nets.encoder[-1]  # type: ignore[index,assignment]
    with torch.no_grad():
        last.weight.zero_()  # every posterior is the same …
        last.weight[1] = 1.0  # … but for the mean of latent 1
    values, _ = epoch_scores.evaluate(
        model, np.arange(96), config=EvaluationConfig(samples=8), factors=None
    )
    assert values["active_units"] == 1


def test_codes_that_are_not_finite_are_divergence(data: Data, model: Model) -> None:
    with torch.no_grad():
        next(model.nets.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="evaluated mean is not finite after epoch 2, step 9"):
        epoch_scores.encode(model, np.arange(96), seed=0, moment="epoch 2, step 9")


def test_every_final_metric_of_the_registry_is_served(data: Data, model: Model) -> None:
    """What the metrics need (images, factors, codes) reaches them, and every number of theirs is finite."""
    chosen = tuple(
        name
        for name, metric in metrics.METRICS.items()
        if not metric.needs & {"others", "discrete"}
    )
    config = EvaluationConfig(images=40, samples=8, final=chosen)
    final = final_scores.final_evaluation(model, config=config)
    assert set(chosen) <= set(final.metrics)
    assert set(final.scores) == set(chosen)
    assert final.metrics["elbo"] == -(
        final.metrics["reconstruction"] + final.metrics["kl"]
    )  # not the rate


def test_final_metric_without_factors_is_refused_before_training(data: Data) -> None:
    bare = dataclasses.replace(data, factors=None)
    with pytest.raises(
        ValueError, match=r"evaluation: mig need factors, which data set 'bars' has not"
    ):
        final_scores.check_final(EvaluationConfig(final=("mig",)), bare, Wiring())


def counting_categories(inputs: Inputs) -> Score:
    """A metric of discrete codes: how many categories they show."""
    assert inputs.codes.discrete is not None
    return Score(float(len(np.unique(inputs.codes.discrete))), details={"half": 0.5})


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register it, with a variant."""
    row = Metric(
        counting_categories,
        frozenset({"discrete"}),
        (0, 9),
        "none",
        "trial",
        "codes",
        variants={"old": {}},
    )
    monkeypatch.setitem(metrics.METRICS, "counted", row)


@pytest.mark.usefixtures("counted")
def test_a_final_metric_of_discrete_codes_needs_an_objective_that_has_them(data: Data) -> None:
    final = EvaluationConfig(final=("mig", "counted.old"))
    with pytest.raises(
        ValueError, match=r"counted\.old need discrete codes, which the objective has not"
    ):
        final_scores.check_final(final, data, Wiring())
    final_scores.check_final(final, data, Wiring(reads_code=(3,)))


@pytest.mark.usefixtures("counted")
def test_a_variant_is_scored_under_its_own_name(data: Data, config: TrialConfig) -> None:
    evaluation = EvaluationConfig(images=40, samples=8, final=("counted.old",))
    joint = dataclasses.replace(config, objective=JointVAE(categories=(3,)), evaluation=evaluation)
    final = list(train(joint, data))[-1].final
    assert final is not None
    assert final.scores["counted.old"].identity["metric"] == "counted.old"
    assert {"counted.old", "counted.old_half"} < set(final.metrics)


def test_kl_per_latent_needs_a_posterior() -> None:
    with pytest.raises(ValueError, match="logvar"):
        kl_shares.kl_per_latent(Codes(np.zeros((2, 3))))


def test_unused_levels_do_not_ask_for_images(data: Data, config: TrialConfig) -> None:
    assert data.factors is not None
    wider = Factors(
        data.factors.values, data.factors.names, (99, 3, 2)
    )  # a sub-grid shows fewer levels
    subset = epoch_scores.evaluation_subset(dataclasses.replace(data, factors=wider), 40, 0)
    assert np.array_equal(subset, epoch_scores.evaluation_subset(data, 40, config.evaluation.seed))


def test_discrete_codes_are_kept_and_counted_in_the_elbo(data: Data) -> None:
    model = model_of(data, JointVAE(categories=(3, 2)))
    values, codes = epoch_scores.evaluate(
        model, np.arange(96), config=EvaluationConfig(samples=8), factors=data.factors
    )
    assert codes.discrete is not None
    assert codes.discrete.shape == (96, 2)
    assert 0 <= values["kl_discrete"] <= np.log(6)
    assert values["elbo"] == pytest.approx(
        -(values["reconstruction"] + values["kl"] + values["kl_discrete"])
    )


class TwoImages(Networks):
    """Networks whose decoder is certain of one of two images by the code alone, and whose q(c|x) hardly knows which."""

    def encode(self, batch: Batch) -> Posterior:
        first = batch.images[:, 0, 0, 0]
        zero = torch.zeros(len(first), 1)
        return Posterior(zero, zero, torch.stack([0.05 * (2 * first - 1), 0 * first], 1))

    def decode(self, z: Tensor, batch: Batch) -> Tensor:
        return 40 * (batch.code[:, :1, None, None].expand_as(batch.images) - 0.5)


def test_elbo_of_an_uncertain_code_is_a_bound() -> None:
    """Two equally frequent images: log p(x) is −ln 2 at most. Decoded with the likeliest code, the ELBO would be ~0."""
    pixels = np.repeat(np.array([[0], [1]], np.uint8), 4, axis=1).repeat(500, 0)
    data = Data("two", pixels, (1, 2, 2), False, 1, None, "two")
    objective = JointVAE(categories=(2,))
    parts = torch.nn.Identity(), torch.nn.Identity(), torch.nn.Identity()
    nets = TwoImages(*parts, likelihood=likelihood("bernoulli"), latents=1, wiring=objective.wiring)
    model = Model(nets, objective, Feed(data, objective.wiring), Context(9, 10, 1000))
    encoded = epoch_scores.encode(model, np.arange(1000), seed=0)
    assert encoded.codes.discrete is not None
    assert np.array_equal(
        encoded.codes.discrete[:, 0], 1 - pixels[:, 0]
    )  # the likeliest category is the right one …
    assert -(encoded.reconstruction + encoded.kl_discrete) < -np.log(
        2
    )  # … by chance, and that is no information
    # q(c|x) is right with probability σ(.05) = .5125; a wrong code costs 4 pixels of 20 nats
    assert encoded.reconstruction == pytest.approx(0.4875 * 80, abs=4 * 80 * 0.5 / np.sqrt(1000))


def test_factors_of_any_name_have_metrics_that_trackers_take() -> None:
    names = ["pos_x", "hue (deg)", "", "a=b/..", "Größe", "x+", "x*"]
    wanted = ["pos_x", "hue _deg_", "_", "a_b___", "Größe", "x_ 5", "x_ 6"]
    assert epoch_scores.metric_keys(names) == wanted


def test_final_numbers_say_what_is_known_of_each_factor_too(data: Data) -> None:
    model = model_of(data, CapacityVAE())
    keys = {
        f"{kind}/{name}"
        for kind in ("information", "kl_factors")
        for name in ("row", "length", "column")
    }
    for final, best in (((), None), (("mig",), None), ((), "mig")):
        config = EvaluationConfig(images=40, samples=8, final=final, best=best)
        assert keys <= final_scores.final_evaluation(model, config=config).metrics.keys()


def test_a_chosen_code_costs_ln_k_once_it_is_open(data: Data) -> None:
    """A bound on log p(x) with a uniform prior on the code must pay ln K for a code that is certain."""
    shut, opened = (
        model_of(data, CascadeVAE(stage_length=2), step=step) for step in (7, 8)
    )  # stage 4 of 2 steps each
    config = EvaluationConfig(samples=8)
    before, codes = epoch_scores.evaluate(shut, np.arange(96), config=config, factors=None)
    after, _ = epoch_scores.evaluate(opened, np.arange(96), config=config, factors=None)
    assert before["kl_discrete"] == 0
    assert codes.discrete is not None
    assert not codes.discrete.any()
    assert after["kl_discrete"] == pytest.approx(np.log(3))
    assert (
        after["reconstruction"] < before["reconstruction"] + 1
    )  # the best of three codes against none


def test_cascade_codes_an_image_by_the_category_that_reconstructs_it_best(data: Data) -> None:
    model = model_of(data, CascadeVAE(stage_length=2), step=8)
    codes = epoch_scores.encode(model, np.arange(96), seed=0).codes
    batch = model.feed.batch(torch.arange(96))
    costs = []
    with torch.no_grad():
        for k in range(3):  # one decoder pass a category
            code = torch.eye(3)[k].repeat(96, 1)
            output = model.nets.decode(model.nets.encode(batch).mean, batch._replace(code=code))
            costs.append(-model.nets.log_likelihood(output, batch.images))
    assert codes.discrete is not None
    assert np.array_equal(codes.discrete[:, 0], torch.stack(costs, 1).argmin(1).numpy())


def test_labels_reach_the_networks(data: Data) -> None:
    """The decoder reads one column for each level of the label's factors, and its images depend on them."""
    model = model_of(data, ConditionalVAE(label=("length", "column"), reads_label="both"))
    assert model.feed.widths.label == 5
    assert model.nets.decoder[0].in_features == 3 + 5  # type: ignore[index]
    assert model.nets.encoder[1].in_features == 256 * (1 + 5)  # type: ignore[index]
    batch = model.feed.batch(torch.tensor([0, 1]))  # two lengths … of one row
    other = batch._replace(labels=batch.labels.flip(0))
    with torch.no_grad():
        z = model.nets.encode(batch).mean
        assert not torch.allclose(model.nets.decode(z, batch), model.nets.decode(z, other))
        assert not torch.allclose(z, model.nets.encode(other).mean)


def test_labels_that_the_data_lack_are_refused(data: Data) -> None:
    with pytest.raises(ValueError, match="label: unknown factor 'lenght'; did you mean 'length'"):
        Feed(data, ConditionalVAE(label=("lenght",)).wiring)
    with pytest.raises(
        ValueError, match="the objective reads factors, which data set 'bars' has not"
    ):
        Feed(dataclasses.replace(data, factors=None), ConditionalVAE().wiring)


def test_kl_is_shared_among_factors_by_information() -> None:
    """Latent 0 tells 4 images apart, latent 1 is far from the prior and the same for all, latent 2 knows of no factor.

    Of latent 0: means ±1, ±3, so s = 5 + σ², σ² = .01: ½ ln(5.01/.01) = 3.1083 nats, in shares 3:1.
    """
    mean = np.array([[-3.0, 5.0, 1.0], [-1.0, 5.0, -1.0], [1.0, 5.0, 1.0], [3.0, 5.0, -1.0]])
    codes = Codes(mean, np.log(np.array([[0.01, 0.01, 1.0]])).repeat(4, 0))
    shares = kl_shares.kl_per_factor(codes, np.array([[0.3, 0.1], [0.0, 1e-9], [0.0, 0.0]]))
    telling = 0.5 * np.log(5.01 / 0.01)
    np.testing.assert_allclose(shares, [0.75 * telling, 0.25 * telling], atol=1e-12)
    assert kl_shares.kl_per_latent(codes)[1] > 10  # though latent 1 has a KL


def test_an_epoch_says_how_much_is_known_of_each_factor(data: Data) -> None:
    values, codes = epoch_scores.evaluate(
        model_of(data, CapacityVAE()),
        np.arange(96),
        config=EvaluationConfig(samples=8),
        factors=data.factors,
    )
    known = metrics.score("mig", codes, data.factors, reference=False).details["mutual_information"]
    for k, name in enumerate(("row", "length", "column")):
        assert values[f"information/{name}"] == known[:, k].max()
    assert (
        0
        < sum(values[f"kl_factors/{name}"] for name in ("row", "length", "column"))
        <= values["kl"]
    )
