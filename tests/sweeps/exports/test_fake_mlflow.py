"""The MLflow in memory does what MLflow's SQLite store does: the same calls on both."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from fake_mlflow import FakeMlflow, Fault
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

Script = Callable[[Any], Iterator[Any]]
"""script(client): makes calls, and yields what they show or thunks that may raise."""


def experiment_of(client: Any) -> str:
    return client.create_experiment("first", tags={"sweep.name": "first"})


def run_of(client: Any, experiment: str, trial: int = 0) -> str:
    tags = {"sweep.trial": f"first/{trial}", "seed": str(trial)}
    run = client.create_run(experiment, start_time=1000 + trial, tags=tags, run_name=f"t{trial}")
    return run.info.run_id


def shown(run: Any) -> Any:
    """Return what the export reads of a run, without ids and locations."""
    info = run.info
    tags = {key: text for key, text in run.data.tags.items() if key != "mlflow.user"}
    stages = (info.lifecycle_stage, info.status, info.start_time, info.end_time, info.run_name)
    return [stages, tags, dict(run.data.params), dict(run.data.metrics)]


def history(client: Any, run: str, key: str) -> list[Any]:
    points = client.get_metric_history(run, key)
    return sorted((point.step, point.timestamp, repr(point.value)) for point in points)


def equal_points_are_kept_once(client: Any) -> Iterator[Any]:
    run = run_of(client, experiment_of(client))
    for value, at, step in [(1.0, 5, 1), (1.0, 5, 1), (1.0, 6, 1), (2.0, 5, 1), (0.5, 1, 2)]:
        client.log_batch(run, metrics=[Metric("mig", value, at, step)])
    client.log_batch(run, metrics=[Metric("mig", 1.0, 5, 1), Metric("mig", 9.0, 5, 0)])
    yield history(client, run, "mig")
    yield client.get_run(run).data.metrics


def what_is_not_finite_is_stored_as_something_else(client: Any) -> Iterator[Any]:
    run = run_of(client, experiment_of(client))
    for key, value in {"up": math.inf, "down": -math.inf, "nan": math.nan}.items():
        client.log_batch(run, metrics=[Metric(key, value, 5, 1), Metric(key, value, 5, 1)])
        yield history(client, run, key)


def parameters_never_change(client: Any) -> Iterator[Any]:
    run = run_of(client, experiment_of(client))
    client.log_batch(run, params=[Param("a", "1"), Param("b", "2" * 7000)])
    client.log_batch(run, params=[Param("a", "1"), Param("c", "3")])
    yield lambda: client.log_batch(run, params=[Param("d", "4"), Param("a", "other")])
    yield lambda: client.log_batch(run, params=[Param("e", "4"), Param("e", "4")])
    yield shown(client.get_run(run))


def one_refused_element_costs_the_batch(client: Any) -> Iterator[Any]:
    run = run_of(client, experiment_of(client))
    good = Metric("good", 1.0, 5, 1)
    keys = ["tc (nats)", "a//b", "/a", "../a", "a/.", ".", "", "x" * 251, "ok " * 80, "a:b.c-d_e/é"]
    for key in keys:
        yield key, lambda key=key: client.log_batch(run, metrics=[good, Metric(key, 1.0, 5, 1)])
        yield key, lambda key=key: client.log_batch(run, params=[Param(key, "1")])
        yield key, lambda key=key: client.set_tag(run, key, "1")
        yield "good" in client.get_run(run).data.metrics
    yield lambda: client.log_batch(run, metrics=[Metric("early", 1.0, -5, 1)])
    yield shown(client.get_run(run))


def limits_of_a_batch_are_those_of_the_client(client: Any) -> Iterator[Any]:
    run = run_of(client, experiment_of(client))
    metrics = [Metric(f"m{number}", 1.0, 5, 1) for number in range(1500)]
    params = [Param(f"p{number}", "1") for number in range(150)]
    client.log_batch(run, metrics=metrics, params=params, tags=[RunTag("t", "x" * 9000)])
    client.set_tag(run, "long", "x" * 9000)
    yield shown(client.get_run(run))


def a_deleted_run_refuses_writes_until_it_is_restored(client: Any) -> Iterator[Any]:
    experiment = experiment_of(client)
    run = run_of(client, experiment)
    client.delete_run(run)
    yield lambda: client.log_batch(run, metrics=[Metric("mig", 1.0, 5, 1)])
    yield lambda: client.log_batch(run, params=[Param("a", "1")])
    yield lambda: client.set_tag(run, "a", "1")
    yield lambda: client.delete_tag(run, "seed")
    yield lambda: client.update_run(run, status="RUNNING")
    yield lambda: client.set_terminated(run, "FINISHED", 7)
    yield shown(client.get_run(run))
    yield len(client.search_runs([experiment]))
    yield len(client.search_runs([experiment], run_view_type=ViewType.ALL))
    client.restore_run(run)
    client.restore_run(run)
    client.set_terminated(run, "KILLED", 7)
    client.log_batch(run, metrics=[Metric("mig", 1.0, 5, 1)])  # also to a run that has ended
    yield shown(client.get_run(run))
    client.update_run(run, status="RUNNING")
    yield shown(client.get_run(run))


def what_does_not_exist_is_an_error(client: Any) -> Iterator[Any]:
    experiment = experiment_of(client)
    missing = "0" * 32
    for method in ("get_run", "delete_run", "restore_run", "set_terminated"):
        yield lambda method=method: getattr(client, method)(missing)
    yield lambda: client.log_batch(missing, metrics=[Metric("mig", 1.0, 5, 1)])
    yield lambda: client.delete_tag(run_of(client, experiment), "none")
    yield lambda: client.get_experiment("77")
    yield lambda: client.restore_experiment(experiment)  # it is not deleted
    yield client.get_experiment_by_name("none")


def a_deleted_experiment_takes_its_runs_with_it(client: Any) -> Iterator[Any]:
    experiment = experiment_of(client)
    run = run_of(client, experiment)
    client.delete_experiment(experiment)
    yield lambda: client.create_experiment("first")
    yield lambda: client.create_run(experiment)
    yield lambda: client.set_experiment_tag(experiment, "a", "1")
    yield lambda: client.rename_experiment(experiment, "second")
    yield lambda: client.delete_experiment(experiment)
    yield shown(client.get_run(run))
    yield client.get_experiment(experiment).lifecycle_stage
    yield client.get_experiment_by_name("first").lifecycle_stage
    client.restore_experiment(experiment)
    yield shown(client.get_run(run))
    client.rename_experiment(experiment, "second")
    yield client.get_experiment(experiment).name
    yield client.get_experiment_by_name("first")


def searches_are_by_tag_and_in_pages(client: Any) -> Iterator[Any]:
    experiment, other = experiment_of(client), client.create_experiment("other")
    runs = [run_of(client, experiment, trial) for trial in (2, 0, 3, 1, 4)]
    run_of(client, other, 9)
    client.delete_run(runs[0])
    condition = "tags.`sweep.trial` = 'first/3' and tags.seed = '3'"
    yield [shown(run) for run in client.search_runs([experiment], condition)]
    yield len(client.search_runs([experiment], "tags.seed = '77'"))
    token: str | None = None
    for _ in range(3):
        page = client.search_runs(
            [experiment], run_view_type=ViewType.ALL, max_results=2, page_token=token
        )
        yield [run.info.run_name for run in page]
        token = page.token
        yield token is None
    client.delete_experiment(experiment)
    condition = "tags.`sweep.name` = 'first'"
    for view in (ViewType.ALL, ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
        experiments = client.search_experiments(view_type=view, filter_string=condition)
        yield [(each.name, each.tags["sweep.name"]) for each in experiments]


def tags_are_replaced_and_removed(client: Any) -> Iterator[Any]:
    run = run_of(client, experiment_of(client))
    client.set_tag(run, "seed", 7)
    client.delete_tag(run, "sweep.trial")
    client.set_tag(run, "mlflow.runName", "renamed")
    yield shown(client.get_run(run))


SCRIPTS: tuple[Script, ...] = (
    equal_points_are_kept_once,
    what_is_not_finite_is_stored_as_something_else,
    parameters_never_change,
    one_refused_element_costs_the_batch,
    limits_of_a_batch_are_those_of_the_client,
    a_deleted_run_refuses_writes_until_it_is_restored,
    what_does_not_exist_is_an_error,
    a_deleted_experiment_takes_its_runs_with_it,
    searches_are_by_tag_and_in_pages,
    tags_are_replaced_and_removed,
)


def outcomes(script: Script, client: Any) -> list[Any]:
    """Return what a script yields; of a call that raises, the code of its error."""
    results: list[Any] = []
    for result in script(client):
        label, thunk = result if isinstance(result, tuple) else ("", result)
        if not callable(thunk):
            results.append(result)
            continue
        try:
            thunk()
            results.append((label, "taken"))
        except MlflowException as error:
            results.append((label, error.error_code))
    return results


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of MLflow without experiments: to make its tables takes seconds."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_fake_answers_as_mlflow_does(database: Path, tmp_path: Path, script: Script) -> None:
    shutil.copy(database, tmp_path / "mlflow.db")
    expected = outcomes(script, mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db"))
    assert expected
    assert outcomes(script, FakeMlflow()) == expected


def test_faults_hit_before_or_after_the_call_is_done() -> None:
    server = FakeMlflow()
    experiment = experiment_of(server)
    faults = [Fault.LOST, Fault.ERROR, None]
    server.fault = lambda method, *_: faults.pop(0) if method == "create_run" else None
    for _ in range(2):
        with pytest.raises(MlflowException):
            server.create_run(experiment, run_name="t0")
    assert len(server.runs) == 1  # the lost answer left a run, the error did not
    run = server.create_run(experiment, run_name="t1").info.run_id
    server.forbidden_runs = {"t1"}
    with pytest.raises(MlflowException, match="PERMISSION_DENIED"):
        server.set_tag(run, "a", "1")
    server.away = True
    with pytest.raises(MlflowException, match="API request"):
        server.connect()
