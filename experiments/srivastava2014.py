"""Dropout (Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014): does it keep nets from over-fitting?

First the paper's nets on MNIST at the paper's sizes, for far fewer epochs than there. Then, on 10 000 digits, one part
after the other: the probability of dropping a hidden unit, dropout with momentum and batch normalisation, and dropout
after pre-training. Last, the net in use beside the geometric average over masks that it stands for: over all masks of a
small net, and over drawn ones of a deeper net.

    python -m experiments srivastava2014                   # 8 x 8 digits: about a minute on two cores
    python -m experiments srivastava2014 --preset paper    # MNIST: two and a quarter hours on two cores

`--epochs 500` trains the paper's nets for longer, as an accelerator can.

Lecture: CS/CNS/EE 155 16, "Dropout"; on feed-forward nets, "Dropout", "Dropout at Test Time", "Optimization Tricks".
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from dlx import study
from dlx.data import flat, read
from dlx.programs import Layer, LayerHypers, greedy_layers
from dlx.programs.dropped import Averaged, Dropped, Dropping
from dlx.study import ERRORS, Claim, Figure, Metric, Published, Row, Study, Unit, claims, figures, main
from dlx.study.judge.numbered import by_number


class Net(NamedTuple):
    """One of the paper's nets: its title, units and widths, and its test error there."""

    title: str
    units: str
    widths: tuple[int, ...]
    paper: float | None
    drops: bool = True
    norms: tuple[float, ...] = ()
    pretrained: bool = False


NETS = {
    "none": Net("logistic, no dropout", "sigmoid", (800, 800), 1.60, drops=False),
    "relu": Net("rectified, no dropout", "relu", (1024,) * 3, None, drops=False),
    "logistic": Net("logistic, dropout", "sigmoid", (1024,) * 3, 1.35),
    "rectified": Net("rectified, dropout", "relu", (1024,) * 3, 1.25),
    "norm": Net("rectified, dropout, max-norm", "relu", (1024,) * 3, 1.06, norms=(1.0, 1.5)),
    "dbn": Net("logistic, dropout, DBN pre-training", "sigmoid", (500, 500, 2000), 0.92, pretrained=True),
}
PAPER, RATES, BY_P = "The paper's nets", "Their rates, on 10 000 digits", "By probability of dropping a hidden unit"
TRICKS, PRETRAINED, MASKS = "Momentum, batch normalisation, dropout", "With pre-training", "Averages over masks"
PROBABILITIES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
TITLES = {
    "plain": "plain descent",
    "momentum": "momentum",
    "norm": "batch normalisation",
    "dropout": "dropout",
    "all": "all three",
}
BOTH = {"neither": "neither", "dropout": "dropout", "dbn": "DBN pre-training", "both": "both"}
DROPPED: dict[str, Any] = {"inputs": 0.2, "hidden": 0.5}


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    epochs: int | None = None
    """Epochs of the paper's nets. Default: 50, and 16 in the preset quick."""


def digits(options):
    """The 8 x 8 digits, whatever data set the options ask for."""
    dataset = read("digits")
    return dataset._replace(data=flat(dataset.data))


