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
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from dlx import study
from dlx.nets.layer import as_float, check_name
from dlx.programs import Layer, LayerHypers, Rate, greedy_layers
from dlx.programs.layers import METHODS, kind_of
from dlx.programs.tuned import Tuned
from dlx.stats import student
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.declare.finding import Bound
from dlx.study.judge.verdicts import judge


@dataclass(frozen=True)
class Reconstructed:
    """How well each of the given layers, trained by one method, reconstructs its input. Nothing is trained.

    Keeps some filters of the first, those of the largest norm, and validation examples above their reconstructions from
    the codes of one layer, of two, and so on: as float16, since they are only to be looked at.
    """

    method: str
    """One of `dlx.programs.layers.METHODS`."""
    shown: int = 6
    """How many filters are kept, and how many validation examples."""

    def __post_init__(self):
        """Raise ValueError for an unknown method."""
        check_name(self.method, METHODS)

    def __call__(self, key, hypers, given, data, progress):
        """For each layer the share of its input's variance that the reconstruction misses; of pixels, by all layers."""
        kind = kind_of(self.method)
        layers = [layer for kept in given for layer in kept.values()]  # each given unit keeps one layer

        def missed(x, rebuilt):
            return jnp.square(x - rebuilt).sum() / jnp.square(x - x.mean(0)).sum()

        def encode(x):
            """The input, and its codes by one layer, by two, and so on."""
            codes = [as_float(jnp.asarray(x))]
            for layer in layers:
                codes.append(kind.encode(layer, codes[-1]))
            return codes

        def decode(code, below):
            """What the code of the uppermost of some layers says of the input of the lowest."""
            for layer in reversed(below):
                code = kind.decode(layer, code)
            return code

        def shares_left(codes):
            shares = {
                f"left_{i + 1}": missed(codes[i], decode(codes[i + 1], [layer])) for i, layer in enumerate(layers)
            }
            return {**shares, "pixels": missed(codes[0], decode(codes[-1], layers))}

        codes = encode(data.valid.x)
        valid = shares_left(codes)
        # Row i: examples from their codes by i layers; row 0 is the examples.
        images = jnp.stack([decode(code[: self.shown], layers[:i]) for i, code in enumerate(codes)])
        filters = layers[0]["w"]
        largest = jnp.argsort(-jnp.linalg.norm(filters, axis=0))[: self.shown]
        kept = {"filters": filters[:, largest].astype(jnp.float16), "images": images.astype(jnp.float16)}
        return kept, Result(score=valid["pixels"], measures={"valid": valid, "test": shares_left(encode(data.test.x))})


class Pretraining(NamedTuple):
    """A way to train the layers first, and what of it is not searched."""

    title: str
    masking: float = 0.0
    contraction: float = 0.0


# By their names in `dlx.programs.layers.METHODS`; of "dbn" the layers are RBMs.
PRETRAININGS = {
    "none": Pretraining("no pre-training"),
    "autoassociator": Pretraining("auto-associators, cross-entropy"),
    "squared": Pretraining("auto-associators, squared error"),
    "denoising": Pretraining("denoising auto-associators", masking=0.25),
    "contractive": Pretraining("contractive auto-associators", contraction=0.1),
    "dbn": Pretraining("RBMs"),
}


@dataclass(frozen=True)
class Options(study.CommonOptions):
    """The options that this experiment has beside the common ones."""

    examples: int = 10_000
    """Training digits, the first so many of the data set: 50 000 are all of MNIST."""


class Sizes(NamedTuple):
    """What the presets differ in."""

    spaces: dict[str, dict[str, Any]]
    """What is searched, by method: the rate, and the rate `before`, at which the layers are trained first."""
    depths: tuple[int, ...]  # hidden layers
    widths: tuple[int, ...]  # units a layer
    usual: int  # the width at which rows search; at other widths they take over what was chosen
    shapes: dict[str, tuple[int, ...]]  # widths of the layers, from below
    below: int  # layers of the usual width, below a last one of another width
    tops: tuple[int, ...]  # units of this last layer
    layer_epochs: int  # of pre-training
    epochs: int
    top_epochs: int  # of the nets with such a last layer
    seeds: int


