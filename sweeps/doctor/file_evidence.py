"""Which files the trials of a sweep have, and how large they are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sweeps.storage.files import AbstractFiles, LocalFiles

TRIALS = "trials"
"""The folder of all trials, below the root of the stored files."""

_HASH = re.compile(r"[0-9a-f]{16}")


@dataclass
class FileEvidence:
    """The files of all trials in one store."""

    files: AbstractFiles
    problem: str = ""  # why they cannot be listed
    sizes: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """Name of a trial's folder -> path relative to the root -> bytes."""

    @property
    def is_local(self) -> bool:
        """Whether the files are on this machine."""
        return isinstance(self.files, LocalFiles)

    def of(self, trial_hash: str, kind: str) -> dict[str, int]:
        """Return file name -> bytes of a trial's `checkpoints` or `artifacts`, no files aside."""
        prefix = f"{TRIALS}/{trial_hash}/{kind}/"
        return {
            path.removeprefix(prefix): size
            for path, size in self.sizes.get(trial_hash, {}).items()
            if path.startswith(prefix) and not is_aside(path)
        }


def list_files(files: AbstractFiles) -> FileEvidence:
    """Return the files below `trials/`."""
    evidence = FileEvidence(files)
    try:
        listing = files.sizes(TRIALS)
    except OSError as error:
        evidence.problem = str(error)
        return evidence
    for path, size in listing.items():
        folder, _, rest = path.partition("/")
        if rest:
            evidence.sizes.setdefault(folder, {})[f"{TRIALS}/{path}"] = size
    return evidence


def is_aside(path: str) -> bool:
    """Return whether a path is a file aside, which a write that was cut off has left."""
    return path.endswith(".part")
