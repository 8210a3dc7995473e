"""Kernels that nobody trains: edges, Gabor filters and Gaussian blur. Lecture: CS/CNS/EE 155 16, "Feature Engineering".

A kernel is [rows, columns]; `kernels` makes of several what `dlx.nets.convolution.convolution` takes.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.layer import check_positive

Filter = Float[Array, "rows columns"]


def edges(degrees: float = 0.0) -> Filter:
    """Sobel's derivative: along the columns at 0 degrees, along the rows at 90, and between these a mixture."""
    across = jnp.outer(jnp.array([1.0, 2.0, 1.0]), jnp.array([-1.0, 0.0, 1.0]))
    angle = jnp.deg2rad(degrees)
    return jnp.cos(angle) * across + jnp.sin(angle) * across.T


def blur(width: float, size: int) -> Filter:
    """A Gaussian of this standard deviation in pixels, whose values add up to 1. Raises ValueError for an even size."""
    rows, columns = _grid(size)
    weight = jnp.exp(-(jnp.square(rows) + jnp.square(columns)) / (2 * width**2))
    return weight / weight.sum()


def gabor(wavelength: float, degrees: float, width: float, size: int, phase: float = 0.0) -> Filter:
    """A wave of this length in pixels that runs in this direction, under a Gaussian of this standard deviation.

    At 0 degrees it runs along the columns, at 90 along the rows. `phase` is in radians: 0 sees lines, pi / 2 edges.

    Raises ValueError for an even size.
    """
    rows, columns = _grid(size)
    angle = jnp.deg2rad(degrees)
    along = columns * jnp.cos(angle) + rows * jnp.sin(angle)
    envelope = jnp.exp(-(jnp.square(rows) + jnp.square(columns)) / (2 * width**2))
    return envelope * jnp.cos(2 * jnp.pi * along / wavelength + phase)


def kernels(filters: Sequence[Filter]) -> Float[Array, "rows columns 1 units"]:
    """Filters of one size, side by side, for images of one channel."""
    return jnp.stack(filters, -1)[:, :, None]


def _grid(size: int) -> tuple[Float[Array, "size 1"], Float[Array, " size"]]:
    """Rows and columns, from the middle."""
    check_positive(size=size)
    if size % 2 == 0:
        raise ValueError(f"a kernel has a pixel in its middle; choose an odd size, not {size}")
    at = jnp.arange(size, dtype=jnp.float32) - size // 2
    return at[:, None], at
