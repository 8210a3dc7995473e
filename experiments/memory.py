"""For how many steps does a recurrent net remember: with gates, without, and a time-delay net?

Two numbers among many are marked, and their sum is asked after the last step (adding). Or a bit is shown once, and is
asked after many noisy steps (latch). A simple recurrent net, a GRU, an LSTM and a time-delay net learn both, over
sequences of 10 to 200 steps. They have about as many parameters. How well do they answer? By how much does each step
move an answer? And is a recurrent net that is unfolded in time a feed-forward net with shared weights, exactly?

    python -m experiments memory                   # about a minute on two cores
    python -m experiments memory --preset paper    # about an hour and a half on two cores

Lecture: Alpaydin 12, "Learning Time": "Time-Delay Neural Networks", "Recurrent Networks", "Unfolding in Time", "Long
Short-Term Memory", "Gated Recurrent Unit".
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx.algorithms import gradient
from dlx.classify import start
from dlx.data.generated import of_keys, random_keys
from dlx.data.sequences import adding, latch
from dlx.losses.supervised import (
    cross_entropy,
    misclassified,
    negative_log_likelihood,
    squared_distance,
    squared_error,
)
from dlx.nets.recurrent import CELLS, recurrent
from dlx.nets.time_delay import reach, time_delay
from dlx.nets.unfolded import unfolded_gaps
from dlx.programs import Rate as LearningRate
from dlx.show.heat_figure import heat
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, datasets, figures, main, shares
from dlx.train import by_batches, fit, generated, valid
from dlx.types import Data, Loss, Model, Params, PerExample

BATCH_SIZE = 50
WINDOW, LAYERS = 16, 2
REACH = reach(WINDOW, LAYERS)
"""Steps that the time-delay net sees."""
LONGEST_NORM = 1.0
"""Of a gradient, which is clipped to it."""
SOLVED = 0.05
"""A task is solved if so much of a constant answer's error is left, at most."""


class Task(NamedTuple):
    """What is to be remembered."""

    title: str
    make: Callable[..., Any]
    """`make(key, n, steps)`: examples."""
    outputs: int
    loss: Callable[[Model], Loss]
    score: Callable[[Model], PerExample]
    error: Callable[[Model], PerExample]
    constant: float
    """The error of the best constant answer."""


TASKS = {
    "adding": Task("adding", adding, 1, squared_error, squared_distance, squared_distance, 1 / 6),
    "latch": Task("latch", latch, 2, cross_entropy, negative_log_likelihood, misclassified, 1 / 2),
}


class Net(NamedTuple):
    """A net that reads a sequence and answers at its end."""

    title: str
    make: Callable[[int, int], Model]
    """`make(outputs, length)`. Gates that keep the state start from the bias log(length)."""


def lstm(outputs: int, length: int) -> Model:
    """An LSTM. Its gates of inputs start as closed as those that keep the state start open."""
    keep = math.log(length)
    net = recurrent("lstm", (31,), outputs, keep=keep)

    def init(key, x):
        params = net.init(key, x)
        gate = params["forward_0"]["hi"]
        return {**params, "forward_0": {**params["forward_0"], "hi": {**gate, "bias": gate["bias"] - keep}}}

    return net._replace(init=init)


NETS = {
    "simple": Net("simple recurrent net", lambda outputs, length: recurrent("simple", (64,), outputs)),
    "gru": Net("GRU", lambda outputs, length: recurrent("gru", (36,), outputs, keep=math.log(length))),
    "lstm": Net("LSTM", lstm),
    "delay": Net("time-delay net", lambda outputs, length: time_delay(WINDOW, (15,) * LAYERS, outputs)),
}
"""Widths are such that no other net has more parameters than the simple one. Gates start as in Tallec & Ollivier 2018,
but all of them from one bias."""
GATED = ("gru", "lstm")


@dataclass(frozen=True)
class Remember:
    """The training of a net in `NETS` on sequences of a task in `TASKS`, which are drawn anew for each update."""

    net: str
    task: str
    length: int
    epochs: int
    steps: int
    """Updates an epoch."""

    def __call__(self, key, hypers, given, data, progress):
        """The error of the net with the least validation loss, as a share of a constant answer's, and its slopes.

        The curves `slope` are those of the output by the inputs of each step, from the last one back.
        """
        task = TASKS[self.task]
        net = NETS[self.net].make(task.outputs, self.length)

        def draw(key, n):
            return task.make(key, n, self.length)

        data = Data(*(of_keys(draw, split.x) for split in data))
        updates = self.epochs * self.steps
        rule = optax.chain(
            optax.clip_by_global_norm(LONGEST_NORM), optax.adam(lambda count: hypers.rate * (1 - count / updates))
        )
        train = fit(
            gradient(task.loss(net), rule),
            generated(lambda key: draw(key, BATCH_SIZE), self.steps),
            epochs=self.epochs,
            score=valid(task.score(net)),
            patience=self.epochs,
            progress=progress("net", epochs=self.epochs, percent=False),
        )
        key_init, key_train = jax.random.split(key)
        fresh = start(key_init, net, data)
        params, curve = train(key_train, fresh, data)
        error = by_batches(task.error(net), params, data.test).mean() / task.constant
        slope = {name: slopes(net, some, data.valid.x) for name, some in (("start", fresh), ("end", params))}
        result = Result.of(curve).telling(
            test={"error": error, "solved": (error <= SOLVED).astype(jnp.float32)},
            slope={"beyond": slope["end"][REACH:].sum()},
            model={"parameters": jnp.array(sum(leaf.size for leaf in jax.tree.leaves(params)))},
        )
        return {}, result._replace(curves={**result.curves, "slope": slope})


