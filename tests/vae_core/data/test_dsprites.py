"""The options of dSprites: the images they choose, the values they refuse, and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vae_core.data import DATASETS, DSprites, load_data
from vae_core.hyperparameters import registry

QUICK = {"scale": 2, "orientation": 4, "pos_x": 2, "pos_y": 2}
TINY = {"shape": (2,), "scale": (5,), "orientation": (0, 3), "pos_x": (0, 9), "pos_y": (1, 2, 30)}


def test_the_quickstart_grid_has_23040_images() -> None:
    outline = DSprites(resolution=32, stride=QUICK).outline()
    assert outline.images == 23_040
    assert outline.shape == (1, 32, 32)
    assert dict(zip(outline.factor_names, outline.factor_sizes, strict=True)) == {
        "shape": 3, "scale": 3, "orientation": 10, "pos_x": 16, "pos_y": 16,
    }  # fmt: skip


def test_factors_name_each_image_with_levels_numbered_from_zero(tmp_path: Path) -> None:
    data = load_data("dsprites", cache=tmp_path, values=TINY)
    assert data.factors is not None
    assert data.factors.sizes == (1, 1, 2, 2, 3)
    assert data.factors.values[7].tolist() == [0, 0, 1, 0, 1]  # 7 = (1 * 2 + 0) * 3 + 1
    assert len(data) == len(data.factors) == 12


def test_stride_takes_the_rows_of_the_full_grid(
    full_grid: NDArray[np.uint8], tmp_path: Path
) -> None:
    data = load_data(
        "dsprites", cache=tmp_path, stride={"shape": 2, "scale": 3, "orientation": 20, "pos_x": 8}
    )
    rows = full_grid.reshape(3, 6, 40, 32, 32, 512)[::2, ::3, ::20, ::8]
    np.testing.assert_array_equal(data.images, rows.reshape(-1, 512))


@pytest.mark.parametrize("resolution", [32, 16])
def test_pooled_pixels_count_the_binary_ones_under_them(resolution: int, tmp_path: Path) -> None:
    side = 64 // resolution
    full = load_data("dsprites", cache=tmp_path, values=TINY)
    pooled = load_data("dsprites", cache=tmp_path, values=TINY, resolution=resolution)
    pixels = np.unpackbits(full.images, axis=1).reshape(-1, resolution, side, resolution, side)
    np.testing.assert_array_equal(pooled.images, pixels.sum(axis=(2, 4)).reshape(len(pooled), -1))
    assert (full.levels, pooled.levels) == (1, side * side)
    assert (full.packed, pooled.packed) == (True, False)


def test_dedupe_leaves_out_the_angle_that_repeats_the_first() -> None:
    assert DSprites(dedupe_orientation=True).outline().factor_sizes == (3, 6, 39, 32, 32)
    assert DSprites(dedupe_orientation=True).levels()[2] == tuple(range(39))
    assert DSprites(dedupe_orientation=True, stride={"orientation": 13}).levels()[2] == (0, 13, 26)


def test_options_that_choose_the_same_images_share_content_and_file(tmp_path: Path) -> None:
    strided = DSprites(stride={"pos_x": 16, "shape": 3, "scale": 6})
    valued = DSprites(values={"scale": [0], "shape": [0], "pos_x": [16, 0]})
    assert strided.cache_file(tmp_path) == valued.cache_file(tmp_path)
    assert strided.load(tmp_path).fingerprint == valued.load(tmp_path).fingerprint


@pytest.mark.parametrize(
    "changed", [{"scale": (4,)}, {"orientation": (0, 4)}, {"pos_y": (1, 2, 31)}]
)
def test_fingerprints_differ_with_the_content(changed: dict[str, Any], tmp_path: Path) -> None:
    one = load_data("dsprites", cache=tmp_path, values=TINY)
    other = load_data("dsprites", cache=tmp_path, values=TINY | changed)
    assert one.fingerprint != other.fingerprint


def test_options_are_the_same_after_json() -> None:
    dataset = DSprites(
        resolution=16, stride={"shape": 2}, values={"pos_x": [4, 1]}, dedupe_orientation=True
    )
    text = json.dumps(registry.describe(dataset, DATASETS))
    assert registry.build("data set", json.loads(text), DATASETS) == dataset
    assert hash(registry.build("data set", json.loads(text), DATASETS)) == hash(dataset)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 48}, "resolution must be one of 64, 32, 16, got 48"),
        (
            {"stride": {"orientaton": 4}},
            "stride: unknown factor 'orientaton'; did you mean 'orientation'?",
        ),
        ({"values": {"colour": [0]}}, "values: unknown factor 'colour'"),
        ({"stride": {"scale": 0}}, "stride.scale must be a whole number from 1 to 6, got 0"),
        ({"stride": {"scale": 7}}, "stride.scale must be a whole number from 1 to 6, got 7"),
        ({"stride": {"scale": 2.0}}, "stride.scale must be a whole number from 1 to 6, got 2.0"),
        ({"stride": 2}, "stride must be a mapping by factor name"),
        (
            {"values": {"shape": [1, 3]}},
            "values.shape must be a list of whole numbers from 0 to 2, got 3",
        ),
        (
            {"values": {"shape": 1}},
            "values.shape must be a list of whole numbers from 0 to 2, got 1",
        ),
        (
            {"values": {"shape": []}},
            "values.shape must be a list of whole numbers from 0 to 2, got []",
        ),
        (
            {"values": {"pos_x": [3, 5, 3]}},
            "values.pos_x must name a level once, got 3 more than once",
        ),
        (
            {"stride": {"scale": 2}, "values": {"scale": [1]}},
            "give stride.scale or values.scale, not both",
        ),
        (
            {"dedupe_orientation": True, "values": {"orientation": [39]}},
            "values.orientation must not name 39",
        ),
        ({"path": "dsprites.zip"}, "path must end in one of .npz, .hdf5, .h5, got 'dsprites.zip'"),
    ],
)
def test_an_invalid_option_is_refused_with_its_rule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared below)
        DSprites(**options)
    assert message in str(caught.value)


def test_all_invalid_options_are_named_at_once() -> None:
    options: Any = {
        "resolution": 8,
        "stride": {"scale": -1},
        "values": {"shape": [9]},
        "path": "x",
    }
    with pytest.raises(
        ValueError, match=r"resolution .*; stride\.scale .*; values\.shape .*; path "
    ):
        DSprites(**options)


def test_load_data_names_an_unknown_set_and_an_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown data set 'dsprite'; did you mean 'dsprites'\?"):
        load_data("dsprite", cache=tmp_path)
    with pytest.raises(ValueError, match=r"unknown field 'strid'; did you mean 'stride'\?"):
        load_data("dsprites", cache=tmp_path, strid={})
