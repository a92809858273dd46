"""`sweeps data` on every data set; a user's error exits with code 2 and one sentence."""

from __future__ import annotations

import http.server
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from sweeps.cli.app import app
from vae_core import MNIST, SmallNORB
from vae_core.data.original_files import Remote, digest_of


def sweeps(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def printed(*arguments: object) -> Any:
    """Return what a command prints as JSON."""
    result = sweeps(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    np.savez(path, images=np.zeros((6, 4, 4), np.uint8), factors=np.arange(6) % 3)
    return path


@pytest.mark.parametrize("name", ["mnist", "shapes3d", "cars3d", "smallnorb"])
def test_a_stand_in_is_described_and_drawn_but_not_kept(name: str, tmp_path: Path) -> None:
    options = [name, "--set", "stand_in=true", "--cache", tmp_path]
    described = printed("data", "info", *options)
    made = printed("data", "render", *options)[0]
    assert described["name"] == name
    assert (described["missing"], described["prepared"], made["path"]) == (None, False, None)
    assert made["images"] == described["images"] > 0
    # Its images are not kept, so its floor is known only while it is read.
    assert (described["levels"], described["floor"]) == (255, None)
    assert made["floor"] > 0
    assert not list(tmp_path.iterdir())


def test_info_prints_the_floor_of_grey_pixels_once_it_is_computed(tmp_path: Path) -> None:
    options = ["dsprites", "--set", "stride={orientation: 20, pos_x: 16, pos_y: 16}"]
    grey = [*options, "--set", "resolution=16", "--cache", tmp_path]
    assert "`sweeps data render` computes it" in sweeps("data", "info", *grey).stdout
    floor = printed("data", "render", *grey)[0]["floor"]
    sentence = f"no reconstruction of the whole data set is below {floor:.4g} nats per image"
    assert sentence in sweeps("data", "info", *grey).stdout
    assert printed("data", "info", *grey)["floor"] == floor
    binary = [*options, "--cache", tmp_path]
    assert printed("data", "render", *binary)[0]["floor"] == 0
    assert "reconstruction" not in sweeps("data", "info", *binary).stdout


@pytest.mark.parametrize("name", ["mnist", "shapes3d", "cars3d", "smallnorb"])
def test_info_names_a_missing_file_and_its_address(name: str, tmp_path: Path) -> None:
    described = printed("data", "info", name, "--cache", tmp_path)
    assert described["images"] >= 17_568
    remedy = f"`sweeps data download {name}` fetches it, or put it there from http"
    assert remedy in described["missing"]
    refused = sweeps("data", "render", name, "--cache", tmp_path)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"{name}: path must lead to ")


def test_files_of_your_own_are_described_and_read(arrays: Path) -> None:
    described = printed("data", "info", "arrays", "--set", f"path={arrays}")
    assert (described["images"], described["shape"]) == (6, [1, 4, 4])
    assert described["factors"] == {"factor_0": 3}
    assert printed("data", "render", "arrays", "--set", f"path={arrays}")[0]["images"] == 6


def test_the_data_set_may_be_that_of_a_spec(arrays: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\n"
        f"data: {{name: arrays, path: {arrays}}}\n"
        "network: {name: mlp}\n"
        "train: {epochs: 1, batch_size: 2}\n"
        "objectives: [{name: beta_vae}]\n"
        "evaluation: {images: 6, samples: 2}\n"
    )
    assert printed("data", "info", file)["name"] == "arrays"


def test_validate_says_how_to_get_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path))
    result = sweeps("validate", "quickstart", "--set", "data={name: mnist}")
    assert result.exit_code == 2
    assert "data.path must lead to train-images-idx3-ubyte.gz" in result.output
    assert "`sweeps data download mnist`" in result.output
    assert "Traceback" not in result.output


