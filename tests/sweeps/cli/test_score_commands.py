"""`sweeps score`: scores with error, chance and ceiling; every problem before any computation."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from codes_files import BAD, FACTORS, WRITERS, N, arrays, npz
from rich.console import Console
from typer.testing import CliRunner

import metrics
from metrics import Codes, Factors, Inputs, Metric, Score, progress
from metrics.registry import METRICS
from sweeps.cli import score_commands
from sweeps.cli.app import app
from sweeps.console import progress_bar
from sweeps.scoring.score_codes import reference_problem


def score(*arguments: str | Path) -> Result:
    """Run `sweeps score` in this process."""
    return CliRunner().invoke(app, ["score", *map(str, arguments)], env={"COLUMNS": "200"})


def refused(result: Result) -> str:
    """Return the message of a command that must end with an error of the user; check its end."""
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    return result.stderr


def answered(*arguments: str | Path) -> dict[str, Any]:
    """Return the JSON of `sweeps score`; check that it succeeds."""
    result = score(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    return npz(tmp_path / "codes.npz", **arrays())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep in the registry only the metrics that take milliseconds."""
    for name in [name for name, row in METRICS.items() if row.tier == "trial" and name != "sap"]:
        monkeypatch.delitem(METRICS, name)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_exits_with_2_and_names_the_key(name: str, tmp_path: Path) -> None:
    write, message = BAD[name]
    path = write(tmp_path)
    result = score("--codes", path)
    assert refused(result).startswith(f"{path}: {message}")
    assert result.stdout == ""


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gets_the_scores_of_the_library(kind: str, tmp_path: Path) -> None:
    answer = answered(
        "--codes", WRITERS[kind](tmp_path), "--metrics", "mig,mig_hist20", "--seed", "3"
    )
    stored = arrays()
    codes = Codes(stored["mean"], stored["logvar"])
    factors = Factors(FACTORS, ("shape", "scale"), (3, 4))
    for row in answer["scores"]:
        expected = metrics.score(row["metric"], codes, factors, seed=3)
        keys = ("value", "error", "chance", "ceiling")
        assert [row[key] for key in keys] == [getattr(expected, key) for key in keys]
        np.testing.assert_array_equal(
            row["details"]["mutual_information"], expected.details["mutual_information"]
        )
        assert row["identity"] == json.loads(json.dumps(dict(expected.identity)))
    assert [row["metric"] for row in answer["scores"]] == ["mig", "mig_hist20"]


@pytest.mark.usefixtures("quick")
def test_without_metrics_every_metric_with_its_data_is_scored_and_the_others_are_named(
    codes: Path,
) -> None:
    answer = answered("--codes", codes, "--no-reference")
    data = {"mean", "posterior", "factors"}
    served = [name for name, row in METRICS.items() if row.needs <= data and row.tier != "sweep"]
    assert [row["metric"] for row in answer["scores"]] == served
    assert answer["left_out"].keys() == METRICS.keys() - set(served)
    assert (
        answer["left_out"]["reconstruction"]
        == "needs images, reconstructions, which the file does not have"
    )
    result = score("--codes", codes, "--no-reference")
    assert all(f"\n{name} " in result.stdout for name in served)
    assert "(needs images, reconstructions, which the file does not have)" in result.stderr


def test_a_file_of_means_alone_names_what_logvar_and_factors_would_enable(tmp_path: Path) -> None:
    answer = answered("--codes", npz(tmp_path / "codes.npz", mean=arrays()["mean"]))
    assert [row["metric"] for row in answer["scores"]] == ["active_units"]
    assert answer["left_out"]["mig"] == "needs logvar, factors, which the file does not have"


