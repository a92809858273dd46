"""A sweep goes on with the data that it began with, and with no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_sweep import MINI, conductor, play

from sweeps.driver.start_checks import load_data, require_resumable
from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.registration import register_sweep
from sweeps.spec.load import spec_from_mapping
from sweeps.spec.sweep_spec import SweepSpec


def write_arrays(path: Path, seed: int = 0, **changes: Any) -> None:
    """Write 64 noisy 16 x 16 images with two factors; each change replaces an array."""
    images = np.random.default_rng(seed).random((64, 16, 16)).astype(np.float32)
    arrays = {"images": images, "factors": np.indices((8, 8)).reshape(2, -1).T}
    np.savez(path, **{**arrays, **changes})


def sweep_of(path: Path, name: str = "mini", **changes: Any) -> SweepSpec:
    """Return a small sweep on a file of arrays."""
    data = {"name": "arrays", "path": str(path)}
    return spec_from_mapping({**MINI, "name": name, "data": data, **changes})


def start(sweep: SweepSpec, workspace: Path) -> str:
    """Do what a start of the sweep does before any trial; return its note."""
    ledger = Ledger.of_workspace(workspace)
    try:
        return register_sweep(sweep, ledger, fingerprint=load_data(sweep).fingerprint)
    finally:
        ledger.close()


def stored(workspace: Path, name: str = "mini") -> dict[str, Any]:
    row = Ledger.existing(workspace).sweep(name)
    assert row is not None
    return dict(row)


def forget_fingerprint(workspace: Path) -> None:
    """Make the ledger one of a version that did not store the fingerprint of a sweep's data."""
    with Ledger.existing(workspace).transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == "mini", fingerprint=None)


