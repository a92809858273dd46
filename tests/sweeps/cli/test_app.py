"""The command line: exit codes, messages on stderr, JSON on request, light imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from synthetic_runs import synthetic
from typer.testing import CliRunner

from metrics.registry import METRICS
from sweeps.cli.app import app
from sweeps.spec import load, sweep_spec
from vae_core.data import DATASETS
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

BAD = Path(__file__).parents[1] / "spec" / "bad_specs"

# Ten typical problems: the bad spec, the line of the problem, and the rule in the message.
TYPICAL_PROBLEMS = [
    ("unknown_key", 12, "unknown key"),
    ("misspelt_objective", 9, "did you mean 'beta_tcvae'?"),
    ("negative_beta", 10, "objectives[1].beta must be >= 0, got -1"),
    ("empty_range", 8, "grid must hold at least one value"),
    ("too_much_gpu", 13, "resources.gpu must be 0, or a fraction in (0, 1], got 1.5"),
    ("wrong_type", 5, "train.epochs must be a whole number, got 'two'"),
    ("doubled_seed", 11, "seeds must not repeat a seed"),
    ("unknown_data_set", 2, "unknown data set 'dsprite'"),
    ("bad_stride", 2, "data.stride.pos_x must be a whole number from 1 to 32, got 0"),
    ("binary", 2, "is not UTF-8 text"),
]


def sweeps(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """Return the message of a command that must end with an error of the user; check its end."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def printed(*arguments: str | Path) -> str:
    """Return what a command prints; check that it succeeds."""
    result = sweeps(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(("name", "line", "rule"), TYPICAL_PROBLEMS)
@pytest.mark.parametrize("command", [["validate"], ["run"], ["run", "--dry-run"]], ids=" ".join)
def test_a_bad_spec_exits_with_2_and_its_line(
    command: list[str], name: str, line: int, rule: str
) -> None:
    message = refused(sweeps(*command, BAD / f"{name}.yaml"))
    assert message.startswith(f"{BAD / name}.yaml:{line}: ")
    assert rule in message


def test_every_problem_is_printed_as_a_line_and_as_json() -> None:
    assert len(refused(sweeps("validate", BAD / "many.yaml")).splitlines()) == 31
    result = sweeps("validate", BAD / "many.yaml", "--json")
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert not answer["ok"]
    assert answer["problems"][0].keys() == {"line", "path", "message"}
    assert len(answer["problems"]) == 31


@pytest.mark.parametrize("name", load.bundled_specs())
def test_validate_prints_the_size_of_a_bundled_spec(name: str) -> None:
    # Where the data set is not downloaded, drawn digits of seven bars stand in for it.
    data = load.load_spec(name, files=False).data
    stand_in = ("--set", "data.stand_in=true") if data.missing() else ()
    size = json.loads(sweeps("validate", name, "--json", *stand_in).stdout)
    first, *floors = sweeps("validate", name, *stand_in).stdout.splitlines()
    assert first == f"ok: {size['cells']} cells, {size['trials']} trials"
    assert floors == [f"floor: {sentence}" for sentence in size["floors"]]
    # dSprites at 64 pixels is binary; all other bundled data are grey.
    assert bool(floors) == (data.outline().levels != 1)


def test_quickstart_has_two_objectives_by_five_betas_by_two_rates_by_two_seeds() -> None:
    assert sweeps("validate", "quickstart").stdout.startswith("ok: 20 cells, 40 trials\n")
    halved = sweeps(
        "validate", "quickstart", "--set", "seeds=1", "--set", "objectives.*.beta={grid: [1, 2]}"
    )
    assert halved.stdout.startswith("ok: 8 cells, 8 trials\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "quikstart"], "did you mean 'quickstart'?"),
        (["validate", "no/such.yaml"], "no/such.yaml: cannot be read: No such file or directory"),
        (["validate", "."], "is a folder; a spec is a file of text"),
        (["validate"], "Missing argument"),
        (["validate", "smoke", "--set", "seeds=0"], "--set seeds=0: seeds must be"),
        (["validat", "smoke"], "validat"),
        (["status"], "no sweeps in"),
        (["status", "x"], "no sweeps in"),
        (["runs", "x"], "no sweeps in"),
        (["report", "x"], "no sweeps in"),
        (["export", "x", "--to", "x.csv"], "no sweeps in"),
        (["export", "x", "--to", "x.xls"], "must end in .parquet or .csv"),
        (["ui"], "no runs in"),
        (
            ["data", "render", "--set", "resolution=48"],
            "resolution must be one of 64, 32, 16, got 48",
        ),
        (["data", "info", "--set", "strid.scale=2"], "did you mean 'stride'?"),
    ],
)
def test_an_error_of_the_user_exits_with_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    assert message in refused(sweeps(*arguments))


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("specs", load.bundled_specs()),
        ("objectives", OBJECTIVES),
        ("networks", NETWORKS),
        ("metrics", METRICS),
        ("datasets", DATASETS),
    ],
)
def test_a_listing_has_every_row_of_its_registry(command: str, names: dict[str, Any]) -> None:
    assert [row["name"] for row in json.loads(sweeps(command, "--json").stdout)] == list(names)
    table = sweeps(command).stdout
    assert all(name in table for name in names)


