"""What a classifier is trained on and judged by."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx.types import CARRIED, Batch, Labelled, Loss, Model, Params, PerExample

Criterion = Callable[[Any, Batch], Float[Array, " n"]]
"""How far each output of a net [n, ...] is from what the batch says."""


def mean_of(criterion: Criterion, net: Model) -> Loss:
    """Mean over a batch of a criterion of the net's output as in training. What the net carries is handed on."""

    def loss(params, key, batch):
        output, carried = net.train(params, key, batch.x)
        return criterion(output, batch).mean(), {CARRIED: carried} if carried else {}

    return loss


def cross_entropy(net: Model) -> Loss:
    """Mean of -log softmax(logits)_y, in nats (lecture CMU 10-601B 16, "Supervised fine-tuning")."""
    return mean_of(lambda logits, batch: optax.softmax_cross_entropy_with_integer_labels(logits, batch.y), net)


def misclassified(net: Model) -> PerExample:
    """1 where the most probable class is not the label, else 0; its mean is the classification error."""

    def per_example(params: Params, split: Labelled) -> Float[Array, " n"]:
        return (jnp.argmax(net.apply(params, split.x), axis=-1) != split.y).astype(jnp.float32)

    return per_example
