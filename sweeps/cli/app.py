"""The command line: all commands, and how an error of the user ends one.

Exit codes: 0, the command did what it was asked; 1, a trial failed or the sweep was interrupted;
2, an error of the user.

Commands import what they need when they run: `validate` and the listings do not wait for Ray,
MLflow, Optuna or pandas.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from sweeps.cli import (
    doctor_command,
    listing_commands,
    score_commands,
    spec_commands,
    workspace_commands,
)
from sweeps.cli.data_commands import data
from sweeps.errors import SweepError
from sweeps.spec.errors import SpecError
from sweeps.urls import redacted


class UserErrors(TyperGroup):
    """A group of commands that prints an error of the user on stderr and exits with 2.

    Errors of the user are `SpecError`, `SweepError` and `LookupError`; they get no traceback. A
    KeyError or an IndexError is a LookupError too, but a defect of this package: it keeps its
    traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (SpecError, SweepError) as error:
            message = str(error)
        except LookupError as error:
            if type(error) is not LookupError:
                raise
            message = str(error)
        typer.echo(redacted(message), err=True)
        raise typer.Exit(2)


app = typer.Typer(
    cls=UserErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Sweeps of disentangling VAEs: one YAML file in, "
        "the beta / reconstruction / TC / MIG trade-off out."
    ),
)
app.add_typer(data, name="data")

# `sweeps --help` lists the commands in this order.
app.command()(spec_commands.run)
app.command()(spec_commands.validate)
app.command()(spec_commands.schema)
app.command()(listing_commands.specs)
app.command()(listing_commands.objectives)
app.command()(listing_commands.networks)
app.command()(listing_commands.datasets)
app.command()(listing_commands.metrics)
app.command()(workspace_commands.status)
app.command()(workspace_commands.runs)
app.command()(workspace_commands.report)
app.command()(workspace_commands.export)
app.command(help=doctor_command.DOCTOR_HELP)(doctor_command.doctor)
app.command(help=score_commands.SCORE_HELP)(score_commands.score)
app.command()(score_commands.rescore)
app.command()(workspace_commands.ui)


def main() -> None:
    """Run the command line."""
    app()
