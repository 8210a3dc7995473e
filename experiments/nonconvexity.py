"""Is the loss of a net convex, and where does gradient descent end if it is not?

Two losses with two weights are small enough to be seen whole: stochastic descent starts from every point of a grid.
Then two nets learn digits, and their loss is followed on the straight line from one to the other: does it rise? Does
it rise less once the hidden units of one have the order of the other's, or if both nets start alike, or pre-trained?

    python -m experiments nonconvexity                   # 8 x 8 digits: about a minute on two cores
    python -m experiments nonconvexity --preset paper    # MNIST: about 15 minutes on two cores

Lecture: CMU 10-601B 16, "Problem A: Nonconvexity".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dlx import study
from dlx.algorithms import gradient
from dlx.classify import classify, errors, start
from dlx.inspect.slices import barrier, line, plane, random_neighbour
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import check_name
from dlx.nets.matching import match, reorder
from dlx.nets.mlp import mlp, widths_of
from dlx.optim import sgd
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.show.map_figure import Map, maps
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.train import first, fit, generated
from dlx.types import Data

SIDE = 4.0
"""Half the side of the square of starts."""
LEAST = 0.01
"""The least loss of the small nets that is drawn, on a logarithmic scale."""
NATS = "training loss, nats"
LINE = tuple(i / 24 for i in range(25))
"""The places on a line between two nets."""


class Small(NamedTuple):
    """A net with two weights w, of one input x, and what it is to learn."""

    title: str
    output: Callable[[Array, Array], Array]  # of w [2] and x [n]
    target: Callable[[Array], Array]
    largest: float  # inputs are uniform on [-largest, largest]
    rate: float  # one with which the descent is stable on the square of starts
    towards: tuple[tuple[float, float], ...]  # a start close to each minimum


SMALL = {
    "product": Small(
        title="u v x learns x",
        output=lambda w, x: w[0] * w[1] * x,
        target=lambda x: x,
        largest=1.0,
        rate=0.05,
        towards=((1.0, 1.0), (-1.0, -1.0)),
    ),
    "step": Small(
        title="tanh(u x + 2 v) learns 1 between -2 and 2.3, else -1",
        output=lambda w, x: jnp.tanh(w[0] * x + 2 * w[1]),
        target=lambda x: jnp.where((x > -2) & (x < 2.3), 1.0, -1.0),
        largest=3.0,
        rate=0.2,
        towards=((2.0, 2.0), (-2.0, 2.0)),
    ),
}


def loss_on(net, w, x):
    """The mean squared error of a net in `SMALL` with weights w on inputs x."""
    return jnp.square(net.output(w, x) - net.target(x)).mean()


def loss_on_all(net, w):
    """The same on inputs from one end to the other."""
    return loss_on(net, w, jnp.linspace(-net.largest, net.largest, 501))


def minima_of(net):
    """The minima [2, 2] that descent of the loss on all inputs reaches from two starts."""

    def settle(w):
        return jax.lax.fori_loop(0, 2000, lambda _, w: w - 0.1 * jax.grad(partial(loss_on_all, net))(w), w)

    return jax.vmap(settle)(jnp.array(net.towards))


@dataclass(frozen=True)
class Grid:
    """Stochastic descent of a net with two weights, from each point of a grid. Keeps the loss and the end of each."""

    net: str
    """A name in `SMALL`."""
    points: int
    """On a side of the grid."""
    steps: int
    batch_size: int = 4

    def __post_init__(self):
        """Raise ValueError for an unknown net."""
        check_name(self.net, SMALL)

    def __call__(self, key, hypers, given, data, progress):
        """Shares of the starts that end at the worse minimum, and at the nearer one; how far above it they end."""
        net = SMALL[self.net]
        whole_loss = partial(loss_on_all, net)

        def loss(w, key, x):  # of the form of a `Loss`, without metrics
            return loss_on(net, w, x), {}

        def draw(key):
            return jax.random.uniform(key, (self.batch_size,), minval=-net.largest, maxval=net.largest)

        train = fit(gradient(loss, sgd(hypers.rate)), generated(draw, self.steps), epochs=1)
        minima = minima_of(net)

        def nearest(w):
            """The index of the minimum that is nearest to each w."""
            return jnp.square(w[:, None] - minima).sum(-1).argmin(1)

        side = jnp.linspace(-SIDE, SIDE, self.points)
        starts = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2)  # u across, v up
        keys = jax.random.split(key, len(starts))
        ends, curves = jax.vmap(train, (0, 0, None))(keys, starts, data)
        nearest_to_start, reached = nearest(starts), nearest(ends)
        loss_at_minimum = jax.vmap(whole_loss)(minima)
        shares = {
            "worse": (loss_at_minimum[reached] > loss_at_minimum.min() + 0.01).mean(),  # .01 is for rounding
            "nearest": (nearest_to_start == reached).mean(),
            "above": (jax.vmap(whole_loss)(ends) - loss_at_minimum[reached]).mean(),
        }
        images = {"loss": jax.vmap(whole_loss)(starts), "end": reached.astype(jnp.float32)}
        kept = {name: image.reshape(self.points, self.points) for name, image in images.items()}
        return kept, Result(score=0.0, measures={"starts": shares}, diverged=curves.diverged.any())


class Way(NamedTuple):
    """How a net is trained: its rate, and which of several orders its minibatches have."""

    rate: float
    order: float = 0.0  # it goes into the key of the minibatches


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
        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            progress=progress("fine-tuning" if given else "training", epochs=self.epochs),
        )
        fresh = start(key_init, net, data, given)
        key_train = jax.random.fold_in(key_train, hypers.order.astype(jnp.int32))
        params, (curve, measured) = chain(train, errors(net))(key_train, fresh, data)
        return params, Result.of(curve, measured)


class Matched(NamedTuple):
    """1 if the hidden units of the second net are put into the order of the first's, else 0."""

    matched: float


