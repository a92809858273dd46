"""A mutated file is read, or refused with an error of the user that names it; nothing else."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import codes_files
import file_mutations as mutations
import numpy as np
import pandas as pd
import pytest
from local_actor import FakeStore, actor, step
from mini_sweep import MINI
from PIL import Image
from stuck import alarm, bounded_memory

from sweeps.driver import trial_actor
from sweeps.scoring import codes_file
from sweeps.scoring.codes_file import CodesFileError
from sweeps.spec.errors import SpecError
from sweeps.spec.load import spec_from_mapping
from vae_core import Arrays, ImageFolder, checkpoint
from vae_core.data.cache import mapped

ROWS = 12


class Kind(NamedTuple):
    """A kind of file: a good one, its ending, how it is changed in structure, and its reader.

    The reader returns whether the file was read, and False if it was refused; it raises anything
    that a user should not see.
    """

    content: bytes
    suffix: str
    change: Callable[[random.Random, bytes], bytes]
    read: Callable[[Path], bool]


def refused(error: ValueError, *files: Path) -> bool:
    """Return False for an error of the user: it has a text that can be printed and names a file."""
    text = str(error)
    assert text.strip()
    assert text.encode()
    assert len(text) < 5000, text
    assert not files or any(str(file) in text for file in files), text
    return False


def read_codes(path: Path) -> bool:
    try:
        file = codes_file.read(path)
    except CodesFileError as error:
        return refused(error, path)
    assert np.isfinite(file.codes.mean).all()
    assert file.factors is None or len(file.factors.values) == len(file.codes)
    return True


def read_checkpoint(path: Path) -> bool:
    try:
        saved = checkpoint.loads(path.read_bytes())
    except ValueError as error:
        return refused(error)
    assert saved.state.epoch == saved.report["epoch"] >= 1
    return True


def read_weights(path: Path) -> bool:
    try:
        checkpoint.load_weights_file(path.read_bytes())
    except ValueError as error:
        return refused(error)
    return True


def read_arrays(path: Path) -> bool:
    dataset = Arrays(path=str(path))
    try:
        outline = dataset.outline()
        data = dataset.load()
    except ValueError as error:
        return refused(error, path)
    assert (outline.images, outline.shape) == (len(data.images), data.shape)
    dataset.notes()
    return True


def read_folder(path: Path) -> bool:
    """Read a folder of images whose table, or whose first image, is the file."""
    folder = path.parent / "images"
    folder.mkdir(exist_ok=True)
    table = {"file": [f"{row}.png" for row in range(3)], "shape": ["a", "b", "a"]}
    for row in range(3):
        Image.new("RGB", (6, 4), (row, 5, 9)).save(folder / f"{row}.png")
    pd.DataFrame(table).to_csv(folder / "factors.csv", index=False)
    if path.suffix == ".png":
        path.replace(folder / "0.png")
        dataset = ImageFolder(path=str(folder))
    else:
        dataset = ImageFolder(path=str(folder), table=str(path))
    try:
        dataset.outline()
        dataset.load()
    except ValueError as error:
        return refused(error, folder, path)
    dataset.notes()
    return True


def read_factor_table(path: Path) -> bool:
    """Read a spec whose trials draw their factors by the weights of the file."""
    mapping = {**MINI, "train": {**MINI["train"], "factor_table": str(path)}}
    try:
        spec_from_mapping(mapping, files=False)
    except SpecError as error:
        return refused(ValueError(str(error)))
    return True


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    """Return every kind of file; checkpoint, weights and codes are those of a tiny trial."""
    folder = tmp_path_factory.mktemp("files")
    store = FakeStore()
    patch = pytest.MonkeyPatch()
    from local_actor import fake_ray

    patch.setattr(trial_actor, "ray", fake_ray())
    try:
        made = actor(store, epochs=1)
        assert step(made)["final"]
    finally:
        patch.undo()
    rng = np.random.default_rng(0)
    arrays = {
        "images": rng.integers(0, 256, (ROWS, 4, 5), dtype=np.uint8),
        "factors": np.stack([np.arange(ROWS) % 3, np.arange(ROWS) // 3], axis=1),
    }
    texts = {**arrays, "factors": np.array([["a", "1"], ["b", "2"]] * (ROWS // 2))}
    table = pd.DataFrame({"file": [f"{row}.png" for row in range(3)], "shape": ["a", "b", "a"]})
    picture = io.BytesIO()
    Image.effect_noise((6, 4), 50).convert("RGB").save(picture, "PNG")
    good = {name: write(folder).read_bytes() for name, write in codes_files.WRITERS.items()}
    csv = codes_files.TEXT_WRITERS["csv"](folder).read_bytes()

    def written(write: Callable[..., Any], **content: Any) -> bytes:
        return Path(write(folder / "x", **content)).read_bytes()

    npz, hdf5 = mutations.mutated_npz, mutations.mutated_hdf5
    return {
        "codes.npz": Kind(good["npz"], ".npz", npz, read_codes),
        "codes of a trial": Kind(store.files["codes.npz"], ".npz", npz, read_codes),
        "codes.h5": Kind(good["h5"], ".h5", hdf5, read_codes),
        "codes.parquet": Kind(good["parquet"], ".parquet", mutations.mutated_parquet, read_codes),
        "codes.csv": Kind(csv, ".csv", mutations.mutated_csv, read_codes),
        "checkpoint": Kind(
            store.checkpoints[max(store.checkpoints)],
            ".ckpt",
            mutations.mutated_checkpoint,
            read_checkpoint,
        ),
        "weights.pt": Kind(
            store.files["weights.pt"], ".pt", mutations.mutated_weights, read_weights
        ),
        "images.npz": Kind(mutations.npz_bytes(arrays), ".npz", npz, read_arrays),
        "texts.npz": Kind(mutations.npz_bytes(texts), ".npz", npz, read_arrays),
        "images.h5": Kind(written(codes_files.hdf5, **arrays), ".h5", hdf5, read_arrays),
        "factors.csv": Kind(
            table.to_csv(index=False).encode(), ".csv", mutations.mutated_csv, read_folder
        ),
        "factors.parquet": Kind(
            table.to_parquet(), ".parquet", mutations.mutated_parquet, read_folder
        ),
        "factor table": Kind(
            b"shape,weight\n0,2.5\n1,0\n2,1e-3\n",
            ".csv",
            mutations.mutated_csv,
            read_factor_table,
        ),
        "image.png": Kind(picture.getvalue(), ".png", mutations.mutated_bytes, read_folder),
    }


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that 64 MiB are free: half of them do not hold the zip bombs."""
    monkeypatch.setattr(mapped, "available_memory", lambda: 64 << 20)


