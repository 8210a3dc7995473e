"""Why were deep nets hard to train, and what makes them trainable: gradients layer by layer.

Nets of 1 to 20 layers of sigmoid, tanh, rectified linear and leaky units are looked into at the start and after
training. What helps: a start that keeps the variance, rectifiers, greedy pre-training, a limit on the norm of the
gradient, skip connections, gates. All descend plainly, each row at the best of its rates.

    python -m experiments depth                   # 8 x 8 digits: about a minute on two cores
    python -m experiments depth --preset paper    # MNIST: about 35 minutes on two cores

Lecture: CMU 10-601B 16, "Problem B: Vanishing Gradients"; CS/CNS/EE 155 16, "Gradient Clamping"; on feed-forward nets,
"Initialization"; Alpaydin 12, "Rectified Linear Unit (ReLU)", "Skip Connections"; CS7015 9, "A quick recap".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx import study
from dlx.classify import classify, errors, merge
from dlx.inspect.layers import by_layer, decades_apart, decades_lost, gap_to_inputs, largest_step, logarithm
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.deep import BLOCKS, activations, deep, plain
from dlx.nets.layer import INITIALIZERS, UNITS, as_float, check_name, number_of, switch_initializers, switch_units
from dlx.optim import clipped, sgd
from dlx.programs import Rate, Stack
from dlx.show.line_figure import lines as draw
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.declare.finding import Bound
from dlx.train import first, valid


class NetHypers(NamedTuple):
    """How a deep net starts, and how it is trained.

    `units` and `start` are indices into `UNITS` and `INITIALIZERS`, so that one compiled program serves all rows.
    """

    units: float
    start: float
    rate: float = 0.0
    limit: float = 1e30  # a gradient that is longer is scaled down to it
    scale: float = 1.0  # of the weights at the start
    bias: float = 0.0  # of the first hidden layer at the start


def net_hypers(units: str, start: str, **others: float) -> NetHypers:
    """Hyper-parameters from the names of units and start."""
    return NetHypers(number_of(units, UNITS), number_of(start, INITIALIZERS), **others)


@dataclass(frozen=True)
class Deep:
    """The training of a net of `depth` hidden layers of one width by plain descent, from given layers or fresh ones.

    It measures all hidden layers before and after, on the first `looked_at` training examples. With `epochs=0` nothing
    is trained.
    """

    kind: str
    """A name in `dlx.nets.deep.BLOCKS`."""
    depth: int
    width: int
    epochs: int
    batch_size: int
    looked_at: int = 1000
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown kind, or a net of so few layers that they cannot be compared."""
        check_name(self.kind, BLOCKS)
        if not self.epochs and self.depth < 3:
            raise ValueError(f"without epochs layers are compared, of a net of 3 at least, not of {self.depth}")

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs. The score is the validation error after the last."""
        kind, units = BLOCKS[self.kind], switch_units(hypers.units)
        initializer = switch_initializers(hypers.start, hypers.scale)
        net = deep(kind, self.depth, self.width, classes=self.classes, units=units, initializer=initializer)
        key_init, key_train, key_look = jax.random.split(key, 3)
        fresh = net.init(key_init, data.train.x[0])
        first_layer = {**fresh["input"], "b": fresh["input"]["b"] + hypers.bias}
        fresh = {**fresh, "input": first_layer, **merge(given)}  # given layers take the place of fresh ones
        view = activations(kind(units, initializer), units)
        batch = first(data.train, self.looked_at)

        def look(params):
            """The gradient, the variance, and the shares of active and inactive units: [depth] each, the base first."""
            return by_layer(key_look, cross_entropy(net), view, params, batch)

        before = look(fresh)
        if not self.epochs:
            # The first hidden layer is left out of gradients, as it has another number of inputs.
            seen = {"decades": decades_lost(before["gradient"][1:]), "step": largest_step(before["gradient"][1:])}
            seen["apart"] = decades_apart(before["variance"])
            return {}, Result(score=0.0, measures={"start": seen}, curves={"start": before})
        train = classify(
            net,
            clipped(hypers.rate, hypers.limit),
            epochs=self.epochs,
            batch_size=self.batch_size,
            progress=progress(f"{self.kind} {self.depth}", epochs=self.epochs),
        )
        params, (curve, measured) = chain(train, errors(net))(key_train, fresh, data)
        after = look(params)
        result = Result.of(curve, measured)
        moved = jnp.abs(params["input"]["w"] - fresh["input"]["w"]).max()
        result = result.telling(
            start={"base": logarithm(before["gradient"][0]), "inactive": before["inactive"].mean()},
            end={"active": after["active"].mean(), "inactive": after["inactive"].mean(), "moved": moved},
        )
        return {}, result._replace(curves={**result.curves, "start": before, "end": after})


@dataclass(frozen=True)
class Ladder:
    """An epoch of a deep net of rectified linear units at each of several rates: at how many does it not learn?"""

    depth: int
    width: int
    batch_size: int
    rates: tuple[float, ...]
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """All rates start from the same weights.

        A rate is `lost` if after the epoch more than 80 % of the validation examples are wrong. A run that diverged
        counts as 100 %.
        """
        key_init, key_train = jax.random.split(key)
        initializer = switch_initializers(hypers.start, hypers.scale)
        net = deep(plain, self.depth, self.width, classes=self.classes, units=UNITS["relu"], initializer=initializer)
        params, loss = net.init(key_init, data.train.x[0]), cross_entropy(net)

        def run(rate):
            train = classify(
                net, clipped(rate, hypers.limit), epochs=1, batch_size=self.batch_size, loss=loss, scored=False
            )
            end, curve = train(key_train, params, data)
            return curve.diverged, valid(misclassified(net))(end, data)

        diverged, shares = jax.lax.map(run, jnp.array(self.rates))
        wrong = jnp.where(diverged, 1.0, shares)
        slopes, _ = jax.grad(loss, has_aux=True)(params, key, first(data.train, self.batch_size))
        norm = optax.tree.norm(slopes)
        # "under" is below 0 if the gradient is longer than the limit of 15.
        seen = {"lost": (wrong > 0.8).mean(), "error": wrong.mean(), "under": jnp.log10(15 / norm)}
        return {}, Result(score=wrong.min(), measures={"ladder": seen}, curves={"ladder": {"error": wrong}})


@dataclass(frozen=True)
class Exact:
    """What must hold to rounding, of tanh nets of three layers: each measure is to be 0."""

    width: int
    batch_size: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Gradients at weights of 0; units that start equal, after an epoch; gradients against inputs."""
        key_init, key_train = jax.random.split(key)
        tanh = UNITS["tanh"]
        view = activations(plain(tanh, INITIALIZERS["zeros"]), tanh)  # a view does not depend on the initialiser
        batch, example = first(data.train, self.batch_size), first(data.train, 1)
        make = partial(deep, plain, 3, self.width, classes=self.classes, units=tanh)
        nets = {name: make(initializer=initializer) for name, initializer in INITIALIZERS.items()}
        # Every start takes the same key.
        starts = {name: net.init(jax.random.clone(key_init), data.train.x[0]) for name, net in nets.items()}
        gradient_at_zero, _ = jax.grad(cross_entropy(nets["zeros"]), has_aux=True)(starts["zeros"], key, batch)
        train = classify(nets["equal"], sgd(0.1), epochs=1, batch_size=self.batch_size, scored=False)
        units = view(train(key_train, starts["equal"], data)[0], batch.x)  # [depth, n, width]
        example = example._replace(x=as_float(example.x))  # gaps are measured against inputs as the net sees them
        gaps = {
            "zero": jnp.max(jnp.array([jnp.abs(part["w"]).max() for part in gradient_at_zero.values()])),
            "equal": jnp.abs(units - units[..., :1]).max(),
            "input": gap_to_inputs(key, cross_entropy(nets["glorot"]), view, starts["glorot"], example),
        }
        return {}, Result(score=0.0, measures={"exact": gaps})


