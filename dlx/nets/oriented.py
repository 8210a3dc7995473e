"""Features of images that nobody trains: histograms of oriented gradients (Dalal & Triggs 2005).

Lecture: CS/CNS/EE 155 16, "Feature Engineering". The steps, their order and their numbers are those of scikit-image's
`hog`: central differences, which are 0 at the borders; in each cell a histogram of unsigned orientations, weighted by
magnitude and without interpolation; overlapping blocks of cells, normalised, cut off at .2 and normalised again.
"""

from math import pi
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from dlx.nets.convolution import Images, Pair, pair, places, windows
from dlx.nets.convolutional import as_images
from dlx.nets.layer import check_positive
from dlx.types import Model

EPSILON = 1e-5
LARGEST = 0.2
"""Of a normalised value, before it is normalised again."""


def gradients(x: Images) -> tuple[Float[Array, "n height width"], Float[Array, "n height width"]]:
    """Differences between the next pixel and the one before, along the columns and along the rows; 0 at the ends.

    Of several channels it is that whose gradient is largest, as in the paper.
    """
    down = jnp.pad(x[:, 2:] - x[:, :-2], ((0, 0), (1, 1), (0, 0), (0, 0)))
    across = jnp.pad(x[:, :, 2:] - x[:, :, :-2], ((0, 0), (0, 0), (1, 1), (0, 0)))
    largest = jnp.argmax(jnp.hypot(down, across), -1)[..., None]
    return jnp.take_along_axis(down, largest, -1)[..., 0], jnp.take_along_axis(across, largest, -1)[..., 0]


def oriented_gradients(
    x: Shaped[Array, "n ..."],
    orientations: int = 9,
    cell: int | Pair = 4,
    block: int | Pair = 2,
    image: tuple[int, ...] | None = None,
) -> Float[Array, "n features"]:
    """Histograms of `orientations` in cells of so many pixels, normalised in blocks of so many cells.

    x are images, or rows of pixels; see `dlx.nets.convolutional.as_images`. Pixels beyond the last whole cell are not
    seen. Raises ValueError for sizes below 1, and if a cell or a block is larger than the image.
    """
    check_positive(orientations=orientations)
    images, cell, block = as_images(x, image), pair(cell), pair(block)
    cells = places(images.shape[1:3], cell, cell)
    blocks = places(cells, block)
    down, across = gradients(images)
    turn = jnp.mod(jnp.arctan2(down, across), pi) * (orientations / pi)
    # An angle between two parts belongs to the upper one, to whichever side it is rounded; just below 0 it is pi.
    part = jnp.minimum(jnp.floor(turn + EPSILON), orientations - 1)
    chosen = part[..., None] == jnp.arange(orientations)
    weighted = jnp.where(chosen, jnp.hypot(down, across)[..., None], 0)
    histograms = windows(weighted, cell, cell).mean((3, 4))
    seen = windows(histograms, block, (1, 1)).reshape(len(images), *blocks, -1)
    return _normalised(jnp.minimum(_normalised(seen), LARGEST)).reshape(len(images), -1)


def _normalised(blocks: Float[Array, "n down across values"]) -> Float[Array, "n down across values"]:
    return blocks / jnp.sqrt(jnp.square(blocks).sum(-1, keepdims=True) + EPSILON**2)


def on_oriented_gradients(net: Model, image: tuple[int, ...] | None = None, **sizes: Any) -> Model:
    """The net, on oriented gradients in place of the pixels. `sizes` are those of `oriented_gradients`."""

    def features(x):
        return oriented_gradients(x, image=image, **sizes)

    return Model(
        lambda key, x: net.init(key, features(jnp.asarray(x)[None])[0]),
        lambda params, x: net.apply(params, features(x)),
        lambda params, key, x: net.train(params, key, features(x)),
    )
