"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998): are 60 000 weights enough for 60 000 digits, if they are shared?

LeNet-5 is trained as it is today, with a full table of connections and a softmax output, and with the paper's table and
trained subsampling; then on digits that are distorted anew in each epoch. Beside it stand nets with the same layers of
units: local ones, each with weights of its own, and dense ones. Last, dense nets with about as many weights.

    python -m experiments lecun1998                   # 8 x 8 digits: about a minute on two cores
    python -m experiments lecun1998 --preset paper    # MNIST: about two hours on two cores

Lecture: Alpaydin 12, "LeNet-5", "Weight Sharing"; on feed-forward nets, "Improving Generalization"; CS/CNS/EE 155 16,
"Convolutions".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlx import study
from dlx.classify import classify, errors, start
from dlx.data.distort import Distortion, distorted
from dlx.inspect.counts import parameter_count
from dlx.nets.convolutional import GLOROT, Layer, flat, network
from dlx.nets.layer import check_name
from dlx.nets.lenet import SCALED_TANH, lenet5
from dlx.nets.module import Affine
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Metric, Published, Result, Row, Study, Unit, claims, figures, main
from dlx.train import examples, take
from dlx.types import Model

MOMENTUM = 0.9


def distortion(image: tuple[int, ...]) -> Distortion:
    """Elastic fields and planar affine maps, as far in relation to the image as those of Simard et al. are on MNIST.

    The paper's are affine ones alone, of which it tells no sizes. Noise that is smoothed less is larger, so the factor
    of the elastic field goes with the square of the side.
    """
    side = image[0] / 28
    return Distortion(rotation=15.0, scale=0.15, shear=0.15, elastic=36.0 * side**2, width=5.0 * side)


def dense(*widths: int) -> tuple[Layer, ...]:
    """Layers of so many units, each of which sees all of the layer below."""
    squash = SCALED_TANH.mean
    layers = [(Affine(width, GLOROT, name=f"hidden_{i}"), squash) for i, width in enumerate(widths)]
    return flat, *(part for layer in layers for part in layer)


class Net(NamedTuple):
    """A net: what the tables call it, and how it is made: as LeNet-5 with these options, or of dense layers."""

    title: str
    options: Mapping[str, Any] | None = None
    widths: tuple[int, ...] = ()
    """Of the dense layers. Without them these have as many units as LeNet-5's layers after pooling."""

    def model(self, classes: int, kernel: int, image: tuple[int, ...]) -> Model:
        """The net, from images to logits, with kernels of so many rows and columns."""
        if self.options is not None:
            return lenet5(classes, size=kernel, **self.options)
        widths = self.widths or units_of_lenet5(kernel, image)
        return network((*dense(*widths), Affine(classes, GLOROT, name="output")))