def test_every_problem_of_a_request_is_printed_before_any_computation(
    codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "score", None)
    request = ["--metrics", "mig, mgi,reconstruction,udr"]
    request += ["--set", "mig.bin=3", "--set", "dci.trees=4"]
    lines = refused(score("--codes", codes, *request)).splitlines()
    assert [line.partition("; ")[0] for line in lines] == [
        "unknown metric 'mgi'",
        "metric 'reconstruction' needs images, reconstructions, which the file does not have",
        "metric 'udr' compares several models: `sweeps rescore` scores those of a sweep with it",
        "--set: metric 'mig' has no option 'bin'",
        "--set: metric 'dci' is not among --metrics",
    ]
    assert "did you mean 'mig'?" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", ","], "must name at least one metric"),
        (["--metrics", "mig.x"], "unknown metric 'mig.x'"),
        (["--set", "bins=3"], "must be metric.option=value"),
        (["--set", "mig_hist20.bins"], "must be metric.option=value"),
        (["--set", "mig_hist20.bins=[3"], "--set mig_hist20.bins=[3"),
        (
            ["--metrics", "mig_hist20", "--set", "mig_hist20.bins=0"],
            "mig_hist20: bins must be >= 1, got 0",
        ),
        (["--seed", "-1"], "'--seed'"),
        (["--parquet", "x.csv"], "must end in .parquet, got x.csv"),
        (["--parquet", "no/such/x.parquet"], "cannot be written: no/such/x.parquet"),
        (["--parquet", "x.parquet", "--json"], "give one of them"),
    ],
)
def test_an_error_of_the_user_exits_with_2(arguments: list[str], message: str, codes: Path) -> None:
    assert message in refused(score("--codes", codes, *arguments))


def test_an_option_changes_the_score_and_its_identity(codes: Path) -> None:
    (row,) = answered("--codes", codes, "--metrics", "mig_hist20", "--set", "mig_hist20.bins=2")[
        "scores"
    ]
    assert row["identity"]["bins"] == 2
    assert row["chance"] is not None


