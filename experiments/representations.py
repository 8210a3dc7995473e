"""How many regions of the input do local and distributed representations tell apart?

A local representation names one of its prototypes for each input: the centres of k-means, and radial basis functions
around these. A distributed one names several features at once: the hidden units of an RBM and of an auto-associator,
each of which is on or off. All see the same digits, and have the same numbers of units, so almost as many parameters.
Counted are the regions in lines, planes and spaces through digits: how does their number grow with the parameters? Then
a linear classifier reads the digits off the codes.

    python -m experiments representations                   # 8 x 8 digits: about half a minute on two cores
    python -m experiments representations --preset paper    # MNIST: about 10 minutes on two cores

Lecture: feed-forward networks, "Local vs. Distributed Representations" (after Bengio 2009, section 3.1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from dlx import pretrain, study
from dlx.inspect import regions
from dlx.inspect.ridge import closed_form
from dlx.nets.layer import BINARY, INITIALIZERS, as_float, check_name
from dlx.nets.prototypes import distances, k_means, nearest, radial
from dlx.show.line_figure import lines
from dlx.show.map_figure import Map, maps
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.declare.finding import Bound

ROUNDS = 20
"""Of k-means."""
DECAY = 1e-3
"""Of the linear classifier."""
SHAPES = {"line": 1, "plane": 2, "space": 3}
"""Slices of the input, and their dimensions."""
POINTS = 20_000
"""Points of a slice, in which the regions of prototypes are counted."""
PICTURE = 128
"""Points a side of the picture of a plane."""


class Hypers(NamedTuple):
    """The rate of learnt layers, or the width of radial basis functions."""

    rate: float = 0.0
    width: float = 0.0
    """In units of the root of the mean squared distance of a digit from its nearest centre."""


class Kind(NamedTuple):
    """A kind of code."""

    train: Callable[..., Any]
    """`train(key, data, units, hypers, **training)` returns parameters; layers are trained with `epochs` and so on."""
    code: Callable[[Any, Array], Array]
    """`code(params, x)` [n, units] is what the linear classifier reads."""
    distributed: bool


def local(key, data, units, hypers, **_):
    """Centres, and the width of the functions around them."""
    x = as_float(data.train.x)
    centres = k_means(key, x, units, ROUNDS)
    return {"centres": centres, "width": hypers.width * jnp.sqrt(distances(centres, x).min(1).mean())}


def learnt(method, key, data, units, hypers, **training):
    """A layer that is trained without labels."""
    key_init, key_train = jax.random.split(key)
    visible = data.train.x.shape[1]
    w = INITIALIZERS["fan"](key_init, (visible, units))
    fresh = {"w": w, "b": jnp.zeros(units), "c": jnp.zeros(visible)}
    return method(rate=hypers.rate, **training)(key_train, fresh, data)[0]


KINDS = {
    "kmeans": Kind(local, lambda params, x: nearest(params["centres"], x), distributed=False),
    "radial": Kind(local, lambda params, x: radial(params["centres"], x, params["width"]), distributed=False),
    "rbm": Kind(partial(learnt, partial(pretrain.boltzmann, mean_field=True)), BINARY.encode, distributed=True),
    "autoassociator": Kind(partial(learnt, pretrain.autoassociate), BINARY.encode, distributed=True),
}


def marks(kind, params, x):
    """A number for the region of each input [n]: the nearest centre, or a hash of the units that are on."""
    if not kind.distributed:
        return distances(params["centres"], x).argmin(1).astype(jnp.uint32)
    on = x @ params["w"] + params["b"] > 0
    weights = jax.random.bits(jax.random.key(0), (on.shape[1],))
    return jnp.where(on, weights, 0).sum(1, dtype=jnp.uint32)


def distinct(numbers):
    """How many different numbers there are."""
    ordered = jnp.sort(numbers)
    return 1.0 + (ordered[1:] != ordered[:-1]).sum()


def slices(key, x, n, dims):
    """Slices of so many dimensions, each through digits that are drawn."""
    corners = jax.vmap(lambda key: x[jax.random.choice(key, len(x), (dims + 1,), replace=False)])
    return jax.vmap(regions.through)(corners(jax.random.split(key, n)))


def cut(kind, params, place, key):
    """Into how many regions a code cuts a slice. Of centres those count that are nearest to a point."""
    if kind.distributed:
        return regions.count(*regions.within(place, params["w"], params["b"]))
    return distinct(marks(kind, params, regions.points(key, place, POINTS)))


def picture(kind, params, place):
    """A number between 0 and 1 for the region of each point of a plane, in a square."""
    line = jnp.linspace(-1, 1, PICTURE)
    z = jnp.stack(jnp.meshgrid(line, line), -1).reshape(-1, 2)
    numbers = marks(kind, params, place.centre + place.radius * z @ place.directions)
    return jnp.modf(0.618034 * (numbers % 65536).astype(jnp.float32))[0].reshape(PICTURE, PICTURE)


def read_off(kind, params, data, classes):
    """What a linear map makes of the codes of each split: the error of digits, and squared errors of pixels."""

    def seen(split):
        codes = kind.code(params, as_float(split.x))
        return jnp.column_stack([codes, jnp.ones(len(codes))])

    def targets(split):
        return jnp.column_stack([jax.nn.one_hot(split.y, classes), as_float(split.x)])

    w, _ = closed_form(seen(data.train), targets(data.train), DECAY)

    def told(split):
        said, wanted = seen(split) @ w, targets(split)
        wrong = said[:, :classes].argmax(1) != split.y
        return {"error": wrong.mean(), "squared": jnp.square(said - wanted)[:, classes:].sum(1).mean()}

    return {name: told(split) for name, split in data._asdict().items()}


@dataclass(frozen=True)
class Regions:
    """Codes of a kind in `KINDS`, of several numbers of units, each trained afresh. Keeps a picture of a plane."""

    kind: str
    units: tuple[int, ...]
    epochs: int
    """Of learnt layers."""
    batch_size: int
    slices: int
    """Over which the numbers of regions are averaged."""
    pictured: int
    """Units of the code that the picture shows: one of `units`."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown kind."""
        check_name(self.kind, KINDS)

    def __call__(self, key, hypers, given, data, progress):
        """Counts regions of each code, and fits their growth by the parameters: the slope of the logarithms."""
        kind = KINDS[self.kind]
        key_codes, *keys_slices = jax.random.split(key, 1 + len(SHAPES))
        x = as_float(data.train.x)
        places = {
            shape: slices(key, x, self.slices, dims)
            for key, (shape, dims) in zip(keys_slices, SHAPES.items(), strict=True)
        }
        told, kept = [], {}
        for units in self.units:
            follow = progress(f"{units} units", epochs=self.epochs) if kind.distributed else None
            training = {"epochs": self.epochs, "batch_size": self.batch_size, "progress": follow}
            key_train, key_points = jax.random.split(jax.random.fold_in(key_codes, units))
            params = kind.train(key_train, data, units, hypers, **training)
            points = jax.random.split(key_points, (len(SHAPES), self.slices))
            counted = {
                shape: jax.lax.map(lambda one, params=params: cut(kind, params, *one), (place, keys))
                for keys, (shape, place) in zip(points, places.items(), strict=True)
            }
            mean = {shape: each.mean() for shape, each in counted.items()}
            mean["digits"] = distinct(marks(kind, params, x))
            told.append({"regions": mean, **read_off(kind, params, data, self.classes)})
            if units == self.pictured:
                kept = {"picture": picture(kind, params, jax.tree.map(lambda leaf: leaf[0], places["plane"]))}
        curves = jax.tree.map(lambda *values: jnp.stack(values), *told)
        parameters = jnp.log(jnp.array(self.units, jnp.float32))
        growth = {shape: jnp.polyfit(parameters, jnp.log(many), 1)[0] for shape, many in curves["regions"].items()}
        last = {
            split: {name: curve[-1] for name, curve in curves[split].items()} for split in ("train", "valid", "test")
        }
        idle = (jnp.array(self.units) - curves["regions"]["digits"]).sum()
        return kept, Result(last["valid"]["error"], {**last, "growth": {**growth, "idle": idle}}, curves)


