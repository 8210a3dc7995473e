"""Optimizers that the lectures teach, built from optax's own parts.

Each raises ValueError for a rate that is a number and not positive.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from dlx.nets.weights import is_weight
from dlx.types import Rate, Review, Scalar


def _check_positive(**numbers: Rate | optax.Schedule) -> None:
    for name, number in numbers.items():
        if not (isinstance(number, int | float) or callable(number) or hasattr(number, "dtype")):
            raise ValueError(f"{name} must be a number or a schedule, not {number!r}")
        if isinstance(number, int | float) and not number > 0:
            raise ValueError(f"{name} must be above 0, not {number}")


def sgd(
    rate: Rate | optax.Schedule, momentum: Rate | None = None, nesterov: bool = False
) -> optax.GradientTransformation:
    """Plain stochastic gradient descent: w <- w - rate * gradient.

    With momentum: m <- momentum * m + gradient, w <- w - rate * m. With Nesterov's momentum:
    w <- w - rate * (gradient + momentum * m). `rate` may be a schedule, a function of the number of the update.

    Lecture CS/CNS/EE 155 16, "Learning Rate & Momentum"; Sutskever et al. 2013, section 2.
    """
    _check_positive(rate=rate)
    return optax.sgd(rate, momentum, nesterov)


def averaged(rate: Rate, decay: Rate = 0.9) -> optax.GradientTransformation:
    """s <- decay * s + (1 - decay) * gradient, w <- w - rate * s: momentum as an average of the gradients.

    It is `sgd(rate * (1 - decay), decay)` (lecture Alpaydin 12, "Improving Training Convergence").
    """
    _check_positive(rate=rate)
    return optax.chain(optax.ema(decay, debias=False), optax.scale_by_learning_rate(rate))


def adagrad(rate: Rate) -> optax.GradientTransformation:
    """g <- g + gradient^2, w <- w - rate * gradient / sqrt(g + 1e-8), from g = 0.

    Duchi, Hazan & Singer 2011; lecture on feed-forward nets, "Adapting Learning Rates".
    """
    _check_positive(rate=rate)
    return optax.adagrad(rate, initial_accumulator_value=0.0, eps=1e-8)


def rmsprop(rate: Rate) -> optax.GradientTransformation:
    """r <- 0.9 r + 0.1 gradient^2, w <- w - rate * gradient / sqrt(r + 1e-8), from r = 0.

    Tieleman & Hinton 2012; lecture Alpaydin 12, "Adaptive Learning Factor".
    """
    _check_positive(rate=rate)
    return optax.rmsprop(rate, 0.9, 1e-8)


def adam(rate: Rate | optax.Schedule) -> optax.GradientTransformation:
    """w <- w - rate * s / (sqrt(r) + 1e-8), where s and r are means of the gradient and of its square.

    The means are corrected for bias, and decay by 0.9 and 0.999 per update.

    Kingma & Ba 2015, algorithm 1; lecture Alpaydin 12, "ADAM: Adaptive Learning Factor w/ Momentum".
    """
    _check_positive(rate=rate)
    return optax.adam(rate)


def clipped(rate: Rate, norm: Rate = 0.1) -> optax.GradientTransformation:
    """Plain descent on gradients that are clipped to `norm`, taken over all parameters.

    Pascanu, Mikolov & Bengio 2013, algorithm 1; lecture CS/CNS/EE 155 16, "Gradient Clamping".
    """
    _check_positive(norm=norm)
    return optax.chain(optax.clip_by_global_norm(norm), sgd(rate))


def muon(rate: Rate) -> optax.GradientTransformation:
    """Matrices: m <- .95 m + gradient, w <- w - rate * .2 sqrt(max(rows, columns)) * p(m). All others: Adam.

    p(m) is about (m mᵀ)^(-1/2) m: Newton and Schulz's iteration a x + (b x xᵀ + c (x xᵀ)²) x, five times from
    x = m / |m|, with a = 3.4445, b = -4.775, c = 2.0315. It is Shampoo's preconditioner by the two sides of a layer,
    (m mᵀ)^(-1/4) m (mᵀ m)^(-1/4), of the mean gradient alone. K-FAC has the same form, but with the second moments of
    the layer's inputs and errors. The factor .2 sqrt(max) gives steps of Adam's size, so that one rate does for both.

    Jordan et al. 2024; Liu et al. 2025 (arXiv:2502.16982), equations 1 and 4; Gupta, Koren & Singer 2018.
    """
    _check_positive(rate=rate)
    return optax.contrib.muon(rate, nesterov=False, consistent_rms=0.2)


RULES: Mapping[str, Callable[[Rate], optax.GradientTransformation]] = {
    "plain": sgd,
    "momentum": partial(sgd, momentum=0.9),
    "average": averaged,
    "nesterov": partial(sgd, momentum=0.9, nesterov=True),
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "clipped": clipped,
    "muon": muon,
}
"""Rules by name, each as a function of its rate. `dlx.inspect.formulas` has them in NumPy.

