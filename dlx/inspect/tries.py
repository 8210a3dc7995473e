"""Values that are tried in turn, until one does."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


def first_without(
    fails: Callable[[Array, Array], Bool[Array, ""]], keys: Key[Array, " tries"], values: Float[Array, " tries"]
) -> Int[Array, ""]:
    """The place of the first value that does not fail, or how many there are if all do. Later ones are not tried."""

    def try_next(before, key_and_value):
        place, failed = before
        return (place + failed, jax.lax.cond(failed, fails, lambda *_: jnp.array(False), *key_and_value)), None

    (place, failed), _ = jax.lax.scan(try_next, (jnp.array(-1), jnp.array(True)), (keys, values))
    return place + failed
