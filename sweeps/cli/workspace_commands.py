"""Commands on the sweeps of a workspace: state, runs, report, export, MLflow's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sweeps.cli.arguments import DEFAULT_WORKSPACE, AsJson, SweepName, Workspace, write_file
from sweeps.console import printing
from sweeps.urls import home_expanded


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One sweep; all sweeps if omitted.")
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
) -> None:
    """Print the state of each sweep, and how far the exports lag behind the ledger."""
    from sweeps.exports.left_out import left_out_text
    from sweeps.ledger.status import sweep_status

    rows = sweep_status(workspace, name)
    notes = {row["name"]: left_out_text(row["left_out"]) for row in rows}
    if not as_json:
        rows = [{**row, **_texts(row)} for row in rows]
    columns = ["name", "state", "cells", "trials", "reports", "epochs", "wall_seconds", "exports"]
    printing.show(rows, columns, as_json=as_json)
    for sweep, note in notes.items():
        if note and not as_json:
            typer.echo(f"MLflow does not take everything of {sweep}: {note}")


def _texts(row: dict[str, Any]) -> dict[str, str]:
    """Return the columns that a table shows as text: `3 of 8` cells, the lag of the exports."""
    cells, total = row["cells"], row["cells_total"]
    has_more = row["state"] != "ENDED" and total is not None and cells < total
    return {
        "cells": f"{cells} of {total}" if has_more else str(cells),
        "exports": _lag_text(row["exports"]),
    }


def _lag_text(exports: dict[str, dict[str, int]]) -> str:
    """Return how far each export lags behind the ledger: `mlflow 3 behind, optuna up to date`."""
    texts: list[str] = []
    for export_name, rows_behind in exports.items():
        behind = sum(rows_behind.values())
        texts.append(f"{export_name} {behind} behind" if behind else f"{export_name} up to date")
    return ", ".join(texts)


def runs(
    name: SweepName, workspace: Workspace = DEFAULT_WORKSPACE, as_json: AsJson = False
) -> None:
    """Print one row per trial; --json prints every parameter and metric."""
    from sweeps.results.run_table import load_runs
    from vae_core.epoch_metrics import FLOOR

    records = load_runs(workspace, name).table.to_dict(orient="records")
    rows = [{str(key): value for key, value in record.items()} for record in records]
    columns = ["number", "objective", "strength", "seed", "state", "epoch", "epochs"]
    floor = [FLOOR] if any(FLOOR in row for row in rows) else []
    columns += ["reconstruction", *floor, "tc", "mig", "seconds", "why"]
    printing.show(rows, columns, as_json=as_json)


def report(name: SweepName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Write the report of a sweep: HTML, figures and the run table."""
    from sweeps.exports.mlflow_database import require_mlflow_database
    from sweeps.exports.mlflow_report import log_report_in_time
    from sweeps.report.page import write_report
    from sweeps.results.run_table import load_runs
    from sweeps.storage.workspace import WorkspacePaths, writing

    sweep_runs = load_runs(workspace, name)
    server = sweep_runs.spec.get("store", {}).get("mlflow")
    require_mlflow_database(workspace, server)
    with writing(workspace):
        page = write_report(sweep_runs)
    typer.echo(str(page))
    if server is None and not WorkspacePaths(workspace).mlflow.exists():
        return
    why = log_report_in_time(name, workspace, server, page.parent)
    if why:
        typer.echo(
            f"MLflow does not have the report: {why}; `sweeps report {name}` sends it again",
            err=True,
        )


def export(
    name: SweepName,
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE", parser=home_expanded, help="A .parquet or .csv file."),
    ],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the run table to a file."""
    if to.suffix not in (".parquet", ".csv"):
        raise typer.BadParameter(f"must end in .parquet or .csv, got {to}", param_hint="--to")
    from sweeps.results.run_table import load_runs
    from sweeps.results.table_file import table_bytes

    table = load_runs(workspace, name).table
    csv = to.suffix == ".csv"
    content = table.to_csv(index=False).encode() if csv else table_bytes(table)
    write_file(to, content, option="--to")
    typer.echo(str(to))


def ui(
    workspace: Workspace = DEFAULT_WORKSPACE,
    port: Annotated[
        int, typer.Option(help="Port on which MLflow listens.", min=1, max=65535)
    ] = 5000,
) -> None:
    """Serve the pages of MLflow on this workspace."""
    from sweeps.exports.mlflow_ui import serve

    serve(workspace, port)