class Titled(NamedTuple):
    """A value of a hyper-parameter that rows differ in, and what the tables call it."""

    title: str
    value: float


class Sizes(NamedTuple):
    """What the presets differ in."""

    depths: tuple[int, ...]  # hidden layers of the nets of four kinds of units
    block_depths: tuple[int, ...]  # hidden layers of plain, skip and gated nets
    width: int
    block_width: int  # units a layer of plain, skip and gated nets
    epochs: int
    batch_size: int


SIZES = {
    "quick": Sizes(depths=(1, 20), block_depths=(50,), width=32, block_width=32, epochs=5, batch_size=20),
    "paper": Sizes(
        depths=(1, 2, 3, 5, 10, 20), block_depths=(10, 20, 50), width=100, block_width=50, epochs=9, batch_size=100
    ),
}
LOOKED_AT_DEPTH = 20
"""Hidden layers of the nets that are looked into at the start, and of those of the ladders of rates."""
UNIT_TITLES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "rectified linear", "leaky": "leaky"}
STARTS = {"fan": "U[-1/√d, 1/√d]", "glorot": "the lecture's U[-b, b]", "he": "He's start"}
START_OF_UNITS = {"sigmoid": "glorot", "tanh": "glorot", "relu": "he", "leaky": "he"}
"""The start of nets of these units."""
LADDER_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
LIMITS = {"free": Titled("no limit", 1e30), "clamped": Titled("at most 15", 15.0)}
SCALES = {"he": Titled("He's start", 1.0), "large": Titled("1.5 times He's start", 1.5)}
BLOCK_RATES = {
    "plain": {10: [0.03, 0.1, 0.3, 1.0], 20: [0.01, 0.03, 0.1, 0.3], 50: [0.003, 0.01, 0.03, 0.1]},
    "skip": {10: [0.03, 0.1, 0.3, 1.0], 20: [0.01, 0.03, 0.1, 0.3], 50: [0.003, 0.01, 0.03, 0.1]},
    "gated": {10: [0.1, 0.3, 1.0, 3.0], 20: [0.1, 0.3, 1.0, 3.0], 50: [0.3, 1.0, 3.0, 10.0]},
}
"""The rates to search, by kind and hidden layers: the best one is to have others on either side."""
START_GROUPS = {start: f"At the start: {title}" for start, title in STARTS.items()}
LIMIT_GROUPS = {start: f"Limit on the norm: {scale.title}" for start, scale in SCALES.items()}
BY_DEPTH, BY_BLOCK, PRETRAINING = "By depth", "Plain, skip, gated", "Pre-training, depth 10"


