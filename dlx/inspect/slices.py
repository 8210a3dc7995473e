"""Slices of a loss: along a line between two nets, over a plane, and how high a line rises above its ends.

A point is a pytree of parameters, and `value(params)` a number that they have, such as their loss on some examples.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.types import Key, Params, Scalar

Value = Callable[[Params], Scalar]


def line(value: Value, start: Params, end: Params, places: Float[Array, " n"]) -> Float[Array, " n"]:
    """The values of start + t (end - start), for each t of `places`."""
    return jax.lax.map(lambda t: value(jax.tree.map(lambda a, b: (1 - t) * a + t * b, start, end)), places)


def plane(value: Value, origin: Params, one: Params, other: Params, places: Float[Array, " n"]) -> Float[Array, "n n"]:
    """The values of origin + s (one - origin) + t (other - origin): a row of the result a t, a column an s."""

    def at(s, t):
        return value(jax.tree.map(lambda o, a, b: o + s * (a - o) + t * (b - o), origin, one, other))

    return jax.lax.map(lambda t: jax.lax.map(lambda s: at(s, t), places), places)


def random_neighbour(key: Key, params: Params) -> Params:
    """Parameters whose distance from `params` has a random direction; in each array it is as long as the array.

    So a step of 1 is as large for every layer, however large its weights are (after Li et al. 2018, section 4).
    """
    leaves, tree = jax.tree.flatten(params)
    ways = [
        jax.random.normal(one, leaf.shape) for one, leaf in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
    ]
    sizes = [
        jnp.linalg.norm(leaf.ravel()) / jnp.linalg.norm(way.ravel()) for leaf, way in zip(leaves, ways, strict=True)
    ]
    return tree.unflatten([leaf + size * way for leaf, size, way in zip(leaves, sizes, ways, strict=True)])


def barrier(values: Float[Array, " n"], places: Float[Array, " n"]) -> Scalar:
    """By how much a line rises above the chord from its first value to its last: at most 0 for a convex function.

    `places` grow from 0 to 1 (Frankle et al. 2020, "Linear mode connectivity", section 2).
    """
    return (values - ((1 - places) * values[0] + places * values[-1])).max()
