"""Ridge regression in closed form: the mode of a posterior under a Gaussian prior of the weights."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from dlx.types import Rate, Scalar

Matrix = Float[Array, "inputs outputs"]


def closed_form(x: Float[Array, "n inputs"], y: Float[Array, "n outputs"], decay: Rate) -> tuple[Matrix, Scalar]:
    """The w with the least mean of |x w - y|^2 plus decay / 2 |w|^2, and a bound of the largest curvature of that."""
    n = x.shape[0]
    gram = 2 * x.T @ x / n
    w = jax.scipy.linalg.solve(gram + decay * jnp.eye(len(gram)), 2 * x.T @ y / n, assume_a="pos")
    # No eigenvalue of a matrix is above its largest sum of a row.
    return w, gram.sum(1).max() + decay


def posterior_slope(w: Matrix, x: Float[Array, "n inputs"], y: Float[Array, "n outputs"], decay: Rate) -> Scalar:
    """The slope of the logarithm of the posterior of w, as a share of that of the prior: 0 at the mode.

    The noise of y is Gaussian with variance 1/2, so that -log p is the squared error. The prior of w is Gaussian with
    variance 1 / (n decay).
    """
    n = x.shape[0]

    def likelihood(w):
        return norm.logpdf(y, x @ w, 0.5**0.5).sum()

    def prior(w):
        return norm.logpdf(w, 0, (1 / (n * decay)) ** 0.5).sum()

    of_likelihood, of_prior = (jax.grad(one)(w) for one in (likelihood, prior))
    return jnp.linalg.norm(of_likelihood + of_prior) / jnp.linalg.norm(of_prior)