def rates(units: str, depth: int) -> list[float]:
    """Three rates to search: the best one at the depth is to be among them, with one on either side."""
    if units == "sigmoid":
        return [1.0, 3.0, 10.0]
    return [0.03, 0.1, 0.3] if depth == 20 else [0.1, 0.3, 1.0]


def rows(options, about):
    """All rows of the page."""
    sizes = SIZES[options.preset]

    # `partial` binds the arguments before `seed`: the study calls what is left with a seed and, by name, with a trial.
    def trained(depth, seed, rate, units, start, kind="plain", width=sizes.width, given=(), **others):
        program = Deep(kind, depth, width, sizes.epochs, sizes.batch_size)
        return Unit(program, net_hypers(units, start, rate=rate, **others), given, seed)

    def looked_at(units, start, seed):
        return Unit(
            Deep("plain", LOOKED_AT_DEPTH, sizes.width, epochs=0, batch_size=sizes.batch_size),
            net_hypers(units, start),
            seed=seed,
        )

    def pretrained(depth, seed, rate, pretrain):
        stack = Unit(Stack(depth, sizes.width, epochs=5, batch_size=sizes.batch_size), Rate(pretrain), seed=seed)
        return trained(depth, seed, rate, "sigmoid", "glorot", given=(stack,))

    def ladder(limit, scale, seed):
        program = Ladder(LOOKED_AT_DEPTH, sizes.width, sizes.batch_size, LADDER_RATES)
        return Unit(program, net_hypers("relu", "he", limit=limit, scale=scale), seed=seed)

    def exact(seed):
        return Unit(Exact(sizes.width, sizes.batch_size), seed=seed)

    row = partial(Row, seeds=min(5, options.fresh_seeds()))  # of the 10 fresh seeds of the paper preset, or the 2
    return [
        # Only looked into, not trained.
        *(
            row(f"start/{start}/{units}", title, partial(looked_at, units, start), group=START_GROUPS[start])
            for start in STARTS
            for units, title in UNIT_TITLES.items()
        ),
        # By depth.
        *(
            row(
                f"depth/{depth}/{units}",
                f"{title}, depth {depth}",
                partial(trained, depth, units=units, start=START_OF_UNITS[units]),
                space=[{"rate": rates(units, depth)}],
                group=BY_DEPTH,
                at={"hidden layers": depth, "units": units},
            )
            for units, title in UNIT_TITLES.items()
            for depth in sizes.depths
        ),
        # Ten sigmoid layers. One row searches two starts, the other two rates of pre-training.
        row(
            "greedy/10/none",
            "no pre-training",
            partial(trained, 10, units="sigmoid"),
            space=[{"rate": [0.3, 1.0, 3.0], "start": ["glorot", "he"]}],
            group=PRETRAINING,
        ),
        row(
            "greedy/10/rbm",
            "RBMs",
            partial(pretrained, 10),
            space=[{"rate": [0.3, 1.0, 3.0], "pretrain": [0.03, 0.1]}],
            group=PRETRAINING,
        ),
        # An epoch at each rate, with and without a limit.
        *(
            row(
                f"ladder/{start}/{name}",
                limit.title,
                partial(ladder, limit.value, scale.value),
                group=LIMIT_GROUPS[start],
            )
            for start, scale in SCALES.items()
            for name, limit in LIMITS.items()
        ),
        # Layers of three kinds.
        *(
            row(
                f"kind/{depth}/{kind}",
                f"{kind}, depth {depth}",
                partial(trained, depth, units="tanh", start=START_OF_UNITS["tanh"], kind=kind, width=sizes.block_width),
                space=[{"rate": tried}],
                group=BY_BLOCK,
                at={"hidden layers": depth, "kind": kind},
            )
            for kind, by_depth in BLOCK_RATES.items()
            for depth, tried in by_depth.items()
            if depth in sizes.block_depths
        ),
        # Hidden units whose inputs are below 0 for all examples.
        *(
            row(
                f"below/{units}",
                UNIT_TITLES[units],
                partial(trained, 1, units=units, start=START_OF_UNITS[units], bias=-5.0),
                space=[{"rate": [0.1, 0.3, 1.0]}],
                group="Units that start below 0",
            )
            for units in ("relu", "leaky")
        ),
        row("exact", "tanh, three layers", exact, group="Exact claims"),
    ]


