"""Correlated factors in a sweep: what a spec may say, what its trials are, what they leave behind."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from stored_codes import PLAIN, finished

from sweeps.cells.cell_grid import all_layouts, trial_config
from sweeps.cells.names import bracket_name
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
    training_loop,
)

NAME = "correlated-factors"
SHAPES = "shape,weight\n0,1\n1,2\n2,0\n"


def mistakes(*overrides: str, source: str = NAME) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load.load_spec(source, overrides=overrides)
    return [problem.message for problem in caught.value.problems]


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
            "evaluation.final[1]: dci takes no weights, and factors are correlated",
        ),
        (
            "evaluation.best=sap",
            "evaluation.best: sap takes no weights, and factors are correlated",
        ),
        (
            "train.factor_table=no/such.csv",
            "train.factor_table must be a CSV file, or its text, got 'no/such.csv'",
        ),
    ],
)
def test_a_correlation_that_cannot_be_is_told_at_once(override: str, message: str) -> None:
    about = ("train.correlated=[scale, pos_x]",) if "scale" in override else ()
    assert any(told.startswith(message) for told in mistakes(*about, override))


def test_data_without_factors_have_none_to_correlate(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", images=np.zeros((300, 32, 32), np.uint8))
    told = mistakes(f"data={{name: arrays, path: {tmp_path}/plain.npz}}")
    assert "train: a correlation needs ground-truth factors, which this data set has not" in told


def test_pairs_without_a_width_are_a_mistake() -> None:
    told = mistakes("train.correlated=[pos_x, pos_y]", source="quickstart")
    assert told == [
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
def test_a_mistake_of_a_table_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    told = mistakes(
        f"train.factor_table={tmp_path}/table.csv", "evaluation.final=[mig]", source="quickstart"
    )
    assert any(one.startswith(message) for one in told), told


def test_a_table_is_kept_by_content_and_not_by_path(tmp_path: Path) -> None:
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
    again = SweepSpec.from_dict(a.to_dict())  # on another machine, or another day
    layout = all_layouts(again)[0]
    assert trial_config(again, layout, layout.fixed, 0, "f").train.factor_table == SHAPES


def test_a_sweep_from_independent_to_strong_has_a_bracket_for_each_width() -> None:
    sweep = load.load_spec(NAME)
    found = all_layouts(sweep)
    names = [bracket_name(sweep, layout, layout.fixed) for layout in found]
    assert len(set(names)) == len(names) == 16
    assert names[0] == "beta_vae beta=1 correlation_width=null"
    assert "beta_tcvae beta=4 correlation_width=0.1" in names


def test_its_independent_trials_are_those_of_a_sweep_without_correlations() -> None:
    sweep = load.load_spec(NAME)
    plain = dict(sweep.to_dict(), tradeoff={"by": ["beta"]})
    plain["train"] = {
        key: value for key, value in plain["train"].items() if not key.startswith("correlat")
    }
    hashes = [
        {trial_config(each, layout, layout.fixed, 0, "f").hash for layout in all_layouts(each)}
        for each in (sweep, SweepSpec.from_dict(plain))
    ]
    assert len(hashes[1]) == 4
    assert hashes[1] < hashes[0]


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
    *_, report = training_loop(config, data)
    stored = io.BytesIO(final_artifacts(config, data, report)["codes.npz"])
    found = codes_file.read_from(stored, source="codes.npz", suffix=".npz")
    assert found.factors is not None
    assert found.factors.weights is not None
    assert np.array_equal(found.factors.weights, config.train.distribution(data.factors))


def test_a_metric_without_weights_is_skipped_on_correlated_codes(tmp_path: Path) -> None:
    sweep = finished(tmp_path, **PLAIN)
    first = TrialPaths(sweep.trials[0].hash).artifact("codes.npz")
    with np.load(io.BytesIO(LocalFiles(tmp_path).read(first))) as kept:
        arrays = dict(kept)
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.linspace(1, 2, len(arrays["mean"])), **arrays)
    LocalFiles(tmp_path).write(first, buffer.getvalue())
    done = rescore_sweep("mini", ["sap", "mig_hist20"], tmp_path)
    told = {(outcome.number, outcome.metric): outcome for outcome in done.outcomes}
    assert done.exit_code == 0
    assert told[0, "sap"].state == "skipped"
    assert told[0, "sap"].why == "takes no weights, and the factors of this trial are correlated"
    assert {told[0, "mig_hist20"].state, told[1, "sap"].state} == {"scored"}


def test_an_objective_s_own_correlation_is_judged_where_it_is_written() -> None:
    entry = {
        "name": "beta_vae",
        "train": {"correlated": ["pos_x", "pos_z"], "correlation_width": 0.1},
    }
    mapping = yaml_reader.read(load.bundled_specs()["quickstart"]).mapping
    with pytest.raises(SpecError) as told:
        load.spec_from_mapping({**mapping, "objectives": [{"name": "vae"}, entry]})
    message = str(told.value)
    assert "objectives[1].train.correlated: unknown factor 'pos_z'; did you mean 'pos_y'" in message
    assert "evaluation.final[1]: factor_vae takes no weights, and factors are correlated" in message
