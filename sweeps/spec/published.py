"""Published numbers that a spec sets beside its own: what they are, whence they come, which cells they are about."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, MinLen
from pydantic import BeforeValidator, model_validator

import metrics
from sweeps.spec.errors import Path, spell
from sweeps.spec.registry_blocks import Findings
from sweeps.spec.sections import EPOCH_METRICS, Section
from vae_core.hyperparameters import registry

Scalar = bool | int | float | str


Text = Annotated[str, MinLen(1)]


Tag = Literal["read", "seed document", "recalled"]
"""How sure a number is: read in the source or its repository, given by a document this project started from, or
remembered and to be verified before it is quoted."""


class PublishedNumber(Section):
    """A mean over seeds, with its standard deviation and the best seed's value where they are printed."""

    mean: float
    sd: Annotated[float, Ge(0)] | None = None
    best: float | None = None


def _number(value: Any) -> Any:
    return (
        {"mean": value} if isinstance(value, int | float) and not isinstance(value, bool) else value
    )


Number = Annotated[
    PublishedNumber, BeforeValidator(_number, json_schema_input_type=float | PublishedNumber)
]


class PublishedRow(Section):
    """The numbers of one method.

    `where` names an objective and values of its own, the network's or training's parameters: the cells to compare.
    """

    where: Annotated[dict[str, Scalar], MinLen(1)]
    values: Annotated[dict[str, Number], MinLen(1)]

    @model_validator(mode="after")
    def _whose(self) -> PublishedRow:
        if not isinstance(self.where.get("objective"), str):
            raise ValueError(
                f"where must name an objective, as in {{objective: beta_vae, beta: 4}}, got {self.where}"
            )
        return self


class Published(Section):
    """A published table, or what a published figure shows in words.

    `n`: seeds behind each of its numbers, null if that is not known. `differences`: of its protocol from this sweep's.
    `weights`: with which of ours it compares, those at the end or those of the epoch that `evaluation.best` chose.
    """

    source: Text
    tag: Tag
    n: Annotated[int, Ge(1)] | None = None
    differences: Text
    weights: Literal["last", "chosen"] = "last"
    says: tuple[Text, ...] = ()
    rows: tuple[PublishedRow, ...] = ()

    @model_validator(mode="after")
    def _something(self) -> Published:
        if not self.says and not self.rows:
            raise ValueError("must have rows, or says: what a figure shows in words")
        return self


def _list(value: Any) -> Any:
    return (value,) if isinstance(value, Mapping) else value


PublishedTables = Annotated[
    tuple[Published, ...],
    BeforeValidator(_list, json_schema_input_type=Published | tuple[Published, ...]),
]


def better(metric: str) -> Literal["max", "min"] | None:
    """Return a metric's better end, None if neither is.

    Raises:
        ValueError: no metric has this name.
    """
    if metric in EPOCH_METRICS:
        return EPOCH_METRICS[metric]
    end = metrics.find(metric).better
    return end if end in ("max", "min") else None


def check(
    tables: Sequence[Published], objectives: Sequence[str], parameters: Sequence[str]
) -> Findings:
    """Return what is wrong with the names in published tables, given the spec's objectives and parameters."""
    found: Findings = []
    for at, table in enumerate(tables):
        for place, row in enumerate(table.rows):
            path: Path = ("published", at, "rows", place)
            named = str(row.where["objective"])
            if named not in objectives:
                here = (*path, "where", "objective")
                found.append(
                    (
                        here,
                        f"{spell(here)}: {registry.unknown('objective of this spec', named, objectives)}",
                    )
                )
            for name in row.where:
                if name not in ("objective", *parameters):
                    here = (*path, "where", name)
                    found.append(
                        (here, f"{spell(here)}: {registry.unknown('parameter', name, parameters)}")
                    )
            for name in row.values:
                here = (*path, "values", name)
                try:
                    better(name)
                except ValueError as error:
                    found.append((here, f"{spell(here)}: {error}"))
    return found


def matches(record: Mapping[Any, Any], where: Mapping[str, Scalar]) -> bool:
    """Return whether a trial with these values of "objective", "objective.beta", "network.latents", … is meant."""
    return all(
        any(_equal(record[path], value) for path in _paths(name) if path in record)
        for name, value in where.items()
    )


def _paths(name: str) -> list[str]:
    return (
        ["objective"]
        if name == "objective"
        else [f"{part}.{name}" for part in ("objective", "train", "network")]
    )


def _equal(given: Any, wanted: Scalar) -> bool:
    if isinstance(given, numbers.Real) and isinstance(wanted, int | float):
        return math.isclose(float(given), float(wanted), rel_tol=1e-12)
    return str(given) == str(wanted)
