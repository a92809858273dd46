"""The objective, network and training of the trials of a sweep, each distinct one built once.

Ten thousand cells share a few hundred of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sweeps.cells import cell_grid
from sweeps.cells.cell_grid import Layout
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.config import CORRELATION_FIELDS, EvaluationConfig, TrainConfig
from vae_core.hyperparameters import registry
from vae_core.networks import NETWORKS, AbstractNetwork
from vae_core.objectives import OBJECTIVES, AbstractObjective

SECTIONS = ("objective", "network", "train")

Identity = tuple[str, ...]
"""What two cells have in common if their trials are the same."""


class Built(NamedTuple):
    """What the trials of one cell are made of."""

    objective: AbstractObjective
    network: AbstractNetwork
    train: TrainConfig
    evaluation: EvaluationConfig
    identity: Identity


class BuiltSections:
    """Builds what the trials of a cell are made of."""

    def __init__(self, spec: SweepSpec) -> None:
        self._given = [
            cell_grid.given_parameters(spec, index) for index in range(len(spec.objectives))
        ]
        self._evaluations = [spec.parts(index).evaluation for index in range(len(spec.objectives))]
        self._evaluation_texts = [
            json.dumps(registry.fields_of(evaluation)) for evaluation in self._evaluations
        ]
        self._built: dict[Any, tuple[Any, str]] = {}

    def of_cell(self, layout: Layout, searched: Mapping[str, Any]) -> Built:
        """Return what the trials of a cell are made of.

        Args:
            layout: of the cell.
            searched: path -> value of the parameters that are not laid out.
        """
        varied = {**layout.fixed, **searched}
        parts: list[Any] = []
        texts: list[str] = []
        for section in SECTIONS:
            part, text = self._section(section, layout.objective, varied)
            parts.append(part)
            texts.append(text)
        objective, network, train = parts
        identity = (*texts, self._evaluation_texts[layout.objective])
        return Built(objective, network, train, self._evaluations[layout.objective], identity)

    def _section(self, section: str, entry: int, varied: Mapping[str, Any]) -> tuple[Any, str]:
        """Return a section as its dataclass, and as the text that the hash of a trial covers."""
        prefix = f"{section}."
        varied_fields = tuple(item for item in varied.items() if item[0].startswith(prefix))
        key = (section, entry, varied_fields)
        if key not in self._built:
            fields: dict[str, Any] = {}
            for path, value in {**self._given[entry], **dict(varied_fields)}.items():
                if path.startswith(prefix):
                    fields[path.removeprefix(prefix)] = value
            self._built[key] = _build(section, fields)
        return self._built[key]


def _build(section: str, fields: Mapping[str, Any]) -> tuple[Any, str]:
    if section == "objective":
        objective = registry.build("objective", fields, OBJECTIVES)
        return objective, json.dumps(registry.describe(objective, OBJECTIVES))
    if section == "network":
        network = registry.build("network", fields, NETWORKS)
        return network, json.dumps(registry.describe(network, NETWORKS))
    train = registry.construct("train", fields, TrainConfig)
    hashed = registry.fields_of(train)
    if not train.has_correlation:  # as in `TrialConfig.hash`
        hashed = {key: value for key, value in hashed.items() if key not in CORRELATION_FIELDS}
    return train, json.dumps(hashed)
