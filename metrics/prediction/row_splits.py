"""What classifiers on codes need: training and test rows, columns of one scale, one thread."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from metrics.types import Array

# A column whose deviation is smaller, relative to its largest value, varies by rounding only
# (float32 means).
_ROUNDING = 1e-6


def held_out(
    metric: str, rows: int, *, train_rows: int, test_rows: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return rows to train on and rows to test on, drawn without replacement; no row is in both.

    If there are fewer than train_rows + test_rows rows, they are divided in that proportion.

    Args:
        metric: the name of the metric, for messages.
        rows: how many rows there are.
        train_rows, test_rows: how many are wanted.
        rng: source of the draw.

    Raises:
        ValueError: train_rows or test_rows is below 1, or there are fewer than two rows.
    """
    if min(train_rows, test_rows) < 1:
        raise ValueError(
            f"{metric}: train_rows and test_rows must be >= 1, got {train_rows} and {test_rows}"
        )
    if rows < 2:
        raise ValueError(f"{metric} needs at least 2 rows to train and to test on, got {rows}")
    share = min(1.0, rows / (train_rows + test_rows))
    train_count = min(rows - 1, max(1, int(train_rows * share)))
    test_count = max(1, int(test_rows * share))
    drawn = rng.permutation(rows)
    return drawn[:train_count], drawn[train_count : train_count + test_count]


def share_error(share: float, count: int) -> float:
    """Return the standard error of a share of `count` independent trials.

        sqrt(p (1 - p) / (n + 4)),   p = (n share + 2) / (n + 4)

    The two added successes and failures keep the error above 0 at a share of 0 or 1, where the
    plain formula says that nothing is uncertain (Agresti and Coull 1998, section 3).
    """
    p = (count * share + 2) / (count + 4)
    return math.sqrt(p * (1 - p) / (count + 4))


def standardised(train: Array, test: Array) -> tuple[Array, Array]:
    """Return both arrays scaled so that the columns of `train` have mean 0 and variance 1.

    Columns that are constant in `train` become 0.
    """
    mean, std = train.mean(axis=0), train.std(axis=0)
    varies = std > _ROUNDING * np.abs(train).max(axis=0, initial=0.0)
    scale = np.divide(1.0, std, out=np.zeros_like(std), where=varies)
    return (train - mean) * scale, (test - mean) * scale


@contextmanager
def one_thread() -> Generator[None]:
    """Keep scikit-learn and matrix products to one thread inside the block.

    Trials that run side by side have one core each. Boosting opens a parallel region per tree: on
    two cores that other processes used too, its waiting threads made it five to fifteen times
    slower than one thread; on idle cores two threads were hardly faster than one.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield
