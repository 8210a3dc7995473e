"""What a classifier is trained on and judged by."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx.types import Key, Loss, Params, Score, Split

Logits = Callable[[Params, Float[Array, "n visible"]], Float[Array, "n classes"]]
TrainingLogits = Callable[[Params, Key, Float[Array, "n visible"]], tuple[Float[Array, "n classes"], Mapping[str, Any]]]


def cross_entropy(logits: Logits) -> Loss:
    """Mean of -log softmax(logits)_y, in nats (lecture CMU 10-601B 16, "Supervised fine-tuning")."""
    return training_cross_entropy(lambda params, key, x: (logits(params, x), {}))


def training_cross_entropy(logits: TrainingLogits) -> Loss:
    """The same of a net that in training needs a key, and gives back beside its logits what are then the metrics."""

    def loss(params, key, batch):
        outputs, metrics = logits(params, key, batch.x)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, batch.y).mean(), metrics

    return loss


def misclassified(logits: Logits) -> Score:
    """1 where the most probable class is not the label, else 0; its mean is the classification error."""

    def score(params: Params, split: Split) -> Float[Array, " n"]:
        return (jnp.argmax(logits(params, split.x), axis=-1) != split.y).astype(jnp.float32)

    return score
