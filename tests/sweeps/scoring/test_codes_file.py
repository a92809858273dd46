"""A file of codes means the same in every format; notes say what was converted or ignored."""

from __future__ import annotations

import pickle
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from codes_files import (
    BAD,
    FACTORS,
    TEXT_WRITERS,
    WRITERS,
    N,
    arrays,
    bombed,
    columns,
    csv,
    hdf5,
    npz,
    table,
)

from sweeps.driver.artifacts import final_artifacts
from sweeps.scoring.codes_file import CodesFile, CodesFileError, read
from vae_core import MLP, DSprites, EvaluationConfig, TrainConfig, TrialConfig, train
from vae_core.objectives import JointVAE


def read_npz(folder: Path, **content: Any) -> CodesFile:
    """Write an .npz file and read it."""
    return read(npz(folder / "codes.npz", **content))


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_codes_and_factors(kind: str, tmp_path: Path) -> None:
    file, written = read(WRITERS[kind](tmp_path)), arrays()
    assert file.factors is not None
    np.testing.assert_array_equal(file.codes.mean, written["mean"])
    np.testing.assert_array_equal(file.codes.logvar, written["logvar"])
    np.testing.assert_array_equal(file.factors.values, FACTORS)
    assert (file.factors.names, file.factors.sizes, file.notes) == (
        ("shape", "scale"),
        (3, 4),
        (),
    )


@pytest.mark.parametrize("kind", TEXT_WRITERS)
def test_every_text_gives_the_same_codes_and_factors(kind: str, tmp_path: Path) -> None:
    file, written = read(TEXT_WRITERS[kind](tmp_path)), arrays()
    assert file.factors is not None
    np.testing.assert_array_equal(file.codes.mean, written["mean"])
    np.testing.assert_array_equal(file.codes.logvar, written["logvar"])
    np.testing.assert_array_equal(file.factors.values, FACTORS)
    assert (file.factors.names, file.factors.sizes) == (("shape", "scale"), (3, 4))
    assert all("has decimal commas" in note for note in file.notes)


SHAPES = np.array(["square", "None", "heart"])[FACTORS[:, 0]]  # sorted: None, heart, square
TENTHS = 0.1 * (FACTORS[:, 1] + 1)  # 0.1 * 3 is not 0.3
TENTHS[::2] = TENTHS[::2].round(1)


@pytest.mark.parametrize("kind", ["npz", "h5", "csv", "parquet", "categories"])
def test_text_and_fractions_are_levels_in_every_format(kind: str, tmp_path: Path) -> None:
    by_name: dict[str, Any] = {"factor_shape": SHAPES, "factor_scale": TENTHS}
    matrices: dict[str, Any] = {
        "factors": np.stack([SHAPES, TENTHS.astype(str)], axis=1),
        "factor_names": np.array(["shape", "scale"]),
    }
    mean = arrays()["mean"]
    means = {f"mean_{j}": column for j, column in enumerate(mean.T)}
    categories = {**by_name, "factor_shape": pa.array(SHAPES).dictionary_encode()}
    path = {
        "npz": lambda: npz(tmp_path / "x.npz", mean=mean, **matrices),
        "h5": lambda: hdf5(tmp_path / "x.h5", mean=mean, **matrices),
        "csv": lambda: csv(tmp_path / "x.csv", **means, **by_name),
        "parquet": lambda: table(tmp_path / "x.parquet", **means, **by_name),
        "categories": lambda: table(tmp_path / "x.parquet", **means, **categories),
    }[kind]()
    file = read(path)
    assert file.factors is not None
    assert (file.factors.names, file.factors.sizes) == (("shape", "scale"), (3, 4))
    np.testing.assert_array_equal(file.factors.values[:, 0], np.array([2, 0, 1])[FACTORS[:, 0]])
    np.testing.assert_array_equal(file.factors.values[:, 1], FACTORS[:, 1])
    assert file.notes == (
        "factor 'shape': levels None, heart, square are numbered 0 to 2",
        "factor 'shape': the text 'None' is a level; if it stands for a missing value, "
        "leave its rows out",
        "factor 'scale': levels 0.1, 0.2, 0.3, 0.4 are numbered 0 to 3",
        "factor 'scale': values that differ only by rounding are one level: "
        "0.3 and 0.30000000000000004",
    )


def test_many_notes_and_keys_are_counted(tmp_path: Path) -> None:
    factors = np.tile(FACTORS[:, :1] * 7, (1, 25))
    file = read_npz(
        tmp_path,
        **arrays(factors=factors, factor_names=None, factor_sizes=None),
        **{f"key{k}": FACTORS for k in range(30)},
        logvars=FACTORS,
    )
    assert file.notes[:2] == (
        "logvars is ignored; did you mean logvar?",
        "key0, key1, key2, key3, key4, key5, key6, key7, key8, key9, and 20 more are ignored",
    )
    # 25 notes on factors and these two, of which 20 are shown
    assert (len(file.notes), file.notes[-1]) == (21, "… and 7 more notes")


