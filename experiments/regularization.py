"""What keeps a net from over-fitting, and how much does it help with few labels and with many?

A net with two hidden layers of sigmoid units learns from 100 to 50 000 labelled digits: as it is, with weight decay (L2
or L1), with early stopping, with dropout, with noise, with virtual examples, with a hint, or from layers that are
trained without labels on all images. Beside it is a linear map. Then: noise in three places by level; labels dealt out
at random; a deep net with and without batch normalisation and dropout; ridge regression, which has a closed form.

    python -m experiments regularization                   # 8 x 8 digits: a minute on two cores
    python -m experiments regularization --preset paper    # MNIST: about 40 minutes on two cores

Lecture: Alpaydin 12, "Regularization: Hints", "Weight Decay" and "Dropout"; on feed-forward nets, "Early Stopping" and
"Why Training is Hard"; CMU 10-601B 16, "Training Deep Networks"; CS7015 lecture 9, "What does regularization do?".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlx import study
from dlx.algorithms import gradient
from dlx.classify import classify, errors_and_nats, gap, start
from dlx.inspect.curves import stopped
from dlx.inspect.ridge import closed_form, posterior_slope
from dlx.inspect.weights import length, sizes
from dlx.losses.penalties import Penalty, hint, l1, l2, penalised
from dlx.losses.supervised import cross_entropy, squared_error
from dlx.nets.layer import INITIALIZERS, as_float, check_name
from dlx.nets.mlp import mlp, widths_of
from dlx.nets.module import Affine, model
from dlx.nets.noise import SILENT, Noise, dropout, gaussian
from dlx.nets.normalised import normalised
from dlx.nets.virtual import virtual
from dlx.optim import sgd
from dlx.programs import Layer, LayerHypers, greedy_layers
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.train import first, fit, minibatches
from dlx.types import Labelled, Model

MOMENTUM = 0.9
SMALL = 1e-3  # a weight of less than this counts as 0
EDGES = tuple(10 ** (i / 8) for i in range(-40, 9))
"""Edges of the histogram of sizes |w|, eight a decade, from 1e-5 to 10."""
SHIFT, ANGLE, SCALE = 1 / 14, 15.0, 0.15
"""The largest moves of virtual examples and hints: a part of the image's width, degrees, and a part of the size."""


class Regular(NamedTuple):
    """The learning rate, and the strength of each regulariser; one that is not used stays 0."""

    rate: float
    l2: float = 0.0
    l1: float = 0.0
    amount: float = 0.0  # its meaning is that of the kind, see `KINDS`
    shuffled: float = 0.0
    """If not 0, the labels of the training examples are dealt out to them at random."""


Moves = Callable[[Any], Callable]
"""`moves(factor)` is a function (key, images) -> images, which shifts, turns and scales each image at random.

It does so by at most `factor` times `SHIFT`, `ANGLE` and `SCALE`.
"""


class Kind(NamedTuple):
    """A way to regularise, as functions of the hyper-parameters."""

    noise: Callable[[Regular], Noise] = lambda hypers: SILENT
    """In training."""
    penalties: Callable[[Regular, Model, Moves], list[Penalty]] = lambda hypers, net, moves: []
    """On the loss."""
    prepare: Callable[[Regular, Moves], Any] = lambda hypers, moves: None
    """What `classify` makes of each batch; None leaves batches as they are."""


def prepare_images(move: Callable) -> Callable:
    """The preparation of a batch that moves its images."""
    return lambda key, batch: batch._replace(x=move(key, batch.x))


KINDS = {
    # Without an amount: L2 and L1 have strengths of their own, which are 0 if they are not given.
    "plain": Kind(penalties=lambda hypers, net, moves: [l2(hypers.l2), l1(hypers.l1)]),
    # The amount is the probability that a hidden unit is dropped; inputs have .4 of it, as .5 goes with .2.
    "dropout": Kind(noise=lambda hypers: dropout(0.4 * hypers.amount, hypers.amount)),
    # The amount is the deviation of the noise.
    "inputs": Kind(noise=lambda hypers: Noise(inputs=gaussian(hypers.amount))),
    "hidden": Kind(noise=lambda hypers: Noise(hidden=gaussian(hypers.amount))),
    "weights": Kind(noise=lambda hypers: Noise(weights=gaussian(hypers.amount))),
    # The amount is a factor of the largest moves.
    "virtual": Kind(prepare=lambda hypers, moves: prepare_images(moves(hypers.amount))),
    # The amount is the strength of the penalty.
    "hint": Kind(penalties=lambda hypers, net, moves: [hint(hypers.amount, net, moves(1.0))]),
}


