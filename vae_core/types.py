"""The types that training passes around: data, batches, draws, terms, reports.

Configuration is a frozen dataclass; what passes through torch is a NamedTuple.
"""

from __future__ import annotations

import functools
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
from vae_core.pixel_entropy import image_entropies

Scalar = float | Tensor
"""A hyperparameter that may differ between fused trials: a float, or a 0-d tensor inside
`torch.func.vmap`."""


@dataclass(frozen=True)
class Data:
    """A data set in memory: plain numpy arrays, so that one copy per node serves every trial.

    Args:
        name: registry name.
        images: (N, H*W*C/8) uint8, eight binary pixels per byte (`np.packbits` order, C order over
            C, H, W), if `packed`; else (N, C*H*W) uint8 levels. A memory map of a file if they do
            not fit in memory.
        shape: (C, H, W) of one image.
        packed: whether a byte holds eight pixels.
        levels: pixel value = level / levels (1 for packed bits, 4 for 2x2 pooled bits, 255 for
            bytes).
        factors: ground truth, or None.
        fingerprint: sha256 over the content (images, factors and their names). It stands for the
            data in a trial's hash.
        notes: what is no error, but worth knowing about these images, a sentence each.
    """

    name: str
    images: NDArray[np.uint8]
    shape: tuple[int, int, int]
    packed: bool
    levels: int
    factors: Factors | None
    fingerprint: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @functools.cached_property
    def entropies(self) -> NDArray[np.float64]:
        """The sum of the entropies of the pixels of each image, nats (N,); 0 for binary pixels.

        It is computed at the first use, from all images, and pickled with the data.
        """
        return image_entropies(self.images, self.levels)

    @property
    def floor(self) -> float:
        """The mean entropy of an image, nats: no Bernoulli reconstruction of this set is below it.

        It is 0 for binary pixels. Images count by the weights of the factors, if there are any. For
        another likelihood see `Likelihood.floor`.
        """
        weights = None if self.factors is None else self.factors.weights
        return float(np.average(self.entropies, weights=weights))

    def __getstate__(self) -> dict[str, Any]:
        images = self.images
        # A slice of a map (its base is another array, not the map) does not know its offset in the
        # file, so it is pickled by content.
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
        if isinstance(images, _MappedFile):
            images = images.open()
        vars(self).update({**state, "images": images})


