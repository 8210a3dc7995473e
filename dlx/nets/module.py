"""Parts of nets as flax.linen modules, and the `Model` that a module makes."""

from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from dlx.nets.layer import SIGMOID, LayerKind, Units
from dlx.types import Model, Params

STATISTICS = "batch_stats"
"""The entry of the parameters that holds the running statistics of a net with batch normalisation."""


class Layer(nn.Module):
    """A layer of `width` units with parameters w [in, width], b [width], c [in]."""

    width: int
    initializer: Initializer
    units: Units = SIGMOID

    @nn.compact
    def __call__(self, x: Float[Array, "*n visible"]) -> Float[Array, "*n hidden"]:
        """The code of x."""
        visible = x.shape[-1]
        layer = {
            "w": self.param("w", self.initializer, (visible, self.width)),
            "b": self.param("b", nn.initializers.zeros, (self.width,)),
            "c": self.param("c", nn.initializers.zeros, (visible,)),
        }
        return LayerKind(self.units).encode(layer, x)


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


def variables(params: Params) -> dict[str, Params]:
    """The parameters as flax takes them, running statistics in a collection of their own."""
    trained = {name: entry for name, entry in params.items() if name != STATISTICS}
    return {"params": trained, STATISTICS: params.get(STATISTICS, {})}


def model(module: nn.Module) -> Model:
    """The net that a module makes, called with inputs [n, ...]; in training as in use, and carrying nothing."""

    def init(key, x):
        entries = dict(module.init(key, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x)))
        return {**entries.pop("params"), **entries}

    def apply(params: Params, x: Any) -> Any:
        return cast(Array, module.apply(variables(params), x))

    return Model(init, apply, lambda params, key, x: (apply(params, x), {}))


def affine(width: int, initializer: Initializer) -> Model:
    """x w + b with `width` outputs."""
    return model(Affine(width, initializer))
