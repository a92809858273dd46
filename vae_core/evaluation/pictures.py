"""Pictures of a model as file contents: traversals, reconstructions, mutual information."""

# torch's own hints are partial (`split`, `from_numpy`, `tolist`, `backward`).
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

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
    """Return decoded images (d + m, steps, C, H, W) in [0, 1] around one code.

    Row j < d changes z_j of `start` from −extent to extent. Each of the m rows below goes through
    the categories of one discrete code, with the same number of images per category if possible.
    All other inputs of the decoder stay as in `batch`.

    Args:
        nets: the networks.
        start: (d,) continuous code.
        batch: the batch of one image, with its label, discrete code and noise.
        steps: number of images in a row.
        extent: largest value of a latent.
    """
    device = next(nets.parameters()).device
    latents, categories = len(start), nets.wiring.reads_code
    rows = latents + len(categories)
    codes = torch.as_tensor(start, dtype=torch.float32).repeat(rows, steps, 1)
    for j in range(latents):
        codes[j, :, j] = torch.linspace(-extent, extent, steps)
    discrete = batch.code.cpu().repeat(rows * steps, 1).unflatten(0, (rows, steps))
    if categories:
        for m, block in enumerate(discrete.split(list(categories), 2)):
            size = categories[m]
            block[latents + m] = torch.eye(size)[torch.arange(steps) * size // steps]
    around = batch._replace(
        labels=batch.labels.repeat(rows * steps, 1),
        code=discrete.flatten(0, 1).to(device),
        noise=batch.noise.repeat(rows * steps, 1),
    )
    images = nets.expected(codes.flatten(0, 1).to(device), around)
    return images.unflatten(0, (rows, steps)).float().cpu().numpy()


def traversal_png(traversal: Floats, kl: Floats, *, extent: float = 3.0) -> bytes:
    """Return a PNG of a traversal, one row per latent by falling KL, then one per discrete code.

    Args:
        traversal: (d + m, steps, C, H, W) in [0, 1], from `traverse`.
        kl: (d,) KL of each latent, nats; orders and labels the rows.
        extent: largest value of a latent, for the labels of the columns.
    """
    values = np.linspace(-extent, extent, traversal.shape[1])
    order, labels = _rows(kl, len(traversal))
    columns = [f"{value:.1f}" for value in values]
    return _png(_grid(traversal[order], rows=labels, columns=columns))


def traversal_gif(traversal: Floats, kl: Floats, *, milliseconds: int = 120) -> bytes:
    """Return an endless GIF of a traversal, one row per latent, from one end to the other and back.

    Args:
        traversal: (d + m, steps, C, H, W) in [0, 1], from `traverse`.
        kl: (d,) KL of each latent, nats; orders and labels the rows.
        milliseconds: duration of one image.
    """
    order, labels = _rows(kl, len(traversal))
    steps = traversal.shape[1]
    to_and_fro = [*range(steps), *range(steps - 2, 0, -1)]
    frames = [_grid(traversal[order, k][:, None], rows=labels, columns=[]) for k in to_and_fro]
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
    """Return a PNG of originals (n, C, H, W) above their reconstructions."""
    return _png(
        _grid(np.stack([images, reconstructions]), rows=["original", "decoded"], columns=[])
    )


def mutual_information_png(information: Floats, factors: Sequence[str], kl: Floats) -> bytes:
    """Return a PNG of I(z_j; v_k), nats, one column per factor.

    There is one row per latent, by falling KL, then one per discrete code.

    Args:
        information: (d + m, K) in nats; a darker cell has more, relative to the largest.
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
    """Return the latents from the largest KL to the smallest; equal ones keep their order."""
    return np.argsort(-np.asarray(kl), kind="stable")


def _rows(kl: Floats, rows: int) -> tuple[list[int], list[str]]:
    """Return the order and the labels of a traversal's rows: latents by KL, then discrete codes."""
    latents = _by_kl(kl).tolist()
    order = [*latents, *range(len(kl), rows)]
    labels = [f"z{j}  {kl[j]:.2f} nats" for j in latents]
    labels += [f"code {m}" for m in range(rows - len(kl))]
    return order, labels


def _grid(images: Floats, *, rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Return a labelled grid of images (rows, columns, C, H, W) in [0, 1], enlarged to 64 px."""
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
    return ImageFont.load_default(size)  # part of Pillow: the same on every machine


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()
