"""The forward pass of a model over images, without training: codes and reconstruction error."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import metrics
from metrics import Codes
from vae_core import discrete, random_draws
from vae_core.errors import Diverged
from vae_core.evaluation.image_weights import shares
from vae_core.feed import Feed
from vae_core.networks import Networks
from vae_core.objectives import AbstractObjective
from vae_core.types import Batch, Context, Posterior, Wiring

BATCH = 1024
"""Images per forward pass: large enough for the matrix products, and needs less memory than a
training step."""


TWICE = 128
"""Images that are decoded from a second z, so that the spread of −log p(x|z) over z is known. It is
then known to about 6 %."""


class Model(NamedTuple):
    """A model to evaluate: networks, objective, the data that they read, and the training step."""

    nets: Networks
    objective: AbstractObjective
    feed: Feed
    ctx: Context


class Encoded(NamedTuple):
    """The result of a forward pass over a set of images."""

    codes: Codes

    reconstruction: float
    """−E log p(x|z), nats per image."""

    reconstruction_error: float
    """Its standard error: the images are given, and one z of each is drawn."""

    kl_discrete: float
    """KL of the discrete latents from uniform priors, nats per image."""


@contextmanager
def evaluating(nets: Networks) -> Generator[None]:
    """Let batch normalisation use its running statistics without changing them."""
    nets.eval()
    try:
        yield
    finally:
        nets.train()


@torch.no_grad()
def encode(model: Model, indices: NDArray[np.int64], *, seed: int, moment: str = "") -> Encoded:
    """Return codes and reconstruction error of images.

    The reconstruction is that of one sample of every latent, continuous and inferred discrete ones.
    Image n always gets the same noise: row n of one draw. The codes are posterior means and most
    likely categories. If images are weighted, the averages are weighted too.

    Raises:
        Diverged: a code or the reconstruction is not finite; the message repeats `moment`.
    """
    rows = torch.from_numpy(indices)
    nets, categories = model.nets, model.nets.wiring.reads_code
    noise, gumbel = _evaluation_noise(model, seed, len(model.feed))
    means: list[Tensor] = []
    logvars: list[Tensor] = []
    levels: list[Tensor] = []
    totals = torch.zeros(2, dtype=torch.float64)  # −log p(x|z), KL of the discrete latents
    with evaluating(nets):
        for batch_rows, counts in zip(
            rows.split(BATCH), _counts(model.feed, indices), strict=False
        ):
            posterior, batch = coded(model, model.feed.batch(batch_rows))
            log_p = _sampled_log_likelihood(
                nets, posterior, batch, noise[batch_rows], gumbel[batch_rows]
            )
            totals[0] -= (log_p.double() * counts).sum().cpu()
            means.append(posterior.mean.cpu())
            logvars.append(posterior.logvar.cpu())
            if categories:
                kl = _discrete_kl(posterior, batch, nets.wiring)
                totals[1] += (kl.double() * counts).sum().cpu()
                levels.append(discrete.levels(batch.code, categories).cpu())
    mean, logvar = torch.cat(means), torch.cat(logvars)
    reconstruction, kl_discrete = (totals / len(rows)).tolist()
    finite = {
        "mean": mean.isfinite().all(),
        "logvar": (logvar.abs() <= metrics.MAX_LOGVAR).all(),  # false for NaN too
        "reconstruction": np.isfinite(reconstruction),
    }
    for term, is_finite in finite.items():
        if not is_finite:
            raise Diverged(
                f"training diverged: evaluated {term} is not finite after {moment or 'training'}"
            )
    codes = Codes(mean.numpy(), logvar.numpy(), torch.cat(levels).numpy() if categories else None)
    error = _reconstruction_error(model, indices, seed)
    return Encoded(codes, reconstruction, error, kl_discrete)


def _reconstruction_error(model: Model, indices: NDArray[np.int64], seed: int) -> float:
    """Return the standard error of the mean of −log p(x|z) over images with one z each, nats.

    With shares p_n of the images it is sqrt(Σ p_n² v_n), where v_n is the variance over z. Of some
    images, evenly spaced, two z are drawn: half the squared difference has the mean v_n.
    """
    step = max(1, len(indices) // TWICE)
    p = shares(model.feed.data, indices)
    squares = np.full(len(indices), len(indices) ** -2.0) if p is None else np.square(p)
    twice, of_twice = torch.from_numpy(indices[::step]), squares[::step]
    if not of_twice.any():  # none of these images has weight
        twice, of_twice = torch.from_numpy(indices), squares
    log_p: list[Tensor] = []
    with evaluating(model.nets):
        for draw in ("", ", second"):
            noise, gumbel = _evaluation_noise(model, seed, len(twice), draw=draw)
            batches = zip(twice.split(BATCH), noise.split(BATCH), gumbel.split(BATCH), strict=True)
            parts: list[Tensor] = []
            for rows, normal, of_codes in batches:
                posterior, batch = coded(model, model.feed.batch(rows))
                parts.append(
                    _sampled_log_likelihood(model.nets, posterior, batch, normal, of_codes)
                )
            log_p.append(torch.cat(parts).double().cpu())
    variances = 0.5 * (log_p[0] - log_p[1]).square().numpy()
    return float(np.sqrt(squares.sum() * (of_twice @ variances) / of_twice.sum()))


def _evaluation_noise(
    model: Model, seed: int, images: int, *, draw: str = ""
) -> tuple[Tensor, Tensor]:
    """Return standard normal (N, d) and Gumbel (N, width) draws for a number of images.

    Args:
        model: the model.
        seed: of the evaluation.
        images: N.
        draw: which draw; different ones are independent.
    """
    nets = model.nets
    normal = torch.randn(
        images, nets.latents, generator=random_draws.generator(seed, f"evaluation posterior{draw}")
    )
    gumbel = discrete.standard_gumbel(
        (images, sum(nets.wiring.infers_code)),
        random_draws.generator(seed, f"evaluation gumbel{draw}"),
    )
    return normal, gumbel


def _counts(feed: Feed, indices: NDArray[np.int64]) -> Iterable[float | Tensor]:
    """Return for each batch how often its images count: n p_n, mean 1; 1 for uniform images.

    With weights of mean 1 both kinds of mean are a sum divided by n.
    """
    p = shares(feed.data, indices)
    if p is None:
        return itertools.repeat(1.0)  # times 1.0 does not change a number
    return torch.from_numpy(p * len(p)).to(feed.images.device).split(BATCH)


def _sampled_log_likelihood(
    nets: Networks, posterior: Posterior, batch: Batch, noise: Tensor, gumbel: Tensor
) -> Tensor:
    """Return log p(x|z, c) (B,), nats, of one sample of q(z|x) and, if inferred, of q(c|x)."""
    z = posterior.mean + (0.5 * posterior.logvar).exp() * noise.to(posterior.mean)
    inferred = nets.wiring.infers_code
    decoder_inputs = batch
    if inferred:
        # The ELBO is a bound only for a sample of q(c|x). The most likely code would reconstruct
        # better, but the KL is that of an uncertain code.
        logits = posterior.logits + gumbel.to(posterior.logits)
        decoder_inputs = batch._replace(code=discrete.most_likely(logits, inferred))
    return nets.log_likelihood(nets.decode(z, decoder_inputs), batch.images)


def coded(model: Model, batch: Batch) -> tuple[Posterior, Batch]:
    """Return the posterior of a batch, and the batch with the discrete code for evaluation."""
    posterior = model.nets.encode(batch)
    code = model.objective.code(model.nets, batch, posterior, model.ctx)
    return posterior, batch._replace(code=code)


def _discrete_kl(posterior: Posterior, batch: Batch, wiring: Wiring) -> Tensor:
    """Return the KL of the discrete latents (B,), nats.

    A code that the objective chooses costs ln K, or 0 while it is still zeros.
    """
    if wiring.infers_code:
        return discrete.kl(posterior.logits, wiring.infers_code)
    total = batch.code.new_zeros(len(batch.code))
    for block in discrete.blocks(batch.code, wiring.reads_code):
        total = total + block.sum(1) * math.log(block.shape[1])
    return total
