"""Weights that are shared over the image (LeCun 1989): does each constraint on a net make it err less?

LeCun's five nets for digits of 16 x 16 pixels have no hidden units, twelve that see all pixels, two layers of units
that see a part, and such layers whose units share their weights: in the first layer, then in both. Beside them stand
nets with the units of the last one, and others with as many weights. All learn from 320, 1000 and 10 000 digits of
MNIST, other ones with each seed.

    python -m experiments lecun1989                   # 8 x 8 digits: about a minute on two cores
    python -m experiments lecun1989 --preset paper    # MNIST at 16 x 16: about 30 minutes on two cores

Lecture: CS/CNS/EE 155 16, "Convolutions"; on feed-forward nets, "Improving Generalization"; Alpaydin 12, "Weight
Sharing".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx import study
from dlx.classify import classify, errors, start
from dlx.inspect.counts import parameter_count
from dlx.nets.convolutional import GLOROT, Biased, Conv, Layer, Local, as_images, flat, network
from dlx.nets.layer import check_name
from dlx.nets.lenet import SCALED_TANH
from dlx.nets.module import Affine
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Metric, Published, Result, Row, Study, Unit, claims, figures, main
from dlx.train import examples, first, take
from dlx.types import Data, Model

SIDE = 16
"""Pixels of an image."""
FIRST: Mapping[str, Any] = {"size": 3, "stride": 2, "padding": 1, "name": "first"}
SECOND: Mapping[str, Any] = {"size": 5, "stride": 2, "padding": 2, "name": "second"}
squash = SCALED_TANH.mean


def shared(units: int, where: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Maps whose units share a kernel and have biases of their own."""
    return Conv(units, **where, bias=None), Biased(name=f"{where['name']}_biases"), squash


