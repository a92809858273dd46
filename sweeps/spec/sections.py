"""The sections of a spec about the sweep itself: search, goal, pruning, resources, budget, stores.

The sections about trials (data, network, train, objectives, evaluation) are in `registry_blocks`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    WithJsonSchema,
    field_serializer,
    model_validator,
)

from sweeps.spec import limits, store_urls
from sweeps.urls import redacted_url
from vae_core.epoch_metrics import COMMON_METRICS, EPOCH_METRICS
from vae_core.hyperparameters.limits import EPOCHS

Mode = Literal["max", "min"]
MetricName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(COMMON_METRICS)})]


def _leave_out(*names: str) -> ConfigDict:
    """Return a model's setting that makes some fields optional in its JSON schema.

    The model fills these fields in before it is checked, so a user may leave them out.
    """

    def relax(schema: dict[str, Any]) -> None:
        schema["required"] = [name for name in schema.get("required", []) if name not in names]

    return ConfigDict(json_schema_extra=relax)


class Section(BaseModel):
    """A section of a spec: frozen. An unknown key is a problem."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SearchSpec(Section):
    """How cells are chosen: `grid` lays out every one, a sampler chooses `trials` per layout."""

    name: Literal["grid", "random", "qmc", "tpe"] = "grid"
    trials: Annotated[int, Ge(1), Le(limits.CELLS)] | None = None
    seed: Annotated[int, Ge(0), Lt(2**32)] = 0


def _with_mode(value: Any) -> Any:
    """Return the mapping of a goal or pruning with the mode that follows from its metric."""
    if not isinstance(value, Mapping) or value.get("mode") is not None:
        return value
    metric = str(value.get("metric"))
    # An unknown metric is a problem already; "max" keeps the missing mode from being another.
    mode = EPOCH_METRICS[metric].better if metric in COMMON_METRICS else "max"
    return value if mode is None else {**value, "mode": mode}


class Goal(Section):
    """What the sweep looks for. The mode may be left out if the metric has a better end."""

    model_config = _leave_out("mode")

    metric: MetricName
    mode: Mode

    _mode = model_validator(mode="before")(_with_mode)


class TradeoffSpec(Section):
    """Which laid-out parameters span the trade-off: cells compete only at equal values of these."""

    by: Annotated[tuple[str, ...], MaxLen(limits.TRADEOFF_FIELDS)] | None = None


def _increasing(rungs: tuple[float, ...]) -> tuple[float, ...]:
    if any(not 0 < rung < 1 for rung in rungs):
        raise ValueError(f"must be fractions of the trial in (0, 1), got {list(rungs)}")
    if list(rungs) != sorted(set(rungs)):
        raise ValueError(f"must increase, got {list(rungs)}")
    return rungs


class PruningSpec(Section):
    """Asynchronous successive halving: a rung promotes the best 1/reduction of a bracket so far.

    The first cell at a rung is always promoted, so how many are pruned depends on the order of
    arrival.

    No rung judges a cell before the schedules of its objective have ended. With `stop_collapsed` a
    trial also ends early if, after its schedules, no latent is active at the end of two epochs in a
    row. `rungs: []` with `stop_collapsed` prunes for that reason alone.
    """

    model_config = _leave_out("metric", "mode")

    name: Literal["asha"] = "asha"
    metric: MetricName
    mode: Mode
    rungs: Annotated[tuple[float, ...], MaxLen(limits.RUNGS), AfterValidator(_increasing)] = (0.5,)
    reduction: Annotated[float, Ge(2), Le(limits.CELLS)] = 2
    stop_collapsed: bool = False

    _mode = model_validator(mode="before")(_with_mode)

    @model_validator(mode="after")
    def _can_prune(self) -> PruningSpec:
        if not self.rungs and not self.stop_collapsed:
            rule = "must have a rung, or stop_collapsed: true"
            raise ValueError(f"{rule}, got rungs [] and stop_collapsed false")
        return self


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_SECONDS = 3650 * 86400.0
"""Ten years: no trial runs longer, and timers take no more than a few centuries."""

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*([smhd])")


