"""Combinators: training procedures are built from stages, and are stages again."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from flax import linen as nn
from jaxtyping import Array, Float

from dlx.nets.layer import apply
from dlx.nets.mlp import hidden
from dlx.train import each, take
from dlx.types import Data, Key, Params, Scalar, Score, Split, Stage


def chain(*stages: Stage) -> Stage:
    """One stage after the other, each starting from the parameters of the one before; the log is the tuple of logs."""

    def chained(key: Key, params: Params, data: Data):
        logs = []
        for i, stage in enumerate(stages):
            params, log = stage(jax.random.fold_in(key, i), params, data)
            logs.append(log)
        return params, tuple(logs)

    return chained


def codes(net: nn.Module, params: Params, split: Split, depth: int, batch_size: int = 1000) -> Split:
    """The split with each x replaced by its float32 code after the first `depth` hidden layers of the net."""
    if depth == 0:
        return split

    def code(row):
        return apply(net, params, take(split, row[None]).x, depth, method="codes")[0]

    n = split.x.shape[0]
    return Split(jax.lax.map(code, jax.numpy.arange(n), batch_size=batch_size), split.y)


def focus(net: nn.Module, i: int, stage: Stage) -> Stage:
    """Train hidden layer i of the net alone, on the codes of the layers below it, which are computed once."""

    def focused(key: Key, params: Params, data: Data):
        below = Data(*(codes(net, params, split, i) for split in data))
        layer, log = stage(key, params[hidden(i)], below)
        return {**params, hidden(i): layer}, log

    return focused


def scratch(name: str, init: Callable[[Key, Params], Params], stage: Stage) -> Stage:
    """Lend the stage one more entry of the parameters, made by `init(key, params)` and thrown away at the end.

    Raises ValueError, when called, if the parameters have an entry of that name already.
    """

    def lent(key: Key, params: Params, data: Data):
        if name in params:
            raise ValueError(f"the parameters already have an entry {name!r}; give the scratch entry another name")
        key_init, key_stage = jax.random.split(key)
        end, log = stage(key_stage, {**params, name: init(key_init, params)}, data)
        return {entry: end[entry] for entry in params}, log

    return lent


class Errors(NamedTuple):
    """Mean score on each split, as a fraction where the score counts errors, and the score of every test example."""

    train: Scalar
    valid: Scalar
    test: Scalar
    test_each: Float[Array, " n"]


def evaluate(score: Score) -> Stage:
    """Leave the parameters as they are; the log holds the `Errors`."""

    def evaluated(key: Key, params: Params, data: Data):
        del key
        train, valid, test = (each(score, params, split) for split in data)
        return params, Errors(train.mean(), valid.mean(), test.mean(), test)

    return evaluated
