"""Convolutions as functions of images and kernels, by products on CPUs and by `lax.conv` on accelerators.

As in nets, a convolution is a cross-correlation: units [y, x] = sum over i, j of image [stride y + i, stride x + j]
w [i, j]. XLA's own convolution is slow on CPUs, its matrix product is not. There an output row is cut into tiles of
some columns. A tile is the product of what it sees of the image, row by row, with a band in which the kernel stands
once for each column. `jax.lax.platform_dependent` chooses, so that one program can be lowered for all devices.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Pair = tuple[int, int]
"""Along the rows of an image, and along its columns."""
Images = Float[Array, "n height width channels"]
Kernel = Float[Array, "rows columns fan_in units"]
COST = 200
"""What a product costs for each of its rows and inputs beside the units: as much as so many units more."""


def pair(size: int | Pair) -> Pair:
    """The size along both axes."""
    return (size, size) if isinstance(size, int) else size


def places(
    image: Sequence[int], window: Sequence[int], stride: Sequence[int] = (1, 1), padding: Sequence[int] = (0, 0)
) -> Pair:
    """How many windows there are along both axes of an image.

    Raises ValueError for a window or a stride below 1, a padding below 0, and a window larger than the padded image.
    """
    for name, size, least in (("window", window, 1), ("stride", stride, 1), ("padding", padding, 0)):
        if min(size) < least:
            raise ValueError(f"the {name} of a convolution or of pooling must be at least {least}, not {(*size,)}")
    padded = image[0] + 2 * padding[0], image[1] + 2 * padding[1]
    if window[0] > padded[0] or window[1] > padded[1]:
        raise ValueError(
            f"a window of {window[0]} x {window[1]} is larger than the image, which has {padded[0]} x {padded[1]} "
            "pixels with its padding; choose a smaller window, or more padding"
        )
    return (padded[0] - window[0]) // stride[0] + 1, (padded[1] - window[1]) // stride[1] + 1


def check_groups(groups: int, channels: int, units: int) -> None:
    """Raise ValueError if the channels of the images and the units do not fall into this many equal groups."""
    if groups < 1 or channels % groups or units % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels and {units} units; choose a divisor")


def windows(x: Images, window: Pair, stride: Pair) -> Float[Array, "n down across rows columns channels"]:
    """What is seen through a window at all its places."""
    down, across = places(x.shape[1:3], window, stride)
    if window == stride:
        x = x[:, : down * window[0], : across * window[1]]
        return x.reshape(len(x), down, window[0], across, window[1], -1).transpose(0, 1, 3, 2, 4, 5)
    if window[1] < across:
        x = jnp.stack([_every(x, 2, j, across, stride[1]) for j in range(window[1])], 3)
    else:
        x = jnp.stack([_every(x, 2, k * stride[1], window[1], 1) for k in range(across)], 2)
    return jnp.stack([_every(x, 1, i, down, stride[0]) for i in range(window[0])], 3)


def _every(x: Array, axis: int, start: int, count: int, stride: int) -> Array:
    return jax.lax.slice_in_dim(x, start, start + (count - 1) * stride + 1, stride, axis)


def convolution(
    x: Images, w: Kernel, stride: Pair = (1, 1), padding: Pair = (0, 0), groups: int = 1
) -> Float[Array, "n down across units"]:
    """The convolution of images, with so many zeros around them, by kernels.

    With groups, the channels and the units are cut into so many parts, and units see the channels of their part alone
    (Krizhevsky et al. 2012, section 3.2; lecture CS/CNS/EE 155 16, "Sparse Connections").

    Raises ValueError as `places` and `check_groups` do.
    """
    check_groups(groups, x.shape[3], w.shape[3])
    places(x.shape[1:3], w.shape[:2], stride, padding)
    dtype = jnp.result_type(x, w)
    x, w = x.astype(dtype), w.astype(dtype)
    how = {"stride": stride, "padding": padding, "groups": groups}
    return jax.lax.platform_dependent(x, w, cpu=partial(by_products, **how), default=partial(by_convolution, **how))


def by_convolution(x: Images, w: Kernel, stride: Pair, padding: Pair, groups: int) -> Array:
    """The convolution by XLA's own."""
    return jax.lax.conv_general_dilated(
        x,
        w,
        stride,
        [(padding[0], padding[0]), (padding[1], padding[1])],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def by_products(x: Images, w: Kernel, stride: Pair, padding: Pair, groups: int) -> Array:
    """The convolution by products of tiles with a band."""
    x = jnp.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    if groups == 1:
        return _by_tiles(x, w, stride)
    n, height, width, _ = x.shape
    parts = x.reshape(n, height, width, groups, -1), w.reshape(*w.shape[:3], groups, -1)
    units = jax.vmap(partial(_by_tiles, stride=stride), 3, 3)(*parts)
    return units.reshape(*units.shape[:3], -1)


def _by_tiles(x: Images, w: Kernel, stride: Pair) -> Array:
    rows, columns, _, units = w.shape
    _, across = places(x.shape[1:3], (rows, columns), stride)
    tile = tile_columns(across, columns, stride[1], units)
    tiles, seen, step = -(-across // tile), (tile - 1) * stride[1] + columns, tile * stride[1]
    x = jnp.pad(x, ((0, 0), (0, 0), (0, max(0, (tiles - 1) * step + seen - x.shape[2])), (0, 0)))
    patches = windows(x, (rows, seen), (stride[0], step))
    made = patches.reshape(-1, rows * seen * x.shape[3]) @ _band(w, tile, stride[1]).reshape(-1, tile * units)
    return made.reshape(len(x), -1, tiles * tile, units)[:, :, :across]


def tile_columns(across: int, kernel: int, stride: int, units: int) -> int:
    """How wide the tiles are into which a row of `across` columns is cut, for a kernel of so many columns.

    A wide tile multiplies with many zeros of its band; with a narrow one the products are small, and what neighbours
    share is copied more often.
    """

    def cost(tile: int) -> int:
        return -(-across // tile) * ((tile - 1) * stride + kernel) * (tile * units + COST)

    return min(range(1, across + 1), key=cost)


def _band(w: Kernel, tile: int, stride: int) -> Float[Array, "rows seen fan_in tile units"]:
    """The kernel at each column of a tile, `stride` apart, zeros elsewhere: w [i, j - stride k] at [i, j, :, k, :]."""
    rows, columns, fan_in, units = w.shape
    seen = (tile - 1) * stride + columns
    one = jnp.pad(w.swapaxes(0, 1), ((0, seen + stride - columns), (0, 0), (0, 0), (0, 0)))
    # Copies of so many columns, read as if they had `stride` columns fewer: each begins that much later.
    copies = jnp.broadcast_to(one, (tile, *one.shape)).reshape(-1, rows, fan_in, units)[: tile * seen]
    return copies.reshape(tile, seen, rows, fan_in, units).transpose(2, 1, 3, 0, 4)


def transposed(
    x: Images, w: Kernel, stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> Float[Array, "n height_out width_out units"]:
    """The transpose of a convolution, which makes images larger where the stride is above 1.

    x [y] w [i] is added in row stride y + i - padding, so that there are stride (height - 1) + rows - 2 padding rows;
    and so along the columns (lecture Alpaydin 12, "Deconvolution"; Zeiler & Fergus 2014).

    Raises ValueError if nothing would be left, or as `places` does.
    """
    sizes = [s * (n - 1) + k - 2 * p for s, n, k, p in zip(stride, x.shape[1:3], w.shape[:2], padding, strict=True)]
    if min(sizes) < 1:
        raise ValueError(f"a padding of {padding} leaves nothing of the transposed convolution; choose less")
    large = jax.ShapeDtypeStruct((len(x), *sizes, w.shape[3]), x.dtype)

    def forward(y):
        return convolution(y, w.swapaxes(2, 3), stride, padding)

    (y,) = jax.linear_transpose(forward, large)(x)
    return y
