"""Local codes: prototypes, of which an input takes the nearest (k-means, Lloyd 1982), and radial basis functions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.types import Key, Scalar

Centres = Float[Array, "units inputs"]


def distances(centres: Centres, x: Float[Array, "n inputs"]) -> Float[Array, "n units"]:
    """The squared distance of each input from each centre."""
    square = jnp.square(x).sum(1)[:, None] - 2 * x @ centres.T + jnp.square(centres).sum(1)
    return jnp.maximum(square, 0)


def nearest(centres: Centres, x: Float[Array, "n inputs"]) -> Float[Array, "n units"]:
    """The code of k-means: 1 at the nearest centre, 0 elsewhere."""
    return jax.nn.one_hot(distances(centres, x).argmin(1), len(centres))


def radial(centres: Centres, x: Float[Array, "n inputs"], width: Scalar | float) -> Float[Array, "n units"]:
    """Gaussians around the centres: 1 at a centre, and exp(-1/2) at this distance from it."""
    return jnp.exp(-distances(centres, x) / (2 * width**2))


def k_means(key: Key, x: Float[Array, "n inputs"], units: int, rounds: int) -> Centres:
    """Centres that start from inputs, and move to the mean of those that are nearest, so many times.

    A centre to which no input is nearest stays where it is.
    """
    start = x[jax.random.choice(key, len(x), (units,), replace=False)]

    def move(_, centres):
        theirs = nearest(centres, x)
        owned = theirs.sum(0)[:, None]
        return jnp.where(owned > 0, theirs.T @ x / jnp.maximum(owned, 1), centres)

    return jax.lax.fori_loop(0, rounds, move, start)
