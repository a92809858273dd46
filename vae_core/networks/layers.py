"""Stacks of layers that several networks are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

BATCH_NORM_CAUTION = (
    "with batch_norm, q(z|x) differs between training and evaluation: "
    "one normalises by the statistics of the batch, the other by their running averages"
)


def perceptron(widths: Sequence[int], activation: Callable[[], nn.Module]) -> list[nn.Module]:
    """Return linear layers of the given widths with an activation between any two."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return layers[:-1]


@dataclass(frozen=True)
class Halvings:
    """Convolutions of stride 2 that halve an image until its side is `end`, and the transposed ones back.

    A stage maps side s to ceil(s/2): 64, 32, 16, 8, 4 or 32, 16, 8, 4 or 28, 14, 7, 4. Kernel k is padded by k/2 − 1,
    and by one pixel more where s is odd, so that every pixel is read; the way back then has output padding 1 and gives
    exactly s. Smaller images have fewer stages: the last of `channels` are left out.

    Args:
        side: of the image.
        channels: that each stage writes; as many as an image of side 64 needs.
        end: the side at which to stop.
        batch_norm: whether a BatchNorm stands before every ReLU.
    """

    side: int
    channels: tuple[int, ...]
    end: int = 4
    batch_norm: bool = False

    @property
    def sides(self) -> list[int]:
        """The sides that the stages read, from the image on."""
        sides = [self.side]
        while (after := -(-sides[-1] // 2)) > self.end:
            sides.append(after)
        return sides

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) after the last stage."""
        return self.channels[len(self.sides) - 1], self.end, self.end

    def encoder(self, read: int, kernels: Sequence[int] = ()) -> list[nn.Module]:
        """Return (convolution, BatchNorm, ReLU) for each stage; every kernel is 4 unless they are given."""
        layers: list[nn.Module] = []
        for k, side in enumerate(self.sides):
            before, after, kernel = (
                [read, *self.channels][k],
                self.channels[k],
                kernels[k] if kernels else 4,
            )
            layers.append(
                nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2 - 1 + side % 2)
            )
            layers += rectified(after, batch_norm=self.batch_norm)
        return layers

    def decoder(self, write: int) -> list[nn.Module]:
        """Return (BatchNorm, ReLU, transposed convolution of kernel 4) for each stage, the last stage first."""
        layers: list[nn.Module] = []
        for k, side in reversed(list(enumerate(self.sides))):
            before, after, odd = self.channels[k], [write, *self.channels][k], side % 2
            layers += rectified(before, batch_norm=self.batch_norm)
            layers.append(
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1 + odd, output_padding=odd)
            )
        return layers


def rectified(channels: int, *, batch_norm: bool) -> list[nn.Module]:
    """Return ReLU, after a BatchNorm if there is one."""
    return [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]


def flat_encoder(
    stages: Halvings, read: int, hidden: Sequence[int], width: int, *, kernels: Sequence[int] = ()
) -> nn.Module:
    """Return stages, then linear layers from all their pixels through `hidden` to `width`."""
    channels, height, across = stages.shape
    linear = perceptron((channels * height * across, *hidden, width), nn.ReLU)
    return nn.Sequential(*stages.encoder(read, kernels), nn.Flatten(), *linear)


def flat_decoder(width: int, hidden: Sequence[int], stages: Halvings, write: int) -> nn.Module:
    """Return linear layers from `width` through `hidden` to all pixels of the stages, then the stages back."""
    channels, height, across = stages.shape
    linear = perceptron((width, *hidden, channels * height * across), nn.ReLU)
    return nn.Sequential(*linear, nn.Unflatten(1, stages.shape), *stages.decoder(write))


def pixel_encoder(stages: Halvings, read: int, hidden: int, width: int) -> nn.Module:
    """Return stages, a convolution over all their pixels to one of `hidden` channels, and a linear layer.

    The linear layer is the source's convolution of kernel 1 on one pixel: the same function and initial weights.
    """
    channels, side, _ = stages.shape
    collapse = [nn.Conv2d(channels, hidden, side), *rectified(hidden, batch_norm=stages.batch_norm)]
    return nn.Sequential(*stages.encoder(read), *collapse, nn.Flatten(), nn.Linear(hidden, width))


def pixel_decoder(
    width: int, hidden: int, stages: Halvings, write: int, *, transposed: bool = False
) -> nn.Module:
    """Return a layer to one pixel of `hidden` channels, its transposed convolution, and the stages back.

    Args:
        width: of the codes.
        hidden: channels of the pixel.
        stages: of the encoder.
        write: channels of the image.
        transposed: whether the first layer is a transposed convolution of kernel 1. That is the same function as the
            linear layer, but its initial weights follow from `hidden` instead of `width` (`initialise`).
    """
    channels, side, _ = stages.shape
    pixel = (hidden, 1, 1)
    first: list[nn.Module] = (
        [nn.Unflatten(1, (width, 1, 1)), nn.ConvTranspose2d(width, hidden, 1)]
        if transposed
        else [nn.Linear(width, hidden), nn.Unflatten(1, pixel)]
    )
    expand = [
        *rectified(hidden, batch_norm=stages.batch_norm),
        nn.ConvTranspose2d(hidden, channels, side),
    ]
    return nn.Sequential(*first, *expand, *stages.decoder(write))
