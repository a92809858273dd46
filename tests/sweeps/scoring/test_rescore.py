"""Stored codes are scored after the sweep; the scores become `final/*` of the same runs, once."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from mini_sweep import MINI, conductor, play, spec
from stored_codes import PLAIN, export, finished, points, tags, values
from typer.testing import CliRunner

import metrics
from metrics import Inputs, Metric, Score
from metrics.registry import METRICS
from sweeps.cli.app import app
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.status import sweep_status
from sweeps.report import page
from sweeps.report import tables as report_tables
from sweeps.results import run_table
from sweeps.scoring import codes_file
from sweeps.scoring.rescore import Rescored, rescore_sweep
from sweeps.spec.yaml_writer import dump
from sweeps.storage import lock
from sweeps.storage.workspace import TrialPaths

CHEAP = ["mig_hist20", "gaussian_tc"]


def cli(workspace: Path, names: str, *arguments: str, name: str = "mini") -> Result:
    """Run `sweeps rescore` in this process."""
    command = ["rescore", name, "--metrics", names, "--workspace", str(workspace), *arguments]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def states(result: Rescored, metric: str) -> list[str]:
    return [outcome.state for outcome in result.outcomes if outcome.metric == metric]


def codes_of(workspace: Path, trial: str) -> Path:
    return workspace / TrialPaths(trial).artifact("codes.npz")


def hashes(workspace: Path) -> list[str]:
    return [row["hash"] for row in Ledger.existing(workspace).of(tables.TRIAL, "mini")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a sweep that Ray trained, and that was rescored twice.

    It has two seeds each of β-VAE and JointVAE.
    """
    workspace = tmp_path_factory.mktemp("trained")
    objectives = [{"name": "beta_vae"}, {"name": "joint_vae", "categories": [3]}]
    changes = {
        "objectives": objectives,
        "pruning": "none",
        "train": {"epochs": 2, "batch_size": 64},
    }
    (workspace / "mini.yaml").write_text(dump({**MINI, **changes}))
    command = [
        sys.executable,
        "-m",
        "sweeps",
        "run",
        str(workspace / "mini.yaml"),
        "--workspace",
        str(workspace),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    names = ["mig", *CHEAP, "udr", "accuracy", "active_units"]
    for _ in range(2):
        assert rescore_sweep("mini", names, workspace).exit_code == 0
    return workspace


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the workspace of a sweep with stored codes, made without training.

    It has four cells with two seeds each.
    """
    workspace = tmp_path_factory.mktemp("played")
    finished(workspace)
    return workspace


@pytest.fixture
def workspace(played: Path, tmp_path: Path) -> Path:
    """Return a copy of the played workspace, to be changed."""
    return Path(shutil.copytree(played, tmp_path / "workspace"))


def test_mlflow_has_each_number_of_a_rescored_sweep_once_at_the_last_epoch(trained: Path) -> None:
    counts = points(trained)
    assert len(counts) == 4
    for number, count in counts.items():
        assert set(count.values()) == {1}
        assert {step for _, step in count} == {2}
        keys = {key for key, _ in count}
        assert {f"final/mig_hist20{part}" for part in ("", "_error", "_chance", "_ceiling")} <= keys
        assert {"final/gaussian_tc", "final/udr", "final/mig", "final/active_units"} <= keys
        assert ("final/accuracy" in keys) == (number >= 2)  # JointVAE has a discrete code


def test_a_rescored_number_is_the_score_of_the_stored_codes(trained: Path) -> None:
    table = run_table.load_runs(trained, "mini").table
    for row in table.to_dict("records"):
        file = codes_file.read(codes_of(trained, row["trial"]))
        truth = metrics.score("mig_hist20", file.codes, file.factors)
        assert row["final/mig_hist20"] == truth.value
        assert row["final/mig_hist20_ceiling"] == truth.ceiling
        assert json.loads(row["identity/mig_hist20"]) == json.loads(
            json.dumps(dict(truth.identity))
        )
        assert values(trained, row["number"])["final/mig_hist20_chance"] == truth.chance


def test_a_score_from_training_is_left_alone(trained: Path) -> None:
    result = cli(trained, "mig,gaussian_tc", "--json")
    outcomes = json.loads(result.stdout)["outcomes"]
    assert [row["state"] for row in outcomes] == ["trained", "there"] * 4
    assert "left alone: final/mig, which the trials scored themselves" in result.stderr
    assert "mig" not in {
        row["metric"] for row in Ledger.existing(trained).of(tables.RESCORE, "mini")
    }


def test_a_number_from_training_is_kept_and_gets_an_identity(trained: Path) -> None:
    reports = Ledger.existing(trained).of(tables.REPORT, "mini")
    finals = [json.loads(row["body"])["final"] for row in reports]
    before = [final["active_units"] for final in finals if final]
    table = run_table.load_runs(trained, "mini").table
    assert sorted(table["final/active_units"]) == sorted(before)
    assert all(
        json.loads(text)["metric"] == "active_units" for text in table["identity/active_units"]
    )


def test_report_and_table_show_rescored_numbers(trained: Path) -> None:
    loaded = run_table.load_runs(trained, "mini")
    table = report_tables.scores(loaded)
    assert table is not None
    titles = [head.text for head in table.heads]
    assert {"mig hist20", "udr"} <= set(titles)
    assert [row.cells[0].text for row in table.rows[-2:]] == ["chance", "ceiling"]
    assert [cell.text for cell in table.rows[-1].cells][titles.index("mig hist20")] != "–"
    assert "mig hist20" in page.write_report(loaded).read_text()


def test_a_metric_of_several_models_compares_the_seeds_of_a_cell(trained: Path) -> None:
    table = run_table.load_runs(trained, "mini").table
    codes = [codes_file.read(codes_of(trained, trial)) for trial in table["trial"]]
    truth = metrics.score("udr", codes[2].codes, codes[2].factors, others=[codes[3].codes])
    assert table["final/udr"][2] == truth.value


def test_a_metric_that_some_objectives_cannot_serve_is_skipped_there(trained: Path) -> None:
    result = rescore_sweep("mini", ["accuracy"], trained)
    assert states(result, "accuracy") == ["skipped", "skipped", "there", "there"]
    assert result.outcomes[0].why == "needs discrete, which the codes of its objective do not have"


def test_only_complete_trials_are_scored(tmp_path: Path) -> None:
    train = {"epochs": 4, "batch_size": 32, "learning_rate": {"grid": [1e-2, 1e-3]}}
    pruning = {"name": "asha", "metric": "mig", "rungs": [0.5], "reduction": 2}
    sweep = finished(tmp_path, train=train, pruning=pruning)
    result = rescore_sweep("mini", ["gaussian_tc"], tmp_path)
    complete = [trial.number for trial in sweep.trials if trial.state == "COMPLETE"]
    assert len(complete) < len(sweep.trials)
    assert [outcome.number for outcome in result.outcomes] == complete
    table = run_table.load_runs(tmp_path, "mini").table
    assert (table["final/gaussian_tc"].notna() == (table["state"] == "COMPLETE")).all()


def test_missing_and_damaged_codes_are_named_the_others_scored_and_these_later(
    workspace: Path,
) -> None:
    first, second, *_ = hashes(workspace)
    contents = [codes_of(workspace, trial).read_bytes() for trial in (first, second)]
    codes_of(workspace, first).unlink()
    codes_of(workspace, second).write_bytes(contents[1][:100])
    result = cli(workspace, "gaussian_tc,mig_hist20")
    assert result.exit_code == 1
    assert f"failed: trial 0: trials/{first}/artifacts/codes.npz: is missing" in result.stderr
    assert (
        f"failed: trial 1: trials/{second}/artifacts/codes.npz: is not an .npz file, or is damaged"
        in result.stderr
    )
    for trial, content in zip((first, second), contents, strict=True):
        codes_of(workspace, trial).write_bytes(content)
    again = rescore_sweep("mini", ["gaussian_tc", "mig_hist20"], workspace)
    assert again.exit_code == 0
    outcomes = states(again, "gaussian_tc")
    assert outcomes == ["scored"] * 2 + ["there"] * (len(outcomes) - 2)
    assert all(set(count.values()) == {1} for count in points(workspace).values())


def test_seeds_without_others_to_compare_are_skipped_with_a_reason(workspace: Path) -> None:
    with Ledger.existing(workspace).transaction() as tx:
        tx.update(tables.END, tables.END.c.trial == 1, state="FAILED")
        tx.delete(tables.END, tables.END.c.trial == 3)
    result = rescore_sweep("mini", ["udr"], workspace)
    whys = {outcome.number: outcome.why for outcome in result.outcomes}
    assert whys == {
        0: "its cell has no other complete seed to compare with",
        2: "its cell has seeds that have not ended",
    }


def test_what_mlflow_does_not_have_is_counted_and_sent_by_the_next_command(workspace: Path) -> None:
    rescore_sweep("mini", CHEAP, workspace)
    before = points(workspace)
    # As if killed before the ledger noted that MLflow has them.
    with Ledger.existing(workspace).transaction() as tx:
        tx.update(tables.RESCORE, tables.RESCORE.c.metric == "gaussian_tc", run="")
    (row,) = sweep_status(workspace)
    assert row["exports"]["mlflow"]["rescored_behind"] == len(before)
    assert set(states(rescore_sweep("mini", CHEAP, workspace), "gaussian_tc")) == {"there"}
    (row,) = sweep_status(workspace)
    assert row["exports"]["mlflow"]["rescored_behind"] == 0
    assert points(workspace) == before


def test_an_emptied_mlflow_gets_rescored_numbers_again(workspace: Path, tmp_path: Path) -> None:
    rescore_sweep("mini", CHEAP, workspace)
    emptied = Path(
        shutil.copytree(
            workspace, tmp_path / "emptied", ignore=shutil.ignore_patterns("mlflow.db*")
        )
    )
    export(emptied)  # as `sweeps run` does
    assert points(emptied) == points(workspace)


def test_codes_are_read_from_the_store_of_the_spec(workspace: Path, tmp_path: Path) -> None:
    shutil.move(workspace / "trials", tmp_path / "far" / "trials")
    ledger = Ledger.existing(workspace)
    row = ledger.sweep("mini")
    assert row is not None
    row["spec"]["store"]["files"] = (tmp_path / "far").as_uri()
    with ledger.transaction() as tx:
        tx.update(tables.SWEEP, tables.SWEEP.c.name == "mini", spec=json.dumps(row["spec"]))
    assert set(states(rescore_sweep("mini", ["gaussian_tc"], workspace), "gaussian_tc")) == {
        "scored"
    }


def test_a_reused_trial_is_scored_on_the_codes_of_its_hash(workspace: Path) -> None:
    play(conductor(spec(name="other", **PLAIN), workspace))
    assert set(run_table.load_runs(workspace, "other").table["reused_from"]) == {"mini"}
    rescore_sweep("mini", ["gaussian_tc"], workspace)
    result = rescore_sweep("other", ["gaussian_tc"], workspace)
    assert set(states(result, "gaussian_tc")) == {"scored"}
    first, second = (run_table.load_runs(workspace, name).table for name in ("mini", "other"))
    assert first["final/gaussian_tc"].tolist() == second["final/gaussian_tc"].tolist()
    assert all(set(count.values()) == {1} for count in points(workspace, "other").values())


def test_a_variant_keeps_its_dot_in_every_store(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = METRICS["mig_hist20"]
    changed = Metric(
        row.function, row.needs, (0, 1), "max", "epoch", "score", variants={"two": {"bins": 2}}
    )
    monkeypatch.setitem(METRICS, "mig_hist20", changed)
    rescore_sweep("mini", ["mig_hist20.two"], workspace)
    table = run_table.load_runs(workspace, "mini").table
    assert json.loads(table["identity/mig_hist20.two"][0])["bins"] == 2
    assert (
        values(workspace, 0)["final/mig_hist20.two_chance"]
        == table["final/mig_hist20.two_chance"][0]
    )


def test_a_score_without_a_value_is_a_tag_with_a_reason_in_the_table(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(inputs: Inputs) -> Score:
        return Score(
            math.nan, details={"reason": f"{len(inputs.codes)} rows are too few", "rows": 60.0}
        )

    monkeypatch.setitem(
        METRICS, "silent", Metric(silent, frozenset({"mean"}), (0, 1), "max", "epoch", "score")
    )
    rescore_sweep("mini", ["silent"], workspace)
    table = run_table.load_runs(workspace, "mini").table
    assert table["final/silent"].isna().all()
    assert set(table["reason/silent"]) == {"60 rows are too few"}
    assert tags(workspace, 0)["not_finite"] == "final/silent"
    assert values(workspace, 0)["final/silent_rows"] == 60


def test_a_metric_that_refuses_a_trials_codes_is_named_and_not_written(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(inputs: Inputs) -> Score:
        raise ValueError(f"needs more than {len(inputs.codes)} rows")

    monkeypatch.setitem(
        METRICS, "picky", Metric(picky, frozenset({"mean"}), (0, 1), "max", "epoch", "score")
    )
    result = cli(workspace, "picky,gaussian_tc")
    assert result.exit_code == 1
    assert ": picky: needs more than 60 rows" in result.stderr
    written = {row["metric"] for row in Ledger.existing(workspace).of(tables.RESCORE, "mini")}
    assert written == {"gaussian_tc"}


def test_each_trial_is_scored_with_the_evaluation_seed_of_its_config(tmp_path: Path) -> None:
    finished(tmp_path, evaluation={"images": 64, "samples": 16, "final": ["mig"], "seed": 7})
    rescore_sweep("mini", ["elbo"], tmp_path)
    trial = hashes(tmp_path)[0]
    codes = codes_file.read(codes_of(tmp_path, trial)).codes
    table = run_table.load_runs(tmp_path, "mini").table
    tc = table["final/elbo_rate_tc"][0]
    assert tc == metrics.score("elbo", codes, seed=7).details["tc"]
    assert tc != metrics.score("elbo", codes).details["tc"]
    # The ELBO of training is kept, without the error of the rescored one.
    assert "final/elbo_error" not in table


def test_a_running_sweep_is_not_rescored(workspace: Path) -> None:
    with lock.one_driver("mini", workspace):
        result = cli(workspace, "gaussian_tc")
    assert result.exit_code == 2
    assert "is being driven by pid" in result.stderr


@pytest.mark.parametrize(
    ("names", "name", "message"),
    [
        ("mgi", "mini", "unknown metric 'mgi'; did you mean 'mig'?"),
        (
            "reconstruction",
            "mini",
            "metric 'reconstruction' needs images, reconstructions, which stored codes do not have",
        ),
        (
            "accuracy",
            "mini",
            "metric 'accuracy' needs discrete, which the codes of sweep 'mini' do not have",
        ),
        ("mig", "minii", "unknown sweep 'minii'; did you mean 'mini'?"),
        (",", "mini", "must name at least one metric"),
    ],
)
def test_a_problem_of_the_request_exits_with_2_and_computes_nothing(
    names: str, name: str, message: str, played: Path
) -> None:
    result = cli(played, names, name=name)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert Ledger.existing(played).of(tables.RESCORE, "mini") == []


def test_a_workspace_without_sweeps_or_complete_trials_is_reported(tmp_path: Path) -> None:
    assert "no sweeps in" in cli(tmp_path, "mig").stderr
    finished(tmp_path)
    with Ledger.existing(tmp_path).transaction() as tx:
        tx.update(tables.END, tables.END.c.sweep == "mini", state="FAILED")
    result = cli(tmp_path, "gaussian_tc")
    assert (result.exit_code, result.stderr) == (
        2,
        "sweep 'mini' has no complete trial, so no codes to score\n",
    )


def test_the_table_counts_trials_by_outcome(workspace: Path) -> None:
    rescore_sweep("mini", ["gaussian_tc"], workspace)
    header, *lines = cli(workspace, "gaussian_tc,mig_hist20").stdout.splitlines()
    assert header.split() == ["metric", "scored", "there", "trained", "skipped", "failed"]
    number = str(len(hashes(workspace)))
    assert [line.split() for line in lines] == [
        ["gaussian_tc", "0", number, "0", "0", "0"],
        ["mig_hist20", number, "0", "0", "0", "0"],
    ]
