"""A sweep as a user states it: YAML in, `SweepSpec` out, every mistake at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path as File
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr

from sweeps import blocks, overlay, spec_read, yaml_lines
from sweeps import overrides as overriding
from sweeps.blocks import Findings
from sweeps.overlay import Parts
from sweeps.published import Published
from sweeps.sections import (
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
from sweeps.spec_errors import Places, Problem, SpecError
from vae_core import registry
from vae_core.config import EvaluationConfig
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset

__all__ = ["Goal", "PruningSpec", "SpecError", "SweepSpec", "bundled", "from_mapping", "load"]


class SweepSpec(BaseModel):
    """A whole sweep, checked; only `load`, `from_mapping` and `SweepSpec.from_dict` make one.

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

    _source: str = PrivateAttr(default="")

    @property
    def source(self) -> str:
        """The path or bundled name it was loaded from, for messages; "" if from a mapping."""
        return self._source

    @property
    def tradeoff_by(self) -> tuple[str, ...] | None:
        """Names of the laid-out parameters of the trade-off; None: each objective's declared strength."""
        return self.tradeoff.by

    def parts(self, position: int) -> Parts:
        """Return what the trials of one objective are made of."""
        own = self.own[position]
        return Parts(
            objective=self.objectives[position],
            network=overlay.network(self.network, own.get("network", {})),
            train=overlay.train(self.train, own.get("train", {})),
            evaluation=overlay.evaluation(self.evaluation, own.get("evaluation", {})),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready mapping that `from_dict` reads back as an equal spec."""
        return {
            "name": self.name,
            "data": registry.describe(self.data, DATASETS),
            "network": blocks.plain(self.network),
            "train": blocks.plain(self.train),
            "objectives": [
                blocks.plain(objective) | {section: blocks.plain(fields) for section, fields in own.items()}
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
            "published": [table.model_dump(mode="json", exclude_none=True) for table in self.published],
        }

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> SweepSpec:
        """Return the spec of a mapping; raises SpecError as `from_mapping` does."""
        return from_mapping(mapping)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, SweepSpec) else NotImplemented


def load(source: str | File, *, overrides: Sequence[str] = (), files: bool = True) -> SweepSpec:
    """Return the spec of a file or of a bundled name.

    Args:
        source: path of a YAML file, or a name of `bundled()`.
        overrides: `path=value` each, set before anything is checked; see `sweeps.overrides`.
        files: whether the files of the data set must be there.

    Raises:
        SpecError: naming every mistake, with its line.
    """
    file, label = _find(source)
    document = yaml_lines.read(file, source=label)
    problems = [*document.problems, *overriding.apply(document.mapping, document.places, overrides)]
    spec = from_mapping(document.mapping, places=document.places, problems=problems, source=label, files=files)
    spec._source = str(source)
    return spec


def bundled() -> dict[str, File]:
    """Return the specs that come with the package, by name."""
    folder = File(str(resources.files("sweeps"))) / "specs"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def from_mapping(
    mapping: Mapping[str, Any],
    *,
    places: Places | None = None,
    problems: Sequence[Problem] = (),
    source: str = "",
    files: bool = True,
) -> SweepSpec:
    """Return the spec of a plain mapping.

    Args:
        mapping: as YAML gives it.
        places: lines of its values, for messages.
        problems: what was already found wrong with it.
        source: what it was read from, for messages.
        files: whether the files of the data set must be there.

    Raises:
        SpecError: naming every mistake.
    """
    found: Findings = []
    parts = spec_read.read(mapping, found, files=files)
    placed = places or Places()
    problems = [*problems, *(placed.problem(path, message) for path, message in found)]
    if problems:
        raise SpecError(problems, source=source)
    return SweepSpec.model_construct(**parts)


def _find(source: str | File) -> tuple[File, str]:
    """Return the file of a source and what messages call it."""
    known = bundled()
    if str(source) in known and not File(source).is_file():
        return known[str(source)], f"sweeps/specs/{source}.yaml"
    if File(source).exists() or File(source).suffix or len(File(source).parts) > 1:
        return File(source), str(source)
    near = difflib.get_close_matches(str(source), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    message = f"no such file and no bundled spec; {hint}known: {', '.join(known)}"
    raise SpecError([Problem(None, (), message)], source=str(source))
