"""Arguments and options that several commands share, and how a command writes a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.errors import SweepError
from sweeps.storage.workspace import workspace_path
from vae_core.atomic_files import write_atomically

SpecSource = Annotated[
    str, typer.Argument(metavar="SPEC", help="A YAML file, or the name of a bundled spec.")
]
SweepName = Annotated[str, typer.Argument(metavar="NAME", help="A sweep of the workspace.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change the spec: train.epochs=3, objectives.*.beta=4."
    ),
]


def _workspace(value: str | Path) -> Path:
    """Return the folder of `--workspace` or of the environment variable."""
    try:
        return workspace_path(value)
    except SweepError as error:
        raise typer.BadParameter(str(error)) from error


Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace",
        parser=_workspace,
        envvar="SWEEPS_WORKSPACE",
        metavar="DIR",
        help="Folder of ledger and results.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

DEFAULT_WORKSPACE = Path("results")


def write_file(path: Path, content: bytes, *, option: str) -> None:
    """Write a complete file, or leave the old one.

    Args:
        path: of the file.
        content: of the file.
        option: the option that named the path, for the message of an error.

    Raises:
        typer.BadParameter: the file cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise typer.BadParameter(f"cannot be written: {error}", param_hint=option) from error
