"""Optimizers that the lectures teach, built from optax's own parts."""

import optax

from dlx.types import Scalar


def sgd(rate: float | Scalar, momentum: float | Scalar | None = None) -> optax.GradientTransformation:
    """Plain stochastic gradient descent, w <- w - rate * gradient, or with classical momentum."""
    return optax.sgd(rate, momentum)
