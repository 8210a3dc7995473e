"""Greedy layer-wise training of deep networks (Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).

Does it help a deep net to train its layers one after the other first, and do labels help with that? Experiment 2
compares three hidden layers with one. Experiment 3 is the same with a top hidden layer of 20 units. Below the paper's
rows are ours: later ways to train.

One rule holds for all of the paper's rows. Each tries five rates in each of two sizes of minibatches. Fine-tuning waits
for 10 epochs without a better validation error, of at most 60. The trial with the least validation error is trained
again from fresh seeds, which are reported. Only the epochs and rates of pre-training are those of an earlier search.
Experiment 3 takes over the sizes of layers. Two more questions are asked: what would less patience have returned, and
does pre-training pay at equal cost? One row trains a deep net for as long as the DBN takes in all.

    python -m experiments bengio2006                   # 8 x 8 digits: about a minute on two cores
    python -m experiments bengio2006 --preset paper    # MNIST: 6 to 11 hours on two cores

Lecture: CMU 10-601B 16, "Deep Learning (Part I)", Ideas #1 to #3; CS7015 lecture 9, "Unsupervised pre-training".
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import optax
from jax import Array

from dlx import study
from dlx.classify import classify, errors, start
from dlx.inspect.curves import stopped
from dlx.inspect.filters import strongest
from dlx.losses.supervised import misclassified
from dlx.nets.layer import INITIALIZERS, check_name
from dlx.nets.mlp import hidden, mlp
from dlx.nets.noise import dropout
from dlx.nets.rectified import rectified
from dlx.optim import adam, max_norm, sgd
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.stage import chain
from dlx.study import (
    ERRORS,
    Claim,
    Figure,
    Metric,
    Published,
    Result,
    Row,
    Study,
    Unit,
    claims,
    cost_figures,
    figures,
    main,
)
from dlx.train import by_batches
from dlx.types import Model


class Net(NamedTuple):
    """A kind of net, and how it is trained on the labels."""

    make: Callable[..., Model]
    """`make(widths, classes, initializer)`; rectified nets ignore the initialiser, and start from He's."""
    optimizer: Callable[[Any], optax.GradientTransformation]
    """`optimizer(rate)`."""


NETS = {
    "sigmoid": Net(mlp, sgd),
    "relu": Net(lambda widths, classes, _: rectified(widths, classes), adam),
    "dropout": Net(
        lambda widths, classes, _: rectified(widths, classes, noise=dropout()),
        lambda rate: optax.chain(adam(rate), max_norm(3.0)),
    ),
    "batchnorm": Net(lambda widths, classes, _: rectified(widths, classes, normalised=True), adam),
}


PATIENCES = (1, 2, 4, 7, 10)
"""The patience of each of which a watched run tells what it would have returned."""