def test_objectives_are_listed_with_bounds_defaults_and_strength() -> None:
    row = next(
        row
        for row in json.loads(sweeps("objectives", "--json").stdout)
        if row["name"] == "beta_vae"
    )
    beta = next(field for field in row["fields"] if field["field"] == "beta")
    assert (row["strength"], beta["allowed"], beta["default"]) == ("beta", "number >= 0", 4.0)


def test_notes_go_to_stderr_and_into_the_json() -> None:
    changes = ["--set", "objectives.*={name: factor_bottleneck}"]
    changes += ["--set", "pruning={rungs: [0.5]}"]
    changes += ["--set", "train.epochs=4", "--set", "search={name: grid}"]
    start = "objectives[0] factor_bottleneck: every rung is skipped"
    result = sweeps("validate", "smoke", *changes)
    assert result.stdout.startswith("ok: ")
    assert f"note: {start}" in result.stderr
    (note,) = json.loads(printed("validate", "smoke", *changes, "--json"))["notes"]
    assert note.startswith(start)
    dry_run = sweeps("run", "smoke", *changes, "--dry-run")
    assert f"note: {start}" in dry_run.stderr
    (planned,) = json.loads(printed("run", "smoke", *changes, "--dry-run", "--json"))["notes"]
    assert planned == note


def test_the_schema_is_json() -> None:
    assert json.loads(sweeps("schema").stdout)["required"] == [
        "name",
        "data",
        "network",
        "train",
        "objectives",
    ]


@pytest.mark.parametrize(
    ("states", "finished", "code"),
    [({"COMPLETE": 8}, True, 0), ({"FAILED": 1}, True, 1), ({}, False, 1)],
)
def test_run_passes_its_arguments_and_exits_by_the_result(
    states: dict[str, int],
    finished: bool,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sweeps.driver import run
    from sweeps.driver.result import SweepResult

    received: dict[str, Any] = {}

    def fake(sweep: sweep_spec.SweepSpec, **keywords: Any) -> SweepResult:
        received.update(keywords, seeds=sweep.seeds)
        return SweepResult(sweep.name, states, finished, "", True)

    monkeypatch.setattr(run, "run_sweep", fake)
    result = sweeps(
        "run", "smoke", "--set", "seeds=3", "--workspace", tmp_path, "--address", "auto", "--json"
    )
    assert result.exit_code == code
    assert (received["workspace"], received["address"]) == (tmp_path, "auto")
    assert received["seeds"] == (0, 1, 2)
    assert json.loads(result.stdout)["states"] == states
    assert json.loads(result.stdout)["notes"] == []


def test_a_sweep_that_cannot_start_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeps import errors
    from sweeps.driver import run

    def fake(*_: Any, **__: Any) -> None:
        raise errors.SweepError("no node has a GPU")

    monkeypatch.setattr(run, "run_sweep", fake)
    assert refused(sweeps("run", "smoke", "--workspace", tmp_path)) == "no node has a GPU\n"


def test_runs_are_printed_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeps.results import run_table

    runs = synthetic(tmp_path)
    monkeypatch.setattr(run_table, "load_runs", lambda workspace, name: runs)
    rows = json.loads(printed("runs", runs.name, "--json"))
    assert [row["number"] for row in rows] == list(runs.table["number"])
    assert "PRUNED" in printed("runs", runs.name)
    printed("export", runs.name, "--to", tmp_path / "runs.csv")
    printed("export", runs.name, "--to", tmp_path / "runs.parquet")
    assert list(pd.read_csv(tmp_path / "runs.csv")["trial"]) == list(runs.table["trial"])
    assert list(pd.read_parquet(tmp_path / "runs.parquet")["trial"]) == list(runs.table["trial"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs.csv", "runs.parquet"]


def test_a_data_set_is_rendered_described_and_verified(tmp_path: Path) -> None:
    options = [
        "--set",
        "resolution=16",
        "--set",
        "stride={orientation: 20, pos_x: 16, pos_y: 16}",
        "--cache",
        tmp_path,
    ]
    rendered = json.loads(printed("data", "render", *options, "--json"))[0]
    info = json.loads(printed("data", "info", *options, "--json"))
    assert rendered["images"] == info["images"] == 3 * 6 * 2 * 2 * 2
    assert info["prepared"]
    assert json.loads(printed("data", "verify", "--cache", tmp_path, "--json"))[0]["intact"]
    file = Path(rendered["path"])
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    assert sweeps("data", "verify", "--cache", tmp_path).exit_code == 1


def test_validate_imports_neither_ray_mlflow_optuna_nor_pandas() -> None:
    code = (
        "import sys; from sweeps.cli.app import app;"
        "app(['validate', 'quickstart'], standalone_mode=False);"
        "print(sorted({'ray', 'mlflow', 'optuna', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, _, last = done.stdout.splitlines()
    assert (first, last) == ("ok: 20 cells, 40 trials", "[]")


def test_python_m_sweeps_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sweeps", "validate", str(BAD / "negative_beta.yaml")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert done.returncode == 2
    assert (
        done.stderr == f"{BAD / 'negative_beta.yaml'}:10: objectives[1].beta must be >= 0, got -1\n"
    )
