"""What must a linear model see to tell digits apart: pixels, oriented gradients, or features that were learned?

One and the same softmax regression is trained on the pixels, on histograms of oriented gradients, and on what the
layers of a convolutional net make of an image. They were trained on the same labels, with an output of their own that
is thrown away. Beside it stand the layers of a net that was never trained. Which digits are taken for which?

    python -m experiments linear_features                   # 8 x 8 digits: about a minute on two cores
    python -m experiments linear_features --preset paper    # MNIST: about 20 minutes on two cores

Lecture: CS/CNS/EE 155 16, "Errors In Linear Logistic Regression", "Feature Engineering", "Comparing 8's vs 3's",
"Learn Features Automatically?".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dlx import study
from dlx.classify import classify, errors, start
from dlx.nets.convnetjs import BIAS, FAN_IN
from dlx.nets.convolutional import Conv, flat, network
from dlx.nets.layer import as_float, check_name
from dlx.nets.mlp import mlp
from dlx.nets.module import Affine
from dlx.nets.oriented import oriented_gradients
from dlx.nets.pooling import max_pool
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.show import figures as draw
from dlx.show.heat_figure import heat
from dlx.stage import chain
from dlx.stats import interval
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.declare.finding import Bound
from dlx.train import by_batches
from dlx.types import Data, Model

LAYERS = (
    Conv(8, 5, padding=2, initializer=FAN_IN, bias=BIAS, name="first"),
    jax.nn.relu,
    max_pool(2),
    Conv(16, 5, padding=2, initializer=FAN_IN, bias=BIAS, name="second"),
    jax.nn.relu,
    max_pool(2),
    flat,
)
"""From an image to features: of square images whose sides are multiples of 4 as many as there are pixels."""
EIGHT, THREE, FIVE = 8, 3, 5
SHOWN = 8
"""Eights of the validation split that are kept for a figure."""


def convolutional(classes: int) -> Model:
    """The layers under a softmax output."""
    return network((*LAYERS, Affine(classes, FAN_IN, name="output")))


@dataclass(frozen=True)
class Convolutional:
    """The training of the convolutional net. Keeps what is below its output, fresh if there are no epochs."""

    epochs: int
    batch_size: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Errors after the epoch with the least validation error."""
        key_init, key_train = jax.random.split(key)
        net = convolutional(self.classes)
        params, result = start(key_init, net, data), Result(score=0.0)
        if self.epochs:
            rule, after_epoch = sgd(hypers.rate, 0.9), progress("convolutional net", epochs=self.epochs)
            train = patient(net, rule, self.epochs, self.batch_size, after_epoch)
            params, (curve, measured) = chain(train, errors(net))(key_train, params, data)
            result = Result.of(curve, measured)
        return {name: params[name] for name in ("first", "second")}, result