class Sizes(NamedTuple):
    """What the presets differ in."""

    units: tuple[int, ...]
    pictured: int
    epochs: int
    batch_size: int
    slices: int


SIZES = {
    "quick": Sizes(units=(4, 12, 36), pictured=12, epochs=5, batch_size=20, slices=5),
    "paper": Sizes(units=(20, 80, 320), pictured=20, epochs=5, batch_size=50, slices=20),
}
RATES = [{"rate": [0.05, 0.1, 0.2, 0.4]}]
TRIED = {"kmeans": [{}], "radial": [{"width": [0.5, 1.0, 2.0, 4.0]}], "rbm": RATES, "autoassociator": RATES}
"""What a search varies: k-means has nothing to choose."""
TITLES = {
    "kmeans": "k-means",
    "rbm": "RBM",
    "autoassociator": "auto-associator",
    "radial": "radial basis functions",
}


def rows(options, about):
    """A row a kind of code."""
    sizes = SIZES[options.preset]

    def unit(seed, kind, **hypers):
        return Unit(
            Regions(kind, sizes.units, sizes.epochs, sizes.batch_size, sizes.slices, sizes.pictured),
            Hypers(**hypers),
            seed=seed,
        )

    return [
        Row(name, title, partial(unit, kind=name), TRIED[name], keep=1, at={"units": sizes.units, "kind": name})
        for name, title in TITLES.items()
    ]


