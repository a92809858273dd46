"""Wherever a spec names a metric, a variant of it (`metric.variant`) will do, and what cannot be served is said."""

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
from sweeps.spec.load import load_spec
from vae_core import EvaluationConfig
from vae_core.config import SELECTING


def one(inputs: Inputs) -> Score:
    """A metric of its own."""
    return Score(float(len(inputs.codes)))


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three metrics beside the registry's: with a variant, of discrete codes, of several models."""
    plain = Metric(one, frozenset({"mean"}), (0, 9), "max", "trial", "score", variants={"old": {}})
    monkeypatch.setitem(METRICS, "plain", plain)
    for name, need in (("counted", "discrete"), ("paired", "others")):
        monkeypatch.setitem(
            METRICS, name, Metric(one, frozenset({"mean", need}), (0, 9), "max", "sweep", "score")
        )


def problems(**changes: Any) -> list[str]:
    with pytest.raises(SpecError) as raised:
        spec(**changes)
    return str(raised.value).splitlines()


def final(*names: str) -> dict[str, Any]:
    return {"images": 64, "samples": 16, "final": list(names)}


PLAIN_OLD = {"evaluation": final("plain.old")}


def test_a_variant_may_be_a_final_metric() -> None:
    asked = spec(evaluation=final("mig", "plain.old"))
    assert asked.evaluation.final == ("mig", "plain.old")
    assert type(asked).from_dict(asked.to_dict()) == asked
    jsonschema.validate({**MINI, "evaluation": final("plain.old")}, json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**MINI, "evaluation": final("paired")}, json_schema())


def test_an_unknown_variant_is_a_mistake_that_names_the_known_ones() -> None:
    (told,) = problems(evaluation=final("mig", "plain.odl"))
    assert (
        told
        == "evaluation.final[1]: unknown metric 'plain.odl'; did you mean 'plain.old'? known: plain.old"
    )


def test_a_metric_of_several_models_is_refused_with_the_command_that_scores_it() -> None:
    (told,) = problems(evaluation=final("paired"))
    assert told.startswith("evaluation.final[0]: paired compares several models; ")
    assert told.endswith("use `sweeps rescore NAME --metrics paired`")
    with pytest.raises(ValueError, match="`sweeps rescore NAME --metrics paired`"):
        EvaluationConfig(final=("paired",))


def test_a_metric_of_discrete_codes_is_refused_where_an_objective_has_none(tmp_path: Path) -> None:
    joint = {"name": "joint_vae", "categories": [3]}
    assert spec(objectives=[joint], evaluation=final("counted")).evaluation.final == ("counted",)
    told = problems(
        objectives=[joint, {"name": "beta_vae"}, {"name": "vae"}],
        evaluation=final("mig", "counted"),
    )
    which = "objectives[1] beta_vae, objectives[2] vae"
    remedy = "leave it out, and give evaluation: {final: […]} to the objectives that have"
    assert told == [
        f"evaluation.final[1]: counted needs discrete codes, which {which} has not; {remedy}"
    ]
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
    needy = Metric(
        one, frozenset({"mean", "factors"}), (0, 9), "max", "trial", "score", variants={"old": {}}
    )
    monkeypatch.setitem(METRICS, "plain", needy)
    file = tmp_path / "images.npz"
    np.savez(file, images=np.zeros((64, 16, 16), np.uint8))
    told = problems(
        data={"name": "arrays", "path": str(file)},
        goal={"metric": "elbo"},
        pruning="none",
        **PLAIN_OLD,
    )
    assert told == [
        "evaluation.final[0]: plain.old needs ground-truth factors, which this data set has not; leave it out"
    ]


def test_what_selects_the_best_epoch_may_be_a_variant() -> None:
    scores = [
        name for name in metrics.names() if "." in name and metrics.find(name).better == "max"
    ]
    allowed = frozenset({"mean", "posterior", "factors"})
    for name in (
        name
        for name in scores
        if metrics.find(name).needs <= allowed and not name.startswith("plain")
    ):
        assert name in SELECTING
        assert any(
            "selected by the labels" in note
            for note in spec_notes(spec(evaluation={"images": 64, "best": name}))
        )
