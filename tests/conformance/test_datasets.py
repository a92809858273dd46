"""Tests of every data set: a new row of the registry is tested without a new test file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from vae_core import (
    MLP,
    MNIST,
    Arrays,
    BetaVAE,
    Cars3D,
    Data,
    DSprites,
    ImageFolder,
    Shapes3D,
    SmallNORB,
    TrainConfig,
    TrialConfig,
)
from vae_core.data import DATASETS, AbstractDataset, ImageTable, known_floor, store_floor
from vae_core.data.make_data import make_data
from vae_core.hyperparameters import registry


def arrays(folder: Path) -> Arrays:
    images = np.random.default_rng(0).random((12, 8, 8, 3))
    np.savez(folder / "mine.npz", images=images, factors=np.indices((4, 3)).reshape(2, -1).T)
    return Arrays(path=str(folder / "mine.npz"), factor_names=("row", "column"))


def image_folder(folder: Path) -> ImageFolder:
    (folder / "images").mkdir(exist_ok=True)
    lines = ["file,colour,size"]
    for row in range(6):
        Image.new("RGB", (8, 8), (40 * row, 10, 10)).save(folder / "images" / f"{row}.png")
        lines.append(f"{row}.png,{'rgb'[row % 3]},{row // 3 / 2}")
    (folder / "images" / "factors.csv").write_text("\n".join(lines))
    return ImageFolder(path=str(folder / "images"), factors=("size", "colour"))


TINY: dict[str, Callable[[Path], AbstractDataset]] = {
    "dsprites": lambda _: DSprites(
        resolution=16, stride={"orientation": 20, "pos_x": 16, "pos_y": 16}
    ),
    "mnist": lambda _: MNIST(stand_in=True, split="test", binary=True),
    "shapes3d": lambda _: Shapes3D(
        stand_in=True, resolution=32, values={"shape": (1, 3)}, stride={"wall_hue": 2}
    ),
    "cars3d": lambda _: Cars3D(stand_in=True),
    "smallnorb": lambda _: SmallNORB(stand_in=True, split="train"),
    "arrays": arrays,
    "images": image_folder,
}
"""A small data set of each row; its files are written into a folder."""

WITHOUT_FILES: dict[str, Callable[[Path], AbstractDataset]] = {
    "dsprites": lambda folder: DSprites(path=str(folder / "gone.npz")),
    "mnist": lambda folder: MNIST(path=str(folder)),
    "shapes3d": lambda folder: Shapes3D(path=str(folder / "gone.h5")),
    "cars3d": lambda _: Cars3D(),
    "smallnorb": lambda _: SmallNORB(camera="right"),
    "arrays": lambda folder: Arrays(path=str(folder / "gone.npz")),
    "images": lambda folder: ImageFolder(path=str(folder / "gone")),
}
"""Each row with a file that does not exist."""

STAND_INS = [
    name
    for name, cls in DATASETS.items()
    if "stand_in" in cls.__dataclass_fields__  # type: ignore[attr-defined]
]
OF_FIXED_SIZE = ("dsprites", "mnist", "shapes3d", "cars3d", "smallnorb")

registered = pytest.mark.parametrize("name", DATASETS)


@pytest.fixture
def tiny(name: str, tmp_path: Path) -> AbstractDataset:
    return TINY[name](tmp_path)


@pytest.fixture
def data(tiny: AbstractDataset, tmp_path: Path) -> Data:
    return tiny.load(tmp_path)


def test_every_row_has_its_tiny_set() -> None:
    assert list(TINY) == list(WITHOUT_FILES) == list(DATASETS), (
        "a new data set needs a row in both tables"
    )


@registered
def test_a_row_is_final_frozen_and_knows_its_name(name: str) -> None:
    cls = DATASETS[name]
    assert cls.__bases__ == (AbstractDataset,)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert cls.name == name
    for remote in cls.remotes:
        assert remote.url.startswith("http")
        assert remote.url.endswith(remote.name)


@registered
def test_the_outline_is_what_is_loaded(tiny: AbstractDataset, data: Data) -> None:
    outline = tiny.outline()
    assert data.factors is not None
    assert (outline.images, outline.shape) == (len(data), data.shape)
    assert (outline.factor_names, outline.factor_sizes) == (data.factors.names, data.factors.sizes)
    assert outline.levels in (None, data.levels)


@registered
def test_the_floor_is_the_least_cross_entropy_of_the_images(data: Data) -> None:
    """The images as probabilities of their own pixels: torch's binary cross-entropy."""
    images = ImageTable(data).batch(torch.arange(len(data))).double()
    least = torch.nn.functional.binary_cross_entropy(images, images, reduction="none")
    # Pixels are float32, and H has a slope of up to ln 255 there: 1e-7 per pixel.
    assert data.floor == pytest.approx(float(least.sum()) / len(data), rel=1e-6)
    assert (data.floor == 0) == (data.levels == 1)


