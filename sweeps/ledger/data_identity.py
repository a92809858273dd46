"""The data of a sweep: which content it began with, and why a start with other data is refused.

Without this check the trials of one table would come from two data sets: a file may be replaced
between two starts of the same sweep, and its path says nothing about that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.provenance import software
from sweeps.ledger.tables import Row
from sweeps.spec.sweep_spec import SweepSpec
from vae_core.data import DATASETS, cache_folder
from vae_core.hyperparameters import registry

SHOWN = 12
"""Digits of a fingerprint in a message."""


def known_fingerprints(ledger: Ledger, row: Row) -> dict[str, list[int]]:
    """Return the fingerprint of a sweep's data -> the numbers of the trials that have it.

    Versions before the column `fingerprint` noted it in their trials only. There are several if
    such a version went on after the data had changed, and none if it had no trial yet.

    Args:
        ledger: of the workspace.
        row: of the sweep.
    """
    trials: dict[str, list[int]] = {}
    if row["fingerprint"]:
        trials[row["fingerprint"]] = []
    for trial in ledger.of(tables.TRIAL, row["name"]):
        fingerprint = json.loads(trial["config"]).get("fingerprint")
        if fingerprint:
            trials.setdefault(fingerprint, []).append(trial["number"])
    return trials


def unknown_data_note(name: str, fingerprint: str) -> str:
    """Return the note on a sweep of an older version that has not stored its data."""
    return (
        f"sweep {name!r} was begun by a version that did not note its data; from now on its data "
        f"are those of this start (fingerprint {_short(fingerprint)})"
    )


def refusal(
    spec: SweepSpec,
    row: Row,
    known: Mapping[str, Sequence[int]],
    fingerprint: str,
    changes: Sequence[str],
) -> str:
    """Return the message for a start with data that are not those of the sweep.

    Args:
        spec: of this start.
        row: of the sweep.
        known: as `known_fingerprints` returns them.
        fingerprint: of the data of this start.
        changes: a line for each option of the data that changed.
    """
    common = "trials that both have in common are not trained twice"
    if len(known) > 1:
        lines = [f"  {_short(key)}: {_trials_text(numbers)}" for key, numbers in known.items()]
        return (
            f"sweep {spec.name!r} holds trials of {len(known)} data sets, because its data changed "
            "between two starts; fingerprints of their content:\n"
            + "\n".join(lines)
            + f"\nuse another name: it gets a table of one data set; {common}"
        )
    (begun_with,) = known
    content = (
        f"  content of the data (images and factors): was {_short(begun_with)}, "
        f"is {_short(fingerprint)}"
    )
    return (
        f"sweep {spec.name!r} was begun with other data:\n"
        + "\n".join([*changes, content])
        + f"\n{_remedy(spec, row)}, or use another name for a sweep of the new data; {common}"
    )


def _remedy(spec: SweepSpec, row: Row) -> str:
    """Return how to get the data back that the sweep began with."""
    old_data, data = row["spec"]["data"], registry.describe(spec.data, DATASETS)
    files = [
        f"data.{option} ({old_data[option]})"
        for option in ("path", "table")
        if data.get(option) and old_data.get(option)
    ]
    if files:
        return f"put the earlier content of {' and '.join(files)} back"
    remedies = _software_remedy(json.loads(row["software"]))
    prepared = spec.data.cache_file(cache_folder())
    if prepared is not None and prepared.exists():
        remedies.append(f"delete {prepared}, which is then made again")
    return ", or ".join(remedies) or "get the earlier data back"


def _software_remedy(begun_with: Mapping[str, Any]) -> list[str]:
    """Return what to do if data that are drawn or prepared here come from other software."""
    now = software()
    changed = [
        f"{name} {begun_with[name]} (now {now[name]})"
        for name in now
        if name in begun_with and begun_with[name] != now[name]
    ]
    return [f"use the software that it began with: {', '.join(changed)}"] if changed else []


def _trials_text(numbers: Sequence[int]) -> str:
    """Return trial numbers as text: `trials 0, 1, 2 and 5 more`."""
    if not numbers:
        return "no trial yet"
    first = ", ".join(map(str, numbers[:3]))
    more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
    return f"trials {first}{more}"


def _short(fingerprint: str) -> str:
    return f"{fingerprint[:SHOWN]}…" if len(fingerprint) > SHOWN else fingerprint
