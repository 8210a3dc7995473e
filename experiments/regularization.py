"""What keeps a net from over-fitting, and how much does it help with few labels and with many?

A net with two hidden layers of sigmoid units learns from 100 to 50 000 labelled digits: as it is, with weight decay (L2
or L1), with early stopping, with dropout, with noise, with virtual examples, with a hint, or from layers that are
trained without labels on all images. Beside it is a linear map. Then: noise in three places by level; labels dealt out
at random; a deep net with and without batch normalisation and dropout; ridge regression, which has a closed form.

    python -m experiments regularization                   # 8 x 8 digits: a minute on two cores
    python -m experiments regularization --preset paper    # MNIST: about 30 minutes on two cores

Lecture: Alpaydin 12, "Regularization: Hints", "Weight Decay" and "Dropout"; on feed-forward nets, "Early Stopping" and
"Why Training is Hard"; CMU 10-601B 16, "Training Deep Networks"; CS7015 lecture 9, "What does regularization do?".
"""

from functools import partial

from dlx import study
from dlx.programs import Layer, LayerHypers, greedy_layers
from dlx.programs.regularised import EDGES, Regular, Regularised, Ridge, Stop, Stopped
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main
from dlx.study.judge.numbered import by_number, number

STOPS = (0, 1, 5, 10)
TITLES = {
    "none": "nothing",
    "linear": "linear map",
    **{f"stop/{wait}": f"early stopping, look-ahead {wait}" for wait in STOPS},
    "l2": "L2",
    "l1": "L1",
    "pretrained": "pre-training",
    "dropout": "dropout",
    "inputs": "noise on inputs",
    "virtual": "virtual examples",
    "hint": "hint",
}
SIZES = FEW, MORE, MANY, ALL = (100, 1000, 10_000, 50_000)
# By number of labels: digits a minibatch, parts, and minibatches a part.
BUDGET = {FEW: (20, 40, 25), MORE: (50, 40, 50), MANY: (100, 30, 100), ALL: (100, 20, 500)}
LONG = (50, 10, 1000)  # for labels at random
RATES = [0.05, 0.1, 0.2, 0.4]
AMOUNTS: dict[str, dict[int, list[float]]] = {
    "l2": {FEW: [3e-4, 3e-3], MORE: [3e-5, 3e-4], MANY: [1e-5, 1e-4]},
    "l1": {FEW: [3e-5, 3e-4], MORE: [1e-5, 1e-4], MANY: [1e-6, 1e-5]},
    **{
        kind: dict.fromkeys((FEW, MORE, MANY), amounts)
        for kind, amounts in {
            "dropout": [0.2, 0.5],
            "inputs": [0.3, 0.6],
            "virtual": [1.0, 1.5],
            "hint": [1.0, 10.0],
        }.items()
    },
}
STRONG_GROUP, STRONG = "Strong penalties", {"none": 0.0, "l2": 1e-3, "l1": 1e-4}
LEVELS = {"inputs": (0.1, 0.2, 0.4), "hidden": (0.1, 0.2, 0.4), "weights": (0.02, 0.05, 0.1)}
NOISE = {kind: f"noise on {kind}" for kind in LEVELS}
DEEP = {"plain": "as it is", "dropout": "dropout", "batch": "batch normalisation", "both": "both"}


