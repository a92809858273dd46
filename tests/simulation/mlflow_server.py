"""The tracking server of a simulation: it outlives every driver, and each call passes the gate."""

from __future__ import annotations

from typing import Any

from tests.sweeps.exports.fake_mlflow import FakeMlflow

from .faults import Gate


class Server(FakeMlflow):
    """Experiments and runs in memory, with MLflow's rules."""

    def runs_of(self, sweep: str) -> list[Any]:
        """Return the runs in the experiments of a sweep."""
        ids = {each.experiment_id for each in self.experiments.values() if each.name == sweep}
        return [run for run in self.runs.values() if run.experiment_id in ids]


class Client:
    """The client of one driver."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self._server = server
        self._gate = gate

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._server, method)

        def through_gate(*arguments: Any, **options: Any) -> Any:
            return self._gate.operation("mlflow", lambda: call(*arguments, **options))

        return through_gate
