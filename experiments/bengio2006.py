"""Greedy layer-wise training of deep networks, on MNIST (Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).

Does it help a deep net to train its layers one after the other first, and do labels help with that? Experiment 2
compares three hidden layers with one. Experiment 3 is the same with a top hidden layer of 20 units. The paper's deep
rows have equal searches. The trial with the least validation error is trained again from fresh seeds, which are
reported. Experiment 3 takes over the choice of pre-training. Below the paper's rows are ours: later ways to train.

    python -m experiments bengio2006                   # 8 x 8 digits: about a minute on two cores
    python -m experiments bengio2006 --preset paper    # MNIST: 6 to 11 hours on two cores

Lecture: CMU 10-601B 16, "Deep Learning (Part I)", Ideas #1 to #3; CS7015 lecture 9, "Unsupervised pre-training".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import optax

from dlx import study
from dlx.classify import classify
from dlx.inspect.filters import strongest
from dlx.losses.supervised import misclassified
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import hidden, mlp
from dlx.nets.noise import SILENT, dropout
from dlx.nets.rectified import rectified
from dlx.optim import adam, max_norm, sgd
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers, merge
from dlx.stage import chain, evaluate
from dlx.study import ERRORS, Claim, Figure, Published, Result, Row, Study, Unit, claims, figures, main

TITLES = {
    "dbn": "DBN, RBM pre-training (CD-1)",
    "autoassociator": "deep, auto-associator pre-training",
    "supervised": "deep, supervised pre-training",
    "deep": "deep, no pre-training",
    "shallow": "shallow, no pre-training",
    "relu": "deep, rectified units, He's initialisation, Adam",
    "dropout": "the same with dropout and max-norm",
    "batchnorm": "the same with batch normalisation",
    "denoising": "deep, denoising auto-associator",
}
# Train, valid and test error in percent. Test: consistent across sources (A); train and valid: from one source (B).
PAPER: dict[str, dict[int, tuple[float, ...]]] = {
    "dbn": {2: (0, 1.2, 1.2), 3: (0, 1.5, 1.5)},
    "autoassociator": {2: (0, 1.4, 1.4), 3: (0, 1.4, 1.6)},
    "supervised": {2: (0, 1.7, 2.0), 3: (0, 1.8, 1.9)},
    "deep": {2: (0.004, 2.1, 2.4), 3: (0.59, 2.1, 2.2)},
    "shallow": {2: (0.004, 1.8, 1.9), 3: (3.6, 4.7, 5.0)},
}


@dataclass(frozen=True)
class Finetune:
    """The training of all layers on the labels, from given layers or fresh ones. It keeps the net and some filters."""

    net: str  # sigmoid, relu, dropout or batchnorm
    widths: tuple[int, ...]
    epochs: int
    patience: int
    batch_size: int
    initializer: str = "fan"
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Trains the net, and evaluates it as it was after the epoch with the least validation error."""
        phase: dict[str, Any] = {name: getattr(self, name) for name in ("epochs", "patience", "batch_size")}
        phase["progress"] = progress("fine-tuning", epochs=self.epochs)
        if self.net == "sigmoid":
            net, rule = mlp(self.widths, self.classes, INITIALIZERS[self.initializer]), sgd(hypers.rate)
        else:
            noise = dropout() if self.net == "dropout" else SILENT
            net = rectified(self.widths, self.classes, normalised=self.net == "batchnorm", noise=noise)
            rule = adam(hypers.rate) if noise == SILENT else optax.chain(adam(hypers.rate), max_norm(3.0))
        key_init, key_train = jax.random.split(key)
        start = {**net.init(key_init, data.train.x[0]), **merge(given)}
        train = chain(classify(net, rule, **phase), evaluate(error=misclassified(net)))
        params, (curve, errors) = train(jax.random.fold_in(key_train, len(given)), start, data)
        return {"filters": strongest(params[hidden(0)]["w"], 16), "net": params}, Result.of(curve, errors)


def unit(
    row: str,
    seed: int,
    *,
    width: int,
    rate: float,
    epochs: int,
    patience: int,
    depth: int = 3,
    top: int | None = None,
    batch_size: int = 20,
    pretrain_epochs: int = 0,
    pretrain_rate: float = 0.0,
    masking: float = 0.0,
    initializer: str = "fan",
    tied: bool = True,
    k: int = 1,
    classes: int = 10,
) -> Unit:
    """The fine-tuning of a trial, on layers that are trained greedily if the row has pre-training."""
    widths, layers = (width,) * (depth - 1) + (top or width,), ()
    if pretrain_epochs:
        only = {"dbn": {"k": k}, "supervised": {"classes": classes}}.get(row, {"tied": tied})
        layer = partial(Layer, row, epochs=pretrain_epochs, initializer=initializer, **only)
        layers = greedy_layers(layer, widths, LayerHypers(pretrain_rate, masking), seed)
    net = row if row in MODERN else "sigmoid"
    return Unit(Finetune(net, widths, epochs, patience, batch_size, initializer, classes), Rate(rate), layers, seed)


