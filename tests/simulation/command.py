"""The command `python -m tests.simulation`: runs seeds, says what broke and how to replay it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .mutants import MUTANTS, planted
from .world import Outcome, simulate

SHOWN = 10
"""Broken seeds that are shown in full."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run simulations; return 1 if an invariant broke, else 0."""
    options = _parser().parse_args(arguments)
    if options.seed is not None:
        return _replay(options.seed, trace=options.trace, mutant=options.mutant)
    if options.hunt:
        seeds = range(options.start, options.start + options.seeds)
        return _hunt(options.mutant, seeds, options.workers)
    seeds = range(options.start, options.start + options.seeds)
    started = time.perf_counter()
    outcomes = list(run(seeds, workers=options.workers, mutant=options.mutant))
    print(summary(outcomes, time.perf_counter() - started))
    return int(any(outcome.broken for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happens")
    parser.add_argument("--hunt", action="store_true", help="how many seeds find each known bug")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="plant a known bug first")
    return parser


def _replay(seed: int, *, trace: bool, mutant: str | None) -> int:
    with planted(mutant):
        outcome = simulate(seed, trace=trace)
    for problem in outcome.broken:
        print(problem)
    print(summary([outcome], 0.0))
    return int(bool(outcome.broken))


def _hunt(mutant: str | None, seeds: Sequence[int], workers: int) -> int:
    """Print for each known bug how many seeds find it, and by which invariant."""
    names = [mutant] if mutant else list(MUTANTS)
    missed = 0
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        jobs = [(name, seeds) for name in names]
        for name, finder in zip(names, pool.imap(_hunted, jobs), strict=True):
            missed += finder is None
            text = "not found" if finder is None else f"{finder[0]:4d}  {finder[1]}"
            print(f"{name:60s} {text}", flush=True)
    return int(missed > 0)


def _hunted(job: tuple[str, Sequence[int]]) -> tuple[int, str] | None:
    return hunt(*job)


def hunt(mutant: str, seeds: Sequence[int]) -> tuple[int, str] | None:
    """Return how many seeds find a planted bug, and the invariant; None if none does."""
    with planted(mutant):
        for number, seed in enumerate(seeds, start=1):
            broken = simulate(seed).broken
            if broken:
                return number, broken[0].partition(":")[0]
    return None


def run(seeds: Iterable[int], *, workers: int = 1, mutant: str | None = None) -> Iterator[Outcome]:
    """Yield the outcomes of seeds, in this process or in several."""
    jobs = [(seed, mutant) for seed in seeds]
    if workers <= 1:
        yield from map(_simulated, jobs)
        return
    # Forked: a new process would import for seconds.
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap(_simulated, jobs, chunksize=8)


def _simulated(job: tuple[int, str | None]) -> Outcome:
    seed, mutant = job
    with planted(mutant):
        return simulate(seed)


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return what was run, which faults were injected, and what broke."""
    injected: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for outcome in outcomes:
        injected.update(outcome.injected)
        broken.update({problem.partition(":")[0] for problem in outcome.broken})
    hours = sum(outcome.seconds for outcome in outcomes) / 3600
    reports = sum(outcome.reports for outcome in outcomes)
    driver_runs = sum(outcome.driver_runs for outcome in outcomes)
    lines = [
        f"{len(outcomes)} seeds in {seconds:.1f} s: {hours:.1f} simulated hours, "
        f"{driver_runs} driver runs, {reports} reports, {injected.total()} faults",
        *(f"  {count:7d}  {fault}" for fault, count in sorted(injected.items())),
    ]
    if not broken:
        return "\n".join([*lines, "no invariant broke"])
    lines.append("broken invariants, in how many seeds:")
    lines += [f"  {count:7d}  {name}" for name, count in broken.most_common()]
    failed = [outcome for outcome in outcomes if outcome.broken]
    for outcome in failed[:SHOWN]:
        lines.append(
            f"seed {outcome.seed}: python -m tests.simulation --seed {outcome.seed} --trace"
        )
        lines += [f"    {problem}" for problem in outcome.broken[:4]]
    if len(failed) > SHOWN:
        rest = ", ".join(str(outcome.seed) for outcome in failed[SHOWN:])
        lines.append(f"further broken seeds: {rest}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
