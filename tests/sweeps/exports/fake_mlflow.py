"""An MLflow in memory: the calls that the export makes, with MLflow's rules, and faults on demand.

It stands for a server and its client at once. `test_fake_mlflow.py` runs the same calls on it and
on MLflow's own SQLite store.

Use it in the place of MLflow's client:

    server = FakeMlflow()
    monkeypatch.setattr(mlflow_client, "connect", lambda *_: server.connect())
"""

from __future__ import annotations

import functools
import math
import posixpath
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException, RestException

LONGEST_KEY = 250
LONGEST_PARAMETER = 6000
LONGEST_TAG = 8000
METRICS_PER_BATCH = 1000
LARGEST = 1.7976931348623157e308  # what MLflow stores for infinity
_KEY = re.compile(r"[/\w.\- :]*")
_CONDITION = re.compile(r"tags?\.(?:`([^`]+)`|([\w.]+)) = '([^']*)'")
_STAGES = {
    ViewType.ACTIVE_ONLY: ("active",),
    ViewType.DELETED_ONLY: ("deleted",),
    ViewType.ALL: ("active", "deleted"),
}


class Fault(StrEnum):
    """What may happen to one call."""

    AWAY = "away"  # nobody listens: nothing is done
    TIMEOUT = "timeout"  # no answer in time: nothing is done
    LOST = "lost"  # the call is done and its answer is lost
    ERROR = "500"
    BUSY = "429"
    FORBIDDEN = "403"
    REFUSED = "400"


FaultOf = Callable[[str, tuple[Any, ...], Mapping[str, Any]], Fault | None]
"""fault(method, positional arguments, options): the fault that hits a call, None for none."""


def no_fault(
    _method: str, _arguments: tuple[Any, ...], _options: Mapping[str, Any]
) -> Fault | None:
    """Return no fault for any call."""
    return None


class Page(list[Any]):
    """A page of a search."""

    token: str | None = None


@dataclass
class _Experiment:
    experiment_id: str
    name: str
    artifact_location: str
    tags: dict[str, str]
    lifecycle_stage: str = "active"


