"""Oriented gradients and fixed filters against scikit-image and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate, gaussian_filter, sobel
from scipy.signal import correlate2d
from skimage.feature import hog
from skimage.filters import gabor_kernel

from dlx.data import load
from dlx.nets.convolution import convolution
from dlx.nets.fixed import blur, edges, gabor, kernels
from dlx.nets.mlp import mlp
from dlx.nets.oriented import on_oriented_gradients, oriented_gradients

RNG = np.random.default_rng(0)
SIZES = {
    "digits": (load("digits").test.x[:5].reshape(5, 8, 8), 9, (4, 4), (2, 2)),
    "noise": (RNG.integers(0, 256, (2, 28, 28), np.uint8), 8, (7, 7), (2, 2)),
    "pixels left over, cells and blocks of two sides": (RNG.random((2, 17, 23)).astype(np.float32), 5, (4, 3), (1, 3)),
    "colours": (RNG.random((2, 12, 12, 3)).astype(np.float32), 6, (3, 3), (2, 2)),
}


@pytest.mark.parametrize(("x", "orientations", "cell", "block"), SIZES.values(), ids=SIZES)
def test_oriented_gradients_are_those_of_scikit_image(x, orientations, cell, block):
    made = jax.jit(oriented_gradients, static_argnums=(1, 2, 3))(jnp.asarray(x), orientations, cell, block)
    axis = -1 if x.ndim == 4 else None  # as 0 to 255, so that differences of pixels are exact there
    expected = [hog(one.astype(float), orientations, cell, block, "L2-Hys", channel_axis=axis) for one in x]
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)


def test_a_net_sees_oriented_gradients_in_training_as_in_use():
    digits = jnp.asarray(load("digits").test.x[:4].reshape(4, -1))
    net, plain = on_oriented_gradients(mlp((), 10), cell=2, block=1), mlp((), 10)
    gradients = jax.jit(lambda x: oriented_gradients(x, cell=2, block=1))(digits)
    params = net.init(jax.random.key(0), digits[0])
    assert params["output"]["w"].shape == (16 * 9, 10)
    expected = plain.apply(params, gradients)
    np.testing.assert_allclose(jax.jit(net.apply)(params, digits), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(net.train)(params, jax.random.key(1), digits)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_edges_are_sobels(axis):
    x = RNG.random((9, 8))
    ours = correlate(x, np.asarray(edges(90.0 if axis == 0 else 0.0)))
    np.testing.assert_allclose(ours, sobel(x, axis), atol=1e-5)
    diagonal = (sobel(x, 0) + sobel(x, 1)) / np.sqrt(2)
    np.testing.assert_allclose(correlate(x, np.asarray(edges(45.0))), diagonal, atol=1e-5)


def test_a_blur_is_scipys():
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    np.testing.assert_allclose(blur(1.5, 11), gaussian_filter(impulse, 1.5, radius=5), atol=1e-6)


@pytest.mark.parametrize(("degrees", "phase"), [(0.0, 0.0), (30.0, 1.0), (90.0, 0.0)])
def test_gabor_filters_are_those_of_scikit_image(degrees, phase):
    theirs = gabor_kernel(1 / 4, np.deg2rad(degrees), sigma_x=2, sigma_y=2, n_stds=10, offset=phase)
    middle = theirs.shape[0] // 2, theirs.shape[1] // 2
    part = theirs.real[middle[0] - 4 : middle[0] + 5, middle[1] - 4 : middle[1] + 5]
    np.testing.assert_allclose(gabor(4.0, degrees, 2.0, 9, phase), part * 2 * np.pi * 4, atol=1e-4)


def test_filters_side_by_side_are_convolved_with():
    x = RNG.random((2, 9, 8, 1)).astype(np.float32)
    filters = [edges(), edges(90.0), blur(1.0, 3)]
    made = convolution(jnp.asarray(x), kernels(filters))
    expected = [[correlate2d(one[..., 0], np.asarray(kernel), "valid") for kernel in filters] for one in x]
    np.testing.assert_allclose(made, np.moveaxis(expected, 1, -1), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_is_refused_in_words():
    with pytest.raises(ValueError, match="an odd size, not 4"):
        blur(1.0, 4)
    with pytest.raises(ValueError, match="a window of 9 x 9 is larger than the image"):
        oriented_gradients(jnp.ones((1, 8, 8)), cell=9)
    with pytest.raises(ValueError, match="orientations must be at least 1, not 0"):
        oriented_gradients(jnp.ones((1, 8, 8)), 0)
