"""Hidden Markov models: sampling, and the exact posterior of the hidden states by forward-backward, in log space.

The state z_1 is drawn from `start`, z_t from row z_{t-1} of `transition`, and what is seen x_t from row z_t of
`emission`. With a_t(z) = log p(x_1..x_t, z_t = z) and b_t(z) = log p(x_{t+1}..x_T | z_t = z),

    a_t(z) = log emission[z, x_t] + logsumexp over y of a_{t-1}(y) + log transition[y, z]
    b_t(z) = logsumexp over y of log transition[z, y] + log emission[y, x_{t+1}] + b_{t+1}(y)

(Rabiner 1989). Lecture CMU 10-601B 16, "Outline".
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_softmax, logsumexp
from jaxtyping import Array, Float, Int

from dlx.data.sources import Dataset, Provenance, fingerprint
from dlx.types import Data, Key, Labelled


class HMM(NamedTuple):
    """The probabilities of a hidden Markov model; each row sums to 1. Zeros are allowed."""

    start: Float[Array | np.ndarray, " states"]
    transition: Float[Array | np.ndarray, "states states"]
    """From the state of the row to that of the column."""
    emission: Float[Array | np.ndarray, "states symbols"]


class Path(NamedTuple):
    """Hidden states, and the symbols that were seen."""

    states: Int[Array, "*n steps"]
    symbols: Int[Array, "*n steps"]


def sample(key: Key, hmm: HMM, n: int, steps: int) -> Path:
    """n sequences of so many steps. Raises ValueError if a number is less than 1."""
    if min(n, steps) < 1:
        raise ValueError(f"{n} sequences of {steps} steps cannot be drawn; choose 1 or more of each")
    key_start, key_states, key_symbols = jax.random.split(key, 3)

    def move(state, key):
        following = jax.random.categorical(key, jnp.log(hmm.transition)[state])
        return following, following

    first = jax.random.categorical(key_start, jnp.log(hmm.start), shape=(n,))
    _, others = jax.lax.scan(move, first, jax.random.split(key_states, steps - 1))
    states = jnp.concatenate([first[None], others]).T
    return Path(states, jax.random.categorical(key_symbols, jnp.log(hmm.emission)[states]))


def dataset(name: str, hmm: HMM, steps: int, sizes: tuple[int, int, int]) -> Dataset:
    """Sequences to be labelled, the same in every release: symbols `x` and states `y`, int8 [n, steps].

    `sizes` are those of the splits. Raises ValueError if a number is less than 1.
    """
    if min(steps, *sizes) < 1:
        raise ValueError(f"splits of {sizes} sequences of {steps} steps cannot be drawn; choose 1 or more of each")
    # Of NumPy's random numbers only the raw bits are promised to be the same in every release.
    raw = np.random.PCG64(0).random_raw(2 * sum(sizes) * steps).reshape(2, steps, -1) / 2.0**64

    def drawn(probabilities, uniform):
        return (uniform[:, None] >= np.cumsum(probabilities, -1)[..., :-1]).sum(-1)

    states = [drawn(np.asarray(hmm.start), raw[0, 0])]
    for uniform in raw[0, 1:]:
        states.append(drawn(np.asarray(hmm.transition)[states[-1]], uniform))
    symbols = [drawn(np.asarray(hmm.emission)[state], uniform) for state, uniform in zip(states, raw[1], strict=True)]
    y, x = (np.stack(rows, 1).astype(np.int8) for rows in (states, symbols))
    ends = np.cumsum((0, *sizes))
    data = Data(*(Labelled(x[a:b], y[a:b]) for a, b in pairwise(ends)))  # ty: ignore[invalid-argument-type]
    return Dataset(data, Provenance(name, "generated", "generated", fingerprint(data)), (steps,), len(hmm.start))


def forward(hmm: HMM, symbols: Int[Array, "*n steps"]) -> Float[Array, "*n steps states"]:
    """log p(x_1..x_t, z_t) of each step and state."""
    seen, moves = _seen(hmm, symbols), jnp.log(hmm.transition)

    def advance(before, seen):
        joint = seen + logsumexp(before[..., :, None] + moves, axis=-2)
        return joint, joint

    first = jnp.log(hmm.start) + seen[0]
    _, others = jax.lax.scan(advance, first, seen[1:])
    return jnp.moveaxis(jnp.concatenate([first[None], others]), 0, -2)


def backward(hmm: HMM, symbols: Int[Array, "*n steps"]) -> Float[Array, "*n steps states"]:
    """log p(x_{t+1}..x_T | z_t) of each step and state; 0 at the last step."""
    seen, moves = _seen(hmm, symbols), jnp.log(hmm.transition)

    def retreat(after, seen):
        future = logsumexp(moves + (seen + after)[..., None, :], axis=-1)
        return future, future

    end = jnp.zeros_like(seen[0])
    _, others = jax.lax.scan(retreat, end, seen[1:], reverse=True)
    return jnp.moveaxis(jnp.concatenate([others, end[None]]), 0, -2)


def filtered(hmm: HMM, symbols: Int[Array, "*n steps"]) -> Float[Array, "*n steps states"]:
    """log p(z_t | x_1..x_t): what is known of a state at its own step."""
    return log_softmax(forward(hmm, symbols), axis=-1)


def smoothed(hmm: HMM, symbols: Int[Array, "*n steps"]) -> Float[Array, "*n steps states"]:
    """log p(z_t | x_1..x_T): what is known of a state once the whole sequence was seen."""
    return log_softmax(forward(hmm, symbols) + backward(hmm, symbols), axis=-1)


def log_likelihood(hmm: HMM, symbols: Int[Array, "*n steps"]) -> Float[Array, "*n"]:
    """log p(x_1..x_T)."""
    return logsumexp(forward(hmm, symbols)[..., -1, :], axis=-1)


def _seen(hmm: HMM, symbols: Int[Array, "*n steps"]) -> Float[Array, "steps *n states"]:
    """log p(x_t | z_t), the steps first."""
    return jnp.moveaxis(jnp.log(hmm.emission).T[symbols], -2, 0)