def _seconds(value: Any) -> Any:
    """Return seconds for `2h`, `90m`, `30s` or a number."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    number: Any = float(match[1]) * _UNITS[match[2]] if match else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not number > 0:  # not "number <= 0": NaN is refused too
        rule = "must be a duration > 0 such as 2h, 90m, 30s, or seconds, or null for none"
        raise ValueError(f"{rule}, got {value!r}")
    if number > LONGEST_SECONDS:
        rule = f"must be at most {LONGEST_SECONDS / _UNITS['d']:g} days, or null for none"
        raise ValueError(f"{rule}, got {value!r}")
    return float(number)


Duration = Annotated[
    float | None,
    BeforeValidator(_seconds),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
]
"""Seconds; None for none."""

LEAST_SHARE = 0.0001
"""Ray counts in ten-thousandths of a CPU or a GPU."""


def _share_of_device(value: float) -> float:
    if not 0 <= value <= 1:
        rule = "must be 0, or a fraction in (0, 1]"
        raise ValueError(f"{rule}, got {value}; a trial uses one device at most")
    if 0 < value < LEAST_SHARE:
        raise ValueError(f"must be 0, or at least {LEAST_SHARE:g}, got {value}")
    return value


class ResourceSpec(Section):
    """What one trial takes of the cluster, how long it may run and how often it is tried again."""

    cpu: Annotated[float, Ge(LEAST_SHARE), Le(1_000_000)] = 1.0
    gpu: Annotated[
        float,
        AfterValidator(_share_of_device),
        WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
    ] = 0.0
    max_concurrent: Literal["auto"] | Annotated[int, Ge(1), Le(limits.TRIALS)] = "auto"
    require_gpu: bool = False
    trial_timeout: Duration = 7200.0
    retries: Annotated[int, Ge(0), Le(1000)] = 3
    node_retries: Annotated[int, Ge(0), Le(1000)] = 20


class BudgetSpec(Section):
    """When the sweep stops asking for new trials."""

    hours: Annotated[float, Gt(0), Le(LONGEST_SECONDS / 3600)] | None = None


class CheckpointSpec(Section):
    """How often a running trial is saved: after `every` epochs, `min_seconds` apart at least."""

    every: Annotated[int, Ge(1), Le(EPOCHS)] = 1
    min_seconds: Annotated[float, Ge(0), Le(LONGEST_SECONDS)] = 30.0


class StoreSpec(Section):
    """Where MLflow's runs, the ledger and files are kept; null: inside the workspace.

    `${NAME}` in a URL is an environment variable, read when the connection is opened. Passwords of
    a URL are hidden in every text that is made of this section: `model_dump`, `repr`. `patience` is
    how long a sweep waits for a ledger that is away, or for space on a full disk.
    """

    mlflow: Annotated[str | None, AfterValidator(store_urls.check_server)] = None
    ledger: Annotated[str | None, AfterValidator(store_urls.check_database)] = None
    files: Annotated[Annotated[str, MinLen(1)] | None, AfterValidator(store_urls.check_files)] = (
        None
    )
    patience: Duration = 600.0

    @field_serializer("mlflow", "ledger", "files")
    def _hide_secrets(self, url: str | None) -> str | None:
        return None if url is None else redacted_url(url)

    def __repr__(self) -> str:
        return f"StoreSpec({self.model_dump()})"

    __str__ = __repr__


SEED_LIMIT = 2**31


def _seed_list(value: Any) -> Any:
    """Return the seeds of a number N (0 to N − 1) or of a list."""
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        raise ValueError(f"must be a whole number >= 1 or a list of seeds, got {value!r}")
    if not isinstance(value, int):
        return tuple(value)
    if not 1 <= value <= limits.SEEDS:
        rule = f"must be a number of seeds from 1 to {limits.SEEDS}, or a list of seeds"
        raise ValueError(f"{rule}, got {value}")
    return tuple(range(value))


def _distinct_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds:
        raise ValueError("must hold at least one seed, got an empty list")
    if len(seeds) > limits.SEEDS:
        raise ValueError(f"must hold at most {limits.SEEDS} seeds, got {len(seeds)}; give fewer")
    repeated = sorted(seed for seed, times in Counter(seeds).items() if times > 1)
    if repeated:
        numbers = ", ".join(map(str, repeated))
        raise ValueError(f"must not repeat a seed, got {numbers} more than once")
    outside = [seed for seed in seeds if not 0 <= seed < SEED_LIMIT]
    if outside:
        raise ValueError(f"must lie in [0, {SEED_LIMIT}), got {', '.join(map(str, outside))}")
    return seeds


Seeds = Annotated[
    tuple[int, ...],
    BeforeValidator(_seed_list),
    AfterValidator(_distinct_seeds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": limits.SEEDS},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0},
                    "minItems": 1,
                    "maxItems": limits.SEEDS,
                    "uniqueItems": True,
                },
            ]
        }
    ),
]


def _goal_list(value: Any) -> Any:
    """Return a tuple of goals; one goal may be given without a list."""
    if isinstance(value, Mapping):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Goals = Annotated[tuple[Goal, ...], BeforeValidator(_goal_list), MinLen(1), MaxLen(limits.GOALS)]


def _none_to_null(value: Any) -> Any:
    """Return None for the word `none`."""
    return None if value == "none" else value


Pruning = Annotated[PruningSpec | None, BeforeValidator(_none_to_null)]


_NAME = "[A-Za-z0-9_][A-Za-z0-9._-]*"


def _sweep_name(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9._-]+", value):
        rule = "must be letters, digits, - _ . only"
        raise ValueError(f"{rule}, got {value[:80]!r}; it names a folder and an experiment")
    if not re.fullmatch(_NAME, value):
        rule = "must begin with a letter, a digit or _"
        reason = "commands read -x as an option, and .x is a hidden folder"
        raise ValueError(f"{rule}, got {value[:80]!r}; {reason}")
    if len(value) > limits.NAME_CHARACTERS:
        raise ValueError(
            f"must have at most {limits.NAME_CHARACTERS} characters, got {len(value)} "
            f"({value[:20]!r}…): it names folders and a lock file, and file systems take no longer "
            "names; use a shorter one"
        )
    return value


Name = Annotated[
    str,
    AfterValidator(_sweep_name),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_NAME}$", "maxLength": limits.NAME_CHARACTERS}
    ),
]
