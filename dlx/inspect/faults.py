"""A museum of faults: numbers switch them on, so that one program serves a sound run and every way to spoil it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from dlx.types import Data, Key, Labelled, Loss, Params, Rate


class Faults(NamedTuple):
    """What is wrong with a run. But for the rate, the defaults are those of a sound one; 1 switches on, 0 off."""

    rate: Rate
    """Of plain descent."""
    units: Rate = 2.0
    """The place of the hidden units in `dlx.nets.layer.UNITS`; 2 are rectifiers."""
    start: Rate = 1.0
    """What the weights are multiplied by before training."""
    equal: Rate = 0.0
    """Whether all weights are equal before training."""
    bias: Rate = 0.0
    """What is added to the biases of the hidden units before training."""
    factor: Rate = 1.0
    """What the gradient of a layer is multiplied by; -1 is a wrong sign."""
    share: Rate = 1.0
    """The share of the layer's units whose gradient is multiplied so."""
    inputs: Rate = 1.0
    """What the inputs, which are between 0 and 1, are multiplied by."""
    normalised: Rate = 1.0
    """Whether the inputs are then normalised, so that all those of training together have mean 0 and variance 1."""
    shuffled: Rate = 0.0
    """The share of the training labels that are replaced by those of other examples."""
    leaked: Rate = 0.0
    """The share of the validation examples that stand in place of training examples."""
    unfit: Rate = 0.0
    """Whether the loss asks the net to be sure, not to be right."""
    frozen: Rate = 0.0
    """Whether a layer is never updated."""


def spoil_data(key: Key, data: Data, how: Faults) -> Data:
    """The data as they reach the net; inputs are floats between 0 and 1. Validation labels stay as they are."""
    splits = [split._replace(x=how.inputs * split.x) for split in data]
    mean, deviation = splits[0].x.mean(), splits[0].x.std()
    train, valid, test = (
        split._replace(x=jnp.where(how.normalised > 0, (split.x - mean) / deviation, split.x)) for split in splits
    )
    train = leaked(train, valid, how.leaked)
    return Data(train._replace(y=shuffled(key, train.y, how.shuffled)), valid, test)


def spoil_start(params: Params, how: Faults) -> Params:
    """The parameters that training starts from. Layers are entries `{w, b, ...}`; `output` keeps its bias."""

    def spoiled(name, layer):
        w = jnp.where(how.equal > 0, EQUAL, how.start * layer["w"])
        return {**layer, "w": w, "b": layer["b"] + (0 if name == "output" else how.bias)}

    return {name: spoiled(name, layer) for name, layer in params.items()}


EQUAL = 0.01
"""The one value of weights that are all equal."""


def wrong_gradient(loss: Loss, entry: str, factor: Rate, share: Rate = 1.0) -> Loss:
    """The same loss, whose gradient for one entry of the parameters is multiplied by `factor`: -1 is a wrong sign.

    With a `share` it is wrong for the first units only, those of the last axis of each array.
    """

    def spoiled(params: Params, key: Key, batch: Any):
        def bent(leaf):
            units = leaf.shape[-1]
            by = jnp.where(jnp.arange(units) < share * units, factor, 1.0)
            return by * leaf + jax.lax.stop_gradient((1 - by) * leaf)

        return loss({**params, entry: jax.tree.map(bent, params[entry])}, key, batch)

    return spoiled


def frozen(entry: str, on: Rate) -> optax.GradientTransformation:
    """Updates of one entry are left out where `on` is above 0. It comes last in a chain."""

    def update(updates, params=None):
        del params
        return {**updates, entry: jax.tree.map(lambda leaf: jnp.where(on > 0, 0, leaf), updates[entry])}

    return optax.stateless(update)


def shuffled(key: Key, y: Int[Array, " n"], share: Rate) -> Int[Array, " n"]:
    """Labels of which a share, each drawn by itself, is replaced by the label of another example."""
    key_which, key_order = jax.random.split(key)
    return jnp.where(jax.random.bernoulli(key_which, share, y.shape), jax.random.permutation(key_order, y), y)


def leaked(train: Labelled, valid: Labelled, share: Rate) -> Labelled:
    """Training examples, the first of which are replaced by a share of as many validation examples."""
    n = min(len(train.y), len(valid.y))

    def mixed(ours, others):
        taken = (jnp.arange(n) < share * n).reshape(n, *[1] * (ours.ndim - 1))
        return ours.at[:n].set(jnp.where(taken, others[:n], ours[:n]))

    return Labelled(mixed(train.x, valid.x), mixed(train.y, valid.y))


def log_loss(unfit: Rate = 0.0) -> Callable[[Array, Labelled], Array]:
    """The criterion -log softmax(logits)_y of logits [n, classes]; where `unfit` is above 0, -log max softmax instead.

    That asks a net to be sure, not to be right: to name one class always is a degenerate solution.
    """

    def criterion(logits, batch):
        right = optax.softmax_cross_entropy_with_integer_labels(logits, batch.y)
        return jnp.where(unfit > 0, jax.nn.logsumexp(logits, -1) - logits.max(-1), right)

    return criterion
