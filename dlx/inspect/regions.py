"""Into how many regions the units of a layer cut a slice of their input (Bengio 2009, section 3.1).

A unit that is on or off has a hyperplane for a border. In a slice of few dimensions their regions can be counted. There
is one for the ball itself, and one for each set of hyperplanes that meet within it, as many as there are dimensions at
the most (Zaslavsky 1975, restricted to a convex set). No two of them may be parallel, and no more may meet in one place
than are as many as the dimensions: so it is of learnt weights.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dlx.types import Key, Scalar


class Slice(NamedTuple):
    """A ball of few dimensions among inputs: the points centre + radius z directions, for |z| below 1."""

    centre: Float[Array, " inputs"]
    directions: Float[Array, "dims inputs"]
    """Orthonormal."""
    radius: Scalar


def through(corners: Float[Array, "corners inputs"]) -> Slice:
    """The slice through some inputs, of one dimension less than they are.

    Its centre is their mean. Its radius is their mean distance from the centre.
    """
    centre = corners.mean(0)
    directions, _ = jnp.linalg.qr((corners[1:] - corners[0]).T)
    return Slice(centre, directions.T, jnp.linalg.norm(corners - centre, axis=1).mean())


def within(place: Slice, w: Float[Array, "inputs units"], b: Float[Array, " units"]) -> tuple[Array, Array]:
    """The hyperplanes w x + b = 0 as they are in the slice: normals [units, dims] and offsets [units]."""
    return place.radius * (place.directions @ w).T, place.centre @ w + b


def points(key: Key, place: Slice, n: int) -> Float[Array, "n inputs"]:
    """So many points, drawn uniformly from the slice."""
    dims = len(place.directions)
    z = jax.random.ball(key, dims, shape=(n,))
    return place.centre + place.radius * z @ place.directions


def count(normals: Float[Array, "units dims"], offsets: Float[Array, " units"]) -> Scalar:
    """The number of regions into which hyperplanes normals z + offsets = 0 cut the ball |z| < 1."""
    everything = jnp.ones(len(offsets), bool)
    return _count(normals @ normals.T, offsets, jnp.ones(()), everything, normals.shape[1])


def _count(
    gram: Float[Array, "units units"], b: Float[Array, " units"], square: Scalar, left: Bool[Array, " units"], dims: int
) -> Scalar:
    """The same of those hyperplanes that are left, by the products of their normals, in a ball of this squared radius.

    Within the first hyperplane of a set, the others are an arrangement of one dimension less.
    """
    lengths = jnp.diag(gram)
    hit = left & (jnp.square(b) < square * lengths)
    if dims == 1:
        return 1.0 + hit.sum()
    later = left & (jnp.arange(len(b))[:, None] < jnp.arange(len(b)))
    if dims == 2:
        determinant = jnp.outer(lengths, lengths) - jnp.square(gram)
        ours, theirs = b[:, None], b
        distance = ours**2 * lengths - 2 * ours * theirs * gram + theirs**2 * lengths[:, None]
        meet = left[:, None] & later & (distance < square * determinant)
        return 1.0 + hit.sum() + meet.sum()

    def on(i):
        share = gram[i] / lengths[i]
        rest = gram - jnp.outer(gram[i], share)
        return _count(rest, b - share * b[i], square - b[i] ** 2 / lengths[i], later[i], dims - 1)

    return 1.0 + jnp.where(hit, jax.lax.map(on, jnp.arange(len(b))), 0.0).sum()
