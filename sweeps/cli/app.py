"""The command line. Exit codes: 0 all well, 1 a trial failed or the sweep was interrupted, 2 the user's mistake.

Commands import what they need when they run: `validate` and the listings must not wait for Ray, MLflow or Optuna.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sweeps.cli import score_commands
from sweeps.cli.data_commands import data
from sweeps.console import printing
from sweeps.spec.errors import SpecError

if TYPE_CHECKING:
    from sweeps.spec.sweep_spec import SweepSpec

Source = Annotated[
    str, typer.Argument(metavar="SPEC", help="A YAML file, or the name of a bundled spec.")
]
SweepName = Annotated[str, typer.Argument(metavar="NAME", help="A sweep of the workspace.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change the spec: train.epochs=3, objectives.*.beta=4."
    ),
]
Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace",
        envvar="SWEEPS_WORKSPACE",
        metavar="DIR",
        help="Folder of ledger and results.",
    ),
]
Address = Annotated[
    str | None, typer.Option(metavar="RAY", help="A running Ray cluster; else one is started.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DEFAULT_WORKSPACE = Path("results")


class UserMistakes(TyperGroup):
    """A command group that says a user's mistake on stderr and exits with 2, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SpecError as error:
            mistake = error
        except LookupError as error:
            if type(error) is not LookupError:  # a KeyError or IndexError is ours, not the user's
                raise
            mistake = error
        typer.echo(str(mistake), err=True)
        raise typer.Exit(2)


app = typer.Typer(
    cls=UserMistakes,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sweeps of disentangling VAEs: one YAML file in, the beta / reconstruction / TC / MIG trade-off out.",
)
app.add_typer(data, name="data")


@app.command()
def run(
    source: Source,
    overrides: Overrides = None,
    address: Address = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and start nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Give failed trials another try.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep, or go on with it from where it stands."""
    from sweeps.spec import load

    sweep = load.load_spec(source, overrides=overrides or ())
    if dry_run:
        from sweeps.cells import plan

        planned = plan.plan_sweep(sweep)
        if as_json:
            printing.show_json(planned._asdict())
        else:
            for key, value in planned._asdict().items():
                if key != "notes":
                    typer.echo(f"{key.replace('_', ' ')}: {value}")
            _show_notes(planned.notes)
        return
    _run(sweep, workspace, address, retry=retry_failed, as_json=as_json)


def _run(
    sweep: SweepSpec, workspace: Path, address: str | None, *, retry: bool, as_json: bool
) -> None:
    from rich.console import Console

    from sweeps import errors
    from sweeps.cells.notes import spec_notes
    from sweeps.driver.run import run_sweep

    told = spec_notes(sweep)
    _show_notes(told)
    try:
        result = run_sweep(
            sweep, workspace=workspace, address=address, console=Console(stderr=True), retry=retry
        )
    except errors.SweepError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        printing.show_json({**result._asdict(), "notes": told})
    raise typer.Exit(result.exit_code)


@app.command()
def validate(source: Source, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check a spec: every mistake with its line, or the size of the sweep."""
    from sweeps.cells.notes import spec_notes
    from sweeps.cli import catalogue
    from sweeps.spec import load

    try:
        sweep = load.load_spec(source, overrides=overrides or ())
    except SpecError as error:
        if not as_json:
            raise
        rows = [
            {"line": p.line, "path": list(p.path), "message": p.message} for p in error.problems
        ]
        printing.show_json({"ok": False, "problems": rows})
        raise typer.Exit(2) from error
    size = catalogue.size(sweep)
    if as_json:
        printing.show_json({"ok": True, "name": sweep.name, **size, "notes": spec_notes(sweep)})
    else:
        typer.echo(f"ok: {size['cells']} cells, {size['trials']} trials")
        _show_notes(spec_notes(sweep))


def _show_notes(told: Sequence[str]) -> None:
    """Print notes on stderr, beside what a command answers."""
    for note in told:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)


@app.command()
def schema() -> None:
    """Print the JSON schema of a spec, for editors."""
    from sweeps.spec.json_schema import json_schema

    printing.show_json(json_schema())


@app.command()
def specs(as_json: AsJson = False) -> None:
    """List the bundled specs."""
    from sweeps.cli import catalogue

    printing.show(catalogue.specs(), ["name", "cells", "trials", "about"], as_json=as_json)


