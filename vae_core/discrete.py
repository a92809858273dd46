"""Discrete latents: several one-hot blocks side by side, given by their numbers of categories."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def blocks(x: Tensor, categories: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the columns of each latent, (B, K) each."""
    return torch.split(x, list(categories), 1)


def kl(logits: Tensor, categories: Sequence[int]) -> Tensor:
    """Return the KL of categorical posteriors from the uniform prior, Σ over latents of

        ln K + Σ_k a_k ln a_k,  a = softmax(logits): exact probabilities, no Gumbel sample.

    It is at most Σ ln K.

    Args:
        logits: (B, sum of K).
        categories: K of each latent.

    Returns:
        (B,) nats per image.
    """
    total = logits.new_zeros(logits.shape[0])
    for block in blocks(logits, categories):
        log_a = block.log_softmax(1)
        total = total + math.log(block.shape[1]) + (log_a.exp() * log_a).sum(1)
    return total


def relaxed(
    logits: Tensor, gumbel: Tensor, categories: Sequence[int], temperature: float | Tensor
) -> Tensor:
    """Return the Gumbel-softmax samples softmax((logits + g)/τ) of each latent, (B, sum of K).

    They become one-hot as τ -> 0.

    Source: Jang et al. 2017 (arXiv:1611.01144), eq. 2; Maddison et al. 2017 (arXiv:1611.00712).
    """
    tempered = (logits + gumbel) / temperature
    return torch.cat([block.softmax(1) for block in blocks(tempered, categories)], 1)


def most_likely(logits: Tensor, categories: Sequence[int]) -> Tensor:
    """Return the one-hot code of each latent's largest logit, (B, sum of K) like the logits."""
    one_hot_blocks = [
        functional.one_hot(block.argmax(1), block.shape[1]) for block in blocks(logits, categories)
    ]
    return torch.cat(one_hot_blocks, 1).to(logits)


def levels(code: Tensor, categories: Sequence[int]) -> Tensor:
    """Return the category of each latent of one-hot codes, (B, latents) int64.

    A block of zeros counts as category 0.
    """
    return torch.stack([block.argmax(1) for block in blocks(code, categories)], 1)


def standard_gumbel(size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return draws of the standard Gumbel distribution, −ln E with E exponential."""
    exponential = torch.empty(size).exponential_(generator=generator)
    # The smallest normal float32 instead of 0, so that no draw exceeds 87.
    exponential.clamp_(min=torch.finfo(torch.float32).tiny)
    return -exponential.log()
