"""Finds the experiment of a sweep and its runs, also after a user has renamed or deleted them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sweeps.exports import mlflow_client
from sweeps.exports.mlflow_errors import is_lasting
from sweeps.ledger.tables import Row

EXPERIMENT_TAG = "sweep.name"
TRIAL_TAG = "sweep.trial"
PARENT_TAG = "sweep.parent"
HASH_TAG = "config_hash"
CHILD_TAG = "mlflow.parentRunId"
"""Tags that tell which sweep or trial an experiment or a run belongs to."""

PAGE = 1000
"""Runs in one answer of a search."""


def find_experiment(client: Any, sweep: str, runs: Iterable[str] = ()) -> Any:
    """Return the experiment of a sweep, deleted or not; None if there is none.

    Its name may have been changed. So it is sought by its tag, then by the runs that the ledger
    names, and last by its name.

    Args:
        client: of MLflow.
        sweep: the name.
        runs: ids of runs of this sweep.
    """
    from mlflow.entities import ViewType

    condition = f"tags.`{EXPERIMENT_TAG}` = '{sweep}'"
    tagged = client.search_experiments(view_type=ViewType.ALL, filter_string=condition)
    if tagged:
        return next((each for each in tagged if not is_deleted(each)), tagged[0])
    for run in runs:
        try:
            known = get_run(client, run)
        except Exception as error:
            if is_lasting(error):  # a run that is forbidden
                continue
            raise
        if known is not None:
            return client.get_experiment(known.info.experiment_id)
    return client.get_experiment_by_name(sweep)


def require_experiment(
    client: Any, sweep: str, workspace: Path, server: str | None, runs: Iterable[str]
) -> str:
    """Return the id of the experiment of a sweep; restore it if it is deleted, else create it."""
    experiment = find_experiment(client, sweep, runs)
    if experiment is None:
        created = mlflow_client.require_experiment(client, sweep, workspace, server)
        client.set_experiment_tag(created, EXPERIMENT_TAG, sweep)
        return created
    if is_deleted(experiment):
        client.restore_experiment(experiment.experiment_id)
    # The tag of another sweep stays: its experiment was renamed to the name of this sweep.
    if EXPERIMENT_TAG not in experiment.tags:
        client.set_experiment_tag(experiment.experiment_id, EXPERIMENT_TAG, sweep)
    return experiment.experiment_id


class KnownRuns:
    """The runs of an experiment, deleted ones too."""

    def __init__(self, client: Any, experiment: str) -> None:
        self._client = client
        self._experiment = experiment
        self._runs = {run.info.run_id: run for run in _search(client, experiment)}
        self._by_tag: dict[str, list[Any]] = {}
        self._by_hash: dict[str, list[Any]] = {}
        for run in self._runs.values():
            self._note(run)

    def run_of_trial(self, sweep: str, trial: Row, known: str) -> Any:
        """Return the run of a trial, deleted or not; None if there is none.

        Args:
            sweep: the name.
            trial: its row in the ledger.
            known: id of the run that the ledger names, "" if it names none.
        """
        run = self._runs.get(known)
        if run is not None and not is_deleted(run.info):
            return run
        tagged = self._by_tag.get(f"{sweep}/{trial['number']}", [])
        # A run of an earlier ledger may have the same number and be another trial.
        same = [
            each for each in tagged if each.data.tags.get(HASH_TAG, trial["hash"]) == trial["hash"]
        ]
        untagged = [
            each for each in self._by_hash.get(trial["hash"], []) if TRIAL_TAG not in each.data.tags
        ]
        candidates = [*([run] if run is not None else []), *same, *untagged]
        active = [each for each in candidates if not is_deleted(each.info)]
        return next(iter([*active, *candidates]), None)

    def doubles(self, sweep: str, trial: Row, run: str) -> list[str]:
        """Return the ids of other active runs of a trial that nothing was ever written to.

        A run is created twice if the server gets the first call after its answer was given up.

        Args:
            sweep: the name.
            trial: its row in the ledger.
            run: the id of its run.
        """
        return [
            each.info.run_id
            for each in self._by_tag.get(f"{sweep}/{trial['number']}", [])
            if each.data.tags.get(HASH_TAG) == trial["hash"] and _is_double(each, run)
        ]

    def parent_doubles(self, sweep: str, run: str) -> list[str]:
        """Return the ids of other active parent runs that no run of a trial names."""
        parents = {each.data.tags.get(CHILD_TAG) for each in self._runs.values()}
        return [
            each.info.run_id
            for each in self._runs.values()
            if each.data.tags.get(PARENT_TAG) == sweep
            and each.info.run_id not in parents
            and _is_double(each, run)
        ]

    def all(self) -> list[Any]:
        """Return every run."""
        return list(self._runs.values())

    def parent(self, sweep: str) -> Any:
        """Return the parent run of a sweep, deleted or not; None if there is none.

        Without its tag it is the run that most runs of trials name as their parent.
        """
        tagged = [run for run in self._runs.values() if run.data.tags.get(PARENT_TAG) == sweep]
        named = Counter(
            run.data.tags[CHILD_TAG]
            for run in self._runs.values()
            if run.data.tags.get(TRIAL_TAG, "").startswith(f"{sweep}/")
            and run.data.tags.get(CHILD_TAG) in self._runs
        )
        tagged.sort(key=lambda run: -named[run.info.run_id])
        candidates = [*tagged, *(self._runs[run] for run, _ in named.most_common(1))]
        active = [run for run in candidates if not is_deleted(run.info)]
        return next(iter([*active, *candidates]), None)

    def look_again(self, sweep: str, trial: Row, known: str) -> None:
        """Read the runs of one trial anew: a user changed them meanwhile."""
        tag = f"{sweep}/{trial['number']}"
        old = {known, *(run.info.run_id for run in self._by_tag.pop(tag, []))}
        for run in old:
            self._runs.pop(run, None)
        same_hash = self._by_hash.get(trial["hash"], [])
        self._by_hash[trial["hash"]] = [run for run in same_hash if run.info.run_id not in old]
        condition = f"tags.`{TRIAL_TAG}` = '{tag}'"
        now = [*_search(self._client, self._experiment, condition), get_run(self._client, known)]
        for run in now:
            if run is not None and run.info.run_id not in self._runs:
                self._runs[run.info.run_id] = run
                self._note(run)

    def _note(self, run: Any) -> None:
        tags = run.data.tags
        self._by_tag.setdefault(tags.get(TRIAL_TAG, ""), []).append(run)
        self._by_hash.setdefault(tags.get(HASH_TAG, ""), []).append(run)


def _is_double(other: Any, run: str) -> bool:
    """Return whether another run than the given one is active and empty."""
    is_empty = not other.data.metrics and not other.data.params
    return other.info.run_id != run and is_empty and not is_deleted(other.info)


def get_run(client: Any, run: str) -> Any:
    """Return a run, deleted or not; None if it does not exist."""
    from mlflow.exceptions import MlflowException

    if not run:
        return None
    try:
        return client.get_run(run)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def is_deleted(info: Any) -> bool:
    """Return whether an experiment, or a run by its info, is deleted but can be restored."""
    return info.lifecycle_stage == "deleted"


def _search(client: Any, experiment: str, condition: str = "") -> Iterator[Any]:
    """Yield the runs of an experiment, deleted ones too, that meet a condition."""
    from mlflow.entities import ViewType

    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment],
            filter_string=condition,
            run_view_type=ViewType.ALL,
            max_results=PAGE,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return
