"""What a metric is given (codes, factors) and what it gives back (a score).

Arrays are numpy at this border; torch is an implementation detail of the functions behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


MAX_LOGVAR = 300.0
"""Largest log variance, of either sign: squares of what is beyond leave the range of float64."""


@dataclass(frozen=True)
class Codes:
    """Posterior parameters of N images, one row per image: q(z | x_n) = prod_j N(mean_nj, exp(logvar_nj)).

    Args:
        mean: (N, d) posterior means, float32 or float64.
        logvar: (N, d) log variances (natural log of the variance, not of the standard deviation), or None for
            deterministic codes; a metric that needs a posterior then says so.
        discrete: (N, m) integer codes, or None.

    Raises:
        TypeError: an array is not of a numeric kind.
        ValueError: shapes disagree, or a value is not finite.
    """

    mean: Array
    logvar: Array | None = None
    discrete: Array | None = None

    def __post_init__(self) -> None:
        _require_matrix("codes.mean", self.mean, kinds="f")
        if self.logvar is not None:
            _require_matrix("codes.logvar", self.logvar, kinds="f")
            if self.logvar.size and float(np.abs(self.logvar).max()) > MAX_LOGVAR:
                raise ValueError(
                    f"codes.logvar must lie within +-{MAX_LOGVAR:g} (natural log of a variance), got values from "
                    f"{self.logvar.min():g} to {self.logvar.max():g}"
                )
            if self.logvar.shape != self.mean.shape:
                raise ValueError(
                    f"codes.logvar must have the shape of codes.mean {self.mean.shape}, got {self.logvar.shape}"
                )
        if self.discrete is not None:
            _require_matrix("codes.discrete", self.discrete, kinds="iu")
            if len(self.discrete) != len(self.mean):
                raise ValueError(
                    f"codes.discrete must have {len(self.mean)} rows, got {len(self.discrete)}"
                )

    def __len__(self) -> int:
        return len(self.mean)


@dataclass(frozen=True)
class Factors:
    """Ground-truth factors of N images, one row per image.

    Args:
        values: (N, K) integer levels; column k lies in [0, sizes[k]).
        names: K names.
        sizes: K numbers of levels of the full data set (a subset may show fewer).
        weights: (N,) how often each row counts, >= 0, in any unit; None where all count alike. For factors that do not
            come as a uniform draw: entropies and mixtures are then of the weighted distribution.

    Raises:
        TypeError: values are not integers, or weights not floats.
        ValueError: they disagree, a level lies outside its range, or a weight is negative or all are zero.
    """

    values: Array
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    weights: Array | None = None

    def __post_init__(self) -> None:
        _require_matrix("factors.values", self.values, kinds="iu")
        columns = self.values.shape[1]
        if not columns == len(self.names) == len(self.sizes):
            raise ValueError(
                f"factors need one name and one size per column, got {columns} columns, "
                f"{len(self.names)} names and {len(self.sizes)} sizes"
            )
        for k, (name, size) in enumerate(zip(self.names, self.sizes, strict=True)):
            low, high = (
                (int(self.values[:, k].min()), int(self.values[:, k].max()))
                if len(self.values)
                else (0, 0)
            )
            if low < 0 or high >= size:
                raise ValueError(
                    f"factor {name!r} must lie in [0, {size}), got levels from {low} to {high}"
                )
        if self.weights is not None:
            require_weights("factors.weights", self.weights, len(self.values))

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Score:
    """A number with what is needed to trust it.

    Args:
        value: the score; never NaN without `details["reason"]`.
        error: standard error where the estimate is sampled, or the estimated integration error;
            None if exact.
        chance: mean score over seeded permutations of the factor rows; None where no factors are used.
        ceiling: score of the factors' own codes; None where no factors are used.
        details: what the number was made of (arrays and floats). Of them `excluded` says in words what was left out
            and why, by the name of a factor or by "latent 3", and `reason` why a value is NaN or a convention.
        identity: estimator, options and sizes: two scores may be compared only when these are equal.
    """

    value: float
    error: float | None = None
    chance: float | None = None
    ceiling: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    identity: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Inputs:
    """What `metrics.score` hands to a metric's function, already checked against the metric's `needs`.

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
    """A row of the registry.

    Args:
        function: `function(inputs, **options) -> Score`; see `metrics.score`. Every option is
            keyword-only with a default.
        needs: what must be given, of "mean", "posterior" (mean and logvar), "discrete" (integer codes), "factors",
            "images", "reconstructions", "others" (codes of other models on the same images).
        range: smallest and largest possible value.
        better: "max", "min", or "none" where neither end is better.
        tier: "epoch" (well under a second on 4,096 images), "trial" (seconds, once at the end),
            "sweep" (after it).
        unit: "nats per image", "score", "latents" …
        invariant: what the value does not depend on, of "order" (of latents), "levels" (names of a factor's levels),
            "dead" (further latents that are the prior whatever the image), "scale" (of each latent, as long as none
            falls below the threshold of dead ones). Claims for the default options, which the tests hold it to.
        weighted: whether it takes factors with weights.
        variants: other ways of computing it, by name: their options. `score("sap.dlib", …)` is `sap` with the options
            of its variant `dlib`, the way that disentanglement_lib publishes it.
    """

    function: Callable[..., Score]
    needs: frozenset[str]
    range: tuple[float, float]
    better: Literal["max", "min", "none"]
    tier: Literal["epoch", "trial", "sweep"]
    unit: str
    invariant: frozenset[str] = frozenset()
    weighted: bool = False
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


def _require_matrix(name: str, array: Array, *, kinds: str) -> None:
    wanted = {"f": "float32 or float64", "iu": "integers"}[kinds]
    # A caller without types may hand anything in: the border is where that is said.
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:  # pyright: ignore
        raise TypeError(
            f"{name} must be a numpy array of {wanted}, got {getattr(array, 'dtype', type(array).__name__)}"
        )
    if array.ndim != 2:
        raise ValueError(f"{name} must have two axes (images, columns), got shape {array.shape}")
    if kinds == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).any(axis=1).sum())
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {bad} of {len(array)} rows"
        )


def require_weights(name: str, weights: Array, rows: int) -> None:
    """Raise where weights are not one number >= 0 for every row, with one above it: TypeError for a wrong kind."""
    if not isinstance(weights, np.ndarray) or weights.dtype.kind != "f":  # pyright: ignore
        raise TypeError(
            f"{name} must be a numpy array of floats, got {getattr(weights, 'dtype', type(weights).__name__)}"
        )
    if weights.shape != (rows,):
        raise ValueError(f"{name} must have the shape ({rows},), one per row, got {weights.shape}")
    if not np.isfinite(weights).all() or weights.min(initial=0.0) < 0 or not weights.sum() > 0:
        raise ValueError(f"{name} must be finite and >= 0, and not all zero")
