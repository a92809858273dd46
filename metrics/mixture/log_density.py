"""Log densities of samples under the mixture of all posteriors, streamed over images.

The mixture is q(z) = 1/N sum_n q(z|x_n); if images do not all count alike, sum_n p_n q(z|x_n).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics import device, progress
from metrics.codes.sampling import Samples
from metrics.gaussian import LOG_2PI
from metrics.types import Array, Codes

# Numbers in a working buffer, samples x images: 2 MiB in float32 stay in a CPU's last cache;
# 128 MiB keep a GPU busy for longer than a kernel takes to start.
_BLOCK = {"cpu": 1 << 19, "cuda": 1 << 25}
# Samples at a time: with more, the blocks would have few images.
_SAMPLES = {"cpu": 1 << 10, "cuda": 1 << 13}
# Parts that the images are divided into: the same for any number of cores, so that the value does
# not depend on it.
_PARTS = {"cpu": 16, "cuda": 1}
# Smaller exponents are raised to this one, which is nothing next to the sample's own posterior:
# vectorised exponentials are a hundred times slower if their result underflows.
_LEAST = {torch.float32: -80.0, torch.float64: -700.0}


class Densities(NamedTuple):
    """Log densities of S samples, nats, float64."""

    joint: Array  # (d, S) log q(z_1 … z_i), i = 1 … d; or (1, S), of all latents only
    marginal: Array  # (d, S) log q(z_j)


def log_densities(
    samples: Samples,
    codes: Codes,
    *,
    latents: Sequence[int] | None = None,
    prefixes: bool = False,
    shares: Array | None = None,
) -> Densities:
    """Return log densities of the samples under the mixture over all rows of the codes.

    Images are streamed in blocks, one latent at a time, through buffers of fixed size, on a GPU if
    torch has one. The log densities of a block, l[s, n] = log q(z_sj | x_n) for latent j, are
    summed over latents for the joint density and exponentiated for the marginal one. They are
    computed from differences z - mu, not as a matrix product of [z^2, z, 1]: that form cancels
    numbers of size mu^2 / sigma^2 and loses the answer at sigma = 1e-3. Sums over images are
    float64.

    Args:
        samples: of `draw`, from these codes.
        codes: the mixture's N posteriors, with at least one latent.
        latents: which latents, in which order; all by default. The others are integrated out.
        prefixes: also return the joint density of the first latent, of the first two, …; this
            doubles the cost.
        shares: (N,) p_n > 0, sum 1; None: 1/N each.
    """
    target = device.pick()
    chosen = range(codes.mean.shape[1]) if latents is None else latents
    mixture = _Mixture(codes, chosen, samples.precision, target, shares)
    last = len(mixture.latents) - 1
    # With one latent the joint density is the marginal one.
    joints = range(1 if prefixes else max(1, last), last + 1)
    pieces = [mixture.logs(total) for total in _totals(mixture, samples.z, joints, target)]
    joint = np.concatenate([of_joint for of_joint, _ in pieces], axis=1)
    marginal = np.concatenate([of_marginal for _, of_marginal in pieces], axis=1)
    if prefixes or not last:
        # The joint density of the first latent is its marginal one to the last bit, so that the
        # chain telescopes.
        joint = np.concatenate([marginal[:1], joint])
    return Densities(joint, marginal)


def _totals(mixture: _Mixture, z: Array, joints: range, target: torch.device) -> list[_Sums]:
    """Return the sums over all images, for each set of samples that is computed at a time."""
    size = _SAMPLES[target.type]
    sets = [mixture.points(z[start : start + size]) for start in range(0, len(z), size)]
    parts = _parts(len(mixture), _PARTS[target.type])
    threads = torch.get_num_threads() if target.type == "cpu" else 1
    # One core computes one part alone. If the cores shared every operation, they would wait for
    # each other ten thousand times, and long whenever another process keeps one of them busy.
    with device.one_thread(), ThreadPoolExecutor(threads) as pool:
        jobs = [
            pool.submit(mixture.sums, points, joints, rows)
            for points, rows in itertools.product(sets, parts)
        ]
        sums = [job.result() for job in progress.steps(jobs, "densities of the mixture")]
    totals: list[_Sums] = []
    for first in range(0, len(sums), len(parts)):
        totals.append(functools.reduce(_Sums.plus, sums[first : first + len(parts)]))
    return totals


def _parts(count: int, parts: int) -> list[slice]:
    """Return slices that divide `count` rows into at most `parts` parts of nearly equal size."""
    bounds = [count * i // parts for i in range(parts + 1)]
    return [slice(low, high) for low, high in itertools.pairwise(bounds) if low < high]


class _Mixture:
    """Some latents of N posteriors, with the precision and the device of their densities."""

    def __init__(
        self,
        codes: Codes,
        latents: Sequence[int],
        precision: type[np.floating],
        target: torch.device,
        shares: Array | None,
    ) -> None:
        assert codes.logvar is not None, "draw() checks it"
        self.latents = list(latents)
        # log N p_n: p_n itself may be too small for float32. The 1/N is applied at the end.
        self._log_relative = None if shares is None else np.log(shares) + math.log(len(shares))
        self._mean = codes.mean
        self._logvar = codes.logvar
        self._precision = precision
        self._device = target
        # The highest peak of any posterior, per latent: relative to it no density overflows.
        self._peak = -0.5 * codes.logvar.min(axis=0).astype(np.float64)[self.latents]

    def __len__(self) -> int:
        return len(self._mean)

    def points(self, z: Array) -> Tensor:
        """Return samples (S, all latents) as (d, S, 1)."""
        return self._tensor(z[:, self.latents].T)[:, :, None]

    def sums(self, points: Tensor, joints: range, rows: slice) -> _Sums:
        """Return sums over some posteriors of their densities at the samples.

        Args:
            points: (d, S, 1) samples.
            joints: for each j in it, sum the joint density of the latents up to j.
            rows: which posteriors.
        """
        (latents, count, _), least = points.shape, _LEAST[points.dtype]
        marginal = torch.zeros((latents, count), dtype=torch.float64, device=self._device)
        joint = {j: _LogSum.empty(count, self._device) for j in joints}
        size = max(1, _BLOCK[self._device.type] // count)
        for start in range(rows.start, rows.stop, size):
            block = slice(start, min(start + size, rows.stop))
            centre, scale, height = self._posteriors(block)
            running = torch.zeros((count, centre.shape[1]), dtype=centre.dtype, device=self._device)
            work = torch.empty_like(running)
            log_relative = self._log_weights(block)
            if log_relative is not None:
                running += log_relative
            for j in range(latents):
                torch.sub(points[j], centre[j], out=work)
                work.mul_(scale[j])
                torch.addcmul(height[j], work, work, value=-1, out=work)
                running.add_(work)
                work.clamp_(min=least).exp_()
                if log_relative is not None:
                    work.mul_(log_relative.exp())
                marginal[j] += _row_sums(work)
                if j in joint:
                    joint[j] = joint[j].plus(_LogSum.of(running, work, least))
        return _Sums(marginal, joint)

    def logs(self, total: _Sums) -> tuple[Array, Array]:
        """Return log densities of the mixture from sums over all posteriors.

        Joint ones for the prefixes in `total`, (prefixes, S), and marginal ones, (d, S).
        """
        level, log_n = self._peak - 0.5 * LOG_2PI, math.log(len(self._mean))
        marginal = total.marginal.log().cpu().numpy() + (level - log_n)[:, None]
        joint = [part.value() + (level[: j + 1].sum() - log_n) for j, part in total.joint.items()]
        return np.array(joint).reshape(-1, marginal.shape[1]), marginal

    def _posteriors(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return means, sqrt(1/2) / sigma, and log peaks relative to the highest: (d, B) each."""
        half = -0.5 * self._logvar[rows, self.latents].T.astype(np.float64)
        centre, scale = self._mean[rows, self.latents].T, math.sqrt(0.5) * np.exp(half)
        return self._tensor(centre), self._tensor(scale), self._tensor(half - self._peak[:, None])

    def _log_weights(self, rows: slice) -> Tensor | None:
        """Return log N p_n of some posteriors (B,); None if all count alike."""
        return None if self._log_relative is None else self._tensor(self._log_relative[rows])

    def _tensor(self, array: Array) -> Tensor:
        contiguous = np.ascontiguousarray(array, dtype=self._precision)
        return torch.as_tensor(contiguous, device=self._device)


