"""Pictures of what each latent does, as arrays and as files."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vae_core.networks import Networks


@torch.no_grad()
def traverse(
    nets: Networks, start: NDArray[np.floating], *, steps: int = 11, extent: float = 3.0
) -> NDArray[np.float32]:
    """Return images (d, steps, C, H, W) in [0, 1]: row j decodes `start` (d,), z_j from −extent to extent."""
    device = next(nets.parameters()).device
    latents = len(start)
    values = torch.linspace(-extent, extent, steps)
    codes = torch.as_tensor(start, dtype=torch.float32).repeat(latents, steps, 1)
    for j in range(latents):
        codes[j, :, j] = values
    images = nets.expected(codes.flatten(0, 1).to(device))
    return images.unflatten(0, (latents, steps)).float().cpu().numpy()