@dataclass(frozen=True)
class Between:
    """The loss on the straight line between two nets, on the first training examples.

    Keeps the loss on two planes through the first net: one with the second net, as it is and with its units in order,
    and one in two random directions. Planes take 500 examples at most.
    """

    examples: int
    points: int
    """On a side of a plane."""

    def __call__(self, key, hypers, given, data, progress):
        """The loss and the error on the line, and by how much they rise above the chord."""
        first_net, second_net = given
        net = mlp(*widths_of(first_net))
        on_line = first(data.train, self.examples)

        def loss(params, batch):
            return cross_entropy(net)(params, key, batch)[0]

        values = {
            "loss": lambda params: loss(params, on_line),
            "error": lambda params: misclassified(net)(params, on_line).mean(),
        }
        ordered = match(second_net, first_net, on_line.x)  # the second net, its units in the order of the first's
        end = jax.tree.map(lambda a, b: jnp.where(hypers.matched > 0, a, b), ordered, second_net)
        places, across = jnp.array(LINE), jnp.linspace(-0.5, 1.5, self.points)
        lines = {name: line(value, first_net, end, places) for name, value in values.items()}
        measured = [errors(net)(key, params, data)[1] for params in (first_net, end)]

        def mean_error(split):
            return jnp.mean(jnp.array([getattr(one, split)["error"] for one in measured]))

        means = {split: {"error": mean_error(split)} for split in Data._fields}
        measures = means | {"barrier": {name: barrier(along, places) for name, along in lines.items()}}
        neighbours = [random_neighbour(key_axis, first_net) for key_axis in jax.random.split(key)]  # one an axis
        on_planes = first(data.train, min(500, self.examples))
        kept = {
            name: plane(lambda params: loss(params, on_planes), first_net, right, above, across)
            for name, (right, above) in {"through": (second_net, ordered), "random": neighbours}.items()
        }
        return kept, Result(score=means["valid"]["error"], measures=measures, curves={"line": lines})


@dataclass(frozen=True)
class Identities:
    """What holds but for rounding: the Hessian of z = xy, and what a net computes with its units in another order."""

    widths: tuple[int, ...]

    def __call__(self, key, hypers, given, data, progress):
        """How far the eigenvalues at random points are from -1 and 1, and how far the outputs are from each other."""
        key_points, key_init, *keys_order = jax.random.split(key, 2 + len(self.widths))
        hessians = jax.vmap(jax.hessian(jnp.prod))(jax.random.normal(key_points, (100, 2)))  # of x y
        net, x = mlp(self.widths), first(data.train, 100).x
        params = net.init(key_init, x[0])
        orders = [jax.random.permutation(one, width) for one, width in zip(keys_order, self.widths, strict=True)]
        gaps = {
            "hessian": jnp.linalg.eigvalsh(hessians) - jnp.array([-1.0, 1.0]),
            "order": net.apply(params, x) - net.apply(reorder(params, orders), x),
        }
        return {}, Result(score=0.0, measures={"exact": {name: jnp.abs(gap).max() for name, gap in gaps.items()}})