@app.command()
def objectives(as_json: AsJson = False) -> None:
    """List the objectives with their fields; * marks the knob of the trade-off."""
    from sweeps.cli import catalogue

    _show_fields(catalogue.objectives(), as_json=as_json)


@app.command()
def networks(as_json: AsJson = False) -> None:
    """List the networks with their fields."""
    from sweeps.cli import catalogue

    _show_fields(catalogue.networks(), as_json=as_json)


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List the data sets with their options."""
    from sweeps.cli import catalogue

    _show_fields(catalogue.datasets(), as_json=as_json)


@app.command()
def metrics(as_json: AsJson = False) -> None:
    """List the metrics: needs, range, better end, tier, variants (`metric.variant`), what leaves one unchanged."""
    from sweeps.cli import catalogue

    rows = catalogue.metrics()
    if not as_json:
        rows = [{**row, "variants": list(row["variants"])} for row in rows]
    columns = [
        "name",
        "needs",
        "range",
        "better",
        "tier",
        "unit",
        "references",
        "variants",
        "unchanged_by",
        "options",
    ]
    printing.show(rows, columns, as_json=as_json)


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One sweep; all if left out.")
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
) -> None:
    """Say how the sweeps of a workspace stand, and how far their exports lag."""
    from sweeps.ledger.status import sweep_status as read

    rows = read(workspace, name)
    if not as_json:
        rows = [{**row, "exports": _lag(row["exports"])} for row in rows]
    columns = ["name", "state", "cells", "trials", "reports", "epochs", "wall_seconds", "exports"]
    printing.show(rows, columns, as_json=as_json)


def _lag(exports: dict[str, dict[str, int]]) -> str:
    behind = {target: sum(lag.values()) for target, lag in exports.items()}
    return ", ".join(
        f"{target} {f'{number} behind' if number else 'up to date'}"
        for target, number in behind.items()
    )


@app.command()
def runs(
    name: SweepName, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False
) -> None:
    """Print one row per trial; --json has every parameter and metric."""
    from sweeps.results.run_table import load_runs

    rows = load_runs(workspace, name).table.to_dict(orient="records")
    columns = ["number", "objective", "strength", "seed", "state", "epoch", "epochs"]
    columns += ["reconstruction", "tc", "mig", "seconds", "why"]
    printing.show(
        [{str(key): value for key, value in row.items()} for row in rows], columns, as_json=as_json
    )


@app.command()
def report(name: SweepName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Write the report of a sweep: HTML, figures and the table of runs."""
    from sweeps.exports.mlflow_report import log_report
    from sweeps.report.page import write_report
    from sweeps.results.run_table import load_runs
    from sweeps.storage.workspace import WorkspacePaths

    runs = load_runs(workspace, name)
    page = write_report(runs)
    typer.echo(str(page))
    server = runs.spec.get("store", {}).get("mlflow")
    if server is None and not WorkspacePaths(workspace).mlflow.exists():
        return
    try:
        log_report(name, workspace, server, page.parent)
    except Exception as error:  # whatever a server that is away raises: the report itself is there
        typer.echo(f"MLflow did not take the report: {error}", err=True)


@app.command()
def export(
    name: SweepName,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A .parquet or .csv file.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the table of runs to a file."""
    if to.suffix not in (".parquet", ".csv"):
        raise typer.BadParameter(f"must end in .parquet or .csv, got {to}", param_hint="--to")
    from sweeps.results.run_table import load_runs
    from sweeps.results.table_file import table_bytes

    table = load_runs(workspace, name).table
    aside = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        aside.write_bytes(
            table.to_csv(index=False).encode() if to.suffix == ".csv" else table_bytes(table)
        )
        aside.replace(to)
    except OSError as error:
        raise typer.BadParameter(f"cannot be written: {error}", param_hint="--to") from error
    typer.echo(str(to))


app.command(help=score_commands.LAYOUT)(score_commands.score)
app.command()(score_commands.rescore)


@app.command()
def ui(
    workspace: Workspace = DEFAULT_WORKSPACE,
    port: Annotated[int, typer.Option(help="Where MLflow listens.", min=1, max=65535)] = 5000,
) -> None:
    """Open MLflow's own pages on this workspace."""
    from sweeps.exports.mlflow_ui import serve

    serve(workspace, port)


def _show_fields(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    from sweeps.cli import catalogue

    columns = ["name", "field", "allowed", "default", "about"]
    printing.show(rows if as_json else catalogue.field_lines(rows), columns, as_json=as_json)


def main() -> None:
    """Run the command line."""
    app()
