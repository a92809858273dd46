"""Correlated factors in a sweep: the rules of a spec, its brackets and trials, its artifacts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from stored_codes import PLAIN, finished

from sweeps.cells.cell_grid import all_layouts, trial_config
from sweeps.cells.names import bracket
from sweeps.driver.artifacts import final_artifacts
from sweeps.scoring import codes_file
from sweeps.scoring.rescore import rescore_sweep
from sweeps.spec import load, yaml_reader
from sweeps.spec.errors import SpecError
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths
from vae_core import (
    MLP,
    BetaVAE,
    DSprites,
    EvaluationConfig,
    TrainConfig,
    TrialConfig,
    train,
)

NAME = "correlated-factors"
SHAPES = "shape,weight\n0,1\n1,2\n2,0\n"


def messages(*overrides: str, source: str = NAME) -> list[str]:
    """Return the messages of the SpecError that a bundled spec raises with some overrides."""
    with pytest.raises(SpecError) as raised:
        load.load_spec(source, overrides=overrides)
    return [problem.message for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "train.correlated=[pos_x, posy]",
            "train.correlated: unknown factor 'posy'; did you mean 'pos_y'?",
        ),
        (
            "train.correlated=[pos_x, pos_x]",
            "train.correlated must pair two different factors, got pos_x with itself",
        ),
        (
            "train.correlated=[[pos_x, pos_y], [pos_y, pos_x]]",
            "train.correlated must not repeat a pair",
        ),
        ("train.correlation_width=0", "train.correlation_width must be > 0, got 0"),
        (
            "train.correlation_width={grid: [null, -1]}",
            "train.correlation_width.grid[1] must be > 0, got -1",
        ),
        ("data.stride.scale=6", "train.correlated: scale has one level in this data set"),
        (
            "evaluation.final=[mig, dci]",
            "evaluation.final[1]: dci takes no row weights, and factors are correlated",
        ),
        (
            "evaluation.best=sap",
            "evaluation.best: sap takes no row weights, and factors are correlated",
        ),
        (
            "train.factor_table=no/such.csv",
            "train.factor_table must be the path of a CSV file, or its text, got 'no/such.csv'",
        ),
    ],
)
def test_an_impossible_correlation_is_reported(override: str, message: str) -> None:
    before = ("train.correlated=[scale, pos_x]",) if "scale" in override else ()
    assert any(text.startswith(message) for text in messages(*before, override))


def test_data_without_factors_has_none_to_correlate(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((300, 32, 32), np.uint8))
    rule = "train: a correlation needs ground-truth factors, which this data set does not have"
    remedy = "leave out correlated and factor_table"
    reported = messages(f"data={{name: arrays, path: {tmp_path}/images.npz}}")
    assert f"{rule}; {remedy}" in reported


def test_pairs_need_a_width() -> None:
    assert messages("train.correlated=[pos_x, pos_y]", source="quickstart") == [
        "train.correlation_width is missing; correlated needs it, as in correlation_width: 0.2"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shape,weight\n0,1\n1,-2\n2,0\n", "train.factor_table: line '1,-2' must have levels >= 0"),
        (
            "shape,weight\n0,0\n1,0\n2,0\n",
            "train.factor_table must have a weight above 0, got all zero",
        ),
        (
            "shape,weight\n0,1\n1,2\n",
            "train.factor_table must have a line for the levels of every image, of shape",
        ),
        (
            "shape,weight\n0,1\n1,2\n2,1\n3,1\n",
            "train.factor_table: unknown levels 3; known: shape 0 to 2",
        ),
        ("form,weight\n0,1\n", "train.factor_table: unknown factor 'form'"),
    ],
)
def test_a_problem_of_a_factor_table_is_reported(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    reported = messages(
        f"train.factor_table={tmp_path}/table.csv", "evaluation.final=[mig]", source="quickstart"
    )
    assert any(line.startswith(message) for line in reported), reported


def test_a_spec_holds_the_text_of_a_factor_table_and_not_its_path(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(SHAPES)
    a, b = (
        load.load_spec(
            "quickstart",
            overrides=[f"train.factor_table={tmp_path}/{name}", "evaluation.final=[mig]"],
        )
        for name in ("a.csv", "b.csv")
    )
    assert a == b
    (tmp_path / "a.csv").unlink()
    # The ledger's spec needs no file: it may be read on another machine, or later.
    again = load.spec_from_mapping(a.to_dict())
    layout = all_layouts(again)[0]
    assert trial_config(again, layout, layout.fixed, 0, "f").train.factor_table == SHAPES


def test_a_sweep_from_independent_to_strong_has_a_bracket_for_each_width() -> None:
    sweep = load.load_spec(NAME)
    names = [bracket(sweep, layout, layout.fixed).name for layout in all_layouts(sweep)]
    assert len(set(names)) == len(names) == 16
    assert names[0] == "beta_vae beta=1 correlation_width=null"
    assert "beta_tcvae beta=4 correlation_width=0.1" in names


def hashes(sweep: SweepSpec) -> set[str]:
    """Return the hashes of the trials of seed 0."""
    configs = [trial_config(sweep, layout, layout.fixed, 0, "f") for layout in all_layouts(sweep)]
    return {config.hash for config in configs}


def test_its_independent_trials_are_those_of_a_sweep_without_correlations() -> None:
    sweep = load.load_spec(NAME)
    mapping = dict(sweep.to_dict(), tradeoff={"by": ["beta"]})
    mapping["train"] = {
        key: value for key, value in mapping["train"].items() if not key.startswith("correlat")
    }
    uncorrelated = hashes(load.spec_from_mapping(mapping))
    assert len(uncorrelated) == 4
    assert uncorrelated < hashes(sweep)


def test_stored_codes_carry_the_distribution_they_are_scored_under() -> None:
    dataset = DSprites(
        resolution=16, stride={"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8}
    )
    data = dataset.load()
    config = TrialConfig(
        data=dataset,
        objective=BetaVAE(),
        network=MLP(hidden=(8,), latents=2),
        train=TrainConfig(
            epochs=1, batch_size=64, correlated=("pos_x", "pos_y"), correlation_width=0.3
        ),
        evaluation=EvaluationConfig(images=64, samples=4),
        fingerprint=data.fingerprint,
    )
    *_, report = train(config, data)
    stored = io.BytesIO(final_artifacts(config, data, report)["codes.npz"])
    codes = codes_file.read_from(stored, source="codes.npz", suffix=".npz")
    assert codes.factors is not None
    assert codes.factors.weights is not None
    assert np.array_equal(codes.factors.weights, config.train.distribution(data.factors))


def test_a_metric_without_weights_is_skipped_on_correlated_codes(tmp_path: Path) -> None:
    sweep = finished(tmp_path, **PLAIN)
    first = TrialPaths(sweep.trials[0].hash).artifact("codes.npz")
    with np.load(io.BytesIO(LocalFiles(tmp_path).read(first))) as file:
        arrays = dict(file)
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.linspace(1, 2, len(arrays["mean"])), **arrays)
    LocalFiles(tmp_path).write(first, buffer.getvalue())
    rescored = rescore_sweep("mini", ["sap", "mig_hist20"], tmp_path)
    outcomes = {(outcome.number, outcome.metric): outcome for outcome in rescored.outcomes}
    assert rescored.exit_code == 0
    assert outcomes[0, "sap"].state == "skipped"
    reason = "takes no weights, and the factors of this trial are correlated"
    assert outcomes[0, "sap"].why == reason
    assert {outcomes[0, "mig_hist20"].state, outcomes[1, "sap"].state} == {"scored"}


def test_a_problem_of_an_entry_s_correlation_has_the_path_of_the_entry() -> None:
    entry = {
        "name": "beta_vae",
        "train": {"correlated": ["pos_x", "pos_z"], "correlation_width": 0.1},
    }
    mapping = yaml_reader.read(load.bundled_specs()["quickstart"]).mapping
    with pytest.raises(SpecError) as raised:
        load.spec_from_mapping({**mapping, "objectives": [{"name": "vae"}, entry]})
    message = str(raised.value)
    assert "objectives[1].train.correlated: unknown factor 'pos_z'; did you mean 'pos_y'" in message
    assert (
        "evaluation.final[1]: factor_vae takes no row weights, and factors are correlated"
        in message
    )
