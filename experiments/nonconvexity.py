"""Is the loss of a net convex, and where does gradient descent end if it is not?

Two losses with two weights are small enough to be seen whole: stochastic descent starts from every point of a grid.
Then two nets learn digits, and their loss is followed on the straight line from one to the other: does it rise? Does
it rise less once the hidden units of one have the order of the other's, or if both nets start alike, or pre-trained?

    python -m experiments nonconvexity                   # 8 x 8 digits: about a minute on two cores
    python -m experiments nonconvexity --preset paper    # MNIST: about 15 minutes on two cores

Lecture: CMU 10-601B 16, "Problem A: Nonconvexity".
"""

from functools import partial

import numpy as np

from dlx import study
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.programs.landscape import LINE, SMALL, Between, Grid, Identities, Matched, Solution, Way
from dlx.show.line_figure import maps
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main

OTHER = 1000
"""What is added to a seed for a net that starts elsewhere."""
STARTS = {"none": "No pre-training", "rbm": "RBM pre-training"}
PAIRS = {"apart": "two starts", "ordered": "two starts, units in order", "shared": "one start, two orders of examples"}


def rows(options, about):
    """The two small nets; pairs of nets with and without pre-training, all at one rate; what is exact."""
    quick = options.preset == "quick"
    widths, epochs, batch, layers = ((32, 32), 30, 20, 10) if quick else ((100, 100), 30, 100, 10)
    grid, points, examples = ((25, 1000), 13, 500) if quick else ((61, 3000), 21, 2000)

    few = min(5, options.fresh_seeds())

    def descent(net, seed):
        return Unit(Grid(net, *grid), Rate(SMALL[net].rate), seed=seed)

    def between(start, pair, seed, rate):
        def solution(seed, order=0.0):
            layer = partial(Layer, "dbn", epochs=layers, initializer="glorot", batch_size=batch)
            given = greedy_layers(layer, widths, LayerHypers(0.1), seed) if start == "rbm" else ()
            return Unit(Solution(widths, epochs, batch), Way(rate, order), given, seed)

        second = solution(seed, 1.0) if pair == "shared" else solution(seed + OTHER)
        return Unit(Between(examples, points), Matched(float(pair == "ordered")), (solution(seed), second), seed)

    return [
        *(
            Row(f"grid/{net}", SMALL[net].title, partial(descent, net), group="Two weights", seeds=few, keep=1)
            for net in SMALL
        ),
        Row(
            "none/apart",
            PAIRS["apart"],
            partial(between, "none", "apart"),
            [{"rate": [0.3, 1.0, 3.0]}],
            group=STARTS["none"],
        ),
        *(
            Row(
                f"{start}/{pair}",
                PAIRS[pair],
                partial(between, start, pair),
                lambda chosen: [chosen["none/apart"]],
                ("none/apart",),
                STARTS[start],
                keep=int(pair == "ordered"),
            )
            for start in STARTS
            for pair in PAIRS
            if (start, pair) != ("none", "apart")
        ),
        Row("exact", "identities", lambda seed: Unit(Identities(widths), seed=seed), group="Exact", seeds=few),
    ]


WORSE = Metric("starts/worse", "end at the worse place %", 100, " %", bounds=(0, 100))
NEAREST = Metric("starts/nearest", "end at the nearer place %", 100, " %", bounds=(0, 100))
END = Metric("starts/above", "loss above that place's")
LOSS, POINTS = Metric("barrier/loss", "barrier, nats"), Metric("barrier/error", "barrier, points", 100, " points")
HESSIAN = Metric("exact/hessian", "Hessian's gap, millionths", 1e6)
ORDER = Metric("exact/order", "outputs' gap, millionths", 1e6)
CLAIMS = [
    Claim(
        "z = xy is not convex: its Hessian has the eigenvalues -1 and 1 everywhere.",
        claims.at_most(HESSIAN, "exact", 1),
        ("A4",),
    ),
    Claim(
        "A net computes the same with its hidden units in another order: its minima come in many copies.",
        claims.at_most(ORDER, "exact", 10),
    ),
    Claim(
        "From a tenth of the starts or more, descent ends at the worse of the two minima of a net with a step.",
        claims.at_least(WORSE, "grid/step", 10),
        ("A4",),
    ),
    Claim(
        "At least nine starts of ten lead to the minimum that is nearer.",
        claims.at_least(NEAREST, ["grid/product", "grid/step"], 90),
        ("A4",),
    ),
    Claim(
        "Between two nets that learnt digits the loss rises by .1 nats or more above the chord.",
        claims.at_least(LOSS, ["none/apart", "rbm/apart"], 0.1),
        ("A4",),
    ),
    Claim(
        "It rises less if the hidden units of one net are put into the order of the other's.",
        claims.all_of(*(claims.lower(LOSS, f"{start}/ordered", f"{start}/apart") for start in STARTS)),
    ),
    Claim(
        "It rises less between two nets that had one start.",
        claims.all_of(*(claims.lower(LOSS, f"{start}/shared", f"{start}/ordered") for start in STARTS)),
    ),
    Claim("It still rises between them, by .01 nats or more.", claims.at_least(LOSS, "none/shared", 0.01)),
    Claim(
        "Pre-training lowers it, between two starts with units in order and from one start.",
        claims.all_of(*(claims.lower(LOSS, f"rbm/{pair}", f"none/{pair}") for pair in ("ordered", "shared"))),
    ),
    Claim(
        "From one pre-trained start the error rises by at most half a point.", claims.at_most(POINTS, "rbm/shared", 0.5)
    ),
]


def small(found):
    """The loss of each small net, the darker the lower, and at which of two minima a start of the first seed ends."""
    nets = {net: found[f"grid/{net}"].kept(1) for net in SMALL if f"grid/{net}" in found}
    images = {}
    for net, kept in nets.items():
        height = np.log(0.01 + kept["loss"])
        images |= {f"{net}: loss": (height - height.min()) / np.ptp(height), f"{net}: end": kept["end"]}
    return maps(images, 2) if images else None


def planes(found):
    """The logarithm of the loss on two planes through a net of the first seed."""
    images = {}
    for start, title in STARTS.items():
        if f"{start}/ordered" in found:
            kept = found[f"{start}/ordered"].kept(1)
            images |= {
                f"{title}: two solutions": np.log(1e-4 + kept["through"]),
                f"{title}: random": np.log(1e-4 + kept["random"]),
            }
    return maps(images, 2) if images else None


def lines(name, label, scale=1):
    """What the nets on the line have, by the way gone from the first net to the second."""
    return figures.profiles(
        f"line/{name}",
        label,
        "way from one net to the other",
        tuple(STARTS.values()),
        places=LINE,
        scale=scale,
        log_x=False,
    )


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[WORSE, NEAREST, END, LOSS, POINTS, *ERRORS, HESSIAN, ORDER],
    claims=CLAIMS,
    figures={
        "line.png": Figure(
            lines("loss", "training loss, nats"),
            "Training loss on the straight line between two nets: the mean over seeds, from best to worst.",
        ),
        "small.png": Figure(
            small, "Loss by two weights, u across and v up, from -4 to 4, and at which minimum each start ends."
        ),
        "planes.png": Figure(
            planes,
            "Logarithm of the loss on planes. Left: the first net is a quarter across and up; the second "
            "three quarters across, and three quarters up with its units in order. Right: random directions.",
        ),
        "search.png": Figure(
            figures.search("validation error %", 100), "Mean validation error of the two nets at each rate."
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
