"""Nets that grow until they have learnt a task: Ash's dynamic node creation, and cascade correlation.

A net tells two classes apart by one output, the log-odds of class 1. It has learnt the task when it gives each training
example its class with a probability above .6: then all outputs are within .4 of 0 or 1, as in the papers.

T. Ash 1989, "Dynamic node creation in backpropagation networks"; Fahlman & Lebiere 1989, "The cascade-correlation
learning architecture". Here both minimise the cross-entropy by a rule of optax. The papers minimise squared errors, by
back-propagation with momentum and by Quickprop, and let patience end a phase that has a fixed length here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from dlx.nets.masked import masked
from dlx.types import Key, Labelled, Params, Rate, Scalar

TOLERANCE = 0.4


class Growth(NamedTuple):
    """How a net has grown."""

    units: Scalar
    """Hidden units at the end."""
    weights: Scalar
    """Weights of these units and of the output, biases among them."""
    steps: Int[Array, ""]
    """Steps of the rule; those of candidates count, those of one phase for all candidates once."""
    losses: Float[Array, " most"]
    """The cross-entropy in training at the end of the time with 1, 2, ... units; infinite if that did not come."""
    solved: Bool[Array, ""]


def nats(z: Float[Array, " n"], y: Int[Array, " n"]) -> Scalar:
    """The mean cross-entropy of log-odds z."""
    return optax.sigmoid_binary_cross_entropy(z, y).mean()


def wrong(z: Float[Array, " n"], y: Int[Array, " n"]) -> Scalar:
    """The share of the examples whose log-odds have the wrong sign."""
    return ((z > 0) != (y > 0)).mean()


def learnt(z: Float[Array, " n"], y: Int[Array, " n"]) -> Bool[Array, ""]:
    """Whether every output is within `TOLERANCE` of its target."""
    return (jnp.abs(jax.nn.sigmoid(z) - y) < TOLERANCE).all()


def descend(
    loss: Callable[[Params], Scalar], rule: optax.GradientTransformation, params: Params, state: Any, steps: int
) -> tuple[Params, Any]:
    """The parameters and the state of the rule after some steps."""

    def step(carry, _):
        params, state = carry
        updates, state = rule.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, state), None, length=steps)[0]


def layer_output(params: Params, x: Float[Array, "n inputs"], units: Rate | None = None) -> Float[Array, " n"]:
    """The log-odds by one layer of tanh units, of which the first `units` count; without a number all."""
    most = params["output"]["w"].shape[0]
    return masked(most if units is None else units, most).apply(params, x)[:, 0]


def create_nodes(
    key: Key,
    split: Labelled,
    rule: optax.GradientTransformation,
    most: int,
    window: int,
    windows: int,
    start: Rate = 1.0,
    slope: Rate = 0.05,
) -> tuple[Params, Growth]:
    """Train a hidden layer of `start` units that gets one more each time that the loss is flat, up to `most`.

    Flat is a loss that changed in `window` steps by less than `slope` times what it was when the last unit came (Ash's
    trigger slope). All go on to be trained. With a slope of 0 the net keeps its size. It ends when the task is learnt,
    or after all windows. Returns the parameters of `masked`, in which units that never came have no weight in the
    output. `start` and `slope` may be traced.

    Raises ValueError if `most`, `window` or `windows` is less than 1.
    """
    if min(most, window, windows) < 1:
        raise ValueError(f"{most} units, or {windows} windows of {window} steps: each must be 1 at least")

    def output(params, units):
        return layer_output(params, split.x, units)

    def weights(units):
        return (split.x.shape[1] + 2) * units + 1

    def go_on(state):
        params, inner, growth, before, at_last = state
        units = growth.units
        params, inner = descend(lambda params: nats(output(params, units), split.y), rule, params, inner, window)
        z = output(params, units)
        loss, solved = nats(z, split.y), learnt(z, split.y)
        add = (jnp.abs(before - loss) < slope * at_last) & (units < most) & ~solved
        losses = growth.losses.at[units.astype(jnp.int32) - 1].set(loss)
        units = units + add
        growth = Growth(units, weights(units), growth.steps + window, losses, solved)
        return params, inner, growth, loss, jnp.where(add, loss, at_last)

    params, units = masked(most, most).init(key, split.x[0]), jnp.asarray(start, jnp.float32)
    loss = nats(output(params, units), split.y)
    growth = Growth(units, weights(units), jnp.zeros((), jnp.int32), jnp.full(most, jnp.inf), jnp.asarray(False))
    state = params, rule.init(params), growth, loss, loss
    params, _, growth, *_ = jax.lax.while_loop(
        lambda state: ~state[2].solved & (state[2].steps < windows * window), go_on, state
    )
    there = jnp.arange(most)[:, None] < growth.units
    return {**params, "output": {**params["output"], "w": jnp.where(there, params["output"]["w"], 0)}}, growth


def smallest(
    key: Key, split: Labelled, rule: optax.GradientTransformation, sizes: tuple[int, ...], window: int, windows: int
) -> tuple[Params, Growth]:
    """Train a hidden layer of each of the sizes; return that of the fewest units that learns the task.

    If none does, it is that of the last size. Sizes go up. The steps are those of all nets together. The conditions of
    `create_nodes` hold.
    """
    keys, units = jax.random.split(key, len(sizes)), jnp.array(sizes, jnp.float32)
    nets = jax.lax.map(
        lambda key_and_units: create_nodes(
            key_and_units[0], split, rule, sizes[-1], window, windows, key_and_units[1], 0.0
        ),
        (keys, units),
    )
    solved = nets[1].solved
    place = jnp.where(solved.any(), jnp.argmax(solved), len(sizes) - 1)
    params, growth = jax.tree.map(lambda leaf: leaf[place], nets)
    return params, growth._replace(steps=nets[1].steps.sum())


def cascade_features(w: Float[Array, "most features"], x: Float[Array, "n inputs"]) -> Float[Array, "n features"]:
    """What the output sees: 1, the inputs, and all units. Unit i is tanh(f w_i), where f are the features before it.

    A row of zeros is a unit that is not there yet: it gives 0.
    """
    start = x.shape[1] + 1
    features = jnp.concatenate([jnp.ones((len(x), 1)), x, jnp.zeros((len(x), len(w)))], 1)
    return jax.lax.fori_loop(0, len(w), lambda i, f: f.at[:, start + i].set(jnp.tanh(f @ w[i])), features)


def cascade_output(params: Params, x: Float[Array, "n inputs"]) -> Float[Array, " n"]:
    """The log-odds by a cascade with unit weights `w` and output weights `v`."""
    return cascade_features(params["w"], x) @ params["v"]


def correlation(h: Float[Array, "n candidates"], residual: Float[Array, " n"]) -> Float[Array, " candidates"]:
    """The magnitude of the covariance of each candidate's value with the output's error (their S, over n)."""
    return jnp.abs((h * (residual - residual.mean())[:, None]).mean(0))


def cascade(
    key: Key, split: Labelled, rule: optax.GradientTransformation, most: int, candidates: int, steps: int
) -> tuple[Params, Growth]:
    """Train the output, then add units one by one, until the task is learnt or there are `most`.

    A new unit is the best of some candidates, each trained for `steps` from random weights to go along with the error
    that is left. Its weights are then frozen, and the output is trained for `steps` more. Returns `w` [most, features],
    whose rows beyond the last unit are 0, and `v` [features].

    Raises ValueError if `most`, `candidates` or `steps` is less than 1.
    """
    if min(most, candidates, steps) < 1:
        raise ValueError(f"{most} units, {candidates} candidates, {steps} steps: each must be 1 at least")
    count = 1 + split.x.shape[1] + most

    def trained_output(w, v):
        features = cascade_features(w, split.x)
        v, _ = descend(lambda v: nats(features @ v, split.y), rule, v, rule.init(v), steps)
        return v, features @ v

    def best_candidate(key, w, z, units):
        features, residual = cascade_features(w, split.x), jax.nn.sigmoid(z) - split.y

        def score(pool):
            return correlation(jnp.tanh(features @ pool.T), residual)

        there = jnp.arange(count) < count - most + units
        pool = there * jax.random.uniform(key, (candidates, count), minval=-1, maxval=1)
        pool, _ = descend(lambda pool: -score(pool).sum(), rule, pool, rule.init(pool), steps)
        return pool[jnp.argmax(score(pool))]

    def grown(units, so_far, losses, z):
        weights = (count - most) * (units + 1) + units * (units + 1) / 2
        return Growth(units, weights, so_far, losses, learnt(z, split.y))

    def go_on(state):
        params, z, growth = state
        i = growth.units.astype(jnp.int32)
        w = params["w"].at[i].set(best_candidate(jax.random.fold_in(key, i), params["w"], z, i))
        v, z = trained_output(w, params["v"])
        losses = growth.losses.at[i].set(nats(z, split.y))
        return {"w": w, "v": v}, z, grown(growth.units + 1, growth.steps + 2 * steps, losses, z)

    w = jnp.zeros((most, count))
    v, z = trained_output(w, jnp.zeros(count))
    growth = grown(jnp.zeros(()), jnp.asarray(steps, jnp.int32), jnp.full(most, jnp.inf), z)
    params, _, growth = jax.lax.while_loop(
        lambda state: ~state[2].solved & (state[2].units < most), go_on, ({"w": w, "v": v}, z, growth)
    )
    return params, growth