FACTORS = np.indices((8, 8)).reshape(2, -1).T
CHANGES: dict[str, dict[str, Any]] = {
    "other images": {"seed": 1},
    "a swapped factor": {"factors": FACTORS[:, ::-1]},
    "fewer images": {"images": np.zeros((32, 16, 16), np.uint8), "factors": FACTORS[:32]},
    "no factors of the same images": {"factors": np.zeros((64, 2), np.int64)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_replaced_file_is_refused_by_run_and_dry_run(tmp_path: Path, change: str) -> None:
    file = tmp_path / "mine.npz"
    write_arrays(file)
    assert start(sweep_of(file), tmp_path) == ""
    before = stored(tmp_path)
    write_arrays(file, **CHANGES[change])
    for begin in (start, require_resumable):
        with pytest.raises(SweepError) as refused:
            begin(sweep_of(file), tmp_path)
        message = str(refused.value)
        assert "sweep 'mini' was begun with other data" in message
        assert f"was {before['fingerprint'][:12]}…" in message
        assert f"is {load_data(sweep_of(file)).fingerprint[:12]}…" in message
        assert f"put the earlier content of data.path ({file}) back" in message
        assert "or use another name" in message
    assert stored(tmp_path) == before  # a refused start changes nothing
    write_arrays(file)  # the remedy
    assert start(sweep_of(file), tmp_path) == require_resumable(sweep_of(file), tmp_path) == ""


def test_the_same_content_in_another_file_goes_on_and_reuses_trials(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz")
    write_arrays(tmp_path / "b.npz")
    fingerprint = load_data(sweep_of(tmp_path / "a.npz")).fingerprint
    start(sweep_of(tmp_path / "a.npz"), tmp_path)
    assert start(sweep_of(tmp_path / "b.npz"), tmp_path) == ""
    assert stored(tmp_path)["spec"]["data"]["path"] == str(tmp_path / "b.npz")
    assert stored(tmp_path)["fingerprint"] == fingerprint
    play(conductor(sweep_of(tmp_path / "b.npz"), tmp_path))
    assert play(conductor(sweep_of(tmp_path / "a.npz", name="other"), tmp_path)) == 0


def test_another_path_with_another_content_names_both(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz")
    write_arrays(tmp_path / "b.npz", seed=1)
    start(sweep_of(tmp_path / "a.npz"), tmp_path)
    with pytest.raises(SweepError) as refused:
        start(sweep_of(tmp_path / "b.npz"), tmp_path)
    assert "data.path: was" in str(refused.value)
    assert "content of the data (images and factors): was" in str(refused.value)


def test_another_option_of_the_data_is_another_spec_and_is_refused_unread(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz")
    start(sweep_of(tmp_path / "a.npz"), tmp_path)
    other = spec_from_mapping(
        {**MINI, "data": {"name": "arrays", "path": str(tmp_path / "a.npz"), "factors": None}}
        | {
            "pruning": "none",
            "goal": {"metric": "elbo", "mode": "max"},
            "evaluation": {"final": []},
        }
    )
    (tmp_path / "a.npz").unlink()
    with pytest.raises(
        SweepError, match=r"was begun with another spec:\n(.*\n)*  data\.factors: was"
    ):
        require_resumable(other, tmp_path)


def test_a_changed_table_of_an_image_folder_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "faces"
    folder.mkdir()
    rows = ["file,smile"]
    for index in range(40):
        Image.new("L", (16, 16), 5 * index).save(folder / f"{index}.png")
        rows.append(f"{index}.png,{index % 2}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(rows))
    data = {"name": "images", "path": str(folder), "table": str(table), "grey": True}
    sweep = spec_from_mapping({**MINI, "data": data, "evaluation": {"images": 40}})
    start(sweep, tmp_path)
    table.write_text(
        "\n".join([rows[0], *(row[:-1] + str(int(row[-1] == "0")) for row in rows[1:])])
    )
    # The levels 0 and 1 have changed places in every row; sizes and names are the same.
    with pytest.raises(
        SweepError, match=r"data\.path \(.*\) and data\.table \(.*labels\.csv\) back"
    ):
        start(sweep, tmp_path)
    table.write_text("\n".join(rows))
    Image.new("L", (16, 16), 255).save(folder / "3.png")
    with pytest.raises(SweepError, match="begun with other data"):
        start(sweep, tmp_path)


def test_drawn_data_of_other_software_name_the_software(tmp_path: Path) -> None:
    sweep = spec_from_mapping(MINI)
    ledger = Ledger.of_workspace(tmp_path)
    register_sweep(sweep, ledger, fingerprint="0" * 64)  # as if another renderer had drawn them
    began_with = json.dumps({"git_commit": "abc", "torch": "1.0"})
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == "mini", software=began_with)
    with pytest.raises(SweepError, match="use the software that it began with: git_commit abc"):
        start(sweep, tmp_path)


# ---- workspaces of a version that did not store the fingerprint


def test_an_old_sweep_takes_the_fingerprint_of_its_trials(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    write_arrays(file)
    sweep = sweep_of(file)
    start(sweep, tmp_path)
    fingerprint = load_data(sweep).fingerprint
    play(conductor(sweep, tmp_path, fingerprint=fingerprint), stop_after=3)
    forget_fingerprint(tmp_path)
    assert start(sweep, tmp_path) == ""
    assert stored(tmp_path)["fingerprint"] == fingerprint
    forget_fingerprint(tmp_path)
    write_arrays(file, seed=1)
    with pytest.raises(SweepError, match="begun with other data"):
        start(sweep, tmp_path)


def test_an_old_sweep_without_trials_is_bound_to_the_data_of_now_with_a_note(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.npz"
    write_arrays(file)
    start(sweep_of(file), tmp_path)
    forget_fingerprint(tmp_path)
    fingerprint = load_data(sweep_of(file)).fingerprint
    for begin in (require_resumable, start):  # the dry run says it too, and stores nothing
        assert "was begun by a version that did not note its data" in begin(
            sweep_of(file), tmp_path
        )
    assert stored(tmp_path)["fingerprint"] == fingerprint
    assert start(sweep_of(file), tmp_path) == ""


def test_an_old_sweep_that_mixed_two_data_sets_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    write_arrays(file)
    sweep = sweep_of(file)
    start(sweep, tmp_path)
    fingerprint = load_data(sweep).fingerprint
    play(conductor(sweep, tmp_path, fingerprint=fingerprint), stop_after=3)
    play(conductor(sweep, tmp_path, fingerprint="e" * 64))
    forget_fingerprint(tmp_path)
    with pytest.raises(SweepError, match="holds trials of 2 data sets") as refused:
        start(sweep, tmp_path)
    # Of 4 cells x 2 seeds, the first cell was asked before the change.
    assert f"{fingerprint[:12]}…: trials 0, 1\n" in str(refused.value)
    assert "eeeeeeeeeeee…: trials 2, 3, 4 and 3 more" in str(refused.value)
