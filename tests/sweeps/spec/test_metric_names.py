"""Metrics in a spec: variants (`metric.variant`) are allowed, metrics that lack input refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from mini_sweep import MINI, spec

import metrics
from metrics import Inputs, Metric, Score
from metrics.registry import METRICS
from sweeps.cells.notes import spec_notes
from sweeps.spec.errors import SpecError
from sweeps.spec.json_schema import json_schema
from sweeps.spec.load import load_spec, spec_from_mapping
from vae_core import EvaluationConfig
from vae_core.config import SELECTION_METRICS


def count_codes(inputs: Inputs) -> Score:
    """Return the number of codes: a metric for these tests."""
    return Score(float(len(inputs.codes)))


def metric_with_variant(*needs: str) -> Metric:
    """Return a metric that has the variant `old`."""
    return Metric(
        count_codes, frozenset(needs), (0, 9), "max", "trial", "score", variants={"old": {}}
    )


@pytest.fixture(autouse=True)
def more_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add three metrics: one with a variant, one of discrete codes, one of several models."""
    with_variant = metric_with_variant("mean")
    monkeypatch.setitem(METRICS, "plain", with_variant)
    for name, need in (("counted", "discrete"), ("paired", "others")):
        monkeypatch.setitem(
            METRICS,
            name,
            Metric(count_codes, frozenset({"mean", need}), (0, 9), "max", "sweep", "score"),
        )


def problem_lines(**changes: Any) -> list[str]:
    """Return the lines of the SpecError that the small spec raises with other sections."""
    with pytest.raises(SpecError) as raised:
        spec(**changes)
    return str(raised.value).splitlines()


def final(*names: str) -> dict[str, Any]:
    return {"images": 64, "samples": 16, "final": list(names)}


PLAIN_OLD = {"evaluation": final("plain.old")}


def test_a_variant_may_be_a_final_metric() -> None:
    asked = spec(evaluation=final("mig", "plain.old"))
    assert asked.evaluation.final == ("mig", "plain.old")
    assert spec_from_mapping(asked.to_dict()) == asked
    jsonschema.validate({**MINI, "evaluation": final("plain.old")}, json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**MINI, "evaluation": final("paired")}, json_schema())


def test_the_problem_of_an_unknown_variant_names_the_known_ones() -> None:
    (line,) = problem_lines(evaluation=final("mig", "plain.odl"))
    hint = "did you mean 'plain.old'? known: plain.old"
    assert line == f"evaluation.final[1]: unknown metric 'plain.odl'; {hint}"


def test_a_metric_of_several_models_is_refused_with_the_command_that_scores_it() -> None:
    (line,) = problem_lines(evaluation=final("paired"))
    assert line.startswith("evaluation.final[0]: paired compares several models; ")
    assert line.endswith("use `sweeps rescore NAME --metrics paired`")
    with pytest.raises(ValueError, match="`sweeps rescore NAME --metrics paired`"):
        EvaluationConfig(final=("paired",))


def test_a_metric_of_discrete_codes_is_refused_if_an_objective_has_none(tmp_path: Path) -> None:
    joint = {"name": "joint_vae", "categories": [3]}
    assert spec(objectives=[joint], evaluation=final("counted")).evaluation.final == ("counted",)
    lines = problem_lines(
        objectives=[joint, {"name": "beta_vae"}, {"name": "vae"}],
        evaluation=final("mig", "counted"),
    )
    entries = "objectives[1] beta_vae, objectives[2] vae"
    rule = f"counted needs discrete codes, which {entries} do not have"
    remedy = "leave it out, or give it to single entries that have them"
    example = "evaluation: {final: [counted]}"
    assert lines == [f"evaluation.final[1]: {rule}; {remedy}, as in {example}"]
    file = tmp_path / "bad.yaml"
    text = Path(__file__).parent.joinpath("bad_specs", "unknown_metric.yaml").read_text()
    file.write_text(text.replace("[mgi]", "[counted]"))
    with pytest.raises(
        SpecError, match=r"bad\.yaml:12: evaluation\.final\[0\]: counted needs discrete codes"
    ):
        load_spec(file)


def test_a_metric_of_factors_needs_them_in_a_variant_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METRICS, "plain", metric_with_variant("mean", "factors"))
    file = tmp_path / "images.npz"
    np.savez(file, images=np.zeros((64, 16, 16), np.uint8))
    lines = problem_lines(
        data={"name": "arrays", "path": str(file)},
        goal={"metric": "elbo"},
        pruning="none",
        **PLAIN_OLD,
    )
    rule = "plain.old needs ground-truth factors, which this data set does not have"
    assert lines == [f"evaluation.final[0]: {rule}; leave it out"]


def test_a_variant_may_select_the_best_epoch() -> None:
    available = frozenset({"mean", "posterior", "factors"})
    for name in metrics.names():
        metric = metrics.find(name)
        is_variant = "." in name and not name.startswith("plain")
        if not is_variant or metric.better != "max" or not metric.needs <= available:
            continue
        assert name in SELECTION_METRICS
        notes = spec_notes(spec(evaluation={"images": 64, "best": name}))
        assert any("selected by the labels" in note for note in notes)
