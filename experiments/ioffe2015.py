"""What does batch normalisation do, and why?

The net of Ioffe & Szegedy 2015, figure 1: three hidden layers of 100 sigmoid units, on MNIST, in minibatches of 60 for
50 000 steps, with and without batch normalisation, each at the best of its rates, and both at equal rates. How many
steps does it take to some validation errors, each at its fastest rate, and what do the units of the last hidden layer
get meanwhile? Then 10 000 digits: is the noise of the statistics a regulariser? Nets make the same updates, but take
statistics over parts of each minibatch. At the end the statistics are stored in one pass over the training examples,
layer by layer, beside the running average.

    python -m experiments ioffe2015                   # 8 x 8 digits: about a minute on two cores
    python -m experiments ioffe2015 --preset paper    # MNIST: about an hour on two cores

Lecture: on feed-forward nets, "Batch Normalization"; Alpaydin 12, "Batch Normalization".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dlx import study
from dlx.classify import classify, errors_and_nats, gap, start
from dlx.inspect.curves import at, epochs_to
from dlx.losses.supervised import negative_log_likelihood
from dlx.nets.layer import INITIALIZERS, as_float, check_name
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.normalised import normalised, pre_activations, to_normalise
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.show import figures as draw
from dlx.stage import chain, population
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.declare.finding import Bound
from dlx.train import by_batches, first
from dlx.types import Model, Params

View = Callable[[Params, Array], Array]
"""What units get [n, width], from the parameters and inputs [n, visible]."""


class Kind(NamedTuple):
    """A net of sigmoid units from Glorot's start, with or without batch normalisation."""

    title: str
    net: Callable[[tuple[int, ...], int], Model]
    """Of the widths of its hidden layers and the number of classes."""
    inputs: Callable[[int], View]
    """The view of what the units of hidden layer i get."""
    to_normalise: Callable[[tuple[int, ...]], Mapping[str, View]]
    """The views whose statistics are stored, by layer, of a net of these widths."""


def plain_inputs(i: int) -> View:
    """The view of what the units of hidden layer i of an `mlp` get."""
    below = codes(i) or (lambda params, x: as_float(x))

    def view(params, x):
        layer = params[hidden(i)]
        return below(params, x) @ layer["w"] + layer["b"]

    return view


GLOROT = INITIALIZERS["glorot"]
KINDS = {
    "plain": Kind("no normalisation", partial(mlp, initializer=GLOROT), plain_inputs, lambda widths: {}),
    "batch": Kind("batch normalisation", partial(normalised, initializer=GLOROT), pre_activations, to_normalise),
}
SATURATED = 3.0
"""Beyond this the slope of a sigmoid is less than a fifth of its largest."""


