"""Pictures: finite, in range, ordered by KL, readable by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vae_core.evaluation import pictures
from vae_core.likelihood import likelihood
from vae_core.networks import MLP, Networks, build_networks
from vae_core.random_draws import generator
from vae_core.types import Batch, Wiring

KL = np.array([0.1, 2.0, 0.7])


@pytest.fixture
def nets() -> Networks:
    network, draw = MLP(hidden=(8,), latents=3), generator(0, "weights")
    return build_networks(
        network, Wiring(), (1, 16, 16), likelihood=likelihood("bernoulli"), generator=draw
    )


def one_image(code: torch.Tensor | None = None) -> Batch:
    absent = torch.zeros(1, 0)
    image = torch.zeros(1, 1, 16, 16)
    return Batch(
        image,
        labels=absent,
        factors=absent,
        second=image[:0],
        code=absent if code is None else code,
    )


def opened(blob: bytes) -> Image.Image:
    return Image.open(io.BytesIO(blob))


def test_traversals_are_images(nets: Networks) -> None:
    images = pictures.traverse(nets, np.zeros(3, np.float32), one_image(), steps=5)
    assert images.shape == (3, 5, 1, 16, 16)
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
    assert 0 <= images.min() <= images.max() <= 1


def test_row_j_moves_latent_j_only(nets: Networks) -> None:
    start = np.array([0.3, -1.0, 0.5], np.float32)
    images = pictures.traverse(nets, start, one_image(), steps=7, extent=3.0)
    codes = torch.from_numpy(np.array([start, [0.3, 2.0, 0.5]], np.float32))
    with torch.no_grad():
        at_start, at_two = nets.expected(codes, one_image()).numpy()
    # The steps are −3, −2, …: step 2 is −1, the start itself, and step 5 is +2.
    np.testing.assert_allclose(images[1, 2], at_start, atol=1e-6)  # float32, another batch size
    np.testing.assert_allclose(images[1, 5], at_two, atol=1e-6)


def test_rows_below_the_latents_go_through_a_code_s_categories() -> None:
    wiring = Wiring(reads_code=(2, 3))
    nets = build_networks(
        MLP(hidden=(8,), latents=2),
        wiring,
        (1, 16, 16),
        likelihood=likelihood("bernoulli"),
        generator=generator(0, ""),
    )
    original = torch.tensor([[0.0, 1.0, 0.0, 0.0, 1.0]])
    images = pictures.traverse(nets, np.zeros(2, np.float32), one_image(original), steps=6)
    assert images.shape == (4, 6, 1, 16, 16)
    # the second code has two images for each of its 3 categories; the first code does not change
    for step, code in ((0, [0, 1, 1, 0, 0]), (3, [0, 1, 0, 1, 0]), (5, [0, 1, 0, 0, 1])):
        with torch.no_grad():
            wanted = nets.expected(torch.zeros(1, 2), one_image(torch.tensor([code]).float()))
        np.testing.assert_allclose(images[3, step], wanted[0].numpy(), atol=1e-6)
    assert opened(pictures.traversal_png(images, np.array([0.1, 0.2]))).format == "PNG"


@pytest.mark.parametrize("channels", [1, 3])
def test_files_open_and_have_their_sizes(channels: int) -> None:
    images = np.random.default_rng(0).random((3, 5, channels, 16, 16))
    picture = opened(pictures.traversal_png(images, KL))
    assert picture.format == "PNG"
    assert picture.width > 5 * 64  # enlarged to 64 pixels
    film = opened(pictures.traversal_gif(images, KL))
    assert film.format == "GIF"
    assert film.n_frames == 8  # type: ignore[attr-defined]  # 0 1 2 3 4 3 2 1
    assert opened(pictures.reconstructions_png(images[0], images[1])).height < 3 * 66


def test_most_informative_latent_is_on_top() -> None:
    """Latent 1 has the largest KL: its white images make the first row white."""
    images = np.zeros((3, 4, 1, 16, 16))
    images[1] = 1.0
    pixels = np.asarray(opened(pictures.traversal_png(images, KL)).convert("L"))
    right = pixels[:, -40:-10]  # within the last column of images
    assert (right[30:80] == 255).all()
    assert (right[95:140] == 0).all()


def test_matrix_has_a_cell_for_every_latent_and_factor() -> None:
    information = np.zeros((3, 2))
    information[1, 1] = 0.6
    picture = np.asarray(
        opened(pictures.mutual_information_png(information, ["x", "y"], KL)).convert("L")
    )
    assert picture[32, 132 + 84 + 3] < 100  # row 0 is latent 1: its second cell is dark
    assert picture[32, 132 + 3] > 250
    assert np.isfinite(picture).all()
    with_code = np.concatenate([information, [[0.9, 0.0]]])
    taller = np.asarray(
        opened(pictures.mutual_information_png(with_code, ["x", "y"], KL)).convert("L")
    )
    assert taller[32 + 3 * 26, 132 + 3] < 100  # the discrete code's row is the last
    # without any information there is no division by zero
    pictures.mutual_information_png(np.zeros((3, 2)), ["x", "y"], KL)
