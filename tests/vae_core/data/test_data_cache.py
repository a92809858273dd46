"""The cache: files are complete, damage is noticed, loads may race, `verify` checks all files."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_core.data import DSprites, cache_folder, info, load_data, prepare, verify
from vae_core.data.cache import store
from vae_core.data.dsprites import render

SMALL = {"shape": (0,), "scale": (0,), "orientation": (0, 1)}  # 2,048 images


def _never() -> NDArray[np.uint8]:
    raise AssertionError("the cached file should have been read")


def test_the_second_load_reads_the_file(tmp_path: Path) -> None:
    dataset = DSprites(values=SMALL)
    first = dataset.load(tmp_path)
    images, _ = store.load_or_make(dataset.cache_file(tmp_path), _never)
    np.testing.assert_array_equal(images, first.images)


@pytest.mark.parametrize("damaged_byte", [0, 200, -1])
def test_a_damaged_file_is_noticed_and_made_again(damaged_byte: int, tmp_path: Path) -> None:
    data = DSprites(values=SMALL).load(tmp_path)
    path = DSprites(values=SMALL).cache_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[damaged_byte] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged.*it is made again") as caught:
        again = DSprites(values=SMALL).load(tmp_path)
    assert len(caught) == 1
    np.testing.assert_array_equal(again.images, data.images)
    assert [row["intact"] for row in verify(tmp_path)] == [True]


@pytest.mark.parametrize("loss", ["truncated", "no checksum"])
def test_an_incomplete_file_is_made_again(loss: str, tmp_path: Path) -> None:
    data = DSprites(values=SMALL).load(tmp_path)
    path = DSprites(values=SMALL).cache_file(tmp_path)
    if loss == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        store.checksum_file(path).unlink()
    with pytest.warns(UserWarning, match="is damaged"):
        assert DSprites(values=SMALL).load(tmp_path).fingerprint == data.fingerprint


def test_a_failed_write_leaves_no_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.warns(UserWarning, match=r"could not be written .*No space left.*SWEEPS_DATA"):
        assert len(DSprites(values=SMALL).load(tmp_path)) == 2048
    assert [path.suffix for path in tmp_path.iterdir()] == [".sha256"]


def test_loads_that_race_return_the_same_and_leave_one_file(tmp_path: Path) -> None:
    start = threading.Barrier(6)

    def load(_: int) -> str:
        start.wait()
        return DSprites(values=SMALL).load(tmp_path).fingerprint

    with warnings.catch_warnings(), ThreadPoolExecutor(6) as pool:
        warnings.simplefilter("error")
        assert len(set(pool.map(load, range(6)))) == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy", ".sha256"]


def test_the_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "cache"))
    load_data("dsprites", values=SMALL)
    assert len(list((tmp_path / "cache").glob("dsprites-64px-1x1x2x32x32-*.npy"))) == 1
    monkeypatch.delenv("SWEEPS_DATA")
    assert cache_folder() == Path.home() / ".cache" / "sweeps"


def test_render_reports_what_it_made_and_info_agrees(tmp_path: Path) -> None:
    made = prepare(DSprites(values=SMALL, resolution=16), tmp_path)
    described = info(DSprites(values=SMALL, resolution=16), tmp_path)
    assert made["images"] == described["images"] == 2048
    assert made["bytes"] == Path(made["path"]).stat().st_size
    assert (described["prepared"], described["file"]) == (True, made["path"])
    assert described["files"] == [{"path": made["path"], "bytes": made["bytes"]}]
    assert described["factors"] == {
        "shape": 1,
        "scale": 1,
        "orientation": 2,
        "pos_x": 32,
        "pos_y": 32,
    }


def test_info_renders_nothing(tmp_path: Path) -> None:
    assert info(DSprites(), tmp_path / "absent")["images"] == 737_280
    assert not (tmp_path / "absent").exists()


def test_verify_names_the_damaged_file(tmp_path: Path) -> None:
    good = prepare(DSprites(values=SMALL), tmp_path)
    bad = Path(prepare(DSprites(values=SMALL, resolution=32), tmp_path)["path"])
    bad.write_bytes(bad.read_bytes()[:-1] + b"\x07")
    rows = {row["path"]: row for row in verify(tmp_path)}
    assert rows[good["path"]]["intact"]
    assert rows[good["path"]]["sha256"] == good["sha256"]
    assert not rows[str(bad)]["intact"]
    assert f"{bad} is damaged: its sha256 is" in rows[str(bad)]["reason"]


def test_verify_compares_the_full_grid_with_the_published_checksum(tmp_path: Path) -> None:
    path = DSprites().cache_file(tmp_path)
    store.load_or_make(path, lambda: np.zeros((4, 512), np.uint8))  # intact, but not dSprites
    (row,) = verify(tmp_path)
    assert (row["intact"], row["published"]) == (False, False)
    assert render.FULL_SHA256 in row["reason"]
