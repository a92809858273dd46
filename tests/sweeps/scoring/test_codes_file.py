"""A file of codes means the same in every format; notes say what was converted or ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from codes_files import BAD, FACTORS, WRITERS, N, arrays, bombed, columns, npz, table

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