TRAIN, _, TEST = ERRORS
# "start/decades" is the entry "decades" of the measures "start" in a `Result`.
DECADES = Metric("start/decades", "decades of gradient lost a layer")
STEP = Metric("start/step", "gradient to that above, largest ratio")
APART = Metric("start/apart", "decades between variances")
BASE = Metric("start/base", "log10 of the gradient at the base")
ACTIVE = Metric("end/active", "values that are not 0, %", 100, " %", bounds=(0, 100))
MOVED = Metric("end/moved", "way of the weights at the base")
LOST = Metric("ladder/lost", "rates without learning %", 100, " points", bounds=(0, 100))
ERROR = Metric("ladder/error", "validation error %, mean over rates", 100, " points", bounds=(0, 100))
UNDER = Metric("ladder/under", "log10 of 15 / norm of the first gradient")
ZERO = Metric("exact/zero", "gradient at 0")
EQUAL = Metric("exact/equal", "difference of units")
INPUT = Metric("exact/input", "gap to inputs")
LOSS = Metric("train/loss", "training loss", unit=" nats")
DEPTHS = SIZES["paper"].depths
MORE = Bound("above", 0)
at_most, exact, higher, lower, lines = claims.at_most, claims.exact, claims.higher, claims.lower, figures.lines


def base(bound: Bound, rows: Mapping[str, str]):
    """What is claimed of the gradient at the base at the start: that of the second of two rows, less the first's.

    Gradients are in decades, and the rows by the titles that they have here.
    """

    def logarithms(runs):
        return dict(zip(runs.seeds, np.log10(runs.curves("start/gradient")[:, 0]), strict=True))

    return claims.of_numbers(BASE, {title: claims.Number(row, logarithms) for title, row in rows.items()}, bound)


