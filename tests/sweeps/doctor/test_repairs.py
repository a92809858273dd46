"""What `sweeps doctor --repair` mends, and what it leaves alone."""

import fcntl
import json
from collections import Counter

import healthy_sweep
import pytest
from healthy_sweep import folder, mlflow_client, rules, run_id, sql
from mini_sweep import conductor, play, spec
from typer.testing import CliRunner

from sweeps.cli.app import app
from sweeps.doctor import examine
from sweeps.errors import SweepError
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.storage.files import LocalFiles
from sweeps.storage.workspace import TrialPaths


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("healthy") / "results"
    healthy_sweep.make(workspace)
    return workspace


@pytest.fixture
def workspace(healthy, tmp_path):
    return healthy_sweep.copy(healthy, tmp_path / "results")


def doctor(workspace, *arguments):
    """Run the command; return exit code and output."""
    result = CliRunner().invoke(app, ["doctor", *arguments, "--workspace", str(workspace)])
    return result.exit_code, result.output


def in_mlflow(workspace, statement):
    sql(workspace, statement, database="mlflow.db")


def reports(workspace):
    return sql(workspace, "SELECT * FROM report ORDER BY seq")


def points(workspace, trial):
    """Return how often MLflow has each (step, value) of the TC of a trial."""
    history = mlflow_client(workspace).get_metric_history(run_id(workspace, trial), "tc")
    return Counter((point.step, point.value) for point in history)


def test_everything_that_mlflow_can_have_wrong_is_mended_in_one_go(workspace):
    client = mlflow_client(workspace)
    before = reports(workspace)
    named = {trial: run_id(workspace, trial) for trial in range(8)}
    experiment = client.get_run(named[0]).info.experiment_id
    in_mlflow(workspace, f"DELETE FROM metrics WHERE run_uuid='{named[0]}' AND step > 2")
    in_mlflow(workspace, f"UPDATE metrics SET value=9 WHERE run_uuid='{named[1]}' AND step=2")
    in_mlflow(workspace, f"UPDATE runs SET status='RUNNING' WHERE run_uuid='{named[2]}'")
    client.delete_run(named[3])
    in_mlflow(workspace, f"DELETE FROM params WHERE run_uuid='{named[4]}'")
    client.create_run(experiment, tags={"sweep.trial": "mini/5"})
    client.create_run(experiment, tags={"sweep.trial": "mini/99"})
    sql(workspace, "UPDATE export SET epoch=6 WHERE trial=6")
    sql(workspace, "UPDATE attempt SET outcome=NULL WHERE trial=7")
    code, output = doctor(workspace, "--repair")
    assert code == 0, output
    assert "all was repaired" in output
    assert rules(workspace) == set()
    assert reports(workspace) == before  # no report is deleted or changed
    # The TC of the small sweep is 1 / epoch.
    for trial in range(2):
        assert points(workspace, trial) == Counter((epoch, 1 / epoch) for epoch in range(1, 5))
    assert run_id(workspace, 0) == named[0]  # a run that lacked numbers is filled
    assert run_id(workspace, 1) != named[1]  # a run with a wrong number is replaced


def test_a_run_that_is_taken_out_can_be_restored_and_says_why(workspace):
    client = mlflow_client(workspace)
    experiment = client.get_run(run_id(workspace, 0)).info.experiment_id
    orphan = client.create_run(experiment, tags={"sweep.trial": "mini/99"}).info.run_id
    assert doctor(workspace, "--repair")[0] == 0
    run = client.get_run(orphan)
    assert run.info.lifecycle_stage == "deleted"
    assert "mini/99" in run.data.tags["sweeps.doctor"]
    assert run.data.tags["sweeps.doctor.sweep.trial"] == "mini/99"
    client.restore_run(orphan)
    assert rules(workspace) == set()


def test_files_that_nothing_needs_are_deleted_and_their_size_is_named(workspace):
    unknown = workspace / "trials/0123456789abcdef/artifacts/codes.npz"
    unknown.parent.mkdir(parents=True)
    unknown.write_bytes(b"c" * 2_000_000)
    kept = sorted(path for path in workspace.glob("trials/**/*") if path.is_file())
    checkpoint = folder(workspace, 0) / "checkpoints/000004.pt"
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_bytes(healthy_sweep.checkpoint())
    (checkpoint.parent / ".000004.pt.abcd.part").write_bytes(b"half")
    code, output = doctor(workspace)
    assert code == 1
    assert "2.0 MB" in output
    code, output = doctor(workspace, "--repair")
    assert code == 0, output
    assert "--repair leaves it" in output  # another workspace may use the folder of a trial
    assert sorted(path for path in workspace.glob("trials/**/*") if path.is_file()) == kept


def test_a_damaged_checkpoint_goes_only_if_an_older_one_is_good(workspace):
    checkpoints = folder(workspace, 4) / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "000002.pt").write_bytes(b"damaged")
    code, output = doctor(workspace, "--repair")
    assert code == 1
    assert "no older one is good" in output
    assert (checkpoints / "000002.pt").exists()
    (checkpoints / "000001.pt").write_bytes(healthy_sweep.checkpoint())
    assert doctor(workspace, "--repair")[0] == 0
    assert [path.name for path in checkpoints.iterdir()] == ["000001.pt"]


def test_a_missing_artifact_is_copied_back_from_mlflow(workspace):
    codes = folder(workspace, 0) / "artifacts/codes.npz"
    content = codes.read_bytes()
    codes.unlink()
    assert doctor(workspace, "--repair")[0] == 0
    assert codes.read_bytes() == content