SIZES = {
    "quick": Sizes(
        spaces={
            "none": {"rate": [1.0, 2.0]},
            "autoassociator": {"before": [0.1], "rate": [0.5, 2.0]},
            "squared": {"before": [0.015], "rate": [0.5, 2.0]},
        },
        depths=(1, 2),
        widths=(32,),
        usual=32,
        shapes={},
        below=1,
        tops=(4,),
        layer_epochs=5,
        epochs=20,
        top_epochs=20,
        seeds=2,
    ),
    "paper": Sizes(
        spaces={
            "none": {"rate": [0.5, 1.0, 2.0, 4.0]},
            "autoassociator": {"before": [0.03, 0.1], "rate": [0.5, 2.0]},
            "squared": {"before": [0.005, 0.015], "rate": [0.5, 2.0]},
            "denoising": {"before": [0.03, 0.1], "rate": [0.5, 2.0]},
            "contractive": {"before": [0.03, 0.1], "rate": [0.5, 2.0]},
            "dbn": {"before": [0.03, 0.1], "rate": [0.5, 2.0]},
        },
        depths=(1, 2, 3, 4),
        widths=(50, 200, 400),
        usual=200,
        shapes={"increasing": (100, 200, 300), "constant": (200, 200, 200), "decreasing": (300, 200, 100)},
        below=2,
        tops=(5, 10, 20, 50, 200),
        layer_epochs=20,
        epochs=20,
        top_epochs=30,
        seeds=5,
    ),
}
SHAPE_METHODS, TOP_METHODS = ("none", "autoassociator", "dbn"), ("none", "autoassociator")
TELL_END = (0.03,)
"""Levels of the training nats. With any, `Tuned` tells the training error after the last epoch."""
SHAPE, TOP, LAYERS = "Shapes", "Width of the last layer", "Layer by layer"


def rows(options, about):
    """At the usual width each row searches; rows of other widths and shapes take its choice over."""
    sizes = SIZES[options.preset]
    row = partial(Row, seeds=options.seeds or sizes.seeds)

    below = (sizes.usual,) * sizes.below

    def pretrained(method, widths, seed, before):
        """The layers, trained one after the other at the rate `before`."""
        layer, fixed = partial(Layer, method, epochs=sizes.layer_epochs), PRETRAININGS[method]
        return greedy_layers(layer, widths, LayerHypers(before, fixed.masking, fixed.contraction), seed)

    def tuned(method, widths, seed, rate, before=None, epochs=sizes.epochs, levels=()):
        """A sigmoid net on the labels by plain descent, for all epochs; judged, and scored, as it was at the best."""
        given = () if method == "none" else pretrained(method, widths, seed, before)
        return Unit(Tuned(widths, epochs, batch_size=20, levels=levels), Rate(rate), given, seed)

    def rebuilt(method, seed, rate, before):
        """What the layers of a chosen trial reconstruct; its rate of fine-tuning is not needed."""
        given = pretrained(method, (sizes.usual,) * sizes.depths[-1], seed, before)
        return Unit(Reconstructed(method), given=given, seed=seed)

    def searching(method):
        return {"space": [sizes.spaces[method]]}

    def as_chosen_by(other):
        return {"space": lambda chosen: [chosen[other]], "after": (other,)}

    def by_width(width, method, depth):
        search = searching(method) if width == sizes.usual else as_chosen_by(f"{sizes.usual}/{depth}/{method}")
        return row(
            f"{width}/{depth}/{method}",
            f"{depth} x {width}, {PRETRAININGS[method].title}",
            partial(tuned, method, (width,) * depth),
            group=f"{width} units a layer",
            at={"units a layer": width, "layers": depth, "method": PRETRAININGS[method].title},
            **search,
        )

    return [
        *(
            by_width(width, method, depth)
            for width in sizes.widths
            for method in sizes.spaces
            for depth in sizes.depths
        ),
        *(
            row(
                f"shape/{shape}/{method}",
                f"{shape}, {PRETRAININGS[method].title}",
                partial(tuned, method, widths),
                group=SHAPE,
                **as_chosen_by(f"{sizes.usual}/{len(widths)}/{method}"),
            )
            for shape, widths in sizes.shapes.items()
            for method in SHAPE_METHODS
        ),
        *(
            row(
                f"top/{units}/{method}",
                f"{units} units, {PRETRAININGS[method].title}",
                partial(tuned, method, (*below, units), epochs=sizes.top_epochs, levels=TELL_END),
                group=TOP,
                at={"units of the last layer": units, "method": PRETRAININGS[method].title},
                **searching(method),
            )
            for units in sizes.tops
            for method in TOP_METHODS
        ),
        *(
            row(
                f"layers/{method}",
                PRETRAININGS[method].title,
                partial(rebuilt, method),
                group=LAYERS,
                keep=1,
                **as_chosen_by(f"{sizes.usual}/{sizes.depths[-1]}/{method}"),
            )
            for method in sizes.spaces
            if method != "none"
        ),
    ]