@dataclass
class _Run:
    run_id: str
    experiment_id: str
    run_name: str
    start_time: int
    artifact_uri: str
    tags: dict[str, str]
    status: str = "RUNNING"
    end_time: int | None = None
    lifecycle_stage: str = "active"
    params: dict[str, str] = field(default_factory=dict[str, str])
    points: dict[str, dict[tuple[int, int, float, bool], None]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def seen(self) -> Any:
        """Return the run as a caller sees it, a copy."""
        metrics: dict[str, float] = {}
        for key, points in self.points.items():
            _, _, value, is_nan = max(points)  # the highest (step, time, value)
            metrics[key] = math.nan if is_nan else value
        keys = ("run_id", "experiment_id", "run_name", "start_time", "end_time", "status")
        info = {key: getattr(self, key) for key in (*keys, "lifecycle_stage", "artifact_uri")}
        data = SimpleNamespace(tags=dict(self.tags), params=dict(self.params), metrics=metrics)
        return SimpleNamespace(info=SimpleNamespace(**info), data=data)


def _call(method: Callable[..., Any]) -> Callable[..., Any]:
    """Make a method a call to the server: it is counted, and a fault may hit it."""

    @functools.wraps(method)
    def call(self: FakeMlflow, *arguments: Any, **options: Any) -> Any:
        fault = self.begin(method.__name__, arguments, options)
        answer = method(self, *arguments, **options)
        if fault is Fault.LOST:
            raise _error_of(fault)
        return answer

    return call


class FakeMlflow:
    """A server with its client."""

    def __init__(self) -> None:
        self.experiments: dict[str, _Experiment] = {}
        self.runs: dict[str, _Run] = {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []  # method, positional arguments
        self.away = False
        self.refused_keys: set[str] = set()  # of metrics, parameters and tags: 400
        self.forbidden_runs: set[str] = set()  # ids or names: 403
        self.fault: FaultOf = no_fault

    def connect(self) -> FakeMlflow:
        """Return a client, as `mlflow_client.connect` does; raise if the server is away."""
        if self.away:
            raise _error_of(Fault.AWAY)
        return self

    def begin(
        self, method: str, arguments: tuple[Any, ...], options: Mapping[str, Any]
    ) -> Fault | None:
        """Count a call; raise the fault that hits it before it is done, return the one after."""
        self.calls.append((method, arguments))
        fault = Fault.AWAY if self.away else self.fault(method, arguments, options)
        if fault is not None and fault is not Fault.LOST:
            raise _error_of(fault)
        run = self.runs.get(arguments[0]) if arguments and isinstance(arguments[0], str) else None
        run_id = "" if run is None else run.run_id
        if {run_id, self.run_name(arguments, options)} & self.forbidden_runs:
            raise _error_of(Fault.FORBIDDEN)
        return fault

    def run_name(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        """Return the name of the run that a call is about, "" if it is about none."""
        run = self.runs.get(arguments[0]) if arguments and isinstance(arguments[0], str) else None
        return options.get("run_name", "") if run is None else run.run_name

    # ---- experiments

    @_call
    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        if any(each.name == name for each in self.experiments.values()):
            raise _exception(f"Experiment(name={name}) already exists.", "RESOURCE_ALREADY_EXISTS")
        number = str(len(self.experiments) + 1)
        location = artifact_location or f"mlflow-artifacts:/{number}"
        self.experiments[number] = _Experiment(number, name, location, dict(tags or {}))
        return number

    @_call
    def get_experiment(self, experiment_id: str) -> Any:
        return _copy(self._experiment(experiment_id))

    @_call
    def get_experiment_by_name(self, name: str) -> Any:
        for experiment in self.experiments.values():
            if experiment.name == name:
                return _copy(experiment)
        return None

    @_call
    def search_experiments(
        self, view_type: int = ViewType.ACTIVE_ONLY, filter_string: str | None = None
    ) -> Page:
        experiments = [
            _copy(each)
            for each in self.experiments.values()
            if each.lifecycle_stage in _STAGES[view_type] and _meets(each.tags, filter_string)
        ]
        return Page(experiments[::-1])  # the last one that changed comes first

    @_call
    def delete_experiment(self, experiment_id: str) -> None:
        self._set_stage(self._experiment(experiment_id, "active"), "deleted")

    @_call
    def restore_experiment(self, experiment_id: str) -> None:
        self._set_stage(self._experiment(experiment_id, "deleted"), "active")

    @_call
    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        experiment = self._experiment(experiment_id)
        if experiment.lifecycle_stage != "active":
            raise _exception("Cannot rename a non-active experiment.", "INVALID_STATE")
        experiment.name = new_name

    @_call
    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        self._check_key(key)
        self._active_experiment(experiment_id).tags[key] = str(value)

    @_call
    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        del self._active_experiment(experiment_id).tags[key]

    def _experiment(self, experiment_id: str, stage: str = "") -> _Experiment:
        experiment = self.experiments.get(str(experiment_id))
        if experiment is None or stage not in ("", experiment.lifecycle_stage):
            message = f"No Experiment with id={experiment_id} exists"
            raise _exception(message, "RESOURCE_DOES_NOT_EXIST")
        return experiment

    def _active_experiment(self, experiment_id: str) -> _Experiment:
        experiment = self._experiment(experiment_id)
        if experiment.lifecycle_stage != "active":
            raise _exception(
                f"The experiment {experiment_id} must be in the 'active' state. Current state is "
                f"{experiment.lifecycle_stage}.",
                "INVALID_PARAMETER_VALUE",
            )
        return experiment

    def _set_stage(self, experiment: _Experiment, stage: str) -> None:
        experiment.lifecycle_stage = stage
        for run in self.runs.values():
            if run.experiment_id == experiment.experiment_id:
                run.lifecycle_stage = stage

    # ---- runs

    @_call
    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, str] | None = None,
        run_name: str | None = None,
    ) -> Any:
        experiment = self._active_experiment(experiment_id)
        run_id = f"{len(self.runs) + 1:032x}"
        name = run_name or f"unnamed-{run_id[-4:]}"
        self.runs[run_id] = _Run(
            run_id=run_id,
            experiment_id=experiment.experiment_id,
            run_name=name,
            start_time=start_time or _now(),
            artifact_uri=f"{experiment.artifact_location}/{run_id}/artifacts",
            tags={**(tags or {}), "mlflow.runName": name},
        )
        return self.runs[run_id].seen()

    @_call
    def get_run(self, run_id: str) -> Any:
        return self._run(run_id).seen()

    @_call
    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        page_token: str | None = None,
    ) -> Page:
        runs = [
            run
            for run in self.runs.values()
            if run.experiment_id in experiment_ids
            and run.lifecycle_stage in _STAGES[run_view_type]
            and _meets(run.tags, filter_string)
        ]
        runs.sort(key=lambda run: (-run.start_time, run.run_id))
        first = int(page_token or 0)
        page = Page(run.seen() for run in runs[first : first + max_results])
        if len(runs) > first + max_results:
            page.token = str(first + max_results)
        return page

    @_call
    def delete_run(self, run_id: str) -> None:
        self._run(run_id).lifecycle_stage = "deleted"

    @_call
    def restore_run(self, run_id: str) -> None:
        self._run(run_id).lifecycle_stage = "active"

    @_call
    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        run = self._active_run(run_id)
        run.status = status or run.status
        if name:
            run.run_name = run.tags["mlflow.runName"] = name

    @_call
    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        run = self._active_run(run_id)
        run.status, run.end_time = status or "FINISHED", end_time or _now()

    @_call
    def set_tag(self, run_id: str, key: str, value: object) -> None:
        self._check_key(key)
        run = self._active_run(run_id)
        run.tags[key] = str(value)[:LONGEST_TAG]
        if key == "mlflow.runName":
            run.run_name = run.tags[key]

    @_call
    def delete_tag(self, run_id: str, key: str) -> None:
        run = self._active_run(run_id)
        if key not in run.tags:
            message = f"No tag with name: {key} in run with id {run_id}"
            raise _exception(message, "RESOURCE_DOES_NOT_EXIST")
        del run.tags[key]

    @_call
    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Any] = (),
        params: Sequence[Any] = (),
        tags: Sequence[Any] = (),
    ) -> None:
        """Write everything, or nothing if one element is refused."""
        for entity in (*metrics, *params, *tags):
            self._check_key(entity.key)
        for metric in metrics:
            if isinstance(metric.value, bool) or not isinstance(metric.value, int | float):
                raise _exception(f"Invalid value {metric.value!r}", "INVALID_PARAMETER_VALUE")
            if metric.timestamp < 0:
                message = f"Invalid value {metric.timestamp} for parameter 'timestamp'"
                raise _exception(message, "INVALID_PARAMETER_VALUE")
        for params_sent in [params[start : start + 100] for start in range(0, len(params), 100)]:
            if len({param.key for param in params_sent}) < len(params_sent):
                raise _exception(
                    "Duplicate parameter keys have been submitted", "INVALID_PARAMETER_VALUE"
                )
        run = self._active_run(run_id)
        texts = {param.key: param.value[:LONGEST_PARAMETER] for param in params}
        for key, text in texts.items():
            if run.params.get(key, text) != text:
                raise _exception(
                    f"Changing param values is not allowed. Params were already logged='{key}'",
                    "INVALID_PARAMETER_VALUE",
                )
        run.params.update(texts)
        for metric in metrics:
            value = float(metric.value)
            is_nan = math.isnan(value)
            stored = 0.0 if is_nan else max(-LARGEST, min(LARGEST, value))
            point = (metric.step, metric.timestamp, stored, is_nan)
            run.points.setdefault(metric.key, {})[point] = None  # of equal points one is kept
        run.tags.update({tag.key: str(tag.value)[:LONGEST_TAG] for tag in tags})

    @_call
    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        points = self._run(run_id).points.get(key, {})
        return [
            SimpleNamespace(key=key, value=math.nan if nan else value, timestamp=at, step=step)
            for step, at, value, nan in points
        ]

    def _run(self, run_id: str) -> _Run:
        run = self.runs.get(run_id)
        if run is None:
            raise _exception(f"Run with id={run_id} not found", "RESOURCE_DOES_NOT_EXIST")
        return run

    def _active_run(self, run_id: str) -> _Run:
        run = self._run(run_id)
        if run.lifecycle_stage != "active":
            raise _exception(
                f"The run {run_id} must be in the 'active' state. Current state is "
                f"{run.lifecycle_stage}.",
                "INVALID_PARAMETER_VALUE",
            )
        return run

    def _check_key(self, key: str) -> None:
        """Raise unless MLflow takes this key of a metric, a parameter or a tag."""
        normal = posixpath.normpath(key)
        is_path = normal == key and normal != "." and not normal.startswith(("..", "/"))
        if not _KEY.fullmatch(key) or not is_path or len(key) > LONGEST_KEY:
            raise _exception(f"Invalid value {key!r} for a name", "INVALID_PARAMETER_VALUE")
        if key in self.refused_keys:
            raise _error_of(Fault.REFUSED)

    # ---- artifacts: their bytes are kept

    @_call
    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        path = Path(local_path)
        name = posixpath.join(artifact_path or "", path.name)
        self._run(run_id).files[name] = path.read_bytes()

    @_call
    def log_artifacts(self, run_id: str, local_dir: str, artifact_path: str | None = None) -> None:
        files = self._run(run_id).files
        for path in sorted(Path(local_dir).rglob("*")):
            if path.is_file():
                name = path.relative_to(local_dir).as_posix()
                files[posixpath.join(artifact_path or "", name)] = path.read_bytes()

    @_call
    def log_dict(self, run_id: str, dictionary: Mapping[str, Any], artifact_file: str) -> None:
        self._run(run_id).files[artifact_file] = repr(dictionary).encode()

    @_call
    def list_artifacts(self, run_id: str, path: str | None = None) -> list[Any]:
        start = f"{path}/" if path else ""
        names = {
            start + file.removeprefix(start).partition("/")[0]
            for file in self._run(run_id).files
            if file.startswith(start)
        }
        return [SimpleNamespace(path=name) for name in sorted(names)]