@registered
def test_a_stored_floor_is_known_without_the_images(
    tiny: AbstractDataset, data: Data, tmp_path: Path
) -> None:
    is_binary, is_kept = data.levels == 1, tiny.cache_file(tmp_path) is not None
    assert known_floor(tiny, tmp_path) == (0.0 if is_binary and tiny.outline().levels else None)
    assert store_floor(tiny, data, tmp_path) == data.floor
    if is_kept:
        assert known_floor(tiny, tmp_path) == data.floor


@registered
def test_two_loads_have_one_fingerprint(tiny: AbstractDataset, data: Data, tmp_path: Path) -> None:
    again = tiny.load(tmp_path)  # from the cache, where the set is kept there
    assert (again.fingerprint, again.name) == (data.fingerprint, data.name)
    np.testing.assert_array_equal(again.images, data.images)
    path = tiny.cache_file(tmp_path)
    assert path is None or path.exists()


@registered
def test_a_trial_is_identified_by_the_content_of_its_data(
    name: str, tiny: AbstractDataset, data: Data
) -> None:
    assert data.factors is not None
    pixel, level = data.images.copy(), data.factors.values.copy()
    pixel[-1, -1] ^= 1
    level[-1] = level[0]
    names = tuple(f"{factor}2" for factor in data.factors.names)
    changed = {
        "nothing": data,
        "a pixel": dataclasses.replace(data, images=pixel),
        "a level": dataclasses.replace(
            data, factors=dataclasses.replace(data.factors, values=level)
        ),
        "a name": dataclasses.replace(data, factors=dataclasses.replace(data.factors, names=names)),
        "no factors": dataclasses.replace(data, factors=None),
    }
    hashes: dict[str, str] = {}
    for change, one in changed.items():
        made = make_data(name, one.images, one.shape, levels=one.levels, factors=one.factors)
        for options in (tiny, DSprites(path="elsewhere.npz")):  # the same content elsewhere
            config = TrialConfig(
                data=options,
                objective=BetaVAE(),
                network=MLP(),
                train=TrainConfig(epochs=1),
                fingerprint=made.fingerprint,
            )
            hashes.setdefault(change, config.hash)
            assert hashes[change] == config.hash
        assert (made.fingerprint == data.fingerprint) == (change == "nothing")
    assert len(set(hashes.values())) == len(changed)


@registered
def test_a_stand_in_is_named_as_such(name: str, tiny: AbstractDataset, data: Data) -> None:
    assert data.name == (f"{name}-stand-in" if getattr(tiny, "stand_in", False) else name)


@registered
def test_batches_are_floats_from_0_to_1_and_not_all_alike(data: Data) -> None:
    batch = ImageTable(data).batch(torch.arange(len(data)))
    assert (batch.dtype, tuple(batch.shape)) == (torch.float32, (len(data), *data.shape))
    assert 0 <= float(batch.min()) < float(batch.max()) <= 1
    assert len(batch.flatten(1).unique(dim=0)) > len(data) // 2


