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
from typing import ClassVar, NamedTuple

import jax
import numpy as np

from dlx import study
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.programs.tuned import Tuned
from dlx.show import start_figure
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.judge.starts import boxes, histograms, paths, power, steadier


@dataclass(frozen=True)
class Embedded:
    """The functions that nets pass in training, as points of a plane: t-SNE of what they say (van der Maaten 2008).

    The first half of the given runs is of one kind, the second of another.
    """

    host: ClassVar[bool] = True

    def __call__(self, key, hypers, given, data, progress):
        """Keeps the points [runs, epochs, 2]. Tells distances between the functions at the end, in probabilities."""
        from scipy.spatial.distance import cdist
        from sklearn.manifold import TSNE

        said = np.stack([np.asarray(one["said"]) for one in given])
        runs, epochs = said.shape[:2]
        functions = said.reshape(runs * epochs, -1)
        seed = int(jax.random.bits(key)) % 2**31
        points = TSNE(init="pca", perplexity=min(30, len(functions) / 4), random_state=seed).fit_transform(functions)
        ends, itself = said[:, -1].reshape(runs, -1), np.eye(runs, dtype=bool)
        distances = cdist(ends, ends)
        of_first_kind = np.arange(runs) < runs // 2
        of_one_kind = of_first_kind[:, None] == of_first_kind
        nearest = np.where(itself, np.inf, distances).argmin(1)
        between, within = distances[of_first_kind][:, ~of_first_kind].mean(), distances[of_one_kind & ~itself].mean()
        mixed = (of_first_kind != of_first_kind[nearest]).mean()
        measures = {"between": between, "within": within, "mixed": mixed, "ratio": between / within}
        return {"points": points.reshape(runs, epochs, 2)}, Result(measures={"functions": measures})


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    examples: int = 10_000
    """Training digits, the first so many of the data set. There are no others, labelled or not."""
    width: int = 200
    """Units of a hidden layer, where rows do not say."""
    method: str = "denoising"
    """How layers are trained first, at one rate: dbn, autoassociator, denoising or supervised."""


DEPTH = 3
"""Hidden layers, where rows do not say."""


class Sizes(NamedTuple):
    """What the presets differ in."""

    width: int | None  # units a layer; None: as the options say
    depths: tuple[int, ...]  # hidden layers
    parts: tuple[int, ...]  # layers that are trained first, of nets of `DEPTH`
    widths: tuple[int, ...]  # units a layer, of narrow nets
    labels: tuple[int, ...]  # examples with a label, where these are few
    steps: int  # minibatches an epoch there
    rates: list[float]  # what every row searches
    layer_epochs: int  # of pre-training
    epochs: int
    starts: int
    together: int  # starts of each kind whose ways through the functions are compared


SIZES = {
    "quick": Sizes(
        width=32,
        depths=(1, DEPTH),
        parts=(1,),
        widths=(),
        labels=(100,),
        steps=20,
        rates=[1.0, 2.0],
        layer_epochs=5,
        epochs=10,
        starts=4,
        together=2,
    ),
    "paper": Sizes(
        width=None,
        depths=(1, 2, 3, 4, 5),
        parts=(1, 2),
        widths=(25, 50, 100),
        labels=(100, 1000),
        steps=100,
        rates=[0.3, 1.0, 2.0, 4.0],
        layer_epochs=20,
        epochs=30,
        starts=30,
        together=6,
    ),
}
TITLES = {"none": "without pre-training", "pre": "with pre-training"}
BEFORE = LayerHypers(rate=0.1, masking=0.25)
"""How layers are trained first."""
LEVELS = (0.1, 0.03)
"""Training nats at which the test nats of nets are compared."""
USUAL = {kind: f"depth/{DEPTH}/{kind}" for kind in TITLES}
"""The rows that are shown beside all others."""


def of_layers(depth: int) -> str:
    """A number of layers in words."""
    return "1 layer" if depth == 1 else f"{depth} layers"


def none_or_all_of(depth: int) -> dict[str, int]:
    """How many layers of a net are trained first, by kind of net."""
    return {"none": 0, "pre": depth}


