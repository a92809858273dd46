"""A bad spec raises every problem at once, with line, rule, value and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from small_spec import BAD, problem_lines, remove_factors, small

from sweeps.spec import load
from sweeps.spec.errors import Locations, Problem, Problems
from sweeps.spec.space import LogUniform

# Name of a file in `bad_specs`, the line of its problem, the start of the message.
PROBLEMS = [
    ("unknown_key", 12, "unknown key 'evalution'; did you mean 'evaluation'?"),
    ("unknown_field", 6, "train.batchsize: train has no such field; did you mean 'batch_size'?"),
    (
        "misspelt_objective",
        9,
        "objectives[1].name: unknown objective 'beta_tcvea'; did you mean 'beta_tcvae'?",
    ),
    ("negative_beta", 10, "objectives[1].beta must be >= 0, got -1"),
    ("negative_beta_in_grid", 8, "objectives[0].beta.grid[1] must be >= 0, got -4"),
    ("empty_range", 8, "objectives[0].beta: grid must hold at least one value, got an empty list"),
    ("reversed_range", 8, "objectives[0].beta: uniform must have low < high, got low=4 and high=1"),
    ("too_much_gpu", 13, "resources.gpu must be 0, or a fraction in (0, 1], got 1.5"),
    ("wrong_type", 5, "train.epochs must be a whole number, got 'two'"),
    ("doubled_seed", 11, "seeds must not repeat a seed, got 0 more than once"),
    ("doubled_key", 7, "doubled key 'epochs', first given in line 5"),
    ("unknown_data_set", 2, "data.name: unknown data set 'dsprite'; did you mean 'dsprites'?"),
    ("bad_stride", 2, "data.stride.pos_x must be a whole number from 1 to 32, got 0"),
    ("unknown_factor", 2, "data.stride: unknown factor 'posx'; did you mean 'pos_x'?"),
    ("missing_file", 2, "data.path must exist, got 'no/such/dsprites.npz'"),
    ("unknown_metric", 12, "evaluation.final[0]: unknown metric 'mgi'; did you mean 'mig'?"),
    ("unknown_best", 12, "evaluation.best: unknown metric to select by 'mgi'; did you mean 'mig'?"),
    (
        "interval_in_a_grid",
        8,
        "objectives[0].beta is an interval, which search grid cannot lay out",
    ),
    (
        "sampler_without_trials",
        12,
        "search.trials is missing; tpe needs it, as in search: {name: tpe, trials: 20}",
    ),
    (
        "rung_outside",
        12,
        "pruning.rungs: 0.9 of a trial of 2 epochs must come before the last epoch",
    ),
    (
        "epochs_and_steps",
        4,
        "train: give epochs or steps, one of the two, got epochs=2 and steps=10",
    ),
    ("large_batch", 6, "train.batch_size must be <= the 384 images of an epoch, got 1000"),
    ("mlflow_files", 12, "store.mlflow must be a server or a database"),
    (
        "entry_batch",
        9,
        "objectives[1].train.batch_size must be <= the 384 images of an epoch, got 1000",
    ),
    (
        "entry_field",
        9,
        "objectives[1].network.latent: network mlp has no such field; did you mean 'latents'?",
    ),
    (
        "entry_final",
        9,
        "objectives[1].evaluation.final[1]: accuracy needs discrete codes, "
        "which objectives[1] beta_tcvae does not have; leave it out",
    ),
    ("entry_grid", 9, "objectives[1].train.learning_rate.grid[1] must be > 0, got 0"),
    (
        "entry_images",
        9,
        "objectives[1].evaluation.images is shared by all objectives, so that their scores can be",
    ),
    (
        "entry_interval",
        9,
        "objectives[1].network.latents is an interval, which search grid cannot lay out",
    ),
    ("entry_kind", 9, "objectives[1].network must be a mapping, got 5"),
    ("entry_learning_rate", 9, "objectives[1].train.learning_rate must be > 0, got -0.001"),
    (
        "entry_length",
        9,
        "objectives[1].train: give epochs or steps, one of the two, got epochs=3 and steps=10",
    ),
    ("entry_network", 9, "objectives[1].network.name: unknown network 'mpl'; did you mean 'mlp'?"),
    ("entry_repeat", 7, "objectives[1] repeats objectives[0]; leave it out"),
    (
        "entry_section",
        9,
        "objectives[1].netwrok: objective beta_tcvae has no such field; did you mean 'network'?",
    ),
    (
        "entry_size",
        9,
        "objectives[1].network.name: burgess takes images of 28 x 28 or 32 x 32 or 64 x 64 pixels",
    ),
    ("entry_space", 9, "objectives[1].network.latents: unknown space 'gird'; did you mean 'grid'?"),
    ("tab", 6, "is not YAML"),
    ("binary", 2, "is not UTF-8 text"),
    ("empty", 1, "is empty"),
    ("a_list", 1, "must be a mapping at the top, got a list"),
]


@pytest.mark.parametrize(("name", "line", "message"), PROBLEMS)
def test_a_problem_is_reported_with_its_line(name: str, line: int, message: str) -> None:
    file = BAD / f"{name}.yaml"
    start = f"{file}:{line}: {message}"
    assert any(text.startswith(start) for text in problem_lines(file))


@pytest.mark.parametrize(("name", "line", "message"), PROBLEMS)
def test_one_problem_is_reported_once(name: str, line: int, message: str) -> None:
    del line, message
    # The spec without trials also has nothing to search.
    expected = 2 if name == "sampler_without_trials" else 1
    assert len(problem_lines(BAD / f"{name}.yaml")) == expected


def test_all_problems_of_a_file_are_reported_at_once_in_the_order_of_the_file() -> None:
    file = BAD / "many.yaml"
    reported = problem_lines(file)
    lines = [int(text.removeprefix(f"{file}:").partition(":")[0]) for text in reported]
    assert lines == sorted(lines)
    assert set(lines) == {1, 2, 3, 4, *range(6, 21)}  # line 5 has no problem
    assert len(reported) == 31


@pytest.mark.parametrize("key", ["name", "data", "network", "train", "objectives"])
def test_a_required_section_that_is_missing_is_a_problem(key: str) -> None:
    mapping = small()
    del mapping[key]
    assert problem_lines(mapping) == [
        f"{key} is missing; a spec needs name, data, network, train, objectives"
    ]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"seeds": 0}, "seeds must be a number of seeds from 1"),
        ({"seeds": []}, "seeds must hold at least one seed"),
        ({"seeds": [0, "a"]}, "seeds[1] must be a whole number, got 'a'"),
        ({"seeds": [2**31]}, "seeds must lie in [0, 2147483648)"),
        ({"name": "a/b"}, "name must be letters, digits, - _ . only, got 'a/b'"),
        ({"name": ".."}, "name must be"),
        ({"search": {"name": "gird"}}, "did you mean 'grid'?"),
        ({"search": {"name": "grid", "trials": 3}}, "search.trials must be left out of a grid"),
        ({"search": {"name": "tpe", "trials": 3}}, "search tpe finds nothing to search"),
        ({"goal": []}, "goal must be a list of at least 1"),
        ({"goal": {"metric": "active_units"}}, "goal.mode is missing; goal needs it"),
        (
            {"goal": {"metric": "final/mig"}},
            "goal.metric: unknown per-epoch metric 'final/mig'",
        ),
        ({"goal": [{"metric": "tc"}, {"metric": "tc"}]}, "goal must not repeat a metric, got tc"),
        (
            {"pruning": {"metric": "dci", "rungs": [0.5]}},
            "pruning.metric: unknown per-epoch metric 'dci'",
        ),
        (
            {"pruning": {"rungs": []}},
            "pruning must have a rung, or stop_collapsed: true, got rungs []",
        ),
        ({"pruning": {"stop_collapsed": 1}}, "pruning.stop_collapsed must be true or false, got 1"),
        (
            {"pruning": {"rungs": [0.5, 1.0]}},
            "pruning.rungs must be fractions of the trial in (0, 1)",
        ),
        (
            {"pruning": {"rungs": [0.3, 0.5]}},
            "pruning.rungs: 0.5 of a trial of 4 epochs must come before the last epoch",
        ),
        ({"pruning": {"rungs": [0.5], "reduction": 1}}, "pruning.reduction must be >= 2, got 1"),
        (
            {"tradeoff": {"by": ["betta"]}},
            "tradeoff.by[0]: unknown parameter 'betta'; did you mean 'beta'?",
        ),
        (
            {"resources": {"gpu": -0.5}},
            "resources.gpu must be 0, or a fraction in (0, 1], got -0.5",
        ),
        (
            {"resources": {"require_gpu": True}},
            "resources.require_gpu is true while resources.gpu is 0",
        ),
        (
            {"resources": {"max_concurrent": "all"}},
            "resources.max_concurrent must be one of auto or a whole number",
        ),
        (
            {"resources": {"trial_timeout": "soon"}},
            "resources.trial_timeout must be a duration > 0",
        ),
        ({"resources": {"cpu": "two"}}, "resources.cpu must be a number, got 'two'"),
        ({"resources": 3}, "resources must be a mapping, got 3"),
        ({"budget": {"hours": 0}}, "budget.hours must be > 0, got 0"),
        ({"store": {"mlflow": "file:./mlruns"}}, "store.mlflow must be a server or a database"),
        (
            {"store": {"ledger": "mysql://host/db"}},
            "store.ledger must be a sqlite:///… or postgresql://… URL",
        ),
        (
            {"evaluation": {"images": 3}},
            "evaluation.images must be >= 4",
        ),  # four levels of orientation
        ({"evaluation": {"final": ["udr"]}}, "evaluation"),
        (
            {"evaluation": {"best": "dic"}},
            "evaluation.best: unknown metric to select by 'dic'; did you mean 'dci'?",
        ),
        (
            {"evaluation": {"best": "active_units"}},
            "evaluation.best: unknown metric to select by 'active_units'",
        ),
        (
            {"objectives": [{"name": "conditional_vae", "label": ["shap"]}]},
            "objectives[0].label: unknown factor 'shap'; did you mean 'shape'?",
        ),
        (
            {
                "objectives": [
                    {"name": "conditional_vae", "label": {"grid": [["shape"], ["scale", "size"]]}}
                ]
            },
            "objectives[0].label: unknown factor 'size'",
        ),
        (
            {"objectives": [{"name": "conditional_vae", "label": []}]},
            "label must name one factor or more",
        ),
        (
            {"objectives": [{"name": "joint_vae", "categories": [3, 1]}]},
            "objectives[0].categories[1] must be >= 2",
        ),
        (
            {"objectives": [{"name": "factor_bottleneck", "hidden": [8.5]}]},
            "objectives[0].hidden[0] must be a whole",
        ),
        (
            {"objectives": [{"name": "factor_vae", "discriminator_betas": [0.5]}]},
            "discriminator_betas",
        ),
        (
            {"objectives": [{"name": "control_vae", "beta_min": 9, "beta_max": 3}]},
            "beta_min must be <= beta_max",
        ),
        ({"objectives": []}, "objectives must be a list of at least one mapping"),
        ({"objectives": [{"name": "vae"}, {"name": "vae"}]}, "objectives[1] repeats objectives[0]"),
        ({"objectives": [{"beta": 1}]}, "objectives[0] must have a name"),
        (
            {"objectives": [{"name": "vae", "beta": 1}]},
            "objectives[0].beta: objective vae has no such field",
        ),
        (
            {"objectives": [{"name": "beta_vae", "beta": True}]},
            "objectives[0].beta must be a number, got true",
        ),
        (
            {"objectives": [{"name": "beta_vae", "beta": float("nan")}]},
            "objectives[0].beta must be finite, got nan",
        ),
        (
            {"objectives": [{"name": "beta_vae", "beta": {"gird": [1]}}]},
            "unknown space 'gird'; did you mean 'grid'?",
        ),
        (
            {"network": {"name": "burgess"}},
            "network.name: burgess takes images of 28 x 28 or 32 x 32 or 64 x 64 pixels",
        ),
        (
            {"network": {"name": "mlp", "latents": {"uniform": [1, 4]}}},
            "network.latents.uniform[0] must be a whole number",
        ),
        ({"train": {"epochs": {"grid": [4, 0]}}}, "train.epochs.grid[1] must be >= 1, got 0"),
        ({"train": {}}, "train: give epochs or steps"),
        ({"data": {"name": "dsprites", "path": 3}}, "data.path must be text, got 3"),
        ({"data": {"name": "dsprites", "stride": 3}}, "data.stride must be a mapping, got 3"),
        (
            {"data": {"name": "dsprites", "resolution": {"grid": [16, 32]}}},
            "data.resolution must be one of 64, 32, 16",
        ),
    ],
)
def test_a_section_with_a_problem_states_the_rule(section: dict[str, Any], message: str) -> None:
    assert any(message in text for text in problem_lines(small(**section)))


def test_both_ends_of_an_interval_and_all_values_of_a_grid_are_checked() -> None:
    beta = {"uniform": [-1, 4]}
    searched = small(
        objectives=[{"name": "beta_vae", "beta": beta}], search={"name": "random", "trials": 2}
    )
    low_end = "objectives[0].beta.uniform[0] must be >= 0, got -1.0"
    assert problem_lines(searched) == [low_end]

    small_batch = small(train={"epochs": 4, "batch_size": {"grid": [32, 1, 400]}})
    assert problem_lines(small_batch) == ["train.batch_size.grid[1] must be >= 2, got 1"]

    large_batch = small(train={"epochs": 4, "batch_size": {"grid": [32, 400]}})
    largest = "train.batch_size must be <= the 384 images of an epoch, got 400"
    assert problem_lines(large_batch) == [largest]


def test_a_searched_parameter_cannot_span_the_tradeoff() -> None:
    changes: dict[str, Any] = {
        "objectives": [{"name": "beta_vae", "beta": {"loguniform": [1, 4]}}],
        "search": {"name": "tpe", "trials": 4},
    }
    assert load.spec_from_mapping(small(**changes)).objectives[0]["beta"] == LogUniform(1, 4)
    reported = problem_lines(small(**changes, tradeoff={"by": ["beta"]}))
    assert reported[0].startswith("tradeoff.by[0]: beta is searched (objectives[0].beta)")


def test_data_without_factors_has_no_mig(monkeypatch: pytest.MonkeyPatch) -> None:
    remove_factors(monkeypatch)
    loaded = load.spec_from_mapping(small())
    assert ([goal.metric for goal in loaded.goal], loaded.evaluation.final) == (["elbo"], ())
    reported = problem_lines(
        small(goal={"metric": "mig"}, evaluation={"final": ["mig"]}, pruning={"rungs": [0.5]})
    )
    assert len(reported) == 3
    assert all("mig needs ground-truth factors" in text for text in reported)


@pytest.mark.parametrize("name", ["conditional_vae", "factor_bottleneck"])
def test_data_without_factors_refuses_an_objective_that_reads_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_factors(monkeypatch)
    (reported,) = problem_lines(small(objectives=[{"name": "vae"}, {"name": name}]))
    rule = f"objectives[1]: {name} needs ground-truth factors, which this data set does not have"
    assert reported == f"{rule}; leave it out, or use data with factors"


def test_data_without_factors_cannot_select_the_best_epoch_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remove_factors(monkeypatch)
    (reported,) = problem_lines(small(evaluation={"best": "mig"}))
    rule = "evaluation.best: mig needs ground-truth factors, which this data set does not have"
    assert reported.startswith(f"{rule}; use elbo")
    assert load.spec_from_mapping(small(evaluation={"best": "elbo"})).evaluation.best == "elbo"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds", "must be path=value"),
        ("objectives.7.beta=1", "objectives is a list: use an index from 0 to 0, or *, got '7'"),
        ("train.epochs.x=1", "train.epochs is 2, which has no 'x' inside"),
        ("seeds=[1", "is not YAML"),
        ("objectives.*.beta=-1", "objectives[0].beta must be >= 0, got -1"),
        ("train.epoch=1", "train.epoch: train has no such field; did you mean 'epochs'?"),
        (
            "objectives[0].network.latent=5",
            "objectives[0].network.latent: network mlp has no such field; did you mean",
        ),
        ("sedes=1", "unknown key 'sedes'; did you mean 'seeds'?"),
    ],
)
def test_a_bad_override_is_reported_as_it_was_written(override: str, message: str) -> None:
    start = f"--set {override}: {message}"
    assert any(text.startswith(start) for text in problem_lines("smoke", override))


def test_an_unknown_spec_names_the_nearest() -> None:
    assert "did you mean 'quickstart'?" in problem_lines("quikstart")[0]


def test_a_problem_is_under_every_path_around_it_and_no_other() -> None:
    problems = Problems()
    problems.add(("objectives", 1, "beta"), "objectives[1].beta must be >= 0, got -1")
    for path in ((), ("objectives",), ("objectives", 1), ("objectives", 1, "beta")):
        assert problems.any_under(path)
    for path in (("train",), ("objectives", 0), ("objectives", 1, "beta", 0)):
        assert not problems.any_under(path)


def test_a_value_that_was_not_written_is_located_at_the_nearest_value_around_it() -> None:
    locations = Locations(
        lines={(): (1, 1), ("train",): (4, 1)}, origins={("data", "path"): "--set data.path=x"}
    )
    missing = Problem(None, ("train", "epochs"), "train.epochs is missing")
    assert locations.locate(missing).line == 4
    overridden = Problem(None, ("data", "path"), "data.path must exist")
    assert locations.locate(overridden).origin == "--set data.path=x"
    assert locations.locate(overridden).line is None
