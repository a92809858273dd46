"""What a sweep would do, found without starting it."""

import pytest
from mini_sweep import spec

from sweeps.cells.plan import plan_sweep
from sweeps.spec.load import load_spec
from vae_core.objectives import OBJECTIVES


def small(**changes):
    train = {"epochs": 10, "batch_size": 32}
    return spec(
        **{
            "train": train,
            "pruning": "none",
            "network": {"name": "mlp", "hidden": [8], "latents": 2},
            **changes,
        }
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objectives_speed_is_measured_on_noise(name):
    assert plan_sweep(small(objectives=[{"name": name}], seeds=3)).trials == 3


def test_rungs_that_do_not_judge_are_not_planned():
    objectives = [{"name": "beta_vae"}, {"name": "factor_bottleneck"}]
    made = plan_sweep(
        small(objectives=objectives, pruning={"metric": "mig", "rungs": [0.5]}, seeds=1)
    )
    assert made.rungs == {"beta_vae, 10 epochs": [5], "factor_bottleneck, 10 epochs": []}
    # 12 steps of 32 images an epoch: of beta_vae half of the cells train 10 epochs and half 5, of the other all 10.
    assert made.images_if_pruned == 12 * 32 * (7.5 + 10)
    assert made.notes == [
        "objectives[1] factor_bottleneck: no rung judges it, as its schedules run until step 120 of 120; "
        "its cells run to the end"
    ]


def test_a_correlated_sweep_is_planned_without_its_factors():
    """The probe trains on noise, which has none."""
    sweep = load_spec("correlated-factors", overrides=["train.correlation_width=0.2"])
    assert plan_sweep(sweep).trials == 12
