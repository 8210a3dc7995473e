"""The spread of minibatch gradients."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dlx.types import Key, Loss, Params, Scalar, Split


def spread(
    key: Key, loss: Loss, params: Params, train: Split, sizes: tuple[int, ...], draws: int
) -> Float[Array, " n"]:
    """E |g - G|^2 / |G|^2 for each size of minibatch: g is its gradient, and G that of all examples.

    The expectation is a mean over `draws` minibatches, whose examples are drawn with replacement. It falls as 1 / size
    if the loss is a mean over examples and has no noise of its own. Lecture on feed-forward nets, "Mini-batch,
    Momentum".
    """
    total = len(jax.tree.leaves(train)[0])
    key_loss, *keys = jax.random.split(key, 1 + len(sizes))

    def slope(rows):
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], train)
        return ravel_pytree(jax.grad(loss, has_aux=True)(params, key_loss, batch)[0])[0]

    whole = slope(jnp.arange(total))

    def of_size(key: Key, size: int) -> Scalar:
        def apart(key):
            return jnp.square(slope(jax.random.randint(key, (size,), 0, total)) - whole).sum()

        return jax.lax.map(apart, jax.random.split(key, draws)).mean() / jnp.square(whole).sum()

    return jnp.stack([of_size(key, size) for key, size in zip(keys, sizes, strict=True)])