@registered
def test_pixels_are_packed_if_and_only_if_binary_and_whole_bytes(data: Data) -> None:
    size = int(np.prod(data.shape))
    assert data.packed == (data.levels == 1 and size % 8 == 0)
    assert data.images.dtype == np.uint8
    assert data.images.shape == (len(data), size // 8 if data.packed else size)


@registered
def test_factors_name_every_level(data: Data) -> None:
    assert data.factors is not None
    assert len(data.factors) == len(data)
    for column, size in zip(data.factors.values.T, data.factors.sizes, strict=True):
        assert sorted(set(column.tolist())) == list(range(size))


@registered
def test_every_factor_shows_in_the_pixels(data: Data) -> None:
    assert data.factors is not None
    images = ImageTable(data).batch(torch.arange(len(data))).flatten(1).double()
    for column, size in zip(data.factors.values.T, data.factors.sizes, strict=True):
        means = torch.stack(
            [images[torch.from_numpy(column == level)].mean(0) for level in range(size)]
        )
        assert len(means.unique(dim=0)) == size


@registered
def test_options_survive_json_and_yaml(tiny: AbstractDataset) -> None:
    mapping = registry.describe(tiny, DATASETS)
    text = json.dumps(mapping)
    assert registry.build("data set", json.loads(text), DATASETS) == tiny
    assert registry.build("data set", YAML(typ="safe").load(text), DATASETS) == tiny
    fields = dataclasses.fields(tiny)  # type: ignore[arg-type]
    assert list(mapping) == ["name", *(field.name for field in fields)]


@registered
def test_equal_options_have_equal_hashes(name: str, tiny: AbstractDataset, tmp_path: Path) -> None:
    assert hash(TINY[name](tmp_path)) == hash(tiny)


@registered
def test_a_wrong_option_is_refused_with_rule_and_value(name: str, tiny: AbstractDataset) -> None:
    mapping = registry.describe(tiny, DATASETS)
    rules = {"bool": "must be true or false", "Literal": "must be one of", "str": "must be text"}
    for field in dataclasses.fields(tiny):  # type: ignore[arg-type]
        rule = next(
            (rule for kind, rule in rules.items() if str(field.type).startswith(kind)), None
        )
        if rule is not None:
            changed: Any = {**mapping, field.name: 0.5}
            with pytest.raises(ValueError, match=rf"{field.name} {rule}.*, got 0\.5"):
                registry.build("data set", changed, DATASETS)
    with pytest.raises(
        ValueError, match=f"data set {name}: unknown field 'pth'; did you mean 'path'"
    ):
        registry.build("data set", {"name": name, "pth": "x"}, DATASETS)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_reads_no_file(name: str) -> None:
    with pytest.raises(ValueError, match="give path or stand_in, not both, got path 'x'"):
        registry.build("data set", {"name": name, "path": "x", "stand_in": True}, DATASETS)


@registered
def test_an_existing_file_is_not_missing(tiny: AbstractDataset, tmp_path: Path) -> None:
    assert tiny.missing(tmp_path) is None


@registered
def test_a_missing_file_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    dataset = WITHOUT_FILES[name](tmp_path)
    missing = dataset.missing(tmp_path)
    assert missing is not None
    assert missing.startswith("path must ")
    assert str(tmp_path) in missing
    if dataset.remotes and name != "dsprites":  # dSprites can be drawn without a file
        assert f"`sweeps data download {name}`" in missing
        assert dataset.remotes[0].url.rpartition("/")[0] in missing
    with pytest.raises(ValueError, match=str(tmp_path)):
        dataset.load(tmp_path)


@pytest.mark.parametrize("name", OF_FIXED_SIZE)
def test_a_set_of_fixed_size_has_an_outline_without_its_files(name: str, tmp_path: Path) -> None:
    outline = WITHOUT_FILES[name](tmp_path).outline()
    assert outline.images > 17_000
    assert len(outline.factor_names) == len(outline.factor_sizes) > 0
