"""The software versions that a sweep records."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path


def software() -> dict[str, str]:
    """Return the commit of this package and the versions of torch and Python."""
    import torch

    folder = Path(__file__).resolve().parent
    git = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    if git.returncode == 0:
        commit = git.stdout.strip()
    else:
        commit = f"release {metadata.version('vae-sweeps')}"
    return {"git_commit": commit, "torch": torch.__version__, "python": platform.python_version()}
