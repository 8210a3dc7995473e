"""Which greedy pre-training, of how deep and how wide a net (Larochelle, Bengio, Louradour & Lamblin 2009)?

Nets of one to four sigmoid layers of three widths are trained on 10 000 digits. Their layers are first trained as RBMs,
as auto-associators of four kinds, or not at all. Then: layers that become wider or narrower; nets whose last hidden
layer is narrow, where training alone should no longer reach error 0; and how well layers reconstruct.

    python -m experiments larochelle2009                   # 8 x 8 digits: a minute on two cores
    python -m experiments larochelle2009 --preset paper    # MNIST: about an hour and a half on two cores

Lecture: CS7015 9, page 17; on feed-forward nets, "Auto-Encoders" and "Unsupervised Pre-training"; CMU 10-601B 16.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from dlx import study
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.programs.tuned import Reconstructed, Tuned
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main

METHODS = {
    "none": "no pre-training",
    "autoassociator": "auto-associators, cross-entropy",
    "squared": "auto-associators, squared error",
    "denoising": "denoising auto-associators",
    "contractive": "contractive auto-associators",
    "dbn": "RBMs",
}
TRAINED = tuple(METHODS)[1:]
KIND = {"denoising": {"masking": 0.25}, "contractive": {"contraction": 0.1}}
DEPTHS, WIDTHS, USUAL, TOPS = (1, 2, 3, 4), (50, 200, 400), 200, (5, 10, 20, 50, 200)
SHAPES = {"increasing": (100, 200, 300), "constant": (200, 200, 200), "decreasing": (300, 200, 100)}
SHAPED, NARROWED = ("none", "autoassociator", "dbn"), ("none", "autoassociator")
BY_WIDTH, SHAPE, TOP, LAYERS = "{} units a layer", "Shapes", "Width of the last layer", "Layer by layer"


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    examples: int = 10_000
    """Training digits, the first so many of the data set: 50 000 are all of MNIST."""


def rows(options, about):
    """At 200 units a layer each row searches; rows of other widths and shapes take its choice over."""
    quick = options.preset == "quick"
    depths, widths, usual, tops = ((1, 2), (32,), 32, (4,)) if quick else (DEPTHS, WIDTHS, USUAL, TOPS)
    epochs, greedy, seeds = (20, 5, options.fresh_seeds()) if quick else (20, 20, options.seeds or 5)
    longer = epochs if quick else 30
    methods = ("none", "autoassociator", "squared") if quick else tuple(METHODS)

    def layers(method, widths, seed, before):
        layer = partial(Layer, method, epochs=greedy)
        return greedy_layers(layer, widths, LayerHypers(before, **KIND.get(method, {})), seed)

    def net(method, widths, seed, rate, before=None, epochs=epochs, levels=()):
        given = () if method == "none" else layers(method, widths, seed, before)
        return Unit(Tuned(widths, epochs, 20, levels=levels), Rate(rate), given, seed)

    def rebuilt(method, seed, rate, before):
        return Unit(Reconstructed(method), given=layers(method, (usual,) * depths[-1], seed, before), seed=seed)

    def space(method):
        """Four trials: four rates, or two for each of two rates of pre-training."""
        if method == "none":
            return [{"rate": [0.5, 1.0, 2.0, 4.0][quick : 4 - quick]}]
        before = [0.005, 0.015] if method == "squared" else [0.03, 0.1]
        return [{"before": before[quick:], "rate": [0.5, 2.0]}]

    def row(name, group, method, widths, title="", like="", **more):
        how: dict[str, Any] = {"build": partial(net, method, widths, **more), "group": group, "seeds": seeds}
        how |= {"space": lambda chosen: [chosen[like]], "after": (like,)} if like else {"space": space(method)}
        return Row(name, title or METHODS[method], **how)

    def by_width(method, width, depth):
        like = "" if width == usual else f"{usual}/{depth}/{method}"
        title = f"{depth} x {width}, {METHODS[method]}"
        return row(f"{width}/{depth}/{method}", BY_WIDTH.format(width), method, (width,) * depth, title, like)

    def by_layer(method):
        """What the layers of the deepest nets of the usual width reconstruct."""
        deepest = f"{usual}/{depths[-1]}/{method}"
        return Row(
            f"layers/{method}",
            METHODS[method],
            partial(rebuilt, method),
            lambda chosen: [chosen[deepest]],
            (deepest,),
            LAYERS,
            seeds=seeds,
            keep=1,
        )

    below = (usual,) * (len(depths) // 2)
    return [
        *(by_width(method, width, depth) for width in widths for method in methods for depth in depths),
        *(
            row(f"shape/{shape}/{method}", SHAPE, method, units, f"{shape}, {METHODS[method]}", f"{usual}/3/{method}")
            for shape, units in SHAPES.items()
            for method in SHAPED
            if not quick
        ),
        *(
            row(
                f"top/{n}/{method}",
                TOP,
                method,
                (*below, n),
                f"{n} units, {METHODS[method]}",
                epochs=longer,
                levels=(0.03,),
            )
            for n in tops
            for method in NARROWED
        ),
        *(by_layer(method) for method in methods if method != "none"),
    ]


TRAIN, VALID, TEST = (metric._replace(per_example="") for metric in ERRORS)
END = Metric("train/end", "training error % after the last epoch", 100, " points", bounds=(0, 100))
LEFT = [Metric(f"test/left_{i}", f"variance left by layer {i}, %", 100, " %") for i in DEPTHS]
PIXELS = Metric("test/pixels", "variance left of pixels, %", 100, " %")


def each(decide, metric, row, than, *bound, places=DEPTHS[1:]):
    """A decider: two kinds of rows compare in this way at each of the places."""
    return claims.all_of(*(decide(metric, row.format(place), than.format(place), *bound) for place in places))


def helps(method, width):
    """Nets of three layers with pre-training and without."""
    return f"{width}/3/{method}", f"{width}/3/none"


NONE, CROSS, SQUARED = "200/{}/none", "200/{}/autoassociator", "200/{}/squared"
NUMBERS = {"autoassociator": ("E3",), "squared": ("E3",)}
CLAIMS = [
    *(
        Claim(
            f"Nets of 2 to 4 layers of 200 units err less if their layers are first trained as {METHODS[method]}.",
            each(claims.lower, TEST, f"200/{{}}/{method}", NONE),
            NUMBERS.get(method, ()),
        )
        for method in TRAINED
    ),
    Claim(
        "An auto-associator of 200 units, trained by squared error, leaves at most a tenth of the pixels' variance.",
        claims.at_most(LEFT[0], "layers/squared", 10),
        ("A7",),
    ),
    Claim(
        "Of four such layers each leaves at most a tenth of the variance of its input.",
        claims.all_of(*(claims.at_most(metric, "layers/squared", 10) for metric in LEFT)),
        ("A7", "E3"),
    ),
    Claim(
        "Pre-training by squared error costs at most .2 points beside cross-entropy, at 1 to 4 layers.",
        each(claims.costs_at_most, TEST, SQUARED, CROSS, 0.2, places=DEPTHS),
        ("E3",),
    ),
    Claim(
        "Denoising auto-associators lower the test error of 2 to 4 layers by more than plain ones do.",
        each(claims.lower, TEST, "200/{}/denoising", CROSS),
    ),
    Claim(
        "RBMs lower the test error of 2 to 4 layers by more than auto-associators do.",
        each(claims.lower, TEST, "200/{}/dbn", CROSS),
    ),
    Claim(
        "Without pre-training, nets of 4 layers err more than those of 2.",
        claims.higher(TEST, NONE.format(4), NONE.format(2)),
    ),
    Claim(
        "With it they err on at most .1 points more, whichever it is.",
        claims.all_of(*(claims.costs_at_most(TEST, f"200/4/{m}", f"200/2/{m}", 0.1) for m in TRAINED)),
    ),
    Claim(
        "Pre-training as auto-associators gains more with 400 units a layer than with 50.",
        claims.gains_more(TEST, helps("autoassociator", 400), helps("autoassociator", 50)),
    ),
    Claim(
        "Layers of constant width err on at most .1 points more than increasing or decreasing ones.",
        claims.all_of(
            *(
                claims.costs_at_most(TEST, f"shape/constant/{m}", f"shape/{shape}/{m}", 0.1)
                for m in SHAPED
                for shape in ("increasing", "decreasing")
            )
        ),
    ),
    Claim(
        "Without pre-training, a net whose last layer has 200 units ends with at most .05 % of training error.",
        claims.at_most(END, "top/200/none", 0.05),
        ("E4",),
    ),
    Claim(
        "Without pre-training, nets whose last layer has 5 or 10 units end above that.",
        claims.at_least(END, ["top/5/none", "top/10/none"], 0.05),
        ("E4",),
    ),
    Claim(
        "With pre-training these end with a lower training error.",
        each(claims.lower, END, "top/{}/autoassociator", "top/{}/none", places=TOPS[:2]),
        ("E4",),
    ),
    Claim(
        "With 200 units there, pre-training lowers the test error all the same.",
        claims.lower(TEST, "top/200/autoassociator", "top/200/none"),
        ("E4",),
    ),
]


def by_depth(row):
    """The line and the depth of a row by width."""
    _, depth, method = row.name.split("/") if row.group.endswith("a layer") else ("", "", "none")
    return (METHODS[method], float(depth)) if depth else None


def by_top(row):
    """The line of a row by the width of its last layer, and that width."""
    return (METHODS[row.name.split("/")[2]], float(row.name.split("/")[1])) if row.group == TOP else None


def at_each_width(found):
    """A panel a width: test errors by depth."""
    groups = [group for group in found.groups() if group.endswith("a layer")]
    return [figures.lines(TEST, by_depth, f"layers, {group}", (group,), log_x=False)(found) for group in groups]


FIGURES = {
    "depth.png": Figure(at_each_width, "Test error by depth, a panel a width."),
    "end.png": Figure(
        figures.bars(END, (TOP,)), "Training error after the last epoch, by the width of the last layer."
    ),
    "top.png": Figure(figures.lines(TEST, by_top, "units of the last layer"), "Test error of the same nets."),
    "shape.png": Figure(figures.bars(TEST, (SHAPE,)), "Layers that become wider, stay as wide, or become narrower."),
    "filters.png": Figure(figures.filters("filters", (LAYERS,)), "First layers: the six filters of the largest norm."),
    "images.png": Figure(
        figures.samples("images", (LAYERS,)),
        "Validation digits; below them what the codes of one layer rebuild, of two, and so on.",
    ),
    "search.png": Figure(figures.search("validation error %", 100), "Validation error of every trial, by method."),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(flat=True, examples=lambda options: options.examples),
    rows=rows,
    metrics=[TRAIN, VALID, TEST, END, *LEFT, PIXELS],
    claims=CLAIMS,
    figures=FIGURES,
    options=Options,
)

if __name__ == "__main__":
    main(STUDY)
