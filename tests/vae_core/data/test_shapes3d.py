"""3D Shapes: sub-grids are read by slabs, kept in the cache, and mapped if memory is short."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vae_core import Shapes3D
from vae_core.data.cache import mapped
from vae_core.data.original_files import Remote, digest_of
from vae_core.data.shapes3d import dataset, read

# Levels of each factor in a small file with the official layout: 288 images.
SIZES = (2, 3, 2, 2, 4, 3)
VALUES = {"floor_hue": [1], "scale": [0], "shape": [1, 3], "orientation": [0, 2]}


def official() -> dict[str, Any]:
    """Return the arrays of a small file."""
    levels = np.indices(SIZES).reshape(6, -1).T
    images = np.random.default_rng(0).integers(0, 256, (len(levels), 64, 64, 3), dtype=np.uint8)
    steps = np.array([0.1, 0.1, 0.1, 1 / 14, 1.0, 60 / 14])
    starts = np.array([0, 0, 0, 0.75, 0, -30.0])
    return {"images": images, "labels": levels * steps + starts}


def write(path: Path, arrays: dict[str, Any], *, chunk: int = 50) -> Path:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            chunks = (chunk, 16, 16, 1) if key == "images" and array.ndim == 4 else None
            file.create_dataset(key, data=array, chunks=chunks)
    return path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small file that passes as the original, where the cache looks for it."""
    (tmp_path / "shapes3d").mkdir()
    path = write(tmp_path / "shapes3d" / "3dshapes.h5", official())
    monkeypatch.setattr(dataset, "SIZES", dict(zip(dataset.SIZES, SIZES, strict=True)))
    remote = Remote("3dshapes.h5", "http://example/3dshapes.h5", digest_of(path, "sha256"))
    monkeypatch.setattr(Shapes3D, "remotes", (remote,))
    return path


@pytest.mark.parametrize("resolution", [64, 32])
# A slab smaller than a chunk, larger than a chunk, and larger than the file.
@pytest.mark.parametrize("slab", [1, 64, 4096])
def test_a_sub_grid_is_the_rows_of_the_file(
    resolution: Any, slab: int, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(read, "_SLAB", slab)
    arrays = official()
    levels = [(1,), (0, 1, 2), (0, 1), (0,), (1, 3), (0, 2)]
    blocks = read.read_blocks(write(tmp_path / "a.h5", arrays), levels, SIZES, resolution)
    chosen = arrays["images"].reshape(*SIZES, 64, 64, 3)[np.ix_(*levels)]
    chosen = chosen.reshape(-1, 64, 64, 3).transpose(0, 3, 1, 2)
    if resolution == 32:
        means = chosen.reshape(-1, 3, 32, 2, 32, 2).mean(axis=(3, 5))
        chosen = np.floor(means + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(np.concatenate(list(blocks)), chosen.reshape(len(chosen), -1))


def test_one_slab_is_in_memory_besides_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_SLAB", 50)
    monkeypatch.setattr(read, "_PIECE", 5)
    path, levels = write(tmp_path / "a.h5", official()), [range(size) for size in SIZES]
    result = np.empty((288, 3 * 64 * 64), np.uint8)
    tracemalloc.start()
    start = 0
    for block in read.read_blocks(path, levels, SIZES, 64):
        result[start : start + len(block)] = block
        start += len(block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.6 * 50 * 3 * 64 * 64  # the slab, three copies of a tenth of it, the labels


def _swap(arrays: dict[str, Any]) -> None:
    arrays["labels"][[3, 4]] = arrays["labels"][[4, 3]]


def _shorten(arrays: dict[str, Any]) -> None:
    arrays["images"] = arrays["images"][:-1]


def _floats(arrays: dict[str, Any]) -> None:
    arrays["images"] = arrays["images"].astype(np.float32)


def _no_labels(arrays: dict[str, Any]) -> None:
    del arrays["labels"]


def _one_scale(arrays: dict[str, Any]) -> None:
    arrays["labels"][:, 3] = 1


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (
            _swap,
            "column 5 of its labels must run through 3 levels, got 3, out of order from image 3 on",
        ),
        (_shorten, r"its images must have shape \(288, 64, 64, 3\), got \(287, 64, 64, 3\)"),
        (_floats, "its images must be uint8, got float32"),
        (_no_labels, "it does not have labels"),
        (_one_scale, "column 3 of its labels must run through 2 levels, got 1"),
    ],
)
def test_another_layout_is_refused(alter: Any, reason: str, tmp_path: Path) -> None:
    arrays = official()
    alter(arrays)
    levels = [range(size) for size in SIZES]
    with pytest.raises(ValueError, match=reason):
        list(read.read_blocks(write(tmp_path / "a.h5", arrays), levels, SIZES, 64))


def test_prepared_images_no_longer_need_the_original(file: Path, tmp_path: Path) -> None:
    first = Shapes3D(values=VALUES).load(tmp_path)
    file.unlink()
    again = Shapes3D(values=VALUES).load(tmp_path)
    assert again.fingerprint == first.fingerprint
    assert Shapes3D(values=VALUES).missing(tmp_path) is None
    assert Shapes3D().missing(tmp_path) is not None


def test_a_set_that_does_not_fit_in_memory_is_mapped_with_the_same_content(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file.exists()
    small = Shapes3D(values=VALUES, resolution=32)
    in_memory = small.load(tmp_path)
    small.cache_file(tmp_path).unlink()  # type: ignore[union-attr]
    monkeypatch.setattr(mapped, "available_memory", lambda: 2 * in_memory.images.nbytes - 2)
    on_disk = small.load(tmp_path)
    assert isinstance(on_disk.images, np.memmap)
    assert not isinstance(in_memory.images, np.memmap)
    assert on_disk.fingerprint == in_memory.fingerprint


def test_an_altered_file_is_refused_before_it_is_read(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(
        ValueError,
        match=r"3dshapes.h5 is not an intact .*checksum mismatch: .*sweeps data download",
    ):
        Shapes3D().load(tmp_path)
    assert not list(tmp_path.glob("*.npy"))


def test_options_choose_levels_of_the_stand_in_too() -> None:
    full = Shapes3D(stand_in=True).load()
    some = Shapes3D(stand_in=True, stride={"shape": 3, "wall_hue": 2}).load()
    assert some.factors is not None
    assert some.factors.sizes == (3, 2, 3, 2, 2, 3)
    rows = full.images.reshape(3, 3, 3, 2, 4, 3, -1)[:, ::2, :, :, ::3]
    np.testing.assert_array_equal(some.images, rows.reshape(len(some), -1))


def test_shapes3d_has_480000_images() -> None:
    assert Shapes3D().outline()[:2] == (480_000, (3, 64, 64))
