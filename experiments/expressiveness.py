"""What can wide and deep nets express? A function by width, parity by depth, AND and OR, and nets that are linear.

A net of one hidden layer is fitted to Franke's function, at several widths: by descent, and its output layer alone by
least squares. Nets of one to three hidden layers learn the parity of some bits from all of their patterns: how few
units are enough? Beside them are circuits of AND and OR. A net of minima and maxima learns AND and OR. What can be said
exactly is checked exactly.

    python -m experiments expressiveness                   # about a minute on two cores
    python -m experiments expressiveness --preset paper    # about 25 minutes on two cores

Lecture: CS/CNS/EE 155 16, "Recap: 2 Layer Neural Network" to "What Happens if No Transfer Function?", "Deep
Convolutional Networks".
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx.algorithms import gradient
from dlx.classify import classify, start
from dlx.data.generated import bit_patterns, first_bits, franke, franke_points, square
from dlx.losses.supervised import misclassified, squared_distance, squared_error
from dlx.nets import collapsed, logical, saw
from dlx.nets.layer import RELU
from dlx.nets.masked import masked
from dlx.show.map_figure import Map, maps
from dlx.stage import evaluate
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, datasets, figures, main
from dlx.train import fit, minibatches
from dlx.types import Data, Key, Rate

WIDTHS = (1, 4, 16, 64, 256, 1024)
"""Hidden units of the nets that are fitted to Franke's function by descent."""
LEAST_WIDTHS = (4, 16, 64, 256, 1024, 4096)
"""Hidden units of the nets whose output layer is fitted to it by least squares."""
PARITY_WIDTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Units a layer of the nets by which the rate is chosen that parity is learnt at."""
FINE_WIDTHS = (3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64)
"""Units a layer, among which the smallest net that learns parity is looked for."""
DECAY = 1e-10
"""The ridge of the least squares, as a share of the mean square of a hidden unit."""
FORMULAS = {"AND": logical.conjunction, "OR": logical.disjunction, "AND of the ORs of pairs": logical.pairs}
"""Formulas of truth values. Records name them by their places here."""
BATCH_SIZE = 32


class Hypers(NamedTuple):
    """A rate, and a number: units of a layer, bits, the place of a formula in `FORMULAS`, or the size of a check."""

    rate: float
    number: float


class Random(NamedTuple):
    """A hidden layer of random weights: its units, and how far from 0 its weights are at most."""

    number: float
    reach: float


def falling_adam(rate: Rate, updates: int) -> optax.GradientTransformation:
    """Adam at a rate that falls to 0 in a line."""
    return optax.adam(lambda count: rate * (1 - count / updates))


@dataclass(frozen=True)
class Approximate:
    """The fit of one hidden layer of tanh units to a function. Keeps its values at `picture`^2 points of the square."""

    epochs: int
    steps: int
    picture: int = 48
    largest: int = 256
    """The largest width that the program serves."""

    def __call__(self, key, hypers, given, data, progress):
        """The root of the mean squared error by split, and its logarithm; y has the variance 1."""
        net, (key_init, key_train) = masked(hypers.number, largest=self.largest), jax.random.split(key)
        optimizer = falling_adam(hypers.rate, self.epochs * self.steps)
        train = fit(
            gradient(squared_error(net), optimizer),
            minibatches(BATCH_SIZE, steps=self.steps),
            epochs=self.epochs,
            progress=progress("function", epochs=self.epochs, percent=False),
        )
        params, curve = train(key_train, start(key_init, net, data), data)
        _, measured = evaluate(square=squared_distance(net))(key, params, data)
        rms = {split: jnp.sqrt(getattr(measured, split)["square"]) for split in Data._fields}
        measures = {split: {"rms": value, "log": jnp.log2(value)} for split, value in rms.items()}
        values = net.apply(params, square(self.picture).reshape(-1, 2)).reshape(self.picture, self.picture)
        return {"picture": values}, Result(rms["valid"], measures, diverged=curve.diverged)


@dataclass(frozen=True)
class LeastSquares:
    """The fit of the output layer alone to a function, in float64: the hidden layer of tanh units stays random."""

    host = True

    def __call__(self, key, hypers, given, data, progress):
        """The root of the mean squared error by split, and its logarithm; y has the variance 1."""
        units, (key_w, key_b) = int(hypers.number), jax.random.split(key)
        drawn = partial(jax.random.uniform, minval=-hypers.reach, maxval=hypers.reach)
        w, b = (np.asarray(drawn(key, shape), float) for key, shape in ((key_w, (2, units)), (key_b, (units,))))

        def hidden(x):
            return np.column_stack([np.tanh(np.asarray(x, float) @ w + b), np.ones(len(x))])

        h = hidden(data.train.x)
        gram = h.T @ h
        ridge = DECAY * np.trace(gram) / len(gram) * np.eye(len(gram))
        output = np.linalg.solve(gram + ridge, h.T @ np.asarray(data.train.y, float))
        rms = {
            name: float(np.sqrt(np.mean((hidden(split.x) @ output - split.y) ** 2)))
            for name, split in data._asdict().items()
        }
        measures = {split: {"rms": value, "log": np.log2(value)} for split, value in rms.items()}
        return {}, Result(rms["valid"], measures)


@dataclass(frozen=True)
class Parity:
    """The training of nets of `depth` layers of rectified units on the parity of bits, a net of each size."""

    depth: int
    epochs: int
    steps: int

    def least_error(self, key, width, rate, data):
        """The least error after an epoch of a net of this width."""
        net = masked(width, largest=PARITY_WIDTHS[-1], depth=self.depth, outputs=2, units=RELU)
        key_init, key_train = jax.random.split(key)
        optimizer = falling_adam(rate, self.epochs * self.steps)
        train = classify(net, optimizer, epochs=self.epochs, batch_size=BATCH_SIZE, steps=self.steps)
        _, curve = train(key_train, start(key_init, net, data), data)
        return jnp.where(curve.diverged, 1.0, curve.score.min())

    def __call__(self, key, hypers, given, data, progress):
        """The hidden units of the smallest net without an error after some epoch; if none is, twice the largest's."""
        data = Data(*(first_bits(split, hypers.number) for split in data))

        def least_error(key_and_width):
            return self.least_error(*key_and_width, hypers.rate, data)

        widths = jnp.array(PARITY_WIDTHS, jnp.float32)
        errors = jax.lax.map(least_error, (jax.random.split(key, len(PARITY_WIDTHS)), widths))
        units = self.depth * jnp.where(errors == 0, widths, 2 * widths[-1]).min()
        return {}, Result(errors.mean(), {"parity": {"units": units, "log": jnp.log2(units), "errors": errors}})


