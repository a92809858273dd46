"""The cost of a sweep against its number of trials: driver, run table, status, report.

    python benchmarks/bench_scale.py [--trials 200 1000] [--reports 15] [--workspace FOLDER]
                                     [--report-trials 100] [--json FILE] [--cpu]
                                     [--figure FILE [--before JSON]]

It fills ledgers with synthetic trials (`synthetic_ledger.py`), measures each operation in a process
of its own, and prints a table and the ratio between the largest and the smallest sweep. Ledgers in
FOLDER are kept and used again. `--figure` writes cost per event against number of trials.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import synthetic_ledger

CPU = "BENCH_SCALE_CPU"  # set for the processes of the measures

GRID_REPORTS = 4
"""Reports per trial of the sweep whose cells are laid out."""

CALLBACK_MS = 113.0
"""Milliseconds per report of Ray's own `MLflowLoggerCallback`, measured on the same machine."""

LIMITS = {
    "next random ms": 2.0,
    "next qmc ms": 2.0,
    "next grid ms": 2.0,
    "next tpe ms": 50.0,
    "resume s": 10.0,
    "resume grid s": 10.0,
    "driver MB": 600.0,
    "load_runs s": 10.0,
    "status s": 1.0,
}
"""What 20,000 trials of 50 reports may cost; see docs/scaling.md."""


def main() -> None:
    """Measure the sizes that were asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--reports", type=int, default=15)
    parser.add_argument("--report-trials", type=int, default=100, help="0: no report")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=DRIVER)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--before", type=Path, help="JSON of an earlier run, for the figure")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu", action="store_true", help="processor time, on a busy machine")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, workspace, trials, reports = given.measure
        print(json.dumps(MEASURES[name](Path(workspace), int(trials), int(reports))))
        return
    if given.cpu:
        os.environ[CPU] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.workspace or Path(scratch)
        table = {
            trials: _measured(folder, trials, given.reports, given.only)
            for trials in sorted(given.trials)
        }
        if given.report_trials:
            sizes = (given.report_trials, given.reports)
            table.setdefault(given.report_trials, {}).update(
                _measured(folder, *sizes, ["runs_json", "report"])
            )
    _print(table, given.reports)
    if given.json:
        given.json.write_text(json.dumps({"reports": given.reports, "table": table}, indent=1))
    if given.figure:
        before = json.loads(given.before.read_text())["table"] if given.before else {}
        _draw(table, {int(trials): row for trials, row in before.items()}, given.figure)


def _measured(folder: Path, trials: int, reports: int, names: list[str]) -> dict[str, float]:
    """Return the numbers of one size; every measure runs in a new process."""
    workspace = folder / f"{trials}x{reports}"
    if not workspace.exists():
        for sampler, length in (("random", reports), ("grid", GRID_REPORTS)):
            sweep = synthetic_ledger.spec(sampler, trials, length)
            synthetic_ledger.fill(workspace, sweep, trials, length)
    row: dict[str, float] = {}
    for name in names:
        command = [sys.executable, __file__, "--measure", name, str(workspace)]
        command += [str(trials), str(reports)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row |= json.loads(done.stdout.splitlines()[-1])
    return row


# ---- the measures; each returns "name unit" -> number


def _resume(workspace: Path, trials: int, reports: int) -> dict[str, float]:
    """Seconds and memory to read a sweep as a driver does at its start, then to record."""
    for name in ("ray", "ray.tune", "sweeps.driver.run", "sweeps.driver.tune"):
        importlib.import_module(name)  # a driver holds them in memory
    base = _memory_mb()
    spec = synthetic_ledger.spec("random", trials, reports)
    seconds, conductor = _timed(lambda: _conductor(workspace, spec))
    gc.collect()
    row = {
        "resume s": seconds,
        "driver MB": _memory_mb(),
        "driver peak MB": _peak_mb(),
        "imports MB": base,
    }
    row |= _next(conductor, "random") | _record(conductor) | _picture(conductor)
    return row


def _record(conductor: Any) -> dict[str, float]:
    """Milliseconds per report, without the rung of its cell and with the file synchronised."""
    bodies = []
    trial = conductor.next().trial
    for body in synthetic_ledger.bodies(trial.number, last=trial.epochs, epochs=trial.epochs):
        if body["epoch"] > trial.epoch:
            bodies.append(body | {"attempt": trial.attempt})
    seconds, _ = _timed(lambda: [conductor.record(trial.number, body) for body in bodies])
    return {"record ms": 1e3 * seconds / len(bodies)}


def _picture(conductor: Any) -> dict[str, float]:
    """Milliseconds under the conductor's lock for one picture of the live view."""
    from types import SimpleNamespace

    from rich.console import Console

    from sweeps.driver.live_view import LiveView

    writer: Any = SimpleNamespace(why_behind=lambda: "")
    view = LiveView(conductor, writer, Console(file=io.StringIO()))
    view._screen()
    seconds, _ = _timed(lambda: [view._screen() for _ in range(5)])
    return {"live view ms": 1e3 * seconds / 5}


def _resume_grid(workspace: Path, trials: int, reports: int) -> dict[str, float]:
    """Seconds to read a sweep whose cells are all laid out."""
    del reports
    spec = synthetic_ledger.spec("grid", trials, GRID_REPORTS)
    seconds, conductor = _timed(lambda: _conductor(workspace, spec))
    return {"resume grid s": seconds} | _next(conductor, "grid")


