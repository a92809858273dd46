"""Correlated factors: the distribution, draws from it, training and evaluation under it."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_training_loop import assert_same, run

import metrics
import vae_core
from metrics import Codes, Factors
from vae_core import (
    BetaTCVAE,
    BetaVAE,
    Data,
    EvaluationConfig,
    FactorVAE,
    TrainConfig,
    TrialConfig,
    checkpoint,
    correlation,
    random_draws,
)
from vae_core import config as configs
from vae_core.evaluation import epoch_scores, forward_pass, kl_shares
from vae_core.evaluation.image_weights import weighted
from vae_core.feed import Feed
from vae_core.likelihood import likelihood
from vae_core.networks import MLP, build_networks
from vae_core.types import Context

PAIR = ("row", "length")


def joint(width: float) -> np.ndarray:
    """Return p(row, length) of the band, (16, 3), from its definition."""
    row, length = np.arange(16)[:, None] / 15, np.arange(3)[None] / 2
    w = np.exp(-((row - length) ** 2) / (2 * width**2))
    return w / w.sum()


def information(p: np.ndarray) -> float:
    """Return the mutual information, nats, of a joint distribution of two variables."""
    outer = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    return float((p[p > 0] * np.log(p[p > 0] / outer[p > 0])).sum())


def correlated(config: TrialConfig, **changes: Any) -> TrialConfig:
    """Return the config with row and length correlated, or with other fields of its training."""
    changes = {"correlated": PAIR, "correlation_width": 0.2, **changes}
    return replace(config, train=replace(config.train, **changes))


def table(weights: np.ndarray, *, names: tuple[str, ...] = PAIR) -> str:
    """Return the CSV of a table with a weight for every joint level."""
    levels = np.indices(weights.shape).reshape(weights.ndim, -1).T
    return correlation.FactorTable(names, levels, weights.ravel()).text()


def model_of(data: Data) -> forward_pass.Model:
    nets = build_networks(
        MLP(hidden=(8,), latents=3),
        BetaVAE().wiring,
        (1, 16, 16),
        likelihood=likelihood("bernoulli"),
        generator=random_draws.generator(0, "weights"),
    )
    return forward_pass.Model(
        nets, BetaVAE(), Feed(data, BetaVAE().wiring), Context(9, 10, len(data))
    )


@pytest.mark.parametrize("width", [1.0, 0.4, 0.1])
def test_the_band_is_its_definition_and_leaves_the_other_factors_alone(
    data: Data, width: float
) -> None:
    p = TrainConfig(epochs=1, correlated=PAIR, correlation_width=width).distribution(data.factors)
    assert p is not None
    p = p.reshape(16, 3, 2)
    np.testing.assert_allclose(p.sum(2), joint(width), rtol=1e-12)
    # the column is uniform for every row and length
    np.testing.assert_allclose(p, p[..., ::-1], rtol=1e-12)


def test_pairs_that_share_a_factor_multiply(data: Data) -> None:
    assert data.factors is not None
    pairs = (("row", "length"), ("row", "column"))
    both, one, other = (
        correlation.band_distribution(data.factors, chosen, 0.3)
        for chosen in (pairs, pairs[:1], pairs[1:])
    )
    np.testing.assert_allclose(both, one * other / (one * other).sum(), rtol=1e-12)


def test_draws_have_the_marginals_and_the_information_of_the_band(data: Data) -> None:
    count = 100_000
    p = TrainConfig(epochs=1, correlated=PAIR, correlation_width=0.2).distribution(data.factors)
    rows = random_draws.rows(count, random_draws.generator(0, "order", 1), p=p, size=96)
    assert data.factors is not None
    values = data.factors.values[rows.numpy()]
    seen = np.bincount(values[:, 0] * 3 + values[:, 1], minlength=48).reshape(16, 3) / count
    expected = joint(0.2)
    # A frequency has the variance p (1 - p) / count. All 48 are within 5 deviations in all but one
    # of 30,000 seeds.
    assert (np.abs(seen - expected) <= 5 * np.sqrt(expected * (1 - expected) / count)).all()
    # The information of frequencies is too large by (16 - 1)(3 - 1) / (2 count) and varies by about
    # sqrt(Var / count).
    assert information(seen) == pytest.approx(information(expected), abs=5 / np.sqrt(count))
    assert information(expected) > 0.4  # so that the comparison is not between zeros


def test_rows_of_weight_zero_are_never_drawn() -> None:
    p = np.array([0.0, 0.5, 0.0, 0.5, 0.0])
    rows = random_draws.rows(10_000, random_draws.generator(0, "order"), p=p, size=5)
    assert set(rows.tolist()) == {1, 3}


def test_without_a_distribution_an_epoch_is_a_permutation() -> None:
    rows = random_draws.rows(60, random_draws.generator(3, "order", 2), p=None, size=96)
    permutation = torch.randperm(96, generator=random_draws.generator(3, "order", 2))
    assert torch.equal(rows, permutation[:60])


def test_training_uses_only_images_with_a_weight(
    config: TrialConfig, data: Data, monkeypatch: Any
) -> None:
    """Both batches of FactorVAE: if a table allows only length = 0, all images have it."""
    weights = np.zeros((16, 3))
    weights[:, 0] = 1
    seen: list[torch.Tensor] = []
    original_batch = Feed.batch

    def watched(self: Feed, rows: torch.Tensor, second: torch.Tensor | None = None) -> Any:
        seen.extend([] if second is None else [rows, second])
        return original_batch(self, rows, second)

    monkeypatch.setattr(Feed, "batch", watched)
    trial = correlated(
        replace(config, objective=FactorVAE(depth=1, width=9)),
        correlated=(),
        correlation_width=None,
        factor_table=table(weights),
    )
    reports = list(vae_core.train(trial, data))
    assert data.factors is not None
    assert [report.images for report in reports] == [96, 96, 32]  # as without a table
    assert len(seen) >= 2 * len(reports)
    assert set(data.factors.values[torch.cat(seen).numpy(), 1].tolist()) == {0}


@pytest.mark.parametrize("objective", [BetaTCVAE(2.0), FactorVAE(depth=1, width=9)])
def test_a_correlated_trial_is_resumed_bitwise(
    config: TrialConfig, data: Data, objective: Any
) -> None:
    trial = correlated(replace(config, objective=objective))
    uninterrupted = run(trial, data)
    resumed = run(trial, data, resume=checkpoint.loads(uninterrupted[0][1]).state)
    for (report, blob), (expected, expected_blob) in zip(resumed, uninterrupted[1:], strict=True):
        assert (report.metrics, report.train) == (expected.metrics, expected.train)
        assert_same(checkpoint.loads(blob).state, checkpoint.loads(expected_blob).state)


@pytest.mark.parametrize("chosen", [np.arange(96), np.arange(1, 96, 2)])
def test_evaluation_is_of_the_weighted_images(data: Data, chosen: np.ndarray) -> None:
    """If each image counts a whole number of times, the scores are those of repeated codes."""
    assert data.factors is not None
    counts = np.random.default_rng(0).integers(0, 4, 96).astype(np.float64)
    model = model_of(weighted(data, counts / counts.sum()))
    config = EvaluationConfig(samples=8)
    values, codes = epoch_scores.evaluate(
        model, chosen, config=config, factors=model.feed.data.factors
    )
    counts = counts[chosen]
    rows = np.repeat(np.arange(len(chosen)), counts.astype(int))
    repeated = Codes(codes.mean[rows], None if codes.logvar is None else codes.logvar[rows])
    factors = Factors(data.factors.values[chosen[rows]], data.factors.names, data.factors.sizes)
    assert values["kl"] == pytest.approx(kl_shares.kl_per_latent(repeated).sum(), rel=1e-12)
    mig = metrics.score("mig", repeated, factors, reference=False).value
    assert values["mig"] == pytest.approx(mig, abs=1e-9)
    assert values["effective_images"] == pytest.approx(counts.sum() ** 2 / np.square(counts).sum())
    alone = [
        forward_pass.encode(model_of(data), np.array([n]), seed=0).reconstruction for n in chosen
    ]
    # Float32 sums of 256 pixels in batches of other sizes.
    assert values["reconstruction"] == pytest.approx(np.average(alone, weights=counts), rel=1e-5)
    parts = metrics.elbo_decomposition(codes, samples=8, seed=0, weights=counts)
    # The weights are divided by their sum once more, which changes their last bits.
    ours = (values["mi"], values["tc"], values["dimwise_kl"])
    assert ours == pytest.approx(parts[:3], abs=1e-9)


def test_effective_images_are_reported_only_of_correlated_factors(
    config: TrialConfig, data: Data
) -> None:
    *_, independent = vae_core.train(config, data)
    *_, dependent = vae_core.train(correlated(config), data)
    assert independent.final is not None
    assert dependent.final is not None
    assert "effective_images" not in independent.metrics | independent.final.metrics
    assert dependent.metrics["effective_images"] < 40
    p = joint(0.2) / 2  # each of the 96 images
    metrics_of_all = dependent.final.metrics
    assert metrics_of_all["effective_images"] == pytest.approx(1 / (2 * (p**2).sum()))
    # Two perfect latents have information on the same factor: nobody knows the best code.
    assert "mig_ceiling" not in metrics_of_all
    assert independent.final.metrics["mig_ceiling"] > 0.95
    assert "weights" in dependent.final.scores["mig"].identity


def test_correlation_does_not_change_the_evaluation_subset(config: TrialConfig, data: Data) -> None:
    weighted_data = weighted(data, correlated(config).train.distribution(data.factors))
    subset = epoch_scores.evaluation_subset(weighted_data, 40, 0)
    assert np.array_equal(subset, epoch_scores.evaluation_subset(data, 40, 0))


def test_without_correlation_a_trial_keeps_its_older_hash(
    config: TrialConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configs, "REVISION", 3)
    assert config.hash == "6e3827bb95d1ab0f"  # from before there were correlations
    assert correlated(config, correlation_width=None).hash == config.hash


def test_every_correlation_is_another_trial(config: TrialConfig) -> None:
    alone = {"correlated": (), "correlation_width": None}
    trials = [
        config,
        correlated(config),
        correlated(config, correlation_width=0.1),
        correlated(config, correlated=("row", "column")),
        correlated(config, **alone, factor_table="row,weight\n0,1\n1,2\n"),
        correlated(config, **alone, factor_table="row,weight\n0,2\n1,1\n"),
    ]
    assert len({trial.hash for trial in trials}) == len(trials)
    # a single pair, alone or in a list
    assert correlated(config, correlated=(PAIR,)).hash == correlated(config).hash
    reordered = correlated(config, **alone, factor_table="row, weight\n1, 2.0\n0, 1\n")
    assert reordered.hash == trials[4].hash
    assert TrialConfig.from_dict(trials[4].to_dict()) == trials[4]


def test_a_table_weighs_the_levels_it_names(data: Data) -> None:
    weights = np.random.default_rng(1).random((16, 3))
    p = TrainConfig(epochs=1, factor_table=table(weights)).distribution(data.factors)
    assert p is not None
    np.testing.assert_allclose(p.reshape(16, 3, 2).sum(2), weights / weights.sum(), rtol=1e-12)
    from_text = correlation.read_table(table(weights))
    assert np.array_equal(from_text.weights, weights.ravel())  # to the last bit


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"correlated": ("row", "row")}, "must pair two different factors, got row with itself"),
        (
            {"correlated": (PAIR, PAIR[::-1])},
            "must not repeat a pair, got length and row more than once",
        ),
        ({"correlated": ("row", "length", "column")}, "must be a pair of factors, .* got "),
        ({"correlation_width": 0.1}, "must have correlated beside it"),
        ({"correlated": PAIR, "correlation_width": 0.0}, "correlation_width must be > 0, got 0.0"),
        ({"factor_table": "table.csv"}, "factor_table must be CSV text: .* got 'table.csv'"),
        (
            {"factor_table": "row,share\n0,1\n"},
            "must have columns of different factors, then weight, got row,share",
        ),
        (
            {"factor_table": "row,weight\n0,-1\n"},
            "line '0,-1' must have levels >= 0 and a finite weight >= 0",
        ),
        ({"factor_table": "row,weight\n0,0\n1,0\n"}, "must have a weight above 0, got all zero"),
        ({"factor_table": "row,weight\n0,1\n0,2\n"}, "line '0,2' repeats its levels"),
        ({"factor_table": f"row,weight\n{10**20},1\n"}, "must have levels below 2147483648"),
        (
            {"factor_table": "row,weight\n0,1\n", "correlated": PAIR},
            "correlated must be left out beside a factor_table",
        ),
        ({"correlated": [1, 2], "correlation_width": 1.0}, "must be a pair of factors"),
        ({"factor_table": "row,weight\nx,1\n"}, "line 'x,1' must be whole numbers"),
        (
            {"correlated": PAIR, "correlation_width": 0.1, "factor_table": "row,weight\n0,1\n"},
            "correlation_width must be null beside a factor_table, got 0.1",
        ),
    ],
)
def test_a_bad_correlation_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(epochs=1, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"correlated": ("row", "lenght")},
            "train.correlated: unknown factor 'lenght'; did you mean 'length'",
        ),
        (
            {"factor_table": "column,weight\n0,1\n"},
            "must have a line for the levels of every image, .* none for 1;",
        ),
        (
            {"factor_table": "column,weight\n0,1\n1,1\n2,1\n"},
            "unknown levels 2; known: column 0 to 1",
        ),
    ],
)
def test_training_refuses_a_correlation_that_the_data_cannot_have(
    config: TrialConfig, data: Data, fields: dict[str, Any], message: str
) -> None:
    width = None if "factor_table" in fields else 0.2
    with pytest.raises(ValueError, match=message):
        vae_core.train(
            correlated(config, **{"correlated": (), "correlation_width": width, **fields}), data
        )


def test_training_refuses_data_without_factors_and_metrics_without_weights(
    config: TrialConfig, data: Data
) -> None:
    with pytest.raises(ValueError, match="correlated factors need ground-truth factors"):
        vae_core.train(
            correlated(replace(config, evaluation=EvaluationConfig(final=()))),
            replace(data, factors=None),
        )
    with pytest.raises(ValueError, match="sap take no weights, and factors are correlated"):
        vae_core.train(
            correlated(replace(config, evaluation=EvaluationConfig(final=("sap",)))), data
        )


def test_a_table_is_csv_as_numpy_and_spreadsheets_write_it() -> None:
    buffer = io.StringIO("row,weight\r\n0,1e0\r\n\r\n1, 2\r\n")
    assert correlation.read_table(buffer.getvalue()).text() == "row,weight\n0,1\n1,2\n"


def test_the_largest_weights_and_the_narrowest_band_are_distributions(data: Data) -> None:
    """The sum of the largest floats overflows, and the square of the smallest width is 0."""
    lines = "".join(f"{level},1e308\n" for level in range(16))
    even = TrainConfig(epochs=1, factor_table=f"row,weight\n{lines}").distribution(data.factors)
    narrow = TrainConfig(epochs=1, correlated=PAIR, correlation_width=1e-200).distribution(
        data.factors
    )
    assert even is not None
    assert narrow is not None
    assert np.ptp(even) == 0
    assert narrow.sum() == pytest.approx(1)
    assert set(np.unique(narrow > 0)) == {False, True}  # only the diagonal
