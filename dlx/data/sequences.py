"""Sequences of several lengths, padded to one; and tasks that ask a net to remember, made from a key.

Lecture Alpaydin 12, "Learning Time".
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from dlx.data.generated import Targets
from dlx.data.idx import DataError
from dlx.types import END, UNLABELLED, Key, Labelled, Pairs, Rate, Sequences


class Answered(NamedTuple):
    """What an encoder and a decoder are taught: sources, and the tokens of the answers, of which the last is END."""

    x: Pairs
    y: Int[Array, "n steps"]
    """`UNLABELLED` behind the end."""


def padded(
    sequences: Sequence[Shaped[np.ndarray, "_ *shape"]], steps: int | None = None, vocabulary: int | None = None
) -> Sequences:
    """The sequences as NumPy arrays of so many steps, zeros behind their ends; the longest says how many by default.

    With a vocabulary they are tokens from 0 to vocabulary - 1. Raises DataError, with the place of the sequence among
    the others, for one that is empty or too long, or has a token outside the vocabulary; or if there is no sequence.
    """
    if not len(sequences):
        raise DataError("there is no sequence to be padded; give one at least")
    lengths = np.array([len(sequence) for sequence in sequences], np.int32)
    steps = int(lengths.max()) if steps is None else steps
    for i, sequence in enumerate(sequences):
        if fault := wrong_sequence(np.asarray(sequence), steps, vocabulary):
            raise DataError(f"sequence {i} {fault}")
    first = np.asarray(sequences[0])
    values = np.zeros((len(sequences), steps, *first.shape[1:]), np.int32 if vocabulary else first.dtype)
    for row, sequence in zip(values, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Sequences(values, lengths)  # ty: ignore[invalid-argument-type]


def wrong_sequence(sequence: Shaped[np.ndarray, "_ *shape"], steps: int, vocabulary: int | None) -> str:
    """What is wrong with a sequence, in words; empty if nothing is."""
    if not len(sequence):
        return "is empty; a sequence has one step at least"
    if len(sequence) > steps:
        return f"has {len(sequence)} steps, and the padding ends at {steps}; give more steps, or cut the sequence"
    if vocabulary is None:
        return ""
    if not np.issubdtype(sequence.dtype, np.integer):
        return f"has tokens of the dtype {sequence.dtype}; they are integers"
    outside = sequence[(sequence < 0) | (sequence >= vocabulary)]
    said = f"there are {vocabulary}, 0 to {vocabulary - 1}"
    return f"has the token {outside[0]} outside the vocabulary; {said}" if len(outside) else ""


def backwards(sequences: Sequences) -> Sequences:
    """Each sequence from its end to its beginning; the padding stays behind it."""
    values, lengths = jnp.asarray(sequences.values), jnp.asarray(sequences.lengths)
    places = jnp.arange(values.shape[1])
    rows = jnp.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return Sequences(values[jnp.arange(len(values))[:, None], rows], lengths)


def answered(sources: Sequences, answers: Sequences) -> Answered:
    """Examples for an encoder and a decoder: what is asked, and the answers, tokens from 1 on, with END behind them."""
    lengths, places = jnp.asarray(answers.lengths)[:, None], jnp.arange(answers.values.shape[1] + 1)
    tokens = jnp.where(places < lengths, jnp.pad(jnp.asarray(answers.values), ((0, 0), (0, 1))), END)
    before = jnp.pad(tokens, ((0, 0), (1, 0)), constant_values=END)[:, :-1]
    return Answered(Pairs(sources, before), jnp.where(places <= lengths, tokens, UNLABELLED))


def adding(key: Key, n: int, steps: int) -> Targets:
    """The adding problem (Hochreiter & Schmidhuber 1997, as in Bai et al. 2018): x [n, steps, 2] and y [n, 1].

    At each step stand a number from U[0, 1] and a mark, which is 1 at two steps and 0 elsewhere; y is the sum of those
    two numbers. To say 1 always has the mean squared error 1/6.

    Raises ValueError if there are fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"two numbers of {steps} steps cannot be marked; choose 2 steps or more")
    key_numbers, key_first, key_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(key_numbers, (n, steps))
    first = jax.random.randint(key_first, (n,), 0, steps)
    second = (first + jax.random.randint(key_second, (n,), 1, steps)) % steps
    marks = jax.nn.one_hot(first, steps) + jax.nn.one_hot(second, steps)
    return Targets(jnp.stack([numbers, marks], -1), (numbers * marks).sum(-1, keepdims=True))


def latch(key: Key, n: int, steps: int, noise: Rate = 0.2) -> Labelled:
    """The latch (after Bengio, Simard & Frasconi 1994): x [n, steps, 1], and the class y [n] that its first step tells.

    The first number is -1 (class 0) or 1, and those behind it are Gaussian with the standard deviation `noise`. So a
    net must keep one bit for steps - 1 steps. Raises ValueError if there is no step.
    """
    if steps < 1:
        raise ValueError("a latch of 0 steps has nothing to keep; choose 1 step or more")
    key_classes, key_noise = jax.random.split(key)
    y = jax.random.bernoulli(key_classes, shape=(n,)).astype(jnp.int32)
    x = noise * jax.random.normal(key_noise, (n, steps))
    return Labelled(x.at[:, 0].set(2.0 * y - 1)[..., None], y)
