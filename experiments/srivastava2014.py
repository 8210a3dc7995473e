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

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from dlx import study
from dlx.classify import classify, errors_and_nats, gap, start
from dlx.data import flat, read
from dlx.inspect.masks import beside, log_probabilities, over_all_masks
from dlx.inspect.units import correlation
from dlx.nets.layer import INITIALIZERS, UNITS, LayerKind, check_name
from dlx.nets.mlp import hidden, mlp
from dlx.nets.noise import SILENT, Noise, dropout
from dlx.nets.rectified import rectified
from dlx.optim import adam, max_norm, sgd
from dlx.programs import Layer, LayerHypers, greedy_layers
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Metric, Published, Result, Row, Study, Unit, claims, figures, main
from dlx.train import by_batches, examples, first
from dlx.types import Model, Params

START = {"sigmoid": "fan", "relu": "he"}
"""The initialiser of the weights, by hidden units."""


class Dropping(NamedTuple):
    """What a search or a row varies of a training with dropout."""

    rate: float
    inputs: float = 0.0  # the probability that an input is dropped
    hidden: float = 0.0  # the probability that a hidden unit is dropped
    momentum: float = 0.9  # Adam has its own
    norm: float = jnp.inf  # the largest norm of a unit's incoming weights


@dataclass(frozen=True)
class Dropped:
    """The training of a net for all epochs, at a rate that decays to a hundredth. Keeps the net.

    Given layers take the place of its start.
    """

    units: str
    """sigmoid or relu."""
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    examples: int | None = None
    """Train on the first so many examples, or all if there are fewer. Without a number, score every epoch, too."""
    drops: bool = True
    """Whether units are dropped. Without, the probabilities do not matter."""
    rule: str = "momentum"
    """momentum or adam."""
    normalised: bool = False
    """Whether hidden layers have batch normalisation; of rectified units only."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for unknown units or an unknown rule, or for sigmoid ones with batch normalisation."""
        check_name(self.units, START)
        check_name(self.rule, ("momentum", "adam"))
        if self.normalised and self.units != "relu":
            raise ValueError("a net with dropout and batch normalisation has units 'relu'")

    def __call__(self, key, hypers, given, data, progress):
        """Errors, the gap of test to training nats, and the mean correlation of units of the first hidden layer."""
        key_init, key_train = jax.random.split(key)
        net = self.net(dropout(hypers.inputs, hypers.hidden) if self.drops else SILENT)
        data = data._replace(train=first(data.train, self.examples))
        steps = self.epochs * (examples(data.train) // self.batch_size)

        def rate(step):
            return hypers.rate * 0.01 ** (step / steps)

        rule = adam(rate) if self.rule == "adam" else sgd(rate, hypers.momentum)
        scored = (
            self.examples is None
        )  # rows on all digits have a curve of validation errors, others an error at the end
        train = classify(
            net,
            optax.chain(rule, max_norm(hypers.norm)),
            epochs=self.epochs,
            batch_size=self.batch_size,
            scored=scored,
            progress=progress(self.units, epochs=self.epochs, percent=scored),
        )
        fresh = start(key_init, net, data, given)
        params, (curve, measured) = chain(train, errors_and_nats(net))(key_train, fresh, data)
        result = Result.of(curve, measured).telling(test={"gap": gap(measured)})
        if not self.normalised:
            # Under batch normalisation a layer has another form, which `first_layer` does not read.
            codes = first_layer(self.units, params, first(data.valid, 1000).x)
            result = result.telling(hidden={"correlation": correlation(codes)})
        return params, result

    def net(self, noise: Noise) -> Model:
        """The net, with noise in training."""
        if self.normalised:
            return rectified(self.widths, self.classes, normalised=True, noise=noise)
        return mlp(self.widths, self.classes, INITIALIZERS[START[self.units]], UNITS[self.units], noise)


@dataclass(frozen=True)
class Averaged:
    """What the nets that drawn masks leave of a given net say on average, and what the net in use says instead of them.

    Each hidden unit is dropped with probability 1/2. The average over masks is the geometric one, normalised.
    """

    units: str
    widths: tuple[int, ...]
    samples: int
    """So many masks are drawn."""

    def __call__(self, key, hypers, given, data, progress):
        """Errors of both on test data, and the largest and the mean difference of a probability."""
        (params,) = given
        net = mlp(self.widths, params["output"]["b"].size, units=UNITS[self.units], noise=dropout(0.0, 0.5))

        def over_masks(params, x):
            # `by_batches` gives one example at a time, so that all of them have the same masks.
            keys = jax.random.split(jax.random.clone(key), self.samples)
            each = jax.lax.map(lambda key: jax.nn.log_softmax(net.train(params, key, x)[0]), keys)  # [0]: the logits
            return jax.nn.log_softmax(each.mean(0))

        def in_use(params, x):
            return jax.nn.log_softmax(net.apply(params, x))

        average, used = by_batches(over_masks, params, data.test.x), by_batches(in_use, params, data.test.x)
        return {}, Result(measures={"test": beside(jnp, average, used, data.test.y)})


@dataclass(frozen=True)
class AllMasks:
    """The same over all masks of a given net of one hidden layer, in float64 after that layer."""

    units: str
    host = True

    def __call__(self, key, hypers, given, data, progress):
        """Errors of both on test data, and the largest and the mean difference of a probability."""
        (params,) = given
        h = np.asarray(first_layer(self.units, params, jnp.asarray(data.test.x)), float)
        output = {name: np.asarray(leaf, float) for name, leaf in params["output"].items()}
        average, used = over_all_masks(h, output), log_probabilities(h @ output["w"] + output["b"])
        return {}, Result(measures={"test": beside(np, average, used, np.asarray(data.test.y))})


def first_layer(units: str, params: Params, x: Array) -> Float[Array, "n width"]:
    """What the first hidden layer of a net of such units says of inputs x [n, visible] in use."""
    return LayerKind(UNITS[units]).encode(params[hidden(0)], x)


class PaperNet(NamedTuple):
    """One of the paper's nets: what the tables call it, how it is made and trained, and its test error there."""

    title: str
    units: str
    widths: tuple[int, ...]
    error: float | None  # in percent; None where the paper tells none
    drops: bool
    max_norm: bool = False
    pretrained: bool = False


class Parts(NamedTuple):
    """What the tables call a smaller net, and which parts its training has."""

    title: str
    momentum: bool = False
    normalised: bool = False
    drops: bool = False
    pretrained: bool = False


Searched = dict[str, list[float]]
"""What is searched: the values to try, by hyper-parameter."""


class Sizes(NamedTuple):
    """What the presets differ in."""

    batch_size: int
    layer_epochs: int  # of the greedy training of a layer
    epochs: int  # of the paper's nets
    width: int | None  # units a layer of the paper's nets; None: the paper's own
    paper_rates: Searched  # of the paper's nets, which have Adam
    max_norm_trials: Searched  # of the paper's net with max-norm
    search_epochs: int | None  # of the search of the paper's nets, on `examples` digits; None: all epochs, all digits
    widths: tuple[int, ...]  # of the smaller nets
    small_epochs: int
    examples: int  # digits that smaller nets are trained on
    momentum_rates: Searched  # of smaller nets of rectified units with momentum
    plain_rates: Searched  # of smaller nets of rectified units without momentum
    logistic_rates: Searched  # of smaller nets of logistic units, which have Adam
    two_data_sets: bool  # whether smaller nets are trained on the 8 x 8 digits as well


SIZES = {
    "quick": Sizes(
        batch_size=20,
        layer_epochs=5,
        epochs=16,
        width=64,
        paper_rates={"rate": [0.003, 0.01]},
        max_norm_trials={"rate": [0.003, 0.01]},
        search_epochs=None,
        widths=(64, 64),
        small_epochs=20,
        examples=1000,
        momentum_rates={"rate": [0.02, 0.1]},
        plain_rates={"rate": [0.1, 0.5]},
        logistic_rates={"rate": [0.003, 0.01]},
        two_data_sets=False,
    ),
    "paper": Sizes(
        batch_size=100,
        layer_epochs=6,
        epochs=50,
        width=None,
        paper_rates={"rate": [0.001, 0.002, 0.004, 0.008]},
        max_norm_trials={"rate": [0.002, 0.004], "norm": [1.0, 1.5]},
        search_epochs=10,
        widths=(512, 512),
        small_epochs=25,
        examples=10_000,
        momentum_rates={"rate": [0.03, 0.1, 0.2]},
        plain_rates={"rate": [0.15, 0.5, 1.0]},
        logistic_rates={"rate": [0.002, 0.004, 0.008]},
        two_data_sets=True,
    ),
}
# "none" and "relu" are without dropout, "logistic" and "rectified" the same units with it; "norm" has max-norm.
PAPER_NETS = {
    "none": PaperNet("logistic, no dropout", "sigmoid", (800, 800), error=1.60, drops=False),
    "relu": PaperNet("rectified, no dropout", "relu", (1024, 1024, 1024), error=None, drops=False),
    "logistic": PaperNet("logistic, dropout", "sigmoid", (1024, 1024, 1024), error=1.35, drops=True),
    "rectified": PaperNet("rectified, dropout", "relu", (1024, 1024, 1024), error=1.25, drops=True),
    "norm": PaperNet("rectified, dropout, max-norm", "relu", (1024, 1024, 1024), error=1.06, drops=True, max_norm=True),
    "dbn": PaperNet(
        "logistic, dropout, DBN pre-training", "sigmoid", (500, 500, 2000), error=0.92, drops=True, pretrained=True
    ),
}
# Here "norm" is batch normalisation.
WITH_TRICKS = {
    "plain": Parts("plain descent"),
    "momentum": Parts("momentum", momentum=True),
    "norm": Parts("batch normalisation", normalised=True),
    "dropout": Parts("dropout", drops=True),
    "all": Parts("all three", momentum=True, normalised=True, drops=True),
}
AFTER_PRETRAINING = {
    "neither": Parts("neither"),
    "dropout": Parts("dropout", drops=True),
    "dbn": Parts("DBN pre-training", pretrained=True),
    "both": Parts("both", drops=True, pretrained=True),
}
PROBABILITIES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
DROPOUT = {"inputs": 0.2, "hidden": 0.5}
"""The paper's probabilities. Smaller nets without dropout drop with probability 0, so that all are one program."""
ON_DIGITS = {"none": "8 x 8 digits, no dropout", "dropout": "8 x 8 digits, dropout"}
PAPER = "The paper's nets"
RATES = "Their rates, on 10 000 digits"
BY_P = "By probability of dropping a hidden unit"
TRICKS = "Momentum, batch normalisation, dropout"
PRETRAINED = "With pre-training"
MASKS = "Averages over masks"
AXIS = "probability of dropping a hidden unit"
"""Where rows by p stand, and the label of the axis of their figures."""


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
    sizes = SIZES[options.preset]
    small = partial(
        Dropped, widths=sizes.widths, epochs=sizes.small_epochs, batch_size=sizes.batch_size, examples=sizes.examples
    )

    def dbn(widths, seed):
        """The layers of a DBN, trained one after the other."""
        return greedy_layers(partial(Layer, "dbn", epochs=sizes.layer_epochs), widths, LayerHypers(rate=0.1), seed)

    def paper_net(paper, seed, rate, epochs, examples, norm=float("inf")):
        """One of the paper's nets."""
        widths = (sizes.width,) * len(paper.widths) if sizes.width else paper.widths
        program = Dropped(paper.units, widths, epochs, sizes.batch_size, examples, paper.drops, rule="adam")
        hypers = Dropping(rate, norm=norm, **(DROPOUT if paper.drops else {}))
        return Unit(program, hypers, dbn(widths, seed) if paper.pretrained else (), seed)

    def rectified_net(seed, rate, normalised=False, data="main", **hypers):
        """A smaller net of rectified units, with momentum if `hypers` do not say otherwise."""
        return Unit(small("relu", normalised=normalised), Dropping(rate, **hypers), seed=seed, data=data)

    def logistic_net(seed, rate, pretrained, **hypers):
        """A smaller net of logistic units."""
        layers = dbn(sizes.widths, seed) if pretrained else ()
        return Unit(small("sigmoid", rule="adam"), Dropping(rate, **hypers), layers, seed)

    def averaged(program, widths, seed):
        """The averages over masks of a smaller net that was trained with dropout."""
        trained = Unit(small("relu", widths=widths), Dropping(rate=0.05, hidden=0.5), seed=seed)
        return Unit(program, given=(trained,), seed=seed)

    def paper_rows(name, net):
        """The row of one of the paper's nets, after the row that chooses its rate, if it is chosen on fewer digits."""
        space = [sizes.max_norm_trials if net.max_norm else sizes.paper_rates]
        final = Row(
            f"paper/{name}",
            net.title,
            partial(paper_net, net, epochs=options.epochs or sizes.epochs, examples=None),
            space,
            group=PAPER,
            paper={TEST.name: Published(net.error)} if net.error else {},
            seeds=min(3, options.fresh_seeds()),
        )
        if sizes.search_epochs is None:
            return [final]
        build = partial(paper_net, net, epochs=sizes.search_epochs, examples=sizes.examples)
        search = Row(f"rates/{name}", net.title, build, space, group=RATES, seeds=1)
        # `chosen` has the best trial of each row that it comes after.
        return [search, replace(final, space=lambda chosen: [chosen[search.name]], after=(search.name,))]

    rates, drawn = sizes.momentum_rates, Averaged("relu", sizes.widths, samples=100)
    row = partial(Row, seeds=min(5, options.fresh_seeds()))  # of the 10 fresh seeds of the paper preset, or the 2
    return [
        *(one for name, net in PAPER_NETS.items() for one in paper_rows(name, net)),
        *(
            row(f"p/{p:g}", f"p = {p:g}", rectified_net, [{**rates, "hidden": p}], group=BY_P, at={AXIS: p})
            for p in PROBABILITIES
        ),
        *(
            row(
                f"tricks/{name}",
                parts.title,
                partial(rectified_net, normalised=parts.normalised, **(DROPOUT if parts.drops else {})),
                [{**rates, "momentum": 0.9} if parts.momentum else {**sizes.plain_rates, "momentum": 0.0}],
                group=TRICKS,
            )
            for name, parts in WITH_TRICKS.items()
        ),
        *(
            row(
                f"with/{name}",
                parts.title,
                partial(logistic_net, pretrained=parts.pretrained, **(DROPOUT if parts.drops else {})),
                [sizes.logistic_rates],
                group=PRETRAINED,
            )
            for name, parts in AFTER_PRETRAINING.items()
        ),
        row("masks/all", "10 hidden units, all 1 024 masks", partial(averaged, AllMasks("relu"), (10,)), group=MASKS),
        row("masks/drawn", "two hidden layers, 100 drawn masks", partial(averaged, drawn, sizes.widths), group=MASKS),
        *(
            row(
                f"digits/{name}",
                title,
                partial(rectified_net, data="digits", hidden=0.5 if name == "dropout" else 0.0),
                [rates],
                group="Another data set",
            )
            for name, title in ON_DIGITS.items()
            if sizes.two_data_sets
        ),
    ]


_, _, TEST = ERRORS
GAP = Metric("test/gap", "test nats - training nats")
NATS = Metric("test/nats", "test nats")
CORRELATION = Metric("hidden/correlation", "correlation of units")
APART = Metric("test/apart", "largest difference of a probability")
EXCESS = Metric("test/excess", "errors above the average's, points", 100, " points")
ROUNDING = 1024 * 2.0**-53
"""How far a sum of 1 024 terms is off at most in float64, as a share of the sum of their sizes."""


class Pair(NamedTuple):
    """Rows with and without dropout, at the paper's probabilities."""

    nets: str
    dropout: str
    without: str
    errors: str = ""  # the figure of their errors


PAIRS = (
    Pair("the paper's rectified nets", "paper/rectified", "paper/relu", "bars.png"),
    Pair("rectified nets with momentum, on 10 000 digits", "p/0.5", "p/0", "probability.png"),
    Pair("rectified nets on the 8 x 8 digits", "digits/dropout", "digits/none"),
    Pair("rectified nets without momentum, on 10 000 digits", "tricks/dropout", "tricks/plain", "parts-1.png"),
    Pair("logistic nets on 10 000 digits", "with/dropout", "with/neither", "parts-2.png"),
    Pair("pre-trained nets on 10 000 digits", "with/both", "with/dbn", "parts-2.png"),
    Pair("the paper's logistic nets, which are larger with it", "paper/logistic", "paper/none", "bars.png"),
)
"""All that the page compares; but for the last, they differ in dropout and in the rate of their search alone."""
ORDER = ("none", "logistic", "rectified", "norm")
all_of, if_trained, lower = claims.all_of, claims.if_trained, claims.lower


def lower_once_trained(row: str, than: str):
    """A decider: the row errs less than the other, unless it still has more training errors."""
    return if_trained(lower(TEST, row, than=than), row, than)


def over_fits_less(row: str, than: str):
    """A decider: the row has the smaller gap, and not because it fits worse, as it has fewer test nats, too."""
    return all_of(lower(GAP, row, than=than), lower(NATS, row, than=than))


def of_pairs(words: str, decide, *numbers: str, drawn: bool = False, answers: bool = False) -> list[Claim]:
    """A claim for each pair of nets. `decide` takes the rows with and without dropout."""
    return [
        Claim(f"{words} {one.nets}.", decide(one.dropout, one.without), numbers, one.errors * drawn, answers)
        for one in PAIRS
    ]


# A sentence, the test over seeds that decides it, and the lectures' claims in claims.toml that it is part of.
CLAIMS = [
    *of_pairs("By gap and test nats, dropout lessens the over-fitting of", over_fits_less, "B28b", answers=True),
    *of_pairs("Dropout lowers the test error of", lower_once_trained, "C23", drawn=True),
    *of_pairs("Dropout makes hidden units less correlated in", partial(lower, CORRELATION), "B28a", "C20a"),
    *(
        Claim(
            f"Dropout with p = {p:g} makes hidden units less correlated, on 10 000 digits.",
            lower(CORRELATION, f"p/{p:g}", than="p/0"),
            ("B28a", "C20a"),
            figure="correlation.png",
        )
        for p in PROBABILITIES
        if p not in (0, 0.5)
    ),
    *(
        Claim(
            f"On 10 000 digits p = .5 errs at most .1 points more than p = {p:g}.",
            if_trained(claims.costs_at_most(TEST, "p/0.5", than=f"p/{p:g}", bound=0.1), "p/0.5", f"p/{p:g}"),
            ("C20b",),
            figure="probability.png",
        )
        for p in PROBABILITIES
        if p != 0.5
    ),
    Claim(
        "With one hidden layer the net in use is the geometric average over all masks, to the rounding of float64.",
        claims.exact(APART, "masks/all", ROUNDING),
        ("C21",),
    ),
    Claim(
        "With two hidden layers it errs at most .1 points more than the average over 100 masks.",
        claims.at_most(EXCESS, "masks/drawn", 0.1),
    ),
    Claim(
        "On 10 000 digits dropout after pre-training errs less than neither.",
        lower_once_trained("with/both", than="with/neither"),
        ("C22",),
        figure="parts-2.png",
    ),
    Claim(
        "With all digits the paper's net with dropout and pre-training errs less than its net with neither.",
        lower_once_trained("paper/dbn", than="paper/none"),
        ("C22",),
        figure="bars.png",
    ),
    Claim(
        "Dropout after pre-training errs less than either alone.",
        all_of(*(lower_once_trained("with/both", than=f"with/{alone}") for alone in ("dropout", "dbn"))),
        figure="parts-2.png",
    ),
    Claim(
        "Momentum, batch normalisation and dropout together err less than none of them.",
        lower_once_trained("tricks/all", than="tricks/plain"),
        ("C27",),
        figure="parts-1.png",
    ),
    Claim(
        "All three together err less than each alone.",
        all_of(
            *(lower_once_trained("tricks/all", than=f"tricks/{alone}") for alone in ("dropout", "norm", "momentum"))
        ),
        figure="parts-1.png",
    ),
    Claim(
        "The paper's order: dropout lowers the error of logistic nets, rectified units do further, and max-norm again.",
        all_of(*(lower_once_trained(f"paper/{one}", than=f"paper/{worse}") for worse, one in pairwise(ORDER))),
        figure="bars.png",
    ),
    Claim(
        "Trained for far fewer epochs than the paper's, no mean is over .15 points above the paper's.",
        claims.near_paper(TEST, [f"paper/{name}" for name, net in PAPER_NETS.items() if net.error], 0.15),
        figure="bars.png",
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
            figures.lines(TEST, x=AXIS, log_x=False),
            "Test error after training on 10 000 digits.",
        ),
        "correlation.png": Figure(
            figures.lines(CORRELATION, x=AXIS, log_x=False),
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
