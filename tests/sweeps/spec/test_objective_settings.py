"""Entry settings: laid over the shared sections, checked, and visible in names and figures."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from mini_sweep import conductor, play, spec

from sweeps.cells import cell_grid
from sweeps.cells.names import bracket, entry_name
from sweeps.cells.notes import spec_notes
from sweeps.cells.plan import plan_sweep
from sweeps.report.figures.distribution import distribution_figure
from sweeps.results import cell_means, run_table
from sweeps.spec import objective_settings
from sweeps.spec.errors import SpecError
from sweeps.spec.field_docs import fields
from sweeps.spec.json_schema import json_schema
from sweeps.spec.load import load_spec, spec_from_mapping
from sweeps.spec.objective_settings import ENTRY_SECTIONS
from sweeps.spec.space import Grid
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import TrainConfig
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

TRAIN = {"epochs": 4, "batch_size": 32}
PIXELS_64 = {
    "name": "dsprites",
    "resolution": 64,
    "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
}


def sweep(*objectives: dict[str, Any], **changes: Any) -> SweepSpec:
    """Return a small spec whose objectives share 4 epochs and an MLP of 3 latents."""
    return spec(
        **{"objectives": list(objectives), "train": TRAIN, "pruning": "none", "seeds": 1, **changes}
    )


def problem_lines(*objectives: dict[str, Any], **changes: Any) -> list[str]:
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
def test_no_objective_has_a_field_with_the_name_of_an_entry_section(name: str) -> None:
    assert not {field.name for field in fields(OBJECTIVES[name])} & {"name", *ENTRY_SECTIONS}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_settings_of_every_objective_survive_a_round_trip(name: str) -> None:
    settings = {
        "network": {"latents": {"grid": [2, 5]}},
        "train": {"learning_rate": 0.5},
        "evaluation": {"final": ["dci"]},
    }
    made = sweep({"name": name, **settings})
    stored = json.loads(json.dumps(made.to_dict()))
    assert spec_from_mapping(stored) == made
    entry = stored["objectives"][0]
    assert {section: entry[section] for section in ENTRY_SECTIONS} == settings
    jsonschema.Draft202012Validator(json_schema()).validate(stored)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_entry_may_name_any_network(name: str) -> None:
    entry = {"name": "vae", "network": {"name": name}, "train": {"steps": 9}}
    made = sweep({"name": "vae"}, entry, data=PIXELS_64, network={"name": "mlp"})
    jsonschema.Draft202012Validator(json_schema()).validate(made.to_dict())
    assert configs(made)[1].network == NETWORKS[name]()


def test_entry_fields_are_laid_over_the_shared_ones() -> None:
    entry = {"name": "vae", "network": {"latents": 5}, "train": {"batch_size": 64}}
    first, second = configs(sweep(entry, {"name": "vae"}))
    assert (first.network.latents, first.network.hidden) == (5, (16,))
    assert first.train == TrainConfig(epochs=4, batch_size=64)
    assert (second.network.latents, second.train) == (3, TrainConfig(epochs=4, batch_size=32))


def test_repeating_the_shared_name_keeps_the_shared_network() -> None:
    (config,) = configs(sweep({"name": "vae", "network": {"name": "mlp", "latents": 5}}))
    assert config.network.hidden == (16,)


def test_another_name_replaces_the_shared_network() -> None:
    (config,) = configs(sweep({"name": "vae", "network": {"name": "burgess"}}, data=PIXELS_64))
    assert config.network == NETWORKS["burgess"]()  # 10 latents, not the shared 3


@pytest.mark.parametrize(
    ("shared", "entry", "length"),
    [
        ({"epochs": 4}, {"steps": 9}, {"steps": 9}),
        ({"steps": 9}, {"epochs": 2}, {"epochs": 2}),
        ({"epochs": 4}, {"epochs": 2}, {"epochs": 2}),
        ({"epochs": 4}, {"steps": None}, {"epochs": 4, "steps": None}),
    ],
)
def test_the_length_of_an_entry_replaces_the_shared_one(
    shared: Any, entry: Any, length: Any
) -> None:
    assert objective_settings.overlay("train", shared, entry) == length


def test_a_space_of_an_entry_replaces_the_shared_one() -> None:
    shared = {"name": "mlp", "hidden": [16], "latents": {"grid": [2, 3]}}
    made = sweep(
        {"name": "vae", "network": {"latents": {"grid": [4, 5, 6]}}},
        {"name": "beta_vae"},
        network=shared,
    )
    assert made.entry_settings[0]["network"]["latents"] == Grid((4, 5, 6))
    latents = [layout.fixed["network.latents"] for layout in cell_grid.all_layouts(made)]
    assert latents == [4, 5, 6, 2, 3]


def test_a_trial_has_one_hash_whether_its_settings_are_shared_or_of_the_entry() -> None:
    in_entry = sweep(
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
    assert configs(in_entry)[0].hash == configs(shared)[0].hash


def test_a_spec_without_entry_settings_is_stored_without_their_keys() -> None:
    assert sweep({"name": "beta_vae", "beta": 2}).to_dict()["objectives"] == [
        {"name": "beta_vae", "beta": 2.0}
    ]


def test_every_problem_of_an_entry_is_reported_at_once() -> None:
    entry = {
        "name": "beta_vae",
        "beta": -1,
        "network": {"latens": 2},
        "train": {"epochs": 0, "batch_size": 1},
    }
    lines = problem_lines({"name": "vae"}, {**entry, "evaluation": {"final": ["mgi"]}})
    starts = [
        "beta must",
        "network.latens:",
        "train.epochs must",
        "train.batch_size must",
        "evaluation.final[0]: unknown",
    ]
    assert len(lines) == 5
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(f"objectives[1].{start}")


def test_a_problem_of_a_shared_section_hides_none_of_an_entry() -> None:
    lines = problem_lines(
        {"name": "vae", "train": {"learning_rate": -1}, "network": {"latents": 0}},
        train={"epochs": 0},
        network={"name": "mlp", "latents": 0},
    )
    assert [line.partition(" ")[0] for line in lines] == [
        "network.latents",
        "train.epochs",
        "objectives[0].network.latents",
        "objectives[0].train.learning_rate",
    ]


def test_a_shared_value_that_no_entry_uses_is_no_problem() -> None:
    # 384 images: the shared batch is too large for an epoch, but no entry trains with it.
    small_batch = {"name": "vae", "train": {"batch_size": 32}}
    assert sweep(small_batch, train={"epochs": 4, "batch_size": 1000})


def test_a_shared_value_that_one_entry_uses_is_a_problem_of_the_shared_section() -> None:
    lines = problem_lines(
        {"name": "vae", "train": {"batch_size": 32}},
        {"name": "beta_vae"},
        train={"epochs": 4, "batch_size": 999},
    )
    assert lines == ["train.batch_size must be <= the 384 images of an epoch, got 999"]


def test_the_problem_of_a_rung_names_the_entry_that_gives_the_length() -> None:
    (line,) = problem_lines(
        {"name": "vae"}, {"name": "beta_vae", "train": {"epochs": 1}}, pruning={"rungs": [0.5]}
    )
    trial = "a trial of 1 epochs (objectives[1].train)"
    assert line.startswith(f"pruning.rungs: 0.5 of {trial} must come before the last epoch")


def test_only_entries_with_discrete_codes_may_have_a_final_metric_of_them() -> None:
    joint = {"name": "joint_vae", "evaluation": {"final": ["mig", "accuracy"]}}
    assert [config.evaluation.final for config in configs(sweep({"name": "vae"}, joint))] == [
        ("mig",),
        ("mig", "accuracy"),
    ]
    (line,) = problem_lines(
        {"name": "vae"}, {"name": "joint_vae"}, evaluation={"images": 64, "final": ["accuracy"]}
    )
    remedy = "leave it out, or give it to single entries that have them"
    example = "evaluation: {final: [accuracy]}"
    assert line.endswith(f"objectives[0] vae does not have; {remedy}, as in {example}")


def test_entries_that_differ_only_in_final_metrics_repeat_each_other() -> None:
    (line,) = problem_lines({"name": "vae"}, {"name": "vae", "evaluation": {"final": ["dci"]}})
    remedy = "leave it out, and list the final metrics of both in objectives[0]"
    assert line == f"objectives[1] repeats objectives[0]; {remedy}"


def test_entries_of_one_objective_are_named_by_their_differences() -> None:
    def names(*objectives: dict[str, Any]) -> list[str]:
        made = sweep(*objectives)
        return [entry_name(made, index) for index in range(len(objectives))]

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


def bracket_names(made: SweepSpec) -> list[str]:
    """Return the bracket name of every layout."""
    layouts = cell_grid.all_layouts(made)
    return [bracket(made, layout, layout.fixed).name for layout in layouts]


def test_a_bracket_name_has_the_effective_values_and_each_once() -> None:
    entries = [{"name": "beta_vae", "beta": 10, "network": {"latents": 5}}, {"name": "beta_vae"}]
    by_strength = bracket_names(sweep(*entries))
    assert by_strength == ["beta_vae(latents 5) beta=10", "beta_vae(latents 3) beta=4"]
    by_latents_too = bracket_names(sweep(*entries, tradeoff={"by": ["beta", "latents"]}))
    assert by_latents_too == ["beta_vae beta=10 latents=5", "beta_vae beta=4 latents=3"]


def test_two_entries_are_two_points_and_two_lines_of_a_report(tmp_path: Any) -> None:
    made = sweep({"name": "beta_vae", "network": {"latents": 5}}, {"name": "beta_vae"}, seeds=2)
    driver = conductor(made, tmp_path)
    play(driver, lambda trial, epoch: float(trial.config["network"]["latents"]))
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


def test_a_stored_spec_without_entry_settings_reads_back_equal(tmp_path: Any) -> None:
    made = sweep({"name": "beta_vae", "beta": {"grid": [1, 4]}})
    conductor(made, tmp_path)
    stored = run_table.load_runs(tmp_path, "mini").spec
    assert "network" not in stored["objectives"][0]
    assert spec_from_mapping(stored) == made


def test_a_note_names_the_entry_that_gives_the_settings() -> None:
    decay = {"learning_rate_decay": 0.3, "decay_every": 50_000}
    notes = spec_notes(sweep({"name": "vae"}, {"name": "beta_vae", "train": decay}))
    assert notes == [
        "objectives[1].train.decay_every: the learning rate never decays, "
        "because decay_every is 50000 and a trial has only 48 steps"
    ]


def test_a_plan_uses_the_length_of_each_entry() -> None:
    half = {"steps": 12, "images_per_epoch": 192}
    made = plan_sweep(
        sweep({"name": "vae", "train": {"epochs": 3}}, {"name": "beta_vae", "train": half})
    )
    # First entry: three epochs of 12 steps of 32 images. Second: two epochs of 6 steps.
    assert (made.epochs_per_trial, made.images_per_epoch) == ([2, 3], [192, 384])
    assert made.images == (3 + 1) * 12 * 32


def test_the_table_of_jeong_and_song_has_its_latents_strengths_and_rates() -> None:
    table = load_spec("snu-dsprites")
    made = configs(table)
    # Latents and strength: the table of arXiv:1905.09432. FactorVAE's gamma is Kim and Mnih's,
    # JointVAE's is Dupont's.
    assert bracket_names(table) == [
        *("beta_vae(latents 5) beta=10", "beta_vae(latents 10) beta=4"),
        *("factor_vae(latents 5) gamma=35", "factor_vae(latents 10) gamma=35"),
        *("cascade_vae_c(latents 5) beta_l=0.7", "cascade_vae_c(latents 10) beta_l=1"),
        *("joint_vae(latents 6) gamma_z=150", "joint_vae(latents 4) gamma_z=150"),
        *("cascade_vae(latents 6) beta_l=1", "cascade_vae(latents 4) beta_l=2"),
    ]
    rates = [config.train.learning_rate for config in made]
    assert rates == [1e-4] * 6 + [5e-4] * 2 + [1e-4] * 2
    for config in made:
        assert config.train.total_steps(737_280) == 300_000
        assert config.train.total_epochs(737_280) == 30
    with_accuracy = ["accuracy" in config.evaluation.final for config in made]
    assert with_accuracy == [False] * 6 + [True] * 4
