"""What MLflow shows of a trial: the name of its run, tags, parameters and numbers."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from sweeps.exports.mlflow_client import Point
from sweeps.exports.mlflow_experiment import CHILD_TAG, HASH_TAG, TRIAL_TAG
from sweeps.ledger.flatten import flatten
from sweeps.ledger.tables import Row

LONGEST_VALUE = 6000
"""Characters of a parameter's value that MLflow takes. A longer one (a table of weights) is cut;
the ledger has all.
"""


def run_name(trial: Row) -> str:
    """Return the name of a trial's run, given its row of the ledger: `beta_vae-003-s1`."""
    objective = json.loads(trial["config"])["objective"]["name"]
    return f"{objective}-{trial['cell']:03d}-s{trial['seed']}"


def trial_tags(trial: Row, sweep: str, parent: str) -> dict[str, str]:
    """Return the tags that a run has from its creation on, but for state and software.

    Args:
        trial: its row of the ledger.
        sweep: the name of the sweep.
        parent: the id of the parent run.
    """
    config = json.loads(trial["config"])
    tags = {
        CHILD_TAG: parent,
        TRIAL_TAG: f"{sweep}/{trial['number']}",
        "objective": config["objective"]["name"],
        HASH_TAG: trial["hash"],
        "cell": str(trial["cell"]),
        "seed": str(trial["seed"]),
        **_beta_normalised(config),
    }
    if trial["reused_from"]:
        tags["reused_from"] = trial["reused_from"]
    return tags


def parameters(trial: Row) -> dict[str, str]:
    """Return the config of a trial as flat texts."""
    return parameters_of(json.loads(trial["config"]))


def parameters_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config as flat texts."""
    return {key: _parameter_text(value) for key, value in flatten(config).items()}


def report_points(row: Row) -> Iterator[Point]:
    """Yield every number of a report under the key that MLflow shows."""
    yield from points_of_body(row, json.loads(row["body"]))


def points_of_body(row: Row, body: Mapping[str, Any]) -> Iterator[Point]:
    """Yield every number of a report whose body is parsed."""
    groups = {
        "": body["metrics"],
        "train/": body["train"],
        "final/": body.get("final") or {},
        "best/": body.get("best") or {},
    }
    for prefix, numbers in groups.items():
        for key, value in numbers.items():
            shown = key if prefix else _grouped(key)
            yield Point(f"{prefix}{shown}", value, row["at"], row["epoch"])
    yield Point("seconds", row["seconds"], row["at"], row["epoch"])


def _grouped(key: str) -> str:
    """Return the key that MLflow shows for a number of an epoch: `error/tc` for `tc_error`.

    MLflow draws the keys of one folder together, so the errors are no charts among the metrics.
    """
    metric = key.removesuffix("_error")
    return key if metric == key or "/" in key else f"error/{metric}"


def _beta_normalised(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tag beta * d / (H W C), comparable between data sets, if the objective has a beta.

    Higgins et al. 2017. d is the number of latents, H W C the size of an image. A data set whose
    files are gone has no size, and then there is no tag.
    """
    beta, latents = config["objective"].get("beta"), config["network"].get("latents")
    if beta is None or latents is None:
        return {}
    pixels = _pixels(json.dumps(config["data"], sort_keys=True))
    return {} if pixels is None else {"beta_normalised": f"{beta * latents / pixels:.6g}"}


@functools.lru_cache(maxsize=16)
def _pixels(data: str) -> int | None:
    """Return H W C of a data set, given as JSON; None if its files cannot be read."""
    from vae_core.data import DATASETS
    from vae_core.hyperparameters.registry import build

    try:
        return math.prod(build("data set", json.loads(data), DATASETS).outline().shape)
    except (OSError, ValueError):
        return None


def _parameter_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def score_points(row: Row) -> list[Point]:
    """Return the numbers of a score of stored codes."""
    return points_of_score(row, json.loads(row["body"])["numbers"])


def points_of_score(row: Row, numbers: Mapping[str, float]) -> list[Point]:
    """Return the numbers of a score of stored codes, given them parsed."""
    return [Point(f"final/{key}", value, row["at"], row["epoch"]) for key, value in numbers.items()]
