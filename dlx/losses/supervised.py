"""The loss that a classifier is trained on, and the error that judges it."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx.types import CARRIED, Batch, Loss, Model, Params, PerExample, Split

Criterion = Callable[[Any, Batch], Float[Array, " n"]]
"""The loss of each example [n], from the outputs of a net [n, ...] and the batch."""


def mean_of(criterion: Criterion, net: Model) -> Loss:
    """The mean of a criterion over a batch, of the net's output in training. It passes on what the net carries."""

    def loss(params, key, batch):
        output, carried = net.train(params, key, batch.x)
        return criterion(output, batch).mean(), {CARRIED: carried} if carried else {}

    return loss


def cross_entropy(net: Model) -> Loss:
    """The mean of -log softmax(logits)_y, in nats (lecture CMU 10-601B 16, "Supervised fine-tuning")."""
    return mean_of(lambda logits, batch: optax.softmax_cross_entropy_with_integer_labels(logits, batch.y), net)


def misclassified(net: Model) -> PerExample:
    """1 where the most probable class is not the label, else 0; its mean is the classification error."""

    def per_example(params: Params, split: Split) -> Float[Array, " n"]:
        return (jnp.argmax(net.apply(params, split.x), axis=-1) != split.y).astype(jnp.float32)

    return per_example


def negative_log_likelihood(net: Model) -> PerExample:
    """-log softmax(logits)_y of each example by the net in use, in nats."""

    def per_example(params: Params, split: Split) -> Float[Array, " n"]:
        return optax.softmax_cross_entropy_with_integer_labels(net.apply(params, split.x), split.y)

    return per_example


def squared_error(net: Model) -> Loss:
    """Mean over a batch of |output - y|^2, where the net's output and y are [n, outputs]."""
    return mean_of(lambda outputs, batch: jnp.square(outputs - batch.y).sum(-1), net)


def squared_distance(net: Model) -> PerExample:
    """|output - y|^2 of each example."""

    def per_example(params: Params, split: Split) -> Float[Array, " n"]:
        return jnp.square(net.apply(params, split.x) - split.y).sum(-1)

    return per_example
