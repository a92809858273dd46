"""What must be true after the last event: of sweeps, exports, samplers and files together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sweeps.cells import cell_grid, finite_points
from sweeps.ledger import replay as product_replay
from sweeps.ledger.ledger import Ledger
from sweeps.search.cell_outcome import CellOutcome, OutcomeState
from sweeps.search.draw_cell import draw_cell
from sweeps.search.layout_history import LayoutHistory
from sweeps.spec.sweep_spec import SweepSpec
from sweeps.storage.workspace import TrialPaths

from . import training
from .export_invariants import a_lost_export_is_made_again_equal, mlflow_has_what_the_ledger_has
from .history import History
from .invariants import same
from .replay import replayed

if TYPE_CHECKING:
    from .world import World

TPE_REPEATS = 2
"""Suggestions of TPE that are computed again: each takes 10 ms."""


def every_sweep_ends(world: World, histories: dict[str, History]) -> Iterator[str]:
    """Once faults stop, every sweep ends: all cells asked, all trials ended, no attempt open."""
    for sweep in world.scenario.sweeps:
        if not any(d.sweep is sweep and d.outcome == "ended" for d in world.drivers):
            yield f"sweep {sweep.name} did not end"
            continue
        history = histories[sweep.name]
        for trial in history.trials:
            if trial not in history.ends:
                yield f"{sweep.name}: trial {trial} has no end"
        for row in history.attempts:
            if row["outcome"] is None:
                yield f"{sweep.name}: attempt {row['id']} is open"


def a_fresh_conductor_reads_the_same_state(
    world: World, histories: dict[str, History]
) -> Iterator[str]:
    """What the last driver held in memory is what the ledger holds."""
    for name in histories:
        drivers = [d for d in world.drivers if d.sweep.name == name and d.outcome == "ended"]
        if not drivers:
            continue
        live = drivers[-1].conductor
        ledger = Ledger.of_workspace(world.workspace)
        try:
            trials = product_replay.read_trials(ledger, name)
            cells = product_replay.read_cells(ledger, live.spec, trials, n_data=len(world.data))
        finally:
            ledger.close()
        yield from compare_states(name, (live.trials, live.cells), (trials, cells))


def compare_states(name: str, before: tuple[Any, Any], after: tuple[Any, Any]) -> Iterator[str]:
    """Yield how the trials and cells of two conductors differ."""
    if len(before[0]) != len(after[0]) or len(before[1]) != len(after[1]):
        yield f"{name}: {len(before[0])} trials in memory, {len(after[0])} in the ledger"
        return
    for old, new in zip(before[0], after[0], strict=True):
        for key in ("hash", "epoch", "ended", "end_reason", "charged", "last_error"):
            # The ledger does not say whether a copied report came before an error or after it.
            unknown = key == "last_error" and old.reused_from
            if getattr(old, key) != getattr(new, key) and not unknown:
                yield (
                    f"{name}: {key} of trial {old.number} is {getattr(old, key)} in memory, "
                    f"{getattr(new, key)} in the ledger"
                )
    for old, new in zip(before[1], after[1], strict=True):
        if old.verdicts != new.verdicts or not same(old.values, new.values):
            yield f"{name}: verdicts of cell {old.number} differ from those of the ledger"
        if old.bracket != new.bracket:
            yield f"{name}: the bracket of cell {old.number} differs from that of the ledger"


def samplers_are_told_each_cell_once_and_right(
    world: World, histories: dict[str, History]
) -> Iterator[str]:
    """A sampler hears of every earlier cell of its layout once, with its mean over seeds."""
    for asked in world.suggestions:
        if asked.spec.search.name == "grid":
            continue  # a layout has one cell, and nobody is told anything
        replay = replayed(histories[asked.sweep], asked.last_event)
        expected = replay.outcomes(asked.turn % asked.n_layouts)
        if [outcome.params for outcome in asked.history] != [cell.params for cell in expected]:
            yield f"{asked.sweep}: turn {asked.turn} was told of other cells than there are"
            continue
        for outcome, cell in zip(asked.history, expected, strict=True):
            close = len(outcome.values) == len(cell.values) and all(
                math.isclose(a, b, rel_tol=1e-12)
                for a, b in zip(outcome.values, cell.values, strict=True)
            )
            if outcome.state != cell.state or not close:
                yield (
                    f"{asked.sweep}: turn {asked.turn} was told {outcome.state} {outcome.values} "
                    f"for a cell that is {cell.state} {cell.values}"
                )


class ReplayedHistory(LayoutHistory):
    """The earlier cells of a layout, as an independent replay says that they are."""

    def __init__(self, spec: SweepSpec, layout: int, outcomes: list[CellOutcome]) -> None:
        super().__init__(spec, cell_grid.all_layouts(spec)[layout])
        self._replayed = outcomes
        for outcome in outcomes:
            if self.n_points is not None:
                self.take(finite_points.index_of(self._layout.searched, outcome.params))

    def outcomes(self) -> list[CellOutcome]:
        """Return what the replay says."""
        return self._replayed

    def params(self) -> list[Mapping[str, Any]]:
        """Return the parameters of every cell."""
        return [outcome.params for outcome in self._replayed]


def suggestions_depend_on_the_ledger_only(
    world: World, histories: dict[str, History]
) -> Iterator[str]:
    """A driver that only reads the ledger suggests each cell that was suggested, kills or not."""
    repeats = 0
    for asked in world.suggestions:
        if asked.spec.search.name == "tpe":
            repeats += 1
            if repeats > TPE_REPEATS:
                continue
        history = histories[asked.sweep]
        replay = replayed(history, asked.last_event)
        outcomes = [
            CellOutcome(cell.params, OutcomeState(cell.state), cell.values, old.intermediate)
            for cell, old in zip(
                replay.outcomes(asked.turn % asked.n_layouts), asked.history, strict=False
            )
        ]
        known = {row["hash"] for row in history.trials.values() if row["cell"] in set(replay.cells)}
        again = draw_cell(
            asked.spec,
            cell_grid.all_layouts(asked.spec),
            asked.turn,
            ReplayedHistory(asked.spec, asked.turn % asked.n_layouts, outcomes),
            known_hashes=known,
            fingerprint=world.data.fingerprint,
        )
        ours = None if asked.drawn is None else asked.drawn.params
        theirs = None if again is None else again.params
        if ours != theirs:
            yield f"{asked.sweep}: turn {asked.turn} gave {ours}, and from the ledger {theirs}"
    for name, history in histories.items():
        drawn = {a.turn: a.drawn for a in world.suggestions if a.sweep == name}
        for row in history.cells.values():
            if drawn.get(row["turn"]) is None:
                yield f"{name}: cell {row['number']} is not what its turn {row['turn']} drew"


def files_of_trials_are_kept_and_cleared(
    world: World, histories: dict[str, History]
) -> Iterator[str]:
    """A complete trial has its artifacts and no checkpoint any more."""
    for name, history in histories.items():
        for number, row in history.trials.items():
            end = history.ends.get(number)
            paths = TrialPaths(row["hash"])
            names = world.files.listed(paths.artifacts)
            if end is None or row["reused_from"]:
                continue
            if end["state"] == "COMPLETE":
                wanted_names = {"codes.npz", "weights.pt"}
                if not any(outage.target == "files" for outage in world.gate.outages):
                    wanted_names.add("config.yaml")  # a sweep goes on without it
                for wanted in wanted_names - names:
                    yield f"{name}: complete trial {number} lacks {wanted}"
                fails = any(outage.target == "files" for outage in world.gate.outages)
                # A checkpoint may come after the end: of a driver that was taken for dead, or of
                # another sweep that trains the same trial. It takes space, and does no harm.
                late = {"checkpoint late", "driver freezes", "driver cut off", "two sweeps"}
                fails = fails or bool(late & world.scenario.faults)
                if world.files.listed(paths.checkpoints) and not fails:
                    yield f"{name}: complete trial {number} still has checkpoints"


def a_finished_trial_of_another_sweep_is_reused(
    world: World, histories: dict[str, History]
) -> Iterator[str]:
    """A trial that one sweep has completed is not begun again by another sweep."""
    events = sorted(
        (
            (event["seq"], event, history)
            for history in histories.values()
            for event in history.events
        ),
        key=lambda each: each[0],
    )
    complete: set[str] = set()
    for _, event, history in events:
        if event["kind"] not in ("end", "attempt"):
            continue
        trial_hash = history.trials[event["number"]]["hash"]
        if event["kind"] == "end" and event["detail"] == "COMPLETE":
            complete.add(trial_hash)
        elif event["kind"] == "attempt" and trial_hash in complete:
            yield f"{history.sweep}: trial {event['number']} runs, and another sweep completed it"


def driver_runs_are_accounted(world: World, histories: dict[str, History]) -> Iterator[str]:
    """The seconds of a driver run, which the budget counts, are those that it lived."""
    for name, history in histories.items():
        drivers = [d for d in world.drivers if d.sweep.name == name and d.conductor is not None]
        rows = {row["id"]: row for row in history.driver_runs}
        for driver in drivers:
            row = rows.get(driver.conductor._driver_run)
            if row is None:
                yield f"{name}: {driver.name} has no row"
                continue
            counted = row["seen"] - row["started"]
            lived = driver.ended_at - driver.started_at
            uncounted = math.inf if driver.superseded else driver.silence + 1
            if not -0.1 <= lived - counted <= uncounted:
                yield f"{name}: {driver.name} lived {lived:.0f} s, counted are {counted:.0f}"
    counts = Counter(row["outcome"] for h in histories.values() for row in h.driver_runs)
    if counts["ended"] < len([s for s in world.scenario.sweeps if s.name in histories]):
        yield f"outcomes of driver runs: {dict(counts)}"


def outcomes_are_what_happened(world: World, histories: dict[str, History]) -> Iterator[str]:
    """An attempt that ended as lost, timeout, node or error met that fault.

    So a death of a node or of a driver is not charged, and a damaged checkpoint or a file store
    that is away ends no trial.
    """
    stores_fail = any(outage.target == "files" for outage in world.gate.outages)
    for name, history in histories.items():
        for row in history.attempts:
            kind, happened = row["outcome"], world.attempt_faults[row["id"]]
            if kind not in ("lost", "timeout", "node", "error") or kind in happened:
                continue
            trial_hash = history.trials[row["trial"]]["hash"]
            text = row["message"] or ""
            if kind == "error" and training.nature(trial_hash).raises_at and "no solution" in text:
                continue
            if kind == "node" and happened and "node dies" in world.scenario.faults:
                continue  # its node died a moment after it, before Tune noticed
            if kind == "error" and stores_fail and ("file store" in text or "No space" in text):
                continue
            yield (
                f"{name}: attempt {row['id']} of trial {row['trial']} ended as {kind}; it met "
                f"{sorted(happened) or 'nothing'}: {text[-200:]!r}"
            )


OF_END: tuple[Callable[[Any, dict[str, History]], Iterator[str]], ...] = (
    every_sweep_ends,
    mlflow_has_what_the_ledger_has,
    a_fresh_conductor_reads_the_same_state,
    samplers_are_told_each_cell_once_and_right,
    suggestions_depend_on_the_ledger_only,
    files_of_trials_are_kept_and_cleared,
    outcomes_are_what_happened,
    a_finished_trial_of_another_sweep_is_reused,
    driver_runs_are_accounted,
    a_lost_export_is_made_again_equal,
)
