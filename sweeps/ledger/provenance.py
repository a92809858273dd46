"""The software versions that a sweep records."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path


def software() -> dict[str, str]:
    """Return the versions and the commit that a number's reader wants to know."""
    import torch

    here = Path(__file__).resolve().parent
    git = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    commit = (
        git.stdout.strip() if git.returncode == 0 else f"release {metadata.version('vae-sweeps')}"
    )
    return {"git_commit": commit, "torch": torch.__version__, "python": platform.python_version()}
