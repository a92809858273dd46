"""What a user is told of a spec that is no mistake."""

import subprocess
import sys

import pytest
from mini_sweep import MINI, spec

from sweeps.cells.notes import spec_notes
from sweeps.spec.load import load_spec

TRAIN = {"epochs": 10, "batch_size": 32}  # 384 images: 120 steps
PLAIN = {"objectives": [{"name": "beta_vae"}], "train": TRAIN, "pruning": "none"}


def told(**changes):
    return spec_notes(spec(**{**PLAIN, **changes}))


def test_a_plain_spec_has_no_notes():
    assert told() == []
    assert spec_notes(spec()) == []


def test_batch_normalisation_is_told_once():
    data = {**MINI["data"], "resolution": 32}
    (note,) = told(data=data, network={"name": "trento", "latents": {"grid": [2, 3]}})
    assert note.startswith("network trento: with batch_norm, q(z|x) differs")
    assert told(data=data, network={"name": "trento", "batch_norm": False}) == []


@pytest.mark.parametrize(
    ("annealing", "expected"),
    [
        (0.2, []),
        (0.5, ["the rung at 0.4 does not judge it, as its schedules run until step 60 of 120"]),
        (
            1.0,
            [
                "no rung judges it, as its schedules run until step 120 of 120; its cells run to the end"
            ],
        ),
        (
            {"grid": [0.2, 0.5]},
            [
                "the rung at 0.4 does not judge it in some of its cells, as its schedules run until step 60 of 120"
            ],
        ),
        (
            5000,
            [
                "its schedules end at step 5000, after the trial's 120 steps: they do not end within the trial",
                "no rung judges it, as its schedules run until step 5000 of 120; its cells run to the end",
            ],
        ),
    ],
)
def test_rungs_that_a_schedule_takes_are_told(annealing, expected):
    objectives = [{"name": "beta_vae"}, {"name": "capacity_vae", "annealing": annealing}]
    found = told(objectives=objectives, pruning={"metric": "mig", "rungs": [0.4, 0.6]})
    assert found == [f"objectives[1] capacity_vae: {sentence}" for sentence in expected]


def test_a_stop_that_can_never_come_is_told():
    objectives = [{"name": "factor_bottleneck"}]  # its C grows until the end
    found = told(
        objectives=objectives, pruning={"metric": "mig", "rungs": [], "stop_collapsed": True}
    )
    assert found == [
        "objectives[0] factor_bottleneck: stop_collapsed never stops it, as no two epochs before the last come after "
        "its schedules"
    ]


def test_a_stop_that_can_come_is_not_told():
    assert (
        told(
            objectives=[{"name": "beta_tcvae", "warmup": 0.2}],
            pruning={"rungs": [], "stop_collapsed": True},
        )
        == []
    )


def test_a_decay_that_never_comes_is_told():
    train = {"epochs": 4, "batch_size": 32, "learning_rate_decay": 0.3}
    (note,) = told(train={**train, "decay_every": 50_000})
    assert note.startswith(
        "train.decay_every: the learning rate never decays, as a trial of 48 steps ends before 5"
    )
    assert told(train={**train, "decay_every": 0.5}) == []


def test_an_assignment_of_large_batches_is_told():
    train, objectives = (
        {"epochs": 20, "batch_size": 384},
        [{"name": "cascade_vae", "stage_length": 2}],
    )
    assert told(train=train, objectives=objectives) == []
    data = {"name": "dsprites", "resolution": 16}
    (note,) = told(train={"epochs": 2, "batch_size": 1024}, objectives=objectives, data=data)
    assert note.startswith(
        "objectives[0] cascade_vae: its assignment takes seconds a step at batch_size 1024"
    )


def test_a_choice_by_labels_is_told():
    (note,) = told(evaluation={"images": 64, "samples": 16, "best": "mig"})
    assert note.startswith(
        "evaluation.best: mig needs ground-truth factors, so best/* is of weights"
    )
    assert told(evaluation={"images": 64, "samples": 16, "best": "elbo"}) == []


def test_notes_need_no_ray_mlflow_or_optuna():
    code = "import sys, sweeps.cells.notes; print(sorted({'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_best_seed_that_no_ten_values_can_have_is_noted():
    """(10 − 1)/√10 = 2.85 sd at most, but .8825 is (.8825 − .8215)/.0088 = 6.9 above its mean, .9175 3.3."""
    found = [
        note for note in spec_notes(load_spec("snu-dsprites")) if "not of the same seeds" in note
    ]
    assert [note.partition(".values")[0] for note in found] == [
        "published[0].rows[3]",
        "published[0].rows[6]",
    ]