def test_many_problems_are_counted(tmp_path: Path) -> None:
    factors = np.arange(N)[:, None] / 7 + np.arange(25)
    with pytest.raises(CodesFileError) as raised:
        read_npz(tmp_path, **arrays(factors=factors, factor_names=None, factor_sizes=None))
    assert len(raised.value.problems) == 21
    assert raised.value.problems[-1] == "… and 5 more problems"


def test_the_codes_of_a_trial_may_have_fewer_images_than_latents(tmp_path: Path) -> None:
    mean = np.arange(6.0).reshape(2, 3)
    assert len(read_npz(tmp_path, mean=mean, fingerprint=np.array("x")).codes) == 2
    with pytest.raises(CodesFileError, match="at least as many rows"):
        read_npz(tmp_path, mean=mean)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (
            "x.pt",
            "    import numpy, torch; data = torch.load('{}.pt', map_location='cpu')\n"
            "    numpy.savez('{}.npz', mean=data['mean'], factors=data['factors'])",
        ),
        (
            "x.pkl",
            "    import numpy, pickle; data = pickle.load(open('{}.pkl', 'rb'))\n"
            "    numpy.savez('{}.npz', mean=data['mean'], factors=data['factors'])",
        ),
    ],
)
def test_a_file_of_another_format_is_refused_with_two_lines_that_convert_it(
    name: str, remedy: str, tmp_path: Path
) -> None:
    written = {"mean": torch.arange(12.0).reshape(6, 2), "factors": torch.arange(6)[:, None] % 3}
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save(written, path)
    else:
        path.write_bytes(pickle.dumps(written))
    with pytest.raises(CodesFileError) as raised:
        read(path)
    _, _, snippet = str(raised.value).partition("convert it:\n")
    assert snippet == remedy.replace("{}", str(tmp_path / "x"))
    exec(textwrap.dedent(snippet))
    assert read(tmp_path / "x.npz").codes.mean.tolist() == written["mean"].tolist()


@pytest.mark.parametrize("name", BAD)
def test_a_problem_is_reported_once_with_file_and_key(name: str, tmp_path: Path) -> None:
    write, message = BAD[name]
    path = write(tmp_path)
    with pytest.raises(CodesFileError) as raised:
        read(path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{path}: {message}")


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(CodesFileError) as raised:
        read_npz(
            tmp_path, **arrays(logvar=np.zeros((N, 2)), factors=FACTORS[:9], weights=np.zeros(N))
        )
    assert [problem.partition(" ")[0] for problem in raised.value.problems] == [
        "logvar",
        "factors",
        "weights",
    ]


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = bombed(tmp_path / "codes.npz")
    with pytest.raises(CodesFileError, match="never loaded"):
        read(path)
    assert not (tmp_path / "exploded").exists()
    with np.load(path, allow_pickle=True) as loaded:  # the control: loading it runs it
        loaded["mean"]
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("std", np.exp(-2)), ("sigma", np.exp(-2)), ("var", np.exp(-4))]
)
def test_a_spread_in_other_terms_becomes_a_log_variance(
    key: str, value: float, tmp_path: Path
) -> None:
    file = read_npz(tmp_path, **arrays(logvar=None, **{key: np.full((N, 3), value)}))
    np.testing.assert_allclose(file.codes.logvar, -4)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["means", "mu", "z_mean"])
def test_a_mean_may_have_another_name(key: str, tmp_path: Path) -> None:
    file = read_npz(tmp_path, **arrays(mean=None, **{key: arrays()["mean"]}))
    np.testing.assert_array_equal(file.codes.mean, arrays()["mean"])


def test_samples_alone_are_deterministic_codes(tmp_path: Path) -> None:
    file = read_npz(tmp_path, samples=arrays()["mean"].astype(np.float16))
    assert file.codes.logvar is None
    assert file.codes.mean.dtype == np.float32
    assert file.notes == ("no mean: samples are scored as deterministic codes",)


def test_discrete_codes_alone_are_enough(tmp_path: Path) -> None:
    file = read_npz(tmp_path, discrete=FACTORS.astype(np.float64), factors=FACTORS)
    assert file.codes.mean.shape == (N, 0)
    np.testing.assert_array_equal(file.codes.discrete, FACTORS)  # type: ignore[arg-type]
    assert file.notes == ("discrete: floats that are whole numbers are taken as levels",)


