"""How much information a latent seems to have because the rows are few.

The mixture q(z | v_k = v) has one posterior per row. If the posteriors are sharp compared with the
distance between rows, a latent can tell single rows apart, and with them their levels: it has
information about any factor, also about one that it does not depend on. This is no error of
integration; it is the information of this finite mixture. It falls with more rows.

**Shuffled information.** S_jk is the information of latent j about factor k after a random
permutation of the factor's rows. It depends on the factor only through the frequencies of its
levels. For a latent without information about the factor, I_jk is another draw of S_jk.

**How far two draws differ.** To first order 2 N S is a sum of (V_k - 1) groups of squared standard
normal variables with weights between 0 and 1, as in Miller (1955). The weights of one group sum to
C_j, about the number of values that the latent can distinguish, minus 1. The square root of such a
sum has a standard deviation below sqrt(w / 2), with w <= min(1, C_j) the largest weight. So the
square root of another draw is, within `DEVIATIONS` standard deviations of the difference, below

    sqrt(S') = sqrt(S) + DEVIATIONS sqrt(min(1, C_j) / 2N).

S' is cut off at H(v_k). With row weights N is the effective number of rows, 1 / sum p_n^2.

**Bound on the excess.** Let f = S' / H be the share of the factor that a latent seems to know
without knowing anything. If it truly has information T, its rows can resolve that share of what is
left, H - T, so I = T + f (H - T), and the excess is

    I - T = f (H - I) / (1 - f), or I if I <= S'.

It is an upper bound: if a latent leaves V' of V equally frequent levels open, its excess is
(V' - 1) / (V - 1) of S, and that is less than ln V' / ln V. It has the right limits. A perfect code
has I = H and no excess. A latent with I <= S' may have no information at all. On a complete grid of
factors a latent that is a function of other factors has I = 0 and no excess; noise in a latent has
some, also there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from metrics.types import Array

DEVIATIONS = 3.0  # a false alarm of one in a thousand
# Two factors with equally many levels are shuffled once, if their entropies differ by no more than
# this share: their information differs by no more than this share either.
_ALIKE = 0.02
_SEED = 1955  # of the orders; any number


class Shuffles(NamedTuple):
    """Levels in random order, once for all factors with the same frequencies of levels.

    Args:
        columns: (N,) levels each, numbered from 0.
        of_factor: (K,) which of the columns stands for a factor; -1 for a constant factor.
    """

    columns: list[Array]
    of_factor: list[int]


def shuffles(levels: Sequence[Array]) -> Shuffles:
    """Return the levels of the factors in random order.

    One order is enough: the standard deviation of S between orders is about sqrt(S / N) nats, with
    S = .05 and N = 4,096 a fifteenth of it. The order is always the same for the same N, so that a
    score does not depend on a seed.

    Args:
        levels: for every factor, (N,) levels numbered from 0.
    """
    columns: list[Array] = []
    of_factor: list[int] = []
    represented: list[tuple[int, float]] = []  # levels of a column's factor, and their entropy
    for column in levels:
        share = np.bincount(column) / max(len(column), 1)
        if len(share) < 2:
            of_factor.append(-1)
            continue
        size, entropy = len(share), float(-(share * np.log(share)).sum())
        alike = [
            number
            for number, (other_size, other) in enumerate(represented)
            if other_size == size and abs(other - entropy) <= _ALIKE * entropy
        ]
        if not alike:
            alike = [len(columns)]
            order = np.random.default_rng([_SEED, len(columns)]).permutation(len(column))
            columns.append(column[order])
            represented.append((size, entropy))
        of_factor.append(alike[0])
    return Shuffles(columns, of_factor)


def spread_over_factors(per_column: Array, of_factor: Sequence[int], entropies: Array) -> Array:
    """Return S (d, K) from that of every shuffled column (d, columns); at most H(v_k)."""
    shuffled = np.zeros((len(per_column), len(of_factor)))
    for k, column in enumerate(of_factor):
        if column >= 0:
            shuffled[:, k] = np.minimum(per_column[:, column], entropies[k])
    return shuffled


def largest_excess(
    information: Array,
    error: Array,
    shuffled: Array,
    entropies: Array,
    levels: Array,
    rows: float,
) -> Array:
    """Return the bound on how much of the information is only due to few rows, (d, K) nats.

    See the docstring of the module for the derivation.

    Args:
        information: (d, K) I, nats.
        error: (d, K) nats by which I may be too large. Near S' and near H(v_k) the bound depends
            on differences that are no larger than this.
        shuffled: (d, K) S, nats.
        entropies: (K,) H(v_k), nats.
        levels: (K,) numbers of levels V_k in the rows.
        rows: (effective) number N.
    """
    freedom = float((levels[entropies > 0] - 1).sum())
    if not freedom > 0:
        return np.zeros_like(information)
    values = 2 * rows * shuffled.sum(axis=1, keepdims=True) / freedom  # C_j
    slack = DEVIATIONS * np.sqrt(np.minimum(1.0, values) / (2 * rows))
    most = np.minimum(np.square(np.sqrt(shuffled) + slack), entropies)  # S'
    share = np.divide(most, entropies, out=np.ones_like(most), where=entropies > 0)
    least = information - error
    left = np.maximum(entropies - least, 0.0)
    resolved = share * left / np.maximum(1 - share, 1e-300)
    return np.where(least <= most, information, np.minimum(resolved, information))


class Bounds(NamedTuple):
    """How far a gap may lie above and below its measured value, in the units of the gap."""

    above: Array
    below: Array


def gap_bounds(values: Array, excess: Array) -> Bounds:
    """Return the bounds on the gaps between the largest and second largest value of each column.

    The true values lie in [values - excess, values]. The gap is largest if one value is as measured
    and all others lose their excess. It is least if the largest loses its excess and the others
    keep theirs. An excess of the second largest therefore makes the measured gap too small, one of
    the largest makes it too large.

    Args:
        values: (n, columns) >= 0; a column without a second value has its gap to 0.
        excess: (n, columns), between 0 and the value.
    """
    none = np.zeros((2, values.shape[1]))
    high = np.concatenate([values, none])
    low = np.concatenate([values - excess, none])
    ascending: Array = np.sort(high, axis=0)
    gap = ascending[-1] - ascending[-2]
    largest = (high - _largest_other(low)).max(axis=0)
    least = np.maximum(0.0, (low - _largest_other(high)).max(axis=0))
    return Bounds(np.maximum(largest - gap, 0.0), np.maximum(gap - least, 0.0))


def _largest_other(values: Array) -> Array:
    """Return for every value the largest of the others in its column; there are at least two."""
    ascending: Array = np.sort(values, axis=0)
    index = np.arange(len(values))[:, None]
    is_first: Array = index == values.argmax(axis=0)
    return np.where(is_first, ascending[-2:-1], ascending[-1:])


def corners(information: Array, excess: Array) -> Iterator[Array]:
    """Yield information (d, K) without its excess.

    First everywhere, then in the best factor of every latent only, then in all other factors only.

    Args:
        information: (d, K).
        excess: (d, K), between 0 and the information.
    """
    yield information - excess
    best = np.zeros(information.shape, dtype=bool)
    if information.shape[1]:
        np.put_along_axis(best, information.argmax(axis=1)[:, None], True, axis=1)
    yield information - np.where(best, excess, 0.0)
    yield information - np.where(best, 0.0, excess)


def bounded_error(error: float, value: float) -> float:
    """Return an error of a score in [0, 1] that reaches no further than to the far end of it."""
    return min(error, max(value, 1 - value))


LARGE = 0.1
"""Share of a score from which on the effect of few rows is mentioned in its reason."""

SMALL = 0.01
"""Effect of few rows on a score, in its units, up to which it is not mentioned."""


def few_rows_reason(effect: float, value: float) -> str:
    """Return what to say about the effect of few rows on a score; "" if it is not large."""
    if math.isnan(value) or effect <= SMALL or effect <= LARGE * value:
        return ""
    return (
        f"too few rows for posteriors or bins this narrow: a latent of noise seems to have "
        f"information about the factors, and the score may be wrong by {effect:.2g}; "
        "score more rows if there are any"
    )


def widened_reason(share: float) -> str:
    """Return what to say if a share of the posteriors was widened to integrate them."""
    if not share > 0:
        return ""
    return (
        f"the posteriors of {share:.2g} of the rows are too narrow to be integrated for so many "
        "rows: the score is that of wider ones; score fewer rows"
    )


def joined(*reasons: str) -> str:
    """Return the reasons that are not empty, as one text."""
    return "; ".join(reason for reason in reasons if reason)
