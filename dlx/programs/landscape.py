"""The shape of losses: where descent ends on one of two weights, and what lies between two nets that learnt digits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dlx.algorithms import gradient
from dlx.inspect.slices import barrier, line, plane, random_neighbour
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import check_name
from dlx.nets.matching import match, reorder
from dlx.nets.mlp import mlp, widths_of
from dlx.optim import sgd
from dlx.programs.layers import merge
from dlx.stage import chain, evaluate
from dlx.train import fit, generated, minibatches, take, valid
from dlx.types import Data
from dlx.unit import Result

SIDE = 4.0
"""Half the side of the square of starts."""
LINE = tuple(i / 24 for i in range(25))
"""The places on a line between two nets."""


class Small(NamedTuple):
    """A net with two weights w, of one input x, and what it is to learn."""

    title: str
    output: Callable[[Array, Array], Array]
    """Of w [2] and x [n]."""
    target: Callable[[Array], Array]
    largest: float
    """Inputs are uniform between this and the same below 0."""
    rate: float
    """One with which the descent is stable on the square of starts."""
    towards: tuple[tuple[float, float], ...]
    """A start close to each minimum."""


SMALL = {
    "product": Small(
        "u v x learns x", lambda w, x: w[0] * w[1] * x, lambda x: x, 1.0, 0.05, ((1.0, 1.0), (-1.0, -1.0))
    ),
    "step": Small(
        "tanh(u x + 2 v) learns 1 between -2 and 2.3, else -1",
        lambda w, x: jnp.tanh(w[0] * x + 2 * w[1]),
        lambda x: jnp.where((x > -2) & (x < 2.3), 1.0, -1.0),
        3.0,
        0.2,
        ((2.0, 2.0), (-2.0, 2.0)),
    ),
}


@dataclass(frozen=True)
class Grid:
    """Stochastic descent of a net with two weights, from each point of a grid. Keeps the loss and the end of each."""

    net: str
    """A name in `SMALL`."""
    points: int
    steps: int
    batch_size: int = 4

    def __post_init__(self):
        """Raise ValueError for a net that there is not."""
        check_name(self.net, SMALL)

    def __call__(self, key, hypers, given, data, progress):
        """Shares of the starts that end at the worse minimum, and at the nearer one; how far above it they end."""
        net = SMALL[self.net]
        most = net.largest

        def loss(w, key, x):
            return jnp.square(net.output(w, x) - net.target(x)).mean(), {}

        def draw(key):
            return jax.random.uniform(key, (self.batch_size,), minval=-most, maxval=most)

        def whole(w):
            return loss(w, key, jnp.linspace(-most, most, 501))[0]

        def settle(w):
            return jax.lax.fori_loop(0, 2000, lambda _, w: w - 0.1 * jax.grad(whole)(w), w)

        train = fit(gradient(loss, sgd(hypers.rate)), generated(draw, self.steps), epochs=1)
        minima = jax.vmap(settle)(jnp.array(net.towards))
        side = jnp.linspace(-SIDE, SIDE, self.points)
        starts = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2)
        keys = jax.random.split(key, len(starts))
        ends, curves = jax.vmap(train, (0, 0, None))(keys, starts, data)
        near, there = (jnp.square(w[:, None] - minima).sum(-1).argmin(1) for w in (starts, ends))
        depths = jax.vmap(whole)(minima)
        shares = {
            "worse": (depths[there] > depths.min() + 0.01).mean(),
            "nearest": (near == there).mean(),
            "above": (jax.vmap(whole)(ends) - depths[there]).mean(),
        }
        images = {"loss": jax.vmap(whole)(starts), "end": there.astype(jnp.float32)}
        kept = {name: image.reshape(self.points, self.points) for name, image in images.items()}
        return kept, Result(0.0, {"starts": shares}, diverged=curves.diverged.any())


class Way(NamedTuple):
    """How a net is trained: its rate, and which of several orders its minibatches have."""

    rate: float
    order: float = 0.0


@dataclass(frozen=True)
class Solution:
    """The training of all layers by plain descent, from given layers or from fresh ones. Keeps the net."""

    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """The parameters of the last epoch."""
        net = mlp(self.widths, self.classes)
        key_init, key_train = jax.random.split(key)
        train = fit(
            gradient(cross_entropy(net), sgd(hypers.rate)),
            minibatches(self.batch_size),
            epochs=self.epochs,
            score=valid(misclassified(net)),
            progress=progress("fine-tuning" if given else "training", epochs=self.epochs),
        )
        start = {**net.init(key_init, data.train.x[0]), **merge(given)}
        key_train = jax.random.fold_in(key_train, hypers.order.astype(jnp.int32))
        params, (curve, errors) = chain(train, evaluate(error=misclassified(net)))(key_train, start, data)
        return params, Result.of(curve, errors)


class Matched(NamedTuple):
    """Whether the second net gets the order of the first one's units."""

    matched: float


