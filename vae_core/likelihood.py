"""What a decoder's output says about an image: log p(x|z) and E[x|z]."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Likelihood(NamedTuple):
    """A family p(x|z), read off the decoder's output."""

    log_prob: Callable[[Tensor, Tensor], Tensor]  # (output, images) -> (B,), nats summed over pixels
    mean: Callable[[Tensor], Tensor]  # output -> E[x|z], images in [0, 1]


def bernoulli(logits: Tensor, images: Tensor) -> Tensor:
    """Return sum over pixels of x·log s + (1−x)·log(1−s), s = sigmoid(logits), per image (B,), nats.

    For binary pixels this is log p(x|z); for grey ones in (0, 1) it is the field's usual cross-entropy, which
    is no normalised density. Logits 0 give −ln 2 per pixel.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, images, reduction="none")
    return -entropy.flatten(1).sum(1)


LIKELIHOODS: dict[str, Likelihood] = {"bernoulli": Likelihood(log_prob=bernoulli, mean=torch.sigmoid)}