def rows(options, about):
    """By number of labels, each way with as many trials; noise at the rate of the net without; and the rest."""
    quick = options.preset == "quick"
    few, shape = min(5, options.fresh_seeds()), about["main"].shape
    widths, many, greedy = ((32, 32), MORE, (3, 20)) if quick else ((200, 200), MANY, (5, 100))
    budget = dict.fromkeys(BUDGET, (20, 12, 50)) if quick else BUDGET
    rates, base = RATES[2:3] if quick else RATES, f"{many}/none"

    def net(kind, n, seed, rate, amount=0.0, given=(), widths=widths, stops=STOPS, shuffled=0.0, plan=None, **more):
        plain, (batch, parts, steps) = kind in ("l2", "l1") or kind not in AMOUNTS | LEVELS, plan or budget[n]
        program = Regularised(
            "plain" if plain else kind, widths, batch, parts, steps, n, stops if plain else (), shape=shape, **more
        )
        how = {kind: amount} if kind in ("l2", "l1") else {"amount": amount}
        return Unit(program, Regular(rate, shuffled=shuffled, **how), given, seed)

    def way(kind, n, seed, rate, amount=0.0):
        if kind.startswith("stop"):
            return Unit(Stopped(n), Stop(float(STOPS.index(number(kind)))), (net("none", n, seed, rate),), seed)
        if kind == "linear":
            return net(kind, n, seed, rate, widths=(), stops=())
        layer = partial(Layer, "dbn", epochs=greedy[0], initializer="glorot", batch_size=greedy[1])
        layers = greedy_layers(layer, widths, LayerHypers(0.1), seed) if kind == "pretrained" else ()
        return net(kind, n, seed, rate, amount, layers)

    def row(kind, n):
        before = f"{MANY}/{kind}" if n == ALL else f"{n}/none"
        if n == ALL or kind.startswith("stop"):
            return Row(
                f"{n}/{kind}",
                TITLES[kind],
                partial(way, kind, n),
                lambda chosen: [chosen[before]],
                (before,),
                f"{n} labels",
                seeds=few,
            )
        amounts = {"amount": AMOUNTS[kind][n]} if kind in AMOUNTS else {}
        trials = {"rate": rates[-2:] if amounts else rates, **amounts}
        return Row(f"{n}/{kind}", TITLES[kind], partial(way, kind, n), [trials], group=f"{n} labels", seeds=few)

    def noise(kind, name, title, group, amount):
        return Row(
            name,
            title,
            partial(net, kind, many),
            lambda chosen: [{**chosen[base], "amount": amount}],
            (base,),
            group,
            seeds=few,
        )

    def deep(kind):
        drops = kind in ("dropout", "both")
        build = partial(
            net,
            "dropout" if drops else "none",
            many,
            widths=(widths[0] // 2,) * 4,
            stops=(),
            normalised=kind in ("batch", "both"),
        )
        space = [{"rate": RATES[2:], "amount": [0.1, 0.3]}] if drops else [{"rate": RATES}]
        return Row(f"deep/{kind}", DEEP[kind], build, space, group="Four hidden layers", seeds=few)

    brief = {FEW: ("none", "stop/5", "virtual", "hint", "linear"), MORE: [*TITLES][:-4]}
    by_size = brief if quick else dict.fromkeys(SIZES, TITLES)
    dealt = partial(net, "none", MORE, rate=0.1, shuffled=1.0, plan=None if quick else LONG)
    return [
        *(row(kind, n) for n, ways in by_size.items() for kind in ways),
        *(
            noise(kind, f"noise/{kind}/{level:g}", f"deviation {level:g}", NOISE[kind], level)
            for kind in LEVELS
            for level in LEVELS[kind][-2 if quick else 0 :]
        ),
        *(noise(kind, f"best/{kind}", kind, "Noise at its best level", [*LEVELS[kind]]) for kind in LEVELS),
        *(
            Row(
                f"weights/{kind}",
                TITLES[kind],
                partial(net, kind, many, rate=0.1, amount=amount),
                group=STRONG_GROUP,
                seeds=few,
            )
            for kind, amount in STRONG.items()
        ),
        *(deep(kind) for kind in DEEP if not quick),
        Row("dealt", f"{MORE} labels at random", dealt, group="Random labels", seeds=few),
        Row(
            "ridge",
            "ridge regression",
            lambda seed: Unit(Ridge(MORE, 2000), Regular(1.0, 0.1), seed=seed),
            group="Ridge regression",
            seeds=few,
        ),
    ]


TRAIN, VALID, TEST = ERRORS
GAP, NORM = Metric("test/gap", "test nats - training nats"), Metric("weights/norm", "norm of the weights")
ZERO = Metric("weights/small", "weights below .001 %", 100, " points", bounds=(0, 100))
LARGE, RUN = Metric("weights/largest", "99 % quantile of |w|"), Metric("fit/run", "parts run")
NATS = Metric("train/nats", "training nats")
APART = Metric("ridge/apart", "descent from closed form, millionths", 1e6)
SLOPE = Metric("ridge/slope", "slope of the posterior, millionths", 1e6)
STOP, PRETRAINED = f"{MORE}/stop", {n: (f"{n}/pretrained", f"{n}/none") for n in SIZES}


def pair(kinds, n):
    """Each way at a number of labels: it errs less than nothing does."""
    return claims.lower(TEST, [f"{n}/{kind}" for kind in kinds], f"{n}/none")


CLAIMS = [
    Claim(
        "Nets of this size fit labels that are dealt out at random: no training error is left.",
        claims.at_most(TRAIN, "dealt", 0),
        ("B18",),
    ),
    Claim(
        "With 100 labels the net errs more than the linear map; with 50 000 it errs less.",
        claims.all_of(
            claims.lower(TEST, f"{FEW}/linear", f"{FEW}/none"), claims.lower(TEST, f"{ALL}/none", f"{ALL}/linear")
        ),
        ("B34",),
    ),
    Claim(
        "Ten times the labels lower the net's error, and so do the last five times.",
        claims.all_of(
            *(
                claims.lower(TEST, f"{more}/none", f"{less}/none")
                for less, more in ((FEW, MORE), (MORE, MANY), (MANY, ALL))
            )
        ),
        ("B34",),
    ),
    Claim(
        "With 1 000 labels early stopping errs less if it waits 5 or 10 parts, not 0.",
        claims.lower(TEST, [f"{STOP}/5", f"{STOP}/10"], f"{STOP}/0"),
        ("C4",),
    ),
    Claim(
        "Early stopping that waits 10 parts errs less than training to the end, with 100 labels and with 1 000.",
        claims.all_of(*(pair(["stop/10"], n) for n in (FEW, MORE))),
        ("C4",),
    ),
    Claim(
        "In a deep net batch normalisation lowers the training nats, with dropout and without it.",
        claims.all_of(claims.lower(NATS, "deep/batch", "deep/plain"), claims.lower(NATS, "deep/both", "deep/dropout")),
        ("C16",),
    ),
    Claim(
        "Dropout narrows the normalised deep net's gap from training to test nats.",
        claims.lower(GAP, "deep/both", "deep/batch"),
        ("C16",),
    ),
    Claim(
        "Both together err less than either alone.",
        claims.lower(TEST, "deep/both", ["deep/batch", "deep/dropout"]),
        ("C16",),
    ),
    Claim(
        "Pre-training lowers the error, with 100 labels and with 1 000.",
        claims.all_of(*(pair(["pretrained"], n) for n in (FEW, MORE))),
        ("C17",),
    ),
    Claim(
        "Pre-training gains more with 100 labels and with 1 000 than with 50 000.",
        claims.all_of(*(claims.gains_more(TEST, PRETRAINED[n], PRETRAINED[ALL]) for n in (FEW, MORE))),
        ("C17",),
    ),
    Claim(
        "Virtual examples and the hint each lower the error, with 100 labels and with 1 000.",
        claims.all_of(*(pair(["virtual", "hint"], n) for n in (FEW, MORE))),
        ("D4",),
    ),
    Claim(
        "Weight decay leaves a smaller norm of the weights than training without it, with 100 to 10 000 labels.",
        claims.all_of(*(claims.lower(NORM, f"{n}/l2", f"{n}/none") for n in (FEW, MORE, MANY))),
        ("D5",),
    ),
    Claim(
        "So does early stopping that waits 0 parts.",
        claims.all_of(*(claims.lower(NORM, f"{n}/stop/0", f"{n}/none") for n in (FEW, MORE, MANY))),
        ("D5",),
    ),
    Claim(
        "Descent with weight decay ends at the closed form of ridge regression, the mode under a Gaussian prior.",
        claims.all_of(claims.at_most(APART, "ridge", 1000), claims.at_most(SLOPE, "ridge", 1000)),
        ("D5",),
    ),
    Claim(
        "Noise narrows the gap from training to test nats, in each of the three places at its best level.",
        claims.lower(GAP, [f"best/{kind}" for kind in LEVELS], f"{MANY}/none"),
        ("D6",),
    ),
    Claim(
        "It lowers the test error in each of the three places.",
        claims.lower(TEST, [f"best/{kind}" for kind in LEVELS], f"{MANY}/none"),
        ("D6",),
    ),
    Claim("A strong L1 penalty leaves most weights below .001.", claims.at_least(ZERO, "weights/l1", 50), ("E6",)),
    Claim(
        "A strong L2 penalty brings down the size that a hundredth of the weights exceeds.",
        claims.lower(LARGE, "weights/l2", "weights/none"),
        ("E6",),
    ),
]


def by_labels(row):
    """The line of a way and its number of labels; None for what the figure leaves out."""
    n, _, kind = row.name.partition("/")
    drawn = kind in ("none", "l2", "stop/10", "dropout", "virtual", "pretrained", "linear")
    return (row.title, float(n)) if drawn and n.isdigit() else None


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*ERRORS, GAP, NATS, NORM, ZERO, LARGE, RUN, APART, SLOPE],
    claims=CLAIMS,
    figures={
        "labels.png": Figure(
            figures.lines(TEST, by_labels, "labels"),
            "Test error by number of labels: the mean over seeds, from best to worst.",
        ),
        "weights.png": Figure(
            figures.profiles(
                "weights/counts", "weights %", "size of a weight", (STRONG_GROUP,), places=EDGES[1:], scale=100
            ),
            "How many weights have which size |w|, in steps of a factor of 1.33; smaller ones are left out.",
        ),
        "gap.png": Figure(
            by_number(GAP, "deviation of the noise", list(NOISE.values()), log_x=True),
            "Test nats minus training nats, by the deviation of the noise.",
        ),
        "parts.png": Figure(
            figures.curves("valid/score", "validation error %", 100, (f"{MORE} labels",), "part of the steps"),
            "Validation error after each part: the mean over seeds, from best to worst.",
        ),
        "search.png": Figure(figures.search("validation error %", 100), "Validation error at each trial."),
    },
)

if __name__ == "__main__":
    main(STUDY)
