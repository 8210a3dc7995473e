"""Greedy layer-wise training of deep networks (Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).

Does it help a deep net to train its layers one after the other first, and do labels help with that? Experiment 2
compares three hidden layers with one. Experiment 3 is the same with a top hidden layer of 20 units. The paper's deep
rows have equal searches. The trial with the least validation error is trained again from fresh seeds, which are
reported. Experiment 3 takes over the choice of pre-training. Below the paper's rows are ours: later ways to train.

Not all trials waited equally long for a better validation error. Of Experiment 2's chosen ones supervised
pre-training waits for 10 epochs, and the others for 4; Experiment 3's all wait for 10. What is said of deep nets
without pre-training may rest on that. No search has been finished in which all trials wait for 10 epochs.

    python -m experiments bengio2006                   # 8 x 8 digits: about a minute on two cores
    python -m experiments bengio2006 --preset paper    # MNIST: 6 to 11 hours on two cores

Lecture: CMU 10-601B 16, "Deep Learning (Part I)", Ideas #1 to #3; CS7015 lecture 9, "Unsupervised pre-training".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from dlx import study
from dlx.classify import classify, errors, start
from dlx.inspect.filters import strongest
from dlx.nets.layer import INITIALIZERS, check_name
from dlx.nets.mlp import hidden, mlp
from dlx.nets.noise import dropout
from dlx.nets.rectified import rectified
from dlx.optim import adam, max_norm, sgd
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Published, Result, Row, Study, Unit, claims, figures, main
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

    def __post_init__(self):
        """Raise ValueError for an unknown net or initialiser."""
        check_name(self.net, NETS)
        check_name(self.initializer, INITIALIZERS)

    def __call__(self, key, hypers, given, data, progress):
        """Trains the net, and evaluates it as it was after the epoch with the least validation error."""
        net = NETS[self.net].make(self.widths, self.classes, INITIALIZERS[self.initializer])
        tune = classify(
            net,
            NETS[self.net].optimizer(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            patience=self.patience,
            progress=progress("fine-tuning", epochs=self.epochs),
        )
        key_init, key_train = jax.random.split(key)
        fresh = start(key_init, net, data, given)
        key_train = jax.random.fold_in(key_train, len(given))  # a layer takes the number of layers below it
        params, (curve, measured) = chain(tune, errors(net))(key_train, fresh, data)
        filters = strongest(params[hidden(0)]["w"], 16)  # of the 16 units of largest norm, for a figure
        return {"filters": filters, "net": params}, Result.of(curve, measured)


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    tied: bool = True
    """Auto-associators decode by the transpose of their encoder; if not tied, by a matrix of their own."""
    k: int = 1
    """Gibbs steps of contrastive divergence."""
    seeds_of_ours: int | None = None
    """Fresh seeds of a row that is not the paper's. Default: 2 for quick, 3 for paper."""


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


def unit(row: str, options: Options, seed: int, **arguments: Any) -> Unit:
    """The fine-tuning of a trial, on layers that are trained greedily if the row has pre-training."""
    way, trial = WAYS[row], Trial(**arguments)
    widths = (trial.width,) * (trial.depth - 1) + (trial.top or trial.width,)
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
        layers = greedy_layers(layer, widths, LayerHypers(trial.pretrain_rate, trial.masking), seed)
    tune = Finetune(
        way.net,
        widths,
        epochs=trial.epochs,
        patience=trial.patience,
        batch_size=trial.batch_size,
        initializer=trial.initializer,
    )
    return Unit(tune, Rate(trial.rate), layers, seed)


def part(width=500, batch_size=100, epochs=30, patience=4, **others: Any) -> dict[str, Any]:
    """A part of a row's space, whose trials are all combinations of its lists. Of equal scores the first is chosen."""
    return {"width": width, "batch_size": batch_size, "epochs": epochs, "patience": patience, **others}


class Sizes(NamedTuple):
    """What the presets differ in."""

    spaces: dict[str, list[dict[str, Any]]]
    """What is searched, by row; of rows that take over no other row's choice."""
    finetuning: dict[int, list[dict[str, Any]]]
    """What a deep row of Experiment 3 searches: by the size of the minibatches that Experiment 2 has chosen."""
    from_glorot: tuple[str, ...]
    """Rows of Experiment 2 that are trained once more, from Glorot's initialisation."""
    denoising: tuple[str, ...]
    """Rows that take over the choice of auto-associators, and search how many of their inputs are set to 0."""
    seeds_of_ours: int
    """Fresh seeds of a row that is not the paper's."""


