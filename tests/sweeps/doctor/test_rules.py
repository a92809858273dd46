"""Every rule of `sweeps doctor` finds the fault that breaks it, and a healthy sweep breaks none."""

import json

import healthy_sweep
import pytest
from healthy_sweep import folder, mlflow_client, rules, run_id, sql

from sweeps.doctor import drivers
from sweeps.doctor.examine import examine
from sweeps.doctor.finding import listed
from sweeps.doctor.rules import RULES
from sweeps.doctor.workspace_rules import WORKSPACE_RULES
from sweeps.storage.lock import machine_key

# In the healthy sweep trial 0 (learning rate 1e-2) is complete, and trial 4 (1e-3, the first one of
# cell 2) is pruned.
COMPLETE, PRUNED = 0, 4


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("healthy") / "results"
    healthy_sweep.make(workspace)
    return workspace


@pytest.fixture
def workspace(healthy, tmp_path):
    return healthy_sweep.copy(healthy, tmp_path / "results")


def change_json(workspace, table, column, where, change):
    """Change the JSON in a column of one row."""
    ((text,),) = sql(workspace, f"SELECT {column} FROM {table} WHERE {where}")
    content = json.loads(text)
    change(content)
    sql(workspace, f"UPDATE {table} SET {column} = ? WHERE {where}", json.dumps(content))


def without_unique(workspace, table):
    """Make a table anew without its constraints, as a careless copy of a database does."""
    sql(workspace, f"CREATE TABLE copied AS SELECT * FROM {table}")
    sql(workspace, f"DROP TABLE {table}")
    sql(workspace, f"ALTER TABLE copied RENAME TO {table}")


def planted_gap(workspace):
    sql(workspace, "DELETE FROM report WHERE trial=0 AND epoch IN (2, 3)")


def planted_double(workspace):
    without_unique(workspace, "report")
    sql(workspace, "INSERT INTO report SELECT * FROM report WHERE trial=0 AND epoch=3")


def planted_epoch_beyond(workspace):
    columns = "sweep, trial, at, seconds, body"
    sql(
        workspace,
        f"INSERT INTO report ({columns}, epoch) SELECT {columns}, 5 FROM report "
        "WHERE trial=0 AND epoch=4",
    )


def planted_epoch_of_another(workspace):
    change_json(
        workspace, "report", "body", "trial=0 AND epoch=3", lambda body: body.update(epoch=2)
    )


def planted_falling_step(workspace):
    change_json(
        workspace, "report", "body", "trial=0 AND epoch=3", lambda body: body.update(step=1)
    )


def planted_missing_last_epoch(workspace):
    sql(workspace, "DELETE FROM report WHERE trial=0 AND epoch=4")


def planted_missing_final(workspace):
    change_json(
        workspace, "report", "body", "trial=0 AND epoch=4", lambda body: body.update(final=None)
    )


def planted_missing_one_score(workspace):
    change_json(
        workspace, "report", "body", "trial=0 AND epoch=4", lambda body: body["final"].pop("mig")
    )


def planted_config(workspace):
    change_json(
        workspace,
        "trial",
        "config",
        "number=0",
        lambda config: config["train"].update(learning_rate=0.5),
    )


def planted_extra_run(workspace):
    client = mlflow_client(workspace)
    run = client.get_run(run_id(workspace, COMPLETE))
    tags = {"sweep.trial": "mini/0", "config_hash": run.data.tags["config_hash"]}
    client.create_run(run.info.experiment_id, tags=tags)


def planted_orphan_run(workspace):
    client = mlflow_client(workspace)
    run = client.get_run(run_id(workspace, COMPLETE))
    client.create_run(run.info.experiment_id, tags={"sweep.trial": "mini/99"})


def planted_run_of_another_hash(workspace):
    client = mlflow_client(workspace)
    run = client.get_run(run_id(workspace, COMPLETE))
    tags = {"sweep.trial": "mini/0", "config_hash": "0" * 16}
    client.create_run(run.info.experiment_id, tags=tags)


def planted_second_parent(workspace):
    client = mlflow_client(workspace)
    run = client.get_run(run_id(workspace, COMPLETE))
    client.create_run(run.info.experiment_id, tags={"sweep.parent": "mini"})


