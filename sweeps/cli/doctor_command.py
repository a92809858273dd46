"""The command `sweeps doctor`: prints what is wrong in a workspace, and mends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeps.cli.arguments import DEFAULT_WORKSPACE, AsJson, Workspace
from sweeps.console import printing
from sweeps.errors import SweepError

if TYPE_CHECKING:
    from sweeps.doctor.examine import Diagnosis, Health, Repaired

SHOWN = 5
"""Findings of one rule that are printed in full; --json prints all."""

DOCTOR_HELP = (
    "Check that ledger, MLflow and files agree, and mend what does not.\n\n"
    "Every number is compared: epochs, ends and verdicts in the ledger, each point and state in "
    "MLflow, artifacts and checkpoints on the disk. Each finding says what holds in a healthy "
    "sweep, what is there instead, what follows from it, and what to do.\n\n"
    "--repair does only what needs no guess: it closes attempts of dead drivers, writes to MLflow "
    "what it lacks, deletes surplus runs of MLflow (MLflow can restore them), damaged checkpoints "
    "that have a good older one, and leftover files. It never deletes or changes a report, a score "
    "or an end.\n\n"
    "Exit codes: 0, healthy, or all was repaired; 1, findings are left; 2, an error of the user: "
    "no such workspace or sweep, or --repair while a driver runs the sweep."
)


def doctor(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One sweep; all sweeps if omitted.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended without a guess.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --repair: print the steps, and do nothing.")
    ] = False,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every byte of artifacts larger than 4 MB or elsewhere."),
    ] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
) -> None:
    from sweeps.doctor import examine

    if dry_run and not repair:
        raise typer.BadParameter("needs --repair beside it", param_hint="--dry-run")
    try:
        before = examine.examine(workspace, name, deep=deep)
        if repair:
            examine.require_no_driver(before)
        repaired, after = None, before
        if repair and not dry_run:
            repaired = examine.repair(workspace, before)
            after = examine.examine(workspace, name, deep=deep)
    except SweepError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    if as_json:
        printing.show_json(_as_json(before, repaired, after, dry_run=dry_run))
    else:
        _print(workspace, before, repaired, after, dry_run=dry_run)
    raise typer.Exit(0 if after.healthy else 1)


def _as_json(
    before: Health, repaired: Repaired | None, after: Health, *, dry_run: bool
) -> dict[str, Any]:
    """Return everything that is known, for programs."""
    plan = [
        {"sweep": sweep, "step": step.text}
        for sweep in ["", *before.sweeps]
        for step in before.repairs(sweep)
    ]
    return {
        "healthy": after.healthy,
        "sweeps": after.sweeps,
        "driven": after.driven,
        "trials": after.trials,
        "reports": after.reports,
        "stored_bytes": after.stored,
        "findings": [_finding_json(each) for each in after.diagnoses],
        "repaired": [
            {"sweep": sweep, "step": step} for sweep, step in (repaired.done if repaired else [])
        ],
        "would_repair": plan if dry_run else [],
        "notes": repaired.notes if repaired else [],
    }


def _finding_json(each: Diagnosis) -> dict[str, Any]:
    return {
        "sweep": each.sweep or None,
        "trial": each.finding.trial,
        "rule": each.name,
        "level": each.rule.level.value,
        "statement": each.rule.statement,
        "finding": each.finding.what,
        "consequence": each.rule.consequence,
        "remedy": each.rule.remedy,
        "repairs": [step.text for step in each.finding.repairs],
    }


def _print(
    workspace: Path, before: Health, repaired: Repaired | None, after: Health, *, dry_run: bool
) -> None:
    """Print the findings by sweep and rule, then what was or would be done."""
    for sweep in after.driven:
        typer.echo(
            f"note: sweep {sweep!r} is being driven; MLflow and its files are looked at when no "
            "driver runs"
        )
    if repaired is not None:
        _print_steps("repaired", repaired.done)
        for note in repaired.notes:
            typer.echo(f"note: {note}")
    groups: dict[tuple[str, str], list[Diagnosis]] = {}
    for each in after.diagnoses:
        groups.setdefault((each.sweep, each.name), []).append(each)
    for (sweep, name), diagnoses in groups.items():
        _print_group(sweep, name, diagnoses)
    if dry_run:
        steps = [
            (sweep, step.text) for sweep in ["", *before.sweeps] for step in before.repairs(sweep)
        ]
        _print_steps("--repair would", steps)
    typer.echo(_summary(workspace, before, repaired, after))


def _print_group(sweep: str, name: str, diagnoses: Sequence[Diagnosis]) -> None:
    """Print the findings of one rule in one sweep."""
    rule = diagnoses[0].rule
    where = f"sweep {sweep}" if sweep else "the workspace"
    typer.echo(f"{rule.level.value} {name} in {where}")
    typer.echo(f"  rule:        {rule.statement}")
    for each in diagnoses[:SHOWN]:
        typer.echo(f"  found:       {each.finding.what}")
    if len(diagnoses) > SHOWN:
        typer.echo(f"  and          {len(diagnoses) - SHOWN} more; --json prints all")
    typer.echo(f"  consequence: {rule.consequence}")
    typer.echo(f"  remedy:      {rule.remedy}\n")


def _print_steps(title: str, steps: Sequence[tuple[str, str]]) -> None:
    """Print repairs, those of one kind of many trials shortened."""
    if not steps:
        return
    typer.echo(f"{title}:")
    shown: dict[str, int] = {}
    for sweep, text in steps:
        kind = f"{sweep} {text.partition(' ')[0]}"
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] <= 2 * SHOWN:
            typer.echo(f"  {text}" + (f" (sweep {sweep})" if sweep else ""))
    more = sum(max(0, count - 2 * SHOWN) for count in shown.values())
    if more:
        typer.echo(f"  and {more} more steps; --json prints all")
    typer.echo("")


def _summary(workspace: Path, before: Health, repaired: Repaired | None, after: Health) -> str:
    """Return the last line: healthy or not, and how much was looked at."""
    counts = f"{_count(len(after.sweeps), 'sweep')}, {_count(after.trials, 'trial')}, "
    counts += f"{_count(after.reports, 'report')}, {after.stored / 1e6:.1f} MB of files"
    left = [each for each in after.diagnoses if each.rule.level.value != "note"]
    if left:
        mendable = sum(bool(each.finding.repairs) for each in left)
        hint = ""
        if mendable and repaired is None:
            hint = f"; `sweeps doctor --repair` mends {mendable} of them"
        return f"{workspace}: {_count(len(left), 'finding')} ({counts}){hint}"
    if repaired is not None and not before.healthy:
        return f"{workspace}: all was repaired ({counts})"
    return f"{workspace}: healthy ({counts})"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
