"""Which latents the total correlation and the information of a code are made of.

    TC = KL(q(z) || prod_j q(z_j)) = sum_{i >= 2} I(z_<i ; z_i)
    I(x ; z_S) = sum_{j in S} I(x ; z_j) - TC(z_S)

The first is the chain rule of the entropy: H(z_<i) + H(z_i) - H(z_<=i) telescopes. The second holds because
q(z|x) = prod_j q(z_j|x): for two latents, I(x; [z_1, z_2]) = I(x; z_1) + I(x; z_2) - I(z_1; z_2), so what two latents
share they cannot both tell of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metrics.codes.sampling import draw, standard_errors
from metrics.mixture.log_density import Densities, log_densities
from metrics.types import Array, Codes


class Chain(NamedTuple):
    """The total correlation, link by link; nats."""

    terms: Array  # (d - 1,) I(z_<i ; z_i), i = 2 … d in the given order
    errors: Array  # (d - 1,) standard errors
    tc: float  # their sum
    order: tuple[int, ...]  # (d,) which latent is z_1, z_2, …


class GroupInformation(NamedTuple):
    """What a group of latents says of the image, and what its members say alone; nats."""

    mi: float  # I(x; z_S)
    error: float  # its standard error
    alone: Array  # (|S|,) I(x; z_j)
    tc: float  # of the group; alone.sum() - tc = mi


def chain(codes: Codes, *, samples: int, seed: int, order: Sequence[int] | None = None) -> Chain:
    """Split TC into what each latent shares with all before it, I(z_<i ; z_i).

    I(z_<i ; z_i) = mean_s [log q(z_<=i) - log q(z_<i) - log q(z_i)], with the densities of the full mixture over all
    given codes, on the samples that `elbo_decomposition` takes with the same seed: `tc` is its TC. The terms depend on
    the order, their sum does not. As with TC, sharp posteriors add what the finite mixture adds: each term may be as
    large as ln N.

    Args:
        codes: mean and logvar of N images.
        samples: S; as in `elbo_decomposition`.
        seed: of the images and the noise.
        order: every latent once; 0 … d - 1 by default.

    Raises:
        ValueError: codes without logvar or latents, samples < 1, or an order that is none.
    """
    count = codes.mean.shape[1]
    chosen = tuple(range(count)) if order is None else tuple(order)
    if not count or sorted(chosen) != list(range(count)):
        raise ValueError(
            f"order must name each of the {count} latents once, and there must be one, got {chosen}"
        )
    densities = log_densities(
        draw(codes, samples=samples, seed=seed), codes, latents=chosen, prefixes=True
    )
    links = chain_integrands(densities)
    tc = float((densities.joint[-1] - densities.marginal.sum(axis=0)).mean())
    return Chain(links.mean(axis=0), standard_errors(links), tc, chosen)


def information_of_group(
    codes: Codes, latents: Sequence[int], *, samples: int, seed: int
) -> GroupInformation:
    """I(x; z_S) of some latents together: mean_s [log q(z_S|x) - log q(z_S)], all others integrated out.

    As `elbo_decomposition`, with all latents its MI: it cannot exceed ln N.

    Args:
        codes: mean and logvar of N images.
        latents: S, at least one latent, none twice.
        samples, seed: as in `elbo_decomposition`.

    Raises:
        ValueError: codes without logvar, samples < 1, or latents that are not there, or there twice.
    """
    chosen, count = tuple(latents), codes.mean.shape[1]
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= j < count for j in chosen):
        raise ValueError(
            f"latents must be different numbers from 0 to {count - 1}, at least one, got {chosen}"
        )
    drawn = draw(codes, samples=samples, seed=seed)
    densities = log_densities(drawn, codes, latents=chosen)
    own = drawn.log_qzx[:, list(chosen)]  # (S, |S|)
    together = own.sum(axis=1) - densities.joint[-1]
    tc = densities.joint[-1] - densities.marginal.sum(axis=0)
    return GroupInformation(
        mi=float(together.mean()),
        error=float(standard_errors(together[:, None])[0]),
        alone=(own - densities.marginal.T).mean(axis=0),
        tc=float(tc.mean()),
    )


def chain_integrands(densities: Densities) -> Array:
    """log q(z_<=i) - log q(z_<i) - log q(z_i) at each sample, from joint densities of all prefixes: (S, d - 1)."""
    return (densities.joint[1:] - densities.joint[:-1] - densities.marginal[1:]).T