TEST = Metric("test/error", "test error %", 100, " points")
SQUARED = Metric("test/squared", "squared error of a digit")
IDLE = Metric("growth/idle", "centres without digits")
GROWTH = {shape: Metric(f"growth/{shape}", f"growth of regions in a {shape}, by parameters") for shape in SHAPES}
DISTRIBUTED = ("rbm", "autoassociator")


def faster(row, shape, than):
    """Of one row the regions grow faster in a slice of one shape than in one of another."""
    numbers = {
        f"in a {one}": claims.Number(row, lambda runs, one=one: runs.by_seed(f"growth/{one}")) for one in (than, shape)
    }
    metric = Metric("growth", f"growth of the regions of the {TITLES[row]}, by parameters")
    return claims.of_numbers(metric, numbers, Bound("above", 0))


CLAIMS = [
    Claim(
        "Each centre of k-means is the nearest to some training digit, so regions and parameters grow alike.",
        claims.exact(IDLE, "kmeans", 0),
        ("C15",),
        figure="regions-1.png",
        answers=True,
    ),
    *(
        Claim(
            f"In a {shape} through digits, regions of codes of the {TITLES[row]} grow faster than its parameters.",
            claims.at_least(GROWTH[shape], row, 1),
            ("C15",),
            figure=f"regions-{SHAPES[shape]}.png",
            answers=shape == "space",
        )
        for row in DISTRIBUTED
        for shape in ("plane", "space")
    ),
    Claim(
        "In planes and spaces regions of distributed codes grow faster than those of k-means.",
        claims.all_of(*(claims.higher(GROWTH[shape], DISTRIBUTED, than="kmeans") for shape in ("plane", "space"))),
        ("C15",),
        figure="regions-2.png",
    ),
    Claim(
        "With each dimension of a slice, the regions of distributed codes grow faster.",
        claims.all_of(*(faster(row, *pair) for row in DISTRIBUTED for pair in (("plane", "line"), ("space", "plane")))),
        ("C15",),
        figure="regions-3.png",
    ),
    *(
        Claim(
            f"Of equally many units, a linear classifier reads digits off distributed codes with fewer errors than off "
            f"those of {TITLES[row]}.",
            claims.lower(TEST, DISTRIBUTED, than=row),
            figure="error.png",
        )
        for row in ("kmeans", "radial")
    ),
    Claim(
        "Of equally many units, a linear map draws digits from distributed codes with a smaller error than from "
        "prototypes.",
        claims.lower(SQUARED, DISTRIBUTED, than=["kmeans", "radial"]),
        figure="squared.png",
    ),
]


def by_units(name, label, scale=1, title="", kinds=tuple(TITLES)):
    """A figure of a curve of each row over its numbers of units."""

    def draw(found):
        there = {}
        for runs in (found[kind] for kind in kinds if kind in found):
            there[runs.row.title] = (runs.row.at["units"], list(scale * runs.curves(name).T))
        return lines(there, xlabel="units", ylabel=label, title=title, log_x=True) if there else None

    return draw


def regions_by_units(found):
    """A figure a shape of slices. Radial basis functions have the regions of k-means."""
    kinds = [kind for kind in TITLES if kind != "radial"]
    drawn = [
        by_units(
            f"regions/{shape}",
            f"regions in a {shape}",
            title=f"{dims} dimensions".replace("1 dimensions", "1 dimension"),
            kinds=kinds,
        )(found)
        for shape, dims in SHAPES.items()
    ]
    return [figure for figure in drawn if figure]


def pictures(found):
    """The regions of a plane, of the first seed."""
    drawn = {}
    for kind in ("kmeans", *DISTRIBUTED):
        if kind in found:
            at = found[kind].units[0].program.pictured
            values = found[kind].kept(found[kind].units[0].seed)["picture"]
            drawn[f"{TITLES[kind]}, {at} units"] = Map(values, (-1, 1, -1, 1), "", "")
    return maps(drawn) if drawn else None


FIGURES = {
    "picture.png": Figure(pictures, "The same plane through three digits: each patch of a colour is a region."),
    "regions.png": Figure(regions_by_units, "Regions in slices of the input, by the number of units."),
    "error.png": Figure(by_units("test/error", "test error %", 100), "Test error of a linear classifier on the codes."),
    "squared.png": Figure(
        by_units("test/squared", "squared error of a digit"),
        "Squared error of digits that a linear map draws from codes.",
    ),
    "search.png": Figure(
        figures.search("validation error %", 100, lambda row, trial: dict(trial)), "Validation error of each trial."
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*GROWTH.values(), TEST, SQUARED],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