def run_seeds(seeds: range, kinds: dict[str, Kind], folder: Path) -> dict[str, int]:
    """Return how many files were read, and how many refused; each seed takes the next kind."""
    outcomes = {"read": 0, "refused": 0}
    failures: list[str] = []
    names = list(kinds)
    for seed in seeds:
        rng, name = random.Random(seed), names[seed % len(names)]
        kind = kinds[name]
        change = kind.change if rng.random() < 0.65 else mutations.mutated_bytes
        try:
            content = change(rng, kind.content)
        except Exception as error:
            failures.append(f"seed {seed}: {name}: MUTATOR {type(error).__name__}: {error}")
            continue
        path = folder / f"case{kind.suffix}"
        path.write_bytes(content)
        try:
            with alarm(), bounded_memory():
                read = kind.read(path)
        except Exception as error:
            failures.append(f"seed {seed}: {name}: {type(error).__name__}: {error!s:.300}")
            continue
        outcomes["read" if read else "refused"] += 1
    assert not failures, "\n".join(failures[:30])
    return outcomes


def test_the_good_files_are_read(kinds: dict[str, Kind], tmp_path: Path) -> None:
    for name, kind in kinds.items():
        path = tmp_path / f"good{kind.suffix}"
        path.write_bytes(kind.content)
        assert kind.read(path), name


def test_a_mutated_file_is_read_or_refused(kinds: dict[str, Kind], tmp_path: Path) -> None:
    outcomes = run_seeds(range(80), kinds, tmp_path)
    assert outcomes["refused"] >= 30
    assert outcomes["read"] >= 5


@pytest.mark.slow
def test_thousands_of_mutated_files_are_read_or_refused(
    kinds: dict[str, Kind], tmp_path: Path
) -> None:
    outcomes = run_seeds(range(80, 3080), kinds, tmp_path)
    assert outcomes["refused"] >= 1000
