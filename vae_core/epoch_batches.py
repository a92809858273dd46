"""The batches of an epoch: the order of its images, and the noise that belongs to each batch."""

# torch's own hints are partial (`split`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_core import random_draws
from vae_core.config import TrialConfig
from vae_core.discrete import standard_gumbel
from vae_core.feed import Feed
from vae_core.types import Batch, Noise, Wiring

GATHERED = 1024
"""Number of images that are unpacked at the same time.

Their memory is then reused; with 8,192 the cost per image was four times as high."""


def epoch_batches(
    config: TrialConfig,
    feed: Feed,
    *,
    latents: int,
    distribution: NDArray[np.float64] | None,
    epoch: int,
    steps: int,
) -> Iterator[tuple[Batch, Noise]]:
    """Yield the batches of an epoch in its order, each with its noise, on the device of the feed.

    Args:
        config: `seed`, `train.batch_size` and the objective's wiring are used.
        feed: the images.
        latents: d, the number of continuous latents.
        distribution: p (N,) of the images; None: each image at most once.
        epoch: number of the epoch, from 1.
        steps: number of batches.
    """
    seed, size, wiring = config.seed, config.train.batch_size, config.objective.wiring
    device = feed.images.device

    def draw_rows(purpose: str) -> Tensor:
        # N is the size of the data set (`Context.n_data`) also where rows are drawn from p. For a
        # batch from p the mean of q(z|x_b) still estimates q(z) = Σ p_n q(z|x_n), so MWS estimates
        # the same quantity, and its ln N is a constant without a gradient. MSS gives the sample's
        # own posterior the share 1/N, where p_n would be correct.
        generator = random_draws.generator(seed, purpose, epoch)
        return random_draws.rows(steps * size, generator, p=distribution, size=len(feed))

    noises = _noises(wiring, size, latents, seed, epoch)
    chunk = max(GATHERED // size, 1) * size
    seconds: Iterable[Tensor | None] = itertools.repeat(None)
    if wiring.second_batch:
        seconds = draw_rows("second order").split(chunk)
    for rows, second in zip(draw_rows("order").split(chunk), seconds, strict=False):
        gathered = feed.batch(rows, second)
        drawn = list(itertools.islice(noises, len(rows) // size))
        noise = Noise(*(torch.stack(draws).to(device) for draws in zip(*drawn, strict=True)))
        for k in range(len(drawn)):
            batch = Batch(*(field[k * size : (k + 1) * size] for field in gathered))
            yield batch, Noise(*(draws[k] for draws in noise))


def _noises(wiring: Wiring, size: int, latents: int, seed: int, epoch: int) -> Iterator[Noise]:
    """Yield the noise of an epoch batch by batch.

    So the draws do not depend on the number of batches that are gathered at the same time.
    """
    purposes = ("posterior", "second posterior", "gumbel", "permutation", "prior", "decoder noise")
    normal, second, gumbel, permutation, prior, decoder = (
        random_draws.generator(seed, name, epoch) for name in purposes
    )
    categories, absent = sum(wiring.infers_code), torch.zeros(0, latents)
    while True:
        noise = Noise(
            torch.randn(size, latents, generator=normal),
            second=absent,
            gumbel=torch.zeros(size, 0),
            permutation=absent.long(),
            prior=absent,
            decoder=torch.randn(size, wiring.reads_noise, generator=decoder),
        )
        if wiring.second_batch:
            noise = noise._replace(second=torch.randn(size, latents, generator=second))
        if categories:
            noise = noise._replace(gumbel=standard_gumbel((size, categories), gumbel))
        if wiring.adversary:
            order = torch.rand(size, latents, generator=permutation).argsort(0)
            noise = noise._replace(permutation=order)
        if wiring.judges_images:
            noise = noise._replace(prior=torch.randn(size, latents, generator=prior))
        yield noise