def test_validate_blames_the_option_that_names_a_missing_table(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    file = tmp_path / "x.yaml"
    text = (
        f"name: x\ndata:\n  name: images\n  path: {tmp_path}\n  table: {{table}}\n"
        "network: {{name: mlp}}\ntrain: {{epochs: 1}}\nobjectives: [{{name: beta_vae}}]\n"
    )
    file.write_text(text.format(table=tmp_path / "gone.csv"))
    refused = sweeps("validate", file)
    assert refused.exit_code == 2
    assert f"{file}:5: data.table must be a file, got " in refused.output
    file.write_text(text.format(table="null"))
    assert f"{file}:4: data.path must hold a table of factors" in sweeps("validate", file).output


def test_columns_that_are_left_out_are_noted(tmp_path: Path) -> None:
    for row in range(4):
        Image.new("RGB", (4, 4), (row, 0, 0)).save(tmp_path / f"{row}.png")
    pd.DataFrame({"file": [f"{row}.png" for row in range(4)], "x": [0, 1, 0, 1]}).to_csv(
        tmp_path / "factors.csv"
    )
    described = printed("data", "info", "images", "--set", f"path={tmp_path}")
    assert described["factors"] == {"x": 2}
    (note,) = described["notes"]
    assert note.startswith("the column without a name is left out")
    shown = sweeps("data", "info", "images", "--set", f"path={tmp_path}")
    assert f"note: {note}" in shown.stderr
    file = tmp_path / "x.yaml"
    file.write_text(
        f"name: x\ndata: {{name: images, path: {tmp_path}}}\nnetwork: {{name: mlp}}\n"
        "train: {epochs: 1, batch_size: 2}\nobjectives: [{name: beta_vae}]\n"
    )
    assert f"data: {note}" in printed("validate", file)["notes"]


def test_verify_compares_original_files_with_their_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "smallnorb").mkdir()
    file = tmp_path / "smallnorb" / "a.gz"
    file.write_bytes(b"as published")
    remote = Remote("a.gz", "http://example/a.gz", digest_of(file, "sha256"))
    monkeypatch.setattr(SmallNORB, "remotes", (remote,))
    (row,) = printed("data", "verify", "--cache", tmp_path)
    assert (row["path"], row["intact"], row["published"]) == (str(file), True, True)
    file.write_bytes(b"altered")
    result = sweeps("data", "verify", "--cache", tmp_path, "--json")
    assert result.exit_code == 1
    assert "checksum mismatch" in json.loads(result.stdout)[0]["reason"]


def test_download_prints_the_path_and_refuses_an_absent_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.gz").write_bytes(b"content")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site"))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(MNIST, "remotes", (Remote("a.gz", f"{address}/a.gz"),))
        fetched = sweeps("data", "download", "mnist", "--cache", tmp_path)
        monkeypatch.setattr(MNIST, "remotes", (Remote("b.gz", f"{address}/b.gz"),))
        refused = sweeps("data", "download", "mnist", "--cache", tmp_path)
        server.shutdown()
        thread.join()
    assert fetched.exit_code == 0
    assert str(tmp_path / "mnist" / "a.gz") in fetched.stdout
    assert (tmp_path / "mnist" / "a.gz").read_bytes() == b"content"
    assert refused.exit_code == 2
    assert "answered 404" in refused.stderr
    assert "Traceback" not in refused.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["download", "mnst"], "unknown data set 'mnst'; did you mean 'mnist'?"),
        (["download", "images"], "images is made of your own files: there is nothing to download"),
        (["info", "arrays"], "path is missing; data set arrays needs it"),
        (
            ["info", "arrays", "--set", "path=gone.npz"],
            "arrays: path must exist, got 'gone.npz'; it is your own file",
        ),
        (
            ["render", "images", "--set", "path=gone"],
            "images: path must be a folder of images, got 'gone'",
        ),
        (
            ["render", "smallnorb", "--set", "split=tst"],
            "split must be one of all, train, test, got 'tst'",
        ),
        (
            ["render", "shapes3d", "--set", "stride.shap=2"],
            "stride: unknown factor 'shap'; did you mean 'shape'?",
        ),
    ],
)
def test_a_users_error_exits_with_2_and_one_sentence(arguments: list[str], message: str) -> None:
    result = sweeps("data", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
