"""What does batch normalisation do, and why?

The net of Ioffe & Szegedy 2015, figure 1: three hidden layers of 100 sigmoid units, on MNIST, in minibatches of 60 for
50 000 steps, with and without batch normalisation, each at the best of its rates, and both at equal rates. How many
steps does it take to some validation errors, and what do the units of the last hidden layer get meanwhile? Then
minibatches of several sizes on 10 000 digits: is the noise of their statistics a regulariser? At the end the statistics
are stored in one pass over the training examples, layer by layer, beside the running average.

    python -m experiments ioffe2015                   # 8 x 8 digits: about a minute on two cores
    python -m experiments ioffe2015 --preset paper    # MNIST: about half an hour on two cores

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
from dlx.inspect.curves import epochs_to
from dlx.nets.layer import INITIALIZERS, as_float, check_name
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.normalised import normalised, pre_activations, to_normalise
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.show import figures as draw
from dlx.stage import population
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.train import first
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


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    targets: tuple[float, ...]  # validation errors that the race is to
    parts: int  # of the race; after each the nets are looked at
    steps: int  # a part
    rates: list[float]  # of the race
    batch_sizes: tuple[int, ...]  # of the nets on fewer digits
    examples: int  # training digits of these
    passes: int  # over these digits
    rates_by_size: list[float]  # of these nets


SIZES = {
    "quick": Sizes(
        widths=(32, 32, 32),
        targets=(0.2, 0.1),
        parts=20,
        steps=100,
        rates=[1.0, 3.0],
        batch_sizes=(10, 60),
        examples=600,
        passes=40,
        rates_by_size=[0.3, 1.0],
    ),
    "paper": Sizes(
        widths=(100, 100, 100),
        targets=(0.05, 0.03),
        parts=100,
        steps=500,
        rates=[0.3, 1.0, 3.0],
        batch_sizes=(10, 60, 250),
        examples=10_000,
        passes=30,
        rates_by_size=[0.1, 0.3, 1.0, 3.0],
    ),
}
RACE, EVEN = "The race", "The race at equal rates"
BY_SIZE = {name: f"{kind.title}, by batch size" for name, kind in KINDS.items()}


def rows(options, about):
    """The race; then nets on fewer digits by batch size, for as many passes. Rows of a group have equal searches."""
    sizes = SIZES[options.preset]

    def race(kind, seed, rate):
        program = Normalised(
            kind, sizes.widths, batch_size=60, parts=sizes.parts, steps=sizes.steps, targets=sizes.targets
        )
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

    row = partial(Row, seeds=min(5, options.fresh_seeds()))
    return [
        *(
            row(f"race/{name}", kind.title, partial(race, name), [{"rate": sizes.rates}], group=RACE)
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
            for rate in sizes.rates
            for name, kind in KINDS.items()
        ),
    ]


_, _, TEST = ERRORS
TO_FIRST = Metric("race/to_1", "steps to the first error")
TO_SECOND = Metric("race/to_2", "steps to the second error")
LOG_TO_FIRST = Metric("race/log_to_1", "log2 of the steps to the first error")
INPUTS_SATURATED = Metric("last/saturated", "saturated at the end %", 100, " points", bounds=(0, 100))
DRIFT = Metric("last/drift", "drift of medians")
GAP = Metric("test/gap", "test nats - training nats")
STORED = Metric("test/stored", "test error %, stored statistics", 100, " points", bounds=(0, 100))
APART = Metric("test/apart", "how far the two errors differ", 100, " points")
BATCH, PLAIN = "race/batch", "race/plain"
lower = claims.lower
CLAIMS = [
    Claim(
        "With batch normalisation fewer steps lead to a validation error of 5 %, and to one of 3 %.",
        claims.all_of(lower(TO_FIRST, BATCH, than=PLAIN), lower(TO_SECOND, BATCH, than=PLAIN)),
        ("C24b", "D3b"),
        figure="race.png",
    ),
    Claim(
        "It takes less than half of the steps to 5 %.",
        lower(LOG_TO_FIRST, BATCH, than=PLAIN, least=1),
        ("D3b",),
        figure="race.png",
        answers=True,
    ),
    *(
        Claim(
            f"At the rate {rate:g} for both, fewer steps lead to a validation error of 5 %.",
            lower(TO_FIRST, f"even/batch/{rate:g}", than=f"even/plain/{rate:g}"),
            ("D3b",),
            figure="even.png",
        )
        for rate in SIZES["paper"].rates
    ),
    Claim("After all steps its test error is lower.", lower(TEST, BATCH, than=PLAIN), ("C24c",), answers=True),
    Claim(
        "Fewer of the last hidden layer's inputs saturate.",
        lower(INPUTS_SATURATED, BATCH, than=PLAIN),
        ("C24a",),
        figure="saturated.png",
        answers=True,
    ),
    Claim(
        "Their medians drift less in the second half of training.",
        lower(DRIFT, BATCH, than=PLAIN),
        ("C24a",),
        figure="quantiles.png",
    ),
    Claim(
        "With batch normalisation, smaller minibatches leave a smaller gap of test to training likelihood.",
        lower(GAP, "noise/batch/10", than="noise/batch/250"),
        ("C25",),
        figure="gap.png",
    ),
    Claim(
        "In minibatches of 10 it lowers the test error on 10 000 digits.",
        lower(TEST, "noise/batch/10", than="noise/plain/10"),
        ("C25",),
        figure="error.png",
    ),
    Claim(
        "Running averages and stored statistics differ by at most .1 points of test error.",
        claims.at_most(APART, [BATCH, "noise/batch/10", "noise/batch/60", "noise/batch/250"], 0.1),
        ("C26",),
    ),
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
    metrics=[TO_FIRST, TO_SECOND, *ERRORS, STORED, APART, INPUTS_SATURATED, DRIFT, GAP],
    claims=CLAIMS,
    figures={
        "race.png": Figure(
            figures.curves("valid/score", "validation error %", 100, (RACE,), xlabel="part of the steps"),
            "Validation error after every hundredth of the steps: the mean over seeds, from best to worst.",
        ),
        "even.png": Figure(
            figures.curves("valid/score", "validation error %", 100, (EVEN,), xlabel="part of the steps"),
            "The same with one rate for both nets.",
        ),
        "gap.png": Figure(
            figures.lines(GAP, x="examples a minibatch"),
            "Negative log-likelihood on test examples minus that on training examples, in nats.",
        ),
        "error.png": Figure(
            figures.lines(TEST, x="examples a minibatch"), "Test error after training on 10 000 digits."
        ),
        "saturated.png": Figure(
            figures.curves("watched/saturated", "saturated %", 100, (RACE,), xlabel="part of the steps"),
            "Share of the inputs of the last hidden layer's units that are beyond 3 or -3.",
        ),
        "quantiles.png": Figure(
            quantiles,
            "What a unit of the last hidden layer gets: from the 15 % to the 85 % quantile over examples, "
            "and the mean of these and the median, for the first seed.",
        ),
        "search.png": Figure(figures.search("validation error %", 100), "Validation error at each rate."),
        "search-steps.png": Figure(
            figures.search("steps to the first error", group=RACE, measure="race/to_1"),
            "Steps to the first error at each rate.",
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
