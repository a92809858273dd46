"""`sweeps score`: codes of a file. `sweeps rescore`: codes that a finished sweep has stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.arguments import DEFAULT_WORKSPACE, AsJson, SweepName, Workspace, write_file
from sweeps.console import printing
from sweeps.errors import SweepError
from sweeps.spec.errors import Problem, SpecError
from sweeps.urls import home_expanded

if TYPE_CHECKING:
    from sweeps.scoring.codes_file import CodesFile
    from sweeps.scoring.rescore import Rescored
    from sweeps.scoring.score_codes import Scored

PERMUTATIONS = 20
"""Default of `--permutations`; a test holds it equal to that of `metrics`, which loads torch."""


class ChanceOf(StrEnum):
    """Which codes give the chance level."""

    NOISE = "noise"
    OWN = "own"


SCORE_HELP = """Score the codes of any model, from a file, with any metric of `sweeps metrics`.

FILE is .npz, .h5, .hdf5, .parquet, .csv or .tsv. It has one row per image
and these keys:

\b
mean             (N, d) means, or deterministic codes; also means, mu, z_mean
logvar           (N, d) log variances; also log_var, std, sigma, var, variance
samples          (N, d) codes, if there is no mean; also z
discrete         (N, m) discrete codes, whole numbers
factors          (N, K) ground truth, numbers or text: levels in their order
factor_names     (K,) names of the factors
factor_sizes     (K,) number of levels of each factor in the whole data set
weights          (N,) weight of each row: how often it counts
images           (N, …) values in [0, 1]
reconstructions  (N, …) values in [0, 1]

The file must have at least one of mean, samples and discrete. Bin continuous
factors first. Parquet and CSV have columns instead of matrices: mean_0, …
(in Parquet also one column mean of lists), likewise logvar_0, discrete_0, …;
one column factor_NAME per factor; weights. The codes.npz of a trial is such
a file.

