"""Losses of examples with many labels, such as one at each step of a sequence or at each node of a tree.

The logits are [n, ..., classes] and the labels y [n, ...]. A label below 0 (`dlx.types.UNLABELLED`) does not count, so
padding has none. The value of an example is the mean over its own labels.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Shaped

from dlx.losses.supervised import mean_of
from dlx.types import Loss, Model, Params, PerExample, Split

Labels = Int[Array | np.ndarray, "n *labels"]


def cross_entropy(net: Model) -> Loss:
    """The mean of -log softmax(logits)_y over the labels of each example, in nats."""
    return mean_of(lambda logits, batch: _nats(logits, batch.y), net)


def negative_log_likelihood(net: Model) -> PerExample:
    """The mean of -log softmax(logits)_y over the labels of each example by the net in use, in nats."""
    return lambda params, split: _nats(net.apply(params, split.x), split.y)


def mislabelled(net: Model) -> PerExample:
    """The share of the labels of each example that are not the most probable class."""

    def per_example(params: Params, split: Split) -> Float[Array, " n"]:
        return mean_of_labelled(jnp.argmax(net.apply(params, split.x), -1) != split.y, split.y)

    return per_example


def not_whole(answer: Callable[[Params, Any], Int[Array, "n *labels"]]) -> PerExample:
    """1 where a label of `answer(params, x)` is not that of the example, else 0: an answer is right as a whole."""

    def per_example(params: Params, split: Split) -> Float[Array, " n"]:
        wrong = (answer(params, split.x) != split.y) & (split.y >= 0)
        return wrong.reshape(len(wrong), -1).any(-1).astype(jnp.float32)

    return per_example


def mean_of_labelled(values: Shaped[Array, "n *labels"], y: Labels) -> Float[Array, " n"]:
    """The mean of the values of each example that have a label. An example without a label gets 0."""
    counts = jnp.asarray(y >= 0).reshape(len(y), -1)
    values = jnp.where(counts, values.reshape(counts.shape), 0)
    return values.sum(-1) / jnp.maximum(counts.sum(-1), 1)


def _nats(logits: Float[Array, "n *labels classes"], y: Labels) -> Float[Array, " n"]:
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(y, 0))
    return mean_of_labelled(nats, y)
