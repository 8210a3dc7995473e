"""What a classifier is trained on and judged by."""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx.types import Loss, Params, Score, Split

Logits = Callable[[Params, Float[Array, "n visible"]], Float[Array, "n classes"]]


def cross_entropy(logits: Logits) -> Loss:
    """Mean of -log softmax(logits)_y, in nats (lecture CMU 10-601B 16, "Supervised fine-tuning")."""

    def loss(params, key, batch):
        del key
        value = optax.softmax_cross_entropy_with_integer_labels(logits(params, batch.x), batch.y).mean()
        return value, {}

    return loss


def misclassified(logits: Logits) -> Score:
    """1 where the most probable class is not the label, else 0; its mean is the classification error."""

    def score(params: Params, split: Split) -> Float[Array, " n"]:
        return (jnp.argmax(logits(params, split.x), axis=-1) != split.y).astype(jnp.float32)

    return score
