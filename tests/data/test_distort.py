"""Distortions against scipy.ndimage with the same displacement, and what is drawn against its stated distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.stats import kstest, uniform

from dlx.data.distort import Distortion, affine, displacement, distorted, gaussian, resampled, uniform_bytes
from dlx.types import Labelled

KEY = jax.random.key(0)
ALL = Distortion(shift=1.5, rotation=15.0, scale=0.15, shear=0.2, elastic=20.0, width=3.0)
RNG = np.random.default_rng(0)
IMAGES = {
    "pixels": RNG.integers(0, 256, (6, 9, 7, 1), np.uint8),
    "colours": RNG.integers(0, 256, (4, 8, 8, 3), np.uint8),
    "floats": RNG.random((5, 6, 8, 2)).astype(np.float32),
    "a pixel": RNG.integers(0, 256, (2, 1, 1, 1), np.uint8),
}


@pytest.mark.parametrize("x", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("far", [1.0, 20.0])
def test_images_are_scipys_at_the_same_displacement(x, far):
    n, height, width, channels = x.shape
    field = (far * RNG.normal(size=(2, n, height, width))).astype(np.float32)
    field[:, 0] = np.round(field[:, 0])
    made = jax.jit(resampled)(jnp.asarray(x), jnp.asarray(field))
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    scale = 255 if x.dtype == np.uint8 else 1
    for i, k in np.ndindex(n, channels):
        padded = np.pad(x[i, :, :, k].astype(float) / scale, 1)
        expected = map_coordinates(padded, grid + field[:, i] + 1, order=1, mode="constant")
        np.testing.assert_allclose(made[i, :, :, k], expected, rtol=1e-4, atol=1e-5)


def test_the_field_is_a_map_about_the_centre_and_scipys_smoothed_noise():
    field = np.asarray(jax.jit(displacement, static_argnums=(1, 2))(KEY, 5, (9, 8), ALL))
    key_affine, key_elastic = jax.random.split(KEY)
    maps, shifts = map(np.asarray, affine(key_affine, 5, ALL))
    noise = np.asarray(uniform_bytes(key_elastic, (2, 5, 9, 8)))
    for n, (i, j) in ((n, at) for n in range(5) for at in np.ndindex(9, 8)):
        centred = np.array([i - 4, j - 3.5])
        smooth = [gaussian_filter(noise[axis, n], 3, mode="constant", truncate=9)[i, j] for axis in (0, 1)]
        expected = maps[n] @ centred - centred + shifts[n] + 20 * np.array(smooth)
        np.testing.assert_allclose(field[:, n, i, j], expected, rtol=1e-3, atol=1e-3)


def test_what_is_left_out_is_zero_and_what_is_traced_may_be():
    still = Distortion()
    np.testing.assert_allclose(displacement(KEY, 3, (5, 5), still), 0, atol=1e-6)
    traced = jax.jit(lambda elastic: displacement(KEY, 3, (5, 5), Distortion(elastic=elastic)))
    np.testing.assert_allclose(traced(0.0), 0, atol=1e-6)
    np.testing.assert_allclose(traced(3.0), displacement(KEY, 3, (5, 5), Distortion(elastic=3.0)), atol=1e-5)


def test_a_gaussian_smooths_a_column_as_scipy_does():
    values = RNG.normal(size=12)
    for width in (0.5, 2.0, 30.0):
        expected = gaussian_filter(values, width, mode="constant", truncate=9)
        np.testing.assert_allclose(gaussian(12, width) @ values, expected, rtol=1e-3, atol=1e-4)


def test_the_noise_has_256_equally_probable_values_from_minus_one_to_one():
    drawn = np.asarray(uniform_bytes(KEY, (7, 11_003)))
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_allclose(values, np.linspace(-1, 1, 256), atol=1e-6)
    mean = drawn.size / 256
    assert ((counts - mean) ** 2 / mean).sum() < 255 + 4 * np.sqrt(2 * 255), "chi squared"
    assert abs(np.corrcoef(drawn[:, :-1].ravel(), drawn[:, 1:].ravel())[0, 1]) < 4 / np.sqrt(drawn.size)


@pytest.mark.parametrize(
    ("name", "size", "drawn"),
    [
        ("shift", 2.0, lambda maps, shifts: shifts.ravel() / 2),
        ("rotation", 30.0, lambda maps, shifts: np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0])) / 30),
        ("scale", 0.3, lambda maps, shifts: (1 / np.stack([maps[:, 0, 0], maps[:, 1, 1]]).ravel() - 1) / 0.3),
        ("shear", 0.5, lambda maps, shifts: maps[:, 1, 0] / 0.5),
    ],
)
def test_each_distortion_is_uniform_within_its_bounds_and_nothing_else_moves(name, size, drawn):
    maps, shifts = map(np.asarray, affine(KEY, 2000, Distortion()._replace(**{name: size})))
    assert kstest(drawn(maps, shifts), uniform(-1, 2).cdf).pvalue > 1e-3
    if name != "shift":
        assert not shifts.any()
    expected = {
        "shift": np.broadcast_to(np.eye(2), maps.shape),
        "rotation": np.linalg.inv(maps).swapaxes(1, 2),
        "scale": maps * np.eye(2),
        "shear": np.where([[0, 0], [1, 0]], maps, np.eye(2)),
    }
    np.testing.assert_allclose(maps, expected[name], atol=1e-6)


@pytest.mark.parametrize("shape", [(30,), (5, 6), (5, 6, 1)])
def test_a_batch_is_distorted_in_its_own_shape_and_keeps_its_labels(shape):
    pixels = RNG.integers(0, 256, (3, *shape), np.uint8)
    batch = Labelled(jnp.asarray(pixels), jnp.arange(3))
    made = jax.jit(distorted(ALL, (5, 6) if len(shape) == 1 else None))(KEY, batch)
    assert made.x.shape == pixels.shape
    assert made.x.dtype == jnp.float32
    np.testing.assert_array_equal(made.y, batch.y)
    expected = resampled(batch.x.reshape(3, 5, 6, 1), displacement(KEY, 3, (5, 6), ALL))
    np.testing.assert_allclose(made.x.ravel(), expected.ravel(), atol=1e-5)


def test_what_cannot_be_is_refused_in_words():
    with pytest.raises(ValueError, match="a distortion is at least 0, but shift, elastic is not"):
        distorted(Distortion(shift=-1, elastic=-2.0))
    with pytest.raises(ValueError, match="30 pixels are no image of 5 x 5"):
        distorted(ALL)(KEY, Labelled(jnp.zeros((2, 30)), jnp.zeros(2, int)))