Without --metrics the command computes every metric for which the file has the
data. It names the other metrics, and what they need.
"""


def score(
    codes: Annotated[
        Path,
        typer.Option(
            "--codes", metavar="FILE", parser=home_expanded, help="The file to score; see above."
        ),
    ],
    names: Annotated[
        str | None,
        typer.Option("--metrics", metavar="A,B,C", help="Names, as in `sweeps metrics`."),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of every random draw of a metric.", min=0, max=2**32 - 1)
    ] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="METRIC.OPTION=VALUE",
            help="Set an option of a metric: mig_hist20.bins=10.",
        ),
    ] = None,
    reference: Annotated[
        bool,
        typer.Option(
            "--reference/--no-reference",
            help="Compute chance and ceiling too: about six more scores per metric.",
        ),
    ] = True,
    chance: Annotated[
        ChanceOf,
        typer.Option(
            help="Chance of noise codes of the same sizes, or of these codes ('own'): "
            "the codes are scored against permuted rows, which also gives a p-value."
        ),
    ] = ChanceOf.NOISE,
    permutations: Annotated[
        int, typer.Option(help="Number of permutations of --chance own.", min=1)
    ] = PERMUTATIONS,
    to: Annotated[
        Path | None,
        typer.Option(
            "--parquet",
            metavar="OUT",
            parser=home_expanded,
            help="Write one row per metric to a .parquet file.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with all details, instead of a table.")
    ] = False,
) -> None:
    """Score a file of codes; `SCORE_HELP` is the help text of the command."""
    _check_target(to, as_json=as_json)
    from sweeps.console import progress_bar
    from sweeps.scoring import codes_file, score_codes

    try:
        options = score_codes.read_options(settings or [])
        file = codes_file.read(codes)
        chosen = score_codes.choose(file, _split(names), options)
    except (codes_file.CodesFileError, score_codes.ScoreError) as error:
        raise _user_error(str(error)) from error
    with progress_bar.showing(len(chosen.names)) as bar:
        scored, interrupted = _collect(
            score_codes.scores(
                file,
                chosen.names,
                options=options,
                seed=seed,
                reference=reference,
                chance=chance.value,
                permutations=permutations,
                bar=bar,
            )
        )
    rows = [score_codes.entry(one) for one in scored if one.score is not None]
    notes = (*file.notes, *score_codes.reference_notes(rows))
    failures = {one.name: one.failure for one in scored if one.score is None}

    if to is not None:
        write_file(to, score_codes.parquet_bytes(rows), option="--parquet")
        typer.echo(str(to))
    elif as_json:
        left_out = {**chosen.left_out, **failures}
        printing.show_json(_document(codes, file, rows, notes=notes, left_out=left_out))
    elif rows:
        columns = ["metric", "value", "error", "chance", "ceiling", "unit", "excluded", "reason"]
        if chance is ChanceOf.OWN:
            columns.insert(4, "p_value")
        printing.show([score_codes.line(row) for row in rows], columns, as_json=False)
    if not as_json:
        _print_notes(notes, chosen.left_out)
    for name, failure in failures.items():
        typer.echo(f"{name}: {failure}", err=True)

    if interrupted:
        typer.echo(f"interrupted: {len(scored)} of {len(chosen.names)} metrics are done", err=True)
        raise typer.Exit(1)
    if any(one.broken for one in scored):
        raise typer.Exit(1)
    if failures and (names is not None or any(name in options for name in failures)):
        raise typer.Exit(2)  # the user asked for a metric or an option that does not fit the file


def _collect(scores: Iterator[Scored]) -> tuple[list[Scored], bool]:
    """Return the scores, and whether Ctrl-C ended them early; the scores until then are kept."""
    scored: list[Scored] = []
    try:
        for one in scores:
            scored.append(one)
    except KeyboardInterrupt:
        return scored, True
    return scored, False


def rescore(
    name: SweepName,
    names: Annotated[
        str, typer.Option("--metrics", metavar="A,B,C", help="Names, as in `sweeps metrics`.")
    ],
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
) -> None:
    """Score the stored codes of a sweep's complete trials with further metrics, without training.

    The scores become final/* of the same runs. Scores that exist already stay as they are. After
    an interruption the same command continues. The exit code is 1 if codes are missing.
    """
    metric_names = _split(names) or []
    from sweeps.scoring.rescore import rescore_sweep
    from sweeps.scoring.score_codes import ScoreError

    try:
        result = rescore_sweep(name, metric_names, workspace)
    except (ScoreError, SweepError) as error:
        raise _user_error(str(error)) from error
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(1) from None
    if as_json:
        rows = [outcome._asdict() for outcome in result.outcomes]
        printing.show_json({"name": name, "exported": result.exported, "outcomes": rows})
    else:
        _print_counts(result, metric_names)
    _print_reasons(result, metric_names)
    if not result.exported:
        typer.echo(
            f"MLflow does not have everything yet: {result.error or 'it takes too long'}; "
            "run the same command again to send the rest",
            err=True,
        )
    if result.left_out:
        typer.echo(f"MLflow does not take everything: {result.left_out}", err=True)
    raise typer.Exit(result.exit_code)


def _print_counts(result: Rescored, metric_names: list[str]) -> None:
    """Print one row per metric: the number of trials by state."""
    states = ("scored", "there", "trained", "skipped", "failed")
    rows: list[dict[str, Any]] = []
    for metric in metric_names:
        counts = result.counts(metric)
        rows.append({"metric": metric, **{state: counts[state] for state in states}})
    printing.show(rows, ["metric", *states], as_json=False)


def _print_reasons(result: Rescored, metric_names: list[str]) -> None:
    """Print, on stderr, why trials were not scored: each reason once, with its trials."""
    for metric in metric_names:
        if result.counts(metric)["trained"]:
            typer.echo(f"left alone: final/{metric}, which the trials scored themselves", err=True)
    numbers_of: dict[tuple[str, str], list[str]] = {}
    for outcome in result.outcomes:
        if outcome.why:
            numbers = numbers_of.setdefault((outcome.state, outcome.why), [])
            if str(outcome.number) not in numbers:
                numbers.append(str(outcome.number))
    for (state, why), numbers in numbers_of.items():
        trials = "trials" if len(numbers) > 1 else "trial"
        typer.echo(f"{state}: {trials} {', '.join(numbers)}: {why}", err=True)


def _document(
    path: Path,
    file: CodesFile,
    rows: list[dict[str, Any]],
    *,
    notes: tuple[str, ...],
    left_out: dict[str, str],
) -> dict[str, Any]:
    """Return what `--json` prints: what the file holds, the scores, and what was left out."""
    codes, factors = file.codes, file.factors
    return {
        "file": str(path),
        "images": len(codes),
        "latents": codes.mean.shape[1],
        "discrete": 0 if codes.discrete is None else codes.discrete.shape[1],
        "factors": {} if factors is None else dict(zip(factors.names, factors.sizes, strict=True)),
        "notes": list(notes),
        "scores": rows,
        "left_out": left_out,
    }


def _print_notes(notes: tuple[str, ...], left_out: dict[str, str]) -> None:
    """Print, on stderr, the notes on a file, and each reason with the metrics that it left out."""
    for note in notes:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)
    for reason in dict.fromkeys(left_out.values()):
        names = ", ".join(name for name, why in left_out.items() if why == reason)
        typer.echo(f"left out: {names} ({reason})", err=True)


def _split(names: str | None) -> list[str] | None:
    """Return the names of `mig,dci`; None if the option is not given."""
    if names is None:
        return None
    metric_names = [name.strip() for name in names.split(",") if name.strip()]
    if not metric_names:
        raise typer.BadParameter(
            f"must name at least one metric, as in mig,dci, got {names!r}", param_hint="--metrics"
        )
    return metric_names


def _check_target(to: Path | None, *, as_json: bool) -> None:
    """Raise BadParameter if scores cannot be written to a file, before anything is computed."""
    if to is None:
        return
    if as_json:
        raise typer.BadParameter(
            "writes a file, and --json prints to the terminal; give one of them",
            param_hint="--parquet",
        )
    if to.suffix != ".parquet":
        raise typer.BadParameter(f"must end in .parquet, got {to}", param_hint="--parquet")
    if not os.access(to.parent, os.W_OK) or to.is_dir():
        raise typer.BadParameter(f"cannot be written: {to}", param_hint="--parquet")


def _user_error(message: str) -> SpecError:
    return SpecError([Problem(None, (), line) for line in message.splitlines()])