class Pair(NamedTuple):
    """Two nets: do they start alike, and does the other one get the order of the one's units?"""

    title: str
    one_start: bool
    in_order: bool


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    batch_size: int
    grid: int  # points on a side of the grid of starts
    steps: int  # of the descent from each start
    plane: int  # points on a side of a plane
    examples: int  # training digits that the loss on a line is of


SIZES = {
    "quick": Sizes(widths=(32, 32), batch_size=20, grid=25, steps=1000, plane=13, examples=500),
    "paper": Sizes(widths=(100, 100), batch_size=100, grid=61, steps=3000, plane=21, examples=2000),
}
STARTS = {"none": "No pre-training", "rbm": "RBM pre-training"}
PAIRS = {
    "apart": Pair("two starts", one_start=False, in_order=False),
    "ordered": Pair("two starts, units in order", one_start=False, in_order=True),
    "shared": Pair("one start, two orders of examples", one_start=True, in_order=False),
}
ELSEWHERE = 1000
"""What is added to a seed for a net that starts elsewhere."""


def rows(options, about):
    """The two small nets; pairs of nets with and without pre-training, all at one rate; what is exact."""
    sizes = SIZES[options.preset]
    few_seeds = min(5, options.fresh_seeds())

    def descent(name, seed):
        return Unit(Grid(name, sizes.grid, sizes.steps), Rate(SMALL[name].rate), seed=seed)

    def solution(pretraining, seed, rate, order=0.0):
        """A net that learns digits."""
        layer = partial(Layer, "dbn", epochs=10, initializer="glorot", batch_size=sizes.batch_size)
        layers = greedy_layers(layer, sizes.widths, LayerHypers(rate=0.1), seed) if pretraining == "rbm" else ()
        program = Solution(sizes.widths, epochs=30, batch_size=sizes.batch_size)
        return Unit(program, Way(rate, order), layers, seed)

    def between(pretraining, pair, seed, rate):
        """The line from one such net to the other."""
        one = solution(pretraining, seed, rate)
        if pair.one_start:
            other = solution(pretraining, seed, rate, order=1.0)
        else:
            other = solution(pretraining, seed + ELSEWHERE, rate)
        return Unit(Between(sizes.examples, sizes.plane), Matched(float(pair.in_order)), (one, other), seed)

    def pair_row(pretraining, name, **space):
        pair = PAIRS[name]
        return Row(
            f"{pretraining}/{name}",
            pair.title,
            partial(between, pretraining, pair),
            group=STARTS[pretraining],
            keep=int(pair.in_order),  # one plane shows both orders
            **space,
        )

    return [
        *(
            Row(f"grid/{name}", net.title, partial(descent, name), group="Two weights", seeds=few_seeds, keep=1)
            for name, net in SMALL.items()
        ),
        pair_row("none", "apart", space=[{"rate": [0.3, 1.0, 3.0]}]),
        *(
            pair_row(pretraining, name, space=lambda chosen: [chosen["none/apart"]], after=("none/apart",))
            for pretraining in STARTS
            for name in PAIRS
            if (pretraining, name) != ("none", "apart")
        ),
        Row(
            "exact",
            "identities",
            lambda seed: Unit(Identities(sizes.widths), seed=seed),
            group="Exact",
            seeds=few_seeds,
        ),
    ]