def rows(options, about):
    """The paper's nets at rates that were chosen on fewer digits; then smaller nets on these, at rates of their own."""
    quick = options.preset == "quick"
    epochs, batch = options.epochs or (16 if quick else 50), 20 if quick else 100
    widths, small, passes = ((64, 64), 1000, 20) if quick else ((512, 512), 10_000, 25)
    few, three = min(5, options.fresh_seeds()), min(3, options.fresh_seeds())
    greedy = partial(Layer, "dbn", epochs=5 if quick else 6)

    def full(net, examples, passes, seed, rate, **hypers):
        shape = (64,) * len(net.widths) if quick else net.widths
        layers = greedy_layers(greedy, shape, LayerHypers(0.1), seed) if net.pretrained else ()
        program = Dropped(net.units, shape, passes, batch, examples, net.drops, "adam")
        return Unit(program, Dropping(rate, **(DROPPED if net.drops else {}), **hypers), layers, seed)

    def part(seed, rate, units="relu", normalised=False, data="main", pretrained=False, **hypers):
        layers = greedy_layers(greedy, widths, LayerHypers(0.1), seed) if pretrained else ()
        rule = "adam" if units == "sigmoid" else "momentum"
        program = Dropped(units, widths, passes, batch, small, rule=rule, normalised=normalised)
        return Unit(program, Dropping(rate, **hypers), layers, seed, data)

    def averaged(shape, samples, seed):
        program = Dropped("relu", shape, passes, batch, small)
        trained = Unit(program, Dropping(0.05, hidden=0.5), seed=seed)
        return Unit(Averaged("relu", shape, samples), given=(trained,), seed=seed)

    rates, steps = ([0.003, 0.01], [0.02, 0.1]) if quick else ([0.001, 0.002, 0.004, 0.008], [0.03, 0.1, 0.2])
    slow: list[float] = [5 * rate for rate in steps]
    tricks: dict[str, dict[str, Any]] = {
        "plain": {"momentum": 0.0, "rate": slow},
        "momentum": {"rate": steps},
        "norm": {"momentum": 0.0, "normalised": True, "rate": slow},
        "dropout": {"momentum": 0.0, "rate": slow, **DROPPED},
        "all": {"normalised": True, "rate": steps, **DROPPED},
    }
    ways = {"neither": {}, "dropout": DROPPED, "dbn": {"pretrained": True}, "both": {"pretrained": True, **DROPPED}}

    def paper(name, net):
        published = {TEST.name: Published(net.paper)} if net.paper else {}
        train, before = partial(full, net, None, epochs), f"rates/{name}"
        space = [{"rate": rates[1:-1], "norm": [*net.norms]} if net.norms and not quick else {"rate": rates}]
        if quick:
            return [Row(f"paper/{name}", net.title, train, space, group=PAPER, paper=published, seeds=three)]
        return [
            Row(before, net.title, partial(full, net, small, 10), space, group=RATES, seeds=1),
            Row(f"paper/{name}", net.title, train, lambda chosen: [chosen[before]], (before,), PAPER, published, three),
        ]

    return [
        *(row for name, net in NETS.items() for row in paper(name, net)),
        *(
            Row(f"p/{p:g}", f"p = {p:g}", part, [{"rate": steps, "hidden": p}], group=BY_P, seeds=few)
            for p in PROBABILITIES
        ),
        *(
            Row(f"tricks/{name}", TITLES[name], part, [trial], group=TRICKS, seeds=few)
            for name, trial in tricks.items()
        ),
        *(
            Row(
                f"with/{name}",
                BOTH[name],
                part,
                [{"units": "sigmoid", "rate": rates[-3:], **trial}],
                group=PRETRAINED,
                seeds=few,
            )
            for name, trial in ways.items()
        ),
        Row("masks/all", "10 hidden units, all 1 024 masks", partial(averaged, (10,), None), group=MASKS, seeds=few),
        Row(
            "masks/drawn", "two hidden layers, 100 drawn masks", partial(averaged, widths, 100), group=MASKS, seeds=few
        ),
        *(
            Row(
                f"digits/{name}",
                f"8 x 8 digits, {words}",
                part,
                [{"rate": steps, "data": "digits", "hidden": p}],
                group="Another data set",
                seeds=few,
            )
            for name, words, p in (("none", "no dropout", 0.0), ("dropout", "dropout", 0.5))
            if not quick
        ),
    ]