# The search of Experiment 2: lists are searched, all else is fixed. Of trials with equal scores the first is chosen.
PATIENT, BRIEF = {"epochs": 60, "patience": 10}, {"epochs": 30, "patience": 4}
BIG, SMALL = {"width": 500, "batch_size": 100}, {"width": 750, "batch_size": 20, **BRIEF}
AA, LABELS = {"pretrain_epochs": 15, "pretrain_rate": 0.2}, {"pretrain_epochs": 5, "pretrain_rate": 0.3}
RBM, EVERY = {"pretrain_epochs": 15, "pretrain_rate": 0.1}, {"pretrain_rate": [0.05, 0.1, 0.2]}
SPACE: dict[str, list[dict[str, Any]]] = {
    "dbn": [
        {**BIG, **PATIENT, **RBM, "rate": [1.6, 2.4]},
        {"rate": [0.8, 1.6, 2.4], **BIG, **BRIEF, **RBM, **EVERY},
        {**BIG, **BRIEF, **RBM, "rate": 2.4, "width": 750},
        {**SMALL, **RBM, "rate": [0.3, 0.5, 0.9]},
        {**SMALL, **RBM, "rate": 0.5, "pretrain_epochs": 30},
    ],
    "autoassociator": [
        {**BIG, **PATIENT, **AA, "rate": [1.6, 2.4]},
        {"rate": [0.8, 1.6, 2.4], **BIG, **BRIEF, **AA, **EVERY},
        {**SMALL, **AA, "rate": [0.6, 1.0, 1.4, 2.0]},
        {**SMALL, **AA, "rate": 1.4, "pretrain_epochs": 30},
    ],
    "supervised": [
        {**BIG, **PATIENT, **LABELS, "rate": [1.6, 2.4, 3.2]},
        {**BIG, **PATIENT, **LABELS, "rate": 2.4, "pretrain_epochs": 10},
        {"rate": [0.8, 1.6, 2.4], **BIG, **BRIEF, **LABELS, "pretrain_rate": [0.1, 0.3, 0.9]},
        {**SMALL, **LABELS, "rate": [0.3, 0.6, 1.0]},
    ],
    "deep": [
        {**BIG, **PATIENT, "rate": [0.8, 1.4]},
        {**BIG, **BRIEF, "rate": [0.4, 0.8, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8]},
        {**SMALL, "rate": [0.3, 0.6, 1.0, 1.4, 2.0]},
    ],
    "shallow": [
        {**BIG, **BRIEF, "depth": 1, "width": [500, 750, 1000], "rate": [0.8, 1.6, 2.4]},
        {**SMALL, "depth": 1, "width": [500, 750, 1000], "epochs": 40, "rate": [0.1, 0.2, 0.3]},
    ],
}
MODERN = {"relu": [0.0003, 0.001], "dropout": [0.001, 0.002], "batchnorm": [0.001, 0.003]}


def space(preset: str, experiment: int, row: str) -> list[dict[str, Any]]:
    """The space of a row that takes over no other row's choice."""
    if preset == "quick":
        shape = {"depth": 2 - (row == "shallow"), "width": 20 if (experiment, row) == (3, "shallow") else 64}
        search: dict[str, Any] = {"rate": [0.001, 0.003] if row in MODERN else [0.5, 2.0]}
        if row not in (*MODERN, "deep", "shallow"):
            search = {"rate": 2.0, "pretrain_epochs": 5, "pretrain_rate": [0.05, 0.1]}
        return [{**shape, "epochs": 20, "patience": 5, **search}]
    if row in MODERN:
        return [{**BIG, "epochs": 50, "patience": 6, "rate": MODERN[row]}]
    if experiment == 2:
        return SPACE[row]
    top, rates = {"depth": 1, "width": 20, "batch_size": 100}, [0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0, 2.4]
    return [{**top, **PATIENT, "rate": [0.4, 0.6]}, {**top, **BRIEF, "rate": rates}]


