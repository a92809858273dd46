"""`sweeps score`: anybody's codes; `sweeps rescore`: those that a finished sweep has stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from sweeps.console import printing
from sweeps.spec.errors import Problem, SpecError

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of a table: everything, details too.")
]
Metrics = Annotated[
    str | None, typer.Option("--metrics", metavar="A,B,C", help="Names as in `sweeps metrics`.")
]

LAYOUT = """Score anybody's codes, with any metric of `sweeps metrics`.

FILE is .npz, .h5, .hdf5 or .parquet, with one row per image and these keys:

\b
mean             (N, d) means, or deterministic codes; also means, mu, z_mean
logvar           (N, d) log variances; also log_var, std, sigma, var, variance
samples          (N, d) codes where there is no mean; also z
discrete         (N, m) discrete codes, whole numbers
factors          (N, K) ground truth: levels, numbered in their order
factor_names     (K,) their names
factor_sizes     (K,) how many levels each has in the whole data set
weights          (N,) how often each row counts
images           (N, …) in [0, 1], and likewise reconstructions

One of mean, samples and discrete must be there. A continuous factor must be
binned before. Parquet has columns instead of matrices: mean_0, mean_1, … (or
one column mean of lists), likewise logvar_0, discrete_0, …; one column
factor_NAME per factor; weights. The codes.npz of a trial is such a file.

Without --metrics every metric that the file serves is computed, and it is
said which others there are and what they need.
"""


def score(
    codes: Annotated[
        Path, typer.Option("--codes", metavar="FILE", help="What to score; see above.")
    ],
    names: Metrics = None,
    seed: Annotated[
        int, typer.Option(help="Of every draw that a metric makes.", min=0, max=2**32 - 1)
    ] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METRIC.OPTION=VALUE", help="mig_hist20.bins=10 …"),
    ] = None,
    reference: Annotated[
        bool,
        typer.Option(
            "--reference/--no-reference", help="Chance and ceiling: six more scores per metric."
        ),
    ] = True,
    to: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="OUT", help="Write a row per metric to a .parquet file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a file of codes; `LAYOUT` is what the command line says of it."""
    _check_target(to, as_json=as_json)
    from sweeps.console import progress_bar
    from sweeps.scoring import codes_file, score_codes

    try:
        options = score_codes.read_options(settings or [])
        found = codes_file.read(codes)
        chosen = score_codes.choose(found, _split(names), options)
    except (codes_file.CodesFileError, score_codes.ScoreError) as error:
        raise _mistake(str(error)) from error
    with progress_bar.showing(len(chosen.names)) as shown:
        asked = score_codes.scores(
            found, chosen.names, options=options, seed=seed, reference=reference, bar=shown
        )
        scored: list[score_codes.Scored] = []
        interrupted = False
        try:
            for one in asked:
                scored.append(one)
        except KeyboardInterrupt:  # what is done is shown
            interrupted = True
    rows = [score_codes.entry(one) for one in scored if one.score is not None]
    failed = {one.name: one.failure for one in scored if one.score is None}
    if to is not None:
        _write(to, score_codes.parquet_bytes(rows))
        typer.echo(str(to))
    elif as_json:
        printing.show_json(_document(codes, found, rows, {**chosen.left_out, **failed}))
    elif rows:
        columns = ["metric", "value", "error", "chance", "ceiling", "unit", "excluded", "reason"]
        printing.show([score_codes.line(row) for row in rows], columns, as_json=False)
    if not as_json:
        _say(found.notes, chosen.left_out)
    for name, why in failed.items():
        typer.echo(f"{name}: {why}", err=True)
    if interrupted:
        typer.echo(f"interrupted: {len(scored)} of {len(chosen.names)} metrics are done", err=True)
        raise typer.Exit(1)
    if any(one.broken for one in scored):
        raise typer.Exit(1)
    if failed and (names is not None or any(name in options for name in failed)):
        raise typer.Exit(2)


