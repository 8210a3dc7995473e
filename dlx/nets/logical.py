"""Minimum and maximum as units: AND and OR of truth values 0 and 1, circuits of them, and a net that learns them.

Lecture CS/CNS/EE 155 16, "AND & OR as Transfer Functions" and "Expressive Power".
"""

from functools import reduce
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from dlx.nets.layer import as_float
from dlx.nets.module import of_vectors
from dlx.types import Model


def conjunction(x: Shaped[Array | np.ndarray, "*n inputs"]) -> Shaped[Array | np.ndarray, "*n"]:
    """AND of the inputs: min{f_1, f_2, ...}."""
    return x.min(-1)


def disjunction(x: Shaped[Array | np.ndarray, "*n inputs"]) -> Shaped[Array | np.ndarray, "*n"]:
    """OR of the inputs: max{f_1, f_2, ...}."""
    return x.max(-1)


def pairs(x: Shaped[Array | np.ndarray, "*n inputs"]) -> Shaped[Array | np.ndarray, "*n"]:
    """AND of the ORs of the inputs 1 and 2, 3 and 4, ...: their number is even."""
    return conjunction(disjunction(x.reshape(*x.shape[:-1], -1, 2)))


def min_max(groups: int, pieces: int) -> Model:
    """A net from inputs [n, visible] to logits [n, 2] of false and true, 0 and min_j max_k (x w_jk + b_jk).

    Its parameters are w [groups, pieces, visible], from N(0, 1 / visible), and b [groups, pieces], 0. With maxima alone
    it is the maxout of Goodfellow et al. 2013.

    Raises ValueError if there is no group or no piece.
    """
    if groups < 1 or pieces < 1:
        raise ValueError(f"a net of minimum and maximum needs one of each at least, not {groups} groups of {pieces}")

    def init(key, x):
        w = jax.random.normal(key, (groups, pieces, x.shape[-1])) / np.sqrt(x.shape[-1])
        return {"w": w, "b": jnp.zeros((groups, pieces))}

    def apply(params, x) -> Float[Array, "n 2"]:
        f = jnp.einsum("ni,gpi->ngp", as_float(x), params["w"]) + params["b"]
        true = conjunction(disjunction(f))
        return jnp.stack([jnp.zeros_like(true), true], -1)

    return of_vectors(Model(init, apply, lambda params, key, x: (apply(params, x), {})))


def literals(x: Shaped[np.ndarray, "*n bits"]) -> Shaped[np.ndarray, "*n literals"]:
    """The truth values of the bits, and then of their negations, which cost no gate."""
    return np.concatenate([x, 1 - x], -1)


def implicants(
    x: Shaped[np.ndarray, "patterns bits"], y: Shaped[np.ndarray, " patterns"]
) -> Bool[np.ndarray, "terms literals"]:
    """Every AND of literals that is true for some patterns, and for none where y is 0, as a mask of its literals.

    `x` are all patterns of the bits, 0 or 1. All 3^bits terms are tried. An OR of ANDs for y consists of these.
    """
    use = np.array(list(product((0, 1, 2), repeat=x.shape[1])))  # of each bit: as it is, negated, left out
    terms = np.concatenate([use == 0, use == 1], 1)
    return terms[~true_of(terms, x)[:, y == 0].any(1)]


def true_of(
    terms: Bool[np.ndarray, "terms literals"], x: Shaped[np.ndarray, "patterns bits"]
) -> Bool[np.ndarray, "terms patterns"]:
    """For which patterns each AND of literals is true."""
    return terms.astype(np.float32) @ (1 - literals(x).T).astype(np.float32) == 0


def or_of_ands(
    terms: Bool[np.ndarray, "terms literals"], x: Shaped[np.ndarray, "patterns bits"]
) -> Shaped[Array | np.ndarray, " patterns"]:
    """A circuit of depth two, with a gate a term and one more."""
    return disjunction(np.stack([conjunction(np.where(term, literals(x), 1)) for term in terms], -1))


def exclusive_or(a: Shaped[np.ndarray, "*n"], b: Shaped[np.ndarray, "*n"]) -> Shaped[np.ndarray, "*n"]:
    """Three gates: (a and not b) or (not a and b)."""
    return np.maximum(np.minimum(a, 1 - b), np.minimum(1 - a, b))


def chain_of_xors(x: Shaped[np.ndarray, "patterns bits"]) -> Shaped[np.ndarray, " patterns"]:
    """The parity of bits 0 or 1 by a deep circuit of 3 (bits - 1) gates."""
    return reduce(exclusive_or, np.moveaxis(x, -1, 0))


def counting_units(x: Shaped[np.ndarray, "patterns bits"]) -> Shaped[np.ndarray, " patterns"]:
    """The parity of bits 0 or 1 by one hidden layer of as many threshold units as bits.

    Unit j is on if at least j bits are; the output is on if their alternating sum 1 - 1 + 1 - ... is.
    (Rumelhart, Hinton & Williams 1986, "Learning internal representations by error propagation".)
    """
    order = 1 + np.arange(x.shape[1])
    on = x.sum(1, keepdims=True) - order + 0.5 > 0
    return (on @ np.where(order % 2, 1, -1) - 0.5 > 0).astype(x.dtype)


def patterns(bits: int) -> Int[np.ndarray, "patterns bits"]:
    """All patterns of bits, 0 or 1."""
    return (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1


def wrong_gates(bits: int) -> int:
    """For how many patterns of 1 to `bits` truth values AND is not the minimum, or OR not the maximum."""
    every = [patterns(n) for n in range(1, bits + 1)]
    return sum(int((conjunction(x) != x.all(1)).sum() + (disjunction(x) != x.any(1)).sum()) for x in every)


def wrong_circuits(bits: int) -> int:
    """In how much the circuits for the parity of 2 to `bits` bits are not as is said of them.

    It counts patterns with a wrong output of either circuit, terms that are true of more than one pattern, and terms
    beyond or short of 2^(n - 1). If it is 0, an OR of ANDs for the parity of n bits has 2^(n - 1) + 1 gates at least.
    """
    wrong = 0
    for n in range(2, bits + 1):
        x = patterns(n)
        y = x.sum(1) % 2
        terms = implicants(x, y)
        wrong += int((or_of_ands(terms, x) != y).sum() + (chain_of_xors(x) != y).sum())
        wrong += int((true_of(terms, x).sum(1) > 1).sum()) + abs(len(terms) - 2 ** (n - 1))
    return wrong


def wrong_counts(bits: int) -> int:
    """For how many patterns of 1 to `bits` bits a layer of as many threshold units does not give the parity."""
    every = [patterns(n) for n in range(1, bits + 1)]
    return sum(int((counting_units(x) != x.sum(1) % 2).sum()) for x in every)
