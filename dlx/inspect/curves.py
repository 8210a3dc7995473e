"""What a curve of a fit says."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.types import Scalar


def epochs_to(target: float, score: Float[Array, " epochs"]) -> Scalar:
    """The number of epochs until the score reaches the target; infinite if it never does.

    It is interpolated linearly between epochs. A target that the first epoch reaches counts as one epoch.
    """
    epoch = jnp.argmax(score <= target)
    before, after = score[jnp.maximum(epoch - 1, 0)], score[epoch]
    part = jnp.where(epoch > 0, (before - target) / jnp.where(before > after, before - after, 1.0), 1.0)
    return jnp.where((score <= target).any(), epoch + part, jnp.inf)