WORSE = Metric("starts/worse", "end at the worse place %", 100, " %", bounds=(0, 100))
NEAREST = Metric("starts/nearest", "end at the nearer place %", 100, " %", bounds=(0, 100))
ABOVE = Metric("starts/above", "loss above that place's")
LOSS = Metric("barrier/loss", "barrier, nats")
POINTS = Metric("barrier/error", "barrier, points", 100, " points")
HESSIAN = Metric("exact/hessian", "Hessian's gap, millionths", 1e6)
ORDER = Metric("exact/order", "outputs' gap, millionths", 1e6)
lower = claims.lower
CLAIMS = [
    Claim(
        "z = xy is not convex: its Hessian has the eigenvalues -1 and 1 everywhere.",
        claims.exact(HESSIAN, "exact", 1),
        ("A4",),
        figure="small.png",
    ),
    Claim(
        "A net computes the same with its hidden units in another order: its minima come in many copies.",
        claims.exact(ORDER, "exact", 10),
    ),
    Claim(
        "From a tenth of the starts or more, descent ends at the worse of the two minima of a net with a step.",
        claims.at_least(WORSE, "grid/step", 10),
        ("A4",),
        figure="small.png",
    ),
    Claim(
        "At least nine starts of ten lead to the minimum that is nearer.",
        claims.at_least(NEAREST, ["grid/product", "grid/step"], 90),
        ("A4",),
        figure="small.png",
        answers=True,
    ),
    Claim(
        "Between two nets that learnt digits the loss rises by .1 nats or more above the chord.",
        claims.at_least(LOSS, ["none/apart", "rbm/apart"], 0.1),
        ("A4",),
        figure="line.png",
        answers=True,
    ),
    Claim(
        "It rises less if the hidden units of one net are put into the order of the other's.",
        claims.all_of(lower(LOSS, "none/ordered", than="none/apart"), lower(LOSS, "rbm/ordered", than="rbm/apart")),
        figure="line.png",
    ),
    Claim(
        "It rises less between two nets that had one start.",
        claims.all_of(lower(LOSS, "none/shared", than="none/ordered"), lower(LOSS, "rbm/shared", than="rbm/ordered")),
        figure="line.png",
    ),
    Claim(
        "It still rises between them, by .01 nats or more.",
        claims.at_least(LOSS, "none/shared", 0.01),
        figure="line-1.png",
    ),
    Claim(
        "Pre-training lowers it, between two starts with units in order and from one start.",
        claims.all_of(lower(LOSS, "rbm/ordered", than="none/ordered"), lower(LOSS, "rbm/shared", than="none/shared")),
        figure="line.png",
    ),
    Claim(
        "From one pre-trained start the error rises by at most half a point.",
        claims.at_most(POINTS, "rbm/shared", 0.5),
        figure="line-2.png",
    ),
]


def small(found):
    """The loss of each small net, and at which of two minima a start of the first seed ends."""
    images, extent = {}, (-SIDE, SIDE, -SIDE, SIDE)
    scales = {name: f"loss of the {name}" for name in SMALL}
    for name, net in SMALL.items():
        if f"grid/{name}" in found:
            kept = found[f"grid/{name}"].kept(1)
            minima = dict(zip(("first minimum", "second minimum"), np.asarray(minima_of(net))[:, None], strict=True))
            loss = np.maximum(kept["loss"], LEAST)
            images[f"{name}: loss"] = Map(loss, extent, "u", "v", minima, scales[name])
            images[f"{name}: where starts end"] = Map(kept["end"], extent, "u", "v", minima)
    return maps(images, logs=tuple(scales.values())) if images else None


def planes(found):
    """The loss on two planes through a net of the first seed."""
    images, extent = {}, (-0.5, 1.5, -0.5, 1.5)
    nets = {"first net": (0, 0), "second net": (1, 0), "second net, units in order": (0, 1)}
    points = {name: np.array([place]) for name, place in nets.items()}
    for pretraining, title in STARTS.items():
        if f"{pretraining}/ordered" in found:
            kept = found[f"{pretraining}/ordered"].kept(1)
            ways = ("to the second net", "to it, units in order"), ("random direction", "another one")
            images[f"{title}: two solutions"] = Map(kept["through"], extent, *ways[0], points, NATS)
            around = {"first net": points["first net"]}
            images[f"{title}: random directions"] = Map(kept["random"], extent, *ways[1], around, NATS)
    return maps(images, logs=(NATS,)) if images else None


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[WORSE, NEAREST, ABOVE, LOSS, POINTS, *ERRORS, HESSIAN, ORDER],
    claims=CLAIMS,
    figures={
        "line.png": Figure(
            figures.profiles(
                "line/loss",
                NATS,
                "way from one net to the other",
                tuple(STARTS.values()),
                places=LINE,
                log_x=False,
            ),
            "Training loss on the straight line between two nets: the mean over seeds, from best to worst.",
        ),
        "small.png": Figure(
            small,
            f"Left: the loss by two weights u and v, as {LEAST} where it is less. Right: at which of two minima "
            "descent from each start ends.",
        ),
        "planes.png": Figure(
            planes,
            "The loss on planes. Left: through the first net, the second one, and the second one with its units in "
            "order. Right: through the first net in random directions, each as long as its weights.",
        ),
        "search.png": Figure(
            figures.search("validation error %", 100), "Mean validation error of the two nets at each rate."
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