@dataclass(frozen=True)
class Finetune:
    """The training of all layers on the labels, from given layers or fresh ones. It keeps the net and some filters."""

    net: str
    """A name in `NETS`."""
    widths: tuple[int, ...]
    epochs: int
    patience: int
    batch_size: int
    initializer: str = "fan"
    """A name in `INITIALIZERS`, for nets of sigmoid units."""
    classes: int = 10
    watched: bool = False
    """Whether it tells the test error after every epoch. That is for the record: nothing is chosen by it."""

    def __post_init__(self):
        """Raise ValueError for an unknown net or initialiser."""
        check_name(self.net, NETS)
        check_name(self.initializer, INITIALIZERS)

    def __call__(self, key, hypers, given, data, progress):
        """Trains the net, and evaluates it as it was after the epoch with the least validation error."""
        net = NETS[self.net].make(self.widths, self.classes, INITIALIZERS[self.initializer])
        wrong = partial(by_batches, misclassified(net))
        tune = classify(
            net,
            NETS[self.net].optimizer(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            patience=self.patience,
            watch=(lambda params, data: {"test": wrong(params, data.test).mean()}) if self.watched else None,
            progress=progress("fine-tuning", epochs=self.epochs),
        )
        key_init, key_train = jax.random.split(key)
        fresh = start(key_init, net, data, given)
        key_train = jax.random.fold_in(key_train, len(given))  # a layer takes the number of layers below it
        params, (curve, measured) = chain(tune, errors(net))(key_train, fresh, data)
        filters = strongest(params[hidden(0)]["w"], 16)  # of the 16 units of largest norm, for a figure
        result = Result.of(curve._replace(watched={}), measured)
        if self.watched:
            result = with_patiences(result, curve.score, curve.watched["test"], self.patience)
        return {"filters": filters, "net": params}, result


def with_patiences(result: Result, score: Array, error: Array, longest: int) -> Result:
    """The result with the test error by epoch, and the test error that each patience would have returned.

    A run cannot tell what more patience than its own would have returned.
    """
    told = {f"patience_{wait}": error[stopped(score, wait)[0]] for wait in PATIENCES if wait <= longest}
    return result.telling(test=told)._replace(curves={**result.curves, "test": {"error": error}})


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    tied: bool = True
    """Auto-associators decode by the transpose of their encoder; if not tied, by a matrix of their own."""
    k: int = 1
    """Gibbs steps of contrastive divergence."""
    seeds_of_ours: int | None = None
    """Fresh seeds of a row that is not the paper's. Default: 2 for quick, 3 for paper (5 of the deep net trained for
    long)."""


class Way(NamedTuple):
    """A way to train: the pre-training of the layers by a method of `Layer`, and the net that is then fine-tuned."""

    title: str
    pretraining: str | None = None
    net: str = "sigmoid"


WAYS = {
    "dbn": Way("DBN, RBM pre-training (CD-1)", pretraining="dbn"),
    "autoassociator": Way("deep, auto-associator pre-training", pretraining="autoassociator"),
    "supervised": Way("deep, supervised pre-training", pretraining="supervised"),
    "deep": Way("deep, no pre-training"),
    "shallow": Way("shallow, no pre-training"),
    "relu": Way("deep, rectified units, He's initialisation, Adam", net="relu"),
    "dropout": Way("the same with dropout and max-norm", net="dropout"),
    "batchnorm": Way("the same with batch normalisation", net="batchnorm"),
    "denoising": Way("deep, denoising auto-associator", pretraining="denoising"),
}


class Trial(NamedTuple):
    """The arguments of a trial: each row fixes some and searches the others."""

    width: int  # units of a hidden layer
    batch_size: int  # of fine-tuning
    epochs: int  # of fine-tuning
    patience: int  # of fine-tuning
    rate: float  # of fine-tuning
    depth: int = 3  # hidden layers
    top: int | None = None  # units of the last hidden layer, if not `width`
    initializer: str = "fan"
    pretrain_epochs: int = 0
    pretrain_rate: float = 0.0
    masking: float = 0.0  # fraction of its inputs that a denoising auto-associator sets to 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        return (self.width,) * (self.depth - 1) + (self.top or self.width,)


def unit(row: str, options: Options, seed: int, watched: bool = False, **arguments: Any) -> Unit:
    """The fine-tuning of a trial, on layers that are trained greedily if the row has pre-training.

    If `watched`, fresh seeds tell their test errors by epoch. These seeds are 1 and more: a search has 0 and less.
    """
    way, trial = WAYS[row], Trial(**arguments)
    layers = ()
    if way.pretraining:
        fields: dict[str, Any] = {
            "dbn": {"k": options.k},
            "autoassociator": {"tied": options.tied},
            "denoising": {"tied": options.tied},
            "supervised": {},
        }[way.pretraining]
        fields |= {"epochs": trial.pretrain_epochs, "initializer": trial.initializer}
        layer = partial(Layer, way.pretraining, **fields)  # in minibatches of 20, as `Layer` says
        layers = greedy_layers(layer, trial.widths, LayerHypers(trial.pretrain_rate, trial.masking), seed)
    tune = Finetune(
        way.net,
        trial.widths,
        epochs=trial.epochs,
        patience=trial.patience,
        batch_size=trial.batch_size,
        initializer=trial.initializer,
        watched=watched and seed > 0,
    )
    return Unit(tune, Rate(trial.rate), layers, seed)


def part(width=500, batch_size=100, epochs=30, patience=4, **others: Any) -> dict[str, Any]:
    """A part of a row's space, whose trials are all combinations of its lists. Of equal scores the first is chosen."""
    return {"width": width, "batch_size": batch_size, "epochs": epochs, "patience": patience, **others}


class Sizes(NamedTuple):
    """What the presets differ in."""

    spaces: dict[str, list[dict[str, Any]]]
    """What is searched, by row; of rows that take over no other row's choice."""
    finetuning: list[dict[str, Any]]
    """What a deep row of Experiment 3 searches, given the net and the pre-training that Experiment 2 has chosen."""
    watched: tuple[str, ...]
    """Groups whose fresh runs tell the test error after every epoch."""
    from_glorot: tuple[str, ...]
    """Rows of Experiment 2 that are trained once more, from Glorot's initialisation."""
    denoising: tuple[str, ...]
    """Rows that take over the choice of auto-associators, and search how many of their inputs are set to 0."""
    seeds_of_ours: int
    """Fresh seeds of a row that is not the paper's."""
    seeds_of_long: int
    """Fresh seeds of the row that is trained for as long as the DBN takes in all."""


RATES = {20: [0.15, 0.3, 0.6, 1.2, 2.4], 100: [0.3, 0.6, 1.2, 2.4, 4.8]}
"""Rates of fine-tuning, by the size of its minibatches."""


def searched(**others: Any) -> list[dict[str, Any]]:
    """What each of the paper's rows searches on MNIST: the same trials, each with the same patience."""
    return [
        part(width=750, batch_size=20, epochs=60, patience=10, rate=RATES[20], **others),
        part(width=500, batch_size=100, epochs=60, patience=10, rate=RATES[100], **others),
    ]


small_part = partial(part, width=64, batch_size=20, epochs=20, patience=10)
SIZES = {
    "quick": Sizes(
        spaces={
            "exp2/dbn": [small_part(depth=2, rate=2.0, pretrain_epochs=5, pretrain_rate=[0.05, 0.1])],
            "exp2/autoassociator": [small_part(depth=2, rate=2.0, pretrain_epochs=5, pretrain_rate=[0.05, 0.1])],
            "exp2/supervised": [small_part(depth=2, rate=2.0, pretrain_epochs=5, pretrain_rate=[0.05, 0.1])],
            "exp2/deep": [small_part(depth=2, rate=[0.5, 2.0])],
            "exp2/shallow": [small_part(depth=1, rate=[0.5, 2.0])],
            "exp3/shallow": [small_part(depth=1, width=20, rate=[0.5, 2.0])],
            "exp2/relu": [small_part(depth=2, rate=[0.001, 0.003])],
        },
        finetuning=[{"rate": [0.5, 2.0]}],
        watched=("Experiment 2",),
        from_glorot=(),
        denoising=(),
        seeds_of_ours=2,
        seeds_of_long=2,
    ),
    "paper": Sizes(
        spaces={
            "exp2/dbn": searched(pretrain_epochs=15, pretrain_rate=0.1),
            "exp2/autoassociator": searched(pretrain_epochs=15, pretrain_rate=0.2),
            "exp2/supervised": searched(pretrain_epochs=5, pretrain_rate=0.3),
            "exp2/deep": searched(),
            "exp2/shallow": searched(depth=1),
            "exp3/shallow": [{**each, "width": 20} for each in searched(depth=1)],
            "exp2/relu": [part(epochs=50, patience=6, rate=[0.0003, 0.001])],
            "exp2/dropout": [part(epochs=50, patience=6, rate=[0.001, 0.002])],
            "exp2/batchnorm": [part(epochs=50, patience=6, rate=[0.001, 0.003])],
        },
        finetuning=[{"batch_size": 20, "rate": RATES[20]}, {"batch_size": 100, "rate": RATES[100]}],
        watched=("Experiment 2", "Experiment 3"),
        from_glorot=("deep", "shallow"),
        denoising=("denoising",),
        seeds_of_ours=3,
        seeds_of_long=5,
    ),
}
COST_OF_CD = 4
"""What an epoch of CD-1 in minibatches of 20 costs. On a core it takes twice as long as one of fine-tuning the same
weights in minibatches of 20, and four times as long as one in minibatches of 100."""
TRAIN, VALID, TEST = ERRORS


def as_long(chosen: Mapping[str, Mapping[str, Any]], inputs: int) -> list[dict[str, Any]]:
    """The choice of the deep net, trained without early stopping for as long as the DBN can take in all.

    That is its epochs of pre-training, and its most epochs of fine-tuning. Each counts with the weights of its hidden
    layers, and with the size of its minibatches. The net is still that of the epoch with the least validation error.
    """

    def weights(trial: Mapping[str, Any]) -> int:
        return sum(n * m for n, m in itertools.pairwise((inputs, *Trial(**trial).widths)))

    def cost(trial: Mapping[str, Any]) -> int:
        """Of an epoch of fine-tuning."""
        return weights(trial) * (2 if trial["batch_size"] < 100 else 1)

    dbn, deep = chosen["exp2/dbn"], chosen["exp2/deep"]
    whole = COST_OF_CD * dbn["pretrain_epochs"] * weights(dbn) + dbn["epochs"] * cost(dbn)
    epochs = math.ceil(whole / cost(deep))
    return [{**deep, "epochs": epochs, "patience": epochs}]


def published(train: float, valid: float, test: float) -> dict[str, Published]:
    """The paper's errors in percent. The test error is consistent across sources (A), the others are from one (B)."""
    return {TRAIN.name: Published(train, "B"), VALID.name: Published(valid, "B"), TEST.name: Published(test, "A")}


PAPER = {
    "exp2/dbn": published(train=0, valid=1.2, test=1.2),
    "exp2/autoassociator": published(train=0, valid=1.4, test=1.4),
    "exp2/supervised": published(train=0, valid=1.7, test=2.0),
    "exp2/deep": published(train=0.004, valid=2.1, test=2.4),
    "exp2/shallow": published(train=0.004, valid=1.8, test=1.9),
    "exp3/dbn": published(train=0, valid=1.5, test=1.5),
    "exp3/autoassociator": published(train=0, valid=1.4, test=1.6),
    "exp3/supervised": published(train=0, valid=1.8, test=1.9),
    "exp3/deep": published(train=0.59, valid=2.1, test=2.2),
    "exp3/shallow": published(train=3.6, valid=4.7, test=5.0),
}
DEEP = ("dbn", "autoassociator", "supervised", "deep")


def rows(options, about):
    """The paper's rows, then ours. Of ours the quick preset has only a rectified net and the one trained for long."""
    sizes = SIZES[options.preset]

    def of_paper(name, way, space, group, **others):
        build = partial(unit, way, options, watched=group in sizes.watched)
        return Row(name, WAYS[way].title, build, space, paper=PAPER[name], group=group, **others)

    def of_ours(name, way, space, words="", seeds=sizes.seeds_of_ours, **others):
        title = f"ours: {WAYS[way].title}{words}"
        return Row(name, title, partial(unit, way, options), space, seeds=options.seeds_of_ours or seeds, **others)

    def narrow_top(row, chosen):
        """The choice of a row of Experiment 2, with a top layer of 20 units and a new search of the fine-tuning."""
        return [{**chosen[row], "top": 20, **part} for part in sizes.finetuning]

    def changed(row, chosen, **changes):
        """The choice of a row, but for the changes."""
        return [{**chosen[row], **changes}]

    masked = partial(changed, "exp2/autoassociator", masking=[0.1, 0.25, 0.4])
    long = partial(as_long, inputs=about["main"].data.train.x.shape[1])
    return [
        *(
            of_paper(f"exp2/{way}", way, sizes.spaces[f"exp2/{way}"], group="Experiment 2", keep=1)
            for way in (*DEEP, "shallow")
        ),
        *(
            of_paper(
                f"exp3/{way}", way, partial(narrow_top, f"exp2/{way}"), after=(f"exp2/{way}",), group="Experiment 3"
            )
            for way in DEEP
        ),
        of_paper("exp3/shallow", "shallow", sizes.spaces["exp3/shallow"], group="Experiment 3"),
        of_ours(
            "exp2/deep/long",
            "deep",
            long,
            words=", for as long as the DBN takes in all",
            seeds=sizes.seeds_of_long,
            after=("exp2/dbn", "exp2/deep"),
            group="Experiment 2",
        ),
        *(
            of_ours(f"exp2/{way}", way, sizes.spaces[f"exp2/{way}"], group="Experiment 2", keep=1)
            for way in ("relu", "dropout", "batchnorm")
            if f"exp2/{way}" in sizes.spaces
        ),
        *(
            of_ours(
                f"exp2/{way}/glorot",
                way,
                partial(changed, f"exp2/{way}", initializer="glorot"),
                words=", Glorot's initialisation",
                after=(f"exp2/{way}",),
                group="Experiment 2, Glorot's initialisation",
            )
            for way in sizes.from_glorot
        ),
        *(
            of_ours(f"exp2/{way}", way, masked, after=("exp2/autoassociator",), group="Experiment 2", keep=1)
            for way in sizes.denoising
        ),
    ]


BY_ADAM = ("exp2/relu", "exp2/dropout", "exp2/batchnorm")


def drawn_against(row: str, trial: Mapping[str, Any]) -> dict[str, float]:
    """The values that a trial is drawn against in the figures of the search. Adam's rates are of another kind."""
    rate = "Adam's rate" if row in BY_ADAM else f"rate, minibatches of {trial['batch_size']}"
    values = {rate: trial["rate"]}
    if "pretrain_rate" in trial:
        values["pre-training rate"] = trial["pretrain_rate"]
    return values


def of_patience(wait: int) -> Metric:
    """The test error that a patience would have returned."""
    return TEST._replace(name=f"test/patience_{wait}", label=f"test error % at patience {wait}", per_example="")


lower, near_paper = claims.lower, claims.near_paper
# A sentence, the test over seeds that decides it, and the lectures' claims in claims.toml that it is part of.
CLAIMS = [
    Claim(
        "Experiment 2: without pre-training a deep net errs more than a shallow one.",
        lower(TEST, "exp2/shallow", than="exp2/deep"),
        ("A1",),
        figure="bars-1.png",
    ),
    Claim(
        "Experiment 2: supervised greedy pre-training improves on none.",
        lower(TEST, "exp2/supervised", than="exp2/deep"),
        ("A2",),
        figure="bars-1.png",
    ),
    Claim(
        "Experiment 2: unsupervised pre-training improves on the other three.",
        lower(TEST, ["exp2/dbn", "exp2/autoassociator"], than=["exp2/supervised", "exp2/deep", "exp2/shallow"]),
        ("A3",),
        figure="bars-1.png",
        answers=True,
    ),
    Claim(
        "Experiment 2: no mean is over 0.1 points above the paper's.",
        near_paper(TEST, [f"exp2/{way}" for way in (*DEEP, "shallow")], tolerance=0.1),
        figure="bars-1.png",
    ),
    # A1 is not asked of Experiment 3, whose shallow net has only 20 units.
    Claim(
        "Experiment 3: supervised greedy pre-training improves on none.",
        lower(TEST, "exp3/supervised", than="exp3/deep"),
        ("A2",),
        figure="bars-2.png",
    ),
    Claim(
        "Experiment 3: unsupervised pre-training improves on the other three.",
        lower(TEST, ["exp3/dbn", "exp3/autoassociator"], than=["exp3/supervised", "exp3/deep", "exp3/shallow"]),
        ("A3",),
        figure="bars-2.png",
        answers=True,
    ),
    Claim(
        "Experiment 3: no mean is over 0.1 points above the paper's.",
        near_paper(TEST, [f"exp3/{way}" for way in (*DEEP, "shallow")], tolerance=0.1),
        figure="bars-2.png",
    ),
    Claim(
        "Experiment 2: with patience 4 the deep net without pre-training errs more than the shallow one.",
        lower(of_patience(4), "exp2/shallow", than="exp2/deep"),
        figure="patience.png",
    ),
    Claim(
        "Experiment 2: with patience 10 it errs no more than the shallow one.",
        claims.costs_at_most(of_patience(10), "exp2/deep", than="exp2/shallow", bound=0),
        figure="patience.png",
    ),
    Claim(
        "Experiment 2: the DBN errs less than a deep net without pre-training that is trained for as long in all.",
        lower(TEST, "exp2/dbn", than="exp2/deep/long"),
        figure="cost-1.png",
    ),
]
FIGURES = {
    "bars.png": Figure(
        figures.bars(TEST), "Test error of every row beside the paper's: bars are means, dots are seeds."
    ),
    "patience.png": Figure(
        cost_figures.over(
            {wait: of_patience(wait) for wait in PATIENCES},
            "patience: epochs without a better validation error",
            papers=TEST,
            groups=("Experiment 2",),
        ),
        "Experiment 2: the test error that each patience would have returned, told by the same runs: means over seeds "
        "with 95 % intervals. Hollow: the paper's errors.",
    ),
    "cost.png": Figure(
        cost_figures.against_cost(TEST, groups=("Experiment 2", "Experiment 3")),
        "Test error of each run against the core-seconds that it took, with the pre-training of its layers.",
    ),
    "curves.png": Figure(
        figures.curves("valid/score", "validation error %", 100, groups=("Experiment 2", "Experiment 3")),
        "Validation error by epoch of fine-tuning: the mean over seeds, in a band from best to worst.",
    ),
    "filters.png": Figure(
        figures.filters("filters", groups=("Experiment 2",)),
        "First-layer filters after fine-tuning: of each row's first seed the units of largest norm.",
    ),
    "search2.png": Figure(
        figures.search("validation error %", 100, drawn_against, group="Experiment 2"),
        "Experiment 2: validation error of each trial.",
    ),
    "search3.png": Figure(
        figures.search("validation error %", 100, drawn_against, group="Experiment 3"),
        "Experiment 3: validation error of each trial.",
    ),
}
STUDY = Study(
    doc=__doc__,
    options=Options,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
