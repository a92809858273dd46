"""Ledger -> `optuna.db`: the sweep as Optuna studies for optuna-dashboard. Never read back."""

from __future__ import annotations

from pathlib import Path

from sweeps.cells import cell_grid
from sweeps.driver.conductor import Conductor
from sweeps.ledger import tables
from sweeps.ledger.ledger import Ledger
from sweeps.search import optuna_trials
from sweeps.spec.space import Grid, Space


def export(conductor: Conductor, ledger: Ledger, workspace: Path) -> None:
    """Add every ended cell that the studies do not hold yet; one study per objective, named `sweep/objective`."""
    ended = [cell for cell in conductor.cells if all(trial.ended for trial in cell.trials)]
    if not ended:
        return
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = conductor.spec
    storage = f"sqlite:///{workspace.resolve() / 'optuna.db'}"
    layouts = cell_grid.all_layouts(spec)
    for position, entry in enumerate(spec.objectives):
        mine = [cell for cell in ended if layouts[cell.layout].objective == position]
        if not mine:
            continue
        study = optuna.create_study(
            study_name=f"{spec.name}/{position}-{entry['name']}",
            storage=storage,
            directions=["maximize" if goal.mode == "max" else "minimize" for goal in spec.goal],
            load_if_exists=True,
        )
        there = {trial.user_attrs["cell"] for trial in study.get_trials(deepcopy=False)}
        spaces = _spaces(layouts, position)
        for cell in mine:
            if cell.number not in there:
                told = conductor.told(cell)
                study.add_trial(
                    optuna_trials.frozen_trial(told, spaces, cell=cell.number, bracket=cell.bracket)
                )
    with ledger.transaction() as tx:
        mine_too = (tables.EXPORT.c.sweep == spec.name, tables.EXPORT.c.target == "optuna")
        tx.delete(tables.EXPORT, *mine_too)
        for trial in (trial for cell in ended for trial in cell.trials):
            tx.insert(
                tables.EXPORT,
                sweep=spec.name,
                target="optuna",
                trial=trial.number,
                run="",
                epoch=trial.epoch,
                state=trial.state,
            )


def _spaces(layouts: list[cell_grid.Layout], objective: int) -> dict[str, Space]:
    """Return path -> space of everything that varies in an objective; laid-out values as one grid each."""
    mine = [layout for layout in layouts if layout.objective == objective]
    grids = {
        path: tuple(dict.fromkeys(layout.fixed[path] for layout in mine)) for path in mine[0].fixed
    }
    return {**{path: Grid(values) for path, values in grids.items()}, **mine[0].searched}
