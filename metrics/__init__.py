"""Estimators of disentanglement: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any

from metrics import (
    accuracy,
    beta_vae,
    dci,
    density_ratio,
    elbo,
    explicitness,
    factor_vae,
    gaussian,
    inputs,
    irs,
    med,
    mig,
    mig_hist,
    mig_sup,
    minibatch,
    modularity,
    moments,
    reconstruction,
    rmig,
    sap,
    sharpness,
    udr,
    weights,
)
from metrics import reference as _reference
from metrics.chain_rule import Chain, GroupInformation, chain, information_of_group
from metrics.elbo import ElboDecomposition, elbo_decomposition
from metrics.types import MAX_LOGVAR, Array, Codes, Factors, Inputs, Metric, Score
from metrics.weights import effective_rows

_GROUND_TRUTH = frozenset({"mean", "factors"})

METRICS: dict[str, Metric] = {
    "mig": Metric(
        mig.mig,
        frozenset({"posterior", "factors"}),
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        weighted=True,
        variants={"monte_carlo": {"estimator": "monte_carlo"}, "entropy_weighted": {"average": "entropy"}},
    ),
    "mig_chen4": Metric(
        mig.mig_chen4,
        frozenset({"posterior", "factors"}),
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        weighted=True,
        variants={"monte_carlo": {"estimator": "monte_carlo"}},
    ),
    "mig_hist20": Metric(
        mig_hist.mig_hist20,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        weighted=True,
        variants={"dlib": {"protocol": "dlib"}, "entropy_weighted": {"average": "entropy"}},
    ),
    "mig_sup": Metric(
        mig_sup.mig_sup,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead"}),
        weighted=True,
        variants={"monte_carlo": {"estimator": "monte_carlo"}, "histogram": {"estimator": "histogram"}},
    ),
    "rmig": Metric(
        rmig.rmig,
        frozenset({"posterior", "factors"}),
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead"}),
        weighted=True,
    ),
    "jemmig": Metric(
        rmig.jemmig,
        frozenset({"posterior", "factors"}),
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead"}),
        weighted=True,
    ),
    "med": Metric(
        med.med,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        weighted=True,
        variants={
            "histogram": {"estimator": "histogram"},
            "published": {"estimator": "histogram", "normalise": "sum"},
        },
    ),
    "elbo": Metric(
        elbo.elbo,
        frozenset({"posterior"}),
        (-inf, inf),
        "none",
        "epoch",
        "nats per image",
        invariant=frozenset({"order", "dead"}),
        weighted=True,
        variants={"chain": {"chain": True}},
    ),
    "gaussian_tc": Metric(
        moments.gaussian_tc,
        frozenset({"posterior"}),
        (0, inf),
        "min",
        "epoch",
        "nats",
        invariant=frozenset({"order", "dead", "scale"}),
        weighted=True,
    ),
    "density_ratio_tc": Metric(
        density_ratio.density_ratio_tc,
        frozenset({"posterior"}),
        (-inf, inf),  # an estimate of what is >= 0
        "min",
        "trial",
        "nats",
        invariant=frozenset({"order", "dead", "scale"}),
    ),
    "dci": Metric(
        dci.dci,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "trial",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        variants={
            "forest": {"model": "forest", "train_rows": 3_000, "test_rows": 2_000, "trees": 10, "min_leaf": 5},
            "published": {
                "model": "published",
                "train_rows": 10_000,
                "test_rows": 5_000,
                "trees": 100,
                "min_leaf": 1,
            },
            "lasso": {"model": "lasso", "train_rows": 10_000, "test_rows": 5_000},
            "linear": {"model": "linear", "train_rows": 10_000, "test_rows": 5_000},
        },
    ),
    "sap": Metric(
        sap.sap,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "dead", "scale"}),
        variants={"dlib": {"protocol": "dlib"}},
    ),
    "modularity": Metric(
        modularity.modularity,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead"}),
        variants={"posterior": {"estimator": "posterior"}, "dlib": {"over": "all"}},
    ),
    "explicitness": Metric(
        explicitness.explicitness,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "trial",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        variants={"multinomial": {"classifier": "multinomial"}, "auc": {"scaled": False}},
    ),
    "factor_vae": Metric(
        factor_vae.factor_vae,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "trial",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        variants={
            "in_sample": {"protocol": "in_sample", "train_votes": 800, "group": 100},
            "lecture": {"protocol": "in_sample", "train_votes": 800, "group": 1_000, "normalise": False},
            "dlib": {"if_dead": 0.0},
            "snu": {
                "protocol": "in_sample",
                "train_votes": 800,
                "group": 100,
                "stratified": True,
                "min_std": 0.0,
                "min_kl": 0.1,
            },
        },
    ),
    "beta_vae": Metric(
        beta_vae.beta_vae,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "trial",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
        variants={
            "dlib": {"standardise": False, "min_std": 0.0},
            "svm": {"classifier": "svm"},
            "trento": {"classifier": "svm", "reduce": "sum", "standardise": False, "min_std": 0.0},
        },
    ),
    "irs": Metric(
        irs.irs,
        _GROUND_TRUTH,
        (0, 1),
        "max",
        "trial",
        "score",
        invariant=frozenset({"order", "levels", "dead"}),
        variants={"paper": {"quantile": 1.0}},
    ),
    "udr": Metric(
        udr.udr,
        frozenset({"mean", "others"}),
        (0, 1),
        "max",
        "sweep",
        "score",
        invariant=frozenset({"order", "dead"}),
        variants={"lasso": {"similarity": "lasso"}},
    ),
    "accuracy": Metric(
        accuracy.accuracy,
        frozenset({"discrete", "factors"}),
        (0, 1),
        "max",
        "epoch",
        "score",
        invariant=frozenset({"order", "levels", "dead", "scale"}),
    ),
    "active_units": Metric(
        moments.active_units,
        frozenset({"mean"}),
        (0, inf),
        "none",
        "epoch",
        "latents",
        invariant=frozenset({"order", "dead"}),
        weighted=True,
        variants={"mixed": {"discrete": True}},
    ),
    "reconstruction": Metric(
        reconstruction.reconstruction,
        frozenset({"images", "reconstructions"}),
        (0, inf),
        "min",
        "epoch",
        "nats per image",
    ),
    "sharpness": Metric(
        sharpness.sharpness,
        frozenset({"images", "reconstructions"}),
        (0, inf),
        "max",
        "epoch",
        "squared grey levels",
    ),
}


def find(name: str) -> Metric:
    """The row of `METRICS` that a name, or a name with a variant, stands for; ValueError if it is unknown."""
    return inputs.find(name, METRICS)[0]


def names() -> tuple[str, ...]:
    """Every name that `score` takes: metrics, and metrics with a variant."""
    return inputs.names(METRICS)


def score(
    name: str,
    codes: Codes,
    factors: Factors | None = None,
    *,
    images: Array | None = None,
    reconstructions: Array | None = None,
    others: Sequence[Codes] = (),
    seed: int = 0,
    reference: bool = True,
    **options: Any,
) -> Score:
    """Score codes with one metric of `METRICS`.

    Args:
        name: a key of `METRICS`, or `metric.variant` with one of its variants.
        codes: codes of N images.
        factors: ground truth of the same N images, in the same order; where the metric needs it.
        images: (N, …) pixel values in [0, 1]; where needed.
        reconstructions: probabilities in the shape of `images`; where needed.
        others: codes of other models on the same images; where needed.
        seed: of every draw the metric makes.
        reference: also find chance and ceiling: six more scores on codes of the factors themselves, once per
            metric, factors and options in a process. False leaves both None.
        options: the metric's own, by keyword.

    Raises:
        ValueError: unknown metric, missing input, or numbers of rows that differ.
        TypeError: an option the metric does not have.
    """
    metric, variant = inputs.find(name, METRICS)
    chosen = inputs.complete_options(name, metric, {**variant, **options})
    given = Inputs(codes, factors, images, reconstructions, tuple(others), seed)
    inputs.check(name, metric, given)
    result = metric.function(given, **chosen)
    chance = ceiling = None
    if reference and factors is not None:
        chance, ceiling = _reference.reference(name, metric, factors, chosen)
    identity = {"metric": name, **result.identity, **chosen, "images": len(codes)}
    if "factors" in metric.needs and factors is not None:
        identity["factors"] = factors.names
    if factors is not None and factors.weights is not None:
        identity["weights"] = weights.name(factors.weights)
    return replace(result, chance=chance, ceiling=ceiling, identity=identity)


__all__ = [
    "MAX_LOGVAR",
    "METRICS",
    "Chain",
    "Codes",
    "ElboDecomposition",
    "Factors",
    "GroupInformation",
    "Inputs",
    "Metric",
    "Score",
    "chain",
    "effective_rows",
    "elbo_decomposition",
    "find",
    "gaussian",
    "information_of_group",
    "minibatch",
    "names",
    "score",
]
