"""What a net is like layer by layer: how large gradients are, how much units vary, and which of them are silent."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.types import Batch, Key, Loss, Params, Scalar

TINY = 1e-30
"""What is smaller counts as this much where logarithms are taken."""


def norms(*weights: Float[Array, "... _in _out"]) -> Float[Array, " depth"]:
    """The Euclidean norm of each matrix, of those that stand alone and of those that are stacked, in one vector."""
    return jnp.concatenate([jnp.atleast_1d(jnp.sqrt(jnp.square(w).sum((-2, -1)))) for w in weights])


def variances(units: Float[Array, "depth n width"]) -> Float[Array, " depth"]:
    """The variance of all units of a layer over all examples (divided by n width)."""
    return units.var((1, 2))


def active(units: Float[Array, "depth n width"]) -> Float[Array, " depth"]:
    """The share of the values of a layer that are not 0: the smaller, the sparser its code."""
    return (units != 0).mean((1, 2))


def inactive(units: Float[Array, "depth n width"]) -> Float[Array, " depth"]:
    """The share of the units of a layer that are not above 0 for any example."""
    return (units <= 0).all(1).mean(1)


def by_layer(
    key: Key, loss: Loss, view: Callable[[Params, Array], Array], params: Params, batch: Batch
) -> dict[str, Float[Array, " depth"]]:
    """`gradient` (norm of that of the weights), `variance`, `active`, `inactive` of hidden layers from the base up.

    The net is a `dlx.nets.deep` one, and `view(params, x)` gives its units [depth, n, width]. The gradient is that of
    the mean loss of the batch (lecture CMU 10-601B 16, "Problem B: Vanishing Gradients").
    """
    grads, _ = jax.grad(loss, has_aux=True)(params, key, batch)
    units = view(params, batch.x)
    gradient = norms(grads["input"]["w"], grads["layers"]["w"])
    return {"gradient": gradient, "variance": variances(units), "active": active(units), "inactive": inactive(units)}


def logarithm(values: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logarithm to base 10; that of `TINY` where a value is smaller."""
    return jnp.log10(jnp.maximum(values, TINY))


def decades_lost(values: Float[Array, " depth"]) -> Scalar:
    """By how many powers of 10 a layer falls short of the one above it: the slope of a line through the logarithms.

    Negative if values grow towards the base. At least two layers are needed for a line.
    """
    logs = logarithm(values)
    place = jnp.arange(len(values)) - (len(values) - 1) / 2
    return (place * logs).sum() / jnp.square(place).sum()


def largest_step(values: Float[Array, " depth"]) -> Scalar:
    """The largest ratio of a layer to the one above it: below 1 if every layer has less than the one above."""
    safe = jnp.maximum(values, TINY)
    return (safe[:-1] / safe[1:]).max()


def decades_apart(values: Float[Array, " depth"]) -> Scalar:
    """By how many powers of 10 the largest and the smallest differ."""
    logs = logarithm(values)
    return logs.max() - logs.min()


def gap_to_inputs(key: Key, loss: Loss, view: Callable[[Params, Array], Array], params: Params, one: Batch) -> Scalar:
    """How far the gradient of each weight is from its input times the gradient of its unit's bias, for one example.

    Of all hidden layers of a plain `dlx.nets.deep` net on float inputs, as a share of the largest gradient of the layer
    (lecture CS7015 9, "Things to remember").
    """
    grads, _ = jax.grad(loss, has_aux=True)(params, key, one)
    below = view(params, one.x)[:-1, 0]

    def gap(w, b, inputs):
        return jnp.abs(w - inputs[..., :, None] * b[..., None, :]).max((-2, -1)) / jnp.abs(w).max((-2, -1))

    pairs = (grads["input"], one.x[0]), (grads["layers"], below)
    return jnp.max(jnp.array([gap(layer["w"], layer["b"], inputs).max() for layer, inputs in pairs]))
