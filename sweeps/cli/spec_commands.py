"""Commands on a spec: `sweeps run`, `sweeps validate`, `sweeps schema`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeps.cli.arguments import DEFAULT_WORKSPACE, AsJson, Overrides, SpecSource, Workspace
from sweeps.console import printing
from sweeps.errors import SweepError
from sweeps.spec.errors import SpecError

if TYPE_CHECKING:
    from sweeps.spec.sweep_spec import SweepSpec

Address = Annotated[
    str | None,
    typer.Option(
        metavar="RAY", help="A running Ray cluster; if omitted, Ray starts on this machine."
    ),
]


def run(
    source: SpecSource,
    overrides: Overrides = None,
    address: Address = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run, and start nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Train failed trials again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep, or resume it after an interruption."""
    from sweeps.spec import load

    sweep = load.load_spec(source, overrides=overrides or ())
    if dry_run:
        _print_plan(sweep, workspace, address, as_json=as_json)
    else:
        _run(sweep, workspace, address, retry=retry_failed, as_json=as_json)


def _print_plan(sweep: SweepSpec, workspace: Path, address: str | None, *, as_json: bool) -> None:
    """Print the plan of a sweep, or why the sweep cannot run here or resume in its workspace."""
    from sweeps.cells import plan
    from sweeps.cells.memory import in_words, runs_elsewhere
    from sweeps.driver.start_checks import require_resumable

    try:
        note = require_resumable(sweep, workspace)
        sweep_plan = plan.plan_sweep(sweep, elsewhere=runs_elsewhere(sweep, address))
    except SweepError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if note:
        sweep_plan = sweep_plan._replace(notes=[*sweep_plan.notes, note])
    if as_json:
        printing.show_json(sweep_plan._asdict())
        return
    for key, value in sweep_plan._asdict().items():
        if key == "memory_per_trial":
            typer.echo(f"memory per trial: about {in_words(value)}, beside data and process")
        elif key not in ("floors", "notes"):
            typer.echo(f"{key.replace('_', ' ')}: {value}")
    for sentence in sweep_plan.floors:
        typer.echo(f"floor: {sentence}")
    _print_notes(sweep_plan.notes)


def _run(
    sweep: SweepSpec, workspace: Path, address: str | None, *, retry: bool, as_json: bool
) -> None:
    from rich.console import Console

    from sweeps.cells.notes import spec_notes
    from sweeps.driver import stopping
    from sweeps.driver.run import run_sweep

    notes = spec_notes(sweep)
    _print_notes(notes)
    stopper = next(iter(stopping.process_stopper), None)
    if stopper is not None and as_json:
        stopper.show = lambda result: printing.show_json({**result._asdict(), "notes": notes})
    try:
        result = run_sweep(
            sweep,
            workspace=workspace,
            address=address,
            console=Console(stderr=True),
            retry=retry,
            stopper=stopper,
        )
    except SweepError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        printing.show_json({**result._asdict(), "notes": notes})
    raise typer.Exit(result.exit_code)


def validate(source: SpecSource, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check a spec: print every problem with its line, or the size of the sweep."""
    from sweeps.cells.cell_count import count_cells
    from sweeps.cells.floors import floor_sentences
    from sweeps.cells.memory import entry_memories, memory_notes
    from sweeps.cells.notes import spec_notes
    from sweeps.cli import catalogue
    from sweeps.spec import load

    try:
        sweep = load.load_spec(source, overrides=overrides or ())
    except SpecError as error:
        if not as_json:
            raise
        problems = [
            {"line": problem.line, "path": list(problem.path), "message": problem.message}
            for problem in error.problems
        ]
        printing.show_json({"ok": False, "problems": problems})
        raise typer.Exit(2) from error
    count = count_cells(sweep)
    size = catalogue.size_of(sweep, count)
    floors = floor_sentences(sweep)
    notes = [*spec_notes(sweep, count), *memory_notes(sweep, entry_memories(sweep), 1, here=False)]
    if as_json:
        report = {"ok": True, "name": sweep.name, **size, "floors": floors}
        printing.show_json({**report, "notes": notes})
    else:
        cells = f"{size['cells']} cells"
        if size["cells"] < size["cells_asked"]:
            cells += f" (of {size['cells_asked']} that are asked for)"
        typer.echo(f"ok: {cells}, {size['trials']} trials")
        for sentence in floors:
            typer.echo(f"floor: {sentence}")
        _print_notes(notes)


def _print_notes(notes: Sequence[str]) -> None:
    """Print notes on stderr, apart from the answer of the command."""
    for note in notes:
        typer.secho(f"note: {note}", fg=typer.colors.YELLOW, err=True)


def schema() -> None:
    """Print the JSON schema of a spec, for editors."""
    from sweeps.spec.json_schema import json_schema

    printing.show_json(json_schema())
