"""What does batch normalisation do, and why?

The net of Ioffe & Szegedy 2015, figure 1: three hidden layers of 100 sigmoid units, on MNIST, in minibatches of 60 for
50 000 steps, with and without batch normalisation, each at the best of its rates, and both at equal rates. How many
steps does it take to some validation errors, each at its fastest rate, and what do the units of the last hidden layer
get meanwhile? Then 10 000 digits: is the noise of the statistics a regulariser? Nets get the same minibatches, but take
statistics over parts of each. At the end the statistics are stored in one pass over the training examples,
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
from dlx.losses.supervised import misclassified, negative_log_likelihood
from dlx.nets.layer import INITIALIZERS, check_name
from dlx.nets.mlp import mlp
from dlx.nets.mlp import pre_activations as mlp_inputs
from dlx.nets.normalised import normalised, pre_activations, to_normalise
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.show import figures as draw
from dlx.stage import population
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


GLOROT = INITIALIZERS["glorot"]
KINDS = {
    "plain": Kind("no normalisation", partial(mlp, initializer=GLOROT), mlp_inputs, lambda widths: {}),
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
            return {"low": low, "middle": middle, "high": high, "saturated": saturated}

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
        steps = {f"to_{i}": self.steps * epochs_to(target, curve.score) for i, target in enumerate(self.targets, 1)}
        logs = {f"log_{name}": jnp.log2(count) for name, count in steps.items()}
        return {}, Result.of(curve, measured).telling(
            race={**steps, **logs},
            last={"saturated": curve.watched["saturated"][-1]},
            test={"gap": gap(measured), "stored": stored.test["error"]},
        )


@dataclass(frozen=True)
class Followed:
    """The same training, judged after each part by the statistics of the training examples, not by running averages.

    So nets are compared as they are, and differ in how they were trained alone.
    """

    kind: str
    """A name in `KINDS`."""
    widths: tuple[int, ...]
    batch_size: int
    parts: int
    steps: int
    ghost: int | None = None
    """In training, statistics are over so many examples of a minibatch; over all without a number."""
    examples: int | None = None
    """Train on so many of the training examples; on all without a number."""
    targets: tuple[float, ...] = ()
    """Validation errors that the race is to."""
    levels: tuple[float, ...] = ()
    """Training nats at whose first crossing the test nats are told."""
    judges: int = 10_000
    """The most training examples over which the nets in use have statistics and nats."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown kind, and for ghost batches without normalisation."""
        check_name(self.kind, KINDS)
        if self.ghost and self.kind == "plain":
            raise ValueError("ghost batches are for batch normalisation; leave out `ghost` for the kind 'plain'")

    def __call__(self, key, hypers, given, data, progress):
        """Steps to each target, test nats at each level, and the test errors of two ways to stop early."""
        data = data._replace(train=first(data.train, self.examples))
        key_init, key_train, key_end = jax.random.split(key, 3)
        kind, ghosts = KINDS[self.kind], {"ghost": self.ghost} if self.ghost else {}
        net, inputs = kind.net(self.widths, self.classes, **ghosts), kind.inputs(len(self.widths) - 1)
        store, seen = population(kind.to_normalise(self.widths)), first(data.train, self.judges)
        error, nats = (partial(by_batches, of(net)) for of in (misclassified, negative_log_likelihood))

        def in_use(params, data):
            params, _ = store(key_end, params, data._replace(train=seen))
            return params

        def watch(params, data):
            params = in_use(params, data)
            told = {name: error(params, split).mean() for name, split in (("valid", data.valid), ("test", data.test))}
            told |= {"saturated": (jnp.abs(inputs(params, seen.x[:1000])) > SATURATED).mean()}
            if self.levels:
                told |= {"train_nats": nats(params, seen).mean(), "test_nats": nats(params, data.test).mean()}
            return told

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
        _, measured = errors_and_nats(net)(key_end, in_use(params, data), data)
        told = curve.watched
        result = Result.of(curve._replace(watched={"saturated": told["saturated"]}), measured)
        followed = {"error": told["test"]}
        stops = {"by_running": curve.score, "by_stored": told["valid"]}
        test = {name: told["test"][jnp.argmin(score)] for name, score in stops.items()}
        if self.levels:
            test |= {f"at_{one:g}": at(one, told["train_nats"], told["test_nats"]) for one in self.levels}
            followed |= {"nats": told["test_nats"]}
            result = result._replace(curves={**result.curves, "train": {**curve.metrics, "nats": told["train_nats"]}})
        result = result._replace(
            curves={**result.curves, "valid": {"score": curve.score, "stored": told["valid"]}, "test": followed}
        )
        race = {f"to_{i}": self.steps * epochs_to(one, told["valid"]) for i, one in enumerate(self.targets, 1)}
        last = {"saturated": told["saturated"][-1]}
        return {}, result.telling(race=race, last=last, test=test) if race else result.telling(last=last, test=test)