@dataclass(frozen=True)
class Smallest(Parity):
    """The search of the smallest net that learns parity: wider and wider nets are trained, until one has no error."""

    def __call__(self, key, hypers, given, data, progress):
        """The hidden units of the smallest net without an error after some epoch; if none is, twice the largest's."""
        data = Data(*(first_bits(split, hypers.number) for split in data))
        widths, keys = jnp.array(FINE_WIDTHS, jnp.float32), jax.random.split(key, len(FINE_WIDTHS))

        def try_next(before, key_and_width):
            def train(key, width):
                return width, self.least_error(key, width, hypers.rate, data)

            _, error = before
            return jax.lax.cond(error > 0, train, lambda *_: before, *key_and_width), None

        (width, error), _ = jax.lax.scan(try_next, (widths[0], jnp.ones(())), (keys, widths))
        units = self.depth * jnp.where(error == 0, width, 2 * widths[-1])
        return {}, Result(error, {"parity": {"units": units, "log": jnp.log2(units)}})


@dataclass(frozen=True)
class MinMax:
    """The training of a net of minima and maxima on a formula, from all patterns of the bits."""

    groups: int
    pieces: int
    epochs: int
    steps: int

    def __call__(self, key, hypers, given, data, progress):
        """The training error at the end."""
        net = logical.min_max(self.groups, self.pieces)
        formula = hypers.number.astype(jnp.int32)

        def labelled(split):
            return split._replace(y=jax.lax.switch(formula, list(FORMULAS.values()), split.x > 0).astype(jnp.int32))

        data = Data(*map(labelled, data))
        key_init, key_train = jax.random.split(key)
        optimizer = falling_adam(hypers.rate, self.epochs * self.steps)
        train = classify(net, optimizer, epochs=self.epochs, batch_size=BATCH_SIZE, steps=self.steps, scored=False)
        params, curve = train(key_train, start(key_init, net, data), data)
        error = misclassified(net)(params, data.train).mean()
        return {}, Result(error, {"formula": {"error": error}}, diverged=curve.diverged)


