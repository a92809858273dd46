"""Published numbers that a spec sets beside its own: source, and the cells to compare with."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, MaxLen, MinLen
from pydantic import BeforeValidator, model_validator

import metrics
from sweeps.spec import limits
from sweeps.spec.errors import Problems, SpecPath, spell
from sweeps.spec.sections import Section
from vae_core.epoch_metrics import COMMON_METRICS, EPOCH_METRICS
from vae_core.hyperparameters import registry

Scalar = bool | int | float | str


Text = Annotated[str, MinLen(1)]


Tag = Literal["read", "seed document", "recalled"]
"""How sure a number is.

`read`: read in the source or its repository. `seed document`: given by a document that this project
started from. `recalled`: remembered, to be verified before it is quoted.
"""


class PublishedNumber(Section):
    """A mean over seeds, with its standard deviation and the best seed's value if printed."""

    mean: float
    sd: Annotated[float, Ge(0)] | None = None
    best: float | None = None


def _mean_alone(value: Any) -> Any:
    """Return the mapping of a number that is given without sd and best."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"mean": value} if is_number else value


Number = Annotated[
    PublishedNumber, BeforeValidator(_mean_alone, json_schema_input_type=float | PublishedNumber)
]


class PublishedRow(Section):
    """The numbers of one method.

    `where` says which cells to compare with: the name of an objective, and values of its
    parameters, of the network's or of training's.
    """

    where: Annotated[dict[str, Scalar], MinLen(1)]
    values: Annotated[dict[str, Number], MinLen(1)]

    @model_validator(mode="after")
    def _names_an_objective(self) -> PublishedRow:
        if not isinstance(self.where.get("objective"), str):
            example = "{objective: beta_vae, beta: 4}"
            raise ValueError(f"where must name an objective, as in {example}, got {self.where}")
        return self


class Published(Section):
    """A published table, or a published figure in words.

    `n`: number of seeds behind each number; null if it is not known. `differences`: how its
    protocol differs from this sweep's. `weights`: which of our weights it compares with, those of
    the last epoch or those of the epoch that `evaluation.best` chose.
    """

    source: Text
    tag: Tag
    n: Annotated[int, Ge(1)] | None = None
    differences: Text
    weights: Literal["last", "chosen"] = "last"
    says: tuple[Text, ...] = ()
    rows: Annotated[tuple[PublishedRow, ...], MaxLen(limits.PUBLISHED_ROWS)] = ()

    @model_validator(mode="after")
    def _has_content(self) -> Published:
        if not self.says and not self.rows:
            raise ValueError("must have rows, or says: what a figure shows in words, got neither")
        return self


def _one_to_tuple(value: Any) -> Any:
    """Return a tuple for one table that is given without a list."""
    return (value,) if isinstance(value, Mapping) else value


PublishedTables = Annotated[
    Annotated[tuple[Published, ...], MaxLen(limits.PUBLISHED_TABLES)],
    BeforeValidator(_one_to_tuple, json_schema_input_type=Published | tuple[Published, ...]),
]


def better_end(metric: str) -> Literal["max", "min"] | None:
    """Return which end of a metric is better; None if neither is.

    Raises:
        ValueError: no metric has this name.
    """
    if metric in COMMON_METRICS:
        return EPOCH_METRICS[metric].better
    end = metrics.find(metric).better
    return end if end in ("max", "min") else None


def check(
    tables: Sequence[Published],
    objectives: Sequence[str],
    parameters: Sequence[str],
    problems: Problems,
) -> None:
    """Check the names in published tables.

    Args:
        tables: the section `published`.
        objectives: names of the spec's objectives.
        parameters: names of the parameters of these objectives, of their networks and of training.
        problems: gets every unknown name.
    """
    for table_index, table in enumerate(tables):
        for row_index, row in enumerate(table.rows):
            path: SpecPath = ("published", table_index, "rows", row_index)
            _check_row(row, path, objectives, parameters, problems)


def _check_row(
    row: PublishedRow,
    path: SpecPath,
    objectives: Sequence[str],
    parameters: Sequence[str],
    problems: Problems,
) -> None:
    objective = str(row.where["objective"])
    if objective not in objectives:
        name_path = (*path, "where", "objective")
        unknown = registry.unknown_name("objective of this spec", objective, objectives)
        problems.add(name_path, f"{spell(name_path)}: {unknown}")
    for name in row.where:
        if name not in ("objective", *parameters):
            name_path = (*path, "where", name)
            unknown = registry.unknown_name("parameter", name, parameters)
            problems.add(name_path, f"{spell(name_path)}: {unknown}")
    for name in row.values:
        name_path = (*path, "values", name)
        try:
            better_end(name)
        except ValueError as error:
            problems.add(name_path, f"{spell(name_path)}: {error}")


def matches(record: Mapping[Any, Any], where: Mapping[str, Scalar]) -> bool:
    """Return whether a trial has all the values of a row's `where`.

    Args:
        record: the trial's values of "objective", "objective.beta", "network.latents", and so on.
        where: parameter -> value. A parameter may be of the objective, of training or the network.
    """
    return all(_has_value(record, name, value) for name, value in where.items())


def _has_value(record: Mapping[Any, Any], name: str, value: Scalar) -> bool:
    if name == "objective":
        keys = ["objective"]
    else:
        keys = [f"{section}.{name}" for section in ("objective", "train", "network")]
    return any(key in record and _equal(record[key], value) for key in keys)


def _equal(value: Any, published: Scalar) -> bool:
    if isinstance(value, numbers.Real) and isinstance(published, int | float):
        return math.isclose(float(value), float(published), rel_tol=1e-12)
    return str(value) == str(published)
