"""Random distortions of images, drawn anew for each image and each epoch: what `prepare` of a feed may do.

An image is seen through a moved grid: pixel p of the new image has the intensity of the old one at centre +
A (p - centre) + u(p), between its pixels that of the four around it, and 0 outside. A is drawn from rotations, scales
and shears (LeCun et al. 1998, section III.A), u from shifts and from an elastic field: noise in [-1, 1] at each pixel,
along both axes, smoothed by a Gaussian and scaled (Simard, Steinkraus & Platt 2003, section 2; Ciresan et al. 2010).

Noise is drawn with 8 bits a value, since to draw it is most of the work. It is smoothed by two products with a matrix,
and the four neighbours of a pixel are packed in one word if they are intensities of 8 bits, so that one gather fetches
them.
"""

from collections.abc import Callable
from math import isqrt, prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from dlx.types import Batch, Key, Rate

Field = Float[Array, "2 n height width"]
"""By image and pixel, how many rows and how many columns away its intensity is taken from."""


class Distortion(NamedTuple):
    """How far images are distorted. What is 0 is left out, unless it is traced."""

    shift: Rate = 0.0
    """Pixels, at most, along each axis."""
    rotation: Rate = 0.0
    """Degrees, at most, to either side."""
    scale: Rate = 0.0
    """Rows and columns are each as large as before times a factor between 1 - scale and 1 + scale."""
    shear: Rate = 0.0
    """Columns, at most, that a row is moved for each row between it and the centre."""
    elastic: Rate = 0.0
    """Pixels by which smoothed noise is multiplied."""
    width: Rate = 5.0
    """The standard deviation, in pixels, of the Gaussian that smooths the noise."""


def distorted(by: Distortion, image: tuple[int, ...] | None = None) -> Callable[[Key, Batch], Batch]:
    """The function (key, batch) -> batch that distorts the images `x` of a batch, each in its own way.

    They are images [n, height, width] or [n, height, width, channels], or rows of pixels of the shape `image`, which
    is a square if it is not given. They come back in the same shape, as floats: intensities of uint8 become 0 to 1.

    Raises ValueError for a distortion below 0 or, when called, for rows of pixels that are no such image.
    """
    if wrong := [name for name, size in by._asdict().items() if isinstance(size, int | float) and size < 0]:
        raise ValueError(f"a distortion is at least 0, but {', '.join(wrong)} is not")

    def prepare(key: Key, batch: Batch) -> Batch:
        images = _images(batch.x, image)
        field = displacement(key, len(images), images.shape[1:3], by)
        return batch._replace(x=resampled(images, field).reshape(batch.x.shape))

    return prepare


def displacement(key: Key, n: int, shape: tuple[int, ...], by: Distortion) -> Field:
    """The fields of n images that are so high and wide."""
    key_affine, key_elastic = jax.random.split(key)
    maps, shifts = affine(key_affine, n, by)
    rows, columns = (jnp.arange(size) - (size - 1) / 2 for size in shape)
    change = (maps - jnp.eye(2))[..., None, None]
    moved = change[:, :, 0] * rows[:, None] + change[:, :, 1] * columns + shifts[..., None, None]
    field = moved.swapaxes(0, 1)
    if isinstance(by.elastic, int | float) and by.elastic == 0:
        return field
    noise = uniform_bytes(key_elastic, (2, n, *shape))
    down, across = (gaussian(size, by.width) for size in shape)
    return field + by.elastic * jnp.einsum("ab,cnbw,vw->cnav", down, noise, across)


def affine(key: Key, n: int, by: Distortion) -> tuple[Float[Array, "n 2 2"], Float[Array, "n 2"]]:
    """Matrices of rotation, shear and scale, in this order from the new image to the old one, and shifts."""
    drawn = jax.random.uniform(key, (n, 6), minval=-1, maxval=1)
    angle, shear, one = jnp.deg2rad(by.rotation) * drawn[:, 0], by.shear * drawn[:, 1], jnp.ones(n)
    scale = 1 / (1 + by.scale * drawn[:, 2:4])
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    turn = jnp.stack([cosine, -sine, sine, cosine], -1).reshape(n, 2, 2)
    lean = jnp.stack([one, 0 * one, shear, one], -1).reshape(n, 2, 2)
    return scale[:, :, None] * (lean @ turn), by.shift * drawn[:, 4:]


def gaussian(size: int, width: Rate) -> Float[Array, "size size"]:
    """The matrix whose product with a column of values smooths it by a Gaussian; beyond its ends there are zeros."""
    at = jnp.arange(size)
    weight = jnp.exp(-jnp.square((at[:, None] - at) / width) / 2)
    far = jnp.arange(-8 * size, 8 * size + 1)
    return weight / jnp.exp(-jnp.square(far / width) / 2).sum()


def uniform_bytes(key: Key, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """256 equally probable numbers, evenly spaced from -1 to 1."""
    count = prod(shape)
    bits = jax.random.bits(key, (-(-count // 4),), jnp.uint32)
    drawn = jax.lax.bitcast_convert_type(bits, jnp.uint8).reshape(-1)[:count].reshape(shape)
    return drawn.astype(jnp.float32) * (2 / 255) - 1


def resampled(
    images: Shaped[Array, "n height width channels"], field: Field
) -> Float[Array, "n height width channels"]:
    """The images, each pixel taken from where the field says, by bilinear interpolation; 0 outside."""
    n, height, width, channels = images.shape
    rows = jnp.clip(jnp.arange(height)[:, None] + field[0], -1, height)
    columns = jnp.clip(jnp.arange(width) + field[1], -1, width)
    upper, left = jnp.minimum(jnp.floor(rows), height - 1), jnp.minimum(jnp.floor(columns), width - 1)
    down, across = rows - upper, columns - left
    place = (upper.astype(jnp.int32) + 1) * (width + 1) + left.astype(jnp.int32) + 1
    place += jnp.arange(n)[:, None, None] * ((height + 1) * (width + 1))

    def one(channel):
        a, b, c, d = _neighbours(channel, place)
        above, below = a + across * (b - a), c + across * (d - c)
        return above + down * (below - above)

    mixed = jnp.stack([one(images[..., i]) for i in range(channels)], -1)
    return mixed / 255 if images.dtype == jnp.uint8 else mixed


def _neighbours(x: Shaped[Array, "n height width"], place: Int[Array, "n height width"]) -> list[Array]:
    """The four pixels at a place and after it in both directions; places are those of images with a border of zeros."""
    _, height, width = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)))
    four = [padded[:, i : height + 1 + i, j : width + 1 + j] for i in (0, 1) for j in (0, 1)]
    if x.dtype != jnp.uint8:
        found = jnp.stack(four, -1).reshape(-1, 4).at[place].get(mode="promise_in_bounds")
        return [found[..., i] for i in range(4)]
    words = jnp.stack([one.astype(jnp.uint32) << 8 * i for i, one in enumerate(four)]).sum(0, dtype=jnp.uint32)
    found = words.reshape(-1).at[place].get(mode="promise_in_bounds")
    return [((found >> 8 * i) & 255).astype(jnp.float32) for i in range(4)]


def _images(x: Shaped[Array, "n ..."], image: tuple[int, ...] | None) -> Shaped[Array, "n height width channels"]:
    if x.ndim == 2:
        image = image or (isqrt(x.shape[1]),) * 2
        if prod(image) != x.shape[1]:
            raise ValueError(f"{x.shape[1]} pixels are no image of {' x '.join(map(str, image))}; give `image`")
        x = x.reshape(len(x), *image)
    return x if x.ndim == 4 else x[..., None]
