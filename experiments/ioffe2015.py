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

from functools import partial

import numpy as np

from dlx import study
from dlx.programs import Rate
from dlx.programs.normalised import Normalised
from dlx.show import figures as draw
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main
from dlx.study.judge.numbered import by_number

RACE, KINDS = "The race", {"plain": "no normalisation", "batch": "batch normalisation"}
NOISE = {kind: f"{title}, by batch size" for kind, title in KINDS.items()}
SIZES, EVEN, RATES = (10, 60, 250), "The race at equal rates", [0.3, 1.0, 3.0]


def rows(options, about):
    """The race; then nets on fewer digits by batch size, for as many passes. Rows of a group have equal searches."""
    quick = options.preset == "quick"
    widths, targets = ((32, 32, 32), (0.2, 0.1)) if quick else ((100, 100, 100), (0.05, 0.03))
    parts, steps, rates = (20, 100, RATES[1:]) if quick else (100, 500, RATES)
    sizes, examples, passes = ((10, 60), 600, 40) if quick else (SIZES, 10_000, 30)
    smaller = [0.3, 1.0] if quick else [0.1, 0.3, 1.0, 3.0]
    few = min(5, options.fresh_seeds())

    def race(kind, seed, rate):
        return Unit(Normalised(kind, widths, 60, parts, steps, targets), Rate(rate), seed=seed)

    def noise(kind, size, seed, rate):
        program = Normalised(kind, widths, size, passes, examples // size, examples=examples)
        return Unit(program, Rate(rate), seed=seed)

    return [
        *(
            Row(f"race/{kind}", title, partial(race, kind), [{"rate": rates}], group=RACE, seeds=few)
            for kind, title in KINDS.items()
        ),
        *(
            Row(
                f"noise/{kind}/{size}",
                f"batches of {size}",
                partial(noise, kind, size),
                [{"rate": smaller}],
                group=NOISE[kind],
                seeds=few,
            )
            for kind in KINDS
            for size in sizes
        ),
        *(
            Row(
                f"even/{kind}/{rate:g}",
                f"{title}, rate {rate:g}",
                partial(race, kind, rate=rate),
                group=EVEN,
                seeds=few,
            )
            for rate in rates
            for kind, title in KINDS.items()
        ),
    ]


TRAIN, VALID, TEST = ERRORS
FAR, NEAR = Metric("race/to_1", "steps to the first error"), Metric("race/to_2", "steps to the second error")
LOG = Metric("race/log_to_1", "log2 of the steps to the first error")
SATURATED = Metric("last/saturated", "saturated at the end %", 100, " points", bounds=(0, 100))
DRIFT, GAP = Metric("last/drift", "drift of medians"), Metric("test/gap", "test nats - training nats")
STORED = Metric("test/stored", "test error %, stored statistics", 100, " points", bounds=(0, 100))
APART = Metric("test/apart", "the two apart", 100, " points")
PLAIN, BATCH = "race/plain", "race/batch"
CLAIMS = [
    Claim(
        "With batch normalisation fewer steps lead to a validation error of 5 %, and to one of 3 %.",
        claims.all_of(*(claims.lower(steps, BATCH, PLAIN) for steps in (FAR, NEAR))),
        ("C24", "D3"),
    ),
    Claim("It takes less than half of the steps to 5 %.", claims.lower(LOG, BATCH, PLAIN, 1), ("D3",)),
    *(
        Claim(
            f"At the rate {rate:g} for both, fewer steps lead to a validation error of 5 %.",
            claims.lower(FAR, f"even/batch/{rate:g}", f"even/plain/{rate:g}"),
            ("D3",),
        )
        for rate in RATES
    ),
    Claim("After all steps its test error is lower.", claims.lower(TEST, BATCH, PLAIN), ("C24",)),
    Claim("Fewer of the last hidden layer's inputs saturate.", claims.lower(SATURATED, BATCH, PLAIN), ("C24",)),
    Claim("Their medians drift less in the second half of training.", claims.lower(DRIFT, BATCH, PLAIN), ("C24",)),
    Claim(
        "With batch normalisation, smaller minibatches leave a smaller gap of test to training likelihood.",
        claims.lower(GAP, "noise/batch/10", "noise/batch/250"),
        ("C25",),
    ),
    Claim(
        "In minibatches of 10 it lowers the test error on 10 000 digits.",
        claims.lower(TEST, "noise/batch/10", "noise/plain/10"),
        ("C25",),
    ),
    Claim(
        "Running averages and stored statistics differ by at most .1 points of test error.",
        claims.at_most(APART, [BATCH, *(f"noise/batch/{size}" for size in SIZES)], 0.1),
        ("C26",),
    ),
]


def by_size(metric):
    """A metric by the size of the minibatches, with and without batch normalisation."""
    return by_number(metric, "examples a minibatch", list(NOISE.values()), log_x=True)


def quantiles(found):
    """What the first unit of the last hidden layer gets in the run of the first seed."""
    bands = {}
    for kind, title in KINDS.items():
        if f"race/{kind}" in found:
            runs = found[f"race/{kind}"]
            bands[title] = np.array([runs.curves(f"watched/{name}")[0] for name in ("low", "middle", "high")])
    return draw.curves(bands, ylabel="input of a unit", xlabel="part of the steps") if bands else None


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[FAR, NEAR, *ERRORS, STORED, APART, SATURATED, DRIFT, GAP],
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
            by_size(GAP), "Negative log-likelihood on test examples minus that on training examples, in nats."
        ),
        "error.png": Figure(by_size(TEST), "Test error after training on 10 000 digits."),
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
