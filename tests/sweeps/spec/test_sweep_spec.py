"""Specs load, with their defaults and overrides, survive a round trip and satisfy the schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from small_spec import BAD, small, stored_and_read

from sweeps.cells import cell_grid
from sweeps.spec import field_docs, load, yaml_reader
from sweeps.spec.json_schema import json_schema
from sweeps.spec.space import Grid
from vae_core.objectives import OBJECTIVES


@pytest.mark.parametrize("name", load.bundled_specs())
def test_a_bundled_spec_loads_under_its_file_name_and_survives_a_round_trip(name: str) -> None:
    loaded = load.load_spec(name, files=False)
    assert loaded.name == name
    assert load.spec_from_mapping(json.loads(json.dumps(loaded.to_dict())), files=False) == loaded


def test_numbers_take_the_type_of_their_field() -> None:
    # The hash of a trial is over the JSON of its configuration, where 1 and 1.0 differ.
    of_int = load.spec_from_mapping(small(objectives=[{"name": "beta_vae", "beta": 4}]))
    of_float = load.spec_from_mapping(small(objectives=[{"name": "beta_vae", "beta": 4.0}]))
    assert json.dumps(of_int.to_dict()) == json.dumps(of_float.to_dict())
    assert load.spec_from_mapping(small()).objectives[0]["beta"] == Grid((1.0, 4.0))


def test_a_section_that_is_left_out_has_a_default() -> None:
    loaded = load.spec_from_mapping(small())
    assert loaded.seeds == (0,)
    assert (loaded.search.name, loaded.pruning, loaded.tradeoff.by) == ("grid", None, None)
    assert [(goal.metric, goal.mode) for goal in loaded.goal] == [("mig", "max")]
    assert (loaded.resources.trial_timeout, loaded.resources.retries) == (7200.0, 3)


def test_pruning_follows_the_first_goal_unless_it_names_a_metric() -> None:
    goals = [{"metric": "tc"}, {"metric": "mig"}]
    followed = load.spec_from_mapping(small(goal=goals, pruning={"rungs": [0.5]})).pruning
    named = load.spec_from_mapping(
        small(goal=goals, pruning={"metric": "elbo", "rungs": [0.5]})
    ).pruning
    assert followed is not None
    assert named is not None
    assert (followed.metric, followed.mode) == ("tc", "min")
    assert (named.metric, named.mode) == ("elbo", "max")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2h", 7200.0), ("90m", 5400.0), ("30s", 30.0), (45, 45.0), ("1.5h", 5400.0), (None, None)],
)
def test_a_timeout_is_a_duration(written: Any, seconds: float | None) -> None:
    assert (
        load.spec_from_mapping(small(resources={"trial_timeout": written})).resources.trial_timeout
        == seconds
    )


def test_pruning_by_collapse_alone_needs_no_rung() -> None:
    loaded = load.spec_from_mapping(small(pruning={"rungs": [], "stop_collapsed": True}))
    assert loaded.pruning is not None
    assert (loaded.pruning.rungs, loaded.pruning.stop_collapsed) == ((), True)
    assert load.spec_from_mapping(loaded.to_dict()) == loaded


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_with_defaults_written_out_is_the_same_trial(name: str) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    defaults = field_docs.fields(OBJECTIVES[name])
    written_out = {"name": name} | {field.name: field.default for field in defaults}
    short = load.spec_from_mapping(small(objectives=[{"name": name}]))
    long = load.spec_from_mapping(small(objectives=[written_out]))
    for loaded in (short, long):
        assert stored_and_read(loaded) == loaded
        validator.validate(loaded.to_dict())
    hashes = [
        cell_grid.trial_config(loaded, cell_grid.all_layouts(loaded)[0], {}, 0, "f" * 64).hash
        for loaded in (short, long)
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_field_of_an_objective_can_be_laid_out(name: str) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for field in field_docs.fields(OBJECTIVES[name]):
        mapping = small(objectives=[{"name": name, field.name: {"grid": [field.default]}}])
        loaded = load.spec_from_mapping(mapping)
        validator.validate(mapping)
        validator.validate(loaded.to_dict())
        assert stored_and_read(loaded) == loaded


def test_all_images_of_an_epoch_may_be_written_as_a_word() -> None:
    loaded = load.spec_from_mapping(small(train={"epochs": 1, "images_per_epoch": "all"}))
    assert loaded.train["images_per_epoch"] is None


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=3", ("train", "epochs"), 3),
        ("train.learning_rate=1e-2", ("train", "learning_rate"), 0.01),
        ("objectives.0.beta=2", ("objectives", 0, "beta"), 2.0),
        (
            "objectives[0].beta={loguniform: [1, 2]}",
            ("objectives", 0, "beta"),
            {"loguniform": [1.0, 2.0]},
        ),
        (
            "objectives.*.beta={loguniform: [2, 3]}",
            ("objectives", 0, "beta"),
            {"loguniform": [2.0, 3.0]},
        ),
        ("budget.hours=2", ("budget", "hours"), 2.0),
        ("seeds=[3, 5]", ("seeds",), [3, 5]),
        ("pruning=none", ("pruning",), None),
        ("data.stride.scale=6", ("data", "stride", "scale"), 6),
        ("objectives[0].network.latents=5", ("objectives", 0, "network", "latents"), 5),
        ("objectives.*.train.epochs=9", ("objectives", 0, "train", "epochs"), 9),
    ],
)
def test_an_override_sets_one_value(override: str, path: tuple[str | int, ...], value: Any) -> None:
    unsearched = ["search={name: random, trials: 1}", "train.batch_size={choice: [16, 32]}"]
    loaded: Any = load.load_spec("smoke", overrides=[*unsearched, override]).to_dict()
    for part in path:
        loaded = loaded[part]
    assert loaded == value


def test_the_schema_accepts_the_bundled_specs_as_written_and_as_stored() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    for name, file in load.bundled_specs().items():
        validator.validate(yaml_reader.read(file).mapping)
        validator.validate(load.load_spec(name, files=False).to_dict())


VISIBLE_IN_AN_EDITOR = [
    "unknown_key",
    "unknown_field",
    "misspelt_objective",
    "negative_beta",
    "negative_beta_in_grid",
    "empty_range",
    "too_much_gpu",
    "wrong_type",
    "doubled_seed",
    "unknown_data_set",
    "unknown_metric",
    "unknown_best",
    "entry_field",
    "entry_grid",
    "entry_images",
    "entry_kind",
    "entry_learning_rate",
    "entry_network",
    "entry_section",
    "entry_space",
]


@pytest.mark.parametrize("name", VISIBLE_IN_AN_EDITOR)
def test_the_schema_refuses_the_problems_that_an_editor_can_show(name: str) -> None:
    mapping = yaml_reader.read(BAD / f"{name}.yaml").mapping
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(mapping)