def local(units: int, where: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Maps whose units see as much, each with weights of its own."""
    return Local(units, **where), squash


def dense(units: int, name: str = "hidden") -> tuple[Layer, ...]:
    """Units that see all there is."""
    return flat, Affine(units, GLOROT, name=name), squash


class Net(NamedTuple):
    """A net: what the tables call it, its layers below the output, and of the paper its weights and its error in %."""

    title: str
    layers: tuple[Layer, ...]
    weights: int | None = None
    error: float | None = None


NETS = {
    "linear": Net("no hidden units", (), 2570, 20.0),
    "dense": Net("12 dense units", dense(12), 3214, 13.0),
    "local": Net("local", (*local(1, FIRST), *local(1, SECOND)), 1226, 11.5),
    "one": Net("first layer shared", (*shared(2, FIRST), *local(1, SECOND)), 1132, 6.0),
    "both": Net("both layers shared", (*shared(2, FIRST), *shared(4, SECOND)), 1060, 1.6),
    "apart": Net("same units, local", (*local(2, FIRST), *local(4, SECOND))),
    "wide": Net("same units, dense", (*dense(128, "first"), *dense(64, "second"))),
    "small": Net("4 dense units", dense(4)),
}
"""The paper's five; two with the units of "both" and no shared weights; and a dense one with as many weights."""
FIVE, UNITS, WEIGHTS = (
    ("linear", "dense", "local", "one", "both"),
    ("wide", "apart", "both"),
    ("small", "local", "both"),
)


def net_of(name: str, classes: int) -> Model:
    """The net of a name in `NETS`, under a softmax output."""
    return network((*NETS[name].layers, flat, Affine(classes, GLOROT, name="output")))


def shrunk(x: Array) -> Float[Array, "n side side 1"]:
    """Images of `SIDE` x `SIDE` pixels, floats. Of 28 x 28 pixels a border of two, which is empty, is left out."""
    images = as_images(x)
    n, height, width, channels = images.shape
    down, across = height // 14, width // 14
    middle = images[:, down : height - down, across : width - across]
    return jax.image.resize(middle, (n, SIDE, SIDE, channels), "linear")


@dataclass(frozen=True)
class Constrained:
    """The training of a net on digits that the seed draws, by plain descent for all epochs."""

    net: str
    """A name in `NETS`."""
    examples: int
    epochs: int
    batch_size: int
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown net."""
        check_name(self.net, NETS)

    def __call__(self, key, hypers, given, data, progress):
        """Errors after the last epoch, and the weights: all, and as a share of those of the net "apart"."""
        key_draw, key_init, key_train = jax.random.split(key, 3)
        order = jax.random.permutation(key_draw, examples(data.train))
        data = data._replace(train=take(data.train, order[: self.examples]))
        data = Data(*(split._replace(x=shrunk(split.x)) for split in data))
        net = net_of(self.net, self.classes)
        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            scored=False,
            progress=progress(self.net, epochs=self.epochs, percent=False),
        )
        params, (curve, measured) = chain(train, errors(net))(key_train, start(key_init, net, data), data)
        apart = jax.eval_shape(net_of("apart", self.classes).init, jax.random.key(0), first(data.train, 1).x[0])
        weights = parameter_count(params)
        told = {"weights": jnp.float32(weights), "left": jnp.float32(weights / parameter_count(apart))}
        return {}, Result.of(curve, measured).telling(model=told)


class Sizes(NamedTuple):
    """What the presets differ in."""

    epochs: Mapping[int, int]  # by the number of digits
    rates: list[float]
    search_seeds: int
    seeds: int


SIZES = {
    "quick": Sizes(epochs={320: 20}, rates=[0.03, 0.1], search_seeds=1, seeds=2),
    "paper": Sizes(
        epochs={320: 60, 1000: 40, 10_000: 30}, rates=[0.003, 0.01, 0.03, 0.1, 0.3, 1.0], search_seeds=2, seeds=30
    ),
}
BATCH_SIZE = 10
TEST = ERRORS[2]
COUNT = Metric("model/weights", "free weights")
LEFT = Metric("model/left", "weights left by sharing, %", 100, " %")
DIGITS = {320: "320 digits", 1000: "1000 digits", 10_000: "10 000 digits"}


def published(net: Net, digits: int) -> Mapping[str, Published]:
    """The paper's numbers, which are of 320 digits."""
    if net.error is None or net.weights is None or digits != 320:
        return {}
    return {TEST.name: Published(net.error, "B"), COUNT.name: Published(net.weights, "B")}


def rows(options, about):
    """Each net on each number of digits, with the same rates to choose."""
    sizes = SIZES[options.preset]

    def unit(seed, rate, net, digits):
        return Unit(Constrained(net, digits, sizes.epochs[digits], BATCH_SIZE), Rate(rate), seed=seed)

    return [
        Row(
            f"{digits}/{name}",
            net.title,
            partial(unit, net=name, digits=digits),
            [{"rate": sizes.rates}],
            group=DIGITS[digits],
            paper=published(net, digits),
            seeds=options.seeds or sizes.seeds,
            search_seeds=sizes.search_seeds,
            at={"digits": digits, "net": net.title},
        )
        for digits in sizes.epochs
        for name, net in NETS.items()
    ]


def better(digits: int, name: str, than: str):
    """A decider: at so many digits, the first net errs less than the other one."""
    return claims.lower(TEST, f"{digits}/{name}", than=f"{digits}/{than}")


SHARING = ("B32a", "C32")
CLAIMS = [
    Claim(
        "With weights that are shared in both layers a net has less than half the weights of one with the same units.",
        claims.exact(LEFT, "320/both", 50),
        SHARING,
        figure="weights.png",
        answers=True,
    ),
    *(
        Claim(
            f"From {words}, shared weights err less than those of the same units, each with its own.",
            better(digits, "both", "apart"),
            SHARING,
            figure="units.png",
            answers=True,
        )
        for digits, words in DIGITS.items()
    ),
    Claim(
        "Shared weights err less than about as many weights of local units, from each number of digits.",
        claims.all_of(*(better(digits, "both", "local") for digits in DIGITS)),
        SHARING,
        figure="equal.png",
    ),
    *(
        Claim(words, better(320, name, than), figure="nets-1.png")
        for words, name, than in (
            ("From 320 digits, twelve hidden units err less than none.", "dense", "linear"),
            ("From 320 digits, local units err less than twelve dense ones.", "local", "dense"),
            ("From 320 digits, weights shared in the first layer err less than local ones.", "one", "local"),
            ("From 320 digits, weights shared in both layers err less than in the first alone.", "both", "one"),
        )
    ),
    *(
        Claim(
            f"From {DIGITS[digits]}, each of the paper's five nets errs less than the one before it.",
            claims.all_of(*(better(digits, name, than) for than, name in pairwise(FIVE))),
            figure=f"nets-{place}.png",
        )
        for place, digits in ((2, 1000), (3, 10_000))
    ),
]


def titles(names):
    """The titles of nets."""
    return {"net": [NETS[name].title for name in names]}


def by_digits(names):
    """A figure of the test error by the number of digits, a line a net."""
    return figures.lines(TEST, x="digits", line="net", where=titles(names))


FIGURES = {
    "nets.png": Figure(
        figures.bars(TEST),
        "Test error, a figure a number of digits. The paper's errors are those of its own 160 digits.",
    ),
    "five.png": Figure(by_digits(FIVE), "The paper's five nets, from more digits."),
    "units.png": Figure(by_digits(UNITS), "The same 192 units: dense, local, and with shared weights."),
    "equal.png": Figure(by_digits(WEIGHTS), "About as many weights, 1060 to 1226: dense, local and shared."),
    "weights.png": Figure(figures.bars(COUNT, (DIGITS[320],)), "Free weights, with biases."),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist"),
    rows=rows,
    metrics=[*ERRORS, COUNT],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
