"""What DCI costs with each model: seconds on plausible codes of dSprites, and a ratio to the published.

    python benchmarks/bench_dci.py [--full]

10,000 rows to train on and 5,000 to test on, 10 latents, five factors of 3, 6, 40, 32 and 32 levels. The published
model, scikit-learn's GradientBoostingClassifier with 100 rounds, takes minutes: without --full a few of its rounds are
timed at two lengths and scaled up, since every round grows as many trees; its score needs --full. All on one thread,
as trials run.

What D should be is known of these codes: three latents serve one factor each, one serves shape and orientation, six are
noise. With importances that sum to 1 per factor, D = 3/5 + 2/5 (1 - log5 2) = .828 and C = 1.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from bench_evaluation import NAMES, SIZES, plausible

from metrics import Codes, Factors, Score, score

ROWS = 15_000
LATENTS = 10
SLICE = (2, 6)  # rounds of the published model that are timed
ROUNDS = 100


def timed(variant: str, codes: Codes, factors: Factors, **options: int) -> tuple[float, Score]:
    """Seconds of one score, and the score."""
    start = time.perf_counter()
    result = score(f"dci{variant}", codes, factors, reference=False, **options)
    return time.perf_counter() - start, result


def published_seconds(codes: Codes, factors: Factors) -> float:
    """Seconds of all rounds of the published model, from the seconds of a few: they grow linearly."""
    few, more = (timed(".published", codes, factors, trees=rounds)[0] for rounds in SLICE)
    return few + (more - few) / (SLICE[1] - SLICE[0]) * (ROUNDS - SLICE[0])


def line(name: str, seconds: float, result: Score) -> str:
    """One row of the table."""
    details = result.details
    held = (
        f"accuracy {details['accuracy']:.3f}"
        if "accuracy" in details
        else f"R2 {details['r2']:.3f}"
    )
    return f"{name:<16}{seconds:9.2f} s   D {result.value:.3f}  C {details['completeness']:.3f}  {held}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="run the published model to its end as well"
    )
    arguments = parser.parse_args()
    codes, factors = plausible(ROWS, LATENTS)
    levels = ", ".join(f"{name} {size}" for name, size in zip(NAMES, SIZES, strict=True))
    print(f"10,000 + 5,000 rows, {LATENTS} latents, levels: {levels}; one thread")
    print(
        f"{'by construction':<16}{'':9}     D {0.6 + 0.4 * (1 - np.log(2) / np.log(5)):.3f}  C 1.000"
    )
    timed("", codes, factors)  # imports
    taken = {name: timed(name, codes, factors) for name in ("", ".forest", ".lasso", ".linear")}
    for name, (seconds, result) in taken.items():
        size = f"   ({result.identity['train_rows']:,} + {result.identity['test_rows']:,} rows)"
        print(line(f"dci{name}", seconds, result) + size)
    if arguments.full:
        published, result = timed(".published", codes, factors)
        print(line("dci.published", published, result))
        apart = np.abs(result.details["importance"] - taken[""][1].details["importance"]).max()
        print(f"largest difference of importances between published and boosting: {apart:.3f}")
    else:
        published = published_seconds(codes, factors)
        print(
            f"{'dci.published':<16}{published:9.0f} s   from {SLICE[0]} and {SLICE[1]} of its {ROUNDS} rounds"
        )
    print(f"ratio published / boosting {published / taken[''][0]:8.1f}")


if __name__ == "__main__":
    main()
