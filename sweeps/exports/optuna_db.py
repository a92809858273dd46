"""Exports the ledger to `optuna.db`: the sweep as Optuna studies for optuna-dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweeps.cells import cell_grid
from sweeps.cells.cell_grid import Layout
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.progress import CellProgress
from sweeps.search.cell_outcome import cell_outcome
from sweeps.search.optuna_trials import frozen_trial
from sweeps.spec.space import Grid, Space
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.workspace import WorkspacePaths
from sweeps.urls import sqlite_text


def export_studies(
    spec: SweepSpec, cells: Sequence[CellProgress], ledger: Ledger, workspace: Path
) -> None:
    """Add every ended cell that the studies do not hold yet.

    The ledger then notes which trials they hold.

    There is one study per entry of `objectives`, named `sweep/index-objective`.

    Raises:
        RuntimeError: a study could not be written; it names the studies. The others are written.
    """
    ended = [cell for cell in cells if all(trial.ended for trial in cell.trials)]
    if not ended:
        return
    layouts = cell_grid.all_layouts(spec)
    errors: list[str] = []
    written: list[CellProgress] = []
    for entry in range(len(spec.objectives)):
        entry_cells = [cell for cell in ended if layouts[cell.layout].objective == entry]
        if not entry_cells:
            continue
        try:
            _add_to_study(spec, entry, entry_cells, layouts, workspace)
            written += entry_cells
        except Exception as error:  # one study that cannot be written must not stop the others
            errors.append(f"study {_study_name(spec, entry)}: {error}")
    with ledger.transaction() as tx:
        export = tables.EXPORT.c
        tx.delete(tables.EXPORT, export.sweep == spec.name, export.target == "optuna")
        for cell in written:
            for trial in cell.trials:
                tx.insert(
                    tables.EXPORT,
                    sweep=spec.name,
                    target="optuna",
                    trial=trial.number,
                    run="",
                    epoch=trial.epoch,
                    state=trial.state,
                )
    if errors:
        raise RuntimeError("; ".join(errors))


def _study_name(spec: SweepSpec, entry: int) -> str:
    return f"{spec.name}/{entry}-{spec.objectives[entry]['name']}"


def _add_to_study(
    spec: SweepSpec,
    entry: int,
    cells: Sequence[CellProgress],
    layouts: Sequence[Layout],
    workspace: Path,
) -> None:
    """Add the cells of one entry to its study, but for those that it holds already."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=_study_name(spec, entry),
        storage=sqlite_text(WorkspacePaths(workspace).optuna.resolve()),
        directions=["maximize" if goal.mode == "max" else "minimize" for goal in spec.goal],
        load_if_exists=True,
    )
    exported = {trial.user_attrs["cell"] for trial in study.get_trials(deepcopy=False)}
    spaces = _spaces(layouts, entry)
    for cell in cells:
        if cell.number not in exported:
            outcome = cell_outcome(cell, spec)
            attributes = {"cell": cell.number, "bracket": cell.bracket.name}
            study.add_trial(frozen_trial(outcome, spaces, **attributes))


def _spaces(layouts: Sequence[Layout], entry: int) -> dict[str, Space]:
    """Return path -> space of every parameter that varies in an entry; grid values as one grid
    each.
    """
    entry_layouts = [layout for layout in layouts if layout.objective == entry]
    spaces: dict[str, Space] = {}
    for path in entry_layouts[0].fixed:
        spaces[path] = Grid(tuple(dict.fromkeys(layout.fixed[path] for layout in entry_layouts)))
    return spaces | entry_layouts[0].searched
