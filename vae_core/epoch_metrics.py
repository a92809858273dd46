"""The metrics in the report of every epoch: better end, unit, title and definition of each."""

from __future__ import annotations

from typing import Literal, NamedTuple

_NATS = "nats per image"


class EpochMetric(NamedTuple):
    """The properties of one metric that `evaluation.epoch_scores.evaluate` returns."""

    better: Literal["max", "min"] | None
    """The better end of its values; None if neither end is better."""

    unit: str
    """The unit of its values, "" if there is none."""

    title: str
    """Its name in figures and tables."""

    definition: str
    """Its definition in one line."""

    exact: bool = False
    """Whether the images determine it: nothing is sampled or integrated. The others have an error,
    reported as `<key>_error`."""

    needs_factors: bool = False
    """Whether only data sets with ground-truth factors have it."""

    needs_discrete: bool = False
    """Whether only objectives with discrete codes have it."""


EPOCH_METRICS: dict[str, EpochMetric] = {
    "reconstruction": EpochMetric(
        better="min",
        unit=_NATS,
        title="reconstruction",
        definition="−E log p(x|z), one z per image",
    ),
    "kl": EpochMetric(
        better="min",
        unit=_NATS,
        title="KL",
        definition="KL(q(z|x) ‖ p(z)) in closed form, mean over images",
        exact=True,
    ),
    "kl_discrete": EpochMetric(
        better="min",
        unit=_NATS,
        title="KL of the discrete codes",
        definition="KL(q(c|x) ‖ uniform) of the discrete codes c, mean over images",
        needs_discrete=True,
        exact=True,
    ),
    "elbo": EpochMetric(
        better="max",
        unit=_NATS,
        title="ELBO",
        definition="−(reconstruction + KL + KL of the discrete codes)",
    ),
    "mi": EpochMetric(
        better="max",
        unit=_NATS,
        title="mutual information",
        definition="I(x; z) under q, from the full mixture over the images",
    ),
    "tc": EpochMetric(
        better="min",
        unit=_NATS,
        title="total correlation",
        definition="KL(q(z) ‖ Π q(z_j)), from the full mixture over the images",
    ),
    "dimwise_kl": EpochMetric(
        better="min",
        unit=_NATS,
        title="dimension-wise KL",
        definition="Σ KL(q(z_j) ‖ p(z_j)), from the full mixture over the images",
    ),
    "mig": EpochMetric(
        better="max",
        unit="",
        title="MIG",
        definition=(
            "for each factor, the gap in mutual information between its two most informative "
            "latents, divided by the entropy of the factor; mean over factors"
        ),
        needs_factors=True,
    ),
    "active_units": EpochMetric(
        better=None,
        unit="",
        title="active units",
        definition="number of latents that may carry more than .01 nats about the image",
        exact=True,
    ),
}
"""Every metric of an epoch by its key, in the order of the tables.

The error of a metric that is not exact is under `<key>_error`; it is no metric of its own.
An epoch also reports `FLOOR`, if there is a floor; `effective_images`, if factors are correlated;
and numbers of each factor and latent under keys with a slash (`information/<factor>`)."""

FLOOR = "reconstruction_floor"
"""The key of the lowest reconstruction that any model can reach on the same images.

It is reported if it exists and is not 0: with a Bernoulli likelihood for grey pixels, with a
Gaussian one for every fixed sigma."""

COMMON_METRICS = tuple(name for name, metric in EPOCH_METRICS.items() if not metric.needs_discrete)
"""The metrics that every objective reports."""
