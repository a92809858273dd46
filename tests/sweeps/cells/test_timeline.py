"""Where the schedules of a trial end, and which rungs come after them."""

import pytest
from mini_sweep import N_DATA, spec

from sweeps.cells import cell_grid, timeline
from sweeps.cells.timeline import Timeline
from vae_core.objectives import CapacityVAE
from vae_core.trial_length import TrialLength


def test_the_last_epoch_may_be_shorter():
    trial_timeline = Timeline(TrialLength(25, 12), settled=24)
    assert trial_timeline.epochs == 3
    assert [trial_timeline.length.steps_after(epoch) for epoch in (1, 2, 3)] == [12, 24, 25]
    assert [trial_timeline.is_settled(epoch) for epoch in (1, 2, 3)] == [False, True, True]


def test_a_stored_config_has_the_timeline_of_its_trial():
    sweep = spec(
        train={"steps": 30, "batch_size": 32},
        objectives=[{"name": "capacity_vae", "annealing": 0.8}],
    )
    layout = cell_grid.all_layouts(sweep)[0]
    config = cell_grid.trial_config(sweep, layout, layout.fixed, 0, "f" * 64)
    trial_timeline = timeline.on_data(config.to_dict(), N_DATA)
    assert trial_timeline == ((30, 12), 24)  # 384 images in batches of 32; 0.8 of 30 steps
    assert trial_timeline.epochs == config.train.total_epochs(N_DATA)
    assert timeline.of_config(config.to_dict(), 12) == trial_timeline


def test_latents_that_open_late_settle_late():
    # Six latents, one more open every 10 % of 120 steps: the last opens at step 60, and its stage
    # ends at step 72.
    sweep = spec(
        train={"epochs": 10, "batch_size": 32},
        network={"name": "mlp", "latents": 6},
        objectives=[{"name": "cascade_vae_c", "stage_length": 0.1}],
    )
    layout = cell_grid.all_layouts(sweep)[0]
    config = cell_grid.trial_config(sweep, layout, layout.fixed, 0, "f" * 64)
    trial_timeline = timeline.on_data(config.to_dict(), N_DATA)
    assert trial_timeline.settled == 72
    assert timeline.settled_rungs((0.3, 0.5, 0.6), trial_timeline) == {2: 6}


@pytest.mark.parametrize(("step", "nats"), [(0, 0.0), (1, 0.0), (11, 5.0), (21, 10.0), (40, 10.0)])
def test_the_capacity_of_an_epoch_is_that_of_its_last_step(step, nats):
    # C grows from 0 to 10 nats over 20 of 40 steps; n - 1 steps are done when step n is taken.
    objective = CapacityVAE(c_max=10.0, annealing=20)
    assert timeline.capacity_at(
        objective, Timeline(TrialLength(40, 10), 20), step
    ) == pytest.approx(nats)
