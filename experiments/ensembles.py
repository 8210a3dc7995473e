"""Does an ensemble of deep nets err less than one net, and does it matter what differs between its members?

Eight nets of rectified units are trained on the same digits. They differ in their start, in the order of their
minibatches, or in both. The ensemble says the mean of their probabilities. How many members are needed? Beside it is
one net with as many parameters as all members together.

    python -m experiments ensembles                   # 8 x 8 digits: less than a minute on two cores
    python -m experiments ensembles --preset paper    # MNIST, 10 000 training digits: about 10 minutes on two cores

Lecture: CS/CNS/EE 155 16, "Stochastic Gradient Descent + Tricks!".
"""

from functools import partial

from dlx import study
from dlx.programs.ensembles import Ensemble, Member, Which, as_large
from dlx.show import canvas
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main

SIZES = (1, 2, 4, 8)
MEMBERS = SIZES[-1]
KINDS = {"order": "orders differ", "start": "starts differ", "both": "both differ"}
GROUP = f"One net, and ensembles of {MEMBERS}"


def rows(options, about):
    """One net and a large one, each at its best rate; ensembles at that of the one. All have net 0 of a seed."""
    quick = options.preset == "quick"
    widths, epochs, batch, examples = ((32, 32), 30, 50, 1000) if quick else ((100, 100), 30, 50, 10_000)
    large = as_large(widths, MEMBERS, about["main"].data.train.x.shape[1], about["main"].classes)
    rates = [{"rate": [0.1, 0.2, 0.4, 0.8]}]

    def nets(kind, seed, rate):
        shape = large if kind == "large" else widths
        members = range(MEMBERS if kind in KINDS else 1)
        which = [(i * (kind != "order"), i * (kind != "start")) for i in members]
        units = (
            Unit(Member(shape, epochs, batch, examples), Which(rate, *map(float, one)), seed=seed) for one in which
        )
        return Unit(Ensemble(SIZES), given=tuple(units), seed=seed)

    return [
        Row("single", "one net", partial(nets, "single"), rates, group=GROUP, search_seeds=2),
        Row(
            "large",
            f"one net with the parameters of {MEMBERS}",
            partial(nets, "large"),
            rates,
            group=GROUP,
            search_seeds=2,
        ),
        *(
            Row(kind, title, partial(nets, kind), lambda chosen: [chosen["single"]], ("single",), GROUP)
            for kind, title in KINDS.items()
        ),
    ]


TEST = ERRORS[-1]
GAIN, EARLY, DISAGREEMENT = (
    Metric(f"test/{name}", label, 100, " points")
    for name, label in (
        ("gain", "errors saved, points"),
        ("early", "saved by two beyond half"),
        ("disagreement", "members disagree, %"),
    )
)
NATS, LEFT = Metric("test/nats", "test nats"), Metric("test/left", "nats left, share")
CLAIMS = [
    Claim(
        "An ensemble of 8 nets that differ in both errs less than one net, by more than .2 points.",
        claims.lower(TEST, "both", "single", 0.2),
        ("B22",),
    ),
    Claim("Two members save at least half of the errors that eight save.", claims.at_least(EARLY, list(KINDS), 0)),
    Claim("Different starts alone help.", claims.lower(TEST, "start", "single")),
    Claim("Different orders of the minibatches alone help.", claims.lower(TEST, "order", "single")),
    Claim(
        "Different starts with one order help more than different orders from one start.",
        claims.lower(TEST, "start", "order"),
    ),
    Claim(
        "Where starts differ, orders that differ too save at most .1 points more.",
        claims.costs_at_most(TEST, "start", "both", 0.1),
    ),
    Claim("The ensemble errs less than one net with as many parameters.", claims.lower(TEST, "both", "large")),
    Claim("One net with as many parameters as 8 errs less than one of these.", claims.lower(TEST, "large", "single")),
    Claim(
        "The ensemble has at most three quarters of the negative log-likelihood of its members.",
        claims.at_most(LEFT, "both", 0.75),
    ),
    Claim(
        "Members with other starts disagree more often than members with other orders only.",
        claims.higher(DISAGREEMENT, "start", "order"),
    ),
]


def by_disagreement(found):
    """The errors that each ensemble saves, against how often its members disagree: a point a seed."""
    figure, axes = canvas.panel(4.0, DISAGREEMENT.label, GAIN.label)
    for i, kind in enumerate(KINDS):
        if kind in found:
            x, y = (100 * found[kind].values(metric.name) for metric in (DISAGREEMENT, GAIN))
            axes.plot(x, y, canvas.MARKERS[i], color=canvas.COLOURS[i], markersize=8, label=KINDS[kind])
    if not axes.lines:
        return None
    canvas.legend(figure, axes.lines, [str(line.get_label()) for line in axes.lines])
    return figure


STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[ERRORS[1], TEST, GAIN, EARLY, DISAGREEMENT, NATS, LEFT],
    claims=CLAIMS,
    figures={
        "members.png": Figure(
            figures.profiles("test/by_size", "test error %", "members", places=[*map(float, SIZES)], scale=100),
            "Test error by number of members: the mean over seeds, from best to worst. "
            "One net has one error; its line is level.",
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
