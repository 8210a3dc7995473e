"""Nets of many layers of one width: plain, with skip connections, or with gates.

The layers above the first one are alike, so their parameters are stacked [depth - 1, ...] and a scan goes through
them: a net of 50 layers compiles as fast as one of 10. Lecture: Alpaydin 12, "Skip Connections", with its weights v at
the identity.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import INITIALIZERS, SIGMOID, Units, as_float, check_positive
from dlx.nets.module import of_vectors
from dlx.types import Key, Model, Params


class Block(NamedTuple):
    """A layer that has as many units as inputs."""

    init: Callable[[Key, int, int], Params]
    """Its parameters, in a net of so many layers of this width: `init(key, depth, width)`."""
    apply: Callable[[Params, Array], Array]
    """Its units [n, width] from those of the layer below [n, width]."""


Kind = Callable[[Units, Initializer], Block]


def affine(key: Key, initializer: Initializer, fan_in: int, fan_out: int) -> Params:
    """Weights w [fan_in, fan_out] and biases b [fan_out], which are 0."""
    return {"w": initializer(key, (fan_in, fan_out), jnp.float32), "b": jnp.zeros(fan_out)}


def plain(units: Units, initializer: Initializer) -> Block:
    """f(z w + b)."""

    def init(key, depth, width):
        del depth
        return affine(key, initializer, width, width)

    return Block(init, lambda layer, z: units.mean(z @ layer["w"] + layer["b"]))


def skip(units: Units, initializer: Initializer) -> Block:
    """z + f(z w + b): a residual layer (He et al. 2016, equation 1, with one layer in the branch).

    The weights start at those of a plain layer divided by sqrt(depth), so that the sum of all branches starts as large
    as the input, whatever the depth (Hayou et al. 2021, section 2).
    """

    def init(key, depth, width):
        layer = affine(key, initializer, width, width)
        return {**layer, "w": layer["w"] / depth**0.5}

    return Block(init, lambda layer, z: z + units.mean(z @ layer["w"] + layer["b"]))


def gated(units: Units, initializer: Initializer, bias: float = -3.0) -> Block:
    """g f(z w + b) + (1 - g) z with g = sigmoid(z v + a): a highway layer (Srivastava et al. 2015, equation 3).

    The gates' `bias` a starts below 0, so that a layer at first hands on nearly what it gets (their section 2.2).
    """

    def init(key, depth, width):
        del depth
        key_layer, key_gate = jax.random.split(key)
        gate = affine(key_gate, initializer, width, width)
        return {**affine(key_layer, initializer, width, width), "v": gate["w"], "a": gate["b"] + bias}

    def apply(layer, z):
        g = jax.nn.sigmoid(z @ layer["v"] + layer["a"])
        return g * units.mean(z @ layer["w"] + layer["b"]) + (1 - g) * z

    return Block(init, apply)


BLOCKS = {"plain": plain, "skip": skip, "gated": gated}
"""The kinds of layers by name."""


def activations(block: Block, units: Units) -> Callable[[Params, Array], Array]:
    """The view (params, x [n, visible]) -> units of all hidden layers [depth, n, width] of a `deep` net."""

    def view(params: Params, x: Shaped[Array, "n visible"]) -> Float[Array, "depth n width"]:
        def step(z, layer):
            z = block.apply(layer, z)
            return z, z

        first = _first(units, params, x)
        _, others = jax.lax.scan(step, first, params["layers"])
        return jnp.concatenate([first[None], others])

    return view


def _first(units: Units, params: Params, x: Shaped[Array, "n visible"]) -> Float[Array, "n width"]:
    return units.mean(as_float(x) @ params["input"]["w"] + params["input"]["b"])


def deep(
    kind: Kind,
    depth: int,
    width: int,
    *,
    classes: int = 10,
    units: Units = SIGMOID,
    initializer: Initializer = INITIALIZERS["glorot"],
) -> Model:
    """A net from inputs [n, visible], pixels or floats, by `depth` hidden layers of `width` units, to logits.

    Its parameters are `input` {w, b}, which is a plain layer, `layers`, which are the others stacked [depth - 1, ...],
    and `output` {w, b}.

    Raises ValueError if depth, width or classes is less than 1.
    """
    check_positive(depth=depth, width=width, classes=classes)
    block = kind(units, initializer)

    def init(key, x):
        key_input, key_layers, key_output = jax.random.split(key, 3)
        return {
            "input": affine(key_input, initializer, x.shape[0], width),
            "layers": jax.vmap(lambda key: block.init(key, depth, width))(jax.random.split(key_layers, depth - 1)),
            "output": affine(key_output, initializer, width, classes),
        }

    def apply(params, x):
        def step(z, layer):
            return block.apply(layer, z), None

        z, _ = jax.lax.scan(step, _first(units, params, x), params["layers"])
        return z @ params["output"]["w"] + params["output"]["b"]

    return of_vectors(Model(init, apply, lambda params, key, x: (apply(params, x), {})))