def _next_of(sampler: str) -> Callable[[Path, int, int], dict[str, float]]:
    def measure(workspace: Path, trials: int, reports: int) -> dict[str, float]:
        spec = synthetic_ledger.spec(sampler, trials, reports)
        changed = {**spec.to_dict(), "name": "scale-random"}  # reads the same ledger
        from sweeps.spec.load import spec_from_mapping

        return _next(_conductor(workspace, spec_from_mapping(changed)), sampler)

    return measure


def _next(conductor: Any, sampler: str) -> dict[str, float]:
    """Milliseconds per `next` that asks the sampler; the trials that wait are handed out first."""
    begun = len(conductor.cells)
    while len(conductor.cells) == begun:
        _require_more(conductor.next())
    begun = len(conductor.cells)
    seconds, _ = _timed(lambda: [_require_more(conductor.next()) for _ in range(20)])
    assert len(conductor.cells) == begun + 20, "a call did not ask the sampler"
    return {f"next {sampler} ms": 1e3 * seconds / 20}


def _require_more(assignment: Any) -> None:
    """Raise if the sweep has no turn left: then a call costs nothing, and nothing is measured."""
    if assignment == "finished" or assignment is None:
        raise RuntimeError("the ledger was measured too often: remove its folder")


def _load_runs(workspace: Path, trials: int, reports: int) -> dict[str, float]:
    del trials, reports
    from sweeps.results.run_table import load_runs

    seconds, runs = _timed(lambda: load_runs(workspace, "scale-random"))
    assert len(runs.table)
    return {"load_runs s": seconds, "load_runs peak MB": _peak_mb()}


def _status(workspace: Path, trials: int, reports: int) -> dict[str, float]:
    del trials, reports
    from sweeps.ledger.status import sweep_status

    seconds, _ = _timed(lambda: sweep_status(workspace, "scale-random"))
    return {"status s": seconds}


def _runs_json(workspace: Path, trials: int, reports: int) -> dict[str, float]:
    del trials, reports
    seconds = _cli("runs", "scale-random", "--json", "--workspace", str(workspace))
    return {"runs --json s": seconds}


def _report(workspace: Path, trials: int, reports: int) -> dict[str, float]:
    del trials, reports
    return {"report s": _cli("report", "scale-random", "--workspace", str(workspace))}


def _cli(*arguments: str) -> float:
    command = [sys.executable, "-m", "sweeps", *arguments]
    seconds, _ = _timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    return seconds


MEASURES: dict[str, Callable[[Path, int, int], dict[str, float]]] = {
    "next_qmc": _next_of("qmc"),
    "next_tpe": _next_of("tpe"),
    "resume_grid": _resume_grid,
    "resume": _resume,
    "load_runs": _load_runs,
    "status": _status,
    "runs_json": _runs_json,
    "report": _report,
}

DRIVER = [name for name in MEASURES if name not in ("runs_json", "report")]


def _conductor(workspace: Path, spec: Any) -> Any:
    from sweeps.driver.conductor import Conductor
    from sweeps.ledger.ledger import Ledger

    return Conductor(
        spec,
        Ledger.of_workspace(workspace),
        fingerprint=synthetic_ledger.FINGERPRINT,
        n_data=synthetic_ledger.N_DATA,
        driver_run=1,
    )


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call takes, of wall time or with `--cpu` of its processor time."""
    clock = _processor_time if os.environ.get(CPU) else time.perf_counter
    started = clock()
    result = work()
    return clock() - started, result


def _processor_time() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


# ---- what is shown


def _print(table: dict[int, dict[str, float]], reports: int) -> None:
    sizes = list(table)
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    clock = "processor time" if os.environ.get(CPU) else "wall time"
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{reports} reports per trial; {clock}; {load}")
    heads = "".join(f"{size:>12,}" for size in sizes)
    print(f"{'trials':<20}{heads}{'ratio':>9}{'limit':>8}")
    for name in names:
        values = [table[size].get(name) for size in sizes]
        cells = "".join(f"{'' if value is None else f'{value:.2f}':>12}" for value in values)
        first, last = values[0], values[-1]
        ratio = f"{last / first:.1f}" if first and last else ""
        limit = LIMITS.get(name)
        print(f"{name:<20}{cells}{ratio:>9}{'' if limit is None else f'{limit:g}':>8}")


def _draw(
    table: dict[int, dict[str, float]], before: dict[int, dict[str, float]], path: Path
) -> None:
    """Write the figure: milliseconds per event against number of trials, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    events = ["record ms", "next random ms", "next tpe ms", "live view ms"]
    for number, name in enumerate(events):
        label = name.removesuffix(" ms")
        for rows, style, suffix in ((before, ":", " before"), (table, "-", "")):
            points = [(size, row[name]) for size, row in rows.items() if name in row]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    style,
                    color=f"C{number}",
                    marker="o",
                    markersize=4,
                    label=label + suffix,
                )
    axes.axhline(CALLBACK_MS, color="black", linewidth=1)
    axes.annotate(
        "Ray's MLflowLoggerCallback, per report",
        (0.02, CALLBACK_MS),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
    )
    axes.set(xscale="log", yscale="log", xlabel="trials", ylabel="milliseconds per event")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": ""})


if __name__ == "__main__":
    main()
