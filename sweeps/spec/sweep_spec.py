"""`SweepSpec`: a sweep as a user asks for it, checked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from sweeps.spec import objective_settings
from sweeps.spec.objective_settings import Parts
from sweeps.spec.published import Published
from sweeps.spec.registry_blocks import block_to_dict
from sweeps.spec.sections import (
    BudgetSpec,
    CheckpointSpec,
    Goal,
    Name,
    PruningSpec,
    ResourceSpec,
    SearchSpec,
    Seeds,
    StoreSpec,
    TradeoffSpec,
)
from vae_core.config import EvaluationConfig
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset
from vae_core.hyperparameters import registry


class SweepSpec(BaseModel):
    """A sweep, checked. Only `load_spec` and `spec_from_mapping` make one.

    `network`, `train` and each of `objectives` hold the fields that were given, each a value or a
    `Space`. `network` and the objectives also have their registry `name`. `entry_settings` has, for
    each of `objectives`, the settings of its entry (section -> fields). `parts` lays them over the
    shared sections.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Name
    data: AbstractDataset
    network: dict[str, Any]
    train: dict[str, Any]
    objectives: tuple[dict[str, Any], ...]
    entry_settings: tuple[dict[str, dict[str, Any]], ...]
    seeds: Seeds
    search: SearchSpec
    goal: tuple[Goal, ...]
    tradeoff: TradeoffSpec
    pruning: PruningSpec | None
    evaluation: EvaluationConfig
    resources: ResourceSpec
    budget: BudgetSpec
    checkpoint: CheckpointSpec
    store: StoreSpec
    published: tuple[Published, ...]

    def parts(self, index: int) -> Parts:
        """Return what the trials of one entry of `objectives` are made of."""
        settings = self.entry_settings[index]
        overlay = objective_settings.overlay
        return Parts(
            objective=self.objectives[index],
            network=overlay("network", self.network, settings.get("network", {})),
            train=overlay("train", self.train, settings.get("train", {})),
            evaluation=objective_settings.overlay_evaluation(
                self.evaluation, settings.get("evaluation", {})
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready mapping that `spec_from_mapping` reads back as an equal spec.

        It is stored, shown and logged, so passwords in `store` are hidden: a spec with a password
        cannot be read back.
        """
        return {
            "name": self.name,
            "data": registry.describe(self.data, DATASETS),
            "network": block_to_dict(self.network),
            "train": block_to_dict(self.train),
            "objectives": self._entries(),
            "seeds": list(self.seeds),
            "search": self.search.model_dump(mode="json"),
            "goal": [goal.model_dump(mode="json") for goal in self.goal],
            "tradeoff": self.tradeoff.model_dump(mode="json"),
            "pruning": None if self.pruning is None else self.pruning.model_dump(mode="json"),
            "evaluation": registry.fields_of(self.evaluation),
            "resources": self.resources.model_dump(mode="json"),
            "budget": self.budget.model_dump(mode="json"),
            "checkpoint": self.checkpoint.model_dump(mode="json"),
            "store": self.store.model_dump(mode="json"),
            "published": [
                table.model_dump(mode="json", exclude_none=True) for table in self.published
            ],
        }

    def _entries(self) -> list[dict[str, Any]]:
        """Return the entries of `objectives`: fields of the objective, then the entry settings."""
        entries: list[dict[str, Any]] = []
        for objective, settings in zip(self.objectives, self.entry_settings, strict=True):
            entry = block_to_dict(objective)
            for section, fields in settings.items():
                entry[section] = block_to_dict(fields)
            entries.append(entry)
        return entries

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SweepSpec):
            return NotImplemented
        return self.store == other.store and self.to_dict() == other.to_dict()