@dataclass(frozen=True)
class Regularised:
    """The training of a net of sigmoid units by descent with momentum, in `parts` epochs of `steps` minibatches each.

    So a part is no pass through the data. The parameters after the last part are judged. Given layers take the place of
    fresh ones.
    """

    kind: str
    """A name in `KINDS`."""
    widths: tuple[int, ...]
    batch_size: int
    parts: int
    steps: int
    examples: int
    """It is trained on the first so many training examples, or on all if there are fewer."""
    stops: tuple[int, ...] = ()
    """How many parts early stopping waits for a lower validation error. The net at each of these stops is kept."""
    normalised: bool = False
    """Whether there is batch normalisation before the units."""
    shape: tuple[int, int] = (28, 28)
    """Of an image: its height and width in pixels."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown kind."""
        check_name(self.kind, KINDS)

    def __call__(self, key, hypers, given, data, progress):
        """Errors, negative log-likelihoods, their gap from training to test, and the sizes of the weights."""
        key_init, key_train, key_end, key_labels = jax.random.split(key, 4)
        kind = KINDS[self.kind]
        examples = first(data.train, self.examples)
        labels = jnp.where(hypers.shuffled != 0, jax.random.permutation(key_labels, examples.y), examples.y)
        data = data._replace(train=examples._replace(y=labels))

        def moves(factor):
            return virtual(self.shape, factor * SHIFT * self.shape[1], factor * ANGLE, factor * SCALE)

        make = normalised if self.normalised else mlp
        net = make(self.widths, self.classes, initializer=INITIALIZERS["glorot"], noise=kind.noise(hypers))
        penalties = kind.penalties(hypers, net, moves)
        train = classify(
            net,
            sgd(hypers.rate, MOMENTUM),
            loss=penalised(cross_entropy(net), *penalties) if penalties else None,
            epochs=self.parts,
            batch_size=self.batch_size,
            steps=self.steps,
            prepare=kind.prepare(hypers, moves),
            watch=(lambda params, data: {"params": params}) if self.stops else None,  # after every part
            progress=progress(self.kind, epochs=self.parts),
        )
        params, curve = train(key_train, start(key_init, net, data, given), data)
        kept = at_stops(curve.score, curve.watched["params"], self.stops) if self.stops else {}
        end = judged(net, key_end, params, data)
        tuned = Result.of(curve._replace(watched={}))  # the parameters after every part are not recorded
        return kept, tuned.telling(**end.measures)._replace(score=end.score, curves={**tuned.curves, **end.curves})


def at_stops(score, params, stops):
    """For each look-ahead: the parameters of the best part until its stop, its number, and how many parts were run."""
    ends = [stopped(score, patience=wait + 1) for wait in stops]  # a look-ahead of 0 is a patience of 1
    best, run = map(jnp.stack, zip(*ends, strict=True))
    return {"params": jax.tree.map(lambda leaf: leaf[best], params), "best": best, "run": run}


def judged(net, key, params, data) -> Result:
    """Errors and negative log-likelihoods of a net in use, their gap, and the sizes of its weights."""
    _, measured = errors_and_nats(net)(key, params, data)
    test = {**measured.test, "gap": gap(measured)}
    size = sizes(params)
    weights = {"norm": length(params), "small": (size < SMALL).mean(), "largest": jnp.quantile(size, 0.99)}
    counts = jnp.histogram(size, jnp.array(EDGES))[0] / size.size
    measures = {"train": {**measured.train}, "valid": {**measured.valid}, "test": test, "weights": weights}
    return Result(measured.valid["error"], measures, curves={"weights": {"counts": counts}})