def slopes(net: Model, params: Params, x: jax.Array) -> jax.Array:
    """The norm of the last output's gradient by the inputs of each step [steps], from the last step back.

    It is the mean over the sequences x [n, steps, features].
    """
    slope = jax.grad(lambda x: net.apply(params, x)[:, -1].sum())(x)
    return jnp.linalg.norm(slope, axis=-1).mean(0)[::-1]


@dataclass(frozen=True)
class Unfold:
    """A recurrent net against a feed-forward net with a layer for each step, at random weights."""

    cell: str
    length: int
    host = True

    def __call__(self, key, hypers, given, data, progress):
        """How far outputs and gradients are apart."""
        values, gradients = unfolded_gaps(key, self.cell, self.length)
        return {}, Result(0.0, {"exact": {"values": np.float32(values), "gradients": np.float32(gradients)}})


class Sizes(NamedTuple):
    """What the presets differ in."""

    epochs: Mapping[str, int]  # by task
    steps: int  # updates an epoch
    lengths: tuple[int, ...]  # steps of a sequence
    others: int  # sequences for validation, and as many for testing
    rates: list[float]  # to choose from
    unfolded: int  # steps that are unfolded


SIZES = {
    "quick": Sizes(
        epochs={"adding": 4},
        steps=40,
        lengths=(10, 40),
        others=100,
        rates=[0.01],
        unfolded=10,
    ),
    "paper": Sizes(
        epochs={"adding": 20, "latch": 5},
        steps=200,
        lengths=(10, 30, 100, 200),
        others=1000,
        rates=[0.001, 0.003, 0.01, 0.03],
        unfolded=200,
    ),
}


def rows(options, about):
    """The nets by task and length, with the same rates to choose; and what is exact."""
    sizes = SIZES[options.preset]

    def unit(seed, rate, *, net, task, length):
        return Unit(Remember(net, task, length, sizes.epochs[task], sizes.steps), LearningRate(rate), seed=seed)

    def exact(seed, *, cell):
        return Unit(Unfold(cell, sizes.unfolded), seed=seed)

    return [
        *(
            Row(
                row_of(task, length, net),
                kind.title,
                partial(unit, net=net, task=task, length=length),
                [{"rate": sizes.rates}],
                group=f"{TASKS[task].title} over {length} steps".capitalize(),
                at={"task": task, "steps": length, "kind": kind.title},
            )
            for task in sizes.epochs
            for length in sizes.lengths
            for net, kind in NETS.items()
        ),
        *(Row(f"unfolded/{cell}", NETS[cell].title, partial(exact, cell=cell), group="Unfolded") for cell in CELLS),
    ]


def row_of(task: str, length: int, net: str) -> str:
    """The name of a row."""
    return f"{task}/{length}/{net}"


ERROR = Metric("test/error", "test error, % of a constant answer's", 100, " points", matters=1)
SOLVES = Metric("test/solved", "solved, % of the runs", 100, " points", bounds=(0, 100))
BEYOND = Metric("slope/beyond", "slope by the inputs before the window")
PARAMETERS = Metric("model/parameters", "parameters")
VALUES = Metric("exact/values", "gap of the outputs, millionths", 1e6)
GRADIENTS = Metric("exact/gradients", "gap of the gradients, millionths", 1e6)


def lengths_of(found) -> list[int]:
    """The numbers of steps, in order. Without rows they are the quick preset's, so that a claim is left out."""
    told = {row.at["steps"] for row in found.rows.values() if "steps" in row.at}
    return sorted(told or SIZES["quick"].lengths)


def at_longest(decide):
    """The decider that `decide(length)` makes of the most steps."""
    return lambda found: decide(lengths_of(found)[-1])(found)


def ends(decide):
    """The decider that `decide(least, most)` makes of the fewest and the most steps."""
    return lambda found: decide(lengths_of(found)[0], lengths_of(found)[-1])(found)


def solved(task: str, net: str, answer: str, least: float, lengths: Callable[[list[int]], list[int]]):
    """The decider of whether of a net's runs at some of the lengths at least so many solve a task, or do not."""

    def decider(found):
        rows = {row_of(task, length, net): (answer,) for length in lengths(lengths_of(found))}
        words = {"yes": "runs that solve the task", "no": "runs that do not solve the task"}[answer]
        return shares.called("test/solved", ("no", "yes"), rows, least, words)(found)

    return decider


