"""What a sweep will do, computed before it runs."""

import pytest
from mini_sweep import spec

from sweeps.cells.plan import plan_sweep
from sweeps.spec.load import load_spec
from vae_core.objectives import OBJECTIVES


def small(**changes):
    base = {
        "train": {"epochs": 10, "batch_size": 32},
        "pruning": "none",
        "network": {"name": "mlp", "hidden": [8], "latents": 2},
    }
    return spec(**{**base, **changes})


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objectives_speed_is_measured_on_noise(name):
    assert plan_sweep(small(objectives=[{"name": name}], seeds=3)).trials == 3


def test_skipped_rungs_are_not_planned():
    objectives = [{"name": "beta_vae"}, {"name": "factor_bottleneck"}]
    pruning = {"metric": "mig", "rungs": [0.5]}
    plan = plan_sweep(small(objectives=objectives, pruning=pruning, seeds=1))
    assert plan.rungs == {"beta_vae, 10 epochs": [5], "factor_bottleneck, 10 epochs": []}
    # 12 steps of 32 images an epoch: of beta_vae half of the cells train 10 epochs and half 5, of
    # the other all 10.
    assert plan.images_if_pruned == 12 * 32 * (7.5 + 10)
    assert plan.notes == [
        "objectives[1] factor_bottleneck: every rung is skipped, because its schedules run until "
        "step 120 of 120; all its cells train to the end"
    ]


def test_a_correlated_sweep_is_planned_on_noise_without_factors():
    sweep = load_spec("correlated-factors", overrides=["train.correlation_width=0.2"])
    assert plan_sweep(sweep).trials == 12
