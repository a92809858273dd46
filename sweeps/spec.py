"""A sweep as a user states it: YAML in, `SweepSpec` out, every mistake at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path as File
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, TypeAdapter

from sweeps import blocks, hints, spec_rules, yaml_lines
from sweeps import overrides as overriding
from sweeps.blocks import Findings
from sweeps.sections import (
    BudgetSpec,
    CheckpointSpec,
    Goal,
    Goals,
    Name,
    Pruning,
    PruningSpec,
    ResourceSpec,
    SearchSpec,
    Section,
    Seeds,
    StoreSpec,
    TradeoffSpec,
)
from sweeps.spec_errors import Path, Places, Problem, SpecError
from vae_core import registry
from vae_core.config import EvaluationConfig, TrainConfig
from vae_core.data import DATASETS
from vae_core.data.abstract import AbstractDataset, Outline
from vae_core.networks import NETWORKS
from vae_core.objectives import OBJECTIVES

T = TypeVar("T")

__all__ = ["Goal", "PruningSpec", "SpecError", "SweepSpec", "bundled", "from_mapping", "load"]


class SweepSpec(BaseModel):
    """A whole sweep, checked; only `load`, `from_mapping` and `SweepSpec.from_dict` make one.

    `network`, `train` and each of `objectives` hold the fields that were given, a value or a `Space` each; `network`
    and the objectives have their registry `name` beside them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Name
    data: AbstractDataset
    network: dict[str, Any]
    train: dict[str, Any]
    objectives: tuple[dict[str, Any], ...]
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

    _source: str = PrivateAttr(default="")

    @property
    def source(self) -> str:
        """The path or bundled name it was loaded from, for messages; "" if from a mapping."""
        return self._source

    @property
    def tradeoff_by(self) -> tuple[str, ...] | None:
        """Names of the laid-out parameters of the trade-off; None: each objective's declared strength."""
        return self.tradeoff.by

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready mapping that `from_dict` reads back as an equal spec."""
        return {
            "name": self.name,
            "data": registry.describe(self.data, DATASETS),
            "network": blocks.plain(self.network),
            "train": blocks.plain(self.train),
            "objectives": [blocks.plain(objective) for objective in self.objectives],
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
        }

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> SweepSpec:
        """Return the spec of a mapping; raises SpecError as `from_mapping` does."""
        return from_mapping(mapping)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, SweepSpec) else NotImplemented


SECTIONS: dict[str, tuple[Any, type[Section] | None]] = {
    "name": (Name, None),
    "seeds": (Seeds, None),
    "search": (SearchSpec, SearchSpec),
    "goal": (Goals, Goal),
    "tradeoff": (TradeoffSpec, TradeoffSpec),
    "pruning": (Pruning, PruningSpec),
    "resources": (ResourceSpec, ResourceSpec),
    "budget": (BudgetSpec, BudgetSpec),
    "checkpoint": (CheckpointSpec, CheckpointSpec),
    "store": (StoreSpec, StoreSpec),
}
"""The sections that pydantic reads: hint, and the model whose keys it has."""

REQUIRED = ("name", "data", "network", "train", "objectives")
KEYS = ("name", "data", "network", "train", "objectives", "evaluation", *list(SECTIONS)[1:])


def load(source: str | File, *, overrides: Sequence[str] = ()) -> SweepSpec:
    """Return the spec of a file or of a bundled name.

    Args:
        source: path of a YAML file, or a name of `bundled()`.
        overrides: `path=value` each, set before anything is checked; see `sweeps.overrides`.

    Raises:
        SpecError: naming every mistake, with its line.
    """
    file, label = _find(source)
    mapping, places = yaml_lines.read(file, source=label)
    overriding.apply(mapping, places, overrides)
    spec = from_mapping(mapping, places=places, source=label)
    spec._source = str(source)
    return spec


def bundled() -> dict[str, File]:
    """Return the specs that come with the package, by name."""
    folder = File(str(resources.files("sweeps"))) / "specs"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def from_mapping(mapping: Mapping[str, Any], *, places: Places | None = None, source: str = "") -> SweepSpec:
    """Return the spec of a plain mapping.

    Args:
        mapping: as YAML gives it.
        places: lines of its values, for messages.
        source: what it was read from, for messages.

    Raises:
        SpecError: naming every mistake.
    """
    found: Findings = []
    parts = _read(mapping, found)
    if found:
        places = places or Places()
        problems = [places.problem(path, message) for path, message in found]
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


def _read(mapping: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """Return the fields of a `SweepSpec`; mistakes are added to `found`."""
    for key in mapping:
        if key not in KEYS:
            found.append(((key,), registry.unknown("key", key, KEYS)))
    for key in REQUIRED:
        if key not in mapping:
            found.append(((), f"{key} is missing; a spec needs {', '.join(REQUIRED)}"))
    given = {key: value for key, value in mapping.items() if value is not None or key in REQUIRED}

    data, outline = _data(given, found)
    network = _block(given, "network", found, _network)
    train = _block(given, "train", found, _train)
    objectives = _block(given, "objectives", found, _objectives)
    evaluation = _evaluation(given, outline, found)

    goal: Any = {"metric": "mig" if outline is None or outline.factor_names else "elbo"}
    sections: dict[str, Any] = {**dict.fromkeys(SECTIONS, {}), "seeds": 1, "goal": goal, "pruning": None, **given}
    if isinstance(sections["pruning"], Mapping):
        sections["pruning"] = {**_first(sections["goal"]), **sections["pruning"]}
    read = {key: _section(key, sections[key], found) for key in SECTIONS if key in given or key != "name"}
    draft = spec_rules.Draft(
        outline=outline,
        network=network,
        train=train,
        objectives=objectives,
        search=read["search"],
        goals=read["goal"],
        tradeoff_by=read["tradeoff"].by if read["tradeoff"] else None,
        pruning=read["pruning"],
        evaluation=evaluation,
        resources=read["resources"],
    )
    found.extend(spec_rules.check(draft))
    blocks_read = {
        "data": data,
        "network": network,
        "train": train,
        "objectives": objectives,
        "evaluation": evaluation,
    }
    return {**read, **blocks_read}


def _block(
    given: Mapping[str, Any], key: str, found: Findings, read: Callable[[Any, Path, Findings], T]
) -> T | None:
    """Return a block, or None if it is missing or has a mistake."""
    if key not in given:
        return None
    wrong: Findings = []
    value = read(given[key], (key,), wrong)
    found.extend(wrong)
    return None if wrong else value


def _network(value: Any, path: Path, wrong: Findings) -> dict[str, Any]:
    return blocks.named("network", value, NETWORKS, path, wrong, spaces=True)


def _train(value: Any, path: Path, wrong: Findings) -> dict[str, Any]:
    if isinstance(value, Mapping) and value.get("images_per_epoch") == "all":
        value = {**value, "images_per_epoch": None}
    return blocks.fields(TrainConfig, value, path, wrong, spaces=True)


def _objectives(value: Any, path: Path, wrong: Findings) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple) or not value:
        wrong.append((path, f"objectives must be a list of at least one mapping with a name, got {value!r}"))
        return ()
    return tuple(
        blocks.named("objective", item, OBJECTIVES, (*path, at), wrong, spaces=True)
        for at, item in enumerate(value)
    )


def _data(given: Mapping[str, Any], found: Findings) -> tuple[AbstractDataset | None, Outline | None]:
    """Return the data set and its outline, None if there is a mistake."""

    def read(value: Any, path: Path, wrong: Findings) -> tuple[AbstractDataset, Outline] | None:
        block = blocks.named("data set", value, DATASETS, path, wrong, spaces=False)
        file = block.get("path")
        if file is not None and not File(file).is_file():
            wrong.append(((*path, "path"), f"data.path must be a file that exists, got {file!r}"))
        if wrong:
            return None
        try:
            data = registry.build("data set", block, DATASETS)
            return data, data.outline()
        except (ValueError, OSError) as error:
            wrong.append((path, f"data: {error}"))
            return None

    return _block(given, "data", found, read) or (None, None)


def _evaluation(
    given: Mapping[str, Any], outline: Outline | None, found: Findings
) -> EvaluationConfig | None:
    """Return what is evaluated; without ground truth, and unless stated, no metric of the whole set."""
    wrong: Findings = []
    fields = blocks.fields(
        EvaluationConfig, given.get("evaluation", {}), ("evaluation",), wrong, spaces=False
    )
    found.extend(wrong)
    if outline is not None and not outline.factor_names:
        fields = {"final": (), **fields}
    return None if wrong else EvaluationConfig(**fields)


def _first(goal: Any) -> dict[str, Any]:
    """Return metric and mode of the first goal, which pruning follows unless it says otherwise."""
    first = goal[0] if isinstance(goal, list | tuple) and goal else goal
    return {key: first[key] for key in ("metric", "mode") if isinstance(first, Mapping) and key in first}


def _section(key: str, value: Any, found: Findings) -> Any:
    """Return a section as its model; None if it has a mistake."""
    hint, model = SECTIONS[key]
    wrong: Findings = []
    known = () if model is None else model.model_fields
    read = hints.read(TypeAdapter(hint), value, (key,), wrong, known=known)
    found.extend(wrong)
    return None if wrong else read
