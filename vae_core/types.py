"""The nouns that flow through training: data, batches, draws, terms, reports.

Configuration is a frozen dataclass; what flows through torch is a NamedTuple.
"""

from __future__ import annotations

import mmap
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics import Codes, Factors, Score

Knob = float | Tensor
"""A hyperparameter that may differ between fused trials: a float, or a 0-d tensor under `torch.func.vmap`."""


@dataclass(frozen=True)
class Data:
    """A data set in memory: plain numpy arrays, so that one copy per node serves every trial.

    Args:
        name: registry name.
        images: (N, H*W*C/8) uint8, eight binary pixels per byte (`np.packbits` order, C order over C, H, W),
            if `packed`; else (N, C*H*W) uint8 levels. A memory map of a file if they do not fit in memory.
        shape: (C, H, W) of one image.
        packed: whether a byte holds eight pixels.
        levels: pixel value = level / levels (1 for packed bits, 4 for 2x2 pooled bits, 255 for bytes).
        factors: ground truth, or None.
        fingerprint: sha256 over the content (images, factors and their names), the data's identity in a
            trial's hash.
    """

    name: str
    images: NDArray[np.uint8]
    shape: tuple[int, int, int]
    packed: bool
    levels: int
    factors: Factors | None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    def __getstate__(self) -> dict[str, Any]:
        images = self.images
        # A view of a map (its base is another array, not the map) has no offset of its own and travels by content.
        if (
            isinstance(images, np.memmap)
            and isinstance(images.base, mmap.mmap)
            and images.filename is not None
        ):
            file = _MappedFile(str(Path(images.filename).absolute()), images.offset, images.shape)
            return {**vars(self), "images": file}
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        images = state["images"]
        vars(self).update(
            {**state, "images": images.open() if isinstance(images, _MappedFile) else images}
        )