def narrow(preset: str, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The space of a row that takes over a choice of Experiment 2.

    It does not take over rate, epochs and patience of fine-tuning.
    """
    if preset == "quick":
        return [{**chosen, "top": 20, "rate": [0.5, 2.0]}]
    rates = {20: [0.3, 0.6, 1.0, 1.4, 2.0], 100: [0.8, 1.6, 2.4, 3.2, 4.0]}[chosen["batch_size"]]
    parts = {**PATIENT, "rate": rates[1:]}, {**BRIEF, "rate": rates[:3]}
    return [{**chosen, "top": 20, **part} for part in parts]


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    tied: bool = True
    """Auto-associators decode by the transpose of their encoder; if not tied, by a matrix of their own."""
    k: int = 1
    """Gibbs steps of contrastive divergence."""
    seeds_of_ours: int | None = None
    """Fresh seeds of a row that is not the paper's. Default: 2 for quick, 3 for paper."""


def rows(options, about):
    """The paper's rows, then ours. Of ours the quick preset has only the rectified nets."""
    few = options.seeds_of_ours or {"quick": 2, "paper": 3}[options.preset]
    more = {"tied": options.tied, "k": options.k, "classes": about["main"].classes}

    def row(experiment, name, trials=None, after="", suffix="", words=""):
        paper = PAPER[name].get(experiment, ()) if name in PAPER and not suffix else ()
        status = zip(ERRORS, paper, ("B", "B", "A"), strict=False)
        return Row(
            name=f"exp{experiment}/{name}{suffix}",
            title=("" if paper else "ours: ") + TITLES[name] + words,
            build=lambda seed, **trial: unit(name, seed, **trial, **more),
            space=(lambda chosen: trials(chosen[after])) if trials else space(options.preset, experiment, name),
            after=(after,) if after else (),
            group=f"Experiment {experiment}{words}",
            paper={metric.name: Published(value, letter) for metric, value, letter in status},
            seeds=None if paper else few,
            keep=int(experiment == 2 and not suffix),
        )

    top = partial(narrow, options.preset)
    table = [row(2, name) for name in SPACE] + [row(3, name, top, f"exp2/{name}") for name in list(SPACE)[:-1]]
    table += [row(3, "shallow"), *(row(2, name) for name in MODERN)]
    if options.preset == "quick":
        return table
    glorot: dict[str, Any] = {"suffix": "/glorot", "words": ", Glorot's initialisation"}
    table += [row(2, name, lambda one: [{**one, "initializer": "glorot"}], f"exp2/{name}", **glorot) for name in SPACE]
    masked = {"masking": [0.1, 0.25, 0.4]}
    return [*table, row(2, "denoising", lambda one: [{**one, **masked}], "exp2/autoassociator")]


def drawn_against(row: str, trial: Mapping[str, Any]) -> dict[str, float]:
    """The values that a trial is drawn against in the figures of the search. Adam's rates are of another kind."""
    rate = "Adam's rate" if row.rpartition("/")[2] in MODERN else f"rate, minibatches of {trial.get('batch_size', 20)}"
    return {rate: trial["rate"], **({"pre-training rate": trial["pretrain_rate"]} if "pretrain_rate" in trial else {})}


def claimed(experiment: int) -> list[Claim]:
    """The lecture's three claims, and that the paper's values are reached."""
    dbn, autoassociator, supervised, deep, shallow = every = [f"exp{experiment}/{row}" for row in PAPER]
    lower, others = partial(claims.lower, ERRORS[-1]), [supervised, deep, shallow]
    said = [
        ("A1", "without pre-training a deep net errs more than a shallow one", lower(rows=shallow, than=deep)),
        ("A2", "supervised greedy pre-training improves on none", lower(rows=supervised, than=deep)),
        ("A3", "unsupervised pre-training improves on the other three", lower(rows=[dbn, autoassociator], than=others)),
        ("", "no mean is over 0.1 points above the paper's", claims.near_paper(ERRORS[-1], every, tolerance=0.1)),
    ]
    return [Claim(f"Experiment {experiment}: {words}.", how, (n,) if n else ()) for n, words, how in said]


VALID = "validation error %"
STUDY = Study(
    doc=__doc__,
    options=Options,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    claims=[*claimed(2), *claimed(3)[1:]],  # in Experiment 3 the shallow net has only 20 units
    figures={
        "bars.png": Figure(
            figures.bars(ERRORS[-1]), "Test error of every row beside the paper's: bars are means, dots are seeds."
        ),
        "curves.png": Figure(
            figures.curves("valid/score", VALID, 100, ("Experiment 2", "Experiment 3")),
            "Validation error by epoch of fine-tuning: the mean over seeds, in a band from best to worst.",
        ),
        "filters.png": Figure(
            figures.filters("filters", ("Experiment 2",)),
            "First-layer filters after fine-tuning: of each row's first seed the units of largest norm.",
        ),
        **{
            f"search{e}.png": Figure(
                figures.search(VALID, 100, drawn_against, f"Experiment {e}"),
                f"Experiment {e}: validation error of each trial.",
            )
            for e in (2, 3)
        },
    },
)

if __name__ == "__main__":
    main(STUDY)
