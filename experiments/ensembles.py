"""Does an ensemble of deep nets err less than one net, and does it matter what differs between its members?

Eight nets of rectified units are trained on the same digits. They differ in their start, in the order of their
minibatches, or in both. The ensemble says the mean of their probabilities. How many members are needed? Beside it is
one net with as many parameters as all members together.

    python -m experiments ensembles                   # 8 x 8 digits: less than a minute on two cores
    python -m experiments ensembles --preset paper    # MNIST, 10 000 training digits: about 10 minutes on two cores

Lecture: CS/CNS/EE 155 16, "Stochastic Gradient Descent + Tricks!".
"""

from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dlx import study
from dlx.classify import classify, start
from dlx.losses.supervised import misclassified
from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.mlp import mlp, widths_of
from dlx.optim import sgd
from dlx.show import canvas
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.train import by_batches, first, valid
from dlx.types import Model


def member_net(widths: tuple[int, ...], classes: int = 10) -> Model:
    """The net of rectified units that members are, from He's start."""
    return mlp(widths, classes, INITIALIZERS["he"], RELU)


class Which(NamedTuple):
    """The rate of a net, and which of several starts and of several orders of its minibatches it has."""

    rate: float
    start: float = 0.0
    order: float = 0.0


@dataclass(frozen=True)
class Member:
    """The training of a net of rectified units by plain descent, for a fixed number of epochs. Keeps the net."""

    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    examples: int
    """It is trained on the first so many training examples, or on all if there are fewer."""
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """The parameters after the last epoch. Nets of a seed that have the same number of a start begin alike."""
        net = member_net(self.widths, self.classes)
        key_start, key_order = jax.random.split(key)
        key_start = jax.random.fold_in(key_start, hypers.start.astype(jnp.int32))
        key_order = jax.random.fold_in(key_order, hypers.order.astype(jnp.int32))
        fewer = data._replace(train=first(data.train, self.examples))
        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            scored=False,
            progress=progress("net", epochs=self.epochs, percent=False),
        )
        params, curve = train(key_order, start(key_start, net, data), fewer)
        score = valid(misclassified(net))(params, data)
        return params, Result(score, curves={"train": curve.metrics}, diverged=curve.diverged)


@dataclass(frozen=True)
class Ensemble:
    """What the given nets of rectified units say together: the mean of their probabilities."""

    sizes: tuple[int, ...]
    """Numbers of members at which it is judged, powers of 2. With fewer nets, it is judged with all of them."""

    def __call__(self, key, hypers, given, data, progress):
        """Errors and nats of all members together, and errors by size, as means over disjoint groups of members.

        With several members also, on test data: how often two of them disagree; how many errors the whole saves beside
        one member, and which share of its nats is left; and how many more errors two members save than half of that.
        """
        net, whole = member_net(*widths_of(given[0])), len(given)
        members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *given)

        def log_probabilities(split):
            """Of each member [members, n, classes]."""

            def of_one(params):
                return jax.nn.log_softmax(by_batches(lambda params, batch: net.apply(params, batch.x), params, split))

            return jax.lax.map(of_one, members)

        error = wrong(together(log_probabilities(data.valid), whole)[0], data.valid.y).mean()
        each, y = log_probabilities(data.test), data.test.y

        def mean(judge, size):
            """On test data, over all groups of so many members, or of all members if there are fewer."""
            return judge(together(each, min(size, whole)), y).mean()

        test = {
            "error": mean(wrong, whole),
            "nats": mean(nats_of_label, whole),
            "wrong": wrong(together(each, whole)[0], y) > 0,
        }
        if whole > 1:
            gain, gain_of_two = mean(wrong, 1) - mean(wrong, whole), mean(wrong, 1) - mean(wrong, 2)
            test |= {
                "gain": gain,
                "early": gain_of_two - gain / 2,
                "left": test["nats"] / mean(nats_of_label, 1),
                "disagreement": disagreement(each.argmax(-1)),
            }
        by_size = jnp.stack([mean(wrong, size) for size in self.sizes])
        return {}, Result(error, {"valid": {"error": error}, "test": test}, {"test": {"by_size": by_size}})


