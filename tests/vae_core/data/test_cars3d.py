"""Cars3D: the meshes of the archive are put in index order by the names of their files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from vae_core import Cars3D
from vae_core.data.cars3d import dataset
from vae_core.data.cars3d.read import read_meshes
from vae_core.data.original_files import Remote, digest_of

SIZES = (2, 3, 2)  # elevations, azimuths, objects of a small archive with the original layout


def level(elevation: int, azimuth: int, model: int) -> int:
    """Return the level of all pixels of an image; no two images have the same."""
    return 10 + 100 * model + 20 * azimuth + 5 * elevation


def meshes() -> dict[str, dict[str, Any]]:
    """Return the files of flat images by name, the later model first: not in sorted order."""
    files: dict[str, dict[str, Any]] = {}
    for model in (1, 0):
        im = np.empty((128, 128, 3, 3, 2), np.uint8)
        for azimuth in range(3):
            for elevation in range(2):
                im[..., azimuth, elevation] = level(elevation, azimuth, model)
        im[:, 64:, 0] = 0  # the right half has no red
        files[f"data/cars/car_{model:03}_mesh.mat"] = {"im": im, "mask": np.zeros((2, 2))}
    return files


def write(path: Path, files: dict[str, dict[str, Any]]) -> Path:
    """Write an archive with these files and one of another folder."""
    with tarfile.open(path, "w:gz") as archive:
        for name, arrays in {**files, "data/sprites/other.mat": {"im": np.zeros(3)}}.items():
            content = io.BytesIO()
            scipy.io.savemat(content, arrays, do_compression=True)
            member = tarfile.TarInfo(name)
            member.size = len(content.getvalue())
            archive.addfile(member, io.BytesIO(content.getvalue()))
    return path


def accept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file pass as the original."""
    remote = Remote("a.tar.gz", "http://example/a.tar.gz", digest_of(path, "md5"))
    monkeypatch.setattr(Cars3D, "remotes", (remote,))


def test_images_are_in_index_order(tmp_path: Path) -> None:
    images = read_meshes(write(tmp_path / "a.tar.gz", meshes()), SIZES).reshape(*SIZES, 3, 64, 64)
    for cell in np.ndindex(*SIZES):
        assert (images[cell][1:] == level(*cell)).all()  # green and blue are flat


def test_rows_stay_rows_and_colours_come_first(tmp_path: Path) -> None:
    red = read_meshes(write(tmp_path / "a.tar.gz", meshes()), SIZES).reshape(-1, 3, 64, 64)[0, 0]
    # Lanczos' filter is three small pixels wide: farther from the edge, both halves are flat.
    assert (red[:, :28] == level(0, 0, 0)).all()
    assert (red[:, 36:] == 0).all()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (
            "im",
            np.zeros((128, 128, 3, 2, 2), np.uint8),
            r"must hold an array im of uint8 \(128, 128, 3, 3, 2\), got",
        ),
        ("im", np.zeros((128, 128, 3, 3, 2), np.float64), "got float64"),
        ("other", np.zeros(3), "got none"),
    ],
)
def test_a_mesh_of_another_layout_is_refused(
    key: str, value: Any, reason: str, tmp_path: Path
) -> None:
    files = meshes() | {"data/cars/car_001_mesh.mat": {key: value}}
    with pytest.raises(ValueError, match=rf"car_001_mesh\.mat .*{reason}"):
        read_meshes(write(tmp_path / "a.tar.gz", files), SIZES)


def test_another_number_of_objects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it must hold 3 files cars/\*\.mat, got 2"):
        read_meshes(write(tmp_path / "a.tar.gz", meshes()), (2, 3, 3))


def test_a_damaged_archive_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.tar.gz", meshes())
    path.write_bytes(path.read_bytes()[:3000])
    # The checksum is that of the damaged file: the reader itself must notice the damage.
    accept(path, monkeypatch)
    with pytest.raises(
        ValueError, match=r"a\.tar\.gz is not an intact a\.tar\.gz: .*`sweeps data download cars3d`"
    ):
        Cars3D(path=str(path)).load(tmp_path)


def test_the_second_load_needs_no_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tar.gz", meshes())
    accept(path, monkeypatch)
    monkeypatch.setattr(dataset, "SIZES", dict(zip(dataset.SIZES, SIZES, strict=True)))
    first = Cars3D(path=str(path)).load(tmp_path)
    path.unlink()
    assert Cars3D(path=str(path)).load(tmp_path).fingerprint == first.fingerprint


def test_cars3d_has_17568_images() -> None:
    assert Cars3D().outline()[:2] == (17_568, (3, 64, 64))
