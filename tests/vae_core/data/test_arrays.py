"""Files of arrays: any order of axes, any kind of values; errors name the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vae_core import Arrays, Data
from vae_core.data.own_files import pixels

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)  # (N, H, W, C)
FACTORS = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])


def write(folder: Path, suffix: str = ".npz", **arrays: Any) -> str:
    """Write a file of arrays; return its path."""
    path = folder / f"data{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
    return str(path)


def values(data: Data) -> np.ndarray:
    """Return pixel values in [0, 1], (N, C, H, W)."""
    size = int(np.prod(data.shape))
    levels = np.unpackbits(data.images, axis=1)[:, :size] if data.packed else data.images
    return levels.reshape(-1, *data.shape) / data.levels


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
@pytest.mark.parametrize("block", [1, 1 << 26])
def test_bytes_and_factors_of_levels_from_zero_are_unchanged(
    suffix: str, block: int, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(pixels, "_BLOCK", block)
    data = Arrays(path=write(tmp_path, suffix, images=BYTES, factors=FACTORS)).load()
    np.testing.assert_array_equal(data.images, BYTES.transpose(0, 3, 1, 2).reshape(6, -1))
    assert data.factors is not None
    np.testing.assert_array_equal(data.factors.values, FACTORS)
    assert (data.factors.names, data.factors.sizes) == (("factor_0", "factor_1"), (3, 2))
    assert (data.shape, data.levels, data.packed) == ((3, 4, 5), 255, False)


def test_the_two_kinds_of_file_give_the_same_data(tmp_path: Path) -> None:
    npz = Arrays(path=write(tmp_path, ".npz", images=BYTES, factors=FACTORS)).load()
    hdf5 = Arrays(path=write(tmp_path, ".h5", images=BYTES, factors=FACTORS)).load()
    assert npz.fingerprint == hdf5.fingerprint


@pytest.mark.parametrize(
    ("images", "channels", "expected"),
    [
        (BYTES[..., 0], None, BYTES[..., :1].transpose(0, 3, 1, 2)),  # (N, H, W)
        (BYTES, None, BYTES.transpose(0, 3, 1, 2)),  # (N, H, W, C)
        (BYTES.transpose(0, 3, 1, 2), None, BYTES.transpose(0, 3, 1, 2)),  # (N, C, H, W)
        (BYTES, "first", BYTES),  # four channels of 5 x 3 pixels, if the user says so
    ],
)
def test_axes_may_have_any_order(images: Any, channels: Any, expected: Any, tmp_path: Path) -> None:
    data = Arrays(path=write(tmp_path, images=images), channels=channels).load()
    np.testing.assert_array_equal(values(data), expected / 255)


@pytest.mark.parametrize("kind", [np.uint8, np.bool_, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("side", [4, 5])  # 16 pixels fill two bytes, 25 do not
def test_zeros_and_ones_are_binary(kind: Any, side: int, tmp_path: Path) -> None:
    bits = RNG.integers(0, 2, (6, side, side))
    data = Arrays(path=write(tmp_path, images=bits.astype(kind))).load()
    np.testing.assert_array_equal(values(data)[:, 0], bits)
    assert (data.levels, data.packed) == (1, side == 4)


def test_floats_are_rounded_to_255_levels(tmp_path: Path) -> None:
    images = np.array([0, 0.5 / 255 - 1e-6, 0.5 / 255 + 1e-6, 1.0]).reshape(1, 2, 2)
    data = Arrays(path=write(tmp_path, images=images)).load()
    assert (data.images.tolist(), data.levels) == ([[0, 0, 1, 255]], 255)


def test_float_factors_get_levels_by_their_sorted_values(tmp_path: Path) -> None:
    path = write(tmp_path, images=BYTES, factors=np.array([0.5, -1.5, 0.5, 7.25, -1.5, 0.5]))
    factors = Arrays(path=path, factor_names=("angle",)).load().factors
    assert factors is not None
    assert (factors.names, factors.sizes) == (("angle",), (3,))
    assert factors.values[:, 0].tolist() == [1, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_text_gives_the_levels_of_its_values(suffix: str, tmp_path: Path) -> None:
    texts = np.array([["red", "10"], ["blue", "9"], ["red", "0.5"]] * 2)
    texts = texts.astype(object if suffix == ".h5" else "S")
    factors = Arrays(path=write(tmp_path, suffix, images=BYTES, factors=texts)).load().factors
    assert factors is not None
    # blue before red; 0.5 before 9 before 10, which as text would be "0.5", "10", "9"
    assert factors.values.tolist() == [[1, 2], [0, 1], [1, 0]] * 2


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_levels_do_not_depend_on_the_kind_of_float(kind: Any, tmp_path: Path) -> None:
    factors = (FACTORS / 10).astype(kind)
    data = Arrays(path=write(tmp_path, images=BYTES, factors=factors)).load()
    assert data.factors is not None
    np.testing.assert_array_equal(data.factors.values, FACTORS)


def test_values_that_differ_by_rounding_are_one_level_with_a_note(tmp_path: Path) -> None:
    column = np.array([0.3, 0.1 * 3, 0.2, 0.3, 0.2, np.float32(0.3)])
    dataset = Arrays(path=write(tmp_path, images=BYTES, factors=column))
    assert dataset.outline().factor_sizes == (2,)
    (note,) = dataset.notes()
    assert note.startswith("factor 'factor_0': values that differ only by rounding are one level")


def test_a_number_for_every_row_gets_a_note(tmp_path: Path) -> None:
    dataset = Arrays(path=write(tmp_path, images=BYTES, factors=np.arange(6)))
    assert dataset.notes() == (
        "factor 'factor_0': 6 levels in 6 rows; bin it, or its scores say little",
    )


def test_images_that_may_be_transposed_get_a_note(tmp_path: Path) -> None:
    (note,) = Arrays(path=write(tmp_path, images=np.zeros((4, 4, 9), np.uint8))).notes()
    assert note.startswith("'images' of shape (4, 4, 9) is read as 4 images of 4 x 9 pixels")
    assert Arrays(path=write(tmp_path, images=np.zeros((9, 4, 4), np.uint8))).notes() == ()
    as_it_is = write(tmp_path, images=np.zeros((4, 1, 4, 40), np.uint8))
    assert Arrays(path=as_it_is).load().shape == (1, 4, 40)


def test_capitals_in_an_ending_mean_the_same(tmp_path: Path) -> None:
    path = Path(write(tmp_path, images=BYTES))
    assert len(Arrays(path=str(path.rename(tmp_path / "DATA.NPZ"))).load()) == 6


def test_arrays_in_fortran_order_give_the_same_data(tmp_path: Path) -> None:
    by_rows = Arrays(path=write(tmp_path, images=BYTES, factors=FACTORS)).load()
    fortran = {"images": np.asfortranarray(BYTES), "factors": np.asfortranarray(FACTORS)}
    by_columns = Arrays(path=write(tmp_path, **fortran)).load()
    assert by_columns.fingerprint == by_rows.fingerprint


@pytest.mark.parametrize("factors", ["factors", None])
def test_without_factors_there_is_no_ground_truth(factors: str | None, tmp_path: Path) -> None:
    dataset = Arrays(path=write(tmp_path, images=BYTES), factors=factors)
    assert dataset.load().factors is None
    assert dataset.outline().factor_names == ()


def test_keys_of_hdf5_may_have_slashes(tmp_path: Path) -> None:
    path = write(tmp_path, ".h5", **{"train/x": BYTES, "train/z": FACTORS})
    assert len(Arrays(path=path, images="/train/x", factors="train/z").load()) == 6


NAN = np.full((2, 4, 4), np.nan)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"image": BYTES}, {}, "images: unknown key 'images'; did you mean 'image'? known: image"),
        (
            {"images": BYTES},
            {"factors": "labels"},
            "factors: unknown key 'labels'; did you mean 'images'?",
        ),
        (
            {"images": BYTES, "factors": FACTORS[:5]},
            {},
            "'factors' must have one row per image, got 5 rows and 6",
        ),
        (
            {"images": BYTES, "factors": FACTORS},
            {"factor_names": ("a",)},
            "factor_names must be 2, one per column",
        ),
        (
            {"images": BYTES},
            {"factor_names": ("a",)},
            "factor_names are given, but there is no array of factors",
        ),
        (
            {"images": BYTES[0, 0]},
            {},
            "'images' must have shape (N, H, W), (N, H, W, C) or (N, C, H, W), got (5, 3)",
        ),
        ({"images": BYTES[:0]}, {}, "'images' must have shape"),
        (
            {"images": BYTES[..., :2]},
            {},
            "neither end has 1 or 3; give channels: first or channels: last",
        ),
        (
            {"images": BYTES[:, :3]},
            {},
            "both ends have 1 or 3; give channels: first or channels: last",
        ),
        ({"images": NAN}, {}, "'images' must be finite, got NaN or infinity in 32 pixels"),
        (
            {"images": BYTES * 1.0},
            {},
            "'images' must be floats in [0, 1], got 0.0 to 255.0; scale it",
        ),
        (
            {"images": BYTES.astype(int) - 1},
            {},
            "'images' must be whole numbers in 0..255, got -1 to 254",
        ),
        ({"images": BYTES.astype(str)}, {}, "'images' must be bytes or floats in [0, 1], got <U3"),
        (
            {"images": BYTES, "factors": FACTORS + np.nan},
            {},
            "factor 'factor_0' must be finite, got nan in row 0",
        ),
        (
            {"images": BYTES, "factors": FACTORS.astype(complex)},
            {},
            "'factors' must be numbers or text, got complex128",
        ),
        (
            {"images": BYTES, "factors": np.array(["1", "NA", "2", "1", "2", "NA"])},
            {},
            "factor 'factor_0' must have a value in every row, got 'NA' in 2 of 6 rows",
        ),
        (
            {"images": BYTES, "factors": np.stack([np.arange(6) / 7, np.arange(6) / 3], axis=1)},
            {},
            "factor 'factor_0' must be levels, got 6 numbers in 6 rows; bin a continuous factor "
            "first, as in np.digitize(x, np.quantile(x, [0.25, 0.5, 0.75])), or leave it out; "
            "factor 'factor_1' must be levels",
        ),
        (
            {"images": BYTES[..., 0], "factors": FACTORS.T},
            {},
            "'factors' must have one row per image, got 2 rows and 6 images in 'images'; "
            "factors of shape (2, 6) seem to be transposed: the first axis counts images, "
            "but Julia and MATLAB write the axes in reverse order",
        ),
        (
            {"images": BYTES[..., 0].T, "factors": FACTORS},
            {},
            "got 6 rows and 5 images in 'images'; images of shape (5, 4, 6) seem to be transposed",
        ),
        (
            {"images": BYTES[..., 0].T, "factors": FACTORS.T},
            {},
            "both, of shapes (2, 6) and (5, 4, 6), seem to be transposed",
        ),
        (
            {"images": BYTES.T},
            {},
            "'images' has shape (3, 5, 4, 6), which seems to be (channels, width, height, images)",
        ),
        (
            {"images": np.moveaxis(BYTES, 0, -1)},
            {},
            "which seems to be (height, width, channels, images); the first axis counts images: "
            "numpy.moveaxis(array, -1, 0)",
        ),
        (
            {"images": np.zeros((4, 4, 40), np.uint8)},
            {},
            "which seems to be (width, height, images)",
        ),
        (
            {"images": BYTES[:2], "factors": np.arange(6).reshape(2, 3)},
            {},
            "'factors' must have at least as many rows as factors, got shape (2, 3)",
        ),
        (
            {"images": BYTES, **{f"key{k}": BYTES for k in range(20)}},
            {"images": "imags"},
            "did you mean 'images'? known: images, key0, key1, key2, key3, key4, key5, key6, key7, "
            "key8, and 11 more",
        ),
    ],
)
def test_an_error_names_file_key_and_rule(
    arrays: Any, options: Any, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, **arrays)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        Arrays(path=path, **options).load()
    assert message in str(caught.value)
    assert str(caught.value).startswith(path)


def test_too_many_levels_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path, images=np.zeros((5000, 2, 2), np.uint8), factors=np.arange(5000) / 7)
    with pytest.raises(
        ValueError,
        match=r"'factor_0' must have at most 4096 levels, got 5000; bin it \(np.digitize\)",
    ):
        Arrays(path=path).outline()


@pytest.mark.parametrize("key", ["images", "factors"])
def test_nothing_is_unpickled(key: str, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "exploded",))

    bombs = np.empty((6, 4, 5), object)
    bombs[:] = Bomb()
    arrays = {"images": BYTES, "factors": FACTORS}
    arrays[key] = bombs if key == "images" else bombs[:, 0]
    path = write(tmp_path, **arrays)
    with pytest.raises(ValueError, match=r"object"):
        Arrays(path=path).load()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_truncated_file_is_refused(suffix: str, tmp_path: Path) -> None:
    path = Path(write(tmp_path, suffix, images=BYTES, factors=FACTORS))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match=rf"data\{suffix}: "):
        Arrays(path=str(path)).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "a.csv"}, "path must end in one of .npz, .h5, .hdf5, got 'a.csv'"),
        (
            {"path": "a.pt"},
            "got 'a.pt'; convert it:\n"
            "    import numpy, torch; data = torch.load('a.pt', map_location='cpu')\n"
            "    numpy.savez('a.npz', images=data['images'], factors=data['factors'])",
        ),
        ({"path": 3}, "path must be text, got 3"),
        (
            {"path": "a.npz", "factor_names": ("a", "a")},
            "factor_names must give a name once, got a more than once",
        ),
        ({"path": "a.npz", "factor_names": "ab"}, "factor_names must be a list of names, got 'ab'"),
        (
            {"path": "a.npz", "channels": "middle"},
            "channels must be one of first, last, got 'middle'",
        ),
    ],
)
def test_an_invalid_option_is_refused_with_its_rule(options: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        Arrays(**options)
    assert message in str(caught.value)


def test_an_outline_reads_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "quantised", None)
    outline = Arrays(path=write(tmp_path, images=BYTES, factors=FACTORS)).outline()
    assert outline[:4] == (6, (3, 4, 5), ("factor_0", "factor_1"), (3, 2))
    assert outline.levels is None  # only the images tell whether they are binary
