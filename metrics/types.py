"""What a metric takes (codes, factors) and what it returns (a score).

These classes hold numpy arrays. Torch is an implementation detail of the functions behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Table = Array | Sequence[Sequence[float]]
"""Numbers with two axes, as an array or as a list of rows."""

MAX_LOGVAR = 300.0
"""Largest log variance, of either sign: squares of larger ones leave the range of float64."""


@dataclass(frozen=True, init=False)
class Codes:
    """Posterior parameters of N images: q(z | x_n) = prod_j N(mean_nj, exp(logvar_nj)).

    Every argument is an array, or a list of rows that becomes one (whole numbers in `mean` or
    `logvar` of a list become float64).

    Args:
        mean: (N, d) posterior means, float32 or float64, one row per image.
        logvar: (N, d) log variances (natural log of the variance, not of the standard deviation),
            or None for deterministic codes; a metric that needs posteriors refuses those.
        discrete: (N, m) integer codes, or None.

    Raises:
        TypeError: an array does not hold numbers of its kind.
        ValueError: shapes disagree, or a value is not finite.
    """

    mean: Array
    logvar: Array | None = None
    discrete: Array | None = None

    def __init__(
        self, mean: Table, logvar: Table | None = None, discrete: Table | None = None
    ) -> None:
        means = _matrix("codes.mean", mean, kinds="f")
        object.__setattr__(self, "mean", means)
        object.__setattr__(self, "logvar", None if logvar is None else _logvar(logvar, means))
        object.__setattr__(
            self, "discrete", None if discrete is None else _discrete(discrete, len(means))
        )

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True, init=False)
class Factors:
    """Ground-truth factors of N images, one row per image.

    Arrays may be given as lists; names and sizes may be any sequences, and become tuples.

    Args:
        values: (N, K) integer levels; column k lies in [0, sizes[k]).
        names: K names.
        sizes: K numbers of levels of the full data set (a subset may show fewer).
        weights: (N,) how often each row counts, >= 0, in any unit; None if all count alike.
            For factors that are not drawn uniformly: all entropies and mixtures are then those of
            the weighted distribution.

    Raises:
        TypeError: values are not integers, or weights not floats.
        ValueError: numbers of columns, names and sizes differ, a level lies outside its range, a
            weight is negative, or all weights are zero.
    """

    values: Array
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    weights: Array | None = None

    def __init__(
        self,
        values: Table,
        names: Sequence[str],
        sizes: Sequence[int],
        weights: Array | Sequence[float] | None = None,
    ) -> None:
        object.__setattr__(self, "values", _matrix("factors.values", values, kinds="iu"))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "sizes", tuple(sizes))
        self._check_levels()
        if weights is not None:
            weights = _as_array("factors.weights", weights, kinds="f")
            require_weights("factors.weights", weights, len(self.values))
        object.__setattr__(self, "weights", weights)

    def __len__(self) -> int:
        return len(self.values)

    def _check_levels(self) -> None:
        """Raise ValueError if a column has no name or size, or a level outside its range."""
        columns = self.values.shape[1]
        if not columns == len(self.names) == len(self.sizes):
            raise ValueError(
                f"factors need one name and one size per column, got {columns} columns, "
                f"{len(self.names)} names and {len(self.sizes)} sizes"
            )
        for column, name, size in zip(self.values.T, self.names, self.sizes, strict=True):
            low = int(column.min()) if len(column) else 0
            high = int(column.max()) if len(column) else 0
            if low < 0 or high >= size:
                raise ValueError(
                    f"factor {name!r} must lie in [0, {size}), got levels from {low} to {high}"
                )


@dataclass(frozen=True)
class Score:
    """A number with what is needed to trust it.

    Args:
        value: the score; never NaN without a `reason`.
        error: standard error if the estimate is sampled, else the estimated error of integration;
            None if the value is exact.
        chance: mean score of codes that carry no information about the factors; None if the metric
            uses no factors.
        ceiling: score of the best code; None if the metric uses no factors, or if no code is known
            that comes near the largest possible value (`no_ceiling` says so).
        details: what the number was made of (arrays and floats), with `excluded` and `reason` if
            there are any.
        identity: estimator, options and sizes. Two scores compare only if these are equal.
        excluded: what was left out, by the name of a factor or by "latent 3", and why; empty if
            nothing was. Taken from `details` if not given.
        reason: why the value is NaN or a convention, else "". Taken from `details` if not given.
        chance_sd: standard deviation of the score of one code without information.
        no_ceiling: why there is no ceiling, "" if there is one or if none was asked for.
        of_factors: score of codes that are the factors, whether or not it is the ceiling. If chance
            is better, the factors or the rows are not what they should be.
    """

    value: float
    error: float | None = None
    chance: float | None = None
    ceiling: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    identity: Mapping[str, Any] = field(default_factory=dict[str, Any])
    excluded: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: str = ""
    chance_sd: float | None = None
    no_ceiling: str = ""
    of_factors: float | None = None

    def __post_init__(self) -> None:
        if not self.excluded:
            object.__setattr__(self, "excluded", self.details.get("excluded", {}))
        if not self.reason:
            object.__setattr__(self, "reason", self.details.get("reason", ""))


@dataclass(frozen=True)
class Inputs:
    """What `metrics.score` gives to a metric's function, already checked against its `needs`.

    Args:
        codes: the codes to score.
        factors: ground truth, one row per row of the codes, or None.
        images: (N, …) pixel values in [0, 1], or None.
        reconstructions: probabilities in the shape of `images`, or None.
        others: codes of other models on the same images.
        seed: of every draw the metric makes; never the training seed.
    """

    codes: Codes
    factors: Factors | None = None
    images: Array | None = None
    reconstructions: Array | None = None
    others: Sequence[Codes] = ()
    seed: int = 0


@dataclass(frozen=True)
class Metric:
    """One row of the registry.

    `needs` and `invariant` may be any collections of names, `range` any pair; they are stored as
    frozensets and a tuple.

    Args:
        function: `function(inputs, **options) -> Score`; see `metrics.score`. Every option is
            keyword-only and has a default.
        needs: what must be given, of "mean", "posterior" (mean and logvar), "discrete" (integer
            codes), "factors", "images", "reconstructions", "others" (codes of other models on the
            same images).
        range: smallest and largest possible value.
        better: "max", "min", or "none" if neither end is better.
        tier: "epoch" (well under a second on 4,096 images), "trial" (seconds, once at the end),
            "sweep" (after the sweep).
        unit: "nats per image", "score", "latents" …
        invariant: what the value does not depend on, of "order" (of latents), "levels" (names of a
            factor's levels), "dead" (more latents that equal the prior for every image), "scale"
            (of each latent with its posterior). These are
            claims about the default options, and the tests check them.
        weighted: whether it takes factors with weights.
        best_codes: built-in codes (`reference.ceiling.BUILT_IN_CODES`) that are tried for the
            ceiling, in this order.
        bound: `bound(factors, options)`: the largest value that any code can reach on these
            factors; None: the upper end of `range`.
        chance_draws: number of noise codes that the chance level is the mean of.
        keeps_dead: variants that see dead latents as they are, as the published code does.
        variants: other ways to compute the metric: from a name to options. `score("sap.dlib", …)`
            is `sap` with the options of its variant `dlib`, as disentanglement_lib publishes it.

    Raises:
        TypeError: `needs` or `invariant` is a single string.
    """

    function: Callable[..., Score]
    needs: frozenset[str]
    range: tuple[float, float]
    better: Literal["max", "min", "none"]
    tier: Literal["epoch", "trial", "sweep"]
    unit: str
    invariant: frozenset[str] = frozenset()
    weighted: bool = False
    best_codes: tuple[str, ...] = ("factors",)
    bound: Callable[[Factors, Mapping[str, Any]], float] | None = None
    chance_draws: int = 5
    keeps_dead: frozenset[str] = frozenset()
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", _set_of_names("metric.needs", self.needs))
        object.__setattr__(self, "invariant", _set_of_names("metric.invariant", self.invariant))
        low, high = self.range
        object.__setattr__(self, "range", (low, high))


def require_weights(name: str, weights: Array, rows: int) -> None:
    """Raise if weights are not one finite number >= 0 per row, with at least one above 0.

    Raises:
        TypeError: not an array of floats.
        ValueError: another shape, or values that are no weights.
    """
    if not isinstance(weights, np.ndarray) or weights.dtype.kind != "f":  # pyright: ignore
        raise TypeError(f"{name} must be a numpy array of floats, got {_kind(weights)}")
    if weights.shape != (rows,):
        raise ValueError(f"{name} must have the shape ({rows},), one per row, got {weights.shape}")
    if not np.isfinite(weights).all() or weights.min(initial=0.0) < 0 or not weights.sum() > 0:
        raise ValueError(f"{name} must be finite and >= 0, and not all zero")


def _logvar(logvar: Table, mean: Array) -> Array:
    array = _matrix("codes.logvar", logvar, kinds="f")
    if array.size and float(np.abs(array).max()) > MAX_LOGVAR:
        raise ValueError(
            f"codes.logvar must lie within +-{MAX_LOGVAR:g} (natural log of a variance), "
            f"got values from {array.min():g} to {array.max():g}"
        )
    if array.shape != mean.shape:
        raise ValueError(
            f"codes.logvar must have the shape of codes.mean {mean.shape}, got {array.shape}"
        )
    return array


def _discrete(discrete: Table, rows: int) -> Array:
    array = _matrix("codes.discrete", discrete, kinds="iu")
    if len(array) != rows:
        raise ValueError(f"codes.discrete must have {rows} rows, got {len(array)}")
    return array


def _matrix(name: str, values: Table, *, kinds: str) -> Array:
    """Return values as an array of two axes, of a kind in `kinds`: "f" floats, "iu" integers."""
    array = _as_array(name, values, kinds=kinds)
    kind_names = {"f": "float32 or float64", "iu": "integers"}[kinds]
    # Callers without type checks may give anything, and learn of it here.
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:  # pyright: ignore
        raise TypeError(
            f"{name} must be a numpy array or a list of rows of {kind_names}, got {_kind(array)}"
        )
    if array.ndim != 2:
        raise ValueError(f"{name} must have two axes (images, columns), got shape {array.shape}")
    if kinds == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {bad} of {len(array)} rows"
        )
    return array


def _as_array(name: str, values: Array | Sequence[Any], *, kinds: str) -> Array:
    """Return a sequence as an array; return anything else as it is, for the checks to judge.

    Whole numbers in a list become float64 where floats are wanted: a person types 0 for 0.0.
    """
    # Callers without type checks may give anything.
    if isinstance(values, np.ndarray | str) or not isinstance(values, Sequence):  # pyright: ignore
        return values  # pyright: ignore
    try:
        array: Array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must have rows of one length, got rows of several") from error
    return array.astype(np.float64) if kinds == "f" and array.dtype.kind in "iu" else array


def _kind(value: Any) -> Any:
    """Return what a message calls the kind of a value: its dtype, or the name of its type."""
    return getattr(value, "dtype", type(value).__name__)


def _set_of_names(field_name: str, names: Iterable[str]) -> frozenset[str]:
    """Return names as a frozenset; refuse a string, which would fall apart into letters."""
    if isinstance(names, str):
        raise TypeError(f"{field_name} must be a collection of names, got the string {names!r}")
    return frozenset(names)