def in_mlflow(statement, *, trial=COMPLETE):
    """Return what executes a statement on MLflow's database; `:run` is the run of a trial."""

    def plant(workspace):
        statement_of_run = statement.replace(":run", f"'{run_id(workspace, trial)}'")
        sql(workspace, statement_of_run, database="mlflow.db")

    return plant


def in_ledger(statement):
    """Return what executes a statement on the ledger; `{key}` names this machine."""
    return lambda workspace: sql(workspace, statement.replace("{key}", machine_key()))


def written(trial, path, content):
    """Return what writes a file of a trial."""

    def plant(workspace):
        file = folder(workspace, trial) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # MLflow's run has the same file as a hard link
        file.write_bytes(content)

    return plant


def flipped(trial, name):
    """Return what changes one byte in the middle of an artifact."""

    def plant(workspace):
        content = bytearray((folder(workspace, trial) / "artifacts" / name).read_bytes())
        content[len(content) // 2] ^= 255
        written(trial, f"artifacts/{name}", bytes(content))(workspace)

    return plant


def cut(trial, name):
    """Return what cuts an artifact to its first half."""

    def plant(workspace):
        content = (folder(workspace, trial) / "artifacts" / name).read_bytes()
        written(trial, f"artifacts/{name}", content[: len(content) // 2])(workspace)

    return plant


DRIVER_RUN = "INSERT INTO attempt (sweep, trial, life, started, outcome)"

FAULTS = {
    "a report is no JSON": ("unreadable-row", in_ledger("UPDATE report SET body='{' WHERE seq=3")),
    "a report has no metrics": (
        "unreadable-row",
        in_ledger('UPDATE report SET body=\'{"epoch": 1, "step": 3}\' WHERE seq=3'),
    ),
    "an end has an unknown state": (
        "unreadable-row",
        in_ledger("UPDATE \"end\" SET state='DONE' WHERE trial=0"),
    ),
    "a verdict is unknown": (
        "unreadable-row",
        in_ledger("UPDATE decision SET verdict='maybe' WHERE cell=0"),
    ),
    "a spec is no JSON": ("unreadable-row", in_ledger("UPDATE sweep SET spec='name: mini'")),
    "a config is no JSON": (
        "unreadable-row",
        in_ledger("UPDATE trial SET config='' WHERE number=1"),
    ),
    "an export row has an unknown state": (
        "unreadable-row",
        in_ledger("UPDATE export SET state='?' WHERE trial=1"),
    ),
    "reports of no trial": ("orphan-row", in_ledger("UPDATE report SET trial=77 WHERE seq=5")),
    "an end of no trial": ("orphan-row", in_ledger('UPDATE "end" SET trial=77 WHERE trial=3')),
    "an attempt of no trial": ("orphan-row", in_ledger("UPDATE attempt SET trial=77 WHERE id=1")),
    "a verdict of no cell": ("orphan-row", in_ledger("UPDATE decision SET cell=9 WHERE cell=1")),
    "an export row of no trial": (
        "orphan-row",
        in_ledger("UPDATE export SET trial=77 WHERE trial=3"),
    ),
    "a trial of no cell": ("orphan-row", in_ledger("UPDATE trial SET cell=9 WHERE number=1")),
    "a trial is missing": ("number-gap", in_ledger("DELETE FROM trial WHERE number=1")),
    "a cell is missing": ("number-gap", in_ledger("DELETE FROM cell WHERE number=1")),
    "a config was changed": ("changed-config", planted_config),
    "a hash was changed": (
        "changed-config",
        in_ledger("UPDATE trial SET hash='0123456789abcdef' WHERE number=0"),
    ),
    "a seed was changed": ("changed-config", in_ledger("UPDATE trial SET seed=5 WHERE number=0")),
    "the data are others": (
        "changed-config",
        in_ledger("UPDATE sweep SET fingerprint='" + "e" * 64 + "'"),
    ),
    "epochs are missing": ("epoch-gap", planted_gap),
    "an epoch is stored twice": ("epoch-double", planted_double),
    "an epoch is beyond the end": ("epoch-range", planted_epoch_beyond),
    "a report is of another epoch": ("epoch-range", planted_epoch_of_another),
    "the steps fall": ("epoch-range", planted_falling_step),
    "an attempt is open": (
        "open-attempt",
        in_ledger("UPDATE attempt SET outcome=NULL, ended=NULL WHERE trial=4"),
    ),
    "a driver died with the lease": (
        "stale-lease",
        in_ledger("INSERT INTO lease VALUES ('mini', 3, 9, 'pid 1 on here', '{key}/x', 0)"),
    ),
    "a trial ended without an attempt": (
        "attempt-mismatch",
        in_ledger("DELETE FROM attempt WHERE trial=4"),
    ),
    "two attempts are open": (
        "attempt-mismatch",
        in_ledger(f"{DRIVER_RUN} VALUES ('mini', 4, 1, 0, NULL), ('mini', 4, 1, 1, NULL)"),
    ),
    "an attempt of no driver run": (
        "attempt-mismatch",
        in_ledger("UPDATE attempt SET life=99 WHERE trial=4"),
    ),
    "a complete trial lacks its last epoch": ("incomplete-end", planted_missing_last_epoch),
    "a complete trial has no final scores": ("incomplete-end", planted_missing_final),
    "a complete trial lacks one final score": ("incomplete-end", planted_missing_one_score),
    "a pruned trial counts as complete": (
        "incomplete-end",
        in_ledger("UPDATE \"end\" SET state='COMPLETE', reason='completed' WHERE trial=4"),
    ),
    "state and reason differ": (
        "end-mismatch",
        in_ledger("UPDATE \"end\" SET reason='diverged' WHERE trial=4"),
    ),
    "no rung pruned a pruned trial": (
        "end-mismatch",
        in_ledger("UPDATE decision SET verdict='go' WHERE cell=2"),
    ),
    "a collapsed trial has active units": (
        "end-mismatch",
        in_ledger("UPDATE \"end\" SET reason='collapsed' WHERE trial=4"),
    ),
    "a reused trial names no sweep": (
        "end-mismatch",
        in_ledger("UPDATE \"end\" SET reason='reused' WHERE trial=0"),
    ),
    "a trial with all epochs failed": (
        "end-mismatch",
        in_ledger("UPDATE \"end\" SET state='FAILED', reason='lost' WHERE trial=0"),
    ),
    "a trial with all epochs has no end": (
        "missing-end",
        in_ledger('DELETE FROM "end" WHERE trial=0'),
    ),
    "a trial of a pruned cell has no end": (
        "missing-end",
        in_ledger('DELETE FROM "end" WHERE trial=4'),
    ),
    "a verdict is not that of ASHA": (
        "other-verdict",
        in_ledger("UPDATE decision SET verdict='prune' WHERE cell=0"),
    ),
    "a verdict is on another value": (
        "other-value",
        in_ledger("UPDATE decision SET value=value + 0.25 WHERE cell=0"),
    ),
    "MLflow's database is gone": (
        "mlflow-experiment",
        lambda workspace: (workspace / "mlflow.db").unlink(),
    ),
    "the experiment is deleted": (
        "mlflow-experiment",
        in_mlflow("UPDATE experiments SET lifecycle_stage='deleted' WHERE name='mini'"),
    ),
    "there are two parent runs": ("mlflow-experiment", planted_second_parent),
    "the run of a trial is deleted": (
        "mlflow-missing-run",
        in_mlflow("UPDATE runs SET lifecycle_stage='deleted' WHERE run_uuid=:run"),
    ),
    "the run of a trial is gone": (
        "mlflow-missing-run",
        lambda workspace: [
            in_mlflow(f"DELETE FROM {table} WHERE run_uuid=:run")(workspace)
            for table in ("metrics", "latest_metrics", "params", "tags", "runs")
        ],
    ),
    "a trial has two runs": ("mlflow-doubled-run", planted_extra_run),
    "a run is of no trial": ("mlflow-orphan-run", planted_orphan_run),
    "a run is of a trial of another ledger": ("mlflow-orphan-run", planted_run_of_another_hash),
    "a number is another one": (
        "mlflow-wrong-number",
        in_mlflow("UPDATE metrics SET value=9 WHERE run_uuid=:run AND key='tc' AND step=3"),
    ),
    "a number is there twice": (
        "mlflow-wrong-number",
        in_mlflow(
            "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) "
            "SELECT run_uuid, key, value, timestamp + 1, step, is_nan FROM metrics "
            "WHERE run_uuid=:run AND key='tc' AND step=3"
        ),
    ),
    "a number is of an epoch that no report has": (
        "mlflow-wrong-number",
        in_mlflow("UPDATE metrics SET step=7 WHERE run_uuid=:run AND key='tc' AND step=3"),
    ),
    "a number is missing": (
        "mlflow-missing-number",
        in_mlflow("DELETE FROM metrics WHERE run_uuid=:run AND key='tc' AND step=3"),
    ),
    "epochs are missing that the ledger takes for written": (
        "mlflow-missing-number",
        in_mlflow("DELETE FROM metrics WHERE run_uuid=:run AND step > 2"),
    ),
    "the export row is ahead of the reports": (
        "export-row",
        in_ledger("UPDATE export SET epoch=6 WHERE trial=0"),
    ),
    "the export row names another run": (
        "export-row",
        in_ledger("UPDATE export SET run='0123456789abcdef0123456789abcdef' WHERE trial=0"),
    ),
    "the export row has another state": (
        "export-row",
        in_ledger("UPDATE export SET state='PRUNED' WHERE trial=0"),
    ),
    "a run is left running": (
        "mlflow-state",
        in_mlflow("UPDATE runs SET status='RUNNING' WHERE run_uuid=:run"),
    ),
    "a run has another state": (
        "mlflow-state",
        in_mlflow("UPDATE tags SET value='FAILED' WHERE run_uuid=:run AND key='state'"),
    ),
    "a parameter is missing": (
        "mlflow-parameter",
        in_mlflow("DELETE FROM params WHERE run_uuid=:run AND key='train.learning_rate'"),
    ),
    "a parameter is another one": (
        "mlflow-parameter",
        in_mlflow("UPDATE params SET value='7' WHERE run_uuid=:run AND key='train.learning_rate'"),
    ),
    "a run lacks a file": (
        "mlflow-artifact",
        lambda workspace: next(workspace.glob("artifacts/mini/*/artifacts/codes.npz")).unlink(),
    ),
    "artifacts are looked for elsewhere": (
        "mlflow-location",
        in_mlflow(
            "UPDATE runs SET artifact_uri="
            "'file:///old/artifacts/mini/' || run_uuid || '/artifacts' WHERE run_uuid=:run"
        ),
    ),
    "codes are missing": (
        "missing-artifact",
        lambda workspace: (folder(workspace, COMPLETE) / "artifacts/codes.npz").unlink(),
    ),
    "weights are missing": (
        "missing-artifact",
        lambda workspace: (folder(workspace, COMPLETE) / "artifacts/weights.pt").unlink(),
    ),
    "a file is empty": ("damaged-artifact", written(COMPLETE, "artifacts/codes.npz", b"")),
    "codes are cut": ("damaged-artifact", cut(COMPLETE, "codes.npz")),
    "weights have another byte": ("damaged-artifact", flipped(COMPLETE, "weights.pt")),
    "a picture is cut": ("damaged-artifact", cut(COMPLETE, "traversal.png")),
    "an animation is cut": ("damaged-artifact", cut(COMPLETE, "traversal.gif")),
    "a checkpoint is damaged": (
        "damaged-checkpoint",
        written(PRUNED, "checkpoints/000002.pt", healthy_sweep.checkpoint()[:-1]),
    ),
    "a checkpoint is empty": (
        "damaged-checkpoint",
        written(PRUNED, "checkpoints/000002.pt", b""),
    ),
    "a complete trial has a checkpoint": (
        "checkpoint-leftover",
        written(COMPLETE, "checkpoints/000004.pt", healthy_sweep.checkpoint()),
    ),
    "a temporary file is left": (
        "file-aside",
        written(PRUNED, "checkpoints/.000002.pt.x1y2z3.part", b"half"),
    ),
    "rows are of an unknown sweep": (
        "unknown-sweep",
        in_ledger("UPDATE decision SET sweep='gone' WHERE cell=0"),
    ),
    "a folder is of no trial": (
        "unknown-folder",
        lambda workspace: (
            (workspace / "trials/0123456789abcdef").mkdir()
            or (workspace / "trials/0123456789abcdef/weights.pt").write_bytes(b"w")
        ),
    ),
    "a lock is of no sweep": (
        "stale-lock",
        lambda workspace: (workspace / ".gone.lock").write_text("pid 1"),
    ),
}


def test_a_healthy_sweep_breaks_no_rule(workspace):
    assert rules(workspace) == set()
    health = examine(workspace, deep=True)
    # 4 trials of 4 epochs, and 4 that were pruned at epoch 2
    assert (health.trials, health.reports) == (8, 24)
    assert health.healthy


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_by_its_rule(workspace, fault):
    rule, plant = FAULTS[fault]
    if not rule.startswith(("mlflow", "export")):
        (workspace / "mlflow.db").unlink()  # saves half of the time
        assert rules(workspace) == {"mlflow-experiment"}
    plant(workspace)
    assert rule in rules(workspace)


def test_every_rule_has_a_planted_fault():
    planted = {rule for rule, _ in FAULTS.values()}
    outside = {"mlflow-out-of-reach", "files-out-of-reach"}  # a server and a bucket: tests below
    assert planted | outside == RULES.keys() | WORKSPACE_RULES.keys()


def test_a_server_that_is_away_is_one_finding(workspace, monkeypatch):
    change_json(
        workspace,
        "sweep",
        "spec",
        "name='mini'",
        lambda spec: spec["store"].update(mlflow="http://127.0.0.1:9"),
    )
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert rules(workspace) == {"mlflow-out-of-reach"}


def test_files_that_cannot_be_listed_are_one_finding(workspace):
    change_json(
        workspace,
        "sweep",
        "spec",
        "name='mini'",
        lambda spec: spec["store"].update(files="nowhere://bucket"),
    )
    assert "files-out-of-reach" in rules(workspace)
    assert "missing-artifact" not in rules(workspace)


def test_a_damaged_ledger_is_one_finding(workspace):
    with open(workspace / "ledger.db", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert rules(workspace) == {"damaged-database"}


def test_numbers_of_a_user_in_a_run_are_no_fault(workspace):
    client = mlflow_client(workspace)
    client.log_metric(run_id(workspace, COMPLETE), "my own note", 3.0, step=1)
    client.set_tag(run_id(workspace, COMPLETE), "mine", "yes")
    run = client.get_run(run_id(workspace, COMPLETE))
    client.create_run(run.info.experiment_id, run_name="my own run")
    assert rules(workspace) == set()


def test_checkpoints_that_another_sweep_trains_from_are_no_leftover(workspace):
    written(COMPLETE, "checkpoints/000004.pt", healthy_sweep.checkpoint())(workspace)
    sql(
        workspace,
        "INSERT INTO trial SELECT 'other', 0, 0, seed, hash, config, epochs, '', asked "
        "FROM trial WHERE sweep='mini' AND number=0",
    )
    assert "checkpoint-leftover" not in rules(workspace, "mini")


def test_whole_numbers_are_listed_as_ranges():
    assert listed([1, 2, 3, 7]) == "1-3, 7"
    assert listed([5]) == "5"
    assert listed([1, 3, 5, 7, 9, 11, 13, 15]) == "1, 3, 5, 7, 9, 11, and 2 more ranges"


def test_a_driver_on_another_machine_is_seen_by_its_signs_of_life(workspace, monkeypatch):
    sql(workspace, "INSERT INTO lease VALUES ('mini', 3, 9, 'pid 1 on there', 'there/x', 0)")
    looks = []

    def beat(_):
        looks.append(sql(workspace, "UPDATE lease SET beats = beats + 1"))

    monkeypatch.setattr(drivers.time, "sleep", beat)
    assert examine(workspace).driven == ["mini"]
    assert len(looks) == 1
