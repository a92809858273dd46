"""What classifiers on codes need: rows to learn from, rows to be judged on, columns of one scale, few threads."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from metrics.types import Array

_ROUNDING = 1e-6  # a column that varies less, relative to its largest value, varies by rounding (float32 means)


def held_out(
    metric: str, rows: int, *, train_rows: int, test_rows: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Rows to train and to test on, drawn without replacement: no row is in both.

    A set smaller than train_rows + test_rows is divided in that proportion.

    Raises:
        ValueError: less than one row is asked for, or fewer than two are there.
    """
    if min(train_rows, test_rows) < 1:
        raise ValueError(
            f"{metric}: train_rows and test_rows must be >= 1, got {train_rows} and {test_rows}"
        )
    if rows < 2:
        raise ValueError(f"{metric} needs at least 2 rows to train and to test on, got {rows}")
    share = min(1.0, rows / (train_rows + test_rows))
    first = min(rows - 1, max(1, int(train_rows * share)))
    drawn = rng.permutation(rows)
    return drawn[:first], drawn[first : first + max(1, int(test_rows * share))]


def standardised(train: Array, test: Array) -> tuple[Array, Array]:
    """Both with the columns of `train` at mean 0 and variance 1; columns that are constant there become 0."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    varies = std > _ROUNDING * np.abs(train).max(axis=0, initial=0.0)
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=varies)
    return (train - mean) * scale, (test - mean) * scale


@contextmanager
def one_thread() -> Generator[None]:
    """Keep scikit-learn and products of matrices to one thread.

    Trials side by side own one core each; and boosting opens a parallel region per tree, so that on two cores that
    others use too its waiting threads made it five to fifteen times slower than one thread, on idle ones hardly faster.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
