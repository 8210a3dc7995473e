"""Nets whose inputs are standardised by statistics that stand among the parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import as_float
from dlx.types import Model, Params

STANDARD = "standard"
"""The entry of the parameters that holds `mean` and `scale` of each input. `dlx.stage.standardise` sets it."""


def standard(params: Params, x: Shaped[Array, "n *shape"]) -> Float[Array, "n *shape"]:
    """(x - mean) / scale; neither of these gets a gradient."""
    statistics = jax.lax.stop_gradient(params[STANDARD])
    return (as_float(x) - statistics["mean"]) / statistics["scale"]


def standardised(net: Model) -> Model:
    """The same net on standardised inputs. Until the stage `standardise` has run, the mean is 0 and the scale 1."""

    def init(key, x):
        x = as_float(jnp.asarray(x))
        return {**net.init(key, x), STANDARD: {"mean": jnp.zeros_like(x), "scale": jnp.ones_like(x)}}

    def train(params, key, x):
        output, carried = net.train(params, key, standard(params, x))
        return output, {**carried, STANDARD: params[STANDARD]}

    return Model(init, lambda params, x: net.apply(params, standard(params, x)), train)