def stands_still(row: str):
    """A decider: from the second epoch to the last the training loss of the row falls by at most .01 nats."""

    def after(epoch):
        return claims.Number(row, lambda runs: dict(zip(runs.seeds, runs.curves(LOSS.name)[:, epoch], strict=True)))

    return claims.of_numbers(LOSS, {"at the end": after(-1), "after two epochs": after(1)}, Bound("at most", 0.01))


# A sentence, the test over seeds that decides it, and the lectures' claims in claims.toml that it is part of.
CLAIMS = [
    Claim(
        "At the start every sigmoid layer has a smaller gradient than the layer above it.",
        at_most(STEP, [f"start/{start}/sigmoid" for start in STARTS], 1),
        ("A5",),
        figure="gradient-3.png",
    ),
    *(
        Claim(
            f"{more} sigmoid layers have a smaller gradient at the base than {fewer}, at the start.",
            lower(BASE, f"depth/{more}/sigmoid", than=f"depth/{fewer}/sigmoid"),
            ("A5", "B19"),
            figure="base.png",
        )
        for fewer, more in pairwise(DEPTHS)
    ),
    *(
        Claim(
            f"From {title} 20 rectified linear layers have at least a tenth of the gradient at the base that one has.",
            base(Bound("at most", 1), {"20 layers": f"start/{start}/relu", "one": "depth/1/relu"}),
            ("B19",),
            figure=f"gradient-{i}.png",
        )
        for i, (start, title) in enumerate(STARTS.items(), 1)
    ),
    Claim(
        "From each start 20 sigmoid layers have a smaller gradient at the base than 20 rectified linear ones.",
        claims.all_of(
            *(base(MORE, {"sigmoid": f"start/{start}/sigmoid", "rectified": f"start/{start}/relu"}) for start in STARTS)
        ),
        ("B19",),
        figure="gradient-3.png",
        answers=True,
    ),
    Claim(
        "With the lecture's start tanh units have more alike variances than with U[-1/√d, 1/√d].",
        lower(APART, "start/glorot/tanh", than="start/fan/tanh"),
        ("C3", "C31a"),
        figure="variance-2.png",
    ),
    *(
        Claim(f"{words} are within a factor of 2.", at_most(APART, row, 0.301), ("C31a",), figure=figure)  # log10(2)
        for words, row, figure in (
            ("With the lecture's start the variances of 20 tanh layers", "start/glorot/tanh", "variance-2.png"),
            ("With He's start the variances of 20 rectified linear layers", "start/he/relu", "variance-3.png"),
        )
    ),
    *(
        Claim(f"{depth} sigmoid layers {do}.", decide, ("E2",), figure="train.png")
        for depth, row in ((10, "depth/10/sigmoid"), (20, "depth/20/sigmoid"))
        for do, decide in (
            (
                "err on more of the training digits than one, after all epochs",
                higher(TRAIN, row, than="depth/1/sigmoid"),
            ),
            ("stand still: after two epochs the training loss falls by at most .01 nats", stands_still(row)),
        )
    ),
    Claim(
        "Greedy pre-training makes the gradient at the base larger.",
        higher(BASE, "greedy/10/rbm", than="greedy/10/none"),
        ("A9",),
        figure="greedy.png",
    ),
    Claim(
        "Greedy pre-training lowers the training error of ten sigmoid layers.",
        lower(TRAIN, "greedy/10/rbm", than="greedy/10/none"),
        ("A9",),
    ),
    Claim(
        "Weights 1.5 times too large give rectified linear nets a gradient longer than 15.",
        at_most(UNDER, "ladder/large/free", 0),
        ("B23",),
    ),
    *(
        Claim(
            f"From {scale.title} a limit of 15 on the norm lowers the error, averaged over rates.",
            lower(ERROR, f"ladder/{start}/clamped", than=f"ladder/{start}/free"),
            ("B23",),
            figure=f"ladder-{i}.png",
        )
        for i, (start, scale) in enumerate(SCALES.items(), 1)
    ),
    Claim("With weights of 0 all gradients of a tanh net's weights are 0.", exact(ZERO, "exact", 1e-6), ("C1",)),
    Claim("Equal weights keep hidden units equal.", exact(EQUAL, "exact", 1e-6), ("C2",)),
    Claim("The gradient of a weight is its input times that of its unit's bias.", exact(INPUT, "exact", 1e-6), ("E1",)),
    Claim(
        "At each depth at most half of the values of trained rectified linear units are not 0.",
        at_most(ACTIVE, [f"depth/{depth}/relu" for depth in DEPTHS], 50),
        ("D1b",),
    ),
    Claim(
        "Rectified linear units that are below 0 for all examples never move.", exact(MOVED, "below/relu", 0), ("D1c",)
    ),
    Claim(
        "From there leaky units move, and learn: they err on fewer of the training digits.",
        claims.all_of(higher(MOVED, "below/leaky", than="below/relu"), lower(TRAIN, "below/leaky", than="below/relu")),
        ("D1c",),
    ),
    *(
        Claim(
            f"At depth 50, where plain nets learn as well, nets with {title} err on fewer {split} digits.",
            lower(metric, f"kind/50/{kind}", than="kind/50/plain"),
            ("D11",),
            figure=f"kinds-{split}.png",
            answers=metric is TRAIN,
        )
        for kind, title in {"skip": "skip connections", "gated": "gates"}.items()
        for split, metric in {"training": TRAIN, "test": TEST}.items()
    ),
]
GRADIENT = "norm of the gradient"


