"""Pooling, and normalisation by neighbours: what stands between convolutions, without parameters of its own.

Lectures: CS/CNS/EE 155 16, "Max Pooling", "L2 Pooling", "Local Contrast Normalization"; Alpaydin 12, "Convolution".
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.convolution import Images, Pair, pair, windows

Pooling = Callable[[Images], Float[Array, "n down across channels"]]
"""One value for each window of each map."""


def max_pool(size: int | Pair, stride: int | Pair | None = None) -> Pooling:
    """The largest value of a window. Where several are equal, the gradient falls to them in equal parts."""
    how = _how(size, stride)
    return lambda x: _max(x, *how)


def average_pool(size: int | Pair, stride: int | Pair | None = None) -> Pooling:
    """The mean of a window."""
    how = _how(size, stride)
    return lambda x: windows(x, *how).mean((3, 4))


def l2_pool(size: int | Pair, stride: int | Pair | None = None) -> Pooling:
    """The root of the sum of squares of a window; its gradient is 0 where all are 0."""
    how = _how(size, stride)

    def pool(x):
        squares = jnp.square(windows(x, *how)).sum((3, 4))
        return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)

    return pool


def subsample(size: int | Pair, stride: int | Pair | None = None) -> Pooling:
    """The first value of a window: as many values as pooling leaves, without pooling."""
    how = _how(size, stride)
    return lambda x: windows(x, *how)[:, :, :, 0, 0]


POOLS: Mapping[str, Callable[..., Pooling]] = {
    "max": max_pool,
    "average": average_pool,
    "l2": l2_pool,
    "none": subsample,
}
"""Ways to pool by name. Each takes the size of a window and the stride, which is the size if it is not given."""


def _how(size: int | Pair, stride: int | Pair | None) -> tuple[Pair, Pair]:
    return pair(size), pair(size if stride is None else stride)


@jax.custom_jvp
def _largest(seen: Float[Array, "n down across rows columns channels"]) -> Float[Array, "n down across channels"]:
    return seen.max((3, 4))


@_largest.defjvp
def _largest_jvp(primals, tangents):
    (seen,), (moved,) = primals, tangents
    largest = seen.max((3, 4))
    equal = seen == largest[:, :, :, None, None]
    return largest, jnp.where(equal, moved, 0).sum((3, 4)) / equal.sum((3, 4))


def _max(x: Images, window: Pair, stride: Pair) -> Array:
    return _largest(windows(x, window, stride))


def contrast_normalised(radius: int = 2, epsilon: float = 0.01) -> Callable[[Images], Images]:
    """(f - mean) / sqrt(variance + epsilon), by the neighbours of each value in its own map.

    The mean is that of the values at most `radius` rows and columns away. The variance is the mean there of
    (f - mean)^2, each value with the mean at its own place.

    Raises ValueError for a radius below 1 or an epsilon that is not above 0.
    """
    if radius < 1 or not epsilon > 0:
        raise ValueError(f"contrast takes a radius of at least 1 and an epsilon above 0, not {radius} and {epsilon}")

    def normalise(x):
        centred = x - _neighbours_mean(x, radius)
        return centred / jnp.sqrt(_neighbours_mean(jnp.square(centred), radius) + epsilon)

    return normalise


def _neighbours_mean(x: Images, radius: int) -> Images:
    """A product along the rows and one along the columns, as a mean over a rectangle is a mean of means."""
    down, across = (near(size, radius).astype(x.dtype) for size in x.shape[1:3])
    down, across = down / down.sum(1, keepdims=True), across / across.sum(1, keepdims=True)
    return jnp.einsum("ab,nbwc,vw->navc", down, x, across)


def near(size: int, radius: int) -> Float[Array, "size size"]:
    """1 where two of so many places are at most `radius` apart, else 0."""
    at = jnp.arange(size)
    return (jnp.abs(at[:, None] - at) <= radius).astype(jnp.float32)


def response_normalised(
    maps: int = 5, bias: float = 2.0, scale: float = 1e-4, power: float = 0.75
) -> Callable[[Images], Images]:
    """f / (bias + scale * sum of squares)^power, the sum over so many neighbouring maps, at the same place.

    Krizhevsky et al. 2012, section 3.3, with their constants.

    Raises ValueError if the number of maps is not odd.
    """
    if maps < 1 or maps % 2 == 0:
        raise ValueError(f"a map stands in the middle of its neighbours; choose an odd number of maps, not {maps}")

    def normalise(x):
        squares = jnp.square(x) @ near(x.shape[3], maps // 2).astype(x.dtype)
        return x * (bias + scale * squares) ** -power

    return normalise
