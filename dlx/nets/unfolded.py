"""A recurrent net, unfolded in time: a feed-forward net with a layer for each step, which reads that step's input.

Lecture Alpaydin 12, "Unfolding in Time".
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dlx.nets.recurrent import CELLS, recurrent
from dlx.types import Key, Params


def unfolded(
    cell: str, layers: Sequence[Params], output: Params, x: Float[Array, "n steps features"]
) -> Float[Array, "n outputs"]:
    """The output of a feed-forward net. Layer t reads x[:, t] and the layer below, and has weights of its own.

    They are those of one step of a cell: `layers` has a tree of them for each step, and `output` is {w, b}.
    """
    width = output["w"].shape[0]
    step = CELLS[cell](features=width)
    state = jax.tree.map(
        lambda leaf: leaf.astype(x.dtype), step.initialize_carry(jax.random.key(0), (len(x), x.shape[-1]))
    )
    told = jnp.zeros((len(x), width), x.dtype)
    for t, layer in enumerate(layers):
        state, told = step.apply({"params": layer}, state, x[:, t])
    return told @ output["w"] + output["b"]


class Gaps(NamedTuple):
    """How far a recurrent net and its unfolded net are apart, as shares of what the unfolded one has."""

    values: float
    """Of the outputs."""
    gradients: float
    """Of the gradient by the shared weights; on the other side it is summed over the layers."""


def unfolded_gaps(key: Key, cell: str, steps: int, width: int = 8) -> Gaps:
    """The gaps at random weights and inputs, in float64."""
    key_init, key_x, key_noise = jax.random.split(key, 3)
    net = recurrent(cell, (width,), 2)
    with jax.enable_x64(True):
        x = jax.random.normal(key_x, (5, steps, 3), jnp.float64)
        params = net.init(key_init, x[0])
        keys = jax.random.split(key_noise, len(leaves := jax.tree.leaves(params)))
        noisy = [
            leaf + jax.random.normal(one, leaf.shape, jnp.float64) / 4 for leaf, one in zip(leaves, keys, strict=True)
        ]
        params = jax.tree.unflatten(jax.tree.structure(params), noisy)
        layers = [params["forward_0"]] * steps

        def loss(outputs):
            return jnp.square(outputs).sum()

        once = jax.grad(lambda params: loss(net.apply(params, x)))(params)["forward_0"]
        each = jax.grad(lambda layers: loss(unfolded(cell, layers, params["output"], x)))(layers)
        summed = jax.tree.map(lambda *parts: sum(parts), *each)
        values = _apart(net.apply(params, x), unfolded(cell, layers, params["output"], x))
        gradients = max(jax.tree.leaves(jax.tree.map(_apart, once, summed)))
    return Gaps(values, gradients)


def _apart(ours: Array, other: Array) -> float:
    return float(np.abs(np.asarray(ours) - np.asarray(other)).max() / np.abs(np.asarray(other)).max())