LEVELS = (0.1, 0.03)
"""Training nats at which nets with more and less noise are compared."""


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    targets: tuple[float, ...]  # validation errors that the race is to
    parts: int  # of the race; after each the nets are looked at
    steps: int  # a part
    fast: tuple[int, int]  # parts of the race for speed, steps a part
    rates: list[float]  # of the race
    even_rates: list[float]  # that both nets get
    fast_rates: list[float]  # of the race for speed
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
        fast=(20, 100),
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
        fast=(50, 200),
        rates=[0.1, 0.3, 1.0, 3.0, 10.0],
        even_rates=[0.3, 1.0, 3.0],
        fast_rates=[0.5, 1.0, 2.0, 4.0, 8.0, 16.0],
        batch_sizes=(10, 60, 250),
        examples=10_000,
        passes=30,
        rates_by_size=[0.1, 0.3, 1.0, 3.0, 10.0],
        ghosts=(8, 32, 128, 256),
    ),
}
RACE, EVEN = "The race", "The race at equal rates"
FAST, EVEN_FAST = "For speed: each at its fastest rate", "For speed: at equal rates"
GHOSTS = "Statistics over parts of a minibatch"
BY_SIZE = {name: f"{kind.title}, by batch size" for name, kind in KINDS.items()}


def rows(options, about):
    """The races; then nets on fewer digits by batch size, for as many passes. Rows of a group have equal searches."""
    sizes, fresh = SIZES[options.preset], options.fresh_seeds()
    whole = sizes.ghosts[-1]

    def race(kind, seed, rate):
        program = Normalised(
            kind, sizes.widths, batch_size=60, parts=sizes.parts, steps=sizes.steps, targets=sizes.targets
        )
        return Unit(program, Rate(rate), seed=seed)

    def fast(kind, seed, rate):
        program = Followed(kind, sizes.widths, 60, *sizes.fast, targets=sizes.targets)
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
        program = Followed(
            "batch",
            sizes.widths,
            whole,
            parts=3 * sizes.passes,
            steps=sizes.examples // whole,  # a pass
            ghost=ghost,
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
                partial(fast, name),
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
            row(
                f"fast/{name}/{rate:g}",
                f"{kind.title}, rate {rate:g}",
                partial(fast, name, rate=rate),
                group=EVEN_FAST,
                seeds=fresh,
            )
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
NATS = {
    level: Metric(f"test/at_{level:g}", f"test nats at {level:g} in training", 1, " nats", matters=0.005)
    for level in LEVELS
}
BY_RUNNING = Metric("test/by_running", "test error %, stopped by running averages", 100, " points", bounds=(0, 100))
BY_STORED = Metric("test/by_stored", "test error %, stopped by stored statistics", 100, " points", bounds=(0, 100))
STORED = Metric("test/stored", "test error %, stored statistics", 100, " points", bounds=(0, 100))
GAP = Metric("test/gap", "test nats - training nats")
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


BEST = Compared("each at the rate of its least error", BATCH, PLAIN, "race-1.png", "saturated-1.png")
FASTEST = Compared(
    "each at its fastest rate to 3 %", "fast/batch", "fast/plain", "speed-1.png", "saturated-3.png", answers=True
)


def at_equal_rates(rows: str, *figures: str) -> list[Compared]:
    """The comparisons of the rows of this name. The middle rate answers."""
    rates = SIZES["paper"].even_rates
    return [
        Compared(f"both at rate {rate:g}", f"{rows}/batch/{rate:g}", f"{rows}/plain/{rate:g}", *figures, rate == 1)
        for rate in rates
    ]


EVEN_RACES = at_equal_rates("even", "race-2.png", "saturated-2.png")
EVEN_SPEED = at_equal_rates("fast", "speed-2.png", "saturated-4.png")
ON_FEWER = [
    Compared(f"on 10 000 digits, in minibatches of {size}", f"noise/batch/{size}", f"noise/plain/{size}")
    for size in SIZES["paper"].batch_sizes
]
NOISE = dict(zip(LEVELS, ("noise-early.png", "noise-late.png"), strict=True))
WHOLE = SIZES["paper"].ghosts[-1]


def stopped_by_running_averages(net: Compared) -> Claim:
    """The claim that it costs little to stop early by running averages, beside stored statistics."""
    numbers = {
        "by stored statistics": claims.Number(net.batch, lambda runs: runs.by_seed(BY_STORED.name)),
        "by running averages": claims.Number(net.batch, lambda runs: runs.by_seed(BY_RUNNING.name)),
    }
    return Claim(
        f"To stop early by running averages costs at most .1 points of test error, {net.at.removeprefix('both ')}.",
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
            answers=race is FASTEST and metric is TO_SECOND,
        )
        for race in (FASTEST, *EVEN_SPEED)
        for error, metric in {"5 %": TO_FIRST, "3 %": TO_SECOND}.items()
    ),
    *(
        Claim(
            f"With batch normalisation the test error is lower after all steps, {race.at}.",
            lower(TEST, race.batch, than=race.plain),
            ("C24c",),
            figure=race.curves,
            answers=race is BEST,
        )
        for race in (BEST, *EVEN_RACES)
    ),
    *(
        Claim(
            f"With batch normalisation fewer of the last hidden layer's inputs saturate, {nets.at}.",
            lower(INPUTS_SATURATED, nets.batch, than=nets.plain),
            ("C24a",),
            figure=nets.saturated,
            answers=nets.answers and nets in EVEN_RACES,
        )
        for nets in (BEST, *EVEN_RACES, FASTEST, *EVEN_SPEED, *ON_FEWER)
    ),
    *(
        Claim(
            f"Statistics over {part} of {WHOLE} examples leave fewer test nats than over all at {level:g} in training.",
            lower(nats, f"ghost/{part}", than=f"ghost/{WHOLE}"),
            ("C25",),
            figure=NOISE[level],
            answers=(level, part) == (0.03, 8),
        )
        for level, nats in NATS.items()
        for part in (8, 32)
    ),
    *(stopped_by_running_averages(net) for net in (FASTEST, *EVEN_SPEED)),
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
    metrics=[
        TO_FIRST,
        TO_SECOND,
        *ERRORS,
        STORED,
        INPUTS_SATURATED,
        GAP,
        *NATS.values(),
        BY_RUNNING,
        BY_STORED,
    ],
    claims=CLAIMS,
    figures={
        "race.png": Figure(
            figures.curves("valid/score", "validation error %", 100, (RACE, EVEN), xlabel="part of the steps"),
            "Validation error after every hundredth of the steps: the mean over seeds, from best to worst.",
        ),
        "speed.png": Figure(
            figures.curves("valid/stored", "validation error %", 100, (FAST, EVEN_FAST), xlabel="part of the steps"),
            "Validation error by stored statistics, after every fiftieth of the steps of the races for speed.",
        ),
        **{
            file: Figure(
                figures.lines(NATS[level], x="examples that statistics are over"),
                f"Test nats where the training nats first come to {level:g}, on 10 000 digits.",
            )
            for level, file in NOISE.items()
        },
        "saturated.png": Figure(
            figures.curves(
                "watched/saturated", "saturated %", 100, (RACE, EVEN, FAST, EVEN_FAST), xlabel="part of the steps"
            ),
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
