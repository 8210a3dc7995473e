"""What nets learn of functions that are known: a function of two numbers, parity, and formulas of AND and OR."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlx.algorithms import gradient
from dlx.data.generated import first_bits, square
from dlx.losses.supervised import cross_entropy, misclassified, squared_distance, squared_error
from dlx.nets import logical
from dlx.nets.layer import RELU
from dlx.nets.masked import masked
from dlx.stage import evaluate
from dlx.train import fit, minibatches, valid
from dlx.types import Data
from dlx.unit import Result

WIDTHS = (1, 4, 16, 64, 256)
SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Units a layer, among which the smallest net that learns parity is looked for."""
FORMULAS = {"AND": logical.conjunction, "OR": logical.disjunction, "AND of the ORs of pairs": logical.pairs}


class Hypers(NamedTuple):
    """A rate, and a number: units of a layer, bits, the place of a formula in `FORMULAS`, or the size of a check."""

    rate: float
    number: float


def descend(key, net, loss, rate, epochs, steps, data, **more):
    """Adam in minibatches of 32, at a rate that falls to 0 in a line. Returns parameters and curve."""
    key_init, key_train = jax.random.split(key)
    rule = optax.adam(lambda count: rate * (1 - count / (epochs * steps)))
    train = fit(gradient(loss, rule), minibatches(32, steps=steps), epochs=epochs, **more)
    return train(key_train, net.init(key_init, data.train.x[0]), data)


@dataclass(frozen=True)
class Approximate:
    """The fit of one hidden layer of tanh units to a function. Keeps its values at `picture`^2 points of the square."""

    epochs: int
    steps: int
    picture: int = 48

    def __call__(self, key, hypers, given, data, progress):
        """The root of the mean squared error by split, and its logarithm; y has the variance 1."""
        net, follow = masked(hypers.number, WIDTHS[-1]), progress("function", epochs=self.epochs, percent=False)
        ways = squared_error(net), hypers.rate, self.epochs, self.steps, data
        params, curve = descend(key, net, *ways, progress=follow)
        _, found = evaluate(square=squared_distance(net))(key, params, data)
        rms = {split: jnp.sqrt(getattr(found, split)["square"]) for split in Data._fields}
        measures = {split: {"rms": value, "log": jnp.log2(value)} for split, value in rms.items()}
        values = net.apply(params, square(self.picture).reshape(-1, 2)).reshape(self.picture, self.picture)
        return {"picture": values}, Result(rms["valid"], measures, diverged=curve.diverged)


@dataclass(frozen=True)
class Parity:
    """The training of nets of `depth` layers of rectified units on the parity of bits, a net of each size."""

    depth: int
    epochs: int
    steps: int

    def __call__(self, key, hypers, given, data, progress):
        """The hidden units of the smallest net without an error after some epoch; if none is, twice the largest's."""
        data = Data(*(first_bits(split, hypers.number) for split in data))

        def least_error(key_and_width):
            net = masked(key_and_width[1], SIZES[-1], self.depth, 2, RELU)
            ways = cross_entropy(net), hypers.rate, self.epochs, self.steps, data
            _, curve = descend(key_and_width[0], net, *ways, score=valid(misclassified(net)))
            return jnp.where(curve.diverged, 1.0, curve.score.min())

        widths = jnp.array(SIZES, jnp.float32)
        errors = jax.lax.map(least_error, (jax.random.split(key, len(SIZES)), widths))
        units = self.depth * jnp.where(errors == 0, widths, 2 * widths[-1]).min()
        return {}, Result(errors.mean(), {"parity": {"units": units, "log": jnp.log2(units), "errors": errors}})


@dataclass(frozen=True)
class MinMax:
    """The training of a net of minima and maxima on a formula, from all patterns of the bits."""

    groups: int
    pieces: int
    epochs: int
    steps: int

    def __call__(self, key, hypers, given, data, progress):
        """The training error at the end."""
        net, number = logical.min_max(self.groups, self.pieces), hypers.number.astype(jnp.int32)

        def labelled(split):
            return split._replace(y=jax.lax.switch(number, list(FORMULAS.values()), split.x > 0).astype(jnp.int32))

        data = Data(*map(labelled, data))
        params, curve = descend(key, net, cross_entropy(net), hypers.rate, self.epochs, self.steps, data)
        error = misclassified(net)(params, data.train).mean()
        return {}, Result(error, {"formula": {"error": error}}, diverged=curve.diverged)
