"""A sweep as a user states it: YAML in, `SweepSpec` out, every mistake at once."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from sweeps.spec import objective_settings, registry_blocks
from sweeps.spec.objective_settings import Parts
from sweeps.spec.published import Published
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
    """A whole sweep, checked; only `load_spec` and `spec_from_mapping` make one.

    `network`, `train` and each of `objectives` hold the fields that were given, a value or a `Space` each;
    `network` and the objectives have their registry `name` beside them. `own` has, for each of `objectives`, the
    settings that its entry carries (section -> fields); `parts` lays them over the shared sections.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Name
    data: AbstractDataset
    network: dict[str, Any]
    train: dict[str, Any]
    objectives: tuple[dict[str, Any], ...]
    own: tuple[dict[str, dict[str, Any]], ...]
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

    def parts(self, position: int) -> Parts:
        """Return what the trials of one objective are made of."""
        own = self.own[position]
        return Parts(
            objective=self.objectives[position],
            network=objective_settings.network(self.network, own.get("network", {})),
            train=objective_settings.train(self.train, own.get("train", {})),
            evaluation=objective_settings.evaluation(self.evaluation, own.get("evaluation", {})),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready mapping that `spec_from_mapping` reads back as an equal spec."""
        return {
            "name": self.name,
            "data": registry.describe(self.data, DATASETS),
            "network": registry_blocks.plain(self.network),
            "train": registry_blocks.plain(self.train),
            "objectives": [
                registry_blocks.plain(objective)
                | {section: registry_blocks.plain(fields) for section, fields in own.items()}
                for objective, own in zip(self.objectives, self.own, strict=True)
            ],
            "seeds": list(self.seeds),
            "search": self.search.model_dump(mode="json"),
            "goal": [goal.model_dump(mode="json") for goal in self.goal],
            "tradeoff": self.tradeoff.model_dump(mode="json"),
            "pruning": None if self.pruning is None else self.pruning.model_dump(mode="json"),
            "evaluation": registry.plain(self.evaluation),
            "resources": self.resources.model_dump(mode="json"),
            "budget": self.budget.model_dump(mode="json"),
            "checkpoint": self.checkpoint.model_dump(mode="json"),
            "store": self.store.model_dump(mode="json"),
            "published": [
                table.model_dump(mode="json", exclude_none=True) for table in self.published
            ],
        }

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, SweepSpec) else NotImplemented