def test_levels_are_ranked_with_a_note(tmp_path: Path) -> None:
    values = np.stack([np.array([5, 1, 2])[FACTORS[:, 0]], FACTORS[:, 1]], axis=1)
    file = read_npz(tmp_path, **arrays(factors=values.astype(float), factor_sizes=None))
    assert file.factors is not None
    np.testing.assert_array_equal(file.factors.values[:, 0], np.array([2, 0, 1])[FACTORS[:, 0]])
    assert file.factors.sizes == (3, 4)
    assert "factor 'shape': levels 1, 2, 5 are numbered 0 to 2" in file.notes


def test_fractions_that_repeat_are_levels(tmp_path: Path) -> None:
    scales = 0.5 + FACTORS[:, 1] / 10  # like those of dSprites
    values = np.stack([FACTORS[:, 0], scales], axis=1)
    file = read_npz(tmp_path, **arrays(factors=values, factor_sizes=None))
    assert file.factors is not None
    np.testing.assert_array_equal(file.factors.values, FACTORS)
    assert file.notes == ("factor 'scale': levels 0.5, 0.6, 0.7, 0.8 are numbered 0 to 3",)


def test_a_subset_keeps_the_sizes_of_the_whole_data_set_if_they_are_given(
    tmp_path: Path,
) -> None:
    file = read_npz(tmp_path, **arrays(factor_sizes=np.array([3, 9])))
    assert file.factors is not None
    assert file.factors.sizes == (3, 9)


def test_a_factor_with_nearly_as_many_levels_as_rows_gets_a_note(tmp_path: Path) -> None:
    file = read_npz(tmp_path, mean=arrays()["mean"], factors=np.arange(N)[:, None])
    assert file.notes == (
        "factor 'factor_0': 60 levels in 60 rows; bin it, or its scores say little",
    )


def test_an_unknown_key_gets_a_note_with_the_nearest_known_one(tmp_path: Path) -> None:
    file = read_npz(tmp_path, **arrays(log_vars=np.zeros(2), extra=np.array([{}], dtype=object)))
    assert file.notes == (
        "log_vars is ignored; did you mean log_var?",
        "extra is ignored",
    )


def test_levels_of_grey_are_divided_by_255_and_bits_are_not(tmp_path: Path) -> None:
    grey = np.linspace(0, 255, N * 4).astype(np.uint8).reshape(N, 1, 2, 2)
    file = read_npz(tmp_path, **arrays(images=grey))
    assert file.images is not None
    assert (file.images.min(), file.images.max()) == (0, 1)
    assert file.notes == ("images: levels up to 255 are divided by 255",)
    bits = read_npz(tmp_path, **arrays(images=grey > 127))
    assert bits.images is not None
    assert (bits.images.max(), bits.notes) == (1, ())


def test_a_column_of_lists_is_a_matrix(tmp_path: Path) -> None:
    flat = columns(arrays())
    rest = {key: value for key, value in flat.items() if not key.startswith("mean")}
    file = read(
        table(
            tmp_path / "codes.parquet",
            mean=list(arrays()["mean"]),
            **rest,
            weights=np.arange(1, N + 1),
        )
    )
    np.testing.assert_array_equal(file.codes.mean, arrays()["mean"])
    assert file.factors is not None
    assert file.factors.weights is not None
    np.testing.assert_array_equal(file.factors.weights, np.arange(1.0, N + 1))


def test_big_endian_numbers_are_read(tmp_path: Path) -> None:
    file = read_npz(tmp_path, mean=arrays()["mean"].astype(">f8"), factors=FACTORS.astype(">i2"))
    assert file.codes.mean.dtype.isnative
    assert file.factors is not None
    assert file.factors.values.dtype == np.int64


def test_the_codes_that_a_trial_stores_can_be_read(tmp_path: Path) -> None:
    dsprites = DSprites(
        resolution=16, stride={"scale": 3, "orientation": 10, "pos_x": 8, "pos_y": 8}
    )
    data = dsprites.load()
    config = TrialConfig(
        data=dsprites,
        objective=JointVAE(categories=(3,)),
        network=MLP(hidden=(8,), latents=2),
        train=TrainConfig(epochs=1, batch_size=64),
        evaluation=EvaluationConfig(images=64, samples=4),
        fingerprint=data.fingerprint,
    )
    (report,) = train(config, data)
    (tmp_path / "codes.npz").write_bytes(final_artifacts(config, data, report)["codes.npz"])
    file = read(tmp_path / "codes.npz")
    assert report.final is not None
    assert file.codes.discrete is not None
    assert file.factors is not None
    assert data.factors is not None
    np.testing.assert_array_equal(file.codes.mean, report.final.codes.mean)
    assert (file.factors.names, file.factors.sizes, file.notes) == (
        data.factors.names,
        data.factors.sizes,
        (),
    )