TRAIN, VALID, TEST = ERRORS
GAP, CORRELATION = Metric("test/gap", "test nats - training nats"), Metric("hidden/correlation", "correlation of units")
APART = Metric("test/apart", "largest difference of a probability")
EXCESS = Metric("test/excess", "errors above the average's, points", 100, " points")
ALONE = ("dropout", "norm", "momentum")
CLAIMS = [
    Claim(
        "Dropout lowers the test error of logistic nets, rectified units do further, and max-norm does again.",
        claims.all_of(
            *(
                claims.lower(TEST, f"paper/{better}", f"paper/{worse}")
                for better, worse in (("logistic", "none"), ("rectified", "logistic"), ("norm", "rectified"))
            )
        ),
    ),
    Claim(
        "No mean is over .15 points above the paper's.",
        claims.near_paper(TEST, [f"paper/{name}" for name, net in NETS.items() if net.paper], 0.15),
    ),
    Claim(
        "On 10 000 digits, dropout with p = .5 leaves a smaller gap of test to training likelihood than none.",
        claims.lower(GAP, "p/0.5", "p/0"),
        ("B28",),
    ),
    Claim(
        "Dropout lowers the test error of rectified nets on 50 000 and on 10 000 digits, and on the 8 x 8 digits.",
        claims.all_of(
            claims.lower(TEST, "paper/rectified", "paper/relu"),
            claims.lower(TEST, "p/0.5", "p/0"),
            claims.lower(TEST, "digits/dropout", "digits/none"),
        ),
        ("C23",),
    ),
    Claim(
        "Hidden units are less correlated with p = .5 than without dropout.",
        claims.lower(CORRELATION, "p/0.5", "p/0"),
        ("C20",),
    ),
    Claim(
        "p = .5 costs at most .1 points of test error beside any other probability.",
        claims.all_of(*(claims.costs_at_most(TEST, "p/0.5", f"p/{p:g}", 0.1) for p in PROBABILITIES if p != 0.5)),
        ("C20",),
    ),
    Claim(
        "With one hidden layer the net in use is the geometric average over all masks, but for rounding.",
        claims.at_most(APART, "masks/all", 1e-5),
        ("C21",),
    ),
    Claim(
        "With two hidden layers it errs at most .1 points more than the average over 100 masks.",
        claims.at_most(EXCESS, "masks/drawn", 0.1),
        ("C21",),
    ),
    Claim(
        "Dropout after pre-training errs less than either alone.",
        claims.lower(TEST, "with/both", ["with/dropout", "with/dbn"]),
        ("C22",),
    ),
    Claim(
        "Momentum, batch normalisation and dropout together err less than each alone.",
        claims.lower(TEST, "tricks/all", [f"tricks/{name}" for name in ALONE]),
        ("C27",),
    ),
]

STUDY = Study(
    doc=__doc__,
    options=Options,
    data={"main": study.images(quick="digits", paper="mnist", flat=True), "digits": digits},
    rows=rows,
    metrics=[*ERRORS, GAP, CORRELATION, APART, EXCESS],
    claims=CLAIMS,
    figures={
        "bars.png": Figure(
            figures.bars(TEST, (PAPER,)),
            "Test error beside the paper's, where it tells one: bars are means, dots are seeds.",
        ),
        "curves.png": Figure(
            figures.curves("valid/score", "validation error %", 100, (PAPER,)),
            "Validation error by epoch: the mean over seeds, in a band from best to worst.",
        ),
        "probability.png": Figure(
            by_number(TEST, "probability of dropping a hidden unit", (BY_P,)),
            "Test error after training on 10 000 digits.",
        ),
        "correlation.png": Figure(
            by_number(CORRELATION, "probability of dropping a hidden unit", (BY_P,)),
            "Mean absolute correlation of two units of the first hidden layer, on validation digits.",
        ),
        "parts.png": Figure(
            figures.bars(TEST, (TRICKS, PRETRAINED)),
            "Test error after training on 10 000 digits: bars are means, dots are seeds.",
        ),
        "search.png": Figure(
            figures.search("validation error %", 100, group=RATES),
            "Validation error of the paper's nets at each rate, on 10 000 digits.",
        ),
        "search-p.png": Figure(
            figures.search("validation error %", 100, group=BY_P),
            "Validation error at each rate, by the probability of dropping a hidden unit.",
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
