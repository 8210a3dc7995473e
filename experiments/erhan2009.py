"""Why does pre-training without labels help: easier optimisation, or a better place to end (Erhan et al. 2009, 2010)?

Nets of one to five sigmoid layers are trained on 10 000 digits, each from 30 random starts. Half of them have layers
that were trained first, as denoising auto-associators. So one sees how outcomes are spread, and not their mean alone.
Then: the loss on test digits at equal loss on training digits; the lower layers alone; narrow layers; few labels; the
ways that nets take through the space of functions; and how many starts it takes to see all this.

    python -m experiments erhan2009                   # 8 x 8 digits: a minute on two cores
    python -m experiments erhan2009 --preset paper    # MNIST: two and a half hours on two cores

Lecture: CS7015 9, pages 16 to 21; on feed-forward nets, "Unsupervised Pre-training"; CMU 10-601B 16, the last slide.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from dlx import study
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.programs.tuned import Embedded, Tuned
from dlx.show import start_figure
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main
from dlx.study.judge.starts import boxes, histograms, paths, power, steadier

TITLES = {"none": "without pre-training", "pre": "with pre-training"}
DEPTHS, DEPTH, WIDTH = (1, 2, 3, 4, 5), 3, 200
WIDTHS, LABELS, EXAMPLES = (25, 50, 100), (100, 1000), 10_000
RATES = [0.3, 1.0, 2.0, 4.0]
BEFORE = LayerHypers(0.1, masking=0.25)
LEVELS, COUNTS = (0.1, 0.03), (2, 3, 5, 7, 10, 15, 20, 30)  # training nats; starts
GROUP, PARTS, NARROW, FEW = "Random starts by depth", "The lower layers alone", "Narrow layers", "Few labels"


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    examples: int = EXAMPLES
    """Training digits, the first so many of the data set. There are no others, labelled or not."""
    width: int = WIDTH
    """Units of a hidden layer, where rows do not say."""
    method: str = "denoising"
    """How layers are trained first, at one rate: dbn, autoassociator, denoising or supervised."""


def rows(options, about):
    """Each row has the same rates to choose; layers are trained first in the same way everywhere."""
    quick = options.preset == "quick"
    wide, epochs, greedy, steps = (32, 10, 5, 20) if quick else (options.width, 30, 20, 100)
    depths, parts, widths, labels = ((1, DEPTH), (1,), (), LABELS[:1]) if quick else (DEPTHS, (1, 2), WIDTHS, LABELS)
    starts, together = options.seeds or (4 if quick else 30), 2 if quick else 6

    def net(kind, seed, rate, depth=DEPTH, width=wide, first=None, **more):
        """A net whose first so many layers are trained first; all of them, if it is not said."""
        layer, trained = partial(Layer, options.method, epochs=greedy), depth if first is None else first
        layers = greedy_layers(layer, (width,) * trained, BEFORE, seed) if kind == "pre" else ()
        return Unit(Tuned((width,) * depth, epochs, 20, **more), Rate(rate), layers, seed)

    def row(name, group, kind, about="", seeds=starts, **how):
        title, space = f"{about}{TITLES[kind]}", [{"rate": RATES[1:3] if quick else RATES}]
        return Row(name, title, partial(net, kind, **how), space, group=group, seeds=seeds, search_seeds=2)

    def by_depth(depth, kind):
        about, shown = f"{depth} layer{'s' * (depth > 1)}, ", 100 if depth == DEPTH else 0
        return row(f"depth/{depth}/{kind}", GROUP, kind, about, depth=depth, levels=LEVELS, shown=shown)

    def ways(seed, **rates):
        """A few starts of each kind. Those of another seed are others."""
        mine = range(1 + (seed - 1) * together, 1 + seed * together)
        units = [by_depth(DEPTH, kind).build(start, rates[kind]) for kind in TITLES for start in mine]
        return Unit(Embedded(), given=tuple(units), seed=seed)

    few, kinds = min(starts, 10), tuple(TITLES)
    return [
        *(by_depth(depth, kind) for depth in depths for kind in kinds),
        *(row(f"first/{k}/pre", PARTS, "pre", f"the first {k} of {DEPTH} layers, ", first=k) for k in parts),
        *(row(f"width/{n}/{kind}", NARROW, kind, f"{n} units, ", few, width=n) for n in widths for kind in kinds),
        *(
            row(f"labels/{n}/{kind}", FEW, kind, f"{n} labels, ", few, labels=n, steps=steps)
            for n in labels
            for kind in kinds
        ),
        Row(
            "functions",
            f"ways through the functions, {together} starts of each kind",
            ways,
            lambda chosen: [{kind: chosen[row]["rate"] for kind, row in ENDS.items()}],
            tuple(ENDS.values()),
            seeds=max(1, starts // together),
            keep=1,
        ),
    ]


ENDS = {kind: f"depth/{DEPTH}/{kind}" for kind in TITLES}
TRAIN, VALID, TEST = (metric._replace(per_example="") for metric in ERRORS)
NATS = [Metric(f"test/at_{level:g}", f"test nats at {level:g} nats in training", 1, " nats") for level in LEVELS]
RATIO = Metric("functions/ratio", "distance between kinds / within kinds")
MIXED = Metric("functions/mixed", "nets whose nearest is of the other kind, %", 100, " %")


def gain(row):
    """A row with pre-training, and the same without."""
    return f"{row}/pre", f"{row}/none"


def each(decide, metric, depths):
    """A decider: with pre-training it is so at each of the depths."""
    return claims.all_of(*(decide(metric, *gain(f"depth/{depth}")) for depth in depths))


FULL = gain(f"depth/{DEPTH}")
FIRST, SECOND, THIRD = ("first/1/pre", FULL[1]), ("first/2/pre", "first/1/pre"), (FULL[0], "first/2/pre")
CLAIMS = [
    *(
        Claim(
            f"With {depth} layer{'s' * (depth > 1)}, pre-training brings test errors of random starts closer together.",
            steadier(TEST, *gain(f"depth/{depth}")),
            ("E7",),
        )
        for depth in DEPTHS
    ),
    Claim(
        "Without pre-training, test errors of 5 layers lie farther apart than those of 2.",
        steadier(TEST, "depth/2/none", "depth/5/none"),
        ("A9", "E7"),
    ),
    Claim(
        "With pre-training, nets of 2 to 5 layers err less on test data.", each(claims.lower, TEST, DEPTHS[1:]), ("A9",)
    ),
    Claim(
        "Without pre-training, nets of 5 layers err more than those of 2.",
        claims.higher(TEST, "depth/5/none", "depth/2/none"),
        ("A9",),
    ),
    Claim(
        "With pre-training, nets of 5 layers err on at most .1 points more than those of 2.",
        claims.costs_at_most(TEST, "depth/5/pre", "depth/2/pre", 0.1),
        ("A9",),
    ),
    *(
        Claim(
            f"At {level:g} nats in training, pre-trained nets of 2 and of 3 layers have lower test nats.",
            each(claims.lower, metric, (2, 3)),
            ("E5", "C19"),
        )
        for level, metric in zip(LEVELS, NATS, strict=True)
    ),
    *(
        Claim(
            f"With {n} labels pre-training lowers the test error by more points than with all.",
            claims.gains_more(TEST, gain(f"labels/{n}"), FULL),
            ("C17",),
        )
        for n in LABELS
    ),
    Claim("With 25 units a layer, nets err more with pre-training.", claims.higher(TEST, *gain("width/25")), ("C19",)),
    Claim(
        "Pre-training gains more in wide layers than in layers of 25 units.",
        claims.gains_more(TEST, FULL, gain("width/25")),
    ),
    Claim(
        "Pre-training of the first layer gains more than that of the second, or that of the third.",
        claims.all_of(*(claims.gains_more(TEST, FIRST, later) for later in (SECOND, THIRD))),
    ),
    Claim(
        "Functions of two kinds lie farther apart than those of one kind, on average.",
        claims.at_least(RATIO, "functions", 1),
        ("A9",),
    ),
    Claim(
        "At most one net of twenty is nearer to one of the other kind than to all of its own.",
        claims.at_most(MIXED, "functions", 5),
        ("A9",),
    ),
]
SETTLED = {
    "1 layer errs less": claims.lower(TEST, *gain("depth/1")),
    "3 layers err less": claims.lower(TEST, *FULL),
    "5 layers err less": claims.lower(TEST, *gain("depth/5")),
    "5 layers lie closer": steadier(TEST, *gain("depth/5")),
    "lower test nats at equal training nats": claims.lower(NATS[-1], *FULL),
    "layer 1 gains more than layer 2": claims.gains_more(TEST, FIRST, SECOND),
}


def at_depth(row):
    """The line of a row in figures of random starts, and its place there."""
    return (TITLES[row.name[8:]], f"{row.name[6]}") if row.group == GROUP else None


def against(group, last, xlabel):
    """A figure of the test error by the number in the names of a group's rows, to which the full rows are the last."""

    def place(row):
        mine, number, kind = row.name.split("/") if row.name.count("/") == 2 else ("", "", "")
        x = last if row.name in FULL else number
        return (TITLES[kind], float(x)) if mine == group or row.name in FULL else None

    return figures.lines(TEST, place, xlabel)