class StopHypers(NamedTuple):
    """Which look-ahead of the given net it is: its index in `stops`."""

    place: float


@dataclass(frozen=True)
class Stopped:
    """Judges the given net as it was when early stopping with a look-ahead stopped it. Nothing is trained."""

    examples: int
    """The net was trained on the first so many."""

    def __call__(self, key, hypers, given, data, progress):
        """The measures of `Regularised`, and how many parts were run and which was returned."""
        place = hypers.place.astype(jnp.int32)
        kept = jax.tree.map(lambda leaf: leaf[place], given[0])
        data = data._replace(train=first(data.train, self.examples))
        result = judged(mlp(*widths_of(kept["params"])), key, kept["params"], data)
        return {}, result.telling(fit={"run": kept["run"], "best": kept["best"]})


@dataclass(frozen=True)
class Ridge:
    """A linear map from pixels to classes, by descent on its squared error with weight decay, and in closed form."""

    examples: int
    steps: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """How far descent ends from the closed form, and the slope of the posterior's logarithm there; as shares."""
        x = as_float(first(data.train, self.examples).x)
        y = jax.nn.one_hot(data.train.y[: len(x)], self.classes)
        closed, steepest = closed_form(x, y, hypers.l2)
        ratio = jnp.sqrt(hypers.l2 / steepest)  # Nesterov's rate and momentum for curvatures from l2 to the steepest
        rule = sgd(1 / steepest, (1 - ratio) / (1 + ratio), nesterov=True)
        loss = penalised(squared_error(model(Affine(self.classes, INITIALIZERS["zeros"], biased=False))), l2(hypers.l2))
        feed = minibatches(len(x), steps=self.steps)
        train = fit(gradient(loss, rule), feed, epochs=1, progress=progress("ridge", epochs=1))
        params, curve = train(key, {"w": jnp.zeros_like(closed)}, data._replace(train=Labelled(x, y)))
        slope = posterior_slope(closed, x, y, hypers.l2)
        apart = jnp.linalg.norm(params["w"] - closed) / jnp.linalg.norm(closed)
        return {}, Result(apart, {"ridge": {"apart": apart, "slope": slope}}, {"train": curve.metrics}, curve.diverged)


FEW, MORE, MANY, ALL = LABELS = (100, 1000, 10_000, 50_000)
"""Numbers of labels."""
LOOK_AHEADS = (0, 1, 5, 10)
"""Look-aheads of early stopping."""


class Way(NamedTuple):
    """A way to learn from few labels: what its row is called, what it trains, and what its search tries."""

    title: str
    kind: str = "plain"
    """A name in `KINDS`."""
    amounts: Mapping[int, list[float]] | None = None
    """The amounts that its search tries, by number of labels."""
    varied: str = "amount"
    """The field of `Regular` that the amount sets."""
    look_ahead: int | None = None
    """Where the net without regularisation is stopped early."""
    linear: bool = False
    pretrained: bool = False


def same_amounts(*amounts: float) -> dict[int, list[float]]:
    """The same amounts at each number of labels."""
    return {labels: [*amounts] for labels in (FEW, MORE, MANY)}


WAYS = {
    "none": Way("nothing"),
    "linear": Way("linear map", linear=True),
    **{f"stop/{wait}": Way(f"early stopping, look-ahead {wait}", look_ahead=wait) for wait in LOOK_AHEADS},
    "l2": Way("L2", varied="l2", amounts={FEW: [3e-4, 3e-3], MORE: [3e-5, 3e-4], MANY: [1e-5, 1e-4]}),
    "l1": Way("L1", varied="l1", amounts={FEW: [3e-5, 3e-4], MORE: [1e-5, 1e-4], MANY: [1e-6, 1e-5]}),
    "pretrained": Way("pre-training", pretrained=True),
    "dropout": Way("dropout", "dropout", same_amounts(0.2, 0.5)),
    "inputs": Way("noise on inputs", "inputs", same_amounts(0.3, 0.6)),
    "virtual": Way("virtual examples", "virtual", same_amounts(1.0, 1.5)),
    "hint": Way("hint", "hint", same_amounts(1.0, 10.0)),
}


