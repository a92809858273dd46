"""Pictures of what a model does: traversals, reconstructions, mutual information; from arrays to file bytes."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vae_core.networks import Networks
from vae_core.types import Batch

Floats = NDArray[np.floating]

_GAP = 2  # pixels between images
_INK, _PAPER, _FAINT = (20, 20, 20), (255, 255, 255), (150, 150, 150)


@torch.no_grad()
def traverse(
    nets: Networks, start: Floats, batch: Batch, *, steps: int = 11, extent: float = 3.0
) -> NDArray[np.float32]:
    """Return decoded images (d + m, steps, C, H, W) in [0, 1] around one code; what else the decoder reads is kept.

    Row j < d takes z_j of `start` from −extent to extent. The m rows after them go through the categories of each
    discrete code, as many images each as fit evenly.

    Args:
        nets: the networks.
        start: (d,) continuous code.
        batch: one image's batch, with its label, discrete code and noise.
        steps: images in a row.
        extent: of the traversal.
    """
    device = next(nets.parameters()).device
    latents, categories = len(start), nets.wiring.reads_code
    rows = latents + len(categories)
    codes = torch.as_tensor(start, dtype=torch.float32).repeat(rows, steps, 1)
    for j in range(latents):
        codes[j, :, j] = torch.linspace(-extent, extent, steps)
    chosen = batch.code.cpu().repeat(rows * steps, 1).unflatten(0, (rows, steps))
    for m, block in enumerate(chosen.split(list(categories), 2) if categories else ()):
        size = categories[m]
        block[latents + m] = torch.eye(size)[torch.arange(steps) * size // steps]
    around = batch._replace(
        labels=batch.labels.repeat(rows * steps, 1),
        code=chosen.flatten(0, 1).to(device),
        noise=batch.noise.repeat(rows * steps, 1),
    )
    images = nets.expected(codes.flatten(0, 1).to(device), around)
    return images.unflatten(0, (rows, steps)).float().cpu().numpy()


def traversal_png(traversal: Floats, kl: Floats, *, extent: float = 3.0) -> bytes:
    """Return a PNG of `traverse`'s images, one row a latent, the most informative on top, discrete codes below.

    Args:
        traversal: (d + m, steps, C, H, W) in [0, 1].
        kl: (d,) KL of each latent, nats; orders and labels the rows.
        extent: of the traversal, for the axis.
    """
    values = np.linspace(-extent, extent, traversal.shape[1])
    order, rows = _rows(kl, len(traversal))
    return _png(_grid(traversal[order], rows=rows, columns=[f"{value:.1f}" for value in values]))


def traversal_gif(traversal: Floats, kl: Floats, *, milliseconds: int = 120) -> bytes:
    """Return an endless GIF, one row a latent, each swinging from one end to the other and back."""
    order, rows = _rows(kl, len(traversal))
    steps = traversal.shape[1]
    swing = [*range(steps), *range(steps - 2, 0, -1)]
    frames = [_grid(traversal[order, k][:, None], rows=rows, columns=[]) for k in swing]
    file = io.BytesIO()
    quantised = [frame.quantize(64) for frame in frames]
    quantised[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=quantised[1:],
        duration=milliseconds,
        loop=0,
    )
    return file.getvalue()


def reconstructions_png(images: Floats, reconstructions: Floats) -> bytes:
    """Return a PNG of originals (n, C, H, W) over their reconstructions."""
    return _png(
        _grid(np.stack([images, reconstructions]), rows=["original", "decoded"], columns=[])
    )


def mutual_information_png(information: Floats, factors: Sequence[str], kl: Floats) -> bytes:
    """Return a PNG of I(z_j; v_k), nats: one row a latent, by KL, then discrete codes, one column a factor.

    Args:
        information: (d + m, K) in nats; darker is more, on the scale of the largest.
        factors: K names.
        kl: (d,) KL of each latent, nats; orders and labels the rows.
    """
    order, labels = _rows(kl, len(information))
    font, width, height, left, top = _font(13), 84, 26, 132, 30
    canvas = Image.new(
        "RGB", (left + width * len(factors) + 8, top + height * len(order) + 8), _PAPER
    )
    draw = ImageDraw.Draw(canvas)
    largest = max(float(information.max()), 1e-9)
    for k, name in enumerate(factors):
        draw.text((left + width * (k + 0.5), top / 2), name, _INK, font, anchor="mm")
    for row, (j, label) in enumerate(zip(order, labels, strict=True)):
        y = top + height * row
        draw.text((left - 8, y + height / 2), label, _INK, font, anchor="rm")
        for k in range(len(factors)):
            share = float(np.clip(information[j, k] / largest, 0, 1))
            shade = tuple(round(255 + (dark - 255) * share) for dark in (8, 64, 129))
            box = (left + width * k, y, left + width * (k + 1) - 2, y + height - 2)
            draw.rectangle(box, fill=shade)
            ink = _PAPER if share > 0.5 else _INK
            centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            draw.text(centre, f"{information[j, k]:.2f}", ink, font, anchor="mm")
    return _png(canvas)


def _by_kl(kl: Floats) -> NDArray[np.intp]:
    """Return latents from the largest KL to the smallest, equal ones in their own order."""
    return np.argsort(-np.asarray(kl), kind="stable")


def _rows(kl: Floats, rows: int) -> tuple[list[int], list[str]]:
    """Return the order and the labels of a traversal's rows: latents by KL, then discrete codes."""
    codes = range(len(kl), rows)
    return [*_by_kl(kl).tolist(), *codes], [
        *_labels(kl),
        *(f"code {row - len(kl)}" for row in codes),
    ]


def _labels(kl: Floats) -> list[str]:
    """Return the rows' labels in the order of `_by_kl`."""
    return [f"z{j}  {kl[j]:.2f} nats" for j in _by_kl(kl)]


def _grid(images: Floats, *, rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Return images (rows, columns, C, H, W) in [0, 1] on paper, labelled; small ones enlarged to 64 pixels."""
    n_rows, n_columns, channels, height, width = images.shape
    zoom = max(1, round(64 / height))
    height, width = height * zoom, width * zoom
    font = _font(13)
    left = 12 + max(round(font.getlength(label)) for label in rows)
    top = 22 if columns else _GAP
    size = (left + n_columns * (width + _GAP), top + n_rows * (height + _GAP))
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    levels = (np.clip(images, 0, 1) * 255).round().astype(np.uint8)
    for column, label in enumerate(columns):
        draw.text(
            (left + column * (width + _GAP) + width / 2, top / 2), label, _FAINT, font, anchor="mm"
        )
    for row in range(n_rows):
        y = top + row * (height + _GAP)
        draw.text((left - 8, y + height / 2), rows[row], _INK, font, anchor="rm")
        for column in range(n_columns):
            pixels = np.moveaxis(levels[row, column], 0, -1)
            tile = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            if zoom > 1:
                tile = tile.resize((width, height), Image.Resampling.NEAREST)
            canvas.paste(tile, (left + column * (width + _GAP), y))
    return canvas


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # shipped inside Pillow: the same letters on every machine


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
