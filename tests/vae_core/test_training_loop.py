"""The training loop: what it learns and reports, how it resumes, and how it stops at divergence."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import vae_core
from metrics import Codes
from vae_core import (
    BetaVAE,
    Burgess,
    Data,
    Diverged,
    EvaluationConfig,
    TrainConfig,
    TrialConfig,
    checkpoint,
)


def assert_same(left: Any, right: Any) -> None:
    """Compare nested mappings, tuples, tensors and numbers bitwise."""
    if isinstance(left, Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, np.ndarray):
        assert np.array_equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


def run(
    config: TrialConfig, data: Data, **options: Any
) -> list[tuple[vae_core.EpochReport, bytes]]:
    """Return every report with its checkpoint, written before the next epoch changes the state."""
    return [
        (report, checkpoint.dumps(config, report, report.state))
        for report in vae_core.train(config, data, **options)
    ]


def assert_same_reports(
    left: list[tuple[vae_core.EpochReport, bytes]], right: list[tuple[vae_core.EpochReport, bytes]]
) -> None:
    """Compare two results of `run` bitwise: all numbers, states and traversals."""
    for (ours, our_blob), (theirs, their_blob) in zip(left, right, strict=True):
        assert ours.metrics == theirs.metrics
        assert ours.train == theirs.train
        assert_same(checkpoint.loads(our_blob).state, checkpoint.loads(their_blob).state)
        assert (ours.snapshot is None) == (theirs.snapshot is None)
        assert (ours.final is None) == (theirs.final is None)
        if ours.final is not None and theirs.final is not None:
            assert ours.final.metrics == theirs.final.metrics
            assert ours.final.best == theirs.final.best
            assert_same(ours.final.traversal, theirs.final.traversal)


def test_training_reduces_reconstruction(config: TrialConfig, data: Data) -> None:
    long = replace(config, train=TrainConfig(epochs=20, batch_size=16, learning_rate=3e-3))
    curve = [report.metrics["reconstruction"] for report in vae_core.train(long, data)]
    assert curve[0] < 256 * np.log(2)  # logits 0
    assert curve[-1] < 0.25 * curve[0]


def test_epochs_steps_and_images_add_up(config: TrialConfig, data: Data) -> None:
    reports = [report for report, _ in run(config, data)]
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert [report.step for report in reports] == [6, 12, 14]
    assert [report.images for report in reports] == [96, 96, 32]
    assert [report.final is None for report in reports] == [True, True, False]
    short = replace(config, train=TrainConfig(epochs=2, images_per_epoch=50, batch_size=16))
    assert [report.step for report in vae_core.train(short, data)] == [3, 6]


def test_report_has_the_documented_keys(config: TrialConfig, data: Data) -> None:
    report = run(config, data)[0][0]
    latents = [f"kl_latents/{j}" for j in range(3)]
    assert set(report.metrics) == {
        *("reconstruction", "kl", "elbo", "mi", "tc", "dimwise_kl", "mig", "active_units"),
        *("reconstruction_error", "elbo_error", "mi_error", "tc_error", "dimwise_kl_error"),
        "mig_error",
        *("information/row", "information/length", "information/column"),
        *latents,
    }
    assert set(report.train) == {"loss", "reconstruction", "kl", "mi", "tc", "dimwise_kl"}
    assert set(report.seconds) == {"train", "evaluate"}
    assert report.metrics["kl"] == pytest.approx(sum(report.metrics[name] for name in latents))
    assert report.metrics["elbo"] == -(report.metrics["reconstruction"] + report.metrics["kl"])


@pytest.mark.parametrize("optimiser", ["adam", "adagrad", "sgd"])
def test_killed_and_resumed_equals_uninterrupted_bitwise(
    config: TrialConfig, data: Data, optimiser: Any
) -> None:
    config = replace(
        config,
        train=TrainConfig(steps=14, batch_size=16, optimiser=optimiser, learning_rate=1e-3),
    )
    uninterrupted = run(config, data)
    for _, blob in uninterrupted:  # killed after any of its epochs
        state = checkpoint.loads(blob).state
        resumed = run(config, data, resume=state)
        assert [report.epoch for report, _ in resumed] == list(range(state.epoch + 1, 4))
        assert_same_reports(resumed, uninterrupted[state.epoch :])


def test_resuming_leaves_the_given_state_alone(config: TrialConfig, data: Data) -> None:
    state = checkpoint.loads(run(config, data)[0][1]).state
    before = checkpoint.dump_weights(state), str(state.optimisers)
    run(config, data, resume=state)
    assert (checkpoint.dump_weights(state), str(state.optimisers)) == before


def test_finish_gives_the_last_report_s_final(config: TrialConfig, data: Data) -> None:
    report, blob = run(config, data)[-1]
    final = vae_core.finish(config, data, checkpoint.loads(blob).state)
    assert report.final is not None
    assert final.metrics == report.final.metrics


def test_seed_decides_the_numbers(config: TrialConfig, data: Data) -> None:
    first, again = run(config, data), run(config, data)
    other = run(replace(config, seed=4), data)
    assert [report.metrics for report, _ in first] == [report.metrics for report, _ in again]
    assert [report.train for report, _ in first] == [report.train for report, _ in again]
    for (report, _), (different, _) in zip(first, other, strict=True):
        assert report.metrics["reconstruction"] != different.metrics["reconstruction"]


def test_global_generators_are_neither_read_nor_moved(config: TrialConfig, data: Data) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = run(config, data)[-1][0].metrics
    assert torch.equal(torch.rand(3), torch.manual_seed(0) and torch.rand(3))
    after = np.random.rand(3)  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    assert np.array_equal(after, np.random.rand(3))  # noqa: NPY002
    torch.manual_seed(1)
    assert run(config, data)[-1][0].metrics == first


def test_divergence_is_raised_in_its_epoch(config: TrialConfig, data: Data) -> None:
    wild = replace(config, train=TrainConfig(epochs=9, batch_size=16, learning_rate=1e30))
    with pytest.raises(Diverged, match=r"epoch 1, step 2"):
        next(vae_core.train(wild, data))


def test_divergence_by_the_last_step_of_an_epoch_is_raised_too(
    config: TrialConfig, data: Data
) -> None:
    wild = replace(config, train=TrainConfig(steps=1, batch_size=16, learning_rate=1e30))
    with pytest.raises(Diverged, match=r"epoch 1, step 1"):
        next(vae_core.train(wild, data))


def test_a_config_that_does_not_fit_is_refused_at_the_call(config: TrialConfig, data: Data) -> None:
    misfits: list[tuple[TrialConfig, str]] = [
        (replace(config, fingerprint="elsewhere"), "the data must be those of the config"),
        (
            replace(config, train=TrainConfig(epochs=1, batch_size=128)),
            "batch_size must be <= the 96 images",
        ),
        (replace(config, network=Burgess()), r"32 x 32 or 64 x 64 pixels, got 16 x 16"),
        (
            replace(config, evaluation=EvaluationConfig(images=10)),
            "evaluation.images must be >= 16",
        ),
    ]
    for misfit, message in misfits:
        with pytest.raises(ValueError, match=message):
            vae_core.train(misfit, data)
    message = "mig need factors, which data set 'bars' does not have"
    with pytest.raises(ValueError, match=message):
        vae_core.train(config, dataclasses.replace(data, factors=None))


def test_state_of_another_trial_is_refused(config: TrialConfig, data: Data) -> None:
    state = run(config, data)[0][0].state
    wider = replace(config, network=vae_core.MLP(hidden=(33,), latents=3))
    with pytest.raises(
        ValueError, match=r"weights are of another network: .*has shape \(32, 256\) instead of"
    ):
        vae_core.train(wider, data, resume=state)
    with pytest.raises(ValueError, match="optimisers"):
        vae_core.train(config, data, resume=state._replace(optimisers={}))


def test_data_without_factors_train_and_have_no_mig(config: TrialConfig, data: Data) -> None:
    bare = replace(config, evaluation=EvaluationConfig(images=40, samples=16, final=("elbo",)))
    *_, report = vae_core.train(bare, dataclasses.replace(data, factors=None))
    assert "mig" not in report.metrics
    assert report.final is not None
    assert {"elbo", "elbo_rate", "elbo_rate_mi_error", "elbo_rate_mi_bound"} <= set(
        report.final.metrics
    )


def test_final_covers_the_whole_set(config: TrialConfig, data: Data) -> None:
    final = run(config, data)[-1][0].final
    assert final is not None
    assert isinstance(final.codes, Codes)
    assert len(final.codes) == 96
    assert final.traversal.shape == (3, 11, 1, 16, 16)
    assert final.images.shape == final.reconstructions.shape == (8, 1, 16, 16)
    assert {"mig", "mig_chance", "mig_ceiling", "reconstruction"} <= set(final.metrics)
    assert final.scores["mig"].value == final.metrics["mig"]


def test_stronger_beta_lowers_the_kl(config: TrialConfig, data: Data) -> None:
    kl: list[float] = []
    for beta in (0.5, 20.0):
        trial = replace(
            config,
            objective=BetaVAE(beta),
            train=TrainConfig(epochs=10, batch_size=16, learning_rate=3e-3),
        )
        kl.append([report.metrics["kl"] for report in vae_core.train(trial, data)][-1])
    assert kl[0] > 2 * kl[1]
