"""SmallNORB: its binary matrices are read and put in index order."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_core import SmallNORB
from vae_core.data.original_files import Remote, digest_of
from vae_core.data.smallnorb import dataset as smallnorb
from vae_core.data.smallnorb.read import Parts, read_grid

# Categories, elevations, azimuths and lightings of small files with the original layout.
VIEWS = (2, 2, 3, 2)
INSTANCES = {"train": (1, 3), "test": (0, 2)}
MAGIC = {np.dtype("u1"): 0x1E3D4C55, np.dtype("<i4"): 0x1E3D4C54}


def level(category: int, elevation: int, azimuth: int, lighting: int, instance: int) -> int:
    """Return the level of all pixels of a left image: odd, and different for every image."""
    cell = (category, elevation, azimuth, lighting, instance)
    return 2 * int(np.ravel_multi_index(cell, (*VIEWS, 4))) + 1


def matrix(values: np.ndarray) -> bytes:
    """Return a matrix in the original format, with a header of at least three sizes."""
    sizes = [*values.shape, 1, 1][: max(3, values.ndim)]
    header = np.array([MAGIC[values.dtype], values.ndim, *sizes], "<i4")
    return header.tobytes() + values.tobytes()


def arrays(split: str) -> dict[str, np.ndarray]:
    """Return the three arrays of a split in random order; a right image is the left image + 1."""
    cells = np.array(list(np.ndindex(*VIEWS, 2)))
    cells = cells[np.random.default_rng(0).permutation(len(cells))]
    cells[:, 4] = np.array(INSTANCES[split])[cells[:, 4]]
    left = np.array([level(*cell) for cell in cells], np.uint8)
    pairs = np.stack([left, left + 1], axis=1)
    dat = np.broadcast_to(pairs[..., None, None], (len(cells), 2, 96, 96))
    category, elevation, azimuth, lighting, instance = cells.astype("<i4").T
    info = np.stack([instance, elevation, 2 * azimuth, lighting], axis=1)
    return {"dat": np.ascontiguousarray(dat), "cat": category.copy(), "info": info}


def write(folder: Path, split: str, matrices: dict[str, np.ndarray]) -> Parts:
    """Write the files of a split; return their paths."""
    for kind, values in matrices.items():
        (folder / f"{split}-{kind}.gz").write_bytes(gzip.compress(matrix(values), 1))
    return Parts(*(folder / f"{split}-{kind}.gz" for kind in ("dat", "cat", "info")))


@pytest.mark.parametrize("right", [False, True])
def test_images_are_in_index_order(right: bool, tmp_path: Path) -> None:
    parts = [write(tmp_path, split, arrays(split)) for split in INSTANCES]
    images = read_grid(parts, VIEWS, range(4), right=right)
    expected = [level(*cell) + right for cell in np.ndindex(*VIEWS, 4)]
    assert images.shape == (96, 64 * 64)
    flat_images = np.repeat(np.array(expected, np.uint8)[:, None], 64 * 64, axis=1)
    np.testing.assert_array_equal(images, flat_images)


def test_instances_of_a_split_are_numbered_from_zero(tmp_path: Path) -> None:
    images = read_grid([write(tmp_path, "train", arrays("train"))], VIEWS, (1, 3), right=False)
    assert images[:2, 0].tolist() == [level(0, 0, 0, 0, 1), level(0, 0, 0, 0, 3)]


def _odd(matrices: dict[str, np.ndarray]) -> None:
    matrices["info"][0, 2] = 3


def _twice(matrices: dict[str, np.ndarray]) -> None:
    matrices["info"][0], matrices["cat"][0] = matrices["info"][1], matrices["cat"][1]


def _another_toy(matrices: dict[str, np.ndarray]) -> None:
    matrices["info"][0, 0] = 2


def _another_category(matrices: dict[str, np.ndarray]) -> None:
    matrices["cat"][0] = 7


def _fewer(matrices: dict[str, np.ndarray]) -> None:
    matrices["dat"] = matrices["dat"][1:]


def _short_info(matrices: dict[str, np.ndarray]) -> None:
    matrices["info"] = matrices["info"][1:]


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (_odd, "azimuths of train-info.gz must be even, got 3"),
        (
            _twice,
            r"every cell of the grid \(2, 2, 3, 2, 2\) must have one image, got a cell with [02]",
        ),
        (_another_toy, r"instances of train-info.gz must be of \(1, 3\), got 2"),
        (_another_category, "category must have levels from 0 to 1, got 0 to 7"),
        (
            _fewer,
            r"train-dat.gz must hold bytes of shape \(48, 2, 96, 96\), got uint8 \(47, 2, 96, 96\)",
        ),
        (_short_info, r"train-info.gz must have shape \(48, 4\), got \(47, 4\)"),
    ],
)
def test_another_content_is_refused(alter: Any, reason: str, tmp_path: Path) -> None:
    matrices = arrays("train")
    alter(matrices)
    with pytest.raises(ValueError, match=reason):
        read_grid([write(tmp_path, "train", matrices)], VIEWS, (1, 3), right=False)


def test_another_format_is_refused(tmp_path: Path) -> None:
    parts = write(tmp_path, "train", arrays("train"))
    parts.cat.write_bytes(gzip.compress(bytes(40)))
    with pytest.raises(
        ValueError,
        match=r"the magic number of train-cat\.gz must be one of 1e3d4c55, 1e3d4c54, got 00000000",
    ):
        read_grid([parts], VIEWS, (1, 3), right=False)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of small files that pass as the originals."""
    remotes: list[Remote] = []
    for split in INSTANCES:
        for path in write(tmp_path, split, arrays(split)):
            url = f"http://example/{path.name}"
            remotes.append(Remote(path.name, url, digest_of(path, "sha256")))
    monkeypatch.setattr(SmallNORB, "remotes", tuple(remotes))
    monkeypatch.setattr(smallnorb, "_STEMS", {"train": "train", "test": "test"})
    monkeypatch.setattr(smallnorb, "_VIEWS", dict(zip(smallnorb._VIEWS, VIEWS, strict=True)))
    monkeypatch.setattr(smallnorb, "_INSTANCES", {**INSTANCES, "all": range(4)})
    return tmp_path


def test_every_split_and_camera_has_other_content_and_another_file(small: Path) -> None:
    sets = [SmallNORB(path=str(small)), SmallNORB(path=str(small), camera="right")]
    sets += [SmallNORB(path=str(small), split="train"), SmallNORB(path=str(small), split="test")]
    loaded = [dataset.load(small) for dataset in sets]
    assert [len(data) for data in loaded] == [96, 96, 48, 48]
    assert len({data.fingerprint for data in loaded}) == 4
    assert len({dataset.cache_file(small) for dataset in sets}) == 4


def test_a_truncated_file_is_refused_with_the_reason(small: Path) -> None:
    dat = small / "train-dat.gz"
    dat.write_bytes(dat.read_bytes()[:-20])
    with pytest.raises(
        ValueError, match=r"train-dat\.gz is not an intact .*checksum mismatch.*download smallnorb"
    ):
        SmallNORB(path=str(small)).load(small)
    parts = Parts(dat, small / "train-cat.gz", small / "train-info.gz")
    with pytest.raises(EOFError):  # the reader notices it too, without a checksum
        read_grid([parts], VIEWS, (1, 3), right=False)


def test_smallnorb_has_48600_images() -> None:
    assert SmallNORB().outline()[:2] == (48_600, (1, 64, 64))
    assert SmallNORB(split="test").outline().factor_sizes == (5, 9, 18, 6, 5)