def rows(options, about):
    """Each row has the same rates to choose; layers are trained first in the same way everywhere."""
    sizes = SIZES[options.preset]
    usual_width, starts = sizes.width or options.width, options.seeds or sizes.starts

    def net(seed, rate, trained_first, depth=DEPTH, width=usual_width, **others):
        """A net of which so many layers are trained first."""
        widths = (width,) * depth
        layer = partial(Layer, options.method, epochs=sizes.layer_epochs)
        layers = greedy_layers(layer, widths[:trained_first], BEFORE, seed)
        return Unit(Tuned(widths, sizes.epochs, batch_size=20, **others), Rate(rate), layers, seed)

    def none_or_all(kind, depth=DEPTH, **others):
        """Nets none of whose layers are trained first, or all."""
        return partial(net, trained_first=none_or_all_of(depth)[kind], depth=depth, **others)

    def by_depth(kind, depth):
        """Nets that are followed epoch by epoch; those of the usual depth also tell what they say of 100 digits."""
        return none_or_all(kind, depth, levels=LEVELS, shown=100 if depth == DEPTH else 0)

    def place(kind, depth):
        """Where a row by depth stands in figures. Those of the usual depth stand in all of them."""
        here = {"hidden layers": depth, "kind": TITLES[kind]}
        others = {
            "layers that are trained first": none_or_all_of(depth)[kind],
            "net": of_layers(depth),
            "labels": options.examples,
            "units a layer": usual_width,
        }
        return {**here, **others} if depth == DEPTH else here

    def ways(seed, **rates):
        """A few starts of each kind. Those of another seed are others."""
        mine = range(1 + (seed - 1) * sizes.together, 1 + seed * sizes.together)
        units = [by_depth(kind, DEPTH)(start, rates[kind]) for kind in TITLES for start in mine]
        return Unit(Embedded(), given=tuple(units), seed=seed)

    row = partial(Row, space=[{"rate": sizes.rates}], search_seeds=2)
    return [
        *(
            row(
                f"depth/{depth}/{kind}",
                f"{of_layers(depth)}, {title}",
                by_depth(kind, depth),
                group="Random starts by depth",
                seeds=starts,
                at=place(kind, depth),
            )
            for depth in sizes.depths
            for kind, title in TITLES.items()
        ),
        *(
            row(
                f"first/{layers}/pre",
                f"the first {layers} of {DEPTH} layers, {TITLES['pre']}",
                partial(net, trained_first=layers),
                group="The lower layers alone",
                seeds=starts,
                at={"layers that are trained first": layers, "net": of_layers(DEPTH)},
            )
            for layers in sizes.parts
        ),
        *(
            row(
                f"width/{width}/{kind}",
                f"{width} units, {title}",
                none_or_all(kind, width=width),
                group="Narrow layers",
                seeds=min(starts, 10),
                at={"units a layer": width, "kind": title},
            )
            for width in sizes.widths
            for kind, title in TITLES.items()
        ),
        *(
            row(
                f"labels/{labels}/{kind}",
                f"{labels} labels, {title}",
                none_or_all(kind, labels=labels, steps=sizes.steps),
                group="Few labels",
                seeds=min(starts, 10),
                at={"labels": labels, "kind": title},
            )
            for labels in sizes.labels
            for kind, title in TITLES.items()
        ),
        Row(
            "functions",
            f"ways through the functions, {sizes.together} starts of each kind",
            ways,
            space=lambda chosen: [{kind: chosen[row]["rate"] for kind, row in USUAL.items()}],
            after=tuple(USUAL.values()),
            seeds=max(1, starts // sizes.together),
            keep=1,
        ),
    ]


TRAIN, VALID, TEST = (metric._replace(per_example="") for metric in ERRORS)
NATS = {level: Metric(f"test/at_{level:g}", f"test nats at {level:g} nats in training", 1, " nats") for level in LEVELS}
RATIO = Metric("functions/ratio", "distance between kinds / within kinds")
MIXED = Metric("functions/mixed", "nets whose nearest is of the other kind, %", 100, " %")
all_of, gains_more, higher, lower = claims.all_of, claims.gains_more, claims.higher, claims.lower


def lower_at(depths, metric):
    """A decider: at each of the depths it is lower with pre-training."""
    return all_of(*(lower(metric, f"depth/{depth}/pre", than=f"depth/{depth}/none") for depth in depths))


def gain(rows):
    """A row with pre-training and the same without: what it gains is the second minus the first."""
    return f"{rows}/pre", f"{rows}/none"


ALL_LAYERS = gain(f"depth/{DEPTH}")
FIRST_LAYER, SECOND_LAYER = ("first/1/pre", "depth/3/none"), ("first/2/pre", "first/1/pre")
THIRD_LAYER = ("depth/3/pre", "first/2/pre")
CLAIMS = [
    *(
        Claim(
            f"With {of_layers(depth)}, pre-training brings test errors of random starts closer together.",
            steadier(TEST, f"depth/{depth}/pre", than=f"depth/{depth}/none"),
            ("E7",),
            figure="boxes.png",
        )
        for depth in (1, 2, 3, 4, 5)
    ),
    Claim(
        "Without pre-training, test errors of 5 layers lie farther apart than those of 2.",
        steadier(TEST, "depth/2/none", than="depth/5/none"),
        figure="boxes.png",
    ),
    Claim(
        "With pre-training, nets of 1 to 5 layers err less on test data.",
        lower_at((1, 2, 3, 4, 5), TEST),
        ("A9",),
        figure="boxes.png",
    ),
    Claim(
        "With pre-training, nets of 2 to 5 layers err less on their training digits, too.",
        lower_at((2, 3, 4, 5), TRAIN),
        ("A9",),
        figure="fit.png",
        answers=True,
    ),
    Claim(
        "Pre-training lowers the test error of 5 layers by more points than that of 2.",
        gains_more(TEST, gain("depth/5"), than=gain("depth/2")),
        ("A9",),
        figure="boxes.png",
    ),
    Claim(
        "Without pre-training, nets of 5 layers err more than those of 2.",
        higher(TEST, "depth/5/none", than="depth/2/none"),
        figure="boxes.png",
    ),
    Claim(
        "With pre-training, nets of 5 layers err less than those of 2.",
        lower(TEST, "depth/5/pre", than="depth/2/pre"),
        figure="boxes.png",
    ),
    *(
        Claim(
            f"With {of_layers(depth)}, pre-trained nets have lower test nats at equal training nats.",
            all_of(*(lower(nats, f"depth/{depth}/pre", than=f"depth/{depth}/none") for nats in NATS.values())),
            ("E5", "C19"),
            figure="nats.png",
            answers=depth in (1, DEPTH),
        )
        for depth in (1, 2, 3, 4)
    ),
    *(
        Claim(
            f"With {labels} labels pre-training lowers the test error by more points than with all.",
            gains_more(TEST, gain(f"labels/{labels}"), than=ALL_LAYERS),
            ("C17",),
            figure="labels.png",
        )
        for labels in (100, 1000)
    ),
    Claim(
        "With 25 units a layer, nets err more with pre-training.",
        higher(TEST, "width/25/pre", than="width/25/none"),
        figure="width.png",
    ),
    Claim(
        "Pre-training gains more in wide layers than in layers of 25 units.",
        gains_more(TEST, ALL_LAYERS, than=gain("width/25")),
        figure="width.png",
    ),
    *(
        Claim(
            f"Pre-training of the first layer gains more than that of the {which}.",
            gains_more(TEST, FIRST_LAYER, than=later),
            figure="layers.png",
        )
        for which, later in {"second": SECOND_LAYER, "third": THIRD_LAYER}.items()
    ),
    Claim(
        "Functions of two kinds lie farther apart than those of one kind, on average.",
        claims.at_least(RATIO, "functions", 1),
        figure="functions.png",
    ),
    Claim(
        "Fewer than half of the nets have one of the other kind as their nearest.",
        claims.at_most(MIXED, "functions", 50),
        figure="functions.png",
    ),
]
SETTLED = {
    "1 layer errs less": lower(TEST, "depth/1/pre", than="depth/1/none"),
    "3 layers err less": lower(TEST, "depth/3/pre", than="depth/3/none"),
    "5 layers err less": lower(TEST, "depth/5/pre", than="depth/5/none"),
    "5 layers lie closer": steadier(TEST, "depth/5/pre", than="depth/5/none"),
    "lower test nats at equal training nats": lower(NATS[0.03], "depth/3/pre", than="depth/3/none"),
    "layer 1 gains more than layer 2": gains_more(TEST, FIRST_LAYER, than=SECOND_LAYER),
}


def ways_through_functions(found):
    """The ways of a few nets of each kind, from the first seed."""
    if "functions" not in found:
        return None
    without, pretrained = np.split(found["functions"].kept(1)["points"], 2)
    return start_figure.paths({TITLES["none"]: without, TITLES["pre"]: pretrained})


FIGURES = {
    "boxes.png": Figure(boxes(TEST, x="hidden layers", line="kind"), "Test errors of random starts by depth."),
    "histograms.png": Figure(
        histograms(TEST, x="hidden layers", line="kind"), "The same: how many starts ended where, a panel a depth."
    ),
    "paths.png": Figure(
        paths("train/nats", "test/nats", [*USUAL.values()], xlabel="training nats", ylabel="test nats"),
        "Loss on test digits against loss on training digits: a dot an epoch, a ring at the last.",
    ),
    "nats.png": Figure(
        figures.lines(NATS[0.03], x="hidden layers", line="kind", where={"hidden layers": (1, 2, 3, 4)}, log_x=False),
        "Test nats where the training nats first fall to .03, by depth.",
    ),
    "fit.png": Figure(
        figures.lines(Metric("train/nats", "training nats"), x="hidden layers", line="kind", log_x=False),
        "Loss on the training digits, after the epoch with the least validation error, by depth.",
    ),
    "layers.png": Figure(
        figures.lines(TEST, x="layers that are trained first", line="net", log_x=False),
        "Test error when only the lower layers are trained first.",
    ),
    "labels.png": Figure(figures.lines(TEST, x="labels", line="kind"), "Test error by number of labels."),
    "width.png": Figure(figures.lines(TEST, x="units a layer", line="kind"), "Test error by units a layer."),
    "functions.png": Figure(
        ways_through_functions, "Ways of nets through the functions, by t-SNE of what they say of 100 digits."
    ),
    "power.png": Figure(
        power(SETTLED, counts=(2, 3, 5, 7, 10, 15, 20, 30)),
        "In how many % of 40 draws so many starts are enough for a claim to hold.",
    ),
    "search.png": Figure(
        figures.search("validation error %", 100, panel="kind"), "Validation error of each rate, over two seeds."
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(flat=True, examples=lambda options: options.examples),
    rows=rows,
    metrics=[TRAIN, VALID, TEST, *NATS.values(), RATIO, MIXED],
    claims=CLAIMS,
    figures=FIGURES,
    options=Options,
)

if __name__ == "__main__":
    main(STUDY)