@dataclass(frozen=True)
class Normalised:
    """The training of hidden layers of sigmoid units by plain descent, a part of so many `steps` after the other.

    Watches what the units of the last hidden layer get, on the first 1 000 training examples.
    """

    kind: str
    """A name in `KINDS`."""
    widths: tuple[int, ...]
    batch_size: int
    parts: int
    steps: int
    targets: tuple[float, ...] = ()
    """Validation errors that the race is to."""
    examples: int | None = None
    """Train on so many of the training examples; on all without a number."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown kind."""
        check_name(self.kind, KINDS)

    def __call__(self, key, hypers, given, data, progress):
        """Steps to each target; errors and negative log-likelihoods by running averages, and by stored statistics."""
        data = data._replace(train=first(data.train, self.examples))
        key_init, key_train, key_end = jax.random.split(key, 3)
        kind = KINDS[self.kind]
        net, inputs = kind.net(self.widths, self.classes), kind.inputs(len(self.widths) - 1)
        seen = first(data.train, 1000).x

        def watch(params, data):
            u = inputs(params, seen)
            low, middle, high = jnp.quantile(u[:, 0], jnp.array([0.15, 0.5, 0.85]))
            saturated = (jnp.abs(u) > SATURATED).mean()
            return {"low": low, "middle": middle, "high": high, "saturated": saturated, "medians": jnp.median(u, 0)}

        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.parts,
            batch_size=self.batch_size,
            steps=self.steps,
            watch=watch,
            progress=progress(self.kind, epochs=self.parts),
        )
        params, curve = train(key_train, start(key_init, net, data), data)
        measure = errors_and_nats(net)
        _, measured = measure(key_end, params, data)
        with_stored, _ = population(kind.to_normalise(self.widths))(key_end, params, data)
        _, stored = measure(key_end, with_stored, data)
        watched = dict(curve.watched)
        medians = watched.pop("medians")[self.parts // 2 :]
        result = Result.of(curve._replace(watched=watched), measured)
        steps = {f"to_{i}": self.steps * epochs_to(target, curve.score) for i, target in enumerate(self.targets, 1)}
        logs = {f"log_{name}": jnp.log2(count) for name, count in steps.items()}
        return {}, result.telling(
            race={**steps, **logs},
            last={"saturated": watched["saturated"][-1], "drift": medians.std(0).mean()},
            test={
                "gap": gap(measured),
                "stored": stored.test["error"],
                "apart": jnp.abs(stored.test["error"] - measured.test["error"]),
            },
        )


@dataclass(frozen=True)
class Ghost:
    """The training of a normalised net that takes statistics over each `ghost` examples of its minibatches.

    After each part of so many `steps` the nets are judged by the statistics of all training examples: they differ in
    the noise of their updates alone.
    """

    ghost: int
    widths: tuple[int, ...]
    batch_size: int
    parts: int
    steps: int
    examples: int
    """Train on so many of the training examples."""
    levels: tuple[float, ...]
    """Training nats at whose first crossing the test nats are told."""
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Errors and nats in the end, and the test nats where the training nats first come to each level."""
        data = data._replace(train=first(data.train, self.examples))
        key_init, key_train, key_end = jax.random.split(key, 3)
        net = normalised(self.widths, self.classes, initializer=GLOROT, ghost=self.ghost)
        store, nats = population(to_normalise(self.widths)), partial(by_batches, negative_log_likelihood(net))

        def watch(params, data):
            stored, _ = store(key_end, params, data)
            return {"train": nats(stored, data.train).mean(), "test": nats(stored, data.test).mean()}

        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.parts,
            batch_size=self.batch_size,
            steps=self.steps,
            watch=watch,
            progress=progress(f"statistics over {self.ghost}", epochs=self.parts),
        )
        params, curve = train(key_train, start(key_init, net, data), data)
        _, measured = chain(store, errors_and_nats(net))(key_end, params, data)
        seen = curve.watched
        crossings = {f"at_{level:g}": at(level, seen["train"], seen["test"]) for level in self.levels}
        return {}, Result.of(curve, measured[-1]).telling(test=crossings)


LEVELS = (0.1, 0.03)
"""Training nats at which nets with more and less noise are compared."""


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    targets: tuple[float, ...]  # validation errors that the race is to
    parts: int  # of the race; after each the nets are looked at
    steps: int  # a part
    fast_steps: int  # a part of the race at the fastest rates, which has as many parts
    rates: list[float]  # of the races
    even_rates: list[float]  # that both nets get
    fast_rates: list[float]  # of the race at the fastest rates
    batch_sizes: tuple[int, ...]  # of the nets on fewer digits
    examples: int  # training digits of these
    passes: int  # over these digits
    rates_by_size: list[float]  # of these nets
    ghosts: tuple[int, ...]  # examples that statistics are over; the last number is the minibatch


SIZES = {
    "quick": Sizes(
        widths=(32, 32, 32),
        targets=(0.2, 0.1),
        parts=20,
        steps=100,
        fast_steps=20,
        rates=[1.0, 3.0],
        even_rates=[1.0, 3.0],
        fast_rates=[1.0, 3.0],
        batch_sizes=(10, 60),
        examples=600,
        passes=40,
        rates_by_size=[0.3, 1.0],
        ghosts=(5, 60),
    ),
    "paper": Sizes(
        widths=(100, 100, 100),
        targets=(0.05, 0.03),
        parts=100,
        steps=500,
        fast_steps=100,
        rates=[0.1, 0.3, 1.0, 3.0, 10.0],
        even_rates=[0.3, 1.0, 3.0],
        fast_rates=[0.3, 1.0, 3.0, 10.0, 30.0],
        batch_sizes=(10, 60, 250),
        examples=10_000,
        passes=30,
        rates_by_size=[0.1, 0.3, 1.0, 3.0, 10.0],
        ghosts=(8, 32, 128, 256),
    ),
}
RACE, FAST, EVEN = "The race", "The race at the fastest rates", "The race at equal rates"
GHOSTS = "Statistics over parts of a minibatch"
BY_SIZE = {name: f"{kind.title}, by batch size" for name, kind in KINDS.items()}


def rows(options, about):
    """The races; then nets on fewer digits by batch size, for as many passes. Rows of a group have equal searches."""
    sizes, fresh = SIZES[options.preset], options.fresh_seeds()
    whole = sizes.ghosts[-1]

    def race(kind, seed, rate, steps=sizes.steps):
        program = Normalised(kind, sizes.widths, batch_size=60, parts=sizes.parts, steps=steps, targets=sizes.targets)
        return Unit(program, Rate(rate), seed=seed)

    def by_size(kind, batch_size, seed, rate):
        program = Normalised(
            kind,
            sizes.widths,
            batch_size,
            parts=sizes.passes,
            steps=sizes.examples // batch_size,  # a pass
            examples=sizes.examples,
        )
        return Unit(program, Rate(rate), seed=seed)

    def by_ghost(ghost, seed, rate):
        program = Ghost(
            ghost,
            sizes.widths,
            whole,
            parts=2 * sizes.passes,
            steps=sizes.examples // whole,  # a pass
            examples=sizes.examples,
            levels=LEVELS,
        )
        return Unit(program, Rate(rate), seed=seed)

    row = partial(Row, seeds=min(5, fresh))
    searched = partial(row, search_seeds=min(3, fresh))
    return [
        *(
            searched(f"race/{name}", kind.title, partial(race, name), [{"rate": sizes.rates}], group=RACE)
            for name, kind in KINDS.items()
        ),
        *(
            searched(
                f"fast/{name}",
                kind.title,
                partial(race, name, steps=sizes.fast_steps),
                [{"rate": sizes.fast_rates}],
                group=FAST,
                by=TO_SECOND.name,
                seeds=fresh,
            )
            for name, kind in KINDS.items()
        ),
        *(
            row(
                f"noise/{name}/{size}",
                f"batches of {size}",
                partial(by_size, name, size),
                [{"rate": sizes.rates_by_size}],
                group=BY_SIZE[name],
                at={"examples a minibatch": size},
            )
            for name in KINDS
            for size in sizes.batch_sizes
        ),
        *(
            row(f"even/{name}/{rate:g}", f"{kind.title}, rate {rate:g}", partial(race, name, rate=rate), group=EVEN)
            for rate in sizes.even_rates
            for name, kind in KINDS.items()
        ),
        *(
            searched(
                f"ghost/{ghost}",
                f"statistics over {ghost} examples",
                partial(by_ghost, ghost),
                [{"rate": sizes.fast_rates}] if ghost == whole else lambda chosen: [chosen[f"ghost/{whole}"]],
                after=() if ghost == whole else (f"ghost/{whole}",),
                group=GHOSTS,
                seeds=fresh,
                at={"examples that statistics are over": ghost},
            )
            for ghost in reversed(sizes.ghosts)
        ),
    ]


_, _, TEST = ERRORS
TO_FIRST = Metric("race/to_1", "steps to the first error")
TO_SECOND = Metric("race/to_2", "steps to the second error")
INPUTS_SATURATED = Metric("last/saturated", "saturated at the end %", 100, " points", bounds=(0, 100))
DRIFT = Metric("last/drift", "drift of medians")
NATS = {level: Metric(f"test/at_{level:g}", f"test nats at {level:g} in training", 1, " nats") for level in LEVELS}
STORED = Metric("test/stored", "test error %, stored statistics", 100, " points", bounds=(0, 100))
GAP = Metric("test/gap", "test nats - training nats")
APART = Metric("test/apart", "how far the two errors differ", 100, " points")
BATCH, PLAIN = "race/batch", "race/plain"
lower = claims.lower


class Compared(NamedTuple):
    """Rows with and without batch normalisation, and at which rates they are."""

    at: str
    batch: str
    plain: str
    curves: str = ""
    """The figure of their validation errors."""
    saturated: str = ""
    """The figure of their saturated inputs."""
    answers: bool = False


BEST = Compared("each at the rate of its least error", BATCH, PLAIN, "race-1.png", "saturated-1.png", answers=True)
FASTEST = Compared(
    "each at its fastest rate", "fast/batch", "fast/plain", "race-2.png", "saturated-2.png", answers=True
)
AT_EQUAL_RATES = [
    Compared(f"both at rate {rate:g}", f"even/batch/{rate:g}", f"even/plain/{rate:g}", "race-3.png", "saturated-3.png")
    for rate in SIZES["paper"].even_rates
]
ON_FEWER = [
    Compared(f"on 10 000 digits, in minibatches of {size}", f"noise/batch/{size}", f"noise/plain/{size}")
    for size in SIZES["paper"].batch_sizes
]
NOISE = dict(zip(LEVELS, ("noise-early.png", "noise-late.png"), strict=True))
*PARTS, WHOLE = SIZES["paper"].ghosts


def running_average(where: str, row: str) -> Claim:
    """The claim that running averages cost a row's test error little beside stored statistics."""
    numbers = {
        "stored statistics": claims.Number(row, lambda runs: runs.by_seed(STORED.name)),
        "running averages": claims.Number(row, lambda runs: runs.by_seed(TEST.name)),
    }
    return Claim(
        f"Running averages cost at most .1 points of test error beside stored statistics, {where}.",
        claims.of_numbers(TEST, numbers, Bound("at most", TEST.matters)),
        ("C26",),
    )


CLAIMS = [
    *(
        Claim(
            f"With batch normalisation fewer steps lead to a validation error of {error}, {race.at}.",
            lower(metric, race.batch, than=race.plain),
            ("C24b", "D3b"),
            figure=race.curves,
            answers=race.answers and metric is TO_SECOND,
        )
        for race in (FASTEST, *AT_EQUAL_RATES)
        for error, metric in {"5 %": TO_FIRST, "3 %": TO_SECOND}.items()
    ),
    *(
        Claim(
            f"With batch normalisation the test error is lower after all steps, {race.at}.",
            lower(TEST, race.batch, than=race.plain),
            ("C24c",),
            figure=race.curves,
            answers=race.answers,
        )
        for race in (BEST, *AT_EQUAL_RATES)
    ),
    *(
        Claim(
            f"With batch normalisation fewer of the last hidden layer's inputs saturate, {nets.at}.",
            lower(INPUTS_SATURATED, nets.batch, than=nets.plain),
            ("C24a",),
            figure=nets.saturated,
            answers=nets is BEST,
        )
        for nets in (BEST, FASTEST, *AT_EQUAL_RATES, *ON_FEWER)
    ),
    Claim(
        "With batch normalisation the medians of these inputs drift less in the second half of training.",
        lower(DRIFT, BATCH, than=PLAIN),
        figure="quantiles.png",
    ),
    *(
        Claim(
            f"Statistics over {part} of {WHOLE} examples leave fewer test nats than over all at {level:g} in training.",
            lower(nats, f"ghost/{part}", than=f"ghost/{WHOLE}"),
            ("C25",),
            figure=NOISE[level],
            answers=level == LEVELS[-1] and part == PARTS[0],
        )
        for level, nats in NATS.items()
        for part in PARTS
    ),
    *(running_average(nets.at, nets.batch) for nets in (BEST, *AT_EQUAL_RATES, *ON_FEWER)),
]


def quantiles(found):
    """What the first unit of the last hidden layer gets in the run of the first seed."""
    bands = {}
    for name, kind in KINDS.items():
        if f"race/{name}" in found:
            curves = found[f"race/{name}"].curves
            bands[kind.title] = np.array([curves(f"watched/{part}")[0] for part in ("low", "middle", "high")])
    return draw.curves(bands, ylabel="input of a unit", xlabel="part of the steps") if bands else None


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[TO_FIRST, TO_SECOND, *ERRORS, STORED, APART, INPUTS_SATURATED, DRIFT, GAP, *NATS.values()],
    claims=CLAIMS,
    figures={
        "race.png": Figure(
            figures.curves("valid/score", "validation error %", 100, (RACE, FAST, EVEN), xlabel="part of the steps"),
            "Validation error after every hundredth of the steps: the mean over seeds, from best to worst.",
        ),
        **{
            file: Figure(
                figures.lines(NATS[level], x="examples that statistics are over"),
                f"Test nats where the training nats first come to {level:g}, on 10 000 digits.",
            )
            for level, file in NOISE.items()
        },
        "error.png": Figure(
            figures.lines(TEST, x="examples a minibatch"), "Test error after training on 10 000 digits."
        ),
        "saturated.png": Figure(
            figures.curves("watched/saturated", "saturated %", 100, (RACE, FAST, EVEN), xlabel="part of the steps"),
            "Share of the inputs of the last hidden layer's units that are beyond 3 or -3.",
        ),
        "quantiles.png": Figure(
            quantiles,
            "What a unit of the last hidden layer gets: from the 15 % to the 85 % quantile over examples, "
            "and the mean of these and the median, for the first seed.",
        ),
        "search.png": Figure(figures.search("validation error %", 100), "Validation error at each rate."),
        "search-steps.png": Figure(
            figures.search("steps to the second error", group=FAST, measure=TO_SECOND.name),
            "Steps to the second error at each rate.",
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