# Without `per_example` the report has no paired tests between all rows of a group; the claims have tests of their own.
TRAIN, VALID, TEST = (metric._replace(per_example="") for metric in ERRORS)
END = Metric("train/end", "training error % after the last epoch", 100, " points", bounds=(0, 100))
LEAST = Metric("train/error", "least training error % of all epochs", 100, " points", bounds=(0, 100))
LEFT = [Metric(f"test/left_{layer}", f"variance left by layer {layer}, %", 100, " %") for layer in (1, 2, 3, 4)]
PIXELS = Metric("test/pixels", "variance left of pixels, %", 100, " %")
TRAINED = {name: method.title for name, method in PRETRAININGS.items() if name != "none"}
SMALL = (5, 10, 20)
"""Units of a small last layer."""
all_of, at_most, costs_at_most = claims.all_of, claims.at_most, claims.costs_at_most
higher, lower = claims.higher, claims.lower


def errs_less(method, than):
    """A decider: with 2, 3 and 4 layers of 200 units a method gives a lower test error than another."""
    return all_of(*(lower(TEST, f"200/{depth}/{method}", than=f"200/{depth}/{than}") for depth in (2, 3, 4)))


def least_by_seed(found, row):
    """The least training error of all epochs by seed, in percent, whatever epoch validation chose."""
    if row not in found:
        return {}
    least = LEAST.scale * found[row].curves(LEAST.name).min(1, initial=1)
    return dict(zip(found[row].seeds, least.tolist(), strict=True))


def reaches(row, bound):
    """A decider: the least training error of a row's runs is at most so many percent, on average."""

    def decider(found):
        values = np.array([value for value in least_by_seed(found, row).values() if np.isfinite(value)])
        if not values.size:
            return claims.unfinished(found, [row])
        finding = judge(student(values), Bound("at most", bound), found.looks)
        return claims.showing(finding, LEAST, [claims.side(found, row, values)])

    return decider


def fits_better(row, than):
    """A decider: the least training error of a row is below that of another, seed against seed."""

    def decider(found):
        by_seed = [least_by_seed(found, one) for one in (row, than)]
        return claims.paired(found, LEAST, (row, than), by_seed, Bound("above", 0))

    return decider


