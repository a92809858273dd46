"""The official files of dSprites are read to the bit; any other file is refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vae_core.data import DSprites
from vae_core.data.dsprites.read import read_blocks
from vae_core.data.dsprites.render import SIZES, render_blocks

# The first levels of each factor, in a small file with the official layout.
SMALL = (2, 3, 2, 4, 5)
CHOSEN = [(0, 1), (2,), (0, 1), (1, 3), (0, 2, 4)]


@pytest.fixture
def official() -> dict[str, Any]:
    """Return the arrays of a small file, by their names in the official .npz."""
    packed = np.concatenate(list(render_blocks([range(size) for size in SMALL])))
    classes = np.indices((1, *SMALL)).reshape(6, -1).T
    return {
        "metadata": np.array({"title": "an object array, as in the official file"}, dtype=object),
        "imgs": np.unpackbits(packed, axis=1).reshape(-1, 64, 64),
        "latents_classes": classes.astype(np.int64),
        "latents_values": classes.astype(np.float64),
    }


def write_npz(path: Path, arrays: dict[str, Any]) -> str:
    np.savez_compressed(path, **arrays)
    return str(path)


def write_hdf5(path: Path, arrays: dict[str, Any]) -> str:
    with h5py.File(path, "w") as file:
        file["imgs"] = arrays["imgs"]
        file["latents/classes"] = arrays["latents_classes"]
        file["latents/values"] = arrays["latents_values"]
    return str(path)


WRITERS = {".npz": write_npz, ".hdf5": write_hdf5}


def chosen_images(path: str) -> Any:
    return np.concatenate(list(read_blocks(path, CHOSEN, SMALL)))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_gives_the_chosen_images(
    suffix: str, official: dict[str, Any], tmp_path: Path
) -> None:
    path = WRITERS[suffix](tmp_path / f"small{suffix}", official)
    np.testing.assert_array_equal(chosen_images(path), np.concatenate(list(render_blocks(CHOSEN))))


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_image_that_differs_from_its_drawing_in_one_pixel_is_kept(
    suffix: str, official: dict[str, Any], tmp_path: Path
) -> None:
    first_chosen = np.ravel_multi_index((0, 2, 0, 1, 0), SMALL)
    official["imgs"][first_chosen, 5, 5] ^= 1
    images = np.unpackbits(
        chosen_images(WRITERS[suffix](tmp_path / f"small{suffix}", official)), axis=1
    )
    drawn = np.unpackbits(np.concatenate(list(render_blocks(CHOSEN))), axis=1)
    assert np.argwhere(images != drawn).tolist() == [[0, 5 * 64 + 5]]


def _swap(arrays: dict[str, Any]) -> None:
    arrays["latents_classes"][[3, 4]] = arrays["latents_classes"][[4, 3]]


def _gray(arrays: dict[str, Any]) -> None:
    arrays["imgs"] *= 255


def _invert(arrays: dict[str, Any]) -> None:
    arrays["imgs"] ^= 1


def _floats(arrays: dict[str, Any]) -> None:
    arrays["imgs"] = arrays["imgs"].astype(np.float32)


def _shorten(arrays: dict[str, Any]) -> None:
    arrays["imgs"] = arrays["imgs"][:-1]


def _fewer_factors(arrays: dict[str, Any]) -> None:
    arrays["latents_classes"] = arrays["latents_classes"][:, 1:]


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (
            _swap,
            r"official order, got latent classes \[0, 0, 0, 0, 0, 4\] at image 3 "
            r"where \[0, 0, 0, 0, 0, 3\] belong",
        ),
        (_gray, "pixels must be 0 or 1, got 255"),
        (_invert, r"image 8\d differs from dSprites' image of that index in \d+ pixels"),
        (_floats, "imgs must be uint8, got float32"),
        (_shorten, r"imgs must have shape \(240, 64, 64\), got \(239, 64, 64\)"),
        (_fewer_factors, r"latent classes must have shape \(240, 6\), got \(240, 5\)"),
    ],
)
def test_an_altered_file_is_refused_with_reason_and_remedy(
    alter: Any, reason: str, suffix: str, official: dict[str, Any], tmp_path: Path
) -> None:
    alter(official)
    path = WRITERS[suffix](tmp_path / f"small{suffix}", official)
    with pytest.raises(
        ValueError, match=rf"small{suffix} .*{reason}.*built-in renderer needs no file"
    ):
        chosen_images(path)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_truncated_file_is_refused(suffix: str, official: dict[str, Any], tmp_path: Path) -> None:
    path = Path(WRITERS[suffix](tmp_path / f"small{suffix}", official))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=rf"small{suffix} is not an intact official dSprites file"):
        chosen_images(str(path))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_without_images_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"other{suffix}"
    if suffix == ".npz":
        np.savez(path, x=np.zeros(3))
    else:
        h5py.File(path, "w").close()
    with pytest.raises(
        ValueError, match=r"other.* is not an intact official dSprites file: .*classes"
    ):
        chosen_images(str(path))


@pytest.mark.parametrize("array", ["imgs", "latents_classes"])
def test_nothing_is_unpickled(array: str, official: dict[str, Any], tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    official[array] = np.array([Bomb()], dtype=object)
    with pytest.raises(ValueError, match="not an intact official dSprites file"):
        chosen_images(write_npz(tmp_path / "bad.npz", official))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_missing_file_is_named(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"gone{suffix} does not exist; .*needs no file"):
        DSprites(path=str(tmp_path / f"gone{suffix}")).load(tmp_path)


def test_an_official_file_and_the_renderer_give_the_same_data(tmp_path: Path) -> None:
    values = {"shape": (1,), "scale": (5,), "orientation": (2,), "pos_x": (0, 9), "pos_y": (7, 8)}
    block = (1 * 6 + 5) * 40 + 2  # the only block written; HDF5 leaves the others out of the file
    with h5py.File(tmp_path / "full.hdf5", "w") as file:
        imgs = file.create_dataset(
            "imgs", (737_280, 64, 64), np.uint8, chunks=(1024, 64, 64), compression=1
        )
        (drawn,) = render_blocks([(1,), (5,), (2,), range(32), range(32)])
        imgs[block * 1024 : (block + 1) * 1024] = np.unpackbits(drawn).reshape(1024, 64, 64)
        classes = np.indices((1, *SIZES), np.int8).reshape(6, -1).T
        file.create_dataset("latents/classes", data=classes, compression=1)
    path = str(tmp_path / "full.hdf5")
    from_file = DSprites(path=path, values=values, resolution=32).load(tmp_path)
    drawn = DSprites(values=values, resolution=32).load(tmp_path)
    assert from_file.fingerprint == drawn.fingerprint
    np.testing.assert_array_equal(from_file.images, drawn.images)
    assert len(list(tmp_path.glob("*.npy"))) == 2  # one per source