class _MappedFile(NamedTuple):
    """Where a memory-mapped array lies: so a set larger than memory goes to another process by name, not by content."""

    path: str
    offset: int
    shape: tuple[int, ...]

    def open(self) -> NDArray[np.uint8]:
        try:
            return np.memmap(self.path, np.uint8, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:  # ValueError: the file is shorter than the map
            raise ValueError(
                f"the images of this data set stay on disk, and {self.path} cannot be read on {platform.node()} "
                f"({error}); let SWEEPS_DATA be a folder that every node shares, or prepare the set on each "
                "(`sweeps data render`)"
            ) from error


class Wiring(NamedTuple):
    """Which networks an objective needs and what they read; a property of its structural fields."""

    adversary: tuple[
        int, ...
    ] = ()  # widths of the hidden layers of a discriminator on codes; () is none
    judges_images: bool = (
        False  # there is a discriminator on images, the same network as the encoder
    )
    second_batch: bool = False  # every step sees a second, independent batch of images
    infers_code: tuple[
        int, ...
    ] = ()  # categories of each discrete latent whose logits the encoder gives
    reads_code: tuple[
        int, ...
    ] = ()  # categories of each discrete code that the decoder reads, one-hot
    reads_label: Literal["nowhere", "decoder", "both"] = (
        "nowhere"  # which of encoder and decoder read a label
    )
    label: tuple[str, ...] | None = (
        None  # the factors that make the label, one-hot each; None: all of them
    )
    reads_factors: Literal["no", "one_hot", "scaled"] = (
        "no"  # the encoder reads factors instead of the image …
    )
    factor_hidden: tuple[int, ...] = ()  # … through hidden layers of these widths
    reads_noise: int = 0  # width of the incompressible noise that the decoder reads after all else


ABSENT = torch.zeros(0, 0)


class Batch(NamedTuple):
    """B images and what comes with them; an absent input is a zero-width tensor, never None."""

    images: Tensor  # (B, C, H, W) in [0, 1]
    labels: Tensor  # (B, width) one-hot
    factors: Tensor  # (B, width) as the encoder reads them
    second: Tensor  # a second independent batch of images (B, C, H, W), or (0, C, H, W)
    code: Tensor  # (B, width) a discrete code, one-hot for each of its latents, or zeros
    noise: Tensor = ABSENT  # (B, width) incompressible noise as the decoder reads it: zeros, but where images are made


class Noise(NamedTuple):
    """Every draw of one step, made outside the objective."""

    posterior: Tensor  # (B, d) standard normal
    second: Tensor  # (B, d) standard normal, for the second batch, or (0, d)
    gumbel: Tensor  # (B, width) standard Gumbel
    permutation: Tensor  # (B, d) int64: one permutation of the batch axis per latent, or (0, d)
    prior: Tensor = ABSENT  # (B, d) standard normal: the codes of which images are made, or (0, d)
    decoder: Tensor = ABSENT  # (B, width) standard normal: the incompressible noise of those images


NO_MEMORY = torch.zeros(0)


class Context(NamedTuple):
    """Where training stands: schedules are arithmetic on it."""

    step: int  # completed steps
    total_steps: int
    n_data: int  # size N of the training set
    memory: Tensor = (
        NO_MEMORY  # what the objective handed out at the step before (`Terms.memory`), or its first
    )


class Posterior(NamedTuple):
    """q(z|x) = N(mean, exp(logvar)), both (B, d), and the logits of the inferred discrete latents (B, width)."""

    mean: Tensor
    logvar: Tensor
    logits: Tensor


class Terms(NamedTuple):
    """What an objective returns, 0-d tensors, nats per image; the loss is reconstruction + penalty."""

    reconstruction: Tensor
    penalty: Tensor
    parts: dict[str, Tensor]  # unweighted, to plot
    rivals: dict[str, Tensor]  # what each other player descends
    memory: Tensor = NO_MEMORY  # (n,) handed back in at the next step


class Best(NamedTuple):
    """The epoch so far at which `evaluation.best` was best, and its weights."""

    epoch: int
    value: float
    weights: Mapping[str, Tensor]


class TrainState(NamedTuple):
    """All that training needs to go on bitwise from an epoch's end; no generator state: draws are keyed."""

    epoch: int  # completed epochs
    step: int  # completed optimiser steps
    weights: Mapping[str, Tensor]
    optimisers: Mapping[str, Mapping[str, Any]]  # one per player
    memory: Tensor  # (n,) what the objective carries from step to step
    best: Best | None  # only if the config asks for it


class Snapshot(NamedTuple):
    """A few originals and their reconstructions at the end of an epoch, both (n, C, H, W)."""

    images: NDArray[np.float32]
    reconstructions: NDArray[np.float32]


class Final(NamedTuple):
    """The evaluation on the whole set at a trial's end."""

    metrics: dict[str, float]  # the epoch keys and `evaluation.final`, without prefix
    best: dict[
        str, float
    ]  # the same of the best epoch's weights, with `epoch`; empty if none was asked for
    codes: Codes
    scores: dict[str, Score]  # whole scores of the metrics that are of metrics.METRICS
    images: NDArray[np.float32]  # (n, C, H, W) a few originals …
    reconstructions: NDArray[np.float32]  # … and their reconstructions
    traversal: NDArray[
        np.float32
    ]  # (d + m, steps, C, H, W) decoded traversals, the discrete codes last


class EpochReport(NamedTuple):
    """What one epoch of training says. `state` is valid until the next `next()`."""

    epoch: int  # from 1
    step: int
    metrics: dict[str, float]  # on the evaluation subset
    train: dict[str, float]  # means of minibatch terms over the epoch, with "loss"
    images: int  # images trained on in this epoch
    seconds: dict[
        str, float
    ]  # wall time of this epoch: "train", "evaluate", and "final" in the last
    snapshot: Snapshot | None  # at a few epochs of objectives with a capacity
    final: Final | None  # only in the last epoch's report
    state: TrainState
