"""The distribution of an RBM: log-partition function, exact or estimated, and chains of samples.

The layer is `{w, b, c}` with binary units on both sides, and p(v) = exp(-F(v)) / Z. For few hidden units log Z is
summed. Otherwise it is estimated by annealed importance sampling (AIS). Sources: Neal 2001; Salakhutdinov & Murray
2008, section 4. Annealing goes from independent pixels (beta = 0) to the machine (beta = 1):

    log p*(v; beta) = (1 - beta) a v + beta c v + sum_j log(1 + exp(beta (b_j + (v w)_j)))
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Shaped

from dlx.losses.energy import gibbs
from dlx.nets.layer import BINARY, as_float
from dlx.types import Key, Labelled, Params, Scalar

LARGEST = 24
"""The most hidden units for which log Z is summed, over 2**24 states."""
_BLOCK = 10
"""2**10 states of the hidden units are summed at once."""


def binarise(key: Key, split: Labelled) -> Labelled:
    """The split with each pixel drawn as 0 or 1; its intensity is the probability of 1."""
    return split._replace(x=jax.random.bernoulli(key, as_float(split.x)).astype(jnp.float32))


def log_partition(layer: Params) -> Scalar:
    """log Z in nats, summed over all states of the hidden units.

    Raises ValueError if there are more than 24 of them.
    """
    hidden = layer["b"].size
    if hidden > LARGEST:
        raise ValueError(
            f"2**{hidden} states are too many to be summed; estimate log Z by annealed importance sampling"
        )
    low = min(hidden, _BLOCK)

    def log_sum(block):
        number = block * 2**low + jnp.arange(2**low)
        h = ((number[:, None] >> jnp.arange(hidden)) & 1).astype(layer["w"].dtype)
        inputs = BINARY.decode_inputs(layer, h)
        return logsumexp(h @ layer["b"] + jax.nn.softplus(inputs).sum(-1))

    return logsumexp(jax.lax.map(log_sum, jnp.arange(2 ** (hidden - low))))


def independent_pixels(x: Shaped[Array, "n visible"], smoothing: float = 0.05) -> Float[Array, " visible"]:
    """The log-odds `a` of independent pixels that have the means of x. AIS starts from them.

    Each mean is moved towards 1/2 by the fraction `smoothing`, so that no log-odds are infinite. Source: Salakhutdinov
    & Murray 2008, section 4.1, on the choice of the base rates.
    """
    mean = as_float(x).mean(0)
    mean = (1 - smoothing) * mean + smoothing / 2
    return jnp.log(mean) - jnp.log1p(-mean)


def temperatures(n: int) -> Float[Array, " n"]:
    """n values of beta from 0 to 1: 1/29 of them below 0.5, 8/29 from there to 0.9, and the rest above.

    Source: Salakhutdinov & Murray 2008, section 5.1, who took n = 14 500. Raises ValueError if n is less than 2.
    """
    if n < 2:
        raise ValueError(f"annealing goes from beta 0 to beta 1, so it has at least 2 temperatures, not {n}")
    betas = np.interp(np.linspace(0, 1, n), [0, 1 / 29, 9 / 29, 1], [0, 0.5, 0.9, 1])
    return jnp.asarray(betas, jnp.float32)


class LogPartition(NamedTuple):
    """An estimate of log Z in nats, and how far single chains are apart."""

    mean: Scalar
    deviation: Scalar
    """Standard deviation of the chains' log-weights. Above about 2 the estimate depends on few chains."""


def _anneal(key: Key, layer: Params, a: Array, v: Array, betas: Array) -> tuple[Array, Array]:
    """Log-weights [chains] of chains that go from v through the betas, and where they end.

    Before each Gibbs step, the log-weight gains log p* at the next beta minus log p* at this one. The step is one at
    the next beta.
    """

    def inputs(v):
        return v @ layer["w"] + layer["b"]

    def step(state, key_and_betas):
        v, weights = state
        key, beta, after = key_and_betas
        u = inputs(v)
        gain = (jax.nn.softplus(after * u) - jax.nn.softplus(beta * u)).sum(-1)
        weights += gain + (after - beta) * (v @ (layer["c"] - a))
        key_hidden, key_visible = jax.random.split(key)
        h = jax.random.bernoulli(key_hidden, jax.nn.sigmoid(after * u)).astype(v.dtype)
        pixels = (1 - after) * a + after * BINARY.decode_inputs(layer, h)
        return (jax.random.bernoulli(key_visible, jax.nn.sigmoid(pixels)).astype(v.dtype), weights), None

    keys = jax.random.split(key, len(betas) - 1)
    (v, weights), _ = jax.lax.scan(step, (v, jnp.zeros(len(v))), (keys, betas[:-1], betas[1:]))
    return weights, v


def _log_mean_exp(x: Array) -> Scalar:
    return logsumexp(x) - jnp.log(x.size)


def _log_z_of_pixels(layer: Params, a: Array) -> Scalar:
    """log Z at beta = 0, where each hidden unit is a factor of 2."""
    return jax.nn.softplus(a).sum() + layer["b"].size * jnp.log(2.0)


def ais(key: Key, layer: Params, a: Float[Array, " visible"], betas: Float[Array, " n"], chains: int) -> LogPartition:
    """log Z by chains that go from independent pixels of log-odds `a` to the machine.

    The estimate of Z has no bias. So log Z is too small on average, and the likelihood too large.
    """
    key_start, key_way = jax.random.split(key)
    v = jax.random.bernoulli(key_start, jax.nn.sigmoid(a), (chains, a.size)).astype(jnp.float32)
    weights, _ = _anneal(key_way, layer, a, v, betas)
    return LogPartition(_log_z_of_pixels(layer, a) + _log_mean_exp(weights), weights.std())


def reverse_ais(
    key: Key, layer: Params, a: Float[Array, " visible"], betas: Float[Array, " n"], v: Float[Array, "chains visible"]
) -> LogPartition:
    """log Z by chains that go back from samples v of the machine to independent pixels.

    If v are samples of the machine, the estimate of 1/Z has no bias. So log Z is too large on average, and `ais` and
    this function bracket the truth. Source: Grosse, Ghahramani & Adams 2015. Long Gibbs chains can replace samples. If
    they miss a part of the distribution, log Z is too small again.
    """
    weights, _ = _anneal(key, layer, a, gibbs(jax.random.clone(key), layer, v), betas[::-1])
    return LogPartition(_log_z_of_pixels(layer, a) - _log_mean_exp(weights), weights.std())


def frames(
    key: Key, layer: Params, v: Float[Array, "n visible"], count: int, every: int
) -> Float[Array, "count n visible"]:
    """Gibbs chains from v, seen after every `every` steps: the means of the pixels given the hidden units.

    Raises ValueError if `count` or `every` is less than 1.
    """
    if min(count, every) < 1:
        raise ValueError(f"frames need at least one frame and one step per frame, not {count} and {every}")

    def frame(v, key):
        key_steps, key_seen = jax.random.split(key)
        v, _ = jax.lax.scan(lambda v, key: (gibbs(key, layer, v), None), v, jax.random.split(key_steps, every - 1))
        # The means are given the hidden units that the chain goes on from.
        return gibbs(key_seen, layer, v), gibbs(jax.random.clone(key_seen), layer, v, mean_field=True)

    return jax.lax.scan(frame, v, jax.random.split(key, count))[1]
