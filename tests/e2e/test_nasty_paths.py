"""A sweep in folders with names that mean something in URLs, moved in the middle of its life."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from nasty_names import NASTY_FOLDER
from PIL import Image

from sweeps.storage.workspace import WorkspacePaths

SPEC = {
    "network": {"name": "mlp", "hidden": [8], "latents": 2},
    "train": {"epochs": 1, "batch_size": 8},
    "objectives": [{"name": "beta_vae", "beta": 2}],
    "evaluation": {"images": 16, "samples": 8, "final": ["mig"]},
    "resources": {"cpu": 1},
}


def sweeps(*arguments: str, environment: dict[str, str], folder: Path) -> tuple[str, str]:
    """Run a command in a folder; return what it prints on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "sweeps", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def write_images(folder: Path) -> None:
    """Write 16 images of two factors, with transparent pixels."""
    folder.mkdir()
    lines = ["file,row,column"]
    for row, column in itertools.product(range(4), repeat=2):
        image = Image.new("RGBA", (4, 4))
        image.putpixel((column, row), (255, 255, 255, 255))
        name = f"{row}{column} #%3F.png"
        image.save(folder / name)
        lines.append(f"{name},{row},{column}")
    (folder / "factors.csv").write_text("\n".join(lines))


def artifacts_of(workspace: Path, sweep: str) -> dict[str, str]:
    """Return seed of a trial -> its config.yaml, read through MLflow."""
    import mlflow

    client = mlflow.MlflowClient(WorkspacePaths(workspace).tracking_uri(None))
    experiment = client.get_experiment_by_name(sweep)
    texts: dict[str, str] = {}
    for run in client.search_runs([experiment.experiment_id]):
        if "sweep.trial" in run.data.tags:
            # By location: by run MLflow remembers where it found the artifacts before the move.
            uri = f"{run.info.artifact_uri}/config.yaml"
            path = mlflow.artifacts.download_artifacts(artifact_uri=uri)
            texts[run.data.tags["seed"]] = Path(path).read_text()
    return texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nasty") / NASTY_FOLDER
    folder.mkdir()
    write_images(folder / "images ?")
    for name, seeds in (("first", 1), ("second", 2)):
        data = {"name": "images", "path": str(folder / "images ?"), "grey": True}
        text = yaml.safe_dump({"name": name, "data": data, "seeds": seeds, **SPEC})
        (folder / f"{name} #1.yaml").write_text(text)
    return folder


@pytest.mark.slow  # a minute; the parts of such paths have fast tests
def test_a_sweep_runs_and_reports_in_such_a_folder_and_after_a_move(folder: Path) -> None:
    old, new = folder / "my ~ work?space%20", folder / "moved&{here}"
    # Ray cannot start in the first folder; the workspace is relative, then a file:// URI.
    environment = {"TMPDIR": str(folder), "SWEEPS_WORKSPACE": f"./{old.name}/"}
    _, notes = sweeps("run", "first #1.yaml", environment=environment, folder=folder)
    assert "note: 16 of 16 images have transparent pixels" in " ".join(notes.split())
    assert "Ray's temporary files go to" in notes
    (status,) = json.loads(sweeps("status", "--json", environment=environment, folder=folder)[0])
    assert status["trials"] == {"COMPLETE": 1}
    assert all(lag == 0 for export in status["exports"].values() for lag in export.values())
    assert list(artifacts_of(old, "first")) == ["0"]

    shutil.copytree(old, new)
    old.rename(folder / "kept aside")
    environment = {"SWEEPS_WORKSPACE": new.as_uri()}
    sweeps("run", str(folder / "second #1.yaml"), environment=environment, folder=Path("/"))
    row, other = json.loads(
        sweeps("runs", "second", "--json", environment=environment, folder=Path("/"))[0]
    )
    assert (row["state"], other["state"]) == ("COMPLETE", "COMPLETE")
    assert row["reused_from"] == "first"
    page = sweeps("report", "second", environment=environment, folder=Path("/"))[0]
    assert Path(page.removesuffix("\n")).is_file()
    assert sorted(artifacts_of(new, "second")) == ["0", "1"]
    assert list(artifacts_of(new, "first")) == ["0"]

    expected = {"images ?", "first #1.yaml", "second #1.yaml", "kept aside", new.name}
    stray = {path.name for path in folder.iterdir()} - expected
    assert {name for name in stray if not name.startswith("torchinductor")} == set()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
