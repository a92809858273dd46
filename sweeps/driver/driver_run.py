"""What a driver run consists of, and how it prints a note."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from sweeps.driver.conductor import Conductor
from sweeps.driver.heartbeat import Heartbeat
from sweeps.ledger.ledger import Ledger
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.files import AbstractFiles
from vae_core.types import Data


class DriverRun(NamedTuple):
    """One driver process on one sweep."""

    spec: SweepSpec
    ledger: Ledger
    conductor: Conductor
    heartbeat: Heartbeat
    data: Data
    files: AbstractFiles
    workspace: Path
    console: Console


def say_note(console: Console, message: str) -> None:
    """Print a note or a warning; it may hold square brackets, which rich would read as markup."""
    console.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)