def _meets(tags: Mapping[str, str], condition: str | None) -> bool:
    """Return whether tags meet a condition such as ``tags.`a` = 'x' and tags.b = 'y'``."""
    for part in (condition or "").split(" and "):
        if not part:
            continue
        match = _CONDITION.fullmatch(part.strip())
        assert match is not None, f"the fake knows no condition {part!r}"
        quoted, plain, value = match.groups()
        if tags.get(quoted or plain) != value:
            return False
    return True


def _copy(experiment: _Experiment) -> Any:
    return SimpleNamespace(**{**vars(experiment), "tags": dict(experiment.tags)})


def _now() -> int:
    return int(1000 * time.time())


def _exception(message: str, code: str) -> MlflowException:
    return RestException({"error_code": code, "message": message})


def _error_of(fault: Fault) -> MlflowException:
    """Return the error that MLflow's client raises for a fault."""
    if fault is Fault.AWAY:
        return MlflowException("API request to http://fake failed with exception refused")
    if fault in (Fault.TIMEOUT, Fault.LOST):
        return MlflowException("API request to http://fake failed with timeout exception")
    codes = {
        Fault.ERROR: "INTERNAL_ERROR",
        Fault.BUSY: "REQUEST_LIMIT_EXCEEDED",
        Fault.FORBIDDEN: "PERMISSION_DENIED",
        Fault.REFUSED: "INVALID_PARAMETER_VALUE",
    }
    return _exception(f"the fake answers {fault.value}", codes[fault])
