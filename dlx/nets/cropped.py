"""Nets that see a part of an image: in training at a random place, in use at one or several stated places."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped

from dlx.nets.convolutional import in_rows_and_columns
from dlx.types import Model

Parts = tuple[tuple[float, float], ...]
"""Places of parts, as shares of how far a part can be moved down and to the right."""
MIDDLE: Parts = ((0.5, 0.5),)
CORNERS: Parts = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))


def cropped(net: Model, side: int, parts: Parts = MIDDLE, image: tuple[int, ...] | None = None) -> Model:
    """The classifier, on parts of `side` x `side` pixels of images or of rows of pixels.

    In training each image is cut at a random place. In use it is cut at each of the places `parts`; the output is the
    logits of one part, and of several the logarithm of the mean of their probabilities.

    Raises ValueError if there are no parts or, at the start, for images that are smaller than a part.
    """
    if not parts or not all(0 <= share <= 1 for place in parts for share in place):
        raise ValueError(f"the parts of an image are at shares from 0 to 1 of its free rows and columns, not {parts}")

    def free(x):
        """How many rows and columns a part leaves."""
        if min(left := (x.shape[1] - side, x.shape[2] - side)) < 0:
            raise ValueError(f"an image of {x.shape[1]} x {x.shape[2]} pixels has no part of {side} x {side}")
        return left

    def part(x, place=(0.5, 0.5)):
        down, across = (round(share * left) for share, left in zip(place, free(x), strict=True))
        return x[:, down : down + side, across : across + side]

    def init(key, x):
        return net.init(key, part(in_rows_and_columns(jnp.asarray(x)[None], image))[0])

    def apply(params, x):
        x = in_rows_and_columns(x, image)
        logits = jnp.stack([net.apply(params, part(x, place)) for place in parts])
        if len(parts) == 1:
            return logits[0]
        return jax.nn.logsumexp(jax.nn.log_softmax(logits), 0) - jnp.log(len(parts))

    def train(params, key, x):
        key_places, key_net = jax.random.split(key)
        x = in_rows_and_columns(x, image)
        shares = jax.random.uniform(key_places, (len(x), 2))
        corners = jnp.floor(shares * (jnp.array(free(x)) + 1)).astype(jnp.int32)
        return net.train(params, key_net, cut(x, corners, side))

    return Model(init, apply, train)


def cut(
    x: Shaped[Array, "n height width channels"], corners: Int[Array, "n 2"], side: int
) -> Shaped[Array, "n side side channels"]:
    """The part of each image whose upper left pixel is in this row and column."""
    starts = jnp.pad(corners, ((0, 0), (0, 1)))
    return jax.vmap(lambda one, start: jax.lax.dynamic_slice(one, start, (side, side, x.shape[3])))(x, starts)
