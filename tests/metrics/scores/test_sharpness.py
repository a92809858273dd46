import math

import numpy as np
import pytest
from scipy.ndimage import laplace

from metrics import Codes, score
from metrics.scores.sharpness import laplacian

IMAGES = np.random.default_rng(0).random((5, 2, 12, 16))


def sharpness(reconstructions, images=None):
    images = reconstructions if images is None else images
    return score(
        "sharpness",
        Codes(np.zeros((len(images), 1))),
        images=images,
        reconstructions=reconstructions,
    )


def test_laplacian_of_one_pixel_is_the_stencil():
    point = np.zeros((5, 5))
    point[2, 2] = 1
    np.testing.assert_array_equal(laplacian(point)[1:4, 1:4], [[0, 1, 0], [1, -4, 1], [0, 1, 0]])


def test_laplacian_mirrors_about_the_outermost_pixel():
    for image in IMAGES[0]:
        np.testing.assert_allclose(laplacian(image), laplace(image, mode="mirror"), atol=1e-12)


def test_value_is_the_mean_over_images_and_channels_on_grey_levels():
    channels = IMAGES.reshape(-1, *IMAGES.shape[-2:])
    expected = np.mean([laplace(255 * channel, mode="mirror").var() for channel in channels])
    assert sharpness(IMAGES).value == pytest.approx(expected)


def test_checkerboard_has_the_largest_value():
    # Every neighbour differs: L = +-4 x 255, variance 16 x 255^2 = 1,040,400.
    board = (np.indices((8, 8)).sum(axis=0) % 2)[None].astype(float)
    assert sharpness(board).value == pytest.approx(16 * 255**2)


def test_ratio_is_relative_to_the_originals():
    result = sharpness(0.5 * IMAGES, IMAGES)
    assert result.details["ratio"] == pytest.approx(0.25)  # variance is quadratic in contrast
    assert result.details["originals"] == pytest.approx(4 * result.value)
    assert result.details["per_image"].mean() == pytest.approx(result.value)


def test_flat_originals_have_no_ratio():
    assert math.isnan(sharpness(IMAGES, np.full_like(IMAGES, 0.3)).details["ratio"])


def test_chunks_do_not_change_the_value(monkeypatch):
    in_one_chunk = sharpness(IMAGES).value
    monkeypatch.setattr("metrics.scores.sharpness._CHUNK", 2)
    assert sharpness(IMAGES).value == pytest.approx(in_one_chunk, rel=1e-12)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.ones((3, 8)), r"\(N, H, W\)"),
        (np.full((3, 8, 8), 1.5), r"lie in \[0, 1\]"),
        (np.full((3, 8, 8), np.nan), r"lie in \[0, 1\]"),
    ],
)
def test_images_of_another_shape_or_range_are_refused(images, words):
    with pytest.raises(ValueError, match=words):
        sharpness(images)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape of images"):
        sharpness(IMAGES, IMAGES[:, :1])
