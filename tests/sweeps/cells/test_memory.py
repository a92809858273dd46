"""The memory of a trial, estimated from shapes: derived numbers, and what a command says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mini_sweep import spec
from typer.testing import CliRunner

from sweeps.cells import memory
from sweeps.cells.memory import entry_memories, memory_notes, require_memory
from sweeps.cells.plan import plan_sweep
from sweeps.cli.app import app
from sweeps.errors import SweepError
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data.abstract import Outline
from vae_core.networks import MLP
from vae_core.objectives import OBJECTIVES, VAE, BetaTCVAE
from vae_core.trial_memory import estimate

OUTLINE = Outline(1000, (1, 8, 8), (), ())
TRAIN = TrainConfig(epochs=1, batch_size=10)
EVALUATION = EvaluationConfig(final=())


def huge(**changes):
    return spec(network={"name": "mlp", "hidden": [100_000, 100_000]}, **changes)


def test_the_weights_of_an_mlp_are_counted() -> None:
    trial = estimate(MLP(hidden=(16,), latents=2), VAE(), TRAIN, EVALUATION, OUTLINE)
    # Encoder 64·16 + 16 and 16·4 + 4, decoder 2·16 + 16 and 16·64 + 64: 2,244 numbers of 4 bytes,
    # and as many gradients. Adam keeps two numbers per weight.
    assert trial.weights == 2 * 4 * 2244
    assert trial.optimisers == 2 * 4 * 2244
    # One multiplication and one addition per weight and image; the way back costs twice as much.
    products = 64 * 16 + 16 * 4 + 2 * 16 + 16 * 64
    assert trial.flops == 3 * 2 * products * 10


def test_sgd_keeps_nothing_and_the_best_epoch_is_a_copy() -> None:
    network = MLP(hidden=(16,), latents=2)
    sgd = TrainConfig(epochs=1, batch_size=10, optimiser="sgd")
    assert estimate(network, VAE(), sgd, EVALUATION, OUTLINE).optimisers == 0
    best = EvaluationConfig(final=(), best="elbo")
    assert estimate(network, VAE(), TRAIN, best, OUTLINE).weights == 3 * 4 * 2244


def test_a_matrix_of_pairs_grows_with_the_square_of_the_batch() -> None:
    network = MLP(hidden=(16,), latents=2)

    def activations(batch_size: int) -> float:
        return estimate(
            network, BetaTCVAE(), TRAIN, EVALUATION, OUTLINE, batch_size=batch_size
        ).activations

    # At 100,000 images the matrices (d, B, B) are nearly all of it: four times as much for 2 B.
    assert activations(200_000) / activations(100_000) == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_estimated_without_weights(name: str) -> None:
    outline = Outline(1000, (1, 8, 8), ("shape", "x"), (3, 5))
    network = MLP(hidden=(50_000, 50_000), latents=2)  # 2.5e9 weights: 10 GB in memory
    trial = estimate(network, OBJECTIVES[name](), TRAIN, EVALUATION, outline)
    layer = 50_000**2 * 4
    assert trial.weights >= 2 * layer  # a factor bottleneck has no such encoder
    assert trial.total > trial.weights


def test_the_saved_activations_are_those_of_a_real_step() -> None:
    train = TrainConfig(epochs=1, batch_size=64)
    network, outline = MLP(hidden=(512, 512), latents=10), Outline(1000, (1, 32, 32), (), ())
    estimated = estimate(network, VAE(), train, EVALUATION, outline).activations
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[:1] == (64,):  # of the batch, and no weight
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    encoder, decoder = network.encoder((1, 32, 32), 20), network.decoder(10, (1, 32, 32))
    images = torch.rand(64, 1, 32, 32)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        mean, logvar = encoder(images).split(10, 1)
        z = mean + (0.5 * logvar).exp() * torch.randn(64, 10)
        logits = decoder(z)
        torch.nn.functional.binary_cross_entropy_with_logits(logits, images)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    # The estimate adds the gradient of the largest layer and the one that it is computed from.
    assert measured <= estimated <= 2.5 * measured


def test_a_trial_that_does_not_fit_is_an_error_with_its_parts() -> None:
    sweep = huge()
    # Two layers of 10^10 weights: 75 GiB, as much for the gradients, twice that for Adam, and
    # weights and Adam once more while a checkpoint is written: 75 · (1 + 1 + 2 + 3) = 523.
    with pytest.raises(SweepError, match=r"objectives\[0\] beta_vae: a trial needs about 523 GiB"):
        plan_sweep(sweep)
    (note,) = memory_notes(sweep, entry_memories(sweep), 1, here=False)
    assert "(checkpoint 224 GiB, weights and gradients 149 GiB, optimisers 149 GiB, " in note
    assert "make the network or train.batch_size smaller" in note


def test_on_other_machines_it_is_a_note() -> None:
    plan = plan_sweep(huge(resources={"gpu": 1}), elsewhere=True)
    assert any("a trial needs about 523 GiB of memory" in note for note in plan.notes)
    assert any("hours_here is a rough guess" in note for note in plan.notes)


def test_trials_that_fit_one_by_one_but_not_together_are_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = spec()
    memories = entry_memories(sweep)
    monkeypatch.setattr(memory, "machine_memory", lambda: int(2.5 * memories[0].memory.total))
    require_memory(sweep, memories)
    assert list(memory_notes(sweep, memories, 2, here=True)) == []
    (note,) = memory_notes(sweep, memories, 3, here=True)
    assert "set resources.max_concurrent: 2 or lower" in note


def test_a_diverging_trial_run_is_a_note() -> None:
    plan = plan_sweep(spec(train={"epochs": 4, "batch_size": 32, "learning_rate": 1e30}))
    assert any("failed: training diverged: loss is" in note for note in plan.notes)


@pytest.mark.parametrize("command", [["validate"], ["run", "--dry-run"], ["run"]])
def test_every_command_answers_a_trial_that_does_not_fit(
    command: list[str], tmp_path: Path
) -> None:
    workspace = [] if command == ["validate"] else ["--workspace", str(tmp_path)]
    arguments = ["--set", "network.hidden=[100000, 100000]", *workspace]
    result = CliRunner().invoke(app, [command[0], "smoke", *command[1:], *arguments])
    assert result.exit_code == (0 if command == ["validate"] else 2)
    assert "a trial needs about" in result.output
    assert "Traceback" not in result.output
