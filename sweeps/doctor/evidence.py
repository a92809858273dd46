"""Everything that the rules look at: one sweep in the ledger, in MLflow and on the disk."""

from __future__ import annotations

from dataclasses import dataclass

from sweeps.doctor.file_evidence import FileEvidence
from sweeps.doctor.ledger_evidence import LedgerEvidence
from sweeps.doctor.mlflow_evidence import MlflowEvidence
from sweeps.ledger.tables import Row


@dataclass
class Evidence:
    """What is known of one sweep."""

    ledger: LedgerEvidence
    mlflow: MlflowEvidence
    files: FileEvidence
    driven: bool  # whether a driver runs the sweep now
    lease: Row | None = None  # of the sweep, if its holder did not say that it ended
    open_elsewhere: frozenset[str] = frozenset()  # hashes of unfinished trials of any sweep
    deep: bool = False  # whether every byte of large artifacts is read