def units_of_lenet5(kernel: int, image: tuple[int, ...]) -> tuple[int, ...]:
    """The units of each of LeNet-5's layers, of those that are pooled after pooling."""
    first_maps = [side // 2 for side in image[:2]]
    second_maps = [(side - kernel + 1) // 2 for side in first_maps]
    return 6 * prod(first_maps), 16 * prod(second_maps), 120, 84


NETS = {
    "shared": Net("LeNet-5, full table", {}),
    "original": Net("LeNet-5, the paper's table", {"original": True}),
    "local": Net("local, same units", {"shared": False}),
    "dense": Net("dense, same units"),
    "small": Net("dense, as many weights", widths=(75, 32)),
}
"""Nets by name. On MNIST the last one has 61 637 weights, LeNet-5 61 706, and 60 850 with the paper's table."""


SHOWN = 10
"""Distortions of a digit that are kept for a figure."""


@dataclass(frozen=True)
class LeNet:
    """The training of a net on digits, by descent with momentum, whose rate falls to 0 by a cosine."""

    net: str
    """A name in `NETS`."""
    epochs: int
    batch_size: int
    kernel: int = 5
    """Rows and columns of a kernel."""
    distorts: bool = False
    """Whether each digit is distorted anew in each epoch."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown net."""
        check_name(self.net, NETS)

    def __call__(self, key, hypers, given, data, progress):
        """Errors after the last epoch, and weights: all, and as a share of those of local units.

        Keeps distortions of a digit, if it distorts.
        """
        key_init, key_train, key_show = jax.random.split(key, 3)
        net, local = (
            NETS[name].model(self.classes, self.kernel, data.train.x.shape[1:]) for name in (self.net, "local")
        )
        steps = self.epochs * (examples(data.train) // self.batch_size)
        prepare = distorted(distortion(data.train.x.shape[1:]))

        def rate(step):
            return hypers.rate * (0.5 + 0.5 * jnp.cos(jnp.pi * step / steps))

        train = classify(
            net,
            sgd(rate, MOMENTUM),
            epochs=self.epochs,
            batch_size=self.batch_size,
            prepare=prepare if self.distorts else None,
            progress=progress(self.net, epochs=self.epochs),
        )
        params, (curve, measured) = chain(train, errors(net))(key_train, start(key_init, net, data), data)
        weights = parameter_count(params)
        left = weights / parameter_count(jax.eval_shape(local.init, jax.random.key(0), data.train.x[0]))
        told = {"weights": jnp.float32(weights), "left": jnp.float32(left)}
        kept = {}
        if self.distorts:
            copies = take(data.train, jnp.zeros(SHOWN, jnp.int32))
            kept = {"distorted": prepare(key_show, copies).x.reshape(2, SHOWN // 2, -1)}
        return kept, Result.of(curve, measured).telling(model=told)


class Sizes(NamedTuple):
    """What the presets differ in."""

    epochs: int
    batch_size: int
    kernel: int
    rates: list[float]


SIZES = {
    "quick": Sizes(epochs=10, batch_size=20, kernel=3, rates=[0.01, 0.03]),
    "paper": Sizes(epochs=20, batch_size=50, kernel=5, rates=[0.003, 0.01, 0.03, 0.1]),
}
TEST = ERRORS[2]
COUNT = Metric("model/weights", "free weights")
LEFT = Metric("model/left", "weights left by sharing, %", 100, " %")
PLAIN, DISTORTED = 0.95, 0.8
"""The paper's test errors, in percent."""


class Kind(NamedTuple):
    """A row: the net, whether its digits are distorted, and the paper's test error, where there is one."""

    net: str
    distorts: bool = False
    error: float | None = None

    @property
    def title(self) -> str:
        """What the tables call it."""
        return NETS[self.net].title + ", distortions" * self.distorts


KINDS = {
    "shared": Kind("shared", error=PLAIN),
    "original": Kind("original", error=PLAIN),
    "distorted": Kind("shared", distorts=True, error=DISTORTED),
    "local": Kind("local"),
    "dense": Kind("dense"),
    "small": Kind("small"),
}


def rows(options, about):
    """LeNet-5 with and without distortions, and other nets, all with the same rates to choose."""
    sizes = SIZES[options.preset]

    def unit(seed, rate, kind):
        program = LeNet(kind.net, sizes.epochs, sizes.batch_size, sizes.kernel, kind.distorts)
        return Unit(program, Rate(rate), seed=seed)

    return [
        Row(
            name,
            kind.title,
            partial(unit, kind=kind),
            [{"rate": sizes.rates}],
            group=GROUP,
            paper={} if kind.error is None else {TEST.name: Published(kind.error)},
            keep=int(kind.distorts),
        )
        for name, kind in KINDS.items()
    ]


GROUP = "LeNet-5 and other nets"
SHARING = ("B32a", "C32")
CLAIMS = [
    Claim(
        "LeNet-5 with the paper's table, of 60 850 weights, comes within .15 points of the paper's .95 %.",
        claims.near_paper(TEST, ["original"], 0.15),
        ("D9",),
        figure="errors.png",
        answers=True,
    ),
    Claim(
        "LeNet-5 with the full table, of 61 706 weights, comes within .15 points of the paper's .95 %.",
        claims.near_paper(TEST, ["shared"], 0.15),
        ("D9",),
        figure="errors.png",
    ),
    Claim(
        "With distortions LeNet-5 comes within .15 points of the paper's .8 %.",
        claims.near_paper(TEST, ["distorted"], 0.15),
        figure="errors.png",
    ),
    Claim(
        "With distortions LeNet-5 errs less than without.",
        claims.lower(TEST, "distorted", than="shared"),
        figure="errors.png",
    ),
    Claim(
        "With shared weights LeNet-5 has less than half the weights of local units that are as many.",
        claims.exact(LEFT, "shared", 50),
        SHARING,
        figure="weights.png",
        answers=True,
    ),
    *(
        Claim(
            f"LeNet-5 errs less than {words}.",
            claims.lower(TEST, "shared", than=than),
            SHARING,
            figure="errors.png",
            answers=than == "local",
        )
        for than, words in (
            ("local", "local units that are as many, each with weights of its own"),
            ("dense", "dense layers of as many units"),
            ("small", "dense layers of about as many weights"),
        )
    ),
]
FIGURES = {
    "errors.png": Figure(figures.bars(TEST), "Test error of LeNet-5 and of nets without shared weights."),
    "weights.png": Figure(figures.bars(COUNT), "Free weights, with biases."),
    "learning.png": Figure(
        figures.curves("valid/score", "validation error %", 100), "Validation error by epoch; the rate falls to 0."
    ),
    "distorted.png": Figure(figures.samples("distorted"), "One digit, distorted ten times."),
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
