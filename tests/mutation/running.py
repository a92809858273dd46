"""Runs tests on mutants: pytest collects them once, and every mutant runs in a fork of it."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import resource
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from .changes import Change, changes

PATIENCE = 4.0
"""Seconds that a test may take more than eight times its usual time."""

MEMORY = 4 << 30
"""Bytes that a test may take more than what is loaded."""


KILLED = ("killed", "timeout")
"""A test failed, or did not end."""

FEW = 8
"""Cases of a test with parameters that are run on mutants."""


class MutationRun:
    """A pytest plugin: instead of the tests it runs the mutants of a module."""

    def __init__(self, module: str, results: Path, most_tests: int) -> None:
        self.module = module
        self.most_tests = most_tests
        self.results = results
        self.rows: list[dict[str, Any]] = []  # one for each mutant
        self.failed = False
        self.lines: dict[tuple[str, int], set[int]] = defaultdict(set)  # -> indices of tests
        self.seconds: list[float] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure."""
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all mutants, without those that the file of results says were killed before."""
        items = _few_of_each(session.items)
        self._measure(items)
        gc.collect()
        gc.freeze()  # so that a collection in a fork copies no memory
        killed_before = _killed(self.results)
        with self.results.open("a") as file:
            for change in changes(self.module, Path(self.module)):
                key = (change.module, change.function, change.diff)
                row = killed_before.get(key)
                if row is None:
                    row = dict(zip(("module", "function", "diff"), key, strict=True))
                    row |= {"line": change.lines.start, "status": self._status(items, change)}
                    print(json.dumps(row), file=file, flush=True)
                self.rows.append(row)
        return True

    def _measure(self, items: list[pytest.Item]) -> None:
        """Learn which test runs which line of the modules, and how long it takes."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            measured: list[tuple[float, set[tuple[str, int]]]] = []
            files = {str(Path(self.module).resolve()): self.module}
            for index, item in enumerate(items):
                seen: set[tuple[str, int]] = set()
                sys.settrace(_tracer(files, seen))
                start = time.perf_counter()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=_next(items, index))
                measured.append((time.perf_counter() - start, seen))
                sys.settrace(None)
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump((self.failed, measured), pipe)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            failed, measured = pickle.load(pipe)
        os.waitpid(child, 0)
        if failed:
            raise pytest.UsageError("the tests fail without a mutant")
        for index, (seconds, seen) in enumerate(measured):
            self.seconds.append(seconds)
            for line in seen:
                self.lines[line].add(index)

    def _status(self, items: list[pytest.Item], change: Change) -> str:
        """Return "killed", "timeout" or "survived"; "untested" if no test runs the lines."""
        chosen: set[int] = set()
        for line in change.lines:
            chosen |= self.lines.get((change.module, line), set())
        line = change.lines.start
        while not chosen and line > change.function_line:
            line -= 1  # a later line of a statement may be no step of the program
            chosen = self.lines.get((change.module, line), set())
        order = sorted(chosen, key=lambda index: self.seconds[index])[: self.most_tests]
        if not order:
            return "untested"
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.setsid()
            self._run_mutant([items[index] for index in order], order, change)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "timeout" if os.WTERMSIG(status) == signal.SIGALRM else "killed"
        return "survived" if os.WEXITSTATUS(status) == 0 else "killed"

    def _run_mutant(self, items: list[pytest.Item], order: list[int], change: Change) -> None:
        """Run tests until one fails; end the process."""
        try:
            silence = os.open(os.devnull, os.O_RDWR)
            for stream in (1, 2):
                os.dup2(silence, stream)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            plant(change)
            for place, (item, index) in enumerate(zip(items, order, strict=True)):
                signal.setitimer(signal.ITIMER_REAL, PATIENCE + 8 * self.seconds[index])
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=_next(items, place))
                if self.failed:
                    os._exit(1)
            os._exit(0)
        except BaseException:
            os._exit(1)


def plant(change: Change) -> None:
    """Give a function of the running program the code that it has in a mutant."""
    module = importlib.import_module(change.module.removesuffix(".py").replace("/", "."))
    new = next(
        code
        for code in _codes(compile(change.source, change.module, "exec"))
        if code.co_qualname == change.function and code.co_firstlineno == change.function_line
    )
    value: Any = module
    for name in change.function.split("."):
        value = vars(value)[name]
    for function in _functions_of(value):
        last = max(line or 0 for *_, line in function.__code__.co_lines())
        if function.__code__.co_firstlineno <= change.function_line <= last:
            function.__code__ = new


def _codes(code: CodeType) -> list[CodeType]:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return [code, *(each for part in inner for each in _codes(part))]


def _functions_of(value: Any) -> list[FunctionType]:
    """Return the functions below the decorators of a name."""
    if isinstance(value, property):
        return [each for part in (value.fget, value.fset) if part for each in _functions_of(part)]
    value = getattr(value, "__func__", value)
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return [value]


def _few_of_each(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests, of a test with parameters the first and the last `FEW` / 2 cases."""
    by_name: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        by_name[item.nodeid.partition("[")[0]].append(item)
    return [
        item
        for cases in by_name.values()
        for item in (cases if len(cases) <= FEW else [*cases[: FEW // 2], *cases[-FEW // 2 :]])
    ]


def _next(items: list[pytest.Item], index: int) -> pytest.Item | None:
    return items[index + 1] if index + 1 < len(items) else None


def _tracer(files: dict[str, str], seen: set[tuple[str, int]]) -> Any:
    def line(frame: FrameType, event: str, _: Any) -> Any:
        seen.add((files[frame.f_code.co_filename], frame.f_lineno))
        return line

    def call(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        return line(frame, event, None)

    return call


def _killed(results: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the rows of mutants that were killed in an earlier run."""
    rows = map(json.loads, results.read_text().splitlines()) if results.exists() else ()
    return {
        (row["module"], row["function"], row["diff"]): row
        for row in rows
        if row["status"] in KILLED
    }
