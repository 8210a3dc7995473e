"""Parts of nets as flax.linen modules, and the `Model` that a module makes."""

import inspect
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from dlx.nets.layer import SIGMOID, LayerKind, Units
from dlx.types import Key, Model, Params

STATISTICS = "batch_stats"
"""The entry of the parameters that holds the running statistics of a net with batch normalisation."""
SWITCHES = {"training", "is_training", "deterministic", "use_running_average"}
"""What modules elsewhere call `train`, or its contrary."""


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
    """The net that a module makes, called as `module(x)` or, if it takes that, `module(x, train)`; inputs are [n, ...].

    With `train` it differs in training: flax's Dropout gets a key, and the running statistics of its BatchNorm are
    carried. In use `train` is False.

    Raises ValueError if the module has its switch under another name or, at the start, variables of other collections.
    """
    takes = inspect.signature(type(module).__call__).parameters.keys()
    if others := takes & SWITCHES:
        raise ValueError(f"{type(module).__name__} takes {', '.join(sorted(others))}; a net's switch is `train`")
    in_use: dict[str, Any] = {"train": False} if "train" in takes else {}

    def init(key, x):
        entries = dict(module.init(key, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x), **in_use))
        if others := entries.keys() - {"params", STATISTICS}:
            raise ValueError(
                f"{type(module).__name__} has variables of {', '.join(sorted(others))}, which nothing keeps"
            )
        return {**entries.pop("params", {}), **entries}

    def apply(params: Params, x: Any) -> Any:
        return cast(Array, module.apply(variables(params), x, **in_use))

    def train(params: Params, key: Key, x: Any) -> tuple[Any, dict[str, Params]]:
        rngs = {"dropout": key}
        output, renewed = cast(tuple, module.apply(variables(params), x, train=True, rngs=rngs, mutable=[STATISTICS]))
        return output, {name: renewed[name] for name in params if name in renewed}

    return Model(init, apply, train if in_use else lambda params, key, x: (apply(params, x), {}))


def of_vectors(net: Model) -> Model:
    """The net, with an `init` that raises ValueError for an example that is not a vector, such as an image."""

    def init(key, x):
        if len(getattr(x, "shape", ())) != 1:
            of_input = f"the shape {x.shape}" if hasattr(x, "shape") else f"the type {type(x).__name__}"
            raise ValueError(
                f"the net takes vectors, and an input has {of_input}; make images flat, by dlx.data.flat(data), or on "
                "a page by study.images(flat=True)"
            )
        return net.init(key, x)

    return net._replace(init=init)
