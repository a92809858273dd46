"""Log densities of samples under the mixture of all posteriors, q(z) = 1/N sum_n q(z|x_n), streamed over n.

Where images do not all count alike, q(z) = sum_n p_n q(z|x_n).
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

# Numbers per working buffer, samples x images: 2 MiB in float32 stay in a CPU's last cache; 128 MiB keep a GPU busy for
# longer than a kernel takes to start.
_BLOCK = {"cpu": 1 << 19, "cuda": 1 << 25}
_SAMPLES = {"cpu": 1 << 10, "cuda": 1 << 13}  # at a time: more would leave blocks of few images
_PARTS = {
    "cpu": 16,
    "cuda": 1,
}  # of the images, whatever the number of cores, which must not change the value
# Smaller exponents are raised to this one, which cannot be seen beside the sample's own posterior: vectorised
# exponentials are a hundred times slower where their result underflows.
_LEAST = {torch.float32: -80.0, torch.float64: -700.0}


class Densities(NamedTuple):
    """Log densities of S samples, nats, float64."""

    joint: Array  # (d, S) log q(z_1, …, z_i) for i = 1 … d; or (1, S), that of all latents, where only it is asked for
    marginal: Array  # (d, S) log q(z_j)


def log_densities(
    samples: Samples,
    codes: Codes,
    *,
    latents: Sequence[int] | None = None,
    prefixes: bool = False,
    shares: Array | None = None,
) -> Densities:
    """Log densities of the samples under the mixture over all rows of the codes.

    Images are streamed in blocks, one latent at a time, through buffers of fixed size, on a GPU if torch sees one. A
    block's per-latent log densities l[s, n] = log q(z_sj | x_n) are summed over latents for the joint and
    exponentiated for the marginal. They are formed from differences, not as a matrix product of [z^2, z, 1]: that form
    cancels numbers of size mu^2 / sigma^2 and loses the answer at sigma = 1e-3. Sums over images are float64.

    Args:
        samples: of `draw`, from these codes.
        codes: the mixture's N posteriors, with at least one latent.
        latents: which latents, in which order; all by default. The others are integrated out.
        prefixes: also the joint density of the first latent, of the first two, …, at twice the cost.
        shares: (N,) p_n > 0, sum 1; None: 1/N each.
    """
    where = device.pick()
    chosen = range(codes.mean.shape[1]) if latents is None else latents
    mixture = _Mixture(codes, chosen, samples.precision, where, shares)
    last, size = len(mixture.latents) - 1, _SAMPLES[where.type]
    threads = torch.get_num_threads() if where.type == "cpu" else 1
    joints = range(1 if prefixes else max(1, last), last + 1)  # of one latent it is the marginal
    sets = [
        mixture.points(samples.z[start : start + size]) for start in range(0, len(samples.z), size)
    ]
    parts = _parts(len(codes), _PARTS[where.type])
    # A core to each part, and none that waits: were the cores to share every operation, they would wait for each other
    # ten thousand times, each time for long where another process keeps one of them busy.
    with device.one_thread(), ThreadPoolExecutor(threads) as pool:
        jobs = [
            pool.submit(mixture.sums, points, joints, rows) for points in sets for rows in parts
        ]
        sums = [job.result() for job in progress.steps(jobs, "densities of the mixture")]
    totals = [
        functools.reduce(_Sums.plus, sums[i : i + len(parts)])
        for i in range(0, len(sums), len(parts))
    ]
    joint, marginal = (
        np.concatenate(pieces, axis=1) for pieces in zip(*map(mixture.logs, totals), strict=True)
    )
    # To the last bit, so that the chain telescopes.
    return Densities(
        np.concatenate([marginal[:1], joint]) if prefixes or not last else joint, marginal
    )


def _parts(count: int, parts: int) -> list[slice]:
    bounds = [count * i // parts for i in range(parts + 1)]
    return [slice(low, high) for low, high in itertools.pairwise(bounds) if low < high]


class _Mixture:
    """Some latents of N posteriors, and where and how their densities are formed."""

    def __init__(
        self,
        codes: Codes,
        latents: Sequence[int],
        precision: type[np.floating],
        where: torch.device,
        shares: Array | None,
    ) -> None:
        assert codes.logvar is not None, "draw() checks it"
        self.latents = list(latents)
        # log N p_n, as N p_n itself may be too small for float32; 1/N is taken off at the end.
        self._log_relative = None if shares is None else np.log(shares) + math.log(len(shares))
        self._mean, self._logvar, self._precision, self._where = (
            codes.mean,
            codes.logvar,
            precision,
            where,
        )
        # The highest peak of any posterior, per latent: relative to it no density overflows.
        self._peak = -0.5 * codes.logvar.min(axis=0).astype(np.float64)[self.latents]

    def points(self, z: Array) -> Tensor:
        """Samples (S, all latents) as (d, S, 1)."""
        return self._tensor(z[:, self.latents].T)[:, :, None]

    def sums(self, points: Tensor, joints: range, rows: slice) -> _Sums:
        """Sums of the densities of some posteriors at the samples; joint ones of the latents up to each of `joints`."""
        (latents, count, _), least = points.shape, _LEAST[points.dtype]
        marginal = torch.zeros((latents, count), dtype=torch.float64, device=self._where)
        joint = {j: _LogSum.empty(count, self._where) for j in joints}
        block = max(1, _BLOCK[self._where.type] // count)
        for start in range(rows.start, rows.stop, block):
            centre, scale, height = self._posteriors(slice(start, min(start + block, rows.stop)))
            running = torch.zeros((count, centre.shape[1]), dtype=centre.dtype, device=self._where)
            work = torch.empty_like(running)
            log_relative = self._log_weights(slice(start, min(start + block, rows.stop)))
            if log_relative is not None:
                running += log_relative
            for j in range(latents):
                torch.sub(points[j], centre[j], out=work)
                work.mul_(scale[j])
                torch.addcmul(height[j], work, work, value=-1, out=work)
                running.add_(work)
                work.clamp_(min=least).exp_()
                marginal[j] += _row_sums(
                    work if log_relative is None else work.mul_(log_relative.exp())
                )
                if j in joint:
                    joint[j] = joint[j].plus(_LogSum.of(running, work, least))
        return _Sums(marginal, joint)

    def logs(self, total: _Sums) -> tuple[Array, Array]:
        """Log densities of the mixture, joint (those asked for, S) and marginal (d, S), from sums over all of it."""
        level, log_n = self._peak - 0.5 * LOG_2PI, math.log(len(self._mean))
        marginal = total.marginal.log().cpu().numpy() + (level - log_n)[:, None]
        joint = [part.value() + (level[: j + 1].sum() - log_n) for j, part in total.joint.items()]
        return np.array(joint).reshape(-1, marginal.shape[1]), marginal

    def _posteriors(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Means, sqrt(1/2) / sigma, and log peaks relative to the highest: (d, B) each."""
        half = -0.5 * self._logvar[rows, self.latents].T.astype(np.float64)
        centre, scale = self._mean[rows, self.latents].T, math.sqrt(0.5) * np.exp(half)
        return self._tensor(centre), self._tensor(scale), self._tensor(half - self._peak[:, None])

    def _log_weights(self, rows: slice) -> Tensor | None:
        """Log N p_n of some posteriors (B,); None where all count alike."""
        return None if self._log_relative is None else self._tensor(self._log_relative[rows])

    def _tensor(self, array: Array) -> Tensor:
        return torch.as_tensor(
            np.ascontiguousarray(array, dtype=self._precision), device=self._where
        )