def test_a_dry_run_says_what_a_repair_would_do_and_does_nothing(workspace):
    sql(workspace, "UPDATE attempt SET outcome=NULL WHERE trial=7")
    sql(workspace, "UPDATE export SET epoch=9 WHERE trial=6")
    ((attempt,),) = sql(workspace, "SELECT id FROM attempt WHERE trial=7 AND outcome IS NULL")
    before = rules(workspace)
    code, output = doctor(workspace, "--repair", "--dry-run")
    assert code == 1
    assert f"close attempt {attempt} as interrupted" in output
    assert "forget how far trial 6 is exported" in output
    assert rules(workspace) == before == {"open-attempt", "export-row"}


def test_what_cannot_be_mended_stays_and_the_exit_code_says_so(workspace):
    sql(workspace, "DELETE FROM report WHERE trial=0 AND epoch=2")
    before = reports(workspace)
    code, output = doctor(workspace, "--repair")
    assert code == 1
    assert "trial 0 lacks the report of epoch 2; its last epoch is 4" in output
    assert reports(workspace) == before


def test_rescored_numbers_that_mlflow_lost_are_sent_again(workspace):
    ledger = Ledger.of_workspace(workspace)
    body = {"value": 0.5, "numbers": {"sap": 0.5}, "identity": "{}", "reason": ""}
    with ledger.transaction() as tx:
        tx.insert(
            tables.RESCORE,
            sweep="mini",
            trial=0,
            metric="sap",
            epoch=4,
            at=3.0,
            run="",
            body=json.dumps(body),
        )
    healthy_sweep.export(workspace)
    assert rules(workspace) == set()
    in_mlflow(workspace, "DELETE FROM metrics WHERE key='final/sap'")
    assert rules(workspace) == {"mlflow-missing-number"}
    assert doctor(workspace, "--repair")[0] == 0
    assert rules(workspace) == set()


def test_a_sweep_that_was_killed_is_closed_and_resumes_afterwards(tmp_path):
    sweep = conductor(spec(), tmp_path)
    play(sweep, stop_after=7)  # the driver dies: two attempts are open, nothing is exported
    assert {"open-attempt", "mlflow-experiment"} <= rules(tmp_path)
    code, output = doctor(tmp_path, "--repair")
    assert code == 0, output
    resumed = conductor(spec(), tmp_path)
    play(resumed)
    for trial in resumed.trials:
        for name, content in healthy_sweep.artifacts().items():
            if trial.state == "COMPLETE":
                LocalFiles(tmp_path).write(TrialPaths(trial.hash).artifact(name), content)
    healthy_sweep.export(tmp_path)
    assert rules(tmp_path) == set()


def test_a_sweep_that_is_being_driven_is_looked_at_and_not_repaired(workspace):
    sql(workspace, "UPDATE attempt SET outcome=NULL WHERE trial=7")
    sql(workspace, 'DELETE FROM "end" WHERE trial=7')
    before = examine.examine(workspace)
    with open(workspace / ".mini.lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, output = doctor(workspace)  # an open attempt is no fault now
        assert code == 0, output
        assert "sweep 'mini' is being driven" in output
        code, output = doctor(workspace, "mini", "--repair")
        assert code == 2
        assert "got 'mini', which is being driven" in output
        with pytest.raises(SweepError, match="is being driven by"):
            examine.repair(workspace, before)


def test_mistakes_of_a_user_end_with_2_and_one_sentence(workspace, tmp_path):
    assert doctor(tmp_path / "nowhere") == (
        2,
        f"no sweeps in {tmp_path / 'nowhere'}: it has no ledger; name another with --workspace\n",
    )
    assert not (tmp_path / "nowhere").exists()
    code, output = doctor(workspace, "mino")
    assert code == 2
    assert "did you mean 'mini'" in output
    code, output = doctor(workspace, "--dry-run")
    assert code == 2
    assert "needs --repair beside it" in output


def test_json_has_every_finding_with_rule_consequence_and_remedy(workspace):
    sql(workspace, "UPDATE attempt SET outcome=NULL")
    code, output = doctor(workspace, "--json")
    health = json.loads(output)
    assert code == 1
    assert not health["healthy"]
    closed = [each for each in health["findings"] if each["rule"] == "open-attempt"]
    assert len(closed) == len(sql(workspace, "SELECT id FROM attempt"))
    first = health["findings"][0]
    assert first["rule"] == "open-attempt"
    assert first["statement"] == "every attempt is closed while no driver runs"
    assert first["consequence"]
    assert first["remedy"]
    assert first["repairs"] == ["close attempt 1 as interrupted"]


def test_a_verdict_on_another_value_is_a_note_and_leaves_the_sweep_healthy(workspace):
    sql(workspace, "UPDATE decision SET value=0.5 WHERE cell=0")
    code, output = doctor(workspace)
    assert "note other-value in sweep mini" in output
    assert "cell 0 at rung 1 (epoch 2): the verdict is on mig 0.5" in output
    assert f"{workspace}: healthy" in output
    assert code == 0


def test_only_the_named_sweep_is_looked_at(workspace):
    (workspace / "trials/0123456789abcdef").mkdir()
    (workspace / "trials/0123456789abcdef/weights.pt").write_bytes(b"w")
    assert rules(workspace) == {"unknown-folder"}
    assert rules(workspace, "mini") == set()