class Check(NamedTuple):
    """Something that can be said exactly."""

    title: str
    gap: Callable[[Key, int], Any]
    """`gap(key, size)`: how far it is from what is said, at a size, such as the number of bits; 0 if it is so."""


CHECKS = {
    "gates": Check("AND as a minimum, OR as a maximum", lambda key, bits: logical.wrong_gates(bits)),
    "circuits": Check(
        "parity by AND and OR gates: depth two, and deep", lambda key, bits: logical.wrong_circuits(bits)
    ),
    "thresholds": Check("parity by n threshold units", lambda key, bits: logical.wrong_counts(bits)),
    "saw": Check("a saw of 2^n pieces by 2 n rectified units, or 2^n", lambda key, layers: saw.saw_gap(layers)),
    "layers": Check("linear layers as one", lambda key, size: collapsed.layers_gap(key, 4 * size)),
    "convolutions": Check("linear convolutions as one", lambda key, size: collapsed.kernels_gap(key, 2 * size)),
    "rectified": Check("rectified layers as one", lambda key, size: collapsed.layers_gap(key, 4 * size, RELU)),
}


@dataclass(frozen=True)
class ExactCheck:
    """What can be said exactly, checked by enumeration or at random weights."""

    check: str
    """A name in `CHECKS`."""
    host = True

    def __call__(self, key, hypers, given, data, progress):
        """How far it is from what is said; 0 if nothing but rounding is between them."""
        gap = CHECKS[self.check].gap(key, int(hypers.number))
        return {}, Result(0.0, {"exact": {"gap": np.float32(gap)}})


class Sizes(NamedTuple):
    """What the presets differ in."""

    points: int  # of Franke's function, for training
    other_points: int  # in each of the other splits
    fit_epochs: int  # of the fit to it
    fit_steps: int  # updates an epoch
    widest: int  # hidden units of the widest net that is fitted to it
    fit_rates: list[float]  # of the fit by descent
    bits: tuple[int, ...]  # whose parity is learnt; the patterns are those of the most bits
    epochs: int  # of what learns from patterns of bits
    steps: int  # updates an epoch
    check: int  # the size at which what can be said exactly is checked
    rates: list[float]  # of what learns from patterns of bits
    search_seeds: int


SIZES = {
    "quick": Sizes(
        points=600,
        other_points=300,
        fit_epochs=20,
        fit_steps=50,
        widest=256,
        fit_rates=[0.01, 0.03],
        bits=(4, 6),
        epochs=10,
        steps=50,
        check=6,
        rates=[0.01, 0.03],
        search_seeds=1,
    ),
    "paper": Sizes(
        points=5000,
        other_points=2000,
        fit_epochs=200,
        fit_steps=500,
        widest=4096,
        fit_rates=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
        bits=(4, 6, 8, 10),
        epochs=20,
        steps=500,
        check=8,
        rates=[0.001, 0.003, 0.01, 0.03, 0.1],
        search_seeds=2,
    ),
}
DEPTHS = {1: "One hidden layer", 2: "Two hidden layers", 3: "Three hidden layers"}
WIDTH, LEAST = "Trained by descent", "Output layer by least squares"
REACHES = [1.0, 3.0, 10.0, 30.0]
"""For the rows with a random hidden layer to choose from."""


