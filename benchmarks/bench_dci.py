"""The cost of DCI with each model: seconds on plausible codes of dSprites, as a ratio to the paper.

    python benchmarks/bench_dci.py [--full]

There are 10,000 rows to train on and 5,000 to test on, 10 latents, and five factors of 3, 6, 40, 32
and 32 levels. The published model, scikit-learn's GradientBoostingClassifier with 100 rounds, takes
minutes. Without --full its rounds are timed at two small numbers of rounds and scaled up, since
every round grows as many trees; its score needs --full. All models run on one thread, as in trials.

D is known for these codes: three latents serve one factor each, one serves shape and orientation,
six are noise. With importances that sum to 1 per factor, D = 3/5 + 2/5 (1 - log5 2) = .828 and
C = 1.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from bench_evaluation import NAMES, SIZES, plausible

from metrics import Codes, Factors, Score, score

ROWS = 15_000
LATENTS = 10
SLICE = (2, 6)  # numbers of rounds at which the published model is timed
ROUNDS = 100


def timed(variant: str, codes: Codes, factors: Factors, **options: int) -> tuple[float, Score]:
    """Return the seconds of one score, and the score."""
    start = time.perf_counter()
    result = score(f"dci{variant}", codes, factors, reference=False, **options)
    return time.perf_counter() - start, result


def published_seconds(codes: Codes, factors: Factors) -> float:
    """Return the seconds of all rounds of the published model.

    They are extrapolated from a few rounds: the time grows linearly.
    """
    few, more = SLICE
    seconds_few, _ = timed(".published", codes, factors, trees=few)
    seconds_more, _ = timed(".published", codes, factors, trees=more)
    return seconds_few + (seconds_more - seconds_few) / (more - few) * (ROUNDS - few)


def line(name: str, seconds: float, result: Score) -> str:
    """Return one row of the table."""
    details = result.details
    if "accuracy" in details:
        informativeness = f"accuracy {details['accuracy']:.3f}"
    else:
        informativeness = f"R2 {details['r2']:.3f}"
    return (
        f"{name:<16}{seconds:9.2f} s   D {result.value:.3f}  C {details['completeness']:.3f}  "
        f"{informativeness}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="also run all rounds of the published model"
    )
    arguments = parser.parse_args()
    codes, factors = plausible(ROWS, LATENTS)
    levels = ", ".join(f"{name} {size}" for name, size in zip(NAMES, SIZES, strict=True))
    print(f"10,000 + 5,000 rows, {LATENTS} latents, levels: {levels}; one thread")
    expected = 0.6 + 0.4 * (1 - np.log(2) / np.log(5))
    print(f"{'by construction':<16}{'':9}     D {expected:.3f}  C 1.000")
    timed("", codes, factors)  # the first call also imports
    scores = {name: timed(name, codes, factors) for name in ("", ".forest", ".lasso", ".linear")}
    boosting_seconds, boosting = scores[""]
    for name, (seconds, result) in scores.items():
        size = f"   ({result.identity['train_rows']:,} + {result.identity['test_rows']:,} rows)"
        print(line(f"dci{name}", seconds, result) + size)
    if arguments.full:
        published, result = timed(".published", codes, factors)
        print(line("dci.published", published, result))
        difference = np.abs(result.details["importance"] - boosting.details["importance"]).max()
        print(f"largest difference of importances between published and boosting: {difference:.3f}")
    else:
        published = published_seconds(codes, factors)
        print(
            f"{'dci.published':<16}{published:9.0f} s   "
            f"from {SLICE[0]} and {SLICE[1]} of its {ROUNDS} rounds"
        )
    print(f"ratio published / boosting {published / boosting_seconds:8.1f}")


if __name__ == "__main__":
    main()
