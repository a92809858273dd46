"""The parts of the total correlation and of the information of a code, by latents.

    TC = KL(q(z) || prod_j q(z_j)) = sum_{i >= 2} I(z_<i ; z_i)
    I(x ; z_S) = sum_{j in S} I(x ; z_j) - TC(z_S)

The first equation is the chain rule of the entropy: H(z_<i) + H(z_i) - H(z_<=i) telescopes. The
second holds because q(z|x) = prod_j q(z_j|x). For two latents it is

    I(x; [z_1, z_2]) = I(x; z_1) + I(x; z_2) - I(z_1; z_2):

what two latents share about x counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metrics.mixture.decomposition import decompose
from metrics.types import Array, Codes


class Chain(NamedTuple):
    """The total correlation as a sum over latents; nats."""

    terms: Array  # (d - 1,) I(z_<i ; z_i), i = 2 … d in the given order
    errors: Array  # (d - 1,) standard errors
    tc: float  # sum of the terms
    order: tuple[int, ...]  # (d,) which latent is z_1, z_2, …


class GroupInformation(NamedTuple):
    """The information about the image in a group of latents, and in each of them alone; nats."""

    mi: float  # I(x; z_S)
    error: float  # its standard error
    alone: Array  # (|S|,) I(x; z_j)
    tc: float  # of the group; alone.sum() - tc = mi


def chain(codes: Codes, *, samples: int, seed: int, order: Sequence[int] | None = None) -> Chain:
    """Return the parts of TC: what each latent shares with all latents before it, I(z_<i ; z_i).

        I(z_<i ; z_i) = E [log q(z_<=i) - log q(z_<i) - log q(z_i)]

    with the densities of the full mixture over all codes. Samples and controls are those of
    `elbo_decomposition` with the same seed, and `tc` is its TC. The terms depend on the order;
    their sum does not. As for TC, sharp posteriors add what the finite mixture adds: each
    term may be as large as ln N.

    Args:
        codes: mean and logvar of N images.
        samples: S; as in `elbo_decomposition`.
        seed: of the images and the noise.
        order: every latent once; 0 … d - 1 by default.

    Raises:
        ValueError: codes without logvar or latents, samples < 1, or an order that does not name
            every latent once.
    """
    count = codes.mean.shape[1]
    latents = tuple(range(count)) if order is None else tuple(order)
    if not count or sorted(latents) != list(range(count)):
        raise ValueError(
            f"order must name each of the {count} latents once, and there must be one, "
            f"got {latents}"
        )
    parts = decompose(codes, None, samples=samples, seed=seed, order=latents)
    return Chain(parts.chain, parts.chain_errors, parts.tc, latents)


def information_of_group(
    codes: Codes, latents: Sequence[int], *, samples: int, seed: int
) -> GroupInformation:
    """Return I(x; z_S), the information of some latents together; the others are integrated out.

        I(x; z_S) = H(z_S) - sum_{j in S} E_x H(q(z_j|x))

    With all latents it is the MI of `elbo_decomposition`. It cannot exceed ln N by more than its
    error.

    Args:
        codes: mean and logvar of N images.
        latents: S, at least one latent, none twice.
        samples, seed: as in `elbo_decomposition`.

    Raises:
        ValueError: codes without logvar, samples < 1, or latents that do not exist or repeat.
    """
    group, count = tuple(latents), codes.mean.shape[1]
    if not group or len(set(group)) < len(group) or not all(0 <= j < count for j in group):
        raise ValueError(
            f"latents must be different numbers from 0 to {count - 1}, at least one, got {group}"
        )
    columns = list(group)
    logvar = None if codes.logvar is None else codes.logvar[:, columns]
    parts = decompose(Codes(codes.mean[:, columns], logvar), None, samples=samples, seed=seed)
    return GroupInformation(parts.mi, parts.mi_error, parts.mi_of_latents, parts.tc)
