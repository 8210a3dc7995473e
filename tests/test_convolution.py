"""Convolutions against SciPy, their gradients against finite differences, and the same on every platform."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.signal import convolve2d, correlate2d

from dlx.nets.convolution import (
    by_convolution,
    by_products,
    convolution,
    places,
    tile_columns,
    transposed,
    windows,
)

SHAPES = {
    "one channel": ((9, 11, 1), (5, 5, 3), (1, 1), (0, 0), 1),
    "padded": ((6, 7, 2), (3, 3, 4), (1, 1), (1, 2), 1),
    "strides": ((8, 12, 3), (3, 2, 4), (2, 3), (0, 0), 1),
    "stride past the kernel": ((7, 9, 2), (2, 1, 3), (3, 4), (1, 1), 1),
    "groups": ((6, 8, 4), (3, 3, 6), (1, 1), (1, 1), 2),
    "each channel alone": ((5, 6, 3), (2, 3, 6), (1, 2), (0, 1), 3),
    "as large as the image": ((4, 5, 2), (4, 5, 3), (1, 1), (0, 0), 1),
    "columns that no tile divides": ((3, 31, 1), (3, 3, 40), (1, 1), (0, 0), 1),
    "a pixel": ((1, 1, 1), (1, 1, 1), (1, 1), (0, 0), 1),
}
every_shape = pytest.mark.parametrize(("image", "kernel", "stride", "padding", "groups"), SHAPES.values(), ids=SHAPES)


def drawn(image, kernel, groups, seed=0, n=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *image)), rng.normal(size=(*kernel[:2], image[2] // groups, kernel[2]))


def by_scipy(x, w, stride, padding, groups):
    """Unit by unit the sum of SciPy's correlations with the channels of its group."""
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    fan_in, units = w.shape[2:]
    made = []
    for unit in range(units):
        first = unit // (units // groups) * fan_in
        maps = [sum(correlate2d(one[:, :, first + i], w[:, :, i, unit], "valid") for i in range(fan_in)) for one in x]
        made.append(np.stack(maps)[:, :: stride[0], :: stride[1]])
    return np.stack(made, -1)


@every_shape
def test_both_ways_to_convolve_are_scipys(image, kernel, stride, padding, groups):
    x, w = drawn(image, kernel, groups)
    expected = by_scipy(x, w, stride, padding, groups)
    for way in (convolution, by_products, by_convolution):
        with jax.enable_x64(True):
            ours = jax.jit(way, static_argnums=(2, 3, 4))(jnp.asarray(x), jnp.asarray(w), stride, padding, groups)
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)
    assert expected.shape[1:3] == places(image[:2], kernel[:2], stride, padding)


@pytest.mark.parametrize("name", ["padded", "strides", "groups"])
def test_gradients_are_those_of_finite_differences_and_those_of_the_other_way(name):
    image, kernel, *how = SHAPES[name]
    x, w = drawn(image, kernel, how[-1], seed=1)
    with jax.enable_x64(True):
        given = jnp.asarray(x), jnp.asarray(w)
        check_grads(jax.jit(lambda x, w: convolution(x, w, *how)), given, order=1, modes=["rev"], rtol=1e-6)
        gradients = [
            jax.jit(jax.grad(lambda x, w, way=way: jnp.sin(way(x, w, *how)).sum(), (0, 1)))(*given)
            for way in (convolution, by_convolution)
        ]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), *gradients)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_one_program_is_products_on_cpus_and_convolutions_elsewhere(platform):
    x, w = (jnp.asarray(given, jnp.float32) for given in drawn(*SHAPES["padded"][:2], 1))
    step = jax.jit(jax.grad(lambda w, x: jnp.square(convolution(x, w, (1, 1), (1, 1))).sum()))
    text = step.trace(w, x).lower(lowering_platforms=(platform,)).as_text()
    assert ("stablehlo.convolution" in text) == (platform != "cpu")
    assert ("stablehlo.dot_general" in text) == (platform == "cpu")


@pytest.mark.parametrize(
    ("across", "kernel", "units", "tile"),
    [(28, 5, 6, 14), (12, 5, 16, 6), (1, 5, 8, 1), (13, 3, 384, 1)],
)
def test_tiles_are_chosen_by_shape(across, kernel, units, tile):
    assert tile_columns(across, kernel, 1, units) == tile


@pytest.mark.parametrize(("window", "stride"), [((2, 3), (2, 3)), ((3, 2), (1, 2)), ((2, 5), (2, 1)), ((1, 1), (2, 2))])
def test_windows_are_what_is_cut_out_of_the_image(window, stride):
    x = np.random.default_rng(2).normal(size=(2, 7, 8, 3)).astype(np.float32)
    seen = windows(jnp.asarray(x), window, stride)
    down, across = places((7, 8), window, stride)
    assert seen.shape[1:3] == (down, across)
    for i in range(down):
        for j in range(across):
            top, left = i * stride[0], j * stride[1]
            np.testing.assert_array_equal(seen[:, i, j], x[:, top : top + window[0], left : left + window[1]])


@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (0, 0)), ((2, 3), (0, 0)), ((2, 2), (1, 1))])
def test_the_transposed_convolution_is_scipys_full_one_of_images_with_zeros_between(stride, padding):
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, 4, 3, 2)), rng.normal(size=(4, 5, 2, 3))
    spread = np.zeros((2, stride[0] * 3 + 1, stride[1] * 2 + 1, 2))
    spread[:, :: stride[0], :: stride[1]] = x
    full = np.stack(
        [[sum(convolve2d(one[..., i], w[:, :, i, u]) for i in range(2)) for u in range(3)] for one in spread]
    )
    inner = full[:, :, padding[0] : full.shape[2] - padding[0], padding[1] : full.shape[3] - padding[1]]
    with jax.enable_x64(True):
        given = jnp.asarray(x), jnp.asarray(w)
        made = jax.jit(lambda x, w: transposed(x, w, stride, padding))
        np.testing.assert_allclose(made(*given), np.moveaxis(inner, 1, -1), rtol=1e-10, atol=1e-10)
        check_grads(made, given, order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "window", "stride", "padding", "said"),
    [
        ((4, 4), (5, 3), (1, 1), (0, 0), "a window of 5 x 3 is larger than the image, which has 4 x 4 pixels"),
        ((4, 4), (3, 3), (1, 0), (0, 0), r"the stride .* must be at least 1, not \(1, 0\)"),
        ((4, 4), (0, 3), (1, 1), (0, 0), r"the window .* must be at least 1, not \(0, 3\)"),
        ((4, 4), (3, 3), (1, 1), (-1, 0), r"the padding .* must be at least 0, not \(-1, 0\)"),
    ],
)
def test_what_cannot_be_is_refused_in_words(image, window, stride, padding, said):
    with pytest.raises(ValueError, match=said):
        convolution(jnp.ones((1, *image, 1)), jnp.ones((*window, 1, 1)), stride, padding)


def test_groups_that_do_not_divide_and_padding_that_leaves_nothing_are_refused_in_words():
    with pytest.raises(ValueError, match="3 groups do not divide 4 channels and 6 units"):
        convolution(jnp.ones((1, 5, 5, 4)), jnp.ones((3, 3, 1, 6)), groups=3)
    with pytest.raises(ValueError, match="leaves nothing of the transposed convolution"):
        transposed(jnp.ones((1, 1, 1, 1)), jnp.ones((2, 2, 1, 1)), padding=(1, 1))