class _LogSum(NamedTuple):
    """The log of a sum of exponentials, one per sample; (S,) each."""

    highest: Tensor  # the highest exponent
    total: Tensor  # the sum relative to it

    @staticmethod
    def empty(count: int, target: torch.device) -> _LogSum:
        """Return the log of empty sums, -inf."""
        nothing = torch.full((count,), -math.inf, dtype=torch.float64, device=target)
        return _LogSum(nothing, torch.zeros_like(nothing))

    @staticmethod
    def of(exponents: Tensor, work: Tensor, least: float) -> _LogSum:
        """Return the sum over a block of exponents (S, B), which are not changed.

        Args:
            exponents: (S, B).
            work: a buffer of the same shape.
            least: exponents relative to the highest that are smaller are raised to this.
        """
        highest = exponents.amax(dim=1)
        torch.sub(exponents, highest[:, None], out=work)
        return _LogSum(highest.double(), _row_sums(work.clamp_(min=least).exp_()).double())

    def plus(self, other: _LogSum) -> _LogSum:
        """Return the log of the sum of both."""
        highest = torch.maximum(self.highest, other.highest)
        total = self.total * (self.highest - highest).exp()
        return _LogSum(highest, total + other.total * (other.highest - highest).exp())

    def value(self) -> Array:
        """Return the logs, (S,)."""
        return (self.highest + self.total.log()).cpu().numpy()


class _Sums(NamedTuple):
    """Sums of densities over posteriors."""

    marginal: Tensor  # (d, S)
    joint: dict[int, _LogSum]  # by the last latent that the joint density includes

    def plus(self, other: _Sums) -> _Sums:
        """Return the sums over the posteriors of both."""
        return _Sums(
            self.marginal + other.marginal,
            {j: part.plus(other.joint[j]) for j, part in self.joint.items()},
        )


def _row_sums(work: Tensor) -> Tensor:
    """Return sums over a block (S, B).

    On a CPU they are not converted to float64 first: its blocks are short, and converting would
    cost as much again.
    """
    return work.sum(dim=1, dtype=torch.float64) if work.is_cuda else work.sum(dim=1)
