"""Rules on the rows of the ledger: they can be parsed, and refer to rows that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeps.doctor.evidence import Evidence
from sweeps.doctor.finding import Finding, listed
from sweeps.doctor.repairs import AbstractRepair, ForgetExport, RunExport
from vae_core.config import REVISION, TrialConfig


def unreadable_rows(evidence: Evidence) -> Iterator[Finding]:
    """Yield the rows whose JSON or words break their form."""
    for row in evidence.ledger.unreadable:
        repairs: tuple[AbstractRepair, ...] = ()
        if row.export is not None:
            repairs = _forget(*row.export)
        yield Finding(f"table {row.table}, {row.row}: {row.why}", repairs=repairs)


def orphan_rows(evidence: Evidence) -> Iterator[Finding]:
    """Yield the rows of trials and cells that the ledger does not have."""
    for table, rows in evidence.ledger.orphans.items():
        column = "cell" if table in ("decision", "trial") else "trial"
        for owner in sorted({row[column] for row in rows}):
            count = sum(row[column] == owner for row in rows)
            repairs: tuple[AbstractRepair, ...] = ()
            if table == "export":
                targets = {row["target"] for row in rows if row["trial"] == owner}
                repairs = tuple(ForgetExport(target, owner) for target in sorted(targets))
            plural = "rows" if count > 1 else "row"
            text = f"table {table} has {count} {plural} of {column} {owner}, which does not exist"
            yield Finding(text, repairs=repairs)


def numbers_with_gaps(evidence: Evidence) -> Iterator[Finding]:
    """Yield gaps in the numbers of trials and of cells: both are used as indices."""
    cells = [cell["number"] for cell in evidence.ledger.cells]
    for kind, numbers in (("trial", sorted(evidence.ledger.trials)), ("cell", cells)):
        missing = _missing(numbers)
        if missing:
            yield Finding(f"{kind} {listed(missing)} of {max(numbers) + 1} does not exist")
    empty = set(cells) - {trial.row["cell"] for trial in evidence.ledger.trials.values()}
    for cell in sorted(empty):
        yield Finding(f"cell {cell} has no trial")


def changed_configs(evidence: Evidence) -> Iterator[Finding]:
    """Yield trials whose config is not that of their hash, their seed or the data of the sweep."""
    fingerprint = evidence.ledger.sweep["fingerprint"]
    for trial in evidence.ledger.trials.values():
        if trial.config is None:
            continue
        label = f"trial {trial.number}"
        try:
            config = TrialConfig.from_dict(trial.config)
            hashes = [config.hash_at(revision) for revision in range(REVISION, 0, -1)]
        except (ValueError, TypeError, KeyError) as error:
            yield Finding(f"the config of {label} cannot be read: {error}", trial.number)
            continue
        if trial.row["hash"] not in hashes:
            text = f"{label} has the hash {trial.row['hash']}, its config has {hashes[0]}"
            yield Finding(text, trial.number)
        if config.seed != trial.row["seed"]:
            text = f"{label} has the seed {trial.row['seed']}, its config has {config.seed}"
            yield Finding(text, trial.number)
        if fingerprint and config.fingerprint != fingerprint:
            text = f"{label} has data {config.fingerprint[:12]}…, the sweep has {fingerprint[:12]}…"
            yield Finding(text, trial.number)


def _missing(numbers: Sequence[int]) -> list[int]:
    """Return the numbers that lack between 0 and the largest one."""
    return sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers))


def _forget(target: str, trial: int) -> tuple[AbstractRepair, ...]:
    """Return what writes an export anew after its row is deleted."""
    forget = ForgetExport(target, trial)
    return (forget, RunExport()) if target == "mlflow" else (forget,)