All but `muon` are the lectures'. It stands in for the second-order methods that they name without a formula.
"""


def max_norm(c: Rate) -> optax.GradientTransformation:
    """If an update makes a unit's incoming weights longer than c, scale them back to norm c.

    The last axis of weights (`dlx.nets.weights`) is over units, so a unit has a column of a matrix, and a filter of a
    convolution. All other updates pass unchanged. It needs the result of the update, so it comes last:
    `optax.chain(sgd(0.1, 0.9), max_norm(2.0))`. Source: Srivastava et al. 2014, section 5.1.

    Raises ValueError if c is a number that is not positive or, when called, if the net has no weights.
    """
    if isinstance(c, int | float) and not c > 0:
        raise ValueError(f"the largest norm of a unit's weights must be above 0, not {c}")

    def project(update, w, is_w):
        if not is_w or w.ndim < 2:
            return update
        moved = w + update
        norm = jnp.linalg.norm(moved.reshape(-1, w.shape[-1]), axis=0)
        return jnp.where(norm > c, moved * (c / norm) - w, update)

    return optax.stateless(lambda updates, params: jax.tree.map(project, updates, params, is_weight(params)))


class Halving(NamedTuple):
    """The state of an optimizer whose rate is halved on a plateau."""

    inner: Any
    scale: Scalar
    """1, 1/2, 1/4, ...: the factor of the inner optimizer's updates."""
    best: Scalar
    """The least score so far."""
    waited: Int[Array, ""]
    """Epochs since the least score, or since the last halving."""


def halve_on_plateau(
    optimizer: optax.GradientTransformation, patience: int
) -> tuple[optax.GradientTransformation, Review]:
    """The optimizer, and the review that halves its rate after `patience` epochs without a better score.

    They go together: `gradient(loss, *halve_on_plateau(sgd(0.5), patience=3))`. Waiting some epochs shows whether it is
    a plateau, or only noise in the score. Lecture CS/CNS/EE 155 16, "Learning Rate & Momentum".

    Raises ValueError if patience is less than 1.
    """
    if patience < 1:
        raise ValueError(f"patience must be at least 1, not {patience}")
    informed = optax.with_extra_args_support(optimizer)

    def init(params):
        return Halving(informed.init(params), jnp.ones(()), jnp.asarray(jnp.inf), jnp.zeros((), jnp.int32))

    def update(updates, state, params=None, **more):
        updates, inner = informed.update(updates, state.inner, params, **more)
        return jax.tree.map(lambda leaf: state.scale * leaf, updates), state._replace(inner=inner)

    def review(state, score):
        halving = state.optimizer
        waited = jnp.where(score < halving.best, 0, halving.waited + 1)
        late = waited >= patience
        return state._replace(
            optimizer=halving._replace(
                scale=jnp.where(late, halving.scale / 2, halving.scale),
                best=jnp.minimum(score, halving.best),
                waited=jnp.where(late, 0, waited),
            )
        )

    return optax.GradientTransformationExtraArgs(init, update), review