def rows(options, about):
    """Widths, parity by depth and bits, formulas, and what is exact. Rows that are compared have the same trials."""
    sizes = SIZES[options.preset]

    def unit(seed, rate=0.0, *, program, number, data="patterns"):
        return Unit(program, Hypers(rate, number), seed=seed, data=data)

    def least_squares(seed, number, reach):
        return Unit(LeastSquares(), Random(number, reach), seed=seed)

    def parity(depth, bits):
        """The row of the smallest net, after the one that chooses its rate by the mean error over a few widths."""
        name, shape = f"parity{depth}/{bits}", (depth, sizes.epochs, sizes.steps)
        title, tried = f"{bits} bits", partial(unit, program=Parity(*shape), number=bits)
        search = row(f"rates/{name}", f"{title}, {DEPTHS[depth].lower()}", tried, group="Rates of parity", seeds=1)
        smallest = partial(unit, program=Smallest(*shape), number=bits)
        final = Row(name, title, smallest, lambda chosen: [chosen[search.name]], after=(search.name,))
        return [search, replace(final, group=DEPTHS[depth], at={"bits": bits})]

    row = partial(Row, space=[{"rate": sizes.rates}], search_seeds=sizes.search_seeds)
    function = Approximate(sizes.fit_epochs, sizes.fit_steps)
    min_max = MinMax(groups=8, pieces=8, epochs=sizes.epochs, steps=sizes.steps)
    return [
        *(
            Row(
                f"width/{width}",
                f"{width} hidden units",
                partial(unit, program=replace(function, largest=max(256, width)), number=width, data="main"),
                [{"rate": sizes.fit_rates}],
                search_seeds=sizes.search_seeds,
                group=WIDTH,
                keep=1,
                at={"hidden units": width},
            )
            for width in WIDTHS
            if width <= sizes.widest
        ),
        *(
            Row(
                f"least/{width}",
                f"{width} hidden units",
                partial(least_squares, number=width),
                [{"reach": REACHES}],
                group=LEAST,
                at={"hidden units": width},
            )
            for width in LEAST_WIDTHS
            if width <= sizes.widest
        ),
        *(one for depth in DEPTHS for bits in sizes.bits for one in parity(depth, bits)),
        *(
            row(f"formula/{place}", formula, partial(unit, program=min_max, number=place), group="Formulas")
            for place, formula in enumerate(FORMULAS)
        ),
        *(
            Row(
                f"exact/{name}", check.title, partial(unit, program=ExactCheck(name), number=sizes.check), group="Exact"
            )
            for name, check in CHECKS.items()
        ),
    ]


RMS = Metric("test/rms", "rms error, % of the spread", 100)
LOG_RMS = Metric("test/log", "log2 of the rms error")
UNITS = Metric("parity/units", "fewest units")
LOG_UNITS = Metric("parity/log", "log2 of the fewest units")
WRONG = Metric("formula/error", "error %", 100, " %")
GAP = Metric("exact/gap", "gap, millionths", 1e6)
LOG_ROOT_2 = 0.5
TENTH = 1e5  # in millionths
at_most, higher, lower = claims.at_most, claims.higher, claims.lower


def by_bits(decide):
    """The decider that `decide(fewest, most)` makes of the fewest and the most bits whose parity is learnt.

    Without such rows these are the bits of the quick preset, so that the claim is left out.
    """

    def decider(found):
        bits = [row.at["bits"] for row in found.rows.values() if "bits" in row.at] or SIZES["quick"].bits
        return decide(min(bits), max(bits))(found)

    return decider


