"""The weights of a net by their size: which are left when the smallest are set to 0, and how many are near 0.

Weights are the arrays named `w`; all of a net are compared together. Biases are no weights, and stay.
"""

import jax
import jax.numpy as jnp
from jax.tree_util import DictKey

from dlx.types import Params, Rate, Scalar


def is_weight(params: Params) -> Params:
    """For each array of the parameters, whether it is a matrix of weights."""
    return jax.tree.map_with_path(lambda path, leaf: path[-1] == DictKey("w"), params)


def largest(params: Params, share: Rate) -> Params:
    """For every parameter, whether it is among the `share` of the weights that are largest in size, or no weight.

    At least one weight is left. Weights of equal size stay together. `share` may be traced.
    """
    sizes = jnp.sort(_sizes(params))[::-1]
    place = jnp.clip(jnp.round(share * sizes.size).astype(jnp.int32) - 1, 0, sizes.size - 1)
    return jax.tree.map(lambda leaf, is_w: (jnp.abs(leaf) >= sizes[place]) | (not is_w), params, is_weight(params))


def pruned(params: Params, share: Rate) -> Params:
    """The parameters with all but the `largest` weights set to 0."""
    return jax.tree.map(lambda leaf, stays: jnp.where(stays, leaf, 0), params, largest(params, share))


def near_zero(params: Params, part: Rate = 0.1) -> Scalar:
    """The share of the weights that are smaller than `part` of the root of their mean square."""
    sizes = _sizes(params)
    return (sizes < part * jnp.sqrt(jnp.square(sizes).mean())).mean()


def _sizes(params: Params):
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(is_weight(params)), strict=True)
    return jnp.abs(jnp.concatenate([leaf.ravel() for leaf, is_w in pairs if is_w]))
