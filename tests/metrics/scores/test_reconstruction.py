import numpy as np
import pytest
import torch

from metrics import Codes, score


def test_reconstruction_is_the_cross_entropy_of_torch():
    rng = np.random.default_rng(0)
    images, probabilities = rng.random((5, 2, 12, 16)), rng.uniform(0.01, 0.99, (5, 2, 12, 16))
    ours = score(
        "reconstruction", Codes(np.zeros((5, 1))), images=images, reconstructions=probabilities
    )
    pixels = torch.nn.functional.binary_cross_entropy(
        torch.as_tensor(probabilities), torch.as_tensor(images), reduction="sum"
    )
    assert ours.value == pytest.approx(float(pixels) / 5, rel=1e-12)