CLAIMS = [
    Claim(
        "With the output layer by least squares, the error goes on falling beyond 256 hidden units: 4 096 err less.",
        lower(LOG_RMS, "least/4096", than="least/256"),
        ("B4",),
        figure="width.png",
        answers=True,
    ),
    Claim(
        "So fitted, 4 096 units err by at most 1 % of the function's spread.",
        at_most(RMS, "least/4096", 1),
        ("B4",),
        figure="width.png",
    ),
    Claim(
        "Trained by descent, nets of 1 024 units err less than nets of 256.",
        lower(LOG_RMS, "width/1024", than="width/256"),
        ("B4",),
        figure="width.png",
    ),
    Claim(
        "Trained by descent, a hidden layer four times as wide errs less, at every width.",
        claims.all_of(*(lower(RMS, f"width/{4 * width}", than=f"width/{width}") for width in WIDTHS[:-1])),
        figure="width.png",
    ),
    Claim(
        "From 16 to 256 trained units the error falls to a quarter or less, as Barron's bound 1 / sqrt(units) does.",
        lower(LOG_RMS, "width/256", than="width/16", least=2),
        figure="width.png",
    ),
    Claim(
        "An OR of ANDs for the parity of n bits needs 2^(n-1) + 1 gates; a deep circuit does it with 3 (n - 1).",
        claims.exact(GAP, "exact/circuits", 0),
        ("B5",),
        figure="parity.png",
        answers=True,
    ),
    Claim(
        "A saw of 2^n pieces takes 2 n rectified units in n layers; one layer has a unit for each piece.",
        claims.exact(GAP, "exact/saw", 0),
        ("B5",),
    ),
    Claim(
        "Parity does not need many threshold units: n in one hidden layer.",
        claims.exact(GAP, "exact/thresholds", 0),
        figure="parity.png",
    ),
    Claim(
        "Of trained nets of one hidden layer, the smallest that learns parity grows by more than sqrt(2) a bit.",
        by_bits(
            lambda fewest, most: higher(
                LOG_UNITS, f"parity1/{most}", than=f"parity1/{fewest}", least=(most - fewest) * LOG_ROOT_2
            )
        ),
        figure="parity.png",
    ),
    Claim(
        "At the most bits, nets of two and of three hidden layers learn parity with fewer units than nets of one.",
        by_bits(lambda fewest, most: lower(LOG_UNITS, [f"parity2/{most}", f"parity3/{most}"], than=f"parity1/{most}")),
        figure="parity.png",
    ),
    Claim("On truth values the minimum is AND, and the maximum is OR.", claims.exact(GAP, "exact/gates", 0), ("B6",)),
    Claim(
        "A net of minima and maxima learns AND, OR, and an AND of ORs, without an error.",
        claims.exact(WRONG, ["formula/0", "formula/1", "formula/2"], 0),
        ("B6",),
    ),
    Claim("Linear layers are one linear layer, to a millionth.", claims.exact(GAP, "exact/layers", 1), ("B7",)),
    Claim(
        "Linear convolutions are one convolution, to a millionth.", claims.exact(GAP, "exact/convolutions", 1), ("B8",)
    ),
    Claim(
        "Rectified layers are not: the best linear map leaves more than a tenth.",
        higher(GAP, "exact/rectified", than="exact/layers", least=TENTH),
        ("B7",),
        answers=True,
    ),
]


def pictures(found):
    """Franke's function, and what nets of the first seed make of it."""
    nets = {f"{n} units": found[f"width/{n}"].kept(1)["picture"] for n in WIDTHS if f"width/{n}" in found}
    true = franke(np.asarray(square(Approximate.picture), float))
    images = {"Franke's function": (true - true.mean()) / true.std(), **nets}
    return maps({name: Map(image, (-1.0, 1.0, -1.0, 1.0), "x", "y", scale="value") for name, image in images.items()})


GATES = {
    "gates, OR of ANDs": lambda bits: 2 ** (bits - 1) + 1,
    "gates, deep circuit": lambda bits: 3 * (bits - 1),
}
FIGURES = {
    "width.png": Figure(
        figures.lines(RMS, x="hidden units"),
        "Error on test points by width: the mean over seeds, in a band from best to worst.",
    ),
    "parity.png": Figure(
        figures.lines(UNITS, x="bits", log_x=False, beside=GATES),
        "Hidden units of the smallest net that learns parity, beside the gates of circuits (dashed).",
    ),
    "pictures.png": Figure(pictures, "The function, and what nets of the first seed make of it."),
    "search.png": Figure(
        figures.search("validation rms error", group=WIDTH),
        "Root of the mean squared error on validation points at each rate.",
    ),
    "reach.png": Figure(
        figures.search("validation rms error", group=LEAST),
        "The same with the output layer by least squares, by how far the random weights are from 0 at most.",
    ),
}
STUDY = Study(
    doc=__doc__,
    data={
        "main": datasets.generated(
            **{name: partial(franke_points, sizes.points, sizes.other_points) for name, sizes in SIZES.items()}
        ),
        "patterns": datasets.generated(
            **{name: partial(bit_patterns, max(sizes.bits)) for name, sizes in SIZES.items()}
        ),
    },
    rows=rows,
    metrics=[RMS, UNITS, WRONG, GAP],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
