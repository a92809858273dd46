"""A small spec to vary, and what its loading raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sweeps.spec import load
from sweeps.spec.errors import SpecError
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.data import DATASETS
from vae_core.data.abstract import Outline

BAD = Path(__file__).parent / "bad_specs"
"""Folder of specs with one problem each; `many.yaml` has many."""


def load_any(source: Any, *overrides: str) -> SweepSpec:
    """Return the spec of a mapping, a file or a bundled name."""
    if isinstance(source, dict):
        return load.spec_from_mapping(source)
    return load.load_spec(source, overrides=overrides)


def problem_lines(source: Any, *overrides: str) -> list[str]:
    """Return the lines of the SpecError that a source raises."""
    with pytest.raises(SpecError) as raised:
        load_any(source, *overrides)
    return str(raised.value).splitlines()


def stored_and_read(spec: SweepSpec) -> SweepSpec:
    """Return a spec after it was written as JSON and read again."""
    return load.spec_from_mapping(json.loads(json.dumps(spec.to_dict())))


def small(**changes: Any) -> dict[str, Any]:
    """Return a spec of 384 images as a mapping; `changes` replaces whole sections."""
    return {
        "name": "small",
        "data": {
            "name": "dsprites",
            "resolution": 16,
            "stride": {"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8},
        },
        "network": {"name": "mlp", "hidden": [8], "latents": 3},
        "train": {"epochs": 4, "batch_size": 32},
        "objectives": [{"name": "beta_vae", "beta": {"grid": [1, 4]}}],
        **changes,
    }


def remove_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make dSprites a data set of 384 images without ground-truth factors."""
    outline = Outline(384, (1, 16, 16), (), ())
    monkeypatch.setattr(DATASETS["dsprites"], "outline", lambda self: outline)
