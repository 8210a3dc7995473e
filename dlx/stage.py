"""Combinators, which build stages from stages; and stages that evaluate and standardise."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.layer import as_float
from dlx.nets.module import STATISTICS
from dlx.nets.standardised import STANDARD
from dlx.train import by_batches, check_not_empty, of_dtypes
from dlx.types import Data, Key, Params, PerExample, Scalar, Stage


def chain(*stages: Stage) -> Stage:
    """One stage after the other. Each starts from the parameters of the one before. The log is the tuple of logs."""

    def chained(key: Key, params: Params, data: Data):
        logs = []
        for i, stage in enumerate(stages):
            params, log = stage(jax.random.fold_in(key, i), params, data)
            logs.append(log)
        return params, tuple(logs)

    return chained


def focus(entry: str, view: Callable[[Params, Any], Any] | None, stage: Stage) -> Stage:
    """Train only `params[entry]`, on `view(params, x)` [n, ...] in place of x.

    The view is computed once. If it is None, the data stay as they are.

    Raises ValueError, when called, if the parameters have no such entry.
    """

    def focused(key: Key, params: Params, data: Data):
        if entry not in params:
            raise ValueError(f"the parameters have no entry {entry!r}; they have {', '.join(params)}")
        if view is not None:
            data = Data(*(split._replace(x=by_batches(view, params, split.x)) for split in data))
        end, log = stage(key, params[entry], data)
        return {**params, entry: end}, log

    return focused


def temporary(name: str, init: Callable[[Key, Params], Params], stage: Stage) -> Stage:
    """Give the stage one more entry of the parameters, from `init(key, params)`. At the end it is thrown away.

    Raises ValueError, when called, if the parameters already have an entry of that name.
    """

    def lent(key: Key, params: Params, data: Data):
        if name in params:
            raise ValueError(f"the parameters already have an entry {name!r}; give the temporary one another name")
        key_init, key_stage = jax.random.split(key)
        end, log = stage(key_stage, {**params, name: init(key_init, params)}, data)
        return {entry: end[entry] for entry in params}, log

    return lent


class Evaluation(NamedTuple):
    """The means of measures over each split, and their values for every test example, by name."""

    train: Mapping[str, Scalar]
    valid: Mapping[str, Scalar]
    test: Mapping[str, Scalar]
    per_example: Mapping[str, Float[Array, " n"]]


def evaluate(**per_example: PerExample) -> Stage:
    """A stage that returns the parameters as they are. Its log is the `Evaluation` by these measures.

    Raises ValueError, when called, if a split is empty.
    """

    def evaluated(key: Key, params: Params, data: Data):
        del key
        check_not_empty(**data._asdict())
        values = [{name: by_batches(one, params, split) for name, one in per_example.items()} for split in data]
        means = [{name: value.mean() for name, value in measures.items()} for measures in values]
        return params, Evaluation(*means, values[-1])

    return evaluated


def standardise(key: Key, params: Params, data: Data) -> tuple[Params, None]:
    """The stage that sets the statistics of a `standardised` net to those of the training inputs.

    Each input gets its mean and its standard deviation (divided by n). An input that never varies gets the scale 1.
    """
    del key
    x = as_float(jnp.asarray(data.train.x))
    scale = jnp.where(x.max(0) > x.min(0), x.std(0), 1)  # rounding gives a constant a deviation, too
    return {**params, STANDARD: of_dtypes(params[STANDARD], {"mean": x.mean(0), "scale": scale})}, None


def population(views: Mapping[str, Callable[[Params, Any], Any]]) -> Stage:
    """The stage that stores the statistics of batch normalisation over all training examples, layer by layer.

    `views[name](params, x)` is what layer `name` normalises [n, width]. Its mean and variance go to
    `params[STATISTICS][name]`. Layers come in order, each with the stored statistics of those below (lecture on
    feed-forward nets, "Batch Normalization"; the variance is that of all examples, where algorithm 2 of Ioffe & Szegedy
    2015 averages over minibatches).
    """

    def stored(key: Key, params: Params, data: Data):
        del key
        for name, view in views.items():
            z = by_batches(view, params, data.train.x)
            fresh = of_dtypes(params[STATISTICS][name], {"mean": z.mean(0), "var": z.var(0)})
            statistics = {**params[STATISTICS], name: fresh}
            params = {**params, STATISTICS: statistics}
        return params, None

    return stored