def bases(found):
    """The gradient at the base of the nets by depth."""
    drawn = {}
    for runs in figures.rows_at(found, ("hidden layers", "units")):
        depths, gradients = drawn.setdefault(UNIT_TITLES[runs.row.at["units"]], ([], []))
        depths.append(runs.row.at["hidden layers"])
        gradients.append(10 ** runs.values(BASE.name))
    return draw(drawn, xlabel="hidden layers", ylabel=GRADIENT, log_x=True) if drawn else None


# Profiles take curves of a `Result`, not metrics.
FIGURES = {
    "gradient.png": Figure(
        figures.profiles("start/gradient", GRADIENT, groups=tuple(START_GROUPS.values())),
        "Norm of the gradient of each layer's weights at the start, from the base up.",
    ),
    "kinds-test.png": Figure(lines(TEST, x="hidden layers", line="kind"), "Test error by depth; tanh units."),
    "kinds-training.png": Figure(lines(TRAIN, x="hidden layers", line="kind"), "Training error by depth; tanh units."),
    "base.png": Figure(bases, "Norm of the gradient of the first layer's weights at the start, by depth."),
    "depth.png": Figure(lines(TEST, x="hidden layers", line="units"), "Test error by depth, at the best rate."),
    "train.png": Figure(lines(TRAIN, x="hidden layers", line="units"), "Training error by depth, at the best rate."),
    "variance.png": Figure(
        figures.profiles("start/variance", "variance of the units", groups=tuple(START_GROUPS.values())),
        "Variance of each layer's units over examples and units at the start.",
    ),
    "after.png": Figure(
        figures.profiles("end/gradient", GRADIENT, groups=(BY_DEPTH,), where={"hidden layers": 20}),
        "Norm of the gradient of each layer's weights after training.",
    ),
    "greedy.png": Figure(
        figures.profiles("start/gradient", GRADIENT, groups=(PRETRAINING,)),
        "Norm of the gradient before fine-tuning, with and without pre-training.",
    ),
    "ladder.png": Figure(
        figures.profiles(
            "ladder/error",
            "validation error %",
            "rate",
            groups=tuple(LIMIT_GROUPS.values()),
            places=LADDER_RATES,
            scale=100,
        ),
        "Validation error after an epoch at each rate; a run that diverged counts as 100 %.",
    ),
    "search-1.png": Figure(
        figures.search("validation error %", 100, group=BY_DEPTH, panel="units"), "By depth: every trial."
    ),
    "search-2.png": Figure(
        figures.search("validation error %", 100, group=BY_BLOCK, panel="kind"), "Plain, skip, gated: every trial."
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[STEP, DECADES, APART, BASE, ACTIVE, MOVED, UNDER, LOST, ERROR, ZERO, EQUAL, INPUT, TRAIN, TEST],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