small_part = partial(part, width=64, batch_size=20, epochs=20, patience=5)
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
            "exp2/dropout": [small_part(depth=2, rate=[0.001, 0.003])],
            "exp2/batchnorm": [small_part(depth=2, rate=[0.001, 0.003])],
        },
        finetuning={20: [{"rate": [0.5, 2.0]}]},
        from_glorot=(),
        denoising=(),
        seeds_of_ours=2,
    ),
    "paper": Sizes(
        spaces={
            "exp2/dbn": [
                part(epochs=60, patience=10, pretrain_epochs=15, pretrain_rate=0.1, rate=[1.6, 2.4]),
                part(rate=[0.8, 1.6, 2.4], pretrain_epochs=15, pretrain_rate=[0.05, 0.1, 0.2]),
                part(width=750, pretrain_epochs=15, pretrain_rate=0.1, rate=2.4),
                part(width=750, batch_size=20, pretrain_epochs=15, pretrain_rate=0.1, rate=[0.3, 0.5, 0.9]),
                part(width=750, batch_size=20, pretrain_epochs=30, pretrain_rate=0.1, rate=0.5),
            ],
            "exp2/autoassociator": [
                part(epochs=60, patience=10, pretrain_epochs=15, pretrain_rate=0.2, rate=[1.6, 2.4]),
                part(rate=[0.8, 1.6, 2.4], pretrain_epochs=15, pretrain_rate=[0.05, 0.1, 0.2]),
                part(width=750, batch_size=20, pretrain_epochs=15, pretrain_rate=0.2, rate=[0.6, 1.0, 1.4, 2.0]),
                part(width=750, batch_size=20, pretrain_epochs=30, pretrain_rate=0.2, rate=1.4),
            ],
            "exp2/supervised": [
                part(epochs=60, patience=10, pretrain_epochs=5, pretrain_rate=0.3, rate=[1.6, 2.4, 3.2]),
                part(epochs=60, patience=10, pretrain_epochs=10, pretrain_rate=0.3, rate=2.4),
                part(rate=[0.8, 1.6, 2.4], pretrain_epochs=5, pretrain_rate=[0.1, 0.3, 0.9]),
                part(width=750, batch_size=20, pretrain_epochs=5, pretrain_rate=0.3, rate=[0.3, 0.6, 1.0]),
            ],
            "exp2/deep": [
                part(epochs=60, patience=10, rate=[0.8, 1.4]),
                part(rate=[0.4, 0.8, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8]),
                part(width=750, batch_size=20, rate=[0.3, 0.6, 1.0, 1.4, 2.0]),
            ],
            "exp2/shallow": [
                part(depth=1, width=[500, 750, 1000], rate=[0.8, 1.6, 2.4]),
                part(depth=1, width=[500, 750, 1000], batch_size=20, epochs=40, rate=[0.1, 0.2, 0.3]),
            ],
            "exp3/shallow": [
                part(depth=1, width=20, epochs=60, patience=10, rate=[0.4, 0.6]),
                part(depth=1, width=20, rate=[0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0, 2.4]),
            ],
            "exp2/relu": [part(epochs=50, patience=6, rate=[0.0003, 0.001])],
            "exp2/dropout": [part(epochs=50, patience=6, rate=[0.001, 0.002])],
            "exp2/batchnorm": [part(epochs=50, patience=6, rate=[0.001, 0.003])],
        },
        finetuning={
            20: [
                {"epochs": 60, "patience": 10, "rate": [0.6, 1.0, 1.4, 2.0]},
                {"epochs": 30, "patience": 4, "rate": [0.3, 0.6, 1.0]},
            ],
            100: [
                {"epochs": 60, "patience": 10, "rate": [1.6, 2.4, 3.2, 4.0]},
                {"epochs": 30, "patience": 4, "rate": [0.8, 1.6, 2.4]},
            ],
        },
        from_glorot=("dbn", "autoassociator", "supervised", "deep", "shallow"),
        denoising=("denoising",),
        seeds_of_ours=3,
    ),
}
TRAIN, VALID, TEST = ERRORS


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
    """The paper's rows, then ours. Of ours the quick preset has only the rectified nets."""
    sizes = SIZES[options.preset]

    def of_paper(name, way, space, **others):
        return Row(name, WAYS[way].title, partial(unit, way, options), space, paper=PAPER[name], **others)

    def of_ours(name, way, space, words="", **others):
        title, seeds = f"ours: {WAYS[way].title}{words}", options.seeds_of_ours or sizes.seeds_of_ours
        return Row(name, title, partial(unit, way, options), space, seeds=seeds, **others)

    def narrow_top(row, chosen):
        """The choice of a row of Experiment 2, with a top layer of 20 units and a new search of the fine-tuning."""
        choice = chosen[row]
        # Other minibatches, which --try may give, search what the nearest ones do.
        nearest = min(sizes.finetuning, key=lambda batch_size: abs(batch_size - choice["batch_size"]))
        return [{**choice, "top": 20, **part} for part in sizes.finetuning[nearest]]

    def changed(row, chosen, **changes):
        """The choice of a row, but for the changes."""
        return [{**chosen[row], **changes}]

    masked = partial(changed, "exp2/autoassociator", masking=[0.1, 0.25, 0.4])
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
        *(
            of_ours(f"exp2/{way}", way, sizes.spaces[f"exp2/{way}"], group="Experiment 2", keep=1)
            for way in ("relu", "dropout", "batchnorm")
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
]
FIGURES = {
    "bars.png": Figure(
        figures.bars(TEST), "Test error of every row beside the paper's: bars are means, dots are seeds."
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
