"""A layer that can be read in both directions.

An auto-associator with tied weights and an RBM have the same parameters `{w, b, c}` and differ only in their loss, so
every fully connected layer here carries a visible bias `c`; a supervised loss leaves it as it is.
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, glorot_uniform
from jaxtyping import Array, Float, Shaped

from dlx.types import Params


def fan_uniform() -> Initializer:
    """U[-1/sqrt(d), 1/sqrt(d)], d = max(fan-in, fan-out): the initialisation of Bengio et al. 2006."""

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        bound = 1 / max(shape) ** 0.5
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


INITIALIZERS = {"fan": fan_uniform(), "glorot": glorot_uniform()}


def as_float(x: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """Intensities 0..255 (uint8) become 0..1 (float32); floats pass unchanged."""
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


def encode(layer: Params, x: Float[Array, "*n visible"]) -> Float[Array, "*n hidden"]:
    """The code sigm(x w + b): P(h = 1 | v) of an RBM, the hidden layer of a net."""
    return jax.nn.sigmoid(x @ layer["w"] + layer["b"])


def decode_logits(layer: Params, h: Float[Array, "*n hidden"]) -> Float[Array, "*n visible"]:
    """Log-odds h w' + c of the visible units given the hidden ones."""
    return h @ layer["w"].T + layer["c"]


class Layer(nn.Module):
    """A sigmoid layer of `width` units with parameters w [in, width], b [width], c [in]."""

    width: int
    initializer: Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "*n visible"]) -> Float[Array, "*n hidden"]:
        """The code of x."""
        visible = x.shape[-1]
        layer = {
            "w": self.param("w", self.initializer, (visible, self.width)),
            "b": self.param("b", nn.initializers.zeros, (self.width,)),
            "c": self.param("c", nn.initializers.zeros, (visible,)),
        }
        return encode(layer, x)


class Affine(nn.Module):
    """Logits x w + b: `width` units with parameters w [in, width], b [width]; b is left out if not `biased`."""

    width: int
    initializer: Initializer
    biased: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "*n visible"]) -> Float[Array, "*n out"]:
        """The logits of x."""
        w = self.param("w", self.initializer, (x.shape[-1], self.width))
        return x @ w + self.param("b", nn.initializers.zeros, (self.width,)) if self.biased else x @ w


STATISTICS = "batch_stats"
"""The entry of the parameters that holds the running statistics of a net with batch normalisation."""


def variables(params: Params) -> dict[str, Params]:
    """The parameters as flax takes them, running statistics in a collection of their own."""
    trained = {name: entry for name, entry in params.items() if name != STATISTICS}
    return {"params": trained, STATISTICS: params.get(STATISTICS, {})}


def apply(module: nn.Module, params: Params, *args: Any, **kwargs: Any) -> Array:
    """The output of a module that changes none of its parameters."""
    return cast(Array, module.apply(variables(params), *args, **kwargs))
