"""Filters: the incoming weights of hidden units, seen as images of the input."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float16


def strongest(w: Float[Array, "inputs units"], count: int) -> Float16[Array, "inputs shown"]:
    """The weights of the `count` units of largest norm (all, if there are fewer), in half precision."""
    _, units = jax.lax.top_k((w**2).sum(0), min(count, w.shape[1]))
    return w[:, units].astype(jnp.float16)
