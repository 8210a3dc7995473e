"""Penalties: what is added to a loss so that a net generalises.

They are for `penalised`. Weights are those of `dlx.nets.weights`; biases and running statistics are not penalised.
Each maker raises ValueError for a strength that is a number below 0. Lectures: Alpaydin 12, "Regularization: Weight
Decay" and "Regularization: Hints"; CS7015 lecture 9, "What does regularization do?".
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dlx.nets.layer import BINARY, LayerKind, as_float
from dlx.nets.weights import weights
from dlx.types import Batch, Key, Loss, Model, Params, Rate, Scalar

Penalty = Callable[[Params, Key, Batch], Scalar]
"""A number that is added to the loss of a batch, differentiated in its first argument."""


def penalised(loss: Loss, *penalties: Penalty) -> Loss:
    """The loss plus the penalties, each with a key of its own. It passes on the loss's metrics and what is carried."""

    def total(params, key, batch):
        key_loss, *keys = jax.random.split(key, 1 + len(penalties))
        value, metrics = loss(params, key_loss, batch)
        return value + sum(one(params, own, batch) for one, own in zip(penalties, keys, strict=True)), metrics

    return total


def l2(strength: Rate) -> Penalty:
    """strength / 2 * sum of w^2: weight decay, which is a Gaussian prior of the weights of variance 1 / (n strength).

    Here the loss is the mean of -log p over n examples. For plain descent it is the decay of `optax.adamw`.
    """
    _check_strength(strength)
    return lambda params, key, batch: strength / 2 * _over_weights(jnp.square, params)


def l1(strength: Rate) -> Penalty:
    """strength * sum of |w|, whose slope at 0 is taken as 0 (Hastie, Tibshirani & Friedman 2009, section 3.4)."""
    _check_strength(strength)
    return lambda params, key, batch: strength * _over_weights(lambda w: jnp.sign(w) * w, params)


def sparsity(strength: Rate, target: Rate, view: Callable[[Params, Array], Array]) -> Penalty:
    """strength * sum over units of KL(target || mean): each unit's mean over the batch is drawn to the target.

    `view(params, x)` gives the values [n, units] of sigmoid units. Ng 2011, "Sparse autoencoder" (lecture notes of
    CS294A), section 3; Lee, Ekanadham & Ng 2008 draw the means to a target by their squared distance.

    Raises ValueError if the target is a number outside (0, 1).
    """
    _check_strength(strength)
    if isinstance(target, int | float) and not 0 < target < 1:
        raise ValueError(f"the target of a unit's mean must lie between 0 and 1, not be {target}")

    def penalty(params, key, batch):
        means = view(params, batch.x).mean(0)
        rest = (1 - target) * jnp.log((1 - target) / (1 - means))
        return strength * (target * jnp.log(target / means) + rest).sum()

    return penalty


def contraction(strength: Rate, kind: LayerKind = BINARY) -> Penalty:
    """strength * mean over the batch of |dh/dx|^2, summed over hidden units and inputs, for the code h of a layer.

    With it an auto-associator is contractive (Rifai, Vincent, Muller, Glorot & Bengio 2011, equations 1 and 4). The
    units may be of any kind.
    """
    _check_strength(strength)

    def penalty(layer, key, batch):
        u = as_float(jnp.asarray(batch.x)) @ layer["w"] + layer["b"]
        _, slope = jax.jvp(kind.hidden.mean, (u,), (jnp.ones_like(u),))
        return strength * (jnp.square(slope) @ jnp.square(layer["w"]).sum(0)).mean()

    return penalty


def hint(strength: Rate, net: Model, transform: Callable[[Key, Array], Array]) -> Penalty:
    """strength * mean over the batch of |g(x) - g(x')|^2: the net is to say the same of x and of x'.

    g(x) are the probabilities of the classes [n, classes] by the net in use, and x' is `transform(key, x)` (Abu-Mostafa
    1995, "Hints", section 3.1; lecture Alpaydin 12, "Regularization: Hints").
    """
    _check_strength(strength)

    def penalty(params, key, batch):
        x = as_float(jnp.asarray(batch.x))
        one, other = (jax.nn.softmax(net.apply(params, inputs)) for inputs in (x, transform(key, x)))
        return strength * jnp.square(one - other).sum(-1).mean()

    return penalty


def _over_weights(function: Callable[[Array], Array], params: Params) -> Scalar:
    return sum((function(leaf).sum() for leaf in weights(params)), jnp.zeros(()))


def _check_strength(strength: Rate) -> None:
    if isinstance(strength, int | float) and not strength >= 0:
        raise ValueError(f"the strength of a penalty must be at least 0, not {strength}")