class _MappedFile(NamedTuple):
    """The file behind a memory-mapped array.

    A data set larger than memory is sent to another process by file name, not by content.
    """

    path: str
    offset: int
    shape: tuple[int, ...]

    def open(self) -> NDArray[np.uint8]:
        try:
            return np.memmap(self.path, np.uint8, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:  # ValueError: the file is shorter than the map
            raise ValueError(
                f"the images of this data set stay on disk, and {self.path} cannot be read on "
                f"{platform.node()} ({error}); let SWEEPS_DATA be a folder that every node shares, "
                "or prepare the set on each (`sweeps data render`)"
            ) from error


class Wiring(NamedTuple):
    """Which networks an objective needs and what they read; a property of its structural fields."""

    adversary: tuple[int, ...] = ()
    """Widths of the hidden layers of a discriminator on codes; () is no discriminator."""

    judges_images: bool = False
    """Whether there is a discriminator on images, the same network as the encoder."""

    second_batch: bool = False
    """Whether every step sees a second, independent batch of images."""

    infers_code: tuple[int, ...] = ()
    """Categories of each discrete latent that the encoder returns logits for."""

    reads_code: tuple[int, ...] = ()
    """Categories of each discrete code that the decoder reads, one-hot."""

    reads_label: Literal["nowhere", "decoder", "both"] = "nowhere"
    """Which of encoder and decoder read a label."""

    label: tuple[str, ...] | None = None
    """The factors that make the label, one-hot each; None: all of them."""

    reads_factors: Literal["no", "one_hot", "scaled"] = "no"
    """Whether and how the encoder reads factors instead of the image."""

    factor_hidden: tuple[int, ...] = ()
    """Widths of the hidden layers of an encoder that reads factors."""

    reads_noise: int = 0
    """Width of the incompressible noise that the decoder reads after all other inputs."""


ABSENT = torch.zeros(0, 0)


class Batch(NamedTuple):
    """B images and the inputs that belong to them; an absent input is a zero-width tensor."""

    images: Tensor
    """(B, C, H, W) in [0, 1]."""

    labels: Tensor
    """(B, width) one-hot."""

    factors: Tensor
    """(B, width) as the encoder reads them."""

    second: Tensor
    """A second independent batch of images (B, C, H, W), or (0, C, H, W)."""

    code: Tensor
    """(B, width) a discrete code, one-hot for each of its latents, or zeros."""

    noise: Tensor = ABSENT
    """(B, width) incompressible noise as the decoder reads it: zeros, except where images are
    generated."""


class Noise(NamedTuple):
    """Every random draw of one step, made outside the objective."""

    posterior: Tensor
    """(B, d) standard normal."""

    second: Tensor
    """(B, d) standard normal, for the second batch, or (0, d)."""

    gumbel: Tensor
    """(B, width) standard Gumbel."""

    permutation: Tensor
    """(B, d) int64: one permutation of the batch axis per latent, or (0, d)."""

    prior: Tensor = ABSENT
    """(B, d) standard normal: the codes from which images are generated, or (0, d)."""

    decoder: Tensor = ABSENT
    """(B, width) standard normal: the incompressible noise of the generated images."""


NO_MEMORY = torch.zeros(0)


class Context(NamedTuple):
    """The step that training has reached; schedules are functions of it."""

    step: int
    """Completed steps."""

    total_steps: int

    n_data: int
    """Size N of the training set."""

    memory: Tensor = NO_MEMORY
    """`Terms.memory` of the previous step; at the first step the objective's initial memory."""


class Posterior(NamedTuple):
    """q(z|x) = N(mean, exp(logvar)), both (B, d), and logits of the discrete latents (B, width)."""

    mean: Tensor
    logvar: Tensor
    logits: Tensor


class Terms(NamedTuple):
    """The terms of a loss: 0-d tensors, nats per image. The loss is reconstruction + penalty."""

    reconstruction: Tensor

    penalty: Tensor

    parts: dict[str, Tensor]
    """Unweighted terms, to plot."""

    rivals: dict[str, Tensor]
    """The loss of each other player."""

    memory: Tensor = NO_MEMORY
    """(n,) numbers that the next step gets as `Context.memory`."""


class Best(NamedTuple):
    """The epoch with the best `evaluation.best` so far, and its weights."""

    epoch: int
    value: float
    weights: Mapping[str, Tensor]


class TrainState(NamedTuple):
    """All that training needs to resume bitwise from the end of an epoch.

    It holds no generator state: every draw is keyed by seed, purpose and epoch.
    """

    epoch: int
    """Completed epochs."""

    step: int
    """Completed optimiser steps."""

    weights: Mapping[str, Tensor]

    optimisers: Mapping[str, Mapping[str, Any]]
    """The state of one optimiser per player."""

    memory: Tensor
    """(n,) what the objective carries from step to step."""

    best: Best | None
    """Only if the config selects a best epoch."""


class Snapshot(NamedTuple):
    """A few originals and their reconstructions at the end of an epoch, both (n, C, H, W)."""

    images: NDArray[np.float32]
    reconstructions: NDArray[np.float32]


class Final(NamedTuple):
    """The evaluation on the whole data set at the end of a trial."""

    metrics: dict[str, float]
    """The keys of an epoch and of `evaluation.final`, without prefix."""

    best: dict[str, float]
    """The same of the best epoch's weights, with `epoch`; empty if no best epoch was selected."""

    codes: Codes

    scores: dict[str, Score]
    """The scores of the metrics that are in `metrics.METRICS`."""

    decomposition: Mapping[str, Any]
    """The identity of MI, TC and dimension-wise KL."""

    images: NDArray[np.float32]
    """(n, C, H, W) a few originals."""

    reconstructions: NDArray[np.float32]
    """(n, C, H, W) their reconstructions."""

    traversal: NDArray[np.float32]
    """(d + m, steps, C, H, W) decoded traversals, the discrete codes last."""


class EpochReport(NamedTuple):
    """The numbers of one epoch of training. `state` is valid until the next `next()`."""

    epoch: int
    """The number of the epoch, from 1."""

    step: int

    metrics: dict[str, float]
    """Measured on the evaluation subset; see `evaluation.epoch_scores.evaluate`."""

    train: dict[str, float]
    """Means of the minibatch terms over the epoch, with "loss"."""

    images: int
    """Images that this epoch trained on."""

    seconds: dict[str, float]
    """Wall time of this epoch: "train", "evaluate", and "final" in the last one."""

    snapshot: Snapshot | None
    """At a few epochs of objectives with a capacity."""

    final: Final | None
    """Only in the report of the last epoch."""

    state: TrainState