def by_layers(row):
    """Its place by the number of layers that are trained first."""
    place = {FULL[1]: 0, "first/1/pre": 1, "first/2/pre": 2, FULL[0]: DEPTH}.get(row.name)
    return None if place is None else (f"{DEPTH} layers", float(place))


def functions(found):
    """The ways of a few nets of each kind, from the first seed."""
    if "functions" not in found:
        return None
    halves = np.split(found["functions"].kept(1)["points"], 2)
    return start_figure.paths(dict(zip(TITLES.values(), halves, strict=True)))


FIGURES = {
    "boxes.png": Figure(boxes(TEST, x="hidden layers", line="kind"), "Test errors of random starts by depth."),
    "histograms.png": Figure(
        histograms(TEST, x="hidden layers", line="kind"), "The same: how many starts ended where, a panel a depth."
    ),
    "paths.png": Figure(
        paths("train/nats", "test/nats", [*ENDS.values()], "training nats", "test nats"),
        "Loss on test digits against loss on training digits: a dot an epoch, a ring at the last.",
    ),
    "layers.png": Figure(
        figures.lines(TEST, by_layers, "layers that are trained first", log_x=False),
        "Test error when only the lower layers are trained first.",
    ),
    "labels.png": Figure(against("labels", EXAMPLES, "labels"), "Test error by number of labels."),
    "width.png": Figure(against("width", WIDTH, "units a layer"), "Test error by units a layer."),
    "functions.png": Figure(functions, "Ways of nets through the functions, by t-SNE of what they say of 100 digits."),
    "power.png": Figure(
        power(SETTLED, COUNTS), "In how many % of 40 draws so many starts are enough for a claim to hold."
    ),
    "search.png": Figure(figures.search("validation error %", 100), "Validation error of each rate, over two seeds."),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(flat=True, examples=lambda options: options.examples),
    rows=rows,
    metrics=[TRAIN, VALID, TEST, *NATS, RATIO, MIXED],
    claims=CLAIMS,
    figures=FIGURES,
    options=Options,
)

if __name__ == "__main__":
    main(STUDY)
