"""Why were deep nets hard to train, and what makes them trainable: gradients layer by layer, on MNIST.

Nets of 1 to 20 layers of sigmoid, tanh, rectified linear and leaky units are looked into at the start and after
training. What helps: a start that keeps the variance, rectifiers, greedy pre-training, a limit on the norm of the
gradient, skip connections, gates. All descend plainly, each row at the best of its rates.

    python -m experiments depth                   # 8 x 8 digits: about a minute on two cores
    python -m experiments depth --preset paper    # MNIST: about 35 minutes on two cores

Lecture: CMU 10-601B 16, "Problem B: Vanishing Gradients"; CS/CNS/EE 155 16, "Gradient Clamping"; on feed-forward nets,
"Initialization"; Alpaydin 12, "Rectified Linear Unit (ReLU)", "Skip Connections"; CS7015 9, "A quick recap".
"""

from functools import partial
from itertools import product

from dlx import study
from dlx.nets.layer import INITIALIZERS, UNITS, number_of
from dlx.programs import Rate, Stack
from dlx.programs.deep import Deep, Exact, Ladder, NetHypers
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main

TITLES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "rectified linear", "leaky": "leaky"}
STARTS = {"fan": "U[-1/√d, 1/√d]", "glorot": "the lecture's U[-b, b]", "he": "He's start"}
OWN = {"sigmoid": "glorot", "tanh": "glorot", "relu": "he", "leaky": "he"}
RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
LADDER = tuple(RATES[:6])
# By kind and depth, the place among the rates of the first of four to search.
KINDS = {"plain": {10: 2, 20: 1, 50: 0}, "skip": {10: 2, 20: 1, 50: 0}, "gated": {10: 3, 20: 3, 50: 4}}


def rates(units, depth):
    """Three rates to search: the best one at the depth is to be among them, with one on either side."""
    first = 5 if units == "sigmoid" else 2 if depth == 20 else 3
    return RATES[first : first + 3]


def rows(options, about):
    """Starts, nets by depth, pre-training, ladders of rates, kinds of layers, units below 0, exact claims."""
    quick = options.preset == "quick"
    depths, kinds = ((1, 20), (50,)) if quick else ((1, 2, 3, 5, 10, 20), (10, 20, 50))
    top, width, narrow, epochs, batch = (20, 32, 32, 5, 20) if quick else (20, 100, 50, 9, 100)

    def row(name, title, group, build, *space):
        return Row(name, title, build, space or ({},), group=group, seeds=min(5, options.fresh_seeds()))

    def hypers(units, start, *more, **others):
        return NetHypers(number_of(units, UNITS), number_of(start, INITIALIZERS), *more, **others)

    def net(depth, seed, rate, units, start=None, kind="plain", width=width, **more):
        how = hypers(units, start or OWN[units], rate, **more)
        return Unit(Deep(kind, depth, width, epochs, batch), how, seed=seed)

    def looked_at(units, start, seed):
        return Unit(Deep("plain", top, width, 0, batch), hypers(units, start), seed=seed)

    def pretrained(depth, seed, rate, pretrain):
        given = (Unit(Stack(depth, width, 5, batch), Rate(pretrain), seed=seed),)
        return Unit(Deep("plain", depth, width, epochs, batch), hypers("sigmoid", "glorot", rate), given, seed)

    def ladder(limit, seed, **more):
        return Unit(Ladder(top, width, batch, LADDER), hypers("relu", "he", limit=limit, **more), seed=seed)

    return [
        *(
            row(f"start/{start}/{units}", title, f"At the start: {STARTS[start]}", partial(looked_at, units, start))
            for start, (units, title) in product(STARTS, TITLES.items())
        ),
        *(
            row(
                f"depth/{depth}/{units}",
                f"{title}, depth {depth}",
                "By depth",
                partial(net, depth, units=units),
                {"rate": rates(units, depth)},
            )
            for (units, title), depth in product(TITLES.items(), depths)
        ),
        row(
            "greedy/10/none",
            "no pre-training",
            "Pre-training, depth 10",
            partial(net, 10, units="sigmoid"),
            {"rate": RATES[4:7], "start": ["glorot", "he"]},
        ),
        row(
            "greedy/10/rbm",
            "RBMs",
            "Pre-training, depth 10",
            partial(pretrained, 10),
            {"rate": RATES[4:7], "pretrain": [0.03, 0.1]},
        ),
        *(
            row(f"ladder/{size}/{name}", words, f"Limit on the norm: {title}", partial(ladder, limit, scale=scale))
            for size, scale, title in (("he", 1.0, "He's start"), ("large", 1.5, "1.5 times He's start"))
            for name, limit, words in (("free", 1e30, "no limit"), ("clamped", 15.0, "at most 15"))
        ),
        *(
            row(
                f"kind/{depth}/{kind}",
                f"{kind}, depth {depth}",
                "Plain, skip, gated",
                partial(net, depth, units="tanh", kind=kind, width=narrow),
                {"rate": RATES[first : first + 4]},
            )
            for kind, places in KINDS.items()
            for depth, first in places.items()
            if depth in kinds
        ),
        *(
            row(
                f"below/{units}",
                TITLES[units],
                "Units that start below 0",
                partial(net, 1, units=units, bias=-5.0),
                {"rate": RATES[3:6]},
            )
            for units in ("relu", "leaky")
        ),
        row("exact", "tanh, three layers", "Exact claims", lambda seed: Unit(Exact(width, batch), seed=seed)),
    ]