# A sentence, the test over seeds that decides it, and the lectures' claims in claims.toml that it is part of.
CLAIMS = [
    *(
        Claim(
            f"Nets of {depth} layers of 200 units err less if their layers are first trained by squared error.",
            lower(TEST, f"200/{depth}/squared", than=f"200/{depth}/none"),
            ("E3b",),
            figure="depth-2.png",
        )
        for depth in (2, 3, 4)
    ),
    *(
        Claim(
            f"Nets of 2 to 4 layers of 200 units err less if their layers are first trained as {title}.",
            errs_less(method, than="none"),
            figure="depth-2.png",
        )
        for method, title in TRAINED.items()
        if method != "squared"
    ),
    *(
        Claim(
            f"Of four layers trained by squared error, layer {layer} leaves at most a tenth of its input's variance.",
            at_most(left, "layers/squared", 10),
            ("A7", "E3a"),
            figure="images.png",
        )
        for layer, left in enumerate(LEFT, 1)
    ),
    Claim(
        "Of four layers trained by cross-entropy, each leaves at most a tenth of its input's variance.",
        all_of(*(at_most(left, "layers/autoassociator", 10) for left in LEFT)),
        figure="images.png",
    ),
    Claim(
        "Denoising auto-associators lower the test error of 2 to 4 layers by more than plain ones do.",
        errs_less("denoising", than="autoassociator"),
        figure="depth-2.png",
        answers=True,
    ),
    Claim(
        "RBMs lower the test error of 2 to 4 layers by more than auto-associators do.",
        errs_less("dbn", than="autoassociator"),
        figure="depth-2.png",
    ),
    Claim(
        "Without pre-training, nets of 4 layers err more than those of 2.",
        higher(TEST, "200/4/none", than="200/2/none"),
        figure="depth-2.png",
    ),
    Claim(
        "With pre-training, nets of 4 layers err less than those of 2, whichever kind it is.",
        all_of(*(lower(TEST, f"200/4/{method}", than=f"200/2/{method}") for method in TRAINED)),
        figure="depth-2.png",
        answers=True,
    ),
    Claim(
        "Pre-training 3 layers as auto-associators gains more with 400 units a layer than with 50.",
        claims.gains_more(TEST, ("400/3/autoassociator", "400/3/none"), than=("50/3/autoassociator", "50/3/none")),
        figure="depth.png",
        answers=True,
    ),
    *(
        Claim(
            f"Layers of constant width err on at most .1 points more than {shape} ones.",
            all_of(
                *(
                    costs_at_most(TEST, f"shape/constant/{method}", than=f"shape/{shape}/{method}", bound=0.1)
                    for method in SHAPE_METHODS
                )
            ),
            figure="shape.png",
        )
        for shape in ("increasing", "decreasing")
    ),
    *(
        Claim(
            f"Without pre-training, a net whose last layer has {units} units comes down to .05 % of training error.",
            reaches(f"top/{units}/none", 0.05),
            ("E4a",),
            figure="end.png",
        )
        for units in (50, 200)
    ),
    Claim(
        "With 5, 10 or 20 units in the last layer, pre-training lowers the least training error.",
        all_of(*(fits_better(f"top/{units}/autoassociator", than=f"top/{units}/none") for units in SMALL)),
        ("E4b",),
        figure="end.png",
    ),
    Claim(
        "With 5, 10 or 20 units in the last layer, pre-training lowers the test error.",
        all_of(*(lower(TEST, f"top/{units}/autoassociator", than=f"top/{units}/none") for units in SMALL)),
        ("E4b",),
        figure="top.png",
    ),
    Claim(
        "With 200 units there, pre-training lowers the test error all the same.",
        lower(TEST, "top/200/autoassociator", than="top/200/none"),
        figure="top.png",
    ),
]
FIGURES = {
    "depth.png": Figure(
        figures.lines(TEST, x="layers", line="method", panel="units a layer", log_x=False),
        "Test error by depth, a panel a width.",
    ),
    "end.png": Figure(
        figures.bars(END, groups=(TOP,)),
        "Training error after the last epoch, by the width of the last layer. The least of all epochs is at most that.",
    ),
    "top.png": Figure(figures.lines(TEST, x="units of the last layer", line="method"), "Test error of the same nets."),
    "shape.png": Figure(
        figures.bars(TEST, groups=(SHAPE,)), "Layers that become wider, stay as wide, or become narrower."
    ),
    "filters.png": Figure(
        figures.filters("filters", groups=(LAYERS,)), "First layers: the six filters of the largest norm."
    ),
    "images.png": Figure(
        figures.samples("images", groups=(LAYERS,)),
        "Validation digits; below them what the codes of one layer rebuild, of two, and so on.",
    ),
    "search.png": Figure(
        figures.search("validation error %", 100, panel="method"), "Validation error of every trial, by method."
    ),
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