@dataclass(frozen=True)
class Regression:
    """Softmax regression on features of the images. Keeps the eights that are nearest to being a 3 or a 5 to it."""

    features: str
    """One of `FEATURES`."""
    epochs: int
    batch_size: int
    cell: int = 4
    """Pixels a side of the cells of oriented gradients."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for unknown features."""
        check_name(self.features, FEATURES)

    def __call__(self, key, hypers, given, data, progress):
        """Errors after the epoch with the least validation error, and what is taken for what in the test split."""
        key_init, key_train = jax.random.split(key)
        net, seen = mlp((), self.classes), self.seen(given, data)
        after_epoch = progress(self.features, epochs=self.epochs)
        train = patient(net, sgd(hypers.rate), self.epochs, self.batch_size, after_epoch)
        params, (curve, measured) = chain(train, errors(net))(key_train, start(key_init, net, seen), seen)
        logits = net.apply(params, seen.test.x)
        taken = confusions(logits, data.test.y)
        result = Result.of(curve, measured).telling(test=of_eights(taken, logits, data.test.y))
        result = result._replace(curves={**result.curves, "test": {"taken": taken.ravel()}})
        nearest = nearest_eights(net.apply(params, seen.valid.x), data.valid.y)
        return {"eights": data.valid.x[nearest].reshape(2, SHOWN // 2, -1)}, result

    def seen(self, given, data: Data) -> Data:
        """The data with features in place of images."""
        view = FEATURES[self.features]
        return Data(*(one._replace(x=by_batches(partial(view, self), merged(given), one.x)) for one in data))


def patient(net: Model, rule, epochs: int, batch_size: int, progress):
    """All epochs are run; the net is that of the epoch with the least validation error."""
    return classify(net, rule, epochs=epochs, batch_size=batch_size, patience=epochs, progress=progress)


def merged(given):
    """What the units that a run starts from have kept; it starts from one at most."""
    return given[0] if given else {}


def of_pixels(program: Regression, params, x):
    """The pixels themselves."""
    return flat(as_float(x))


def of_gradients(program: Regression, params, x):
    """Oriented gradients: nine directions, in blocks of two by two cells."""
    return oriented_gradients(x, cell=program.cell)


def of_layers(program: Regression, params, x):
    """What the layers of a given convolutional net make of the images."""
    return network(LAYERS).apply(params, x)


FEATURES = {"pixels": of_pixels, "gradients": of_gradients, "layers": of_layers}


def confusions(logits: Float[Array, "n classes"], y: Int[Array, " n"]) -> Float[Array, "classes classes"]:
    """Of the examples of each class, a row, the share that is taken for each class."""
    classes = logits.shape[1]
    true, told = jax.nn.one_hot(y, classes), jax.nn.one_hot(logits.argmax(-1), classes)
    return true.T @ told / jnp.maximum(true.sum(0), 1)[:, None]


def nearest_eights(logits: Float[Array, "n classes"], y: Int[Array, " n"]) -> Int[Array, " shown"]:
    """The places of the eights that come nearest to a 3 or a 5 by their logits, or are taken for one."""
    above = jnp.maximum(logits[:, THREE], logits[:, FIVE]) - logits[:, EIGHT]
    return jax.lax.top_k(jnp.where(y == EIGHT, above, -jnp.inf), SHOWN)[1]


def of_eights(taken: Float[Array, "classes classes"], logits: Float[Array, "n classes"], y) -> Mapping[str, Array]:
    """Shares of mistakes: of eights and of the other digits, of eights for a 3 or a 5 and of all pairs of digits.

    `apart` is the share of eights and threes to which a model gives the other one of the two the larger logit.
    """
    classes = len(taken)
    wrong = taken.sum(1) - jnp.diagonal(taken)
    two = (y == EIGHT) | (y == THREE)
    mistaken = (logits[:, EIGHT] > logits[:, THREE]) != (y == EIGHT)
    return {
        "eights": wrong[EIGHT],
        "others": (wrong.sum() - wrong[EIGHT]) / (classes - 1),
        "for_three": taken[EIGHT, THREE],
        "for_five": taken[EIGHT, FIVE],
        "pairs": wrong.sum() / (classes * (classes - 1)),
        "apart": (mistaken & two).sum() / jnp.maximum(two.sum(), 1),
    }


class Kind(NamedTuple):
    """Features of a row: what the tables call them, and the rates of the regression to choose from."""

    title: str
    features: str
    rates: list[float]
    learned: bool = False


KINDS = {
    "pixels": Kind("pixels", "pixels", [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
    "gradients": Kind("oriented gradients", "gradients", [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]),
    "learned": Kind("learned features", "layers", [0.003, 0.01, 0.03, 0.1, 0.3, 1.0], learned=True),
    "drawn": Kind("the same net, not trained", "layers", [0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
}
NET_RATES = [0.003, 0.01, 0.03, 0.1, 0.3]


class Sizes(NamedTuple):
    """What the presets differ in."""

    net: Convolutional
    epochs: int  # of the regressions
    batch_size: int
    cell: int


SIZES = {
    "quick": Sizes(Convolutional(epochs=10, batch_size=20), epochs=20, batch_size=20, cell=2),
    "paper": Sizes(Convolutional(epochs=10, batch_size=100), epochs=20, batch_size=100, cell=4),
}
LINEAR, WHOLE = "Softmax regression", "The convolutional net with its own output"


def rows(options, about):
    """Regressions on each kind of features, and the whole net whose layers one of them sees."""
    sizes = SIZES[options.preset]

    def net(seed, rate):
        return Unit(sizes.net, Rate(rate), seed=seed)

    def regression(seed, rate, kind, net_rate=None):
        given = ()
        if net_rate is not None:
            given = (net(seed, net_rate),)
        elif kind.features == "layers":
            given = (Unit(Convolutional(0, sizes.net.batch_size), Rate(0.0), seed=seed),)
        program = Regression(kind.features, sizes.epochs, sizes.batch_size, sizes.cell)
        return Unit(program, Rate(rate), given, seed)

    def space(kind, chosen):
        """The layers are those of the net at the rate that is best for the net itself."""
        return [{"rate": kind.rates} | ({"net_rate": chosen["net"]["rate"]} if kind.learned else {})]

    return [
        *(
            Row(
                name,
                kind.title,
                partial(regression, kind=kind),
                partial(space, kind),
                after=("net",) if kind.learned else (),
                group=LINEAR,
                keep=1,
            )
            for name, kind in KINDS.items()
        ),
        Row("net", "convolutional net", net, [{"rate": NET_RATES}], group=WHOLE),
    ]


TEST = ERRORS[2]
APART = Metric("test/apart", "8 against 3: error %", 100, " points", bounds=(0, 100), matters=0.1)
EIGHTS = Metric("test/eights", "eights that are mistaken, %", 100, " points", bounds=(0, 100), matters=0.1)
FOR_THREE = Metric("test/for_three", "eights taken for a 3, %", 100, " points", bounds=(0, 100), matters=0.1)
FOR_FIVE = Metric("test/for_five", "eights taken for a 5, %", 100, " points", bounds=(0, 100), matters=0.1)
OTHERS, PAIRS = "test/others", "test/pairs"


def more_on_pixels(metric: Metric, than: str, words: str):
    """A decider: of the regression on pixels, a share of the eights is above another share, which has these words."""

    def number(name):
        return claims.Number("pixels", lambda runs: runs.by_seed(name))

    numbers = {words: number(than), metric.words: number(metric.name)}
    return claims.of_numbers(metric, numbers, Bound("above", 0, metric.matters))


CLAIMS = [
    Claim(
        "On pixels, eights are mistaken more often than the other digits on average.",
        more_on_pixels(EIGHTS, OTHERS, "the other digits"),
        ("B1",),
        figure="digits.png",
        answers=True,
    ),
    *(
        Claim(
            f"On pixels, more eights are taken for a {digit} than, on average over all pairs, one digit for another.",
            more_on_pixels(metric, PAIRS, "a pair on average"),
            ("B1",),
            figure="pairs.png",
        )
        for digit, metric in ((THREE, FOR_THREE), (FIVE, FOR_FIVE))
    ),
    Claim(
        "A regression on oriented gradients errs less than one on pixels.",
        claims.lower(TEST, "gradients", than="pixels"),
        ("B2",),
        figure="errors.png",
        answers=True,
    ),
    Claim(
        "A regression on oriented gradients tells an 8 from a 3 better than one on pixels.",
        claims.lower(APART, "gradients", than="pixels"),
        ("B2",),
        figure="apart.png",
        answers=True,
    ),
    Claim(
        "A regression on learned features errs less than one on oriented gradients.",
        claims.lower(TEST, "learned", than="gradients"),
        ("B3",),
        figure="errors.png",
        answers=True,
    ),
    Claim(
        "A regression on learned features tells an 8 from a 3 better than one on oriented gradients.",
        claims.lower(APART, "learned", than="gradients"),
        figure="apart.png",
    ),
    Claim(
        "A regression on learned features errs less than one on those of the same net before it was trained.",
        claims.lower(TEST, "learned", than="drawn"),
        ("B3",),
        figure="errors.png",
    ),
]


def taken(found, row):
    """The shares of what is taken for what, seed by seed [seeds, classes, classes]; 0 on the diagonal."""
    shares = found[row].curves("test/taken")
    classes = int(np.sqrt(shares.shape[1]))
    return shares.reshape(-1, classes, classes) * (1 - np.eye(classes))


def tables(found):
    """A table a kind of features: what each digit is taken for."""
    kinds = {row: taken(found, row).mean(0) for row in KINDS if row in found}
    largest = max((table.max() for table in kinds.values()), default=0)
    digits = [str(digit) for digit in range(len(next(iter(kinds.values()), ())))]
    return [
        heat(
            dict(zip(digits, table, strict=True)),
            digits,
            xlabel="taken for",
            title=f"{KINDS[row].title}: percent of each digit",
            largest=largest,
            decimals=1,
        )
        for row, table in kinds.items()
    ]


def bar(label, values):
    """A bar of percentages, one a seed."""
    _, low, high, _ = interval(100 * values)
    return draw.Bar(label, list(100 * values), low, high, None)


def pairs(found):
    """The most frequent of all mistakes on pixels, those of eights for a 3 or a 5, and the mean of all."""
    if "pixels" not in found:
        return None
    shares = taken(found, "pixels")
    classes = shares.shape[1]
    order = np.argsort(-shares.mean(0), axis=None, kind="stable")[:6]
    drawn = dict.fromkeys([*(divmod(int(place), classes) for place in order), (EIGHT, THREE), (EIGHT, FIVE)])
    bars = [bar(f"{true} taken for {told}", shares[:, true, told]) for true, told in drawn]
    mean = bar("a pair on average", shares.sum((1, 2)) / (classes * (classes - 1)))
    return draw.bars([*bars, mean], xlabel="of that digit, %", bounds=(0, 100))


def by_digit(found):
    """The share of each digit that is mistaken on pixels."""
    if "pixels" not in found:
        return None
    wrong = taken(found, "pixels").sum(2)
    bars = [bar(str(digit), of_one) for digit, of_one in enumerate(wrong.T)]
    return draw.bars(bars, xlabel="mistaken on pixels, %", bounds=(0, 100))


FIGURES = {
    "errors.png": Figure(figures.bars(TEST, (LINEAR,)), "Test error by what the linear model sees."),
    "confusions.png": Figure(
        tables, "What is taken for what, in percent of each digit of the test set: mean of the seeds."
    ),
    "pairs.png": Figure(pairs, "On pixels: the most frequent mistakes, and those of eights for a 3 or a 5."),
    "digits.png": Figure(by_digit, "On pixels: which digits are mistaken?"),
    "apart.png": Figure(
        figures.bars(APART, (LINEAR,)), "Eights and threes for which the other of the two has the larger logit."
    ),
    "eights.png": Figure(
        figures.samples("eights", (LINEAR,)),
        "The eights of the validation set that come nearest to a 3 or a 5, or are taken for one. First seed.",
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist"),
    rows=rows,
    metrics=[*ERRORS, APART, EIGHTS, FOR_THREE, FOR_FIVE],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
