"""Virtual examples: images that are shifted, rotated and changed in size at random (Abu-Mostafa 1995).

Pixels are as a flat row. Lecture Alpaydin 12, "Regularization: Hints".
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import as_float
from dlx.types import Key, Rate


def virtual(
    shape: tuple[int, int], shift: Rate, angle: Rate, scale: Rate
) -> Callable[[Key, Shaped[Array, "n pixels"]], Float[Array, "n pixels"]]:
    """A function (key, images) -> images as floats, each moved by a map of its own.

    An image of `shape` is shifted by up to `shift` pixels each way, rotated about its centre by up to `angle` degrees
    and enlarged by a factor within 1 - `scale` and 1 + `scale`, all uniform. Amounts may be traced.

    Raises ValueError if an amount is a number below 0, or if `scale` is 1 or more.
    """
    for name, amount, top in (("shift", shift, jnp.inf), ("angle", angle, jnp.inf), ("scale", scale, 1)):
        if isinstance(amount, int | float) and not 0 <= amount < top:
            raise ValueError(f"{name} must be at least 0{' and below 1' if top == 1 else ''}, not {amount}")

    def transform(key, x):
        return moved(as_float(jnp.asarray(x)), shape, *maps(key, len(x), shape, shift, angle, scale))

    return transform


def maps(
    key: Key, n: int, shape: tuple[int, int], shift: Rate, angle: Rate, scale: Rate
) -> tuple[Float[Array, "n 2 2"], Float[Array, "n 2"]]:
    """Random matrices and offsets: a moved image has at p what the image has at matrix p + offset."""
    key_shift, key_angle, key_scale = jax.random.split(key, 3)
    by = shift * jax.random.uniform(key_shift, (n, 2), minval=-1, maxval=1)
    turn = jnp.deg2rad(angle) * jax.random.uniform(key_angle, (n,), minval=-1, maxval=1)
    size = 1 + scale * jax.random.uniform(key_scale, (n,), minval=-1, maxval=1)
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    matrix = jnp.stack([cos, -sin, sin, cos], -1).reshape(n, 2, 2) / size[:, None, None]
    centre = (jnp.array(shape) - 1) / 2
    return matrix, centre - jnp.einsum("nij,nj->ni", matrix, centre + by)


def moved(
    x: Float[Array, "n pixels"], shape: tuple[int, int], matrix: Float[Array, "n 2 2"], offset: Float[Array, "n 2"]
) -> Float[Array, "n pixels"]:
    """At p what the image has at matrix p + offset, interpolated between four pixels; outside of the image is 0."""
    places = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape), indexing="ij")).reshape(2, -1).astype(x.dtype)

    def one(image, matrix, offset):
        return map_coordinates(image.reshape(shape), [*(matrix @ places + offset[:, None])], order=1)

    return jax.vmap(one)(x, matrix, offset)