TRAIN, _, TEST = ERRORS
DECADES = Metric("start/decades", "decades of gradient lost a layer")
STEP = Metric("start/step", "gradient to that above, largest ratio")
APART = Metric("start/apart", "decades between variances")
BASE = Metric("start/base", "log10 of the gradient at the base")
ACTIVE = Metric("end/active", "values that are not 0, %", 100, " %", bounds=(0, 100))
MOVED = Metric("end/moved", "way of the weights at the base")
LOST = Metric("ladder/lost", "rates without learning %", 100, " points", bounds=(0, 100))
ERROR = Metric("ladder/error", "validation error %, mean over rates", 100, " points", bounds=(0, 100))
UNDER = Metric("ladder/under", "log10 of 15 / norm of the first gradient")
EXACT = {
    name: Metric(f"exact/{name}", words)
    for name, words in {"zero": "gradient at 0", "equal": "difference of units", "input": "gap to inputs"}.items()
}
SIGMOID, RECTIFIED = ([f"start/{start}/{units}" for start in STARTS] for units in ("sigmoid", "relu"))
FACTOR_2 = 0.301
at_most, higher, lower = claims.at_most, claims.higher, claims.lower
CLAIMS = [
    Claim(
        "At the start every sigmoid layer has a smaller gradient than the layer above it.",
        at_most(STEP, SIGMOID, 1),
        ("A5",),
    ),
    Claim(
        "From layer to layer, sigmoid nets lose more of the gradient than rectified linear ones.",
        higher(DECADES, SIGMOID, RECTIFIED),
        ("B19",),
    ),
    Claim(
        "Rectified linear nets lose at most a tenth of the gradient a layer.",
        at_most(DECADES, RECTIFIED, 0.046),
        ("B19",),
    ),
    Claim(
        "With the lecture's start tanh units have more alike variances than with U[-1/√d, 1/√d].",
        lower(APART, "start/glorot/tanh", "start/fan/tanh"),
        ("C3", "C31"),
    ),
    Claim(
        "With the lecture's start the variances of 20 tanh layers are within a factor of 2.",
        at_most(APART, "start/glorot/tanh", FACTOR_2),
        ("C3",),
    ),
    Claim(
        "With He's start the variances of 20 rectified linear layers are within a factor of 2.",
        at_most(APART, "start/he/relu", FACTOR_2),
    ),
    Claim(
        "After all epochs 20 sigmoid layers err on 50 points more of the training digits than one.",
        higher(TRAIN, "depth/20/sigmoid", "depth/1/sigmoid", 50),
        ("E2",),
    ),
    Claim(
        "Greedy pre-training makes the gradient at the base larger.",
        higher(BASE, "greedy/10/rbm", "greedy/10/none"),
        ("A9",),
    ),
    Claim(
        "Greedy pre-training lowers the training error of ten sigmoid layers.",
        lower(TRAIN, "greedy/10/rbm", "greedy/10/none"),
        ("A9",),
    ),
    Claim(
        "Weights 1.5 times too large give rectified linear nets a gradient longer than 15.",
        at_most(UNDER, "ladder/large/free", 0),
        ("B23",),
    ),
    Claim(
        "From these weights a limit of 15 on the norm lowers the error, averaged over rates.",
        lower(ERROR, "ladder/large/clamped", "ladder/large/free"),
        ("B23",),
    ),
    Claim(
        "From He's start a limit of 15 on the norm lowers the error, averaged over rates.",
        lower(ERROR, "ladder/he/clamped", "ladder/he/free"),
        ("B23",),
    ),
    Claim(
        "With weights of 0 all gradients of a tanh net's weights are 0.", at_most(EXACT["zero"], "exact", 1e-6), ("C1",)
    ),
    Claim("Equal weights keep hidden units equal.", at_most(EXACT["equal"], "exact", 1e-6), ("C2",)),
    Claim(
        "The gradient of a weight is its input times that of its unit's bias.",
        at_most(EXACT["input"], "exact", 1e-6),
        ("E1",),
    ),
    Claim(
        "At most half of the values of trained rectified linear units are not 0.",
        at_most(ACTIVE, ["depth/1/relu", "depth/20/relu"], 50),
        ("D1",),
    ),
    Claim(
        "Rectified linear units that are below 0 for all examples never move.", at_most(MOVED, "below/relu", 0), ("D1",)
    ),
    Claim("From there leaky units move.", higher(MOVED, "below/leaky", "below/relu"), ("D1",)),
    Claim(
        "From there leaky units learn: they err on fewer of the training digits.",
        lower(TRAIN, "below/leaky", "below/relu"),
        ("D1",),
    ),
    Claim(
        "At depth 50 nets with skip connections or gates err less than plain ones.",
        lower(TEST, ["kind/50/skip", "kind/50/gated"], "kind/50/plain"),
        ("D11",),
    ),
    Claim("At depth 50 gated nets err on at most 3 %.", at_most(TEST, "kind/50/gated", 3), ("D11",)),
    Claim(
        "At depth 50 plain nets err on 80 points more than gated ones, which is near chance.",
        higher(TEST, "kind/50/plain", "kind/50/gated", 80),
        ("D11",),
    ),
]
AT_START = tuple(f"At the start: {title}" for title in STARTS.values())