def rescore(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A sweep of the workspace.")],
    names: Annotated[
        str, typer.Option("--metrics", metavar="A,B,C", help="Names as in `sweeps metrics`.")
    ],
    workspace: Annotated[
        Path,
        typer.Option(
            envvar="SWEEPS_WORKSPACE", metavar="DIR", help="Folder of ledger and results."
        ),
    ] = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Score the stored codes of a sweep's complete trials, with no training: further final/* of the same runs.

    What is there already is left alone; after an interruption the same command goes on. Exit code 1 if codes are
    missing.
    """
    asked = _split(names)
    from sweeps import errors
    from sweeps.scoring.rescore import rescore_sweep
    from sweeps.scoring.score_codes import ScoreError

    try:
        result = rescore_sweep(name, asked or [], workspace)
    except (ScoreError, errors.SweepError) as error:
        raise _mistake(str(error)) from error
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on", err=True)
        raise typer.Exit(1) from None
    if as_json:
        rows = [outcome._asdict() for outcome in result.outcomes]
        printing.show_json({"name": name, "exported": result.exported, "outcomes": rows})
    else:
        states = ("scored", "there", "trained", "skipped", "failed")
        rows = [
            {"metric": metric, **{state: result.counts(metric)[state] for state in states}}
            for metric in asked or []
        ]
        printing.show(rows, ["metric", *states], as_json=False)
    for metric in asked or []:
        if result.counts(metric)["trained"]:
            typer.echo(f"left alone: final/{metric}, which the trials scored themselves", err=True)
    for state, why in dict.fromkeys(
        (outcome.state, outcome.why) for outcome in result.outcomes if outcome.why
    ):
        whose = dict.fromkeys(
            str(one.number) for one in result.outcomes if (one.state, one.why) == (state, why)
        )
        typer.echo(
            f"{state}: trial{'s' if len(whose) > 1 else ''} {', '.join(whose)}: {why}", err=True
        )
    if not result.exported:
        typer.echo(
            f"MLflow has not got everything yet ({result.error}); the same command sends the rest",
            err=True,
        )
    raise typer.Exit(result.exit_code)


def _document(
    path: Path, found: Any, rows: list[dict[str, Any]], left_out: dict[str, str]
) -> dict[str, Any]:
    codes, factors = found.codes, found.factors
    return {
        "file": str(path),
        "images": len(codes),
        "latents": codes.mean.shape[1],
        "discrete": 0 if codes.discrete is None else codes.discrete.shape[1],
        "factors": {} if factors is None else dict(zip(factors.names, factors.sizes, strict=True)),
        "notes": list(found.notes),
        "scores": rows,
        "left_out": left_out,
    }


def _say(notes: tuple[str, ...], left_out: dict[str, str]) -> None:
    """Print, on stderr, what was taken for granted and which metrics were left out, those of one reason together."""
    for note in notes:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)
    for reason in dict.fromkeys(left_out.values()):
        names = ", ".join(name for name, why in left_out.items() if why == reason)
        typer.echo(f"left out: {names} ({reason})", err=True)


def _split(names: str | None) -> list[str] | None:
    if names is None:
        return None
    found = [name.strip() for name in names.split(",") if name.strip()]
    if not found:
        raise typer.BadParameter(
            f"must name a metric or more, as in mig,dci, got {names!r}", param_hint="--metrics"
        )
    return found


def _check_target(to: Path | None, *, as_json: bool) -> None:
    """Refuse, before anything is computed, a file that cannot be written."""
    if to is None:
        return
    if as_json:
        raise typer.BadParameter(
            "goes to a file, --json to the terminal; give one of them", param_hint="--parquet"
        )
    if to.suffix != ".parquet":
        raise typer.BadParameter(f"must end in .parquet, got {to}", param_hint="--parquet")
    if not os.access(to.parent, os.W_OK) or to.is_dir():
        raise typer.BadParameter(f"cannot be written: {to}", param_hint="--parquet")


def _write(to: Path, content: bytes) -> None:
    aside = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        aside.replace(to)
    except OSError as error:
        raise typer.BadParameter(f"cannot be written: {error}", param_hint="--parquet") from error


def _mistake(message: str) -> SpecError:
    return SpecError([Problem(None, (), line) for line in message.splitlines()])