def together(each: Float[Array, "members n classes"], size: int) -> Float[Array, "groups n classes"]:
    """Logarithms of the mean probabilities of groups of so many members, from each member's log-probabilities.

    Raises ValueError if the number of members is not a multiple of the size.
    """
    if len(each) % size:
        raise ValueError(f"{len(each)} members are not groups of {size}; give a multiple of {size}")
    return jax.nn.logsumexp(each.reshape(-1, size, *each.shape[1:]), 1) - jnp.log(size)


def wrong(log_probabilities: Float[Array, "... n classes"], y: Int[Array, " n"]) -> Float[Array, "... n"]:
    """1 where the most probable class is not the label, else 0."""
    return (log_probabilities.argmax(-1) != y).astype(jnp.float32)


def nats_of_label(log_probabilities: Float[Array, "... n classes"], y: Int[Array, " n"]) -> Float[Array, "... n"]:
    """The negative log-probability of the label, in nats."""
    labels = jnp.broadcast_to(y[:, None], (*log_probabilities.shape[:-1], 1))
    return -jnp.take_along_axis(log_probabilities, labels, -1)[..., 0]


def disagreement(classes: Int[Array, "members n"]) -> Float[Array, ""]:
    """The share of examples that two members call differently, as a mean over pairs of them."""
    members = len(classes)
    differ = (classes[:, None] != classes[None]).mean(-1).sum()
    return differ / (members * (members - 1))


def parameters(widths: tuple[int, ...], inputs: int, classes: int = 10) -> int:
    """How many weights and biases a net from inputs to classes uses."""
    return sum((below + 1) * above for below, above in pairwise((inputs, *widths, classes)))


def as_large(widths: tuple[int, ...], members: int, inputs: int, classes: int = 10) -> tuple[int, ...]:
    """The widths of a net of as many equal layers that uses as many parameters as so many members, or a few more."""
    enough = members * parameters(widths, inputs, classes)
    return next(wide for n in count(1) if parameters(wide := (n,) * len(widths), inputs, classes) >= enough)


class Kind(NamedTuple):
    """In what the members of an ensemble differ."""

    title: str
    starts: bool
    orders: bool


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    examples: int  # training digits


SIZES = {
    "quick": Sizes(widths=(32, 32), examples=1000),
    "paper": Sizes(widths=(100, 100), examples=10_000),
}
KINDS = {
    "order": Kind("orders differ", starts=False, orders=True),
    "start": Kind("starts differ", starts=True, orders=False),
    "both": Kind("both differ", starts=True, orders=True),
}
COUNTS = (1, 2, 4, 8)
"""Numbers of members."""
MEMBERS = 8
GROUP = f"One net, and ensembles of {MEMBERS}"


def rows(options, about):
    """One net and a large one, each at its best rate; ensembles at that of the one. All have net 0 of a seed."""
    sizes = SIZES[options.preset]
    large = as_large(sizes.widths, MEMBERS, about["main"].data.train.x.shape[1], about["main"].classes)

    def member(widths, seed, rate, start=0, order=0):
        """One net; `start` and `order` are numbers of several."""
        program = Member(widths, epochs=30, batch_size=50, examples=sizes.examples)
        return Unit(program, Which(rate, float(start), float(order)), seed=seed)

    def alone(widths, seed, rate):
        """One net, judged as an ensemble of one."""
        return Unit(Ensemble(COUNTS), given=(member(widths, seed, rate),), seed=seed)

    def ensemble(kind, seed, rate):
        """Eight nets: number i has start i, or order i, or both."""
        members = [
            member(sizes.widths, seed, rate, start=i if kind.starts else 0, order=i if kind.orders else 0)
            for i in range(MEMBERS)
        ]
        return Unit(Ensemble(COUNTS), given=tuple(members), seed=seed)

    searched = partial(Row, space=[{"rate": [0.1, 0.2, 0.4, 0.8]}], group=GROUP, search_seeds=2)
    return [
        searched("single", "one net", partial(alone, sizes.widths)),
        searched("large", f"one net with the parameters of {MEMBERS}", partial(alone, large)),
        *(
            Row(
                name,
                kind.title,
                partial(ensemble, kind),
                space=lambda chosen: [chosen["single"]],
                after=("single",),
                group=GROUP,
            )
            for name, kind in KINDS.items()
        ),
    ]


