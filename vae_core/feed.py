"""`Feed`: the images of a data set by index, with the labels and factors that a wiring reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vae_core.data import ImageTable
from vae_core.hyperparameters import registry
from vae_core.networks import Widths
from vae_core.types import Batch, Data, Wiring


class Feed:
    """All parts of a `Batch` that come from the data.

    Args:
        data: the data set.
        wiring: what the networks read of it.
        device: where batches are needed.

    Raises:
        ValueError: the wiring reads factors that the data set does not have.
    """

    def __init__(self, data: Data, wiring: Wiring, device: torch.device | str = "cpu") -> None:
        self.data = data
        self.images = ImageTable(data, device)
        self.code_width = sum(wiring.reads_code)
        self.noise_width = wiring.reads_noise
        self._scaled = wiring.reads_factors == "scaled"
        self._label = _columns(data, wiring.label) if wiring.reads_label != "nowhere" else ()
        self._factors = _columns(data, None) if wiring.reads_factors != "no" else ()
        self._sizes: tuple[int, ...] = ()
        self._levels: dict[int, Tensor] = {}
        if data.factors is not None:
            self._sizes = data.factors.sizes
            for k in sorted({*self._label, *self._factors}):
                column = data.factors.values[:, k].copy()
                self._levels[k] = torch.as_tensor(column, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def widths(self) -> Widths:
        """The widths of labels and factors, 0 where the networks do not read them."""
        label = sum(self._sizes[k] for k in self._label)
        one_hot = sum(self._sizes[k] for k in self._factors)
        return Widths(label=label, factors=len(self._factors) if self._scaled else one_hot)

    def batch(self, rows: Tensor, second: Tensor | None = None) -> Batch:
        """Return the images of B indices with labels and factors; code and noise are zeros.

        Args:
            rows: (B,) int64 indices on the CPU.
            second: (B,) indices of the second batch, if there is one.
        """
        images = self.images.batch(rows)
        device_rows = rows.to(images.device)
        if self._scaled:
            factors = self._scale(device_rows, images)
        else:
            factors = self._one_hot(self._factors, device_rows, images)
        return Batch(
            images,
            labels=self._one_hot(self._label, device_rows, images),
            factors=factors,
            second=images[:0] if second is None else self.images.batch(second),
            code=images.new_zeros(len(images), self.code_width),
            noise=images.new_zeros(len(images), self.noise_width),
        )

    def _one_hot(self, columns: Sequence[int], rows: Tensor, like: Tensor) -> Tensor:
        if not columns:
            return like.new_zeros(len(rows), 0)
        blocks = [functional.one_hot(self._levels[k][rows], self._sizes[k]) for k in columns]
        return torch.cat(blocks, 1).to(like.dtype)

    def _scale(self, rows: Tensor, like: Tensor) -> Tensor:
        """Return levels 0 … V−1 scaled to −1 … 1 (0 for a factor of one level)."""
        halves = [max(self._sizes[k] - 1, 1) / 2 for k in self._factors]
        middles = [(self._sizes[k] - 1) / 2 for k in self._factors]
        levels = torch.stack([self._levels[k][rows] for k in self._factors], 1).to(like.dtype)
        return (levels - levels.new_tensor(middles)) / levels.new_tensor(halves)


def _columns(data: Data, names: Sequence[str] | None) -> tuple[int, ...]:
    """Return the columns of named factors; of all factors for None."""
    if data.factors is None:
        raise ValueError(
            f"the objective reads factors, which data set {data.name!r} does not have; "
            "choose a data set with factors"
        )
    known = data.factors.names
    if names is None:
        names = known
    unknown = [registry.unknown_name("factor", name, known) for name in names if name not in known]
    if unknown:
        raise ValueError(f"label: {'; '.join(unknown)}")
    return tuple(known.index(name) for name in names)
