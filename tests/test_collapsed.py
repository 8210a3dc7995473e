"""Layers and convolutions that collapse, against NumPy and SciPy; a saw, against interpolation."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from dlx.nets import collapsed, saw
from dlx.nets.layer import RELU

RNG = np.random.default_rng(0)


def test_one_layer_is_what_the_layers_do():
    sizes = (3, 5, 4, 2)
    layers = [{"w": RNG.normal(size=pair), "b": RNG.normal(size=pair[1])} for pair in pairwise(sizes)]
    x = y = RNG.normal(size=(6, 3))
    for layer in layers:
        y = y @ layer["w"] + layer["b"]
    one = collapsed.one_layer(layers)
    np.testing.assert_allclose(x @ one["w"] + one["b"], y, rtol=1e-10)


def correlated(x, kernel):
    """[in, height, width] by SciPy."""
    return np.array(
        [sum(correlate2d(image, part, "valid") for image, part in zip(x, of, strict=True)) for of in kernel]
    )


def test_one_kernel_is_what_two_do_and_convolutions_are_scipys():
    x, first, second = RNG.normal(size=(2, 9, 8)), RNG.normal(size=(3, 2, 3, 2)), RNG.normal(size=(4, 3, 2, 4))
    one = collapsed.one_kernel(first, second)
    assert one.shape == (4, 2, 4, 5)
    expected = correlated(correlated(x, first), second)
    np.testing.assert_allclose(correlated(x, one), expected, rtol=1e-8, atol=1e-10)
    ours = collapsed.convolved(jnp.asarray(x[None], jnp.float32), one.astype(np.float32))[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_what_is_linear_collapses_and_what_is_rectified_does_not():
    key = jax.random.key(0)
    assert collapsed.layers_gap(key, 8) < 1e-6
    assert collapsed.kernels_gap(key, 8) < 1e-6
    assert collapsed.layers_gap(key, 8, RELU) > 0.1


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_saws_go_up_and_down_between_0_and_1(layers):
    pieces = 2**layers
    x = np.linspace(0, 1, 8 * pieces + 1)
    expected = np.interp(x, np.arange(pieces + 1) / pieces, np.arange(pieces + 1) % 2)
    np.testing.assert_array_equal(saw.deep_saw(x, layers), expected)
    np.testing.assert_array_equal(saw.shallow_saw(x, pieces), expected)
    assert saw.count_pieces(expected) == pieces
    assert saw.saw_gap(layers) == 0


def test_a_saw_that_is_not_there_would_be_found(monkeypatch):
    monkeypatch.setattr(saw, "deep_saw", lambda x, layers: x)
    assert saw.saw_gap(3) > 1
