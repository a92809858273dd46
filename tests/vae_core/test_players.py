"""Training with several players, stages, schedules, a memory and a best epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_training_loop import assert_same, assert_same_reports, run
from torch import Tensor

import vae_core
from vae_core import (
    BetaVAE,
    CascadeVAE,
    CascadeVAEC,
    ControlVAE,
    Data,
    EvaluationConfig,
    FactorVAE,
    TrainConfig,
    TrialConfig,
    checkpoint,
)
from vae_core.objectives import OBJECTIVES, AbstractObjective
from vae_core.training_loop import snapshot_epochs


def small(cls: type[AbstractObjective]) -> AbstractObjective:
    """Return an objective with all its stages in 14 steps, and with a small discriminator."""
    short: dict[str, Any] = {
        "stage_length": 2,
        "code_stage": 2,
        "depth": 1,
        "width": 9,
        "annealing": 10,
        "warmup": 9,
    }
    fields = cls.__dataclass_fields__  # type: ignore[attr-defined]
    return cls(**{name: value for name, value in short.items() if name in fields})


@pytest.mark.parametrize("name", OBJECTIVES)
def test_killed_and_resumed_equals_uninterrupted_bitwise(
    config: TrialConfig, data: Data, name: str
) -> None:
    """Schedules, optimisers of all players, stages, draws, memory and best epoch are all kept."""
    config = replace(
        config,
        objective=small(OBJECTIVES[name]),
        train=replace(config.train, learning_rate_decay=0.5, decay_every=5),
        evaluation=replace(config.evaluation, best="mig"),
    )
    uninterrupted = run(config, data)
    for report, blob in uninterrupted[:-1]:  # killed after any of its epochs
        resumed = run(config, data, resume=checkpoint.loads(blob).state)
        assert len(resumed) == len(uninterrupted) - report.epoch
        assert_same_reports(resumed, uninterrupted[report.epoch :])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_learns(config: TrialConfig, data: Data, name: str) -> None:
    # Rough settings, the same for all: the test is only whether the gradient has the right sign.
    train = TrainConfig(epochs=25, batch_size=16, learning_rate=3e-3)
    reports = list(
        vae_core.train(replace(config, objective=small(OBJECTIVES[name]), train=train), data)
    )
    curve = [report.metrics["reconstruction"] for report in reports]
    assert curve[-1] < 0.8 * curve[0]
    assert all(np.isfinite(list(report.train.values())).all() for report in reports)


def weights_after_one_step(
    config: TrialConfig, data: Data, objective: AbstractObjective
) -> dict[str, Tensor]:
    """Return all weights, and the state of the discriminator's optimiser under similar names."""
    one = replace(
        config,
        objective=objective,
        train=vae_core.TrainConfig(steps=1, batch_size=16, learning_rate=1e-3),
    )
    state = next(vae_core.train(one, data)).state
    adam = state.optimisers["adversary"]["state"]
    tensors = dict(state.weights)
    for k, moments in adam.items():
        for name, value in moments.items():
            tensors[f"discriminator.{k}.{name}"] = value
    return {name: tensor.clone() for name, tensor in tensors.items()}


def test_each_player_s_step_leaves_the_other_s_weights_bitwise_alone(
    config: TrialConfig, data: Data
) -> None:
    slow = weights_after_one_step(
        config, data, FactorVAE(depth=1, width=9, discriminator_learning_rate=1e-9)
    )
    fast = weights_after_one_step(
        config, data, FactorVAE(depth=1, width=9, discriminator_learning_rate=1e-1)
    )
    strong = weights_after_one_step(config, data, FactorVAE(depth=1, width=9, gamma=1000.0))
    usual = weights_after_one_step(config, data, FactorVAE(depth=1, width=9))
    for name in slow:
        of_discriminator = name.startswith("discriminator")
        moved = of_discriminator and name.endswith(("weight", "bias"))
        # The discriminator's learning rate changes only its weights; γ changes only the
        # autoencoder.
        assert torch.equal(slow[name], fast[name]) != moved
        if of_discriminator:
            assert torch.equal(strong[name], usual[name])
    assert not torch.equal(strong["encoder.1.weight"], usual["encoder.1.weight"])


def state_after(
    config: TrialConfig, data: Data, steps: int, objective: AbstractObjective, **train: Any
) -> Any:
    one = replace(
        config, objective=objective, train=TrainConfig(steps=steps, batch_size=16, **train)
    )
    *_, report = vae_core.train(one, data)
    return report.state


