"""Nets whose width is a number: one program serves all widths up to a largest one.

Of `largest` units a layer the first `width` count. The others give 0 and get no gradient, so they change nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.layer import TANH, Units, as_float
from dlx.nets.mlp import hidden
from dlx.nets.module import of_vectors
from dlx.types import Model, Rate


def masked(width: Rate | int, largest: int, depth: int = 1, outputs: int = 1, units: Units = TANH) -> Model:
    """A net from inputs [n, visible] to [n, outputs], through `depth` hidden layers of `width` units each.

    Parameters are layers `{w, b}` named `hidden_0`, ... and `output`. Weights and biases are drawn from
    U[-1/sqrt(d), 1/sqrt(d)], where d is the number of inputs that count. `width` may be traced.

    Raises ValueError if `depth` or `largest` is less than 1, or the width is a number outside 1 to `largest`.
    """
    if depth < 1 or largest < 1:
        raise ValueError(f"a masked net needs a layer of one unit at least, not depth {depth} and width {largest}")
    if isinstance(width, int | float) and not 1 <= width <= largest:
        raise ValueError(f"a width of {width} does not fit layers of {largest} units; choose 1 to {largest}")
    names = (*map(hidden, range(depth)), "output")

    def init(key, x):
        sizes = (x.shape[-1], *[largest] * depth, outputs)
        fan_ins = (x.shape[-1], *[width] * depth)
        params = {}
        for i, name in enumerate(names):
            key_w, key_b = jax.random.split(jax.random.fold_in(key, i))
            bound = 1 / jnp.sqrt(fan_ins[i])
            w = bound * jax.random.uniform(key_w, sizes[i : i + 2], minval=-1, maxval=1)
            b = bound * jax.random.uniform(key_b, sizes[i + 1 : i + 2], minval=-1, maxval=1)
            params[name] = {"w": w, "b": b}
        return params

    def apply(params, x) -> Float[Array, "n outputs"]:
        x, used = as_float(x), jnp.arange(largest) < width
        for layer in (params[name] for name in names[:-1]):
            x = jnp.where(used, units.mean(x @ layer["w"] + layer["b"]), 0)
        return x @ params["output"]["w"] + params["output"]["b"]

    return of_vectors(Model(init, apply, lambda params, key, x: (apply(params, x), {})))
