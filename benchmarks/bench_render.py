"""The cost of drawing all of dSprites, and of a batch from stored bytes against float32 images.

python benchmarks/bench_render.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from metrics import Factors
from vae_core import Data
from vae_core.data import ImageTable
from vae_core.data.dsprites.render import SIZES, render_blocks
from vae_core.data.packing import pool


def seconds(call: Callable[[], object], *, repeats: int) -> float:
    """Return the median time of a call; the first call is not counted."""
    times: list[float] = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def table(images: np.ndarray, side: int, levels: int) -> ImageTable:
    """Return a table of single-channel images."""
    factors = Factors(np.zeros((len(images), 1), np.int64), ("none",), (1,))
    return ImageTable(Data("bench", images, (1, side, side), levels == 1, levels, factors, ""))


def main() -> None:
    """Print one line per measurement."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    images = sum(len(block) for block in render_blocks([range(size) for size in SIZES]))
    elapsed = time.perf_counter() - start
    print(
        f"render: {images:,} images in {elapsed:.2f} s, {images / elapsed:,.0f} images/s, "
        "one thread"
    )

    quick = [range(3), range(0, 6, 2), range(0, 40, 4), range(0, 32, 2), range(0, 32, 2)]
    packed = np.concatenate(list(render_blocks(quick)))
    generator = torch.Generator().manual_seed(0)
    for side, levels, stored in ((64, 1, packed), (32, 4, pool(packed, 64, 32))):
        stored_table = table(stored, side, levels)
        float_images = stored_table.batch(torch.arange(len(stored)))
        for batch in (128, 2048):
            indices = torch.randint(len(stored), (batch,), generator=generator)
            # The lambdas are called at once, before the next turn of the loop.
            ours = seconds(lambda: stored_table.batch(indices), repeats=20)  # noqa: B023
            floats = seconds(lambda: float_images[indices], repeats=20)  # noqa: B023
            print(
                f"batch of {batch} at {side} px: stored {ours * 1e3:.2f} ms, "
                f"float32 {floats * 1e3:.2f} ms, ratio {ours / floats:.2f}, "
                f"memory ratio 1/{float_images.nbytes // stored.nbytes}"
            )


if __name__ == "__main__":
    main()