def longest(lengths: list[int]) -> list[int]:
    """The longest alone."""
    return lengths[-1:]


def within(lengths: list[int]) -> list[int]:
    """Those that the time-delay net sees whole."""
    return [length for length in lengths if length <= REACH]


def beyond(lengths: list[int]) -> list[int]:
    """Those that are longer than what the time-delay net sees."""
    return [length for length in lengths if length > REACH]


CLAIMS = [
    Claim(
        "Unfolded in time, recurrent nets give the outputs of feed-forward nets with shared weights, to a millionth.",
        claims.exact(VALUES, [f"unfolded/{cell}" for cell in CELLS], 1),
        ("D12a",),
        answers=True,
    ),
    Claim(
        "Their gradient is the sum of those of the layers that share the weights, to a millionth.",
        claims.exact(GRADIENTS, [f"unfolded/{cell}" for cell in CELLS], 1),
        ("D12a",),
    ),
    *(
        Claim(
            f"{title}: over the most steps a net with gates ({NETS[net].title}) errs less than a simple recurrent net.",
            at_longest(
                lambda length, task=task, net=net: claims.lower(
                    ERROR, row_of(task, length, net), than=row_of(task, length, "simple")
                )
            ),
            ("D12b",),
            figure=f"{task}.png" if task == "adding" else "solved.png",
            answers=task == "adding",
        )
        for task, title in (("adding", "Adding"), ("latch", "Latch"))
        for net in GATED
    ),
    *(
        Claim(
            f"Adding: over the most steps at least half of the runs of the {NETS[net].title} solve the task.",
            solved("adding", net, "yes", 0.5, longest),
            figure="solved.png",
        )
        for net in GATED
    ),
    Claim(
        "Adding: over the most steps at least half of the runs of the simple recurrent net do not solve the task.",
        solved("adding", "simple", "no", 0.5, longest),
        figure="solved.png",
    ),
    Claim(
        "Latch: within its window a time-delay net solves the task, in at least nine runs of ten.",
        solved("latch", "delay", "yes", 0.9, within),
        ("D12b",),
        figure="solved.png",
    ),
    Claim(
        "Adding: a time-delay net errs less over the fewest steps, which it sees whole, than over the most.",
        ends(
            lambda least, most: claims.lower(
                ERROR, row_of("adding", least, "delay"), than=row_of("adding", most, "delay")
            )
        ),
        ("D12b",),
        figure="adding.png",
    ),
    *(
        Claim(
            f"{title}: beyond its window a time-delay net does not, in at least nine runs of ten.",
            solved(task, "delay", "no", 0.9, beyond),
            ("D12b",),
            figure="solved.png",
        )
        for task, title in (("adding", "Adding"), ("latch", "Latch"))
    ),
    Claim(
        "What stands before the window does not move a time-delay net's answer at all.",
        at_longest(lambda length: claims.exact(BEYOND, row_of("adding", length, "delay"), 0)),
        ("D12b",),
        figure="end.png",
    ),
]


def solving(found):
    """The share of the runs of each net that solve each task over so many steps."""
    lengths = lengths_of(found)
    told = {
        f"{TASKS[task].title}, {kind.title}": [
            float(np.mean(list(found[name].by_seed(SOLVES.name).values()))) if name in found.runs else 0.0
            for name in (row_of(task, length, net) for length in lengths)
        ]
        for task in TASKS
        for net, kind in NETS.items()
        if any(row_of(task, length, net) in found.runs for length in lengths)
    }
    return heat(told, [str(length) for length in lengths], xlabel="steps") if told else None


def by_step(name: str):
    """A figure of the slopes of the longest adding problem, from the last step back."""

    def draw(found):
        where = {"task": "adding", "steps": lengths_of(found)[-1]}
        return figures.profiles(f"slope/{name}", "slope", "steps before the end", where=where, log_x=False)(found)

    return draw


FIGURES = {
    "adding.png": Figure(
        figures.lines(ERROR, x="steps", line="kind", where={"task": "adding"}),
        "Adding: test error by the number of steps; 100 is that of a constant.",
    ),
    "solved.png": Figure(solving, "Runs in a hundred that solve a task over so many steps."),
    "start.png": Figure(by_step("start"), "Before training: by how much does the input of a step move the answer?"),
    "end.png": Figure(by_step("end"), "After training: by how much does the input of a step move the answer?"),
    "search.png": Figure(figures.search("validation loss", panel="task"), "Validation loss at each trial."),
}
STUDY = Study(
    doc=__doc__,
    data=datasets.generated(
        **{name: partial(random_keys, sizes.others, sizes.others) for name, sizes in SIZES.items()}
    ),
    rows=rows,
    metrics=[ERROR, SOLVES, BEYOND, PARAMETERS, VALUES, GRADIENTS],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
