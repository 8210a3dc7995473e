"""Pooling and normalisation by neighbours against loops in NumPy, and gradients against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from dlx.nets.pooling import POOLS, contrast_normalised, max_pool, near, response_normalised

X = np.random.default_rng(0).normal(size=(2, 6, 7, 3))
OF_A_WINDOW = {
    "max": lambda seen: seen.max((1, 2)),
    "average": lambda seen: seen.mean((1, 2)),
    "l2": lambda seen: np.sqrt((seen**2).sum((1, 2))),
    "none": lambda seen: seen[:, 0, 0],
}
WINDOWS = {"whole": (2, None), "overlapping": (3, 2), "of two sides": ((2, 3), (1, 3)), "apart": (1, 2)}


def pooled(x, name, size, stride):
    (a, b), (s, t) = (of if isinstance(of, tuple) else (of, of) for of in (size, size if stride is None else stride))
    rows, columns = range(0, x.shape[1] - a + 1, s), range(0, x.shape[2] - b + 1, t)
    of_window = OF_A_WINDOW[name]
    return np.stack([np.stack([of_window(x[:, i : i + a, j : j + b]) for j in columns], 1) for i in rows], 1)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(("size", "stride"), WINDOWS.values(), ids=WINDOWS)
def test_a_window_is_pooled_as_in_numpy_and_differentiated(name, size, stride):
    with jax.enable_x64(True):
        pool = jax.jit(POOLS[name](size, stride))
        np.testing.assert_allclose(pool(jnp.asarray(X)), pooled(X, name, size, stride), rtol=1e-12)
        check_grads(pool, (jnp.asarray(X),), order=1, modes=["fwd", "rev"], rtol=1e-5, eps=1e-6)


@pytest.mark.parametrize(("stride", "shares"), [(2, [[0.5, 0], [0.5, 0]]), (1, [[0.5, 0], [0.5, 0]])])
def test_equal_largest_values_share_the_gradient(stride, shares):
    x = jnp.array([[3.0, 1.0], [3.0, 2.0]])[None, :, :, None]
    gradient = jax.grad(lambda x: max_pool(2, stride)(x).sum())(x)
    np.testing.assert_array_equal(gradient[0, :, :, 0], shares)


def test_the_gradient_of_l2_pooling_is_zero_where_all_is_zero():
    gradient = jax.grad(lambda x: POOLS["l2"](2)(x).sum())(jnp.zeros((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("radius", [1, 2, 9])
def test_contrast_is_the_lectures_mean_and_deviation_of_neighbours(radius):
    def neighbours_mean(f):
        mean = np.empty_like(f)
        for i, j in np.ndindex(f.shape[1:3]):
            rows, columns = (slice(max(0, k - radius), k + radius + 1) for k in (i, j))
            mean[:, i, j] = f[:, rows, columns].mean((1, 2))
        return mean

    centred = X - neighbours_mean(X)
    expected = centred / np.sqrt(neighbours_mean(centred**2) + 0.1)
    with jax.enable_x64(True):
        normalise = jax.jit(contrast_normalised(radius, 0.1))
        np.testing.assert_allclose(normalise(jnp.asarray(X)), expected, rtol=1e-10)
        check_grads(normalise, (jnp.asarray(X),), order=1, modes=["rev"], rtol=1e-5)


@pytest.mark.parametrize("maps", [1, 3, 5])
def test_responses_are_normalised_by_neighbouring_maps(maps):
    expected = np.empty_like(X)
    for i in range(3):
        others = X[..., max(0, i - maps // 2) : i + maps // 2 + 1]
        expected[..., i] = X[..., i] / (2 + 0.3 * (others**2).sum(-1)) ** 0.75
    with jax.enable_x64(True):
        normalise = jax.jit(response_normalised(maps, scale=0.3))
        np.testing.assert_allclose(normalise(jnp.asarray(X)), expected, rtol=1e-12)
        check_grads(normalise, (jnp.asarray(X),), order=1, modes=["rev"], rtol=1e-5)


def test_near_is_a_band():
    np.testing.assert_array_equal(near(4, 1), np.tri(4, k=1) * np.tri(4, k=1).T)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: response_normalised(4), "an odd number of maps, not 4"),
        (lambda: contrast_normalised(0), "a radius of at least 1"),
        (lambda: contrast_normalised(1, 0.0), "an epsilon above 0"),
        (lambda: max_pool(9)(jnp.asarray(X)), "a window of 9 x 9 is larger than the image, which has 6 x 7 pixels"),
    ],
)
def test_what_cannot_be_is_refused_in_words(make, said):
    with pytest.raises(ValueError, match=said):
        make()
