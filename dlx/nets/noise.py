"""What is random while a net is trained: units that are dropped, and noise on inputs, hidden values or weights.

In use nothing is dropped and nothing is added. Lectures: Alpaydin 12, "Regularization: Dropout"; on feed-forward nets,
"Dropout"; CS/CNS/EE 155 16, "Dropout".
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.types import Key, Params, Rate

Corrupt = Callable[[Key, Array], Array]
"""A noisy copy of an array."""


class Noise(NamedTuple):
    """What each batch corrupts; None leaves a part as it is."""

    inputs: Corrupt | None = None
    hidden: Corrupt | None = None
    """Of the values of every hidden layer."""
    weights: Corrupt | None = None
    """Of the weights of every layer, drawn once a batch."""

    def layer(self, key: Key, layer: Params) -> Params:
        """The layer {w, ...} with noisy weights."""
        return {**layer, "w": self.weights(key, layer["w"])} if self.weights else layer

    def values(self, key: Key, i: int, x: Float[Array, "*n units"]) -> Float[Array, "*n units"]:
        """The input x of layer i with noise: with that of the inputs at i = 0, else with that of hidden values."""
        corrupt = self.hidden if i else self.inputs
        return corrupt(jax.random.fold_in(key, i), x) if corrupt else x


SILENT = Noise()
"""No noise at all."""


def drop(key: Key, rate: Rate, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Each element set to 0 with probability `rate` and else divided by 1 - rate, so that x is the expectation.

    Scaled so in training, nothing is scaled at test time (Srivastava et al. 2014, section 10).

    Raises ValueError if the rate is a number outside [0, 1).
    """
    _check_rates(rate)
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def dropout(inputs: Rate = 0.2, hidden: Rate = 0.5) -> Noise:
    """Drops inputs and hidden units, by default as Srivastava et al. 2014 do on MNIST (appendix B.1).

    Raises ValueError if a rate is a number outside [0, 1).
    """
    _check_rates(inputs, hidden)
    return Noise(lambda key, x: drop(key, inputs, x), lambda key, x: drop(key, hidden, x))


def _check_rates(*rates: Rate) -> None:
    for rate in rates:
        if isinstance(rate, int | float) and not 0 <= rate < 1:
            raise ValueError(f"a dropout rate must be at least 0 and less than 1, not {rate}")


def gaussian(deviation: Rate) -> Corrupt:
    """Adds N(0, deviation^2) to each element.

    Raises ValueError if the deviation is a number below 0.
    """
    if isinstance(deviation, int | float) and deviation < 0:
        raise ValueError(f"the deviation of noise must be at least 0, not {deviation}")
    return lambda key, x: x + deviation * jax.random.normal(key, x.shape, x.dtype)