class Budget(NamedTuple):
    """How long a net is trained."""

    batch_size: int
    parts: int
    steps: int  # minibatches a part


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    ways: Mapping[int, list[str]]
    """The ways to learn, by number of labels."""
    budgets: Mapping[int, Budget]
    """By number of labels."""
    random: Mapping[int, Budget]
    """Of labels that are dealt out at random, by their number."""
    pretraining: Mapping[str, int]
    """Epochs and batch size of each layer's."""
    rates: list[float]
    """Of ways that have no amounts to search."""
    rates_of_amounts: list[float]
    """Of the others: two rates and two amounts are as many trials as four rates."""
    compared_at: int
    """The number of labels with which noise, penalties and deep nets are compared."""
    levels: Mapping[str, list[float]]
    """Deviations of the noise that have rows of their own, by what it is added to."""


LEVELS = {"inputs": [0.1, 0.2, 0.4], "hidden": [0.1, 0.2, 0.4], "weights": [0.02, 0.05, 0.1]}
DEEP = {"plain": "as it is", "dropout": "dropout", "batch": "batch normalisation", "both": "both"}
STRONG = {"none": 0.0, "l2": 1e-3, "l1": 1e-4}
"""The amounts of the rows of strong penalties."""
SIZES = {
    "quick": Sizes(
        widths=(32, 32),
        ways={
            FEW: ["none", "stop/5", "virtual", "hint", "linear"],
            MORE: ["none", "linear", "stop/0", "stop/1", "stop/5", "stop/10", "l2", "l1", "pretrained"],
        },
        budgets=dict.fromkeys((FEW, MORE), Budget(batch_size=20, parts=12, steps=50)),
        random={MORE: Budget(batch_size=20, parts=12, steps=50)},
        pretraining={"epochs": 3, "batch_size": 20},
        rates=[0.2],
        rates_of_amounts=[0.2],
        compared_at=MORE,
        levels={"inputs": [0.2, 0.4], "hidden": [0.2, 0.4], "weights": [0.05, 0.1]},
    ),
    "paper": Sizes(
        widths=(200, 200),
        ways={labels: [*WAYS] for labels in LABELS},
        budgets={
            FEW: Budget(batch_size=20, parts=40, steps=25),
            MORE: Budget(batch_size=50, parts=40, steps=50),
            MANY: Budget(batch_size=100, parts=30, steps=100),
            ALL: Budget(batch_size=100, parts=20, steps=500),
        },
        random={MORE: Budget(50, parts=10, steps=1000), MANY: Budget(100, parts=10, steps=7000)},
        pretraining={"epochs": 5, "batch_size": 100},
        rates=[0.05, 0.1, 0.2, 0.4],
        rates_of_amounts=[0.2, 0.4],
        compared_at=MANY,
        levels=LEVELS,
    ),
}
PENALTIES, DEVIATION = "Strong penalties", "deviation of the noise"


