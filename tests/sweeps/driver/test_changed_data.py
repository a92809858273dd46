"""A sweep resumes on the data that it began with, and on no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mini_sweep
import pytest
from PIL import Image

from sweeps.driver.run import run_sweep
from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.registration import register_sweep
from sweeps.spec.load import spec_from_mapping
from sweeps.spec.sweep_spec import SweepSpec


def test_a_sweep_is_not_resumed_on_other_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "data"))
    sweep = mini_sweep.spec()
    mini_sweep.play(mini_sweep.conductor(sweep, tmp_path), stop_after=3)  # fingerprint ffff…
    with pytest.raises(
        SweepError, match=r"sweep 'mini' was begun with other data:(?s:.*)was f{12}…"
    ):
        run_sweep(sweep, workspace=tmp_path)


def image_sweep(folder: Path, **options: Any) -> SweepSpec:
    folder.mkdir(exist_ok=True)
    for row in range(4):
        Image.new("L", (4, 4), row).save(folder / f"{row}.png")
    lines = [f"{row}.png,{row}" for row in range(4)]
    (folder / "factors.csv").write_text("\n".join(["file,x", *lines]))
    return spec_from_mapping(
        {
            "name": "own",
            "data": {"name": "images", "path": str(folder), **options},
            "network": {"name": "mlp"},
            "train": {"epochs": 1, "batch_size": 2},
            "objectives": [{"name": "vae"}],
            "evaluation": {"images": 4},
        }
    )


def test_an_option_that_is_newer_than_a_sweep_counts_as_its_default(tmp_path: Path) -> None:
    spec = image_sweep(tmp_path / "images")
    ledger = Ledger.of_workspace(tmp_path)
    register_sweep(spec, ledger, fingerprint="f" * 64)
    older = spec.to_dict()
    del older["data"]["background"]
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == "own", spec=json.dumps(older))
    white = image_sweep(tmp_path / "images", background="white")
    with pytest.raises(SweepError, match=r'data\.background: was "black", is "white"'):
        register_sweep(white, ledger, fingerprint="f" * 64)
    register_sweep(spec, ledger, fingerprint="f" * 64)
    assert ledger.require_sweep("own")["spec"] == spec.to_dict()
