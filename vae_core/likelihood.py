"""The likelihood of an image under a decoder's output: log p(x|z), and its mean E[x|z]."""

from __future__ import annotations

import functools
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

    floor: Callable[[float, int], float]
    """(mean entropy of the pixels of an image, number of pixels) -> the lowest possible
    −E log p(x|z), nats per image; −inf if there is none.

    The entropy is `Data.floor`, or the mean of `Data.entropies` over the images in question."""

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
        return Likelihood(_bernoulli, torch.sigmoid, _bernoulli_floor, sigma, learned=False)
    if name == "gaussian_learned":
        return Likelihood(gaussian, _clipped, _no_floor, sigma, learned=True)
    floor = functools.partial(_gaussian_floor, sigma)
    return Likelihood(gaussian, _clipped, floor, sigma, learned=False)


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


def _bernoulli_floor(entropy: float, pixels: int) -> float:
    """Return the cross-entropy of grey images with themselves: their entropy."""
    del pixels  # they are in the entropy
    return entropy


def _gaussian_floor(sigma: float, entropy: float, pixels: int) -> float:
    """Return −ln N(x; x, sigma²) of an image that is reconstructed without error."""
    del entropy  # a density does not have this floor
    return pixels * (math.log(sigma) + 0.5 * LOG_2PI)


def _no_floor(entropy: float, pixels: int) -> float:
    """Return −inf: with better reconstructions the learned sigma goes to 0."""
    del entropy, pixels
    return -math.inf


def _clipped(mean: Tensor) -> Tensor:
    return mean.clamp(0, 1)