def rows(options, about):
    """By number of labels, each way with as many trials; noise at the rate of the net without; and the rest."""
    preset = SIZES[options.preset]
    row = partial(Row, seeds=min(5, options.fresh_seeds()))  # of the 10 fresh seeds of the paper preset, or the 2
    # `partial` binds the arguments before `seed`: the study calls what is left with a seed and, by name, with a trial.

    def train_net(labels, seed, rate, amount=0.0, kind="plain", varied="amount", shuffled=0.0, given=(), **fields):
        """A net of this kind. `varied` is the field of `Regular` that the amount sets, `fields` change the program."""
        program = Regularised(
            kind,
            preset.widths,
            **preset.budgets[labels]._asdict(),
            examples=labels,
            stops=LOOK_AHEADS if kind == "plain" else (),  # for the rows of early stopping
            shape=about["main"].shape,
        )
        hypers = Regular(rate, shuffled=shuffled)._replace(**{varied: amount})
        return Unit(replace(program, **fields), hypers, given, seed)

    def unit(name, labels, seed, rate, amount=0.0):
        """The training of one of `WAYS`."""
        way, given = WAYS[name], ()
        if way.look_ahead is not None:
            whole = train_net(labels, seed, rate)  # the unit of the row "none", which is trained once
            return Unit(Stopped(labels), StopHypers(float(LOOK_AHEADS.index(way.look_ahead))), (whole,), seed)
        if way.linear:
            return train_net(labels, seed, rate, widths=(), stops=())
        if way.pretrained:
            layer = partial(Layer, "dbn", initializer="glorot", **preset.pretraining)
            given = greedy_layers(layer, preset.widths, LayerHypers(0.1), seed)
        return train_net(labels, seed, rate, amount, way.kind, way.varied, given=given)

    def by_labels(name, labels):
        """A row that searches; but early stopping uses what "none" has chosen, and 50 000 labels what 10 000 chose."""
        way, search, taken_over = WAYS[name], {"rate": preset.rates}, ""
        if labels == ALL:
            taken_over = f"{MANY}/{name}"
        elif way.look_ahead is not None:
            taken_over = f"{labels}/none"
        elif way.amounts:
            search = {"rate": preset.rates_of_amounts, "amount": way.amounts[labels]}
        return row(
            f"{labels}/{name}",
            way.title,
            partial(unit, name, labels),
            space=(lambda chosen: [chosen[taken_over]]) if taken_over else [search],
            after=(taken_over,) if taken_over else (),
            group=f"{labels} labels",
            at={"labels": labels, "way": way.title},
        )

    def noisy(name, title, group, kind, amount, **placed):
        """A row at the rate that the net without noise has chosen. The amount is a deviation, or a list to search."""
        base = f"{preset.compared_at}/none"

        def space(chosen):
            return [{**chosen[base], "amount": amount}]

        return row(name, title, partial(train_net, preset.compared_at, kind=kind), space, (base,), group, **placed)

    def deep(name):
        """A row of a net with four hidden layers."""
        drops = name in ("dropout", "both")
        space = [{"rate": [0.2, 0.4], "amount": [0.1, 0.3]}] if drops else [{"rate": [0.05, 0.1, 0.2, 0.4]}]
        fields = {"widths": (preset.widths[0] // 2,) * 4, "stops": (), "normalised": name in ("batch", "both")}
        build = partial(train_net, preset.compared_at, kind="dropout" if drops else "plain", **fields)
        return row(f"deep/{name}", DEEP[name], build, space, group="Four hidden layers")

    def strong(name):
        """A row with a penalty that is stronger than a search would choose."""
        build = partial(train_net, preset.compared_at, rate=0.1, amount=STRONG[name], varied=WAYS[name].varied)
        return row(f"weights/{name}", WAYS[name].title, build, group=PENALTIES)

    def dealt(labels):
        """A row of labels that are dealt out at random."""
        build = partial(train_net, labels, rate=0.1, shuffled=1.0, **preset.random[labels]._asdict())
        return row(f"dealt/{labels}", f"{labels} labels at random", build, group="Random labels")

    def ridge(seed):
        return Unit(Ridge(MORE, steps=2000), Regular(rate=1.0, l2=0.1), seed=seed)  # it has a rate of its own

    return [
        *(by_labels(name, labels) for labels, names in preset.ways.items() for name in names),
        *(
            noisy(f"noise/{kind}/{n:g}", f"deviation {n:g}", f"noise on {kind}", kind, amount=n, at={DEVIATION: n})
            for kind, deviations in preset.levels.items()
            for n in deviations
        ),
        *(noisy(f"best/{kind}", kind, "Noise at its best level", kind, amount=LEVELS[kind]) for kind in LEVELS),
        *(strong(name) for name in STRONG),
        *(deep(name) for name in DEEP if preset.compared_at == MANY),  # not in the preset quick
        *map(dealt, preset.random),
        row("ridge", "ridge regression", ridge, group="Ridge regression"),
    ]


TRAIN, VALID, TEST = ERRORS
# "weights/norm" is the entry "norm" of the measures "weights" in a `Result`.
GAP, NORM = Metric("test/gap", "test nats - training nats"), Metric("weights/norm", "norm of the weights")
ZERO = Metric("weights/small", "weights below .001 %", 100, " points", bounds=(0, 100))
LARGE, RUN = Metric("weights/largest", "99 % quantile of |w|"), Metric("fit/run", "parts run")
NATS = Metric("train/nats", "training nats")
APART = Metric("ridge/apart", "descent from closed form, millionths", 1e6)
SLOPE = Metric("ridge/slope", "slope of the posterior, millionths", 1e6)
PRETRAINED = {n: (f"{n}/pretrained", f"{n}/none") for n in LABELS}  # with and without


lower, all_of, lines = claims.lower, claims.all_of, figures.lines


def said(n):
    """A number of labels as words have it: 10 000."""
    return f"{n:,}".replace(",", " ")


def than_none(metric, way):
    """A decider: with each number of labels, the metric is lower with this way than without."""
    return all_of(*(lower(metric, f"{n}/{way}", than=f"{n}/none") for n in LABELS))


def for_few_and_many(words, metric, way, *numbers, than="none", labels=LABELS, answers=None):
    """A claim for few labels, and one for many: the metric is lower with one way than with the other."""
    parts = [[n for n in part if n in labels] for part in ((FEW, MORE), (MANY, ALL))]
    return [
        Claim(
            f"With {' and '.join(map(said, part))} labels {words}.",
            all_of(*(lower(metric, f"{n}/{way}", than=f"{n}/{than}") for n in part)),
            numbers,
            figure="labels.png" if metric is TEST else "",
            answers=answers in part,
        )
        for part in parts
        if part
    ]


ERRS_LESS, NARROWS = "lowers the test error", "narrows the gap of test to training nats"
PLACES = {"inputs": "inputs", "hidden": "hidden units", "weights": "weights"}
# A sentence, the test over seeds that decides it, and the lectures' claims in claims.toml that it is part of.
CLAIMS = [
    *(
        Claim(
            f"Nets of this size fit {said(n)} labels that are dealt out at random: no training error is left.",
            claims.exact(TRAIN, f"dealt/{n}", 0),
            ("B18",),
            figure="random.png",
        )
        for n in (MORE, MANY)
    ),
    *for_few_and_many("a linear map errs less than the net", TEST, "linear", "B34", labels=(FEW, MORE)),
    Claim(
        "With 10 000 and with 50 000 labels the net errs less than the linear map.",
        all_of(*(lower(TEST, f"{n}/none", than=f"{n}/linear") for n in (MANY, ALL))),
        ("B34",),
        figure="labels.png",
    ),
    Claim(
        "Ten times the labels lower the net's error, and so do the last five times.",
        all_of(*(lower(TEST, f"{more}/none", than=f"{less}/none") for less, more in pairwise(LABELS))),
        ("B34",),
        figure="labels.png",
    ),
    *for_few_and_many(f"early stopping that waits 10 parts {ERRS_LESS}", TEST, "stop/10", "C4a", answers=MORE),
    *for_few_and_many("early stopping errs less if it waits 1 part, not 0", TEST, "stop/1", "C4b", than="stop/0"),
    *for_few_and_many("early stopping errs less if it waits 5 parts, not 0", TEST, "stop/5", "C4b", than="stop/0"),
    *for_few_and_many("early stopping errs less if it waits 10 parts, not 0", TEST, "stop/10", "C4b", than="stop/0"),
    *(
        Claim(f"In a deep net {words}.", lower(metric, f"deep/{way}", than=f"deep/{other}"), (number,))
        for number, words, metric, way, other in (
            ("C16a", "batch normalisation lowers the training nats", NATS, "batch", "plain"),
            ("C16a", "with dropout batch normalisation lowers the training nats", NATS, "both", "dropout"),
            ("C16b", f"dropout {NARROWS}", GAP, "dropout", "plain"),
            ("C16b", f"with batch normalisation dropout {NARROWS}", GAP, "both", "batch"),
            ("C16c", "both together err less than batch normalisation alone", TEST, "both", "batch"),
            ("C16c", "both together err less than dropout alone", TEST, "both", "dropout"),
        )
    ),
    *for_few_and_many(f"pre-training {NARROWS}", GAP, "pretrained", "C17"),
    *for_few_and_many(f"pre-training {ERRS_LESS}", TEST, "pretrained", "C17", answers=MORE),
    Claim(
        "Pre-training gains more with 100 labels and with 1 000 than with 50 000.",
        all_of(*(claims.gains_more(TEST, PRETRAINED[n], PRETRAINED[ALL]) for n in (FEW, MORE))),
        ("C17",),
        figure="labels.png",
    ),
    *for_few_and_many(f"training on virtual examples {ERRS_LESS}", TEST, "virtual", "D4", answers=ALL),
    *for_few_and_many(f"the hint {ERRS_LESS}", TEST, "hint", "D4"),
    Claim(
        "With each number of labels weight decay leaves a smaller norm of the weights than training without it.",
        than_none(NORM, "l2"),
        ("D5a",),
    ),
    *(
        Claim(
            f"Early stopping that waits {wait} part{'s' * (wait != 1)} leaves a smaller norm than training to the end.",
            than_none(NORM, f"stop/{wait}"),
            ("D5b",),
        )
        for wait in LOOK_AHEADS
    ),
    Claim(
        "Descent with weight decay ends at the closed form of ridge regression, the mode under a Gaussian prior.",
        all_of(claims.exact(APART, "ridge", 1000), claims.exact(SLOPE, "ridge", 1000)),
        ("D5c",),
    ),
    *(
        Claim(
            f"Noise on {PLACES[kind]} at its best level {does}.",
            lower(metric, f"best/{kind}", than=f"{MANY}/none"),
            ("D6",),
            figure,
        )
        for kind in LEVELS
        for does, metric, figure in ((NARROWS, GAP, "gap.png"), (ERRS_LESS, TEST, ""))
    ),
    *for_few_and_many(f"noise on inputs {NARROWS}", GAP, "inputs", "D6", labels=(FEW, MORE, ALL)),
    *for_few_and_many(f"noise on inputs {ERRS_LESS}", TEST, "inputs", "D6", labels=(FEW, MORE, ALL)),
    *(
        Claim(
            f"{words} leaves most weights below .001.", claims.at_least(ZERO, row, 50), ("E6a",), figure="weights.png"
        )
        for words, row in (
            ("A strong L1 penalty", "weights/l1"),
            *((f"With {said(n)} labels L1, at the strength that validation chooses,", f"{n}/l1") for n in LABELS),
        )
    ),
    Claim(
        "A strong L2 penalty brings down the size that a hundredth of the weights exceeds.",
        lower(LARGE, "weights/l2", than="weights/none"),
        ("E6b",),
        figure="weights.png",
    ),
    Claim(
        "So does L2 at the strength that validation chooses, with each number of labels.",
        than_none(LARGE, "l2"),
        ("E6b",),
    ),
]
DRAWN = ["nothing", "linear map", "early stopping, look-ahead 10", "L2", "pre-training", "dropout", "virtual examples"]
FIGURES = {
    "labels.png": Figure(
        lines(TEST, x="labels", line="way", where={"way": DRAWN}),
        "Test error by number of labels: the mean over seeds, from best to worst.",
    ),
    "weights.png": Figure(
        figures.profiles("weights/counts", "weights %", "size of a weight", (PENALTIES,), places=EDGES[1:], scale=100),
        "How many weights have which size |w|, in steps of a factor of 1.33; smaller ones are left out.",
    ),
    "gap.png": Figure(lines(GAP, x=DEVIATION), "Test nats minus training nats, by the deviation of the noise."),
    "parts.png": Figure(
        figures.curves("valid/score", "validation error %", 100, (f"{MORE} labels",), "part of the steps"),
        "Validation error after each part: the mean over seeds, from best to worst.",
    ),
    "random.png": Figure(
        figures.curves("train/loss", "training loss", groups=("Random labels",), xlabel="part of the steps"),
        "Training loss on labels that are dealt out at random, part by part.",
    ),
    "search.png": Figure(figures.search("validation error %", 100, panel="way"), "Validation error at each trial."),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*ERRORS, GAP, NATS, NORM, ZERO, LARGE, RUN, APART, SLOPE],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
