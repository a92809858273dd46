"""Mutated artifacts of a sweep: `score`, `rescore` and `report` name them, and go on."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import codes_files
import file_mutations as mutations
import numpy as np
import pytest
from PIL import Image
from stored_codes import finished
from stuck import alarm, bounded_memory
from typer.testing import CliRunner

from sweeps.cli.app import app
from sweeps.report.figures.traversals import traversals_figure
from sweeps.report.yardsticks import own_chance
from sweeps.results.run_table import load_runs
from sweeps.storage.workspace import TrialPaths
from vae_core.data.cache import mapped

METRIC = "mig_hist20"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Return a finished sweep, and the folders of its trials, each with codes and a traversal."""
    workspace = tmp_path_factory.mktemp("sweep")
    trials = finished(workspace).trials
    folders = [workspace / TrialPaths(trial.hash).artifact("codes.npz") for trial in trials]
    rng = np.random.default_rng(0)
    for codes in folders:
        picture = rng.integers(0, 256, (16, 40, 3), dtype=np.uint8)
        Image.fromarray(picture).save(codes.with_name("traversal.png"))
    return workspace, [codes.parent for codes in folders]


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "available_memory", lambda: 64 << 20)


def mutate(rng: random.Random, folder: Path) -> None:
    """Change the codes of a trial, in bytes or in structure, and its picture, in bytes."""
    codes, picture = folder / "codes.npz", folder / "traversal.png"
    change = mutations.mutated_npz if rng.random() < 0.7 else mutations.mutated_bytes
    codes.write_bytes(change(rng, codes.read_bytes()))
    picture.write_bytes(mutations.mutated_bytes(rng, picture.read_bytes()))


def run(*arguments: Any) -> Any:
    """Run a command in this process; it must end with an exit code, and never with an exception."""
    with alarm(30), bounded_memory():
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), arguments
    assert "Traceback" not in result.output
    return result


def check_score(seed: int, folder: Path) -> int:
    rng = random.Random(seed)
    suffix, change = rng.choice(
        (
            ("npz", mutations.mutated_npz),
            ("h5", mutations.mutated_hdf5),
            ("parquet", mutations.mutated_parquet),
        )
    )
    path = codes_files.WRITERS[suffix](folder)
    path.write_bytes(change(rng, path.read_bytes()))
    result = run("score", "--codes", path, "--metrics", METRIC, "--no-reference")
    assert result.exit_code in (0, 2), f"seed {seed}: {result.output}"
    if result.exit_code == 2:
        # The file, or the metric that it does not suit.
        assert path.name in result.stderr.replace("\n", "") or METRIC in result.stderr
    return result.exit_code


def check_report(seed: int, sweep: tuple[Path, list[Path]]) -> None:
    """Mutate the artifacts of every trial, and draw what a report reads of them."""
    rng = random.Random(seed)
    workspace, folders = sweep
    for folder in folders:
        mutate(rng, folder)
    with alarm(30), bounded_memory():
        runs = load_runs(workspace, "mini")
        own_chance(runs)
        traversals_figure(runs)


@pytest.fixture
def copied(sweep: tuple[Path, list[Path]], tmp_path: Path) -> tuple[Path, list[Path]]:
    workspace, folders = sweep
    copy = tmp_path / "workspace"
    shutil.copytree(workspace, copy)
    return copy, [copy / folder.relative_to(workspace) for folder in folders]


@pytest.mark.parametrize("seed", range(8))
def test_score_reads_or_refuses_a_mutated_file(tmp_path: Path, seed: int) -> None:
    check_score(seed, tmp_path)


def test_a_report_of_mutated_artifacts_names_them(copied: tuple[Path, list[Path]]) -> None:
    _, folders = copied
    for folder in folders:
        for name in ("codes.npz", "traversal.png"):
            (folder / name).write_bytes((folder / name).read_bytes()[:100])
    runs = load_runs(copied[0], "mini")
    table = own_chance(runs)
    assert table is not None
    assert "codes cannot be read" in table.caption
    texts = [
        text.get_text() for text in traversals_figure(runs).findobj() if hasattr(text, "get_text")
    ]
    assert any("pictures cannot be read" in text for text in texts)


@pytest.mark.slow
def test_score_reads_or_refuses_hundreds_of_mutated_files(tmp_path: Path) -> None:
    codes = [check_score(seed, tmp_path) for seed in range(8, 308)]
    assert codes.count(2) >= 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_a_report_reads_or_names_mutated_artifacts(
    copied: tuple[Path, list[Path]], seed: int
) -> None:
    check_report(seed, copied)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_rescore_scores_or_names_mutated_codes(copied: tuple[Path, list[Path]], seed: int) -> None:
    workspace, folders = copied
    rng = random.Random(seed)
    for folder in folders[1:]:
        mutate(rng, folder)
    result = run("rescore", "mini", "--metrics", METRIC, "--workspace", workspace, "--json")
    assert result.exit_code in (0, 1), result.output
    assert '"scored"' in result.stdout  # the first trial, whose codes are as they were
