"""Stacks of layers that several networks consist of."""

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
    """Return linear layers from each width to the next, with an activation between two layers."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return layers[:-1]


@dataclass(frozen=True)
class Halvings:
    """Convolutions of stride 2 that halve an image until its side is `end`, and the way back.

    A stage maps side s to ceil(s/2): 64, 32, 16, 8, 4 or 32, 16, 8, 4 or 28, 14, 7, 4. The padding
    of kernel k is k/2 − 1, and one pixel more where s is odd, so that every pixel is read. The
    transposed convolution then has output padding 1 and gives exactly s. Smaller images have fewer
    stages: the last of `channels` are left out.

    Args:
        side: side of the image.
        channels: channels that each stage returns; as many stages as an image of side 64 needs.
        end: the side after the last stage.
        batch_norm: whether there is a BatchNorm before every ReLU.
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

    def encoder(self, input_channels: int, kernels: Sequence[int] = ()) -> list[nn.Module]:
        """Return (convolution, BatchNorm, ReLU) for each stage; without `kernels` all are 4."""
        layers: list[nn.Module] = []
        before = input_channels
        for k, side in enumerate(self.sides):
            after = self.channels[k]
            kernel = kernels[k] if kernels else 4
            padding = kernel // 2 - 1 + side % 2
            layers.append(nn.Conv2d(before, after, kernel, stride=2, padding=padding))
            layers += rectified(after, batch_norm=self.batch_norm)
            before = after
        return layers

    def decoder(self, output_channels: int) -> list[nn.Module]:
        """Return (BatchNorm, ReLU, transposed convolution of kernel 4) per stage, last first."""
        layers: list[nn.Module] = []
        outputs = [output_channels, *self.channels]
        for k, side in reversed(list(enumerate(self.sides))):
            before, after, odd = self.channels[k], outputs[k], side % 2
            layers += rectified(before, batch_norm=self.batch_norm)
            layers.append(
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1 + odd, output_padding=odd)
            )
        return layers


def rectified(channels: int, *, batch_norm: bool) -> list[nn.Module]:
    """Return a ReLU, with a BatchNorm before it if `batch_norm`."""
    return [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]


def flat_encoder(
    stages: Halvings,
    input_channels: int,
    hidden: Sequence[int],
    width: int,
    *,
    kernels: Sequence[int] = (),
) -> nn.Module:
    """Return the stages, then linear layers from all their pixels through `hidden` to `width`."""
    channels, height, across = stages.shape
    linear = perceptron((channels * height * across, *hidden, width), nn.ReLU)
    return nn.Sequential(*stages.encoder(input_channels, kernels), nn.Flatten(), *linear)


def flat_decoder(
    width: int, hidden: Sequence[int], stages: Halvings, output_channels: int
) -> nn.Module:
    """Return linear layers from `width` through `hidden`, then the transposed stages."""
    channels, height, across = stages.shape
    linear = perceptron((width, *hidden, channels * height * across), nn.ReLU)
    return nn.Sequential(*linear, nn.Unflatten(1, stages.shape), *stages.decoder(output_channels))


def pixel_encoder(stages: Halvings, input_channels: int, hidden: int, width: int) -> nn.Module:
    """Return the stages, a convolution of their pixels to one of `hidden` channels, a linear layer.

    In the sources the linear layer is a convolution of kernel 1 on one pixel: the same function and
    the same initial weights.
    """
    channels, side, _ = stages.shape
    collapse = [nn.Conv2d(channels, hidden, side), *rectified(hidden, batch_norm=stages.batch_norm)]
    linear = nn.Linear(hidden, width)
    return nn.Sequential(*stages.encoder(input_channels), *collapse, nn.Flatten(), linear)


def pixel_decoder(
    width: int, hidden: int, stages: Halvings, output_channels: int, *, transposed: bool = False
) -> nn.Module:
    """Return a layer to one pixel of `hidden` channels, then the transposed convolutions.

    Args:
        width: width of the codes.
        hidden: channels of the pixel.
        stages: stages of the encoder.
        output_channels: channels of the image.
        transposed: whether the first layer is a transposed convolution of kernel 1. It is the same
            function as the linear layer, but its initial weights depend on `hidden` instead of
            `width` (`initialise`).
    """
    channels, side, _ = stages.shape
    first: list[nn.Module]
    if transposed:
        first = [nn.Unflatten(1, (width, 1, 1)), nn.ConvTranspose2d(width, hidden, 1)]
    else:
        first = [nn.Linear(width, hidden), nn.Unflatten(1, (hidden, 1, 1))]
    expand = [
        *rectified(hidden, batch_norm=stages.batch_norm),
        nn.ConvTranspose2d(hidden, channels, side),
    ]
    return nn.Sequential(*first, *expand, *stages.decoder(output_channels))
