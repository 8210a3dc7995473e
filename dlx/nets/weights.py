"""Which arrays of a net are its weights: those that this project's layers name `w`, and flax's layers `kernel`."""

import jax
from jax.tree_util import DictKey
from jaxtyping import Array

from dlx.types import Params

NAMES = ("w", "kernel")


def is_weight(params: Params) -> Params:
    """For each array of the parameters, whether it is of weights. Biases, scales, embeddings, statistics are not.

    The last axis of weights is over units; all others are over what comes in.

    Raises ValueError if no array is.
    """
    named_so = jax.tree.map_with_path(lambda path, leaf: path[-1:] in [(DictKey(name),) for name in NAMES], params)
    if not any(jax.tree.leaves(named_so)):
        there = ", ".join(jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(params)) or "none at all"
        raise ValueError(f"a net's weights are arrays named {' or '.join(NAMES)}; of these none is: {there}")
    return named_so


def weights(params: Params) -> list[Array]:
    """The arrays of weights, in the order of the tree. Raises ValueError if there is none."""
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(is_weight(params)), strict=True)
    return [leaf for leaf, is_w in pairs if is_w]
