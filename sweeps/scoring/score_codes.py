"""Scores one set of codes with several metrics.

All problems of a request are reported before anything is computed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import metrics
from metrics import PERMUTATIONS, Metric, Score, checks
from metrics.registry import METRICS
from sweeps import plain_values
from sweeps.console.progress_bar import Bar
from sweeps.scoring.codes_file import CodesFile
from sweeps.spec import yaml_reader
from sweeps.spec.errors import SpecError

Options = dict[str, dict[str, Any]]
"""The options of metrics, by the metric's name."""


class ScoreError(ValueError):
    """A request that cannot be computed; one line per problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))


class Chosen(NamedTuple):
    """The metrics to compute, and why others of the registry are left out."""

    names: list[str]
    left_out: dict[str, str]


class Scored(NamedTuple):
    """A metric's score, or why it has none."""

    name: str
    score: Score | None
    failure: str
    broken: bool  # the metric has a defect; false if it refused the codes or an option
    seconds: float


def read_options(settings: Sequence[str]) -> Options:
    """Return the options that settings of the form `metric.option=value` give.

    The metric may be a variant, as in `sap.dlib.train_rows=500`.

    Raises:
        ScoreError: naming every setting that is not of this form.
    """
    options: Options = {}
    problems: list[str] = []
    for setting in settings:
        path, equals, value = setting.partition("=")
        name, dot, option = path.strip().rpartition(".")
        if not equals or not dot or not name or not option:
            rule = "must be metric.option=value, as in mig_hist20.bins=10"
            problems.append(f"--set {setting}: {rule}")
            continue
        try:
            options.setdefault(name, {})[option] = yaml_reader.parse_value(value)
        except SpecError as error:
            problems.extend(f"--set {setting}: {problem.message}" for problem in error.problems)
    if problems:
        raise ScoreError(problems)
    return options


def choose(file: CodesFile, requested: Sequence[str] | None, options: Options) -> Chosen:
    """Return the metrics to compute, and why others are left out.

    Args:
        file: the codes to score.
        requested: names of metrics; None for all that the file has the keys for, except those that
            are computed after a sweep.
        options: of the metrics.

    Raises:
        ScoreError: naming every unknown metric, every key that a requested metric needs and the
            file does not have, and every unknown option.
    """
    problems: list[str] = []
    if requested is None:
        chosen = _all_possible(file)
    else:
        chosen = Chosen(list(dict.fromkeys(requested)), {})
        for name in chosen.names:
            problems += _request_problems(name, file)
    for name, metric_options in options.items():
        problems += _option_problems(name, metric_options, chosen)
    if problems:
        raise ScoreError(problems)
    return chosen


def _all_possible(file: CodesFile) -> Chosen:
    names: list[str] = []
    left_out: dict[str, str] = {}
    for name, metric in METRICS.items():
        reason = _why_impossible(metric, file)
        if not reason and metric.tier == "sweep":
            reason = "is computed after a sweep: name it with --metrics"
        if reason:
            left_out[name] = reason
        else:
            names.append(name)
    return Chosen(names, left_out)


def _request_problems(name: str, file: CodesFile) -> list[str]:
    try:
        metric = metrics.find(name)
    except ValueError as error:
        return [str(error)]
    reason = _why_impossible(metric, file)
    return [f"metric {name!r} {reason}"] if reason else []


def _why_impossible(metric: Metric, file: CodesFile) -> str:
    """Return why a metric cannot be computed on a file, "" if it can."""
    if "others" in metric.needs:
        return "compares several models: `sweeps rescore` scores those of a sweep with it"
    missing = missing_keys(metric.needs, file)
    if missing:
        return f"needs {', '.join(missing)}, which the file does not have"
    if has_weights(file) and not metric.weighted:
        return "takes no weights"
    return ""


def has_weights(file: CodesFile) -> bool:
    """Return whether the rows of a file have weights."""
    return file.factors is not None and file.factors.weights is not None


def missing_keys(needs: frozenset[str], file: CodesFile) -> list[str]:
    """Return the keys of all that a metric needs and a file does not have."""
    keys = {
        "posterior": ("logvar", file.codes.logvar),
        "discrete": ("discrete", file.codes.discrete),
        "factors": ("factors", file.factors),
        "images": ("images", file.images),
        "reconstructions": ("reconstructions", file.reconstructions),
    }
    return [key for need, (key, value) in keys.items() if need in needs and value is None]


def _option_problems(name: str, metric_options: Mapping[str, Any], chosen: Chosen) -> list[str]:
    try:
        metric, variant = checks.find(name, METRICS)
        checks.complete_options(name, metric, {**variant, **metric_options})
    except (ValueError, TypeError) as error:
        return [f"--set: {error}"]
    if name not in chosen.names:
        reason = chosen.left_out.get(name, "is not among --metrics")
        return [f"--set: metric {name!r} {reason}"]
    return []


