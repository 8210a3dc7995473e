"""Virtual examples against SciPy: the same maps, and their amounts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from dlx.nets.layer import as_float
from dlx.nets.virtual import maps, moved, virtual

KEY, SHAPE = jax.random.key(0), (7, 5)
AMOUNTS = (2.0, 40.0, 0.3)


def images(n=6):
    return np.random.default_rng(0).integers(0, 256, (n, SHAPE[0] * SHAPE[1])).astype(np.uint8)


def test_images_are_moved_as_by_scipy():
    with jax.enable_x64(True):
        x = jnp.asarray(images() / 255)
        matrices, offsets = maps(KEY, len(x), SHAPE, *AMOUNTS)
        shifted = np.asarray(moved(x, SHAPE, matrices, offsets))
        assert shifted.dtype == np.float64
        whole = np.asarray(virtual(SHAPE, *AMOUNTS)(KEY, x))
    expected = [
        affine_transform(image.reshape(SHAPE), matrix, offset, order=1, mode="grid-constant").ravel()
        for image, matrix, offset in zip(np.asarray(x), np.asarray(matrices), np.asarray(offsets), strict=True)
    ]
    np.testing.assert_allclose(shifted, expected, atol=1e-12)
    np.testing.assert_array_equal(whole, shifted)


@pytest.mark.parametrize("x", [images(), images().astype(np.float32) / 255], ids=["uint8", "float32"])
def test_amounts_of_0_change_nothing(x):
    np.testing.assert_array_equal(virtual(SHAPE, 0.0, 0.0, 0.0)(KEY, x), as_float(jnp.asarray(x)))


def test_maps_shift_turn_and_enlarge_by_at_most_the_amounts_and_by_nearly_all_of_them():
    shift, angle, scale = AMOUNTS
    n, centre = 2000, (np.array(SHAPE) - 1) / 2
    matrix, offset = map(
        np.asarray, jax.jit(partial(maps, n=n, shape=SHAPE))(KEY, shift=shift, angle=angle, scale=scale)
    )
    size = 1 / np.sqrt(np.linalg.det(matrix))
    turn = np.rad2deg(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    by = np.linalg.solve(matrix, (centre - offset)[..., None])[..., 0] - centre
    for amounts, amount in ((size - 1, scale), (turn, angle), (by[:, 0], shift), (by[:, 1], shift)):
        assert 0.98 * amount < np.abs(amounts).max() < 1.001 * amount
        assert abs(amounts.mean()) < 4 * amount / (3 * n) ** 0.5
    turned = size[:, None, None] * matrix
    np.testing.assert_allclose(turned @ np.swapaxes(turned, 1, 2), np.tile(np.eye(2), (n, 1, 1)), atol=1e-5)


def test_a_shift_of_whole_pixels_moves_the_image_by_them():
    image = np.arange(35.0, dtype=np.float32).reshape(SHAPE)
    image_moved = moved(jnp.asarray(image.reshape(1, -1)), SHAPE, jnp.eye(2)[None], jnp.array([[-1.0, 2.0]]))
    expected = np.zeros(SHAPE)
    expected[1:, :-2] = image[:-1, 2:]
    np.testing.assert_array_equal(image_moved.reshape(SHAPE), expected)


def test_every_image_and_every_key_has_a_map_of_its_own():
    x = np.tile(images(1), (5, 1))
    shifted = np.concatenate([virtual(SHAPE, *AMOUNTS)(key, x) for key in jax.random.split(KEY)])
    assert len(np.unique(shifted, axis=0)) == 10


@pytest.mark.parametrize(
    ("amounts", "words"),
    [
        ((-1.0, 0.0, 0.0), r"shift must be at least 0, not -1\.0"),
        ((0.0, -2.0, 0.0), r"angle must be at least 0, not -2\.0"),
        ((0.0, 0.0, 1.0), r"scale must be at least 0 and below 1, not 1\.0"),
    ],
)
def test_amounts_that_cannot_be_are_refused_in_words(amounts, words):
    with pytest.raises(ValueError, match=words):
        virtual(SHAPE, *amounts)
