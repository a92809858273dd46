"""The likelihood of an image under a decoder's output: log p(x|z), and its mean E[x|z]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from metrics.gaussian import LOG_2PI

LikelihoodName = Literal["bernoulli", "gaussian", "gaussian_learned"]
LIKELIHOODS: tuple[LikelihoodName, ...] = get_args(LikelihoodName)


class Likelihood(NamedTuple):
    """A family p(x|z), given by the decoder's output and one log standard deviation."""

    log_prob: Callable[[Tensor, Tensor, Tensor], Tensor]
    """(output, images, log sigma) -> (B,), nats, summed over all pixels."""

    mean: Callable[[Tensor], Tensor]
    """output -> E[x|z], images in [0, 1]."""

    sigma: float
    """Of every pixel; the initial value if it is learned; without effect for a Bernoulli."""

    learned: bool
    """Whether sigma is a weight."""


def likelihood(name: LikelihoodName, sigma: float = 1.0) -> Likelihood:
    """Return a likelihood by name.

    - "bernoulli": the output is the logits of the pixels.
    - "gaussian": N(output, sigma²) for every pixel.
    - "gaussian_learned": the same with one sigma for all pixels, trained with the weights from the
      initial value `sigma` (the σ-VAE of Rybkin et al. 2021, arXiv:2006.13202).

    Raises:
        ValueError: no likelihood has this name, or sigma is not positive and finite.
    """
    if name not in LIKELIHOODS:
        raise ValueError(f"likelihood must be one of {', '.join(LIKELIHOODS)}, got {name!r}")
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma must be > 0 and finite, got {sigma}")
    if name == "bernoulli":
        return Likelihood(_bernoulli, torch.sigmoid, sigma, learned=False)
    return Likelihood(gaussian, _clipped, sigma, learned=name == "gaussian_learned")


def bernoulli(logits: Tensor, images: Tensor) -> Tensor:
    """Return Σ over pixels of x·log s + (1−x)·log(1−s), s = sigmoid(logits), per image (B,), nats.

    For binary pixels this is log p(x|z). For grey pixels in (0, 1) it is the cross-entropy that is
    usual in the field, which is no normalised density. Logits of 0 give −ln 2 per pixel.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, images, reduction="none")
    return -entropy.flatten(1).sum(1)


def _bernoulli(logits: Tensor, images: Tensor, log_sigma: Tensor) -> Tensor:
    del log_sigma  # a Bernoulli does not have one
    return bernoulli(logits, images)


def gaussian(mean: Tensor, images: Tensor, log_sigma: Tensor) -> Tensor:
    """Return Σ over pixels of ln N(x; mean, σ²) per image (B,), nats, constants included."""
    scaled = ((images - mean) * (-log_sigma).exp()).flatten(1)
    return -0.5 * (scaled.square() + 2 * log_sigma + LOG_2PI).sum(1)


def _clipped(mean: Tensor) -> Tensor:
    return mean.clamp(0, 1)