def adam_steps(state: Any) -> float:
    return float(state.optimisers["vae"]["state"][0]["step"])


@pytest.mark.parametrize(("reset", "steps"), [(True, 2.0), (False, 6.0)])
def test_a_new_optimiser_starts_when_a_latent_opens(
    config: TrialConfig, data: Data, reset: bool, steps: float
) -> None:
    """Latents 2 and 3 of 3 open at steps 2 and 4 (from 0), so the last Adam took 2 of 6 steps."""
    objective = CascadeVAEC(stage_length=2, reset_moments=reset)
    assert adam_steps(state_after(config, data, 6, objective)) == steps


def test_the_code_is_zeros_before_its_stage(config: TrialConfig, data: Data) -> None:
    """The decoder's weights that read the code get a gradient only from stage 2 (step 4) on."""
    objective = CascadeVAE(stage_length=2, code_stage=2, weight_decay=0.0)

    def decoder_weights(steps: int) -> Tensor:
        return state_after(config, data, steps, objective).weights["decoder.0.weight"]

    first, before, after = decoder_weights(1), decoder_weights(4), decoder_weights(5)
    assert first.shape == (32, 3 + 3)
    assert torch.equal(first[:, 3:], before[:, 3:])
    assert not torch.equal(first[:, :3], before[:, :3])
    assert not torch.equal(before[:, 3:], after[:, 3:])


def test_no_new_optimiser_starts_when_the_code_opens(config: TrialConfig, data: Data) -> None:
    """In stages of 2 steps 1, 2, 2, 3 latents are open: a new Adam starts at 2 and 6, not at 4."""
    objective = CascadeVAE(stage_length=2, code_stage=2)
    counts = [adam_steps(state_after(config, data, steps, objective)) for steps in (2, 3, 5, 6, 7)]
    assert counts == [2, 1, 3, 4, 1]


def test_a_cascade_with_one_optimiser_is_the_beta_vae_step_by_step(
    config: TrialConfig, data: Data
) -> None:
    even = CascadeVAEC(beta_l=3.0, beta_h=3.0, weight_decay=0.0, reset_moments=False)
    ours, theirs = (
        state_after(config, data, 14, objective).weights for objective in (even, BetaVAE(3.0))
    )
    for name, weight in ours.items():
        # float32: a sum over latents of means instead of a mean of sums
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-5)


def test_learning_rate_decays_by_steps_or_fractions(config: TrialConfig, data: Data) -> None:
    by_steps = TrainConfig(steps=10, learning_rate=1.0, learning_rate_decay=0.3, decay_every=4)
    by_fractions = TrainConfig(
        steps=10, learning_rate=1.0, learning_rate_decay=0.3, decay_every=0.4
    )
    for train in (by_steps, by_fractions):
        rates = [train.learning_rate_at(step, 10) for step in range(10)]
        assert rates == pytest.approx([1.0] * 4 + [0.3] * 4 + [0.09] * 2)
    state = state_after(
        config, data, 9, BetaVAE(), learning_rate=1e-3, learning_rate_decay=0.3, decay_every=4
    )
    assert state.optimisers["vae"]["param_groups"][0]["lr"] == pytest.approx(0.09e-3)


def test_decay_that_could_never_act_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"decay_every must be a fraction .* for learning_rate_decay 0\.3 to act"
    ):
        TrainConfig(steps=10, learning_rate_decay=0.3)


def test_rivals_keep_their_own_optimiser(config: TrialConfig, data: Data) -> None:
    objective = FactorVAE(
        depth=1, width=9, discriminator_learning_rate=2e-5, discriminator_betas=(0.4, 0.8)
    )
    decaying = {"learning_rate_decay": 0.5, "decay_every": 2}
    state = state_after(config, data, 3, objective, optimiser="sgd", learning_rate=1e-4, **decaying)
    assert state.optimisers["vae"]["param_groups"][0]["lr"] == pytest.approx(0.5e-4)
    (group,) = state.optimisers["adversary"]["param_groups"]
    assert (group["lr"], group["betas"]) == (2e-5, (0.4, 0.8))


