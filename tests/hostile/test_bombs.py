"""Files of a few bytes that promise much: refused before anything of it is read."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import file_mutations as mutations
import h5py
import numpy as np
import pytest
from mini_sweep import conductor, play, spec
from stuck import alarm, bounded_memory
from typer.testing import CliRunner

from sweeps.cli.app import app
from sweeps.scoring import codes_file
from sweeps.scoring.codes_file import CodesFileError
from vae_core import Arrays
from vae_core.data.cache import mapped
from vae_core.data.own_files.array_sizes import require_bytes
from vae_core.data.own_files.tables import Table


def write(path: Path, **members: bytes) -> Path:
    path.write_bytes(mutations.zipped({f"{key}.npy": value for key, value in members.items()}))
    return path


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_table_of_factors_that_is_a_zip_bomb_is_not_unpacked_for_an_outline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "available_memory", lambda: 64 << 20)
    rows = mutations.BOMB_BYTES // 12  # that of the bomb: a row has three numbers of four bytes
    images = mutations.npy_header((rows, 1, 1), "|u1")[:-64] + bytes(rows)
    path = write(tmp_path / "x.npz", images=images, factors=mutations.bomb_npy())
    assert path.stat().st_size < 100_000
    with bounded_memory(), pytest.raises(ValueError, match="half of the free memory") as caught:
        Arrays(path=str(path)).outline()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "descr", "rule"),
    [
        ((10**12, 3), "<f4", "it is truncated: shape"),
        ((2**62, 2**62), "<f4", "it is truncated: shape"),
        ((10**9, 2), "<U0", "must have elements of at least one byte"),
    ],
)
def test_an_npz_with_a_header_that_promises_too_much_is_refused(
    tmp_path: Path, shape: tuple[int, ...], descr: str, rule: str
) -> None:
    good = npy(np.arange(24).reshape(12, 2) % 3)
    codes = write(tmp_path / "codes.npz", mean=mutations.npy_header(shape, descr), factors=good)
    with bounded_memory(), pytest.raises(CodesFileError, match=f"mean cannot be read .{rule}"):
        codes_file.read(codes)


@pytest.mark.parametrize("number", [0x110000, 0xFFFFFFFF, 0xD800])
def test_a_text_of_numbers_that_are_no_characters_is_refused(tmp_path: Path, number: int) -> None:
    texts = npy(np.array([["a"], ["b"]] * 6)).replace(b"a\0\0\0", number.to_bytes(4, "little"))
    pixels = npy(np.zeros((12, 4, 5), np.uint8))
    images = write(tmp_path / "images.npz", images=pixels, factors=texts)
    with pytest.raises(ValueError, match=f"characters of Unicode, got {number:#x}"):
        Arrays(path=str(images)).load()
    codes = write(tmp_path / "codes.npz", mean=npy(np.ones((12, 2))), factors=texts)
    with pytest.raises(CodesFileError, match=f"characters of Unicode, got {number:#x}"):
        codes_file.read(codes)


def test_an_hdf5_file_that_leads_to_another_file_is_refused(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret.h5", tmp_path / "x.h5"
    with h5py.File(secret, "w") as file:
        file["mean"] = np.ones((12, 3))
    for link in ("external link", "external values", "virtual"):
        with h5py.File(path, "w") as file:
            file["factors"] = np.arange(12)[:, None] % 3
            if link == "external link":
                file["mean"] = h5py.ExternalLink(str(secret), "/mean")
            elif link == "external values":
                file.create_dataset("mean", (12, 3), "u1", external=[(str(secret), 0, 36)])
            else:
                layout = h5py.VirtualLayout((12, 3), "f8")
                layout[:] = h5py.VirtualSource(str(secret), "mean", (12, 3))
                file.create_virtual_dataset("mean", layout)
        with pytest.raises(CodesFileError, match="another file"):
            codes_file.read(path)


def test_what_fits_into_half_of_the_free_memory_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "available_memory", lambda: 2000)
    require_bytes(1000, "a table")
    with pytest.raises(ValueError, match="must fit into half of the free memory"):
        require_bytes(1001, "a table")


def test_repeated_names_of_many_columns_are_found_in_one_pass() -> None:
    names = [f"c{k}" for k in range(200_000)]  # 4e10 comparisons if each is compared with each
    columns = SimpleNamespace(column_names=[*names, "c7"], num_rows=0)
    with alarm(10), pytest.raises(ValueError, match="'c7' is there more than once"):
        Table(columns, [])


@pytest.mark.parametrize("command", ["status", "runs", "report", "doctor"])
def test_a_name_that_is_no_utf8_is_an_unknown_name(command: str, tmp_path: Path) -> None:
    sweep = conductor(spec(), tmp_path)
    play(sweep)
    sweep._ledger.close()
    result = CliRunner().invoke(app, [command, "\udcff", "--workspace", str(tmp_path)])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "unknown sweep" in result.stderr
