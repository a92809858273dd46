"""The parent run of a sweep in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweeps.exports import left_out, mlflow_client
from sweeps.exports.mlflow_errors import cause, is_lasting
from sweeps.exports.mlflow_experiment import PARENT_TAG, KnownRuns, is_deleted
from sweeps.exports.mlflow_sender import Sender
from sweeps.ledger.status import WHOLE_RUN
from sweeps.ledger.tables import Row


class ParentRun(Sender):
    """The parent run. What MLflow refuses of it costs nothing else."""

    @property
    def problem(self) -> str:
        """What MLflow does not have yet of this run and why; "" if it waits for nothing."""
        return left_out.trial_text("the parent run", dict(self.refused))

    @property
    def omission(self) -> str:
        """What MLflow never takes of this run and why; "" for nothing."""
        return left_out.trial_text("the parent run", dict(self.left_out))

    def require(
        self,
        client: Any,
        experiment: str,
        known_runs: KnownRuns,
        sweep: Row,
        software: Mapping[str, str],
    ) -> None:
        """Find, restore or create the run, and give it its tags and its spec.

        Raises:
            Exception: MLflow is away, or refuses to create the run.
        """
        name = sweep["name"]
        self.refused.clear()
        self.left_out.clear()
        tags = {PARENT_TAG: name, **software}
        run = known_runs.parent(name)
        if run is None:
            self._create(client, experiment, sweep, tags)
        else:
            self.run = run.info.run_id
            self._unless_refused(lambda: self._repair(client, known_runs, run, tags))
        self._unless_refused(lambda: client.update_run(self.run, status="RUNNING"))
        try:
            mlflow_client.log_document(client, self.run, "spec.json", sweep["spec"])
        except Exception as error:  # artifacts may be on another server than the numbers
            things = self.left_out if is_lasting(error) else self.refused
            things["artifact spec.json"] = cause(error)

    def close(self, client: Any, status: str) -> None:
        """Set the status at the end of a driver run."""
        self._unless_refused(lambda: client.set_terminated(self.run, status))

    def _create(self, client: Any, experiment: str, sweep: Row, tags: Mapping[str, str]) -> None:
        """Create the run; a tag that is refused is left out."""
        name, created = sweep["name"], sweep["created"]
        try:
            self.run = mlflow_client.create_run(
                client, experiment, name, created=created, tags=tags
            )
            return
        except Exception as error:
            if not is_lasting(error):
                raise
        identity = {PARENT_TAG: name}  # the run is found again by this tag
        self.run = mlflow_client.create_run(
            client, experiment, name, created=created, tags=identity
        )
        self.set_tags(client, {key: text for key, text in tags.items() if key not in identity})

    def _repair(
        self, client: Any, known_runs: KnownRuns, run: Any, tags: Mapping[str, str]
    ) -> None:
        if is_deleted(run.info):
            client.restore_run(self.run)
        for double in known_runs.parent_doubles(tags[PARENT_TAG], self.run):
            client.delete_run(double)
        present = run.data.tags
        self.set_tags(client, {key: text for key, text in tags.items() if key not in present})

    def _unless_refused(self, call: Callable[[], None]) -> None:
        """Make a call; a lasting error is noted."""
        try:
            call()
        except Exception as error:
            if not is_lasting(error):
                raise
            self.left_out[WHOLE_RUN] = cause(error)
