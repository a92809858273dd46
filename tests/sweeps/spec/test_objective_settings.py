"""Settings of an objective's own: laid over the shared sections, checked there, told apart everywhere."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from mini_sweep import conductor, play, spec

from sweeps.cells import cell_grid
from sweeps.cells.names import bracket_name, entry_name
from sweeps.cells.notes import spec_notes
from sweeps.cells.plan import plan_sweep
from sweeps.report.figures.distribution import distribution_figure
from sweeps.results import cell_means, run_table
from sweeps.spec import objective_settings
from sweeps.spec.errors import SpecError
from sweeps.spec.field_docs import fields
from sweeps.spec.json_schema import json_schema
from sweeps.spec.load import load_spec
from sweeps.spec.objective_settings import OWN
from sweeps.spec.space import Grid
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

TRAIN = {"epochs": 4, "batch_size": 32}


def sweep(*objectives: dict[str, Any], **changes: Any) -> SweepSpec:
    """Return a small spec whose objectives share 4 epochs and an MLP of 3 latents."""
    return spec(
        **{"objectives": list(objectives), "train": TRAIN, "pruning": "none", "seeds": 1, **changes}
    )


def mistakes(*objectives: dict[str, Any], **changes: Any) -> list[str]:
    """Return the lines of the SpecError that a small spec raises."""
    with pytest.raises(SpecError) as raised:
        sweep(*objectives, **changes)
    return str(raised.value).splitlines()


def configs(made: SweepSpec) -> list[Any]:
    """Return the config of every trial of a spec without a search."""
    return [
        cell_grid.trial_config(made, layout, layout.fixed, made.seeds[0], "f" * 64)
        for layout in cell_grid.all_layouts(made)
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_objective_has_a_field_that_an_own_section_would_hide(name: str) -> None:
    assert not {field.name for field in fields(OBJECTIVES[name])} & {"name", *OWN}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_may_carry_settings_that_survive_a_round_trip(name: str) -> None:
    own = {
        "network": {"latents": {"grid": [2, 5]}},
        "train": {"learning_rate": 0.5},
        "evaluation": {"final": ["dci"]},
    }
    made = sweep({"name": name, **own})
    stored = json.loads(json.dumps(made.to_dict()))
    assert SweepSpec.from_dict(stored) == made
    assert {section: stored["objectives"][0][section] for section in OWN} == own
    jsonschema.Draft202012Validator(json_schema()).validate(stored)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_may_be_an_objectives_own(name: str) -> None:
    data = {
        "name": "dsprites",
        "resolution": 64,
        "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
    }
    own = {"name": "vae", "network": {"name": name}, "train": {"steps": 9}}
    made = sweep({"name": "vae"}, own, data=data, network={"name": "mlp"})
    jsonschema.Draft202012Validator(json_schema()).validate(made.to_dict())
    assert configs(made)[1].network == NETWORKS[name]()


def test_own_fields_are_laid_over_the_shared_ones() -> None:
    first, second = configs(
        sweep(
            {"name": "vae", "network": {"latents": 5}, "train": {"batch_size": 64}}, {"name": "vae"}
        )
    )
    assert (first.network.latents, first.network.hidden, first.train) == (
        5,
        (16,),
        TrainConfig(epochs=4, batch_size=64),
    )
    assert (second.network.latents, second.train) == (3, TrainConfig(epochs=4, batch_size=32))


def test_the_shared_name_said_again_changes_nothing_and_another_replaces_the_network() -> None:
    network = {"name": "mlp", "latents": 5}
    assert configs(sweep({"name": "vae", "network": network}))[0].network.hidden == (16,)
    data = {
        "name": "dsprites",
        "resolution": 64,
        "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
    }
    other = configs(sweep({"name": "vae", "network": {"name": "burgess"}}, data=data))[0].network
    assert other == NETWORKS["burgess"]()  # its own 10 latents, not the shared 3


@pytest.mark.parametrize(
    ("shared", "own", "length"),
    [
        ({"epochs": 4}, {"steps": 9}, {"steps": 9}),
        ({"steps": 9}, {"epochs": 2}, {"epochs": 2}),
        ({"epochs": 4}, {"epochs": 2}, {"epochs": 2}),
        ({"epochs": 4}, {"steps": None}, {"epochs": 4, "steps": None}),
    ],
)
def test_an_own_length_takes_the_place_of_the_shared_one(
    shared: Any, own: Any, length: Any
) -> None:
    assert objective_settings.train(shared, own) == length


def test_own_spaces_are_laid_out_in_the_place_of_the_shared_ones() -> None:
    shared = {"name": "mlp", "hidden": [16], "latents": {"grid": [2, 3]}}
    made = sweep(
        {"name": "vae", "network": {"latents": {"grid": [4, 5, 6]}}},
        {"name": "beta_vae"},
        network=shared,
    )
    assert made.own[0]["network"]["latents"] == Grid((4, 5, 6))
    assert [layout.fixed["network.latents"] for layout in cell_grid.all_layouts(made)] == [
        4,
        5,
        6,
        2,
        3,
    ]


def test_a_trial_is_the_same_wherever_its_settings_stand() -> None:
    own = sweep(
        {
            "name": "vae",
            "network": {"latents": 5},
            "train": {"steps": 9},
            "evaluation": {"final": ["sap"]},
        }
    )
    evaluation = {"images": 64, "samples": 16, "final": ["sap"]}
    shared = sweep(
        {"name": "vae"},
        network={"name": "mlp", "hidden": [16], "latents": 5},
        evaluation=evaluation,
        train={"steps": 9, "batch_size": 32},
    )
    assert configs(own)[0].hash == configs(shared)[0].hash


def test_a_spec_without_own_settings_is_stored_as_before_there_were_any() -> None:
    assert sweep({"name": "beta_vae", "beta": 2}).to_dict()["objectives"] == [
        {"name": "beta_vae", "beta": 2.0}
    ]


def test_every_mistake_of_an_entry_is_told_at_once() -> None:
    entry = {
        "name": "beta_vae",
        "beta": -1,
        "network": {"latens": 2},
        "train": {"epochs": 0, "batch_size": 1},
    }
    told = mistakes({"name": "vae"}, {**entry, "evaluation": {"final": ["mgi"]}})
    starts = [
        "beta must",
        "network.latens:",
        "train.epochs must",
        "train.batch_size must",
        "evaluation.final[0]: unknown",
    ]
    assert len(told) == 5
    assert all(
        line.startswith(f"objectives[1].{start}") for line, start in zip(told, starts, strict=True)
    )


def test_a_mistake_of_the_shared_section_hides_none_of_an_entrys_own() -> None:
    told = mistakes(
        {"name": "vae", "train": {"learning_rate": -1}, "network": {"latents": 0}},
        train={"epochs": 0},
        network={"name": "mlp", "latents": 0},
    )
    assert [line.partition(" ")[0] for line in told] == [
        *(
            "network.latents",
            "train.epochs",
            "objectives[0].network.latents",
            "objectives[0].train.learning_rate",
        ),
    ]


def test_what_one_objective_brings_is_no_mistake_of_the_shared_section() -> None:
    # 384 images: the shared batch is too large for an epoch, but no objective trains with it.
    assert sweep(
        {"name": "vae", "train": {"batch_size": 32}}, train={"epochs": 4, "batch_size": 1000}
    )
    told = mistakes(
        {"name": "vae", "train": {"batch_size": 32}},
        {"name": "beta_vae"},
        train={"epochs": 4, "batch_size": 999},
    )
    assert told == ["train.batch_size must be <= the 384 images of an epoch, got 999"]


def test_a_rung_that_an_own_length_does_not_have_is_told_with_whose() -> None:
    (told,) = mistakes(
        {"name": "vae"}, {"name": "beta_vae", "train": {"epochs": 1}}, pruning={"rungs": [0.5]}
    )
    assert told.startswith(
        "pruning.rungs: 0.5 of a trial of 1 epochs (objectives[1].train) must be an epoch of its own"
    )


def test_a_final_metric_of_discrete_codes_may_be_of_those_alone_that_have_them() -> None:
    joint = {"name": "joint_vae", "evaluation": {"final": ["mig", "accuracy"]}}
    assert [config.evaluation.final for config in configs(sweep({"name": "vae"}, joint))] == [
        ("mig",),
        ("mig", "accuracy"),
    ]
    (told,) = mistakes(
        {"name": "vae"}, {"name": "joint_vae"}, evaluation={"images": 64, "final": ["accuracy"]}
    )
    assert told.endswith(
        "objectives[0] vae has not; leave it out, and give evaluation: {final: […]} to the objectives that have"
    )


def test_objectives_that_differ_in_what_is_scored_alone_repeat_each_other() -> None:
    (told,) = mistakes({"name": "vae"}, {"name": "vae", "evaluation": {"final": ["dci"]}})
    assert (
        told
        == "objectives[1] repeats objectives[0]; leave it out, and give the metrics of both to one"
    )


def test_entries_of_one_name_are_called_by_what_tells_them_apart() -> None:
    def names(*objectives: dict[str, Any]) -> list[str]:
        made = sweep(*objectives)
        return [entry_name(made, at) for at in range(len(objectives))]

    wide = {"name": "beta_vae", "network": {"latents": 5}}
    assert names(wide, {"name": "beta_vae"}) == ["beta_vae(latents 5)", "beta_vae(latents 3)"]
    assert names({**wide, "beta": 9}, {"name": "beta_vae"}) == [
        "beta_vae(latents 5, beta 9)",
        "beta_vae(latents 3, beta 4)",
    ]
    assert names({"name": "vae", "train": {"optimiser": "sgd"}}, {"name": "vae"}) == [
        "vae(sgd)",
        "vae(adam)",
    ]
    assert names({"name": "vae", "train": {"steps": 9}}, {"name": "vae"}) == [
        "vae(steps 9)",
        "vae(epochs 4)",
    ]
    laid_out = {"name": "vae", "network": {"latents": {"grid": [4, 5]}}}
    assert names(laid_out, {"name": "vae"}) == ["vae#0", "vae#1"]


def test_brackets_have_the_effective_values_and_say_them_once() -> None:
    entries = [{"name": "beta_vae", "beta": 10, "network": {"latents": 5}}, {"name": "beta_vae"}]
    plain, by = sweep(*entries), sweep(*entries, tradeoff={"by": ["beta", "latents"]})
    found = [
        [bracket_name(made, layout, layout.fixed) for layout in cell_grid.all_layouts(made)]
        for made in (plain, by)
    ]
    assert found[0] == ["beta_vae(latents 5) beta=10", "beta_vae(latents 3) beta=4"]
    assert found[1] == ["beta_vae beta=10 latents=5", "beta_vae beta=4 latents=3"]


def test_two_entries_are_two_points_and_two_lines_of_a_report(tmp_path: Any) -> None:
    made = sweep({"name": "beta_vae", "network": {"latents": 5}}, {"name": "beta_vae"}, seeds=2)
    live = conductor(made, tmp_path)
    play(live, lambda trial, epoch: float(trial.config["network"]["latents"]))
    loaded = run_table.load_runs(tmp_path, "mini")
    points = cell_means.brackets(loaded, ["mig"])
    # The faked MIG is the number of latents: averaged into one point it would be 4.
    assert dict(zip(points["series"], points["mig"], strict=True)) == {
        "beta_vae(latents 5)": 5,
        "beta_vae(latents 3)": 3,
    }
    assert list(points["n"]) == [2, 2]
    rows = distribution_figure(loaded).axes[0].get_yticklabels()
    assert [row.get_text() for row in rows] == [
        "beta_vae(latents 5)\nn = 2",
        "beta_vae(latents 3)\nn = 2",
    ]


def test_a_sweep_that_was_begun_before_goes_on(tmp_path: Any) -> None:
    made = sweep({"name": "beta_vae", "beta": {"grid": [1, 4]}})
    conductor(made, tmp_path)
    stored = run_table.load_runs(tmp_path, "mini").spec
    assert "network" not in stored["objectives"][0]
    assert SweepSpec.from_dict(stored) == made


def test_notes_are_of_what_each_objective_has() -> None:
    decay = {"learning_rate_decay": 0.3, "decay_every": 50_000}
    told = spec_notes(sweep({"name": "vae"}, {"name": "beta_vae", "train": decay}))
    assert told == [
        "objectives[1].train.decay_every: the learning rate never decays, "
        "because decay_every is 50000 and a trial has only 48 steps"
    ]


def test_a_plan_counts_each_objectives_own_length() -> None:
    half = {"steps": 12, "images_per_epoch": 192}
    made = plan_sweep(
        sweep({"name": "vae", "train": {"epochs": 3}}, {"name": "beta_vae", "train": half})
    )
    # 12 steps of 32 images an epoch, three epochs of one; two epochs of 6 steps of the other.
    assert (made.epochs_per_trial, made.images_per_epoch) == ([2, 3], [192, 384])
    assert made.images == (3 + 1) * 12 * 32


def test_the_table_of_jeong_and_song_has_its_latents_strengths_and_rates() -> None:
    table = load_spec("snu-dsprites")
    made = configs(table)
    # Latents and strength: the table of arXiv:1905.09432; FactorVAE's gamma is Kim and Mnih's, JointVAE's is Dupont's.
    assert [
        bracket_name(table, layout, layout.fixed) for layout in cell_grid.all_layouts(table)
    ] == [
        *("beta_vae(latents 5) beta=10", "beta_vae(latents 10) beta=4"),
        *("factor_vae(latents 5) gamma=35", "factor_vae(latents 10) gamma=35"),
        *("cascade_vae_c(latents 5) beta_l=0.7", "cascade_vae_c(latents 10) beta_l=1"),
        *("joint_vae(latents 6) gamma_z=150", "joint_vae(latents 4) gamma_z=150"),
        *("cascade_vae(latents 6) beta_l=1", "cascade_vae(latents 4) beta_l=2"),
    ]
    rates = [one.train.learning_rate for one in made]
    assert rates == [1e-4] * 6 + [5e-4] * 2 + [1e-4] * 2
    assert {(one.train.total_steps(737_280), one.train.total_epochs(737_280)) for one in made} == {
        (300_000, 30)
    }
    assert [("accuracy" in one.evaluation.final) for one in made] == [False] * 6 + [True] * 4
