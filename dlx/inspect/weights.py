"""The weights of a net by their size: which are left when the smallest are set to 0, and how many are near 0.

All weights of a net (`dlx.nets.weights`) are compared together. Biases are no weights, and stay.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.weights import is_weight, weights
from dlx.types import Params, Rate, Scalar


def largest(params: Params, share: Rate) -> Params:
    """For every parameter, whether it is among the `share` of the weights that are largest in size, or no weight.

    At least one weight is left. Weights of equal size stay together. `share` may be traced.
    """
    ordered = jnp.sort(sizes(params))[::-1]
    place = jnp.clip(jnp.round(share * ordered.size).astype(jnp.int32) - 1, 0, ordered.size - 1)
    return jax.tree.map(lambda leaf, is_w: (jnp.abs(leaf) >= ordered[place]) | (not is_w), params, is_weight(params))


def pruned(params: Params, share: Rate) -> Params:
    """The parameters with all but the `largest` weights set to 0."""
    return jax.tree.map(lambda leaf, stays: jnp.where(stays, leaf, 0), params, largest(params, share))


def near_zero(params: Params, part: Rate = 0.1) -> Scalar:
    """The share of the weights that are smaller than `part` of the root of their mean square."""
    all_sizes = sizes(params)
    return (all_sizes < part * jnp.sqrt(jnp.square(all_sizes).mean())).mean()


def sizes(params: Params) -> Float[Array, " n"]:
    """The sizes |w| of all weights, as one array. Raises ValueError if there is none."""
    return jnp.abs(jnp.concatenate([leaf.ravel() for leaf in weights(params)]))


def length(params: Params) -> Scalar:
    """The Euclidean norm of all weights together."""
    return jnp.sqrt(jnp.square(sizes(params)).sum())