def test_controller_brings_the_kl_to_its_set_point(config: TrialConfig, data: Data) -> None:
    """K_i is larger for this short trial; without control (β = 1) the KL is far above."""
    train = TrainConfig(epochs=120, batch_size=16, learning_rate=3e-3)
    steered = ControlVAE(set_point=1.5, set_point_start=1.5, annealing=0, integral=0.05)
    free = ControlVAE(beta_min=1.0, beta_max=1.0)

    def last_terms(objective: ControlVAE) -> dict[str, float]:
        *_, report = vae_core.train(replace(config, objective=objective, train=train), data)
        return report.train

    controlled, uncontrolled = last_terms(steered), last_terms(free)
    assert abs(controlled["kl"] - 1.5) < 0.3
    assert controlled["beta"] > 1.5
    assert uncontrolled["kl"] > 2.5
    assert uncontrolled["beta"] == 1


def test_best_epoch_is_kept_apart_from_the_last(config: TrialConfig, data: Data) -> None:
    config = replace(
        config,
        train=TrainConfig(epochs=8, batch_size=16, learning_rate=2e-2),
        evaluation=EvaluationConfig(images=96, samples=16, final=("mig",), best="mig"),
    )
    reports = list(vae_core.train(config, data))
    migs = [report.metrics["mig"] for report in reports]
    final = reports[-1].final
    assert final is not None
    assert final.best["epoch"] == 1 + int(np.argmax(migs))
    assert final.best["mig"] == pytest.approx(max(migs))  # the subset is the whole set
    assert final.metrics["mig"] == pytest.approx(migs[-1])
    assert final.best["mig"] > final.metrics["mig"]  # else the test would show nothing


def test_metric_that_selects_is_scored_every_epoch(config: TrialConfig, data: Data) -> None:
    config = replace(config, evaluation=replace(config.evaluation, best="factor_vae"))
    reports = list(vae_core.train(config, data))
    assert all("factor_vae" in report.metrics for report in reports)
    final = reports[-1].final
    assert final is not None
    # although it is not in `evaluation.final`
    assert {"factor_vae", "factor_vae_chance"} <= final.metrics.keys() & final.best.keys()
    with pytest.raises(ValueError, match="unknown metric to select by 'gaussian_tc'"):
        EvaluationConfig(best="gaussian_tc")  # smallest where no latent codes anything


@pytest.mark.parametrize(
    ("last", "epochs"), [(1, {1}), (3, {1, 2, 3}), (30, {1, 5, 9, 13, 18, 22, 26, 30})]
)
def test_snapshots_are_few_and_spread(last: int, epochs: set[int]) -> None:
    assert snapshot_epochs(last) == epochs


@pytest.mark.parametrize("name", ["gaussian", "gaussian_learned"])
def test_gaussian_pixels_train_and_resume(config: TrialConfig, data: Data, name: Any) -> None:
    train = TrainConfig(epochs=12, batch_size=16, learning_rate=3e-3, likelihood=name, sigma=0.5)
    config = replace(config, objective=BetaVAE(1.0), train=train)
    uninterrupted = run(config, data)
    curve = [report.metrics["reconstruction"] for report, _ in uninterrupted]
    # nats: the mean square error falls by 10·2σ²/256 = .02 at σ = .5
    assert curve[-1] < curve[0] - 10
    state = checkpoint.loads(uninterrupted[-1][1]).state
    if name == "gaussian_learned":
        # towards the remaining mean square error, which 72 steps of about .003 do not reach
        assert state.weights["log_sigma"] < np.log(0.5) - 0.15
    else:
        assert "log_sigma" not in state.weights
    resumed = run(config, data, resume=checkpoint.loads(uninterrupted[5][1]).state)
    assert_same(checkpoint.loads(resumed[-1][1]).state, state)


@pytest.mark.gpu
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_gpu_trains_every_objective_as_the_cpu_does(
    config: TrialConfig, data: Data, name: str
) -> None:
    config = replace(
        config, objective=small(OBJECTIVES[name]), evaluation=replace(config.evaluation, best="mig")
    )
    cpu, gpu = (
        [report for report, _ in run(config, data, device=device)] for device in ("cpu", "cuda")
    )
    for on_cpu, on_gpu in zip(cpu, gpu, strict=True):
        for key in ("reconstruction", "kl", "elbo"):
            # float32 in another order, over 14 steps of Adam; where two categories cost the same,
            # the chosen code may differ
            assert on_gpu.metrics[key] == pytest.approx(on_cpu.metrics[key], rel=0.02, abs=0.05)
