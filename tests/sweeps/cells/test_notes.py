"""The notes on a spec: what is no problem, but worth knowing."""

import subprocess
import sys

import pytest
from mini_sweep import MINI, spec

from sweeps.cells.notes import spec_notes
from sweeps.spec.load import load_spec

TRAIN = {"epochs": 10, "batch_size": 32}  # 384 images: 120 steps
WITHOUT_NOTES = {"objectives": [{"name": "beta_vae"}], "train": TRAIN, "pruning": "none"}


def notes(**changes):
    return spec_notes(spec(**{**WITHOUT_NOTES, **changes}))


def test_a_simple_spec_has_no_notes():
    assert notes() == []
    assert spec_notes(spec()) == []


def test_batch_normalisation_is_noted_once():
    data = {**MINI["data"], "resolution": 32}
    (note,) = notes(data=data, network={"name": "trento", "latents": {"grid": [2, 3]}})
    assert note.startswith("network trento: with batch_norm, q(z|x) differs")
    assert notes(data=data, network={"name": "trento", "batch_norm": False}) == []


@pytest.mark.parametrize(
    ("annealing", "expected"),
    [
        (0.2, []),
        (0.5, ["the rung at 0.4 is skipped, because its schedules run until step 60 of 120"]),
        (
            1.0,
            [
                "every rung is skipped, because its schedules run until step 120 of 120; "
                "all its cells train to the end"
            ],
        ),
        (
            {"grid": [0.2, 0.5]},
            [
                "the rung at 0.4 is skipped in some of its cells, "
                "because its schedules run until step 60 of 120"
            ],
        ),
        (
            5000,
            [
                "its schedules do not end: they run until step 5000, and a trial has 120 steps",
                "every rung is skipped, because its schedules run until step 5000 of 120; "
                "all its cells train to the end",
            ],
        ),
    ],
)
def test_rungs_before_the_end_of_a_schedule_are_noted(annealing, expected):
    objectives = [{"name": "beta_vae"}, {"name": "capacity_vae", "annealing": annealing}]
    pruning = {"metric": "mig", "rungs": [0.4, 0.6]}
    sentences = notes(objectives=objectives, pruning=pruning)
    assert sentences == [f"objectives[1] capacity_vae: {sentence}" for sentence in expected]


def test_a_stop_that_never_applies_is_noted():
    objectives = [{"name": "factor_bottleneck"}]  # its C grows until the end
    pruning = {"metric": "mig", "rungs": [], "stop_collapsed": True}
    assert notes(objectives=objectives, pruning=pruning) == [
        "objectives[0] factor_bottleneck: stop_collapsed never stops it, because fewer than two "
        "epochs end between the end of its schedules and the last epoch"
    ]


def test_a_stop_that_can_apply_is_not_noted():
    objectives = [{"name": "beta_tcvae", "warmup": 0.2}]
    assert notes(objectives=objectives, pruning={"rungs": [], "stop_collapsed": True}) == []


def test_a_decay_after_the_end_is_noted():
    train = {"epochs": 4, "batch_size": 32, "learning_rate_decay": 0.3}
    (note,) = notes(train={**train, "decay_every": 50_000})
    assert note == (
        "train.decay_every: the learning rate never decays, "
        "because decay_every is 50000 and a trial has only 48 steps"
    )
    assert notes(train={**train, "decay_every": 0.5}) == []


def test_an_assignment_of_large_batches_is_noted():
    objectives = [{"name": "cascade_vae", "stage_length": 2}]
    assert notes(train={"epochs": 20, "batch_size": 384}, objectives=objectives) == []
    data = {"name": "dsprites", "resolution": 16}
    (note,) = notes(train={"epochs": 2, "batch_size": 1024}, objectives=objectives, data=data)
    assert note.startswith(
        "objectives[0] cascade_vae: its assignment takes seconds per step at batch_size 1024"
    )
    assert note.endswith("use batch_size <= 512")


def test_a_selection_by_labels_is_noted():
    (note,) = notes(evaluation={"images": 64, "samples": 16, "best": "mig"})
    assert note.startswith(
        "evaluation.best: mig needs ground-truth factors, so best/* comes from weights"
    )
    assert notes(evaluation={"images": 64, "samples": 16, "best": "elbo"}) == []


def test_notes_import_neither_ray_mlflow_nor_optuna():
    code = (
        "import sys, sweeps.cells.notes;"
        "print(sorted({'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_best_seed_too_far_from_the_mean_of_ten_is_noted():
    """Check (10 − 1)/√10 = 2.85 sd, the largest possible distance of one of ten from their mean.

    .8825 is (.8825 − .8215)/.0088 = 6.9 sd above its mean, .9175 is 3.3 sd above.
    """
    impossible = [note for note in spec_notes(load_spec("snu-dsprites")) if "impossible" in note]
    assert [note.partition(".values")[0] for note in impossible] == [
        "published[0].rows[3]",
        "published[0].rows[6]",
    ]
