"""The sections of a spec that are the sweep's own: search, goal, pruning, resources, budget, stores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    WithJsonSchema,
    model_validator,
)

EPOCH_METRICS: dict[str, Literal["max", "min"] | None] = {
    "reconstruction": "min",
    "kl": "min",
    "elbo": "max",
    "mi": "max",
    "tc": "min",
    "dimwise_kl": "min",
    "mig": "max",
    "active_units": None,
}
"""Metrics that every epoch reports, so what goals and pruning can be about; with their better end."""

NEED_FACTORS = frozenset({"mig"})
"""Those of them that need ground-truth factors."""

Mode = Literal["max", "min"]
MetricName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(EPOCH_METRICS)})]


def _leave_out(*names: str) -> ConfigDict:
    """Return the setting by which a schema does not ask for fields that are filled in."""

    def relax(schema: dict[str, Any]) -> None:
        schema["required"] = [name for name in schema.get("required", []) if name not in names]

    return ConfigDict(json_schema_extra=relax)


class Section(BaseModel):
    """A part of a spec: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SearchSpec(Section):
    """How cells are proposed: laid out (`grid`), or `trials` cells per layout point by a sampler."""

    name: Literal["grid", "random", "qmc", "tpe"] = "grid"
    trials: Annotated[int, Ge(1)] | None = None
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0


def _with_mode(value: Any) -> Any:
    """Fill in a mode that the metric itself tells."""
    if isinstance(value, Mapping) and value.get("mode") is None:
        # A metric that nobody knows is a mistake of its own: its mode is then not asked for.
        mode = EPOCH_METRICS.get(str(value.get("metric")), "max")
        return {**value, "mode": mode} if mode is not None else value
    return value


class Goal(Section):
    """What the sweep looks for; the mode may be left out where the metric has a better end."""

    model_config = _leave_out("mode")

    metric: MetricName
    mode: Mode

    _mode = model_validator(mode="before")(_with_mode)


class TradeoffSpec(Section):
    """Which laid-out parameters span the trade-off: cells compete only at equal values of them."""

    by: tuple[str, ...] | None = None


def _increasing(rungs: tuple[float, ...]) -> tuple[float, ...]:
    if any(not 0 < rung < 1 for rung in rungs):
        raise ValueError(f"must be fractions of the trial in (0, 1), got {list(rungs)}")
    if list(rungs) != sorted(set(rungs)):
        raise ValueError(f"must increase, got {list(rungs)}")
    return rungs


class PruningSpec(Section):
    """Successive halving inside a bracket: at each rung the best 1/reduction of the cells go on.

    No rung judges a cell before the schedules of its objective have ended. With `stop_collapsed` a trial ends early,
    too, if no latent is active at the ends of two epochs in a row after them; `rungs: []` then leaves it at that.
    """

    model_config = _leave_out("metric", "mode")

    name: Literal["asha"] = "asha"
    metric: MetricName
    mode: Mode
    rungs: Annotated[tuple[float, ...], AfterValidator(_increasing)] = (0.5,)
    reduction: Annotated[float, Ge(2)] = 2
    stop_collapsed: bool = False

    _mode = model_validator(mode="before")(_with_mode)

    @model_validator(mode="after")
    def _something(self) -> PruningSpec:
        if not self.rungs and not self.stop_collapsed:
            raise ValueError(
                "must have a rung, or stop_collapsed: true, got rungs [] and stop_collapsed false"
            )
        return self


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*([smhd])")


def _seconds(value: Any) -> Any:
    """Return seconds for `2h`, `90m`, `30s` or a number."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    number = float(match[1]) * _UNITS[match[2]] if match else value
    if number is not None and (
        isinstance(number, bool) or not isinstance(number, int | float) or not number > 0
    ):
        raise ValueError(
            f"must be a duration > 0 such as 2h, 90m, 30s, or seconds, or null for none, got {value!r}"
        )
    return None if number is None else float(number)


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(
            f"must be 0, or a fraction in (0, 1], got {value}; a trial uses one device at most"
        )
    return value


class ResourceSpec(Section):
    """What one trial takes of the cluster, and how often and how long it may try."""

    cpu: Annotated[float, Gt(0)] = 1.0
    gpu: Annotated[
        float,
        AfterValidator(_share),
        WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
    ] = 0.0
    max_concurrent: Literal["auto"] | Annotated[int, Ge(1)] = "auto"
    require_gpu: bool = False
    trial_timeout: Annotated[
        float | None,
        BeforeValidator(_seconds),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
    ] = 7200.0
    retries: Annotated[int, Ge(0)] = 3


class BudgetSpec(Section):
    """When the sweep stops asking for new trials."""

    hours: Annotated[float, Gt(0)] | None = None


class CheckpointSpec(Section):
    """How often a running trial is saved: every so many epochs, `min_seconds` apart at least."""

    every: Annotated[int, Ge(1)] = 1
    min_seconds: Annotated[float, Ge(0)] = 30.0


def _server(value: str | None) -> str | None:
    if value is not None and ("://" not in value or value.startswith("file:")):
        raise ValueError(
            f"must be a server or a database (http://…, sqlite:///…, postgresql://…), got {value!r}; "
            "MLflow's folder of files loses metrics, leave it null to keep the runs in the workspace"
        )
    return value


def _database(value: str | None) -> str | None:
    scheme = (value or "").partition(":")[0].partition("+")[0]
    if value is not None and ("://" not in value or scheme not in ("sqlite", "postgresql")):
        raise ValueError(f"must be a sqlite:///… or postgresql://… URL, got {value!r}")
    return value


class StoreSpec(Section):
    """Where runs, ledger and files are kept; null: inside the workspace."""

    mlflow: Annotated[str | None, AfterValidator(_server)] = None
    ledger: Annotated[str | None, AfterValidator(_database)] = None
    files: Annotated[str, MinLen(1)] | None = None


SEED_LIMIT = 2**31


def _seed_list(value: Any) -> Any:
    """Return the seeds of a number N (0 to N−1) or of a list."""
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        raise ValueError(f"must be a whole number >= 1 or a list of seeds, got {value!r}")
    if isinstance(value, int):
        if not 1 <= value <= 100_000:
            raise ValueError(
                f"must be a number of seeds from 1 to 100000, or a list of seeds, got {value}"
            )
        return tuple(range(value))
    return tuple(value)


def _distinct_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds:
        raise ValueError("must hold at least one seed, got an empty list")
    doubled = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if doubled:
        raise ValueError(
            f"must not repeat a seed, got {', '.join(map(str, doubled))} more than once"
        )
    wrong = [seed for seed in seeds if not 0 <= seed < SEED_LIMIT]
    if wrong:
        raise ValueError(f"must lie in [0, {SEED_LIMIT}), got {', '.join(map(str, wrong))}")
    return seeds


Seeds = Annotated[
    tuple[int, ...],
    BeforeValidator(_seed_list),
    AfterValidator(_distinct_seeds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 1,
                    "uniqueItems": True,
                },
            ]
        }
    ),
]


def _goal_list(value: Any) -> Any:
    if isinstance(value, Mapping):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Goals = Annotated[tuple[Goal, ...], BeforeValidator(_goal_list), MinLen(1)]


def _none(value: Any) -> Any:
    return None if value == "none" else value


Pruning = Annotated[PruningSpec | None, BeforeValidator(_none)]


def _sweep_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value) or value in (".", ".."):
        raise ValueError(
            f"must be letters, digits, - _ . only, got {value!r}; it names a folder and an experiment"
        )
    return value


Name = Annotated[
    str,
    AfterValidator(_sweep_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9._-]+$"}),
]