def test_a_variant_is_scored_by_its_name(codes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = METRICS["mig_hist20"]
    changed = Metric(
        row.function, row.needs, (0, 1), "max", "epoch", "score", variants={"two": {"bins": 2}}
    )
    monkeypatch.setitem(METRICS, "mig_hist20", changed)
    settings = ["--set", "mig_hist20.two.bins=3"]
    rows = answered("--codes", codes, "--metrics", "mig_hist20.two", "--no-reference")["scores"]
    rows += answered("--codes", codes, "--metrics", "mig_hist20.two", "--no-reference", *settings)[
        "scores"
    ]
    assert [(row["metric"], row["identity"]["bins"]) for row in rows] == [
        ("mig_hist20.two", 2),
        ("mig_hist20.two", 3),
    ]


def test_the_table_names_what_was_excluded_and_why(tmp_path: Path) -> None:
    stored = arrays(
        factors=np.concatenate([FACTORS, np.zeros((N, 1), int)], axis=1),
        factor_names=None,
        factor_sizes=None,
    )
    path = npz(tmp_path / "codes.npz", **stored)
    assert "factor_2: " in score("--codes", path, "--metrics", "mig").stdout
    (row,) = answered("--codes", path, "--metrics", "mig")["scores"]
    assert list(row["excluded"]) == ["factor_2"]


def test_a_score_without_a_value_says_why(tmp_path: Path) -> None:
    path = npz(tmp_path / "codes.npz", **arrays(factors=np.zeros((N, 2), int)))
    (row,) = answered("--codes", path, "--metrics", "mig")["scores"]
    assert row["value"] is None
    assert row["reason"] != ""
    assert row["reason"][:20] in score("--codes", path, "--metrics", "mig").stdout


def test_scores_are_written_as_parquet_with_one_row_per_metric(codes: Path, tmp_path: Path) -> None:
    target = tmp_path / "scores.parquet"
    result = score("--codes", codes, "--metrics", "mig,active_units", "--parquet", target)
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    table = pd.read_parquet(target).set_index("metric")
    scores = answered("--codes", codes, "--metrics", "mig,active_units")["scores"]
    (mig,) = [row for row in scores if row["metric"] == "mig"]
    assert table.loc["mig", "value"] == mig["value"]
    assert math.isnan(float(table["chance"]["active_units"]))
    assert json.loads(str(table["details"]["mig"])) == mig["details"]
    assert json.loads(str(table["identity"]["mig"])) == mig["identity"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.npz", "scores.parquet"]


@pytest.mark.usefixtures("quick")
def test_a_metric_that_refuses_the_codes_does_not_stop_the_others(
    codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(inputs: Inputs) -> Score:
        raise ValueError(f"needs more than {len(inputs.codes)} rows")

    monkeypatch.setitem(
        METRICS, "picky", Metric(refusing, frozenset({"mean"}), (0, 1), "max", "epoch", "score")
    )
    result = score("--codes", codes, "--metrics", "picky,active_units", "--json")
    assert [row["metric"] for row in json.loads(result.stdout)["scores"]] == ["active_units"]
    assert refused(result) == "picky: needs more than 60 rows\n"
    answer = answered("--codes", codes, "--no-reference")  # --metrics does not name it
    assert answer["left_out"]["picky"] == "needs more than 60 rows"


@pytest.mark.usefixtures("quick")
def test_a_file_with_weights_leaves_out_metrics_without_weights(tmp_path: Path) -> None:
    path = npz(tmp_path / "codes.npz", **arrays(weights=np.ones(N)))
    unweighted = next(
        name
        for name, row in METRICS.items()
        if not row.weighted and row.needs <= {"mean", "factors"}
    )
    assert f"metric '{unweighted}' takes no weights" in refused(
        score("--codes", path, "--metrics", unweighted)
    )
    assert answered("--codes", path, "--no-reference")["left_out"][unweighted] == "takes no weights"


def test_notes_go_to_stderr_and_into_the_json(tmp_path: Path) -> None:
    path = npz(tmp_path / "codes.npz", samples=arrays()["mean"], logvars=np.ones(3))
    result = score("--codes", path)
    assert "note: no mean: samples are scored as deterministic codes" in result.stderr
    assert len(answered("--codes", path)["notes"]) == 2


def test_a_chance_above_the_score_of_the_factors_is_reported(tmp_path: Path) -> None:
    # one factor with another level in every row: random codes look modular, the factors do not
    factors = np.stack([FACTORS[:, 0], np.arange(N)], axis=1)
    path = npz(tmp_path / "codes.npz", **arrays(factors=factors, factor_sizes=None))
    answer = answered("--codes", path, "--metrics", "modularity")
    (row,) = answer["scores"]
    assert row["chance"] > row["of_factors"]
    message = f"modularity: chance {row['chance']:.3g} is better than the factors themselves"
    assert any(note.startswith(message) for note in answer["notes"])
    assert f"note: {message}" in score("--codes", path, "--metrics", "modularity").stderr


@pytest.mark.parametrize(
    ("chance", "of_factors", "better", "wrong"),
    [
        (0.6, 0.5, "max", True),
        (0.5, 0.5, "max", False),
        (0.1, 0.5, "max", False),
        (0.6, 0.5, "min", False),
        (0.4, 0.5, "min", True),
        (0.6, 0.5, "none", False),
        (None, 0.5, "max", False),
        (0.5, None, "max", False),
        (math.nan, 0.5, "max", False),
    ],
)
def test_chance_must_not_be_better_than_the_factors(
    chance: float | None, of_factors: float | None, better: str, wrong: bool
) -> None:
    assert bool(reference_problem(0.3, chance, of_factors, better=better)) == wrong
    assert bool(reference_problem(None, chance, of_factors, better=better)) == wrong


def test_own_chance_gives_a_p_value(tmp_path: Path) -> None:
    path = npz(tmp_path / "codes.npz", **arrays())
    options = ("--codes", path, "--metrics", "mig_hist20", "--chance", "own", "--permutations", "9")
    (row,) = answered(*options)["scores"]
    assert len(row["details"]["chance_scores"]) == 9
    assert row["chance"] == pytest.approx(np.mean(row["details"]["chance_scores"]))
    assert row["details"]["p_value"] in [pytest.approx(k / 10) for k in range(1, 11)]
    assert "p_value" in score(*options).stdout


def test_a_metric_without_a_ceiling_says_why(tmp_path: Path) -> None:
    path = npz(tmp_path / "codes.npz", **arrays())
    (row,) = answered("--codes", path, "--metrics", "sap.dlib")["scores"]
    assert row["ceiling"] is None
    stderr = score("--codes", path, "--metrics", "sap.dlib").stderr
    assert "note: sap.dlib has no ceiling: the best code is not known" in stderr


def test_the_default_number_of_permutations_is_that_of_metrics() -> None:
    assert score_commands.PERMUTATIONS == metrics.PERMUTATIONS


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_appears_on_a_terminal_after_a_while_and_nowhere_else(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bar, "DELAY", 0.0)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    with progress_bar.showing(2, console=console) as bar:
        bar.step("slow")
        for step in progress.steps(range(3), "slow: factor"):
            time.sleep(0.2 if step < 2 else 0)
        bar.done()
    assert ("slow: factor" in screen.getvalue()) is terminal


def test_a_bar_of_quick_work_never_appears() -> None:
    screen = io.StringIO()
    with progress_bar.showing(1, console=Console(file=screen, force_terminal=True)) as bar:
        bar.step("quick")
        bar.done()
    assert "quick" not in screen.getvalue()


def test_scoring_imports_neither_ray_mlflow_nor_optuna(codes: Path) -> None:
    arguments = ["score", "--codes", str(codes), "--metrics", "mig", "--json"]
    program = (
        "import sys; from sweeps.cli.app import app;"
        f"app({arguments!r}, standalone_mode=False);"
        "print(sorted({'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stderr == ""


def test_names_in_square_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    levels = np.stack([np.arange(60) % 3, np.arange(60) % 4, np.zeros(60, np.int64)], axis=1)
    file = tmp_path / "brackets.npz"
    np.savez(
        file, mean=levels.astype(float), factors=levels, factor_names=np.array(["a", "b", "[/x]"])
    )
    assert "[/x]" in score("--codes", file, "--metrics", "sap").stdout


def test_a_log_variance_out_of_range_is_an_error_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "sharp.npz"
    np.savez(file, mean=np.zeros((9, 2)), logvar=np.full((9, 2), -2000.0))
    assert "logvar is refused: codes.logvar must lie within +-300" in refused(
        score("--codes", file)
    )


def test_every_problem_of_rows_and_values_is_printed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "many.npz"
    mean = np.zeros((30, 2))
    mean[3] = np.nan
    np.savez(file, mean=mean, logvar=np.zeros((10, 2)), maen=mean, images=np.full((3, 2, 2), 7.0))
    message = refused(score("--codes", file))
    for part in (
        "mean must be finite",
        "logvar has 10 rows but mean has 30",
        "images has 3 rows",
        "images must lie in",
    ):
        assert part in message
    assert "did you mean mean?" in message


@pytest.mark.parametrize("name", ["mig.", "mig.dlib", ".dlib"])
def test_a_name_that_is_no_variant_is_unknown(name: str, codes: Path) -> None:
    assert f"unknown metric {name!r}" in refused(score("--codes", codes, "--metrics", name))


def test_a_metric_that_breaks_is_no_error_of_the_user(
    codes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: metrics.Inputs) -> metrics.Score:
        raise IndexError("out of bounds")

    row = metrics.Metric(broken, frozenset({"mean"}), (0, 1), "max", "epoch", "score")
    monkeypatch.setitem(metrics.METRICS, "broken", row)
    result = score("--codes", codes, "--metrics", "broken,mig_hist20")
    assert result.exit_code == 1
    assert "broken: IndexError: out of bounds" in result.stderr
    assert "mig_hist20" in result.stdout  # the other metrics are still scored