def scores(
    file: CodesFile,
    names: Sequence[str],
    *,
    options: Options,
    seed: int,
    reference: bool,
    chance: Literal["noise", "own"] = "noise",
    permutations: int = PERMUTATIONS,
    bar: Bar,
) -> Iterator[Scored]:
    """Yield the score of each metric.

    A metric that refuses the codes, or breaks on them, gets a failure in place of a score; the
    other metrics are computed all the same.

    Args:
        file: the codes to score.
        names: of the metrics.
        options: of the metrics.
        seed: of every random draw that a metric makes.
        reference: whether chance and ceiling are computed too.
        chance: the chance level of "noise", or of the "own" codes with permuted rows.
        permutations: of the own codes.
        bar: shows the progress.
    """
    for name in names:
        started = time.monotonic()
        bar.step(name)
        metric_options = options.get(name, {})
        result, failure, broken = None, "", False
        try:
            result = metrics.score(
                name,
                file.codes,
                file.factors,
                images=file.images,
                reconstructions=file.reconstructions,
                seed=seed,
                reference=reference,
                chance=chance,
                permutations=permutations,
                **metric_options,
            )
        except Exception as error:  # the failure of one metric must not stop the others
            failure = _failure(name, error, metric_options)
            # With options, the error may come from the value of an option: no defect of the metric.
            broken = not isinstance(error, ValueError) and not metric_options
        bar.done()
        yield Scored(name, result, failure, broken, time.monotonic() - started)


def _failure(name: str, error: Exception, metric_options: Mapping[str, Any]) -> str:
    """Return an error's text, with the options that were set."""
    if not metric_options:
        return failure_text(error)
    settings = [f"{name}.{option}={value}" for option, value in metric_options.items()]
    return f"{failure_text(error)} (with {', '.join(settings)})"


def failure_text(error: Exception) -> str:
    """Return an error's message, with its class if it is not a ValueError."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def entry(scored: Scored) -> dict[str, Any]:
    """Return a score and all that it was computed from, as plain values."""
    metric, result = metrics.find(scored.name), scored.score
    assert result is not None
    details = {
        key: value for key, value in result.details.items() if key not in ("excluded", "reason")
    }
    return {
        "metric": scored.name,
        "value": result.value,
        "error": result.error,
        "chance": result.chance,
        "chance_sd": result.chance_sd,
        "ceiling": result.ceiling,
        "no_ceiling": result.no_ceiling,
        "of_factors": result.of_factors,
        "unit": metric.unit,
        "range": list(metric.range),
        "better": metric.better,
        "reason": str(result.details.get("reason", "")),
        "excluded": dict(result.details.get("excluded", {})),
        "identity": dict(result.identity),
        "details": details,
        "seconds": round(scored.seconds, 3),
    }


def reference_problem(
    value: float | None, chance: float | None, of_factors: float | None, *, better: str
) -> str:
    """Return what is wrong with factors that score worse than chance, "" if nothing is.

    Codes without information then score better than codes that are the factors. So the factors, or
    the order of the rows, are not what they should be.

    Args:
        value: the score.
        chance: the score of codes without information; None if it was not computed.
        of_factors: the score of codes that are the factors; None if it was not computed.
        better: "max" or "min": which end of the range of the metric is better.
    """
    if chance is None or of_factors is None or better not in ("max", "min"):
        return ""
    distance = chance - of_factors if better == "max" else of_factors - chance
    if not distance > 1e-9:  # false for NaN, too; sums in another order differ by less
        return ""
    got = "" if value is None else f" (the score is {value:.3g})"
    return (
        f"chance {chance:.3g} is better than the factors themselves, {of_factors:.3g}{got}, so the "
        "score says nothing: the factors or the rows are probably wrong, such as ids, measured "
        "values that are not binned, or too few rows per level"
    )


def reference_notes(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, for each metric, why its chance or its ceiling needs a word."""
    notes: list[str] = []
    for row in entries:
        problem = reference_problem(
            row["value"], row["chance"], row["of_factors"], better=row["better"]
        )
        if problem:
            notes.append(f"{row['metric']}: {problem}")
    for row in entries:
        if row["no_ceiling"]:
            notes.append(f"{row['metric']} has no ceiling: {row['no_ceiling']}")
    return notes


def parquet_bytes(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return entries as a Parquet file with one row per metric.

    Values that are neither numbers nor texts are stored as JSON.
    """
    import io

    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {}
    for key in ("metric", "unit", "better", "reason", "no_ceiling"):
        columns[key] = pa.array([row[key] for row in entries], pa.string())
    for key in ("value", "error", "chance", "chance_sd", "ceiling", "of_factors", "seconds"):
        columns[key] = pa.array([row[key] for row in entries], pa.float64())
    for key in ("range", "excluded", "identity", "details"):
        columns[key] = pa.array([_json(row[key]) for row in entries], pa.string())
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _json(value: Any) -> str:
    return json.dumps(plain_values.to_plain(value), ensure_ascii=False)


def line(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as a row of a table, with what was excluded, and why, in a few words."""
    excluded = "; ".join(f"{name}: {reason}" for name, reason in row["excluded"].items())
    return {
        **row,
        "p_value": row["details"].get("p_value"),
        "excluded": _short(excluded),
        "reason": _short(row["reason"]),
    }


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