_, VALID, TEST = ERRORS
GAIN = Metric("test/gain", "errors saved, points", 100, " points")
EARLY = Metric("test/early", "saved by two beyond half", 100, " points")
DISAGREEMENT = Metric("test/disagreement", "members disagree, %", 100, " points")
NATS = Metric("test/nats", "test nats")
LEFT = Metric("test/left", "nats left, share")
DIFFERENCES = {"both": "start and order", "start": "their start alone", "order": "the order of minibatches alone"}
lower = claims.lower
CLAIMS = [
    *(
        Claim(
            f"An ensemble of 8 nets that differ in {what} errs less than one net.",
            lower(TEST, name, than="single"),
            ("B22",),
            figure="members.png",
            answers=name == "both",
        )
        for name, what in DIFFERENCES.items()
    ),
    Claim(
        "Two members save at least half of the errors that eight save.",
        claims.at_least(EARLY, list(KINDS), 0),
        figure="members.png",
    ),
    Claim(
        "Different starts with one order help more than different orders from one start.",
        lower(TEST, "start", than="order"),
        figure="members.png",
        answers=True,
    ),
    Claim(
        "Where starts differ, orders that differ too save at most .1 points more.",
        claims.costs_at_most(TEST, "start", than="both", bound=0.1),
        figure="members.png",
    ),
    Claim(
        "The ensemble errs less than one net with as many parameters.",
        lower(TEST, "both", than="large"),
        figure="members.png",
        answers=True,
    ),
    Claim(
        "One net with as many parameters as 8 errs less than one of these.",
        lower(TEST, "large", than="single"),
        figure="members.png",
    ),
    Claim(
        "The ensemble has at most three quarters of the negative log-likelihood of its members.",
        claims.at_most(LEFT, "both", 0.75),
        figure="nats.png",
    ),
    Claim(
        "The ensemble has fewer test nats than one net with as many parameters.",
        lower(NATS, "both", than="large"),
        figure="nats.png",
    ),
    Claim(
        "Members with other starts disagree more often than members with other orders only.",
        claims.higher(DISAGREEMENT, "start", than="order"),
        figure="disagreement.png",
    ),
]


def by_disagreement(found):
    """The errors that each ensemble saves, against how often its members disagree: a point a seed."""
    figure, axes = canvas.panel(4.0, DISAGREEMENT.label, GAIN.label)
    for i, (name, kind) in enumerate(KINDS.items()):
        if name in found:
            x, y = (metric.scale * found[name].values(metric.name) for metric in (DISAGREEMENT, GAIN))
            axes.plot(x, y, canvas.MARKERS[i], color=canvas.COLOURS[i], markersize=8, label=kind.title)
    if not axes.lines:
        return None
    canvas.legend(figure, axes.lines, [str(line.get_label()) for line in axes.lines])
    return figure


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[VALID, TEST, GAIN, EARLY, DISAGREEMENT, NATS, LEFT],
    claims=CLAIMS,
    figures={
        "members.png": Figure(
            figures.profiles("test/by_size", "test error %", "members", places=COUNTS, scale=100),
            "Test error by number of members: the mean over seeds, from best to worst. "
            "One net has one error; its line is level.",
        ),
        "nats.png": Figure(
            figures.bars(NATS), "Test nats: minus the logarithm of the probability that is given to the label."
        ),
        "disagreement.png": Figure(
            by_disagreement, "Errors that eight members save, against how often two of them disagree: a point a seed."
        ),
        "search.png": Figure(
            figures.search("validation error %", 100), "Mean validation error of one net over two seeds, at each rate."
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