@dataclass(frozen=True)
class Between:
    """The line from one net to another, on the first training examples. Keeps the loss on two planes through the first.

    One plane goes through the second net, as it is and with its units in order. The other one has random directions.
    Planes take 500 examples at most.
    """

    examples: int
    points: int

    def __call__(self, key, hypers, given, data, progress):
        """The loss and the error on the line, and by how much they rise above the chord."""
        first, second = given
        net = mlp(*widths_of(first))
        batch = take(data.train, jnp.arange(self.examples))
        values = {
            "loss": lambda params: cross_entropy(net)(params, key, batch)[0],
            "error": lambda params: misclassified(net)(params, batch).mean(),
        }
        ordered = match(second, first, batch.x)
        end = jax.tree.map(lambda a, b: jnp.where(hypers.matched > 0, a, b), ordered, second)
        places, wide = jnp.array(LINE), jnp.linspace(-0.5, 1.5, self.points)
        lines = {name: line(value, first, end, places) for name, value in values.items()}
        ends = [evaluate(error=misclassified(net))(key, params, data)[1] for params in (first, end)]
        means = {
            split: {"error": jnp.mean(jnp.array([getattr(one, split)["error"] for one in ends]))}
            for split in Data._fields
        }
        measures = means | {"barrier": {name: barrier(values, places) for name, values in lines.items()}}
        near = [random_neighbour(one, first) for one in jax.random.split(key)]
        seen = take(data.train, jnp.arange(min(500, self.examples)))
        corners = {"through": (second, ordered), "random": near}
        kept = {
            name: plane(lambda params: cross_entropy(net)(params, key, seen)[0], first, *pair, wide)
            for name, pair in corners.items()
        }
        return kept, Result(means["valid"]["error"], measures, {"line": lines})


@dataclass(frozen=True)
class Identities:
    """What must hold to rounding: the Hessian of z = xy, and what a net computes with its units in another order."""

    widths: tuple[int, ...]

    def __call__(self, key, hypers, given, data, progress):
        """How far the eigenvalues at random points are from -1 and 1, and how far the outputs are from each other."""
        key_points, key_init, *keys = jax.random.split(key, 2 + len(self.widths))
        hessians = jax.vmap(jax.hessian(jnp.prod))(jax.random.normal(key_points, (100, 2)))
        net, x = mlp(self.widths), data.train.x[:100]
        params = net.init(key_init, x[0])
        orders = [jax.random.permutation(one, n) for one, n in zip(keys, self.widths, strict=True)]
        gaps = {
            "hessian": jnp.linalg.eigvalsh(hessians) - jnp.array([-1.0, 1.0]),
            "order": net.apply(params, x) - net.apply(reorder(params, orders), x),
        }
        return {}, Result(0.0, {"exact": {name: jnp.abs(gap).max() for name, gap in gaps.items()}})
