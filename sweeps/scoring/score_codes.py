"""Scores one set of codes with several metrics; what is wrong with a request is said before anything is computed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import metrics
from metrics import Metric, Score, checks
from metrics.registry import METRICS
from sweeps import plain_values
from sweeps.console.progress_bar import Bar
from sweeps.scoring.codes_file import CodesFile
from sweeps.spec import yaml_reader
from sweeps.spec.errors import SpecError

Options = dict[str, dict[str, Any]]
"""By the name of a metric."""


class ScoreError(ValueError):
    """What was asked for cannot be computed; one line per mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))


class Chosen(NamedTuple):
    """Which metrics are computed, and why others of the registry are not."""

    names: list[str]
    left_out: dict[str, str]


class Scored(NamedTuple):
    """A metric's score, or in words why it has none."""

    name: str
    score: Score | None
    failure: str
    broken: bool  # the failure is a defect of the metric, not a refusal of the codes or an option
    seconds: float


def read_options(settings: Sequence[str]) -> Options:
    """Return the options of `metric.option=value` each; the metric may have a variant (`sap.dlib.train_rows=500`).

    Raises:
        ScoreError: naming every setting that is not of this form.
    """
    found: Options = {}
    wrong: list[str] = []
    for setting in settings:
        path, equals, value = setting.partition("=")
        name, dot, option = path.strip().rpartition(".")
        if not equals or not dot or not name or not option:
            wrong.append(f"--set {setting}: must be metric.option=value, as in mig_hist20.bins=10")
            continue
        try:
            found.setdefault(name, {})[option] = yaml_reader.scalar_or_flow(value)
        except SpecError as error:
            wrong.extend(f"--set {setting}: {problem.message}" for problem in error.problems)
    if wrong:
        raise ScoreError(wrong)
    return found


def choose(found: CodesFile, asked: Sequence[str] | None, options: Options) -> Chosen:
    """Return the metrics to compute: those asked for, or all that the file serves but what comes after a sweep.

    Raises:
        ScoreError: naming every unknown metric, every need that the file does not meet, and every unknown option.
    """
    wrong: list[str] = []
    if asked is None:
        reasons = {name: _why_not(row, found) for name, row in METRICS.items()}
        left_out = {name: why for name, why in reasons.items() if why}
        chosen = Chosen([name for name in reasons if name not in left_out], left_out)
    else:
        chosen = Chosen(list(dict.fromkeys(asked)), {})
        for name in chosen.names:
            try:
                row = metrics.find(name)
            except ValueError as error:
                wrong.append(str(error))
                continue
            why = _why_not(row, found, asked=True)
            wrong += [f"metric {name!r} {why}"] if why else []
    for name, given in options.items():
        wrong += _wrong_options(name, given, chosen)
    if wrong:
        raise ScoreError(wrong)
    return chosen


def _why_not(row: Metric, found: CodesFile, *, asked: bool = False) -> str:
    """Return why a metric is left out of what a file is scored with, "" if it is not."""
    lacking = missing(row.needs, found)
    if "others" in row.needs:
        return "compares several models: `sweeps rescore` scores those of a sweep with it"
    if lacking:
        return f"needs {', '.join(lacking)}, which the file has not"
    if found.factors is not None and found.factors.weights is not None and not row.weighted:
        return "takes no weights"
    if row.tier == "sweep" and not asked:
        return "is computed after a sweep: name it with --metrics"
    return ""


def missing(needs: frozenset[str], found: CodesFile) -> list[str]:
    """Return, of what a metric needs, the keys that a file lacks."""
    there = {
        "posterior": (found.codes.logvar is not None, "logvar"),
        "discrete": (found.codes.discrete is not None, "discrete"),
        "factors": (found.factors is not None, "factors"),
        "images": (found.images is not None, "images"),
        "reconstructions": (found.reconstructions is not None, "reconstructions"),
    }
    return [key for need, (given, key) in there.items() if need in needs and not given]


def _wrong_options(name: str, given: Mapping[str, Any], chosen: Chosen) -> list[str]:
    try:
        row, variant = checks.find(name, METRICS)
        checks.complete_options(name, row, {**variant, **given})
    except (ValueError, TypeError) as error:
        return [f"--set: {error}"]
    if name not in chosen.names:
        why = chosen.left_out.get(name, "is not among --metrics")
        return [f"--set: metric {name!r} {why}"]
    return []


def scores(
    found: CodesFile,
    names: Sequence[str],
    *,
    options: Options,
    seed: int,
    reference: bool,
    bar: Bar,
) -> Iterator[Scored]:
    """Yield the score of each metric; one that refuses these codes has a failure instead, and the others go on."""
    for name in names:
        own = options.get(name, {})
        started = time.monotonic()
        result, failure, broken = None, "", False
        bar.step(name)
        try:
            result = metrics.score(
                name,
                found.codes,
                found.factors,
                images=found.images,
                reconstructions=found.reconstructions,
                seed=seed,
                reference=reference,
                **own,
            )
        except Exception as error:  # one metric's trouble must not cost the others' results
            broken = (
                not isinstance(error, ValueError) and not own
            )  # of an option's value it is the user's
            said = (
                str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            )
            given = ", ".join(f"{name}.{option}={value}" for option, value in own.items())
            failure = f"{said} (with {given})" if given else said
        bar.done()
        yield Scored(name, result, failure, broken, time.monotonic() - started)


def entry(scored: Scored) -> dict[str, Any]:
    """Return a score as plain values: arrays as lists, everything that it was made of."""
    row, result = metrics.find(scored.name), scored.score
    assert result is not None
    details = {
        key: value for key, value in result.details.items() if key not in ("excluded", "reason")
    }
    return {
        "metric": scored.name,
        "value": result.value,
        "error": result.error,
        "chance": result.chance,
        "ceiling": result.ceiling,
        "unit": row.unit,
        "range": list(row.range),
        "better": row.better,
        "reason": str(result.details.get("reason", "")),
        "excluded": dict(result.details.get("excluded", {})),
        "identity": dict(result.identity),
        "details": details,
        "seconds": round(scored.seconds, 3),
    }


def parquet_bytes(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return scores as a Parquet file, a row per metric; what is no number or text is stored as JSON."""
    import io

    import pyarrow as pa
    from pyarrow import parquet

    texts, numbers = (
        ("metric", "unit", "better", "reason"),
        ("value", "error", "chance", "ceiling", "seconds"),
    )
    columns = {key: pa.array([row[key] for row in entries], pa.string()) for key in texts}
    columns |= {key: pa.array([row[key] for row in entries], pa.float64()) for key in numbers}
    for key in ("range", "excluded", "identity", "details"):
        columns[key] = pa.array(
            [json.dumps(plain_values.to_plain(row[key]), ensure_ascii=False) for row in entries],
            pa.string(),
        )
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def line(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as a line of a table: what was left out, and why, in a few words."""
    excluded = "; ".join(f"{name}: {why}" for name, why in row["excluded"].items())
    return {**row, "excluded": _short(excluded), "reason": _short(row["reason"])}


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
