"""Without a non-linearity, layers collapse to one layer, and convolutions to one convolution.

Lecture CS/CNS/EE 155 16, "What Happens if No Transfer Function?" and "Deep Convolutional Networks".
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dlx.nets.layer import GAUSSIAN, Units
from dlx.nets.mlp import mlp
from dlx.types import Key, Params


def one_layer(layers: Sequence[Params]) -> dict[str, np.ndarray]:
    """The layer `{w, b}` that does what these layers `{w, b}` do, one after the other."""
    inputs = len(layers[0]["w"])
    w, b = np.eye(inputs), np.zeros(inputs)
    for layer in layers:
        own = np.asarray(layer["w"], float)
        w, b = w @ own, b @ own + np.asarray(layer["b"], float)
    return {"w": w, "b": b}


def one_kernel(
    first: Float[np.ndarray, "middle inputs a b"], second: Float[np.ndarray, "out middle c d"]
) -> Float[np.ndarray, "out inputs height width"]:
    """The kernel of the convolution that does what two convolutions do, one after the other.

    The first is [middle, inputs, ...], and the second [out, middle, ...]. Its height is the sum of both heights less
    one, and so is its width. As in nets, a convolution is a cross-correlation. The two have no padding and no stride.
    """
    (_, _, a, b), (_, _, c, d) = first.shape, second.shape
    joined = np.zeros((second.shape[0], first.shape[1], a + c - 1, b + d - 1))
    for i in range(c):
        for j in range(d):
            joined[:, :, i : i + a, j : j + b] += np.einsum("om,miab->oiab", second[:, :, i, j], first)
    return joined


def layers_gap(key: Key, width: int, units: Units = GAUSSIAN, depth: int = 3) -> float:
    """How far a random net of `depth` hidden layers is from linear: its distance from `one_layer`, as a share.

    The inputs are random. If its units are not the linear ones, it is compared with the best linear map of its inputs.
    """
    key_init, key_x = jax.random.split(key)
    x, net = jax.random.normal(key_x, (50 * width, width)), mlp((width,) * depth, units=units)
    params = net.init(key_init, x[0])
    y = np.asarray(net.apply(params, x), float)
    if units is GAUSSIAN:
        layer = one_layer(list(params.values()))
        return share(x @ layer["w"] + layer["b"], y)
    augmented = np.column_stack([x, np.ones(len(x))])
    return share(augmented @ np.linalg.lstsq(augmented, y)[0], y)


def kernels_gap(key: Key, size: int) -> float:
    """How far two convolutions of random kernels, on random images of `size` pixels a side, are from one convolution.

    It is the distance from that of `one_kernel`, as a share.
    """
    key_x, key_first, key_second = jax.random.split(key, 3)
    x = jax.random.normal(key_x, (10, 3, size, size))
    first, second = jax.random.normal(key_first, (8, 3, 3, 3)), jax.random.normal(key_second, (4, 8, 5, 5))
    joined = one_kernel(np.asarray(first, float), np.asarray(second, float)).astype(np.float32)
    one = convolved(x, joined)
    return share(one, convolved(convolved(x, first), second))


def convolved(
    x: Float[Array, "n in height width"], kernel: Float[Array | np.ndarray, "out in a b"]
) -> Float[Array, "n out rows columns"]:
    """The convolution of images with a kernel, without padding and in float32 on any device."""
    return jax.lax.conv(x, jnp.asarray(kernel), (1, 1), "VALID", precision="highest")


def share(values: Any, expected: Any) -> float:
    """|values - expected| / |expected - its mean|, by the norms of whole arrays."""
    values, expected = np.asarray(values, float), np.asarray(expected, float)
    return float(np.linalg.norm(values - expected) / np.linalg.norm(expected - expected.mean(0)))
