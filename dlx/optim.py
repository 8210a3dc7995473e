"""Optimizers that the lectures teach, built from optax's own parts."""

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import DictKey

from dlx.types import Rate


def sgd(rate: Rate, momentum: Rate | None = None) -> optax.GradientTransformation:
    """Plain stochastic gradient descent, w <- w - rate * gradient, or with classical momentum."""
    return optax.sgd(rate, momentum)


def adam(rate: Rate) -> optax.GradientTransformation:
    """w <- w - rate * s / (sqrt(r) + 1e-8): s, r are bias-corrected means of the gradient and of its square.

    They decay by 0.9 and 0.999 an update (Kingma & Ba 2015, algorithm 1; lecture Alpaydin 12, "ADAM: Adaptive Learning
    Factor w/ Momentum").
    """
    return optax.adam(rate)


def max_norm(c: Rate) -> optax.GradientTransformation:
    """Scale a unit's incoming weights back to norm c where an update would make them longer.

    Those weights are a column of a matrix named `w`; all else passes unchanged. It projects what the update leads to,
    so it comes last: `optax.chain(sgd(0.1, 0.9), max_norm(2.0))` (Srivastava et al. 2014, section 5.1).

    Raises ValueError if c is a number that is not positive.
    """
    if isinstance(c, int | float) and not c > 0:
        raise ValueError(f"the largest norm of a unit's weights must be above 0, not {c}")

    def project(path, update, w):
        if path[-1] != DictKey("w") or w.ndim != 2:
            return update
        moved = w + update
        norm = jnp.linalg.norm(moved, axis=0)
        return jnp.where(norm > c, moved * (c / norm) - w, update)

    return optax.stateless(lambda updates, params: jax.tree.map_with_path(project, updates, params))
