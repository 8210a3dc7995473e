"""Nets that are the same but for the order of their hidden units, and the order in which two nets are most alike."""

from collections.abc import Sequence

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped

from dlx.nets.mlp import codes, hidden
from dlx.types import Params

TINY = 1e-6
"""The least standard deviation that a unit is divided by."""


def reorder(params: Params, orders: Sequence[Int[Array, " _width"]]) -> Params:
    """The `mlp` whose hidden unit j of layer i is unit `orders[i][j]` of the one given. It computes the same.

    Raises ValueError unless there is an order for each hidden layer.
    """
    if len(orders) != len(params) - 1:
        raise ValueError(f"{len(orders)} orders are given for {len(params) - 1} hidden layers; give one for each")
    moved, before = {}, None
    for i, order in enumerate([*orders, None]):
        name = "output" if order is None else hidden(i)
        layer = dict(params[name])
        if before is not None:
            layer |= {"w": layer["w"][before]} | ({"c": layer["c"][before]} if "c" in layer else {})
        if order is not None:
            layer |= {"w": layer["w"][:, order], "b": layer["b"][order]}
        moved[name], before = layer, order
    return moved


def correlations(a: Float[Array, "n ours"], b: Float[Array, "n theirs"]) -> Float[Array, "ours theirs"]:
    """Pearson's correlation of each unit of one net with each of another, over examples; 0 with a constant unit."""

    def standardised(units):
        return (units - units.mean(0)) / jnp.maximum(units.std(0), TINY)

    return standardised(a).T @ standardised(b) / len(a)


def match(params: Params, to: Params, x: Shaped[Array, "n visible"]) -> Params:
    """`params`, an `mlp` of sigmoid units, with its hidden units in the order that fits `to` best.

    In each layer the sum of the correlations of units in the same place is as large as any order makes it, over the
    inputs x (Li et al. 2016, "Convergent learning", section 3, with their one-to-one matching).
    """
    orders = []
    for depth in range(1, len(params)):
        view = codes(depth)
        assert view is not None
        ours, theirs = optax.assignment.hungarian_algorithm(-correlations(view(to, x), view(params, x)))
        orders.append(theirs[jnp.argsort(ours)])
    return reorder(params, orders)
