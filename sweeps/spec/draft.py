"""The sections of a spec that were read without a problem, for the rules between sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.spec import objective_settings
from sweeps.spec.errors import SpecPath
from sweeps.spec.objective_settings import EntrySettings
from sweeps.spec.sections import Goal, PruningSpec, ResourceSpec, SearchSpec
from sweeps.spec.space import Space
from vae_core.config import EvaluationConfig
from vae_core.data.abstract import Outline


@dataclass(frozen=True)
class Draft:
    """A spec while it is checked; None for a section that has a problem.

    Args:
        outline: sizes and factors of the data set.
        network: the shared network.
        train: the shared training.
        objectives: the objective of each entry.
        entry_settings: the settings of each entry, in the same order.
        seeds: the seeds of every cell.
        search: how cells are proposed.
        goals: what the sweep looks for.
        tradeoff_by: the parameters that `tradeoff.by` names.
        parameters: names of every parameter that `tradeoff.by` may name.
        pruning: rungs and metric of the pruning.
        evaluation: the shared evaluation.
        resources: what a trial takes of the cluster.
    """

    outline: Outline | None
    network: Mapping[str, Any] | None
    train: Mapping[str, Any] | None
    objectives: Sequence[Mapping[str, Any]] | None
    entry_settings: Sequence[EntrySettings] | None
    seeds: Sequence[int] | None
    search: SearchSpec | None
    goals: Sequence[Goal] | None
    tradeoff_by: Sequence[str] | None
    parameters: Sequence[str]
    pruning: PruningSpec | None
    evaluation: EvaluationConfig | None
    resources: ResourceSpec | None

    @property
    def settings_of_entries(self) -> Sequence[EntrySettings]:
        """Return the settings of each entry.

        If `objectives` has a problem, return the settings of one entry that gives none: the
        rules then still check the shared sections.
        """
        return ({},) if self.entry_settings is None else self.entry_settings

    @property
    def lacks_factors(self) -> bool:
        """Return whether the data set has no ground-truth factors."""
        return self.outline is not None and not self.outline.factor_names

    def networks(self) -> list[dict[str, Any]]:
        """Return the network of each entry; none if the shared one has a problem."""
        return self._overlay("network", self.network)

    def trains(self) -> list[dict[str, Any]]:
        """Return the training of each entry; none if the shared one has a problem."""
        return self._overlay("train", self.train)

    def final_metrics(self, index: int) -> tuple[SpecPath, Sequence[str]]:
        """Return the final metrics of one entry, with the path of their list."""
        section = self.deciding_section(index, "evaluation", "final")
        path: SpecPath = (*section, "final")
        if section != ("evaluation",):
            return path, self.settings_of_entries[index]["evaluation"]["final"]
        return path, () if self.evaluation is None else self.evaluation.final

    def spaces(self) -> dict[SpecPath, Space]:
        """Return every space that the trials of some entry are made of, by its path in the spec."""
        values: dict[SpecPath, Any] = {}
        for section, blocks in (("network", self.networks()), ("train", self.trains())):
            for index, block in enumerate(blocks):
                for field, value in block.items():
                    values[(*self.deciding_section(index, section, field), field)] = value
        for index, objective in enumerate(self.objectives or ()):
            for field, value in objective.items():
                values[("objectives", index, field)] = value
        return {path: value for path, value in values.items() if isinstance(value, Space)}

    def deciding_section(self, index: int, section: str, *fields: str) -> SpecPath:
        """Return the path of the section that decides about some fields of one entry."""
        return objective_settings.deciding_section(
            self.settings_of_entries, index, section, *fields
        )

    def _overlay(self, section: str, shared: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        if shared is None:
            return []
        return [
            objective_settings.overlay(section, shared, settings.get(section, {}))
            for settings in self.settings_of_entries
        ]


def no_factors(name: str) -> str:
    """Return the rule that a metric or objective breaks on a data set without factors."""
    return f"{name} needs ground-truth factors, which this data set does not have"