def by_depth(metric, group):
    """A metric against depth; rows are named group/depth/line."""
    return figures.lines(
        metric, lambda row: (row.name.split("/")[2], int(row.name.split("/")[1])), "hidden layers", (group,)
    )


FIGURES = {
    "gradient.png": Figure(
        figures.profiles("start/gradient", "norm of the gradient", groups=AT_START),
        "Norm of the gradient of each layer's weights at the start, from the base up.",
    ),
    "kinds.png": Figure(by_depth(TEST, "Plain, skip, gated"), "Test error by depth, at the best rate; tanh units."),
    "depth.png": Figure(by_depth(TEST, "By depth"), "Test error by depth, at the best rate."),
    "train.png": Figure(by_depth(TRAIN, "By depth"), "Training error by depth, at the best rate."),
    "variance.png": Figure(
        figures.profiles("start/variance", "variance of the units", groups=AT_START),
        "Variance of each layer's units over examples and units at the start.",
    ),
    "after.png": Figure(
        figures.profiles("end/gradient", "norm of the gradient", groups=("By depth",), where={"hidden layers": 20}),
        "Norm of the gradient of each layer's weights after training.",
    ),
    "greedy.png": Figure(
        figures.profiles("start/gradient", "norm of the gradient", groups=("Pre-training, depth 10",)),
        "Norm of the gradient before fine-tuning, with and without pre-training.",
    ),
    "ladder.png": Figure(
        figures.profiles("ladder/error", "validation error %", "rate", (), {"ladder": True}, LADDER, 100),
        "Validation error after an epoch at each rate; a run that diverged counts as 100 %.",
    ),
    **{
        f"search-{i}.png": Figure(figures.search("validation error %", 100, group=group), f"{group}: every trial.")
        for i, group in enumerate(("By depth", "Plain, skip, gated"), 1)
    },
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[STEP, DECADES, APART, BASE, ACTIVE, MOVED, UNDER, LOST, ERROR, *EXACT.values(), TRAIN, TEST],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
