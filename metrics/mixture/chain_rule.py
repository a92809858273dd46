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

from metrics.codes.sampling import draw, standard_errors
from metrics.mixture.log_density import Densities, log_densities
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

        I(z_<i ; z_i) = mean_s [log q(z_<=i) - log q(z_<i) - log q(z_i)]

    with the densities of the full mixture over all codes. The samples are those that
    `elbo_decomposition` draws with the same seed, and `tc` is its TC. The terms depend on the
    order; their sum does not. As for TC, sharp posteriors add what the finite mixture adds: each
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
    drawn = draw(codes, samples=samples, seed=seed)
    densities = log_densities(drawn, codes, latents=latents, prefixes=True)
    terms = chain_integrands(densities)
    tc = float((densities.joint[-1] - densities.marginal.sum(axis=0)).mean())
    return Chain(terms.mean(axis=0), standard_errors(terms), tc, latents)


def information_of_group(
    codes: Codes, latents: Sequence[int], *, samples: int, seed: int
) -> GroupInformation:
    """Return I(x; z_S), the information of some latents together; the others are integrated out.

        I(x; z_S) = mean_s [log q(z_S|x) - log q(z_S)]

    With all latents it is the MI of `elbo_decomposition`: it cannot exceed ln N.

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
    drawn = draw(codes, samples=samples, seed=seed)
    densities = log_densities(drawn, codes, latents=group)
    log_qzx = drawn.log_qzx[:, list(group)]  # (samples, |S|)
    together = log_qzx.sum(axis=1) - densities.joint[-1]
    tc = densities.joint[-1] - densities.marginal.sum(axis=0)
    return GroupInformation(
        mi=float(together.mean()),
        error=float(standard_errors(together[:, None])[0]),
        alone=(log_qzx - densities.marginal.T).mean(axis=0),
        tc=float(tc.mean()),
    )


def chain_integrands(densities: Densities) -> Array:
    """Return log q(z_<=i) - log q(z_<i) - log q(z_i) at each sample, (S, d - 1).

    Args:
        densities: with the joint densities of all prefixes.
    """
    return (densities.joint[1:] - densities.joint[:-1] - densities.marginal[1:]).T
