"""MNIST: the original files are read to the byte; any other file is refused with a reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vae_core import MNIST, load_data
from vae_core.data.mnist import read_idx


@pytest.fixture
def folder(real_file: Callable[[str], Path]) -> str:
    return str(real_file("mnist"))


def write_idx(path: Path, values: np.ndarray, *, header: bytes | None = None) -> Path:
    axes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(
        gzip.compress((header or bytes((0, 0, 8, values.ndim))) + axes + values.tobytes())
    )
    return path


def test_the_published_files_give_the_published_digits(folder: str) -> None:
    data = load_data("mnist", path=folder, split="all")
    assert data.factors is not None
    counts = np.bincount(data.factors.values[:, 0])
    # of train and test together, as published with the data
    assert counts.tolist() == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
    assert data.factors.values[:5, 0].tolist() == [5, 0, 4, 1, 9]
    # the mean by which the field normalises
    assert round(float(data.images[:60_000].mean()) / 255, 4) == 0.1307
    assert (len(data), data.shape, data.packed, data.levels) == (70_000, (1, 28, 28), False, 255)


def test_train_and_test_are_the_two_parts_of_all(folder: str) -> None:
    train = load_data("mnist", path=folder, split="train")
    test = load_data("mnist", path=folder, split="test")
    both = load_data("mnist", path=folder, split="all")
    assert (len(train), len(test)) == (60_000, 10_000)
    np.testing.assert_array_equal(np.concatenate([train.images, test.images]), both.images)
    assert len({train.fingerprint, test.fingerprint, both.fingerprint}) == 3


def test_binary_pixels_are_packed_and_32_pixels_have_a_black_margin() -> None:
    original = MNIST(stand_in=True).load()
    wide = MNIST(stand_in=True, resolution=32, binary=True).load()
    assert (wide.packed, wide.levels, wide.images.shape) == (True, 1, (200, 128))
    pixels = np.unpackbits(wide.images, axis=1).reshape(-1, 32, 32)
    expected = original.images.reshape(-1, 28, 28) >= 128
    np.testing.assert_array_equal(pixels[:, 2:-2, 2:-2], expected)
    assert pixels.sum() == pixels[:, 2:-2, 2:-2].sum()


def test_a_small_idx_file_is_read(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(read_idx(write_idx(tmp_path / "a.gz", values), (2, 3, 4)), values)


@pytest.mark.parametrize(
    ("header", "shape", "reason"),
    [
        # 13 is the code of floats
        (bytes((0, 0, 13, 2)), (2, 3), "its idx header must say 2 axes of bytes, got 00000d02"),
        (None, (2, 4), r"it must have shape \(2, 4\), got \(2, 3\)"),
    ],
)
def test_another_layout_is_refused(
    header: bytes | None, shape: tuple[int, ...], reason: str, tmp_path: Path
) -> None:
    path = write_idx(tmp_path / "a.gz", np.zeros((2, 3), np.uint8), header=header)
    with pytest.raises(ValueError, match=reason):
        read_idx(path, shape)


def test_a_label_that_is_not_a_digit_is_refused(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "a.gz", np.array([3, 10], np.uint8))
    with pytest.raises(ValueError, match="its values must be below 10, got 10"):
        read_idx(path, (2,), below=10)


def test_an_altered_file_is_refused_with_both_checksums_and_the_remedy(
    folder: str, tmp_path: Path
) -> None:
    for path in Path(folder).glob("t10k*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-9])
    with pytest.raises(
        ValueError,
        match=r"t10k-labels.*checksum mismatch: it is md5:.*, expected md5:ec29.*"
        r"`sweeps data download mnist`",
    ):
        MNIST(path=str(tmp_path), split="test").load()


def test_a_missing_file_is_named_with_address_and_checksum(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"mnist: path must lead to train-images.*\(nor 1 more\).*https://.*md5:f68b",
    ):
        MNIST(path=str(tmp_path)).load()
    missing = MNIST(split="test").missing(tmp_path)
    assert missing is not None
    assert str(tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz") in missing