class _LogSum(NamedTuple):
    """The log of a sum of exponentials, one per sample: the highest exponent and the sum relative to it; (S,) each."""

    highest: Tensor
    total: Tensor

    @staticmethod
    def empty(count: int, where: torch.device) -> _LogSum:
        none = torch.full((count,), -math.inf, dtype=torch.float64, device=where)
        return _LogSum(none, torch.zeros_like(none))

    @staticmethod
    def of(exponents: Tensor, work: Tensor, least: float) -> _LogSum:
        """Over a block of exponents (S, B), which are left as they are; `work` is a buffer of their shape."""
        highest = exponents.amax(dim=1)
        torch.sub(exponents, highest[:, None], out=work)
        return _LogSum(highest.double(), _row_sums(work.clamp_(min=least).exp_()).double())

    def plus(self, other: _LogSum) -> _LogSum:
        highest = torch.maximum(self.highest, other.highest)
        parts = [part.total * (part.highest - highest).exp() for part in (self, other)]
        return _LogSum(highest, parts[0] + parts[1])

    def value(self) -> Array:
        return (self.highest + self.total.log()).cpu().numpy()


class _Sums(NamedTuple):
    """Sums over posteriors: of marginal densities (d, S), and of joint ones, by the last latent that they include."""

    marginal: Tensor
    joint: dict[int, _LogSum]

    def plus(self, other: _Sums) -> _Sums:
        return _Sums(
            self.marginal + other.marginal,
            {j: part.plus(other.joint[j]) for j, part in self.joint.items()},
        )


def _row_sums(work: Tensor) -> Tensor:
    """Sums over a block. A CPU's blocks are short, and converting them to float64 first would cost as much again."""
    return work.sum(dim=1, dtype=torch.float64) if work.is_cuda else work.sum(dim=1)
