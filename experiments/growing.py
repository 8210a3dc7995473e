"""How large must a net be, and can training find that out: nets that grow, and weight decay that prunes?

Two spirals of 1, 2 and 3 turns are learnt by nets that add units until they have learnt them: by Ash's dynamic node
creation, and by cascade correlation. Beside them are nets of fixed sizes. A net of one hidden layer is trained on
digits with and without weight decay. Its smallest weights are then set to 0: how few are enough?

    python -m experiments growing                   # 8 x 8 digits: about a minute on two cores
    python -m experiments growing --preset paper    # MNIST: about 6 minutes on two cores

Lecture: Alpaydin 12, "Tuning the Network Size".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlx import study
from dlx.classify import classify, start
from dlx.data.generated import RADIUS, square, two_spirals
from dlx.growing import cascade, cascade_output, create_nodes, layer_output, smallest, wrong
from dlx.inspect.weights import largest, near_zero, pruned
from dlx.losses.supervised import misclassified
from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.mlp import mlp
from dlx.nets.weights import is_weight
from dlx.optim import sgd
from dlx.show.map_figure import Map, maps
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main, shares
from dlx.train import by_batches, valid

TURNS = (1, 2, 3)
MOST = 64
"""The most hidden units of a net for the spirals."""
UNITS_TRIED = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, MOST)
"""Hidden units of nets of fixed size, among which the smallest that learns is looked for."""
PICTURE = 48
"""Points a side of the pictures of a net's output."""
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""The shares of the weights that are left."""
DECAYS = (0, 0.0001, 0.0003, 0.001, 0.003)


class Hypers(NamedTuple):
    """The rate; of spirals their turns, of a net for digits its weight decay, the lecture's lambda."""

    rate: float
    turns: float = 0.0
    decay: float = 0.0


class Kind(NamedTuple):
    """A way to find the size of a net."""

    train: Callable[..., Any]
    """`train(key, split, rule, **sizes)` returns parameters and a `dlx.growing.Growth`."""
    output: Callable[..., jax.Array]
    """`output(params, x)`: the log-odds of the second spiral."""
    sizes: tuple[str, ...]
    """The names of the sizes that `train` takes."""


KINDS = {
    "ash": Kind(create_nodes, layer_output, ("most", "window", "windows")),
    "cascade": Kind(cascade, cascade_output, ("most", "candidates", "steps")),
    "fixed": Kind(smallest, layer_output, ("sizes", "window", "windows")),
}


@dataclass(frozen=True)
class Spirals:
    """A net of a kind in `KINDS`, on two spirals. Keeps a picture of its output."""

    kind: str
    sizes: tuple[Any, ...]
    """Those that the kind names, in its order."""

    @classmethod
    def of(cls, kind: str, **sizes: Any) -> "Spirals":
        """The program of these sizes by name."""
        return cls(kind, tuple(sizes[name] for name in KINDS[kind].sizes))

    def __call__(self, key, hypers, given, data, progress):
        """Its size, and errors between the points. A net that has not learnt them counts as twice the largest.

        Of the fewest units, the fewest steps score best.
        """
        kind = KINDS[self.kind]
        sizes = dict(zip(kind.sizes, self.sizes, strict=True))
        params, growth = kind.train(key, two_spirals(hypers.turns), optax.adam(hypers.rate), **sizes)
        between = two_spirals(hypers.turns, points=96, shift=0.5)
        units = jnp.where(growth.solved, growth.units, 2 * MOST)
        size = {"units": units, "log": jnp.log2(jnp.maximum(units, 1)), "weights": growth.weights}
        error = wrong(kind.output(params, between.x), between.y)
        measures = {"grown": {**size, "solved": growth.solved.astype(jnp.float32)}, "test": {"error": error}}
        odds = kind.output(params, RADIUS * square(PICTURE).reshape(-1, 2))
        picture = jax.nn.sigmoid(odds).reshape(PICTURE, PICTURE)
        # a net that has ended with fewer units counts with its last loss
        losses = growth.losses[jnp.minimum(jnp.array(UNITS_TRIED), growth.units).astype(jnp.int32) - 1]
        return {"picture": picture}, Result(units + 1e-6 * growth.steps, measures, {"train": {"loss": losses}})


