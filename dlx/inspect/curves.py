"""What a curve of a fit says."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dlx.types import Scalar


def epochs_to(target: float, score: Float[Array, " epochs"]) -> Scalar:
    """The number of epochs until the score reaches the target; infinite if it never does.

    It is interpolated linearly between epochs. A target that the first epoch reaches counts as one epoch.
    """
    epoch = jnp.argmax(score <= target)
    before, after = score[jnp.maximum(epoch - 1, 0)], score[epoch]
    part = jnp.where(epoch > 0, (before - target) / jnp.where(before > after, before - after, 1.0), 1.0)
    return jnp.where((score <= target).any(), epoch + part, jnp.inf)


def at(target: float, score: Float[Array, " epochs"], other: Float[Array, " epochs"]) -> Scalar:
    """What the other curve says where the score first reaches the target, as `epochs_to`; infinite if it never does."""
    epoch = epochs_to(target, score)
    value = jnp.interp(epoch - 1, jnp.arange(len(other), dtype=other.dtype), other)
    return jnp.where(jnp.isfinite(epoch), value, jnp.inf)


def stopped(score: Float[Array, " epochs"], patience: int | Int[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """What `dlx.train.fit` with this patience would have returned: the epoch, from 0, and how many it would have run.

    The fit ends after `patience` epochs without a better score, or with a score that is not finite. To stop when the
    validation error has risen, after L more epochs (the look-ahead), is a patience of L + 1 (lecture on feed-forward
    nets, "Early Stopping"). Patience may be traced.

    Raises ValueError if it is a number below 1.
    """
    if isinstance(patience, int) and patience < 1:
        raise ValueError(f"patience must be at least 1, not {patience}")
    epochs = jnp.arange(len(score))
    before = jnp.concatenate([jnp.full(1, jnp.inf), jax.lax.cummin(score)[:-1]])
    best = jax.lax.cummax(jnp.where(score < before, epochs, 0))
    ends = (epochs - best >= patience) | ~jnp.isfinite(score)
    last = jnp.where(ends.any(), jnp.argmax(ends), len(score) - 1)
    return best[last], last + 1