@dataclass(frozen=True)
class PruneBySize:
    """A layer of rectified units, trained with weight decay; then only its largest weights are left."""

    width: int
    epochs: int
    batch_size: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Test errors at each of `SHARES`, as the weights are, and after one more epoch of those that are left."""
        key_init, key_train, key_again = jax.random.split(key, 3)
        net = mlp((self.width,), self.classes, INITIALIZERS["he"], RELU)
        rule = optax.chain(optax.add_decayed_weights(hypers.decay, is_weight), sgd(hypers.rate))
        train = partial(classify, net, batch_size=self.batch_size, scored=False)
        error, follow = misclassified(net), progress("net", epochs=self.epochs)
        params, curve = train(rule, epochs=self.epochs, progress=follow)(key_train, start(key_init, net, data), data)

        def errors_with(share):
            left, cut = largest(params, share), pruned(params, share)
            only = optax.stateless(lambda updates, params: jax.tree.map(jnp.multiply, updates, left))
            again, _ = train(optax.chain(rule, only), epochs=1)(key_again, cut, data)
            return by_batches(error, cut, data.test).mean(), by_batches(error, again, data.test).mean()

        cut, again = jax.lax.map(errors_with, jnp.array(SHARES))
        whole, tenth = SHARES.index(1.0), SHARES.index(0.1)
        test = {"error": cut[whole], "lost": cut[tenth] - cut[whole], "lost_again": again[tenth] - cut[whole]}
        measures = {"test": test, "weights": {"near": near_zero(params)}}
        return {}, Result(valid(error)(params, data), measures, {"test": {"cut": cut, "again": again}}, curve.diverged)


class Sizes(NamedTuple):
    """What the presets differ in."""

    spirals: Mapping[str, Spirals]  # by the names in `NETS`
    digits: PruneBySize
    spiral_rates: list[float]  # to choose from
    digit_rates: list[float]
    search_seeds: int  # of spirals


SIZES = {
    "quick": Sizes(
        spirals={
            "ash": Spirals.of("ash", most=MOST, window=200, windows=60),
            "cascade": Spirals.of("cascade", most=MOST, candidates=8, steps=100),
            "fixed": Spirals.of("fixed", sizes=(4, 16, MOST), window=200, windows=20),
            "largest": Spirals.of("fixed", sizes=(MOST,), window=200, windows=60),
        },
        digits=PruneBySize(width=32, epochs=20, batch_size=20),
        spiral_rates=[0.03],
        digit_rates=[0.2],
        search_seeds=1,
    ),
    "paper": Sizes(
        spirals={
            "ash": Spirals.of("ash", most=MOST, window=200, windows=200),
            "cascade": Spirals.of("cascade", most=MOST, candidates=8, steps=300),
            "fixed": Spirals.of("fixed", sizes=UNITS_TRIED, window=200, windows=200),
            "largest": Spirals.of("fixed", sizes=(MOST,), window=200, windows=200),
        },
        digits=PruneBySize(width=100, epochs=20, batch_size=100),
        spiral_rates=[0.01, 0.03, 0.1],
        digit_rates=[0.1, 0.2, 0.4],
        search_seeds=2,
    ),
}
NETS = {"ash": "Ash's nets", "cascade": "Cascades", "fixed": "Smallest fixed nets", "largest": "64 fixed units"}
"""Nets for the spirals, and what the tables call them."""
GROWING = ("ash", "cascade")
DIGITS = "Digits, by weight decay"


def rows(options, about):
    """Spirals by kind of net and turns, with the same rates to choose; and digits by decay, with the same rates."""
    sizes = SIZES[options.preset]

    def unit(seed, rate, *, program, **others):
        return Unit(program, Hypers(rate, **others), seed=seed)

    return [
        *(
            Row(
                f"{net}/{turns}",
                f"{title}, turns: {turns}",
                partial(unit, program=sizes.spirals[net], turns=turns),
                [{"rate": sizes.spiral_rates}],
                group=title,
                search_seeds=sizes.search_seeds,
                keep=1 if net in GROWING else 0,
                at={"net": net, "turns": turns},
            )
            for net, title in NETS.items()
            for turns in TURNS
        ),
        *(
            Row(
                f"decay/{decay}",
                f"weight decay {decay}",
                partial(unit, program=sizes.digits, decay=decay),
                [{"rate": sizes.digit_rates}],
                group=DIGITS,
                seeds=min(5, options.fresh_seeds()),
            )
            for decay in DECAYS
        ),
    ]


UNITS = Metric("grown/units", "hidden units")
LOG_UNITS = Metric("grown/log", "log2 of the hidden units")
WEIGHTS = Metric("grown/weights", "weights")
NEAR = Metric("weights/near", "weights near 0, %", 100, " points")
LOST = Metric("test/lost", "points lost at a tenth", 100, " points")
AGAIN = Metric("test/lost_again", "points lost at a tenth, after an epoch", 100, " points")
TEST = Metric("test/error", "test error %", 100, " points")
GROWN = [f"{net}/{turns}" for net in GROWING for turns in TURNS]
at_most, costs_at_most, higher, lower = claims.at_most, claims.costs_at_most, claims.higher, claims.lower


def at_all_turns(compare):
    """A decider: what `compare(turns)` decides holds at every number of turns."""
    return claims.all_of(*map(compare, TURNS))


CLAIMS = [
    *(
        Claim(
            f"{NETS[net]} get more units with every turn of the spirals.",
            claims.all_of(higher(UNITS, f"{net}/2", than=f"{net}/1"), higher(UNITS, f"{net}/3", than=f"{net}/2")),
            ("D10b",),
            figure="size.png",
        )
        for net in GROWING
    ),
    Claim(
        "Nets that grow learn the spirals in at least 90 % of the runs.",
        shares.called(
            "grown/solved", ("no", "yes"), dict.fromkeys(GROWN, ("yes",)), 0.9, "runs that learn the spirals"
        ),
        ("D10b",),
        figure="size.png",
        answers=True,
    ),
    *(
        Claim(
            f"{NETS[net]} get at most twice the units of the smallest net of fixed size that learns the spirals.",
            at_all_turns(
                lambda turns, net=net: costs_at_most(LOG_UNITS, f"{net}/{turns}", than=f"fixed/{turns}", bound=1)
            ),
            ("D10b",),
            figure="size.png",
            answers=net == "ash",
        )
        for net in GROWING
    ),
    *(
        Claim(
            f"{NETS[net]} err less between the training points of {turns} turns than fixed nets of {MOST} units.",
            lower(TEST, f"{net}/{turns}", than=f"largest/{turns}"),
            figure="pictures.png",
        )
        for net in GROWING
        for turns in (2, 3)
    ),
    Claim(
        "Cascades learn the spirals with fewer units than Ash's nets.",
        at_all_turns(lambda turns: lower(UNITS, f"cascade/{turns}", than=f"ash/{turns}")),
        figure="size.png",
    ),
    Claim(
        "Cascades learn the spirals with fewer weights than Ash's nets.",
        at_all_turns(lambda turns: lower(WEIGHTS, f"cascade/{turns}", than=f"ash/{turns}")),
        figure="weights.png",
    ),
    Claim(
        "Weight decay of each strength leaves more weights near 0 than none.",
        claims.all_of(*(higher(NEAR, f"decay/{decay}", than="decay/0") for decay in DECAYS[1:])),
        ("D10a",),
        figure="near.png",
    ),
    *(
        Claim(
            f"With weight decay {str(decay).lstrip('0')} less is lost than without, if a tenth of the weights is left.",
            lower(LOST, f"decay/{decay}", than="decay/0"),
            ("D10a",),
            figure="cut.png",
            answers=decay == 0.001,
        )
        for decay in DECAYS[1:]
    ),
    Claim(
        "With weight decay .001 a tenth of the weights is enough: at most half a point is lost.",
        at_most(LOST, "decay/0.001", 0.5),
        figure="cut.png",
    ),
    Claim(
        "With all of its weights, a net with weight decay .001 errs on at most .2 points more than one without.",
        costs_at_most(TEST, "decay/0.001", than="decay/0", bound=0.2),
        figure="cut.png",
    ),
    Claim(
        "Without weight decay at most half a point is lost if the tenth that is left is trained for an epoch.",
        at_most(AGAIN, "decay/0", 0.5),
        figure="again.png",
    ),
]


def pictures(found):
    """What growing nets of the first seed say of each point, and the points that they have learnt."""
    drawn, extent = {}, (-RADIUS, RADIUS, -RADIUS, RADIUS)
    for row in sorted((row for row in GROWN if row in found), key=lambda row: found[row].row.at["turns"]):
        points = two_spirals(float(found[row].row.at["turns"]))
        spirals = {"spiral 1": points.x[points.y == 0], "spiral 2": points.x[points.y == 1]}
        picture = found[row].kept(1)["picture"]
        drawn[found[row].row.title] = Map(picture, extent, "x", "y", spirals, "probability of spiral 2")
    return maps(drawn, size=3) if drawn else None


def by_share(name):
    """A figure of the test error by the share of the weights that are left."""
    return figures.profiles(name, "test error %", "share of the weights", (DIGITS,), places=SHARES, scale=100)


FIGURES = {
    "pictures.png": Figure(
        pictures, "How probable is the second spiral at each point? Growing nets of the first seed."
    ),
    "size.png": Figure(
        figures.lines(UNITS, x="turns", where={"net": ["ash", "cascade", "fixed"]}, log_x=False),
        "Hidden units by turns.",
    ),
    "weights.png": Figure(
        figures.lines(WEIGHTS, x="turns", where={"net": ["ash", "cascade", "fixed"]}, log_x=False), "Weights by turns."
    ),
    "near.png": Figure(figures.bars(NEAR, (DIGITS,)), "Weights near 0, by weight decay."),
    "cut.png": Figure(by_share("test/cut"), "Test error with the largest weights alone."),
    "again.png": Figure(by_share("test/again"), "Test error after one more epoch of the weights that are left."),
    "loss.png": Figure(
        figures.profiles(
            "train/loss",
            "training loss",
            "hidden units",
            groups=(NETS["ash"], NETS["cascade"]),
            places=[float(units) for units in UNITS_TRIED],
        ),
        "Loss with so many units. A net that has ended with fewer counts with its last loss.",
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[UNITS, WEIGHTS, NEAR, LOST, AGAIN, TEST],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
