"""How large must a net be, and can training find that out: nets that grow, and weight decay that prunes?

Two spirals of 1, 2 and 3 turns are learnt by nets that add units until they have learnt them: by Ash's dynamic node
creation, and by cascade correlation. Beside them are nets of fixed sizes. A net of one hidden layer is trained on
digits with and without weight decay. Its smallest weights are then set to 0: how few are enough?

    python -m experiments growing                   # 8 x 8 digits: about a minute on two cores
    python -m experiments growing --preset paper    # MNIST: about 6 minutes on two cores

Lecture: Alpaydin 12, "Tuning the Network Size".
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlx import study
from dlx.algorithms import gradient
from dlx.data.generated import RADIUS, square, two_spirals
from dlx.growing import cascade, cascade_output, create_nodes, layer_output, smallest, wrong
from dlx.inspect.weights import largest, near_zero, pruned
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.mlp import mlp
from dlx.nets.weights import is_weight
from dlx.optim import sgd
from dlx.show.line_figure import maps
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main
from dlx.study.judge.numbered import by_number
from dlx.study.judge.shares import called
from dlx.train import by_batches, fit, minibatches, valid

KINDS = {"ash": (create_nodes, layer_output), "cascade": (cascade, cascade_output), "fixed": (smallest, layer_output)}
TURNS, SIZES = (1, 2, 3), (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)  # of the weights, how many are left


class Hypers(NamedTuple):
    """The rate; of spirals their turns, of a net for digits its weight decay, the lecture's lambda."""

    rate: float
    turns: float = 0.0
    decay: float = 0.0


@dataclass(frozen=True)
class Spirals:
    """A net of a kind in `KINDS`, whose function gets the sizes, on two spirals. Keeps a picture of its output."""

    kind: str
    sizes: tuple[Any, ...]

    def __call__(self, key, hypers, given, data, progress):
        """Its size, and errors between the points. A net that has not learnt them counts as twice the largest.

        Of the fewest units, the fewest steps score best.
        """
        train, output = KINDS[self.kind]
        params, growth = train(key, two_spirals(hypers.turns), optax.adam(hypers.rate), *self.sizes)
        between, solved = two_spirals(hypers.turns, 96, 0.5), growth.solved
        units = jnp.where(solved, growth.units, 2 * SIZES[-1])
        size = {"units": units, "log": jnp.log2(jnp.maximum(units, 1)), "weights": growth.weights}
        error = wrong(output(params, between.x), between.y)
        measures = {"grown": {**size, "solved": solved.astype(jnp.float32)}, "test": {"error": error}}
        picture = jax.nn.sigmoid(output(params, RADIUS * square(48).reshape(-1, 2))).reshape(48, 48)
        losses = growth.losses[jnp.minimum(jnp.array(SIZES), growth.units).astype(jnp.int32) - 1]
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
        feed = minibatches(self.batch_size)
        rule = optax.chain(optax.add_decayed_weights(hypers.decay, is_weight), sgd(hypers.rate))
        loss, error = cross_entropy(net), misclassified(net)
        train = fit(gradient(loss, rule), feed, epochs=self.epochs, progress=progress("net", epochs=self.epochs))
        params, curve = train(key_train, net.init(key_init, data.train.x[0]), data)

        def at(share):
            left, cut = largest(params, share), pruned(params, share)
            only = optax.stateless(lambda updates, params: jax.tree.map(jnp.multiply, updates, left))
            again, _ = fit(gradient(loss, optax.chain(rule, only)), feed, epochs=1)(key_again, cut, data)
            return [by_batches(error, one, data.test).mean() for one in (cut, again)]

        cut, again = jax.lax.map(at, jnp.array(SHARES))
        tenth = SHARES.index(0.1)
        test = {"error": cut[0], "lost": cut[tenth] - cut[0], "lost_again": again[tenth] - cut[0]}
        measures = {"test": test, "weights": {"near": near_zero(params)}}
        return {}, Result(valid(error)(params, data), measures, {"test": {"cut": cut, "again": again}}, curve.diverged)


NETS = {"ash": "Ash's nets", "cascade": "Cascades", "fixed": "Smallest fixed nets", "largest": "64 fixed units"}
GROWING, GROUPS = ("ash", "cascade"), ("Ash's nets", "Cascades")
DIGITS, DECAYS = "Digits, by weight decay", (0, 0.0001, 0.0003, 0.001, 0.003)


def rows(options, about):
    """Spirals by kind of net and turns, with the same rates to choose; and digits by decay, with the same rates."""
    quick, top = options.preset == "quick", SIZES[-1]
    programs = {
        "ash": Spirals("ash", (top, 200, 60 if quick else 200)),
        "cascade": Spirals("cascade", (top, 8, 100 if quick else 300)),
        "fixed": Spirals("fixed", ((4, 16, top), 200, 20) if quick else (SIZES, 200, 200)),
        "largest": Spirals("fixed", ((top,), 200, 60 if quick else 200)),
        "digits": PruneBySize(32, 20, 20) if quick else PruneBySize(100, 20, 100),
    }
    rates, faster = ([0.03], [0.2]) if quick else ([0.01, 0.03, 0.1], [0.1, 0.2, 0.4])

    def unit(name, seed, rate, **more):
        return Unit(programs[name], Hypers(rate, **more), seed=seed)

    return [
        *(
            Row(
                f"{kind}/{turns}",
                f"{NETS[kind]}, turns: {turns}",
                partial(unit, kind, turns=turns),
                [{"rate": rates}],
                group=NETS[kind],
                search_seeds=1 if quick else 2,
                keep=int(kind in GROWING),
            )
            for kind in NETS
            for turns in TURNS
        ),
        *(
            Row(
                f"decay/{decay}",
                f"weight decay {decay}",
                partial(unit, "digits", decay=decay),
                [{"rate": faster}],
                group=DIGITS,
                seeds=min(5, options.fresh_seeds()),
            )
            for decay in DECAYS
        ),
    ]


UNITS, LOG, WEIGHTS, NEAR, LOST, AGAIN, TEST = (
    Metric(*names)
    for names in (
        ("grown/units", "hidden units"),
        ("grown/log", "log2 of the hidden units"),
        ("grown/weights", "weights"),
        ("weights/near", "weights near 0, %", 100, " points"),
        ("test/lost", "points lost at a tenth", 100, " points"),
        ("test/lost_again", "the same after an epoch", 100, " points"),
        ("test/error", "test error %", 100, " points"),
    )
)
LEARNT = {f"{kind}/{turns}": ("yes",) for kind in GROWING for turns in TURNS}


def each(decide, metric, row, than, *bound):
    """A decider: two kinds of nets compare in this way at every number of turns."""
    return claims.all_of(*(decide(metric, f"{row}/{turns}", f"{than}/{turns}", *bound) for turns in TURNS))


CLAIMS = [
    *(
        Claim(
            f"{NETS[kind]} get more units with every turn of the spirals.",
            claims.all_of(*(claims.higher(UNITS, f"{kind}/{n + 1}", f"{kind}/{n}") for n in TURNS[:-1])),
            ("D10",),
        )
        for kind in GROWING
    ),
    Claim(
        "Nets that grow learn the spirals in at least 90 % of the runs.",
        called("grown/solved", ("no", "yes"), LEARNT, 0.9),
        ("D10",),
    ),
    Claim(
        "Ash's nets get at most twice the units of the smallest net of fixed size that learns the spirals.",
        each(claims.costs_at_most, LOG, "ash", "fixed", 1),
        ("D10",),
    ),
    *(
        Claim(
            f"Between the training points {NETS[kind]} err on at most 3 points more than fixed nets of 64 units.",
            each(claims.costs_at_most, TEST, kind, "largest", 3),
        )
        for kind in GROWING
    ),
    Claim("Cascades learn the spirals with fewer units than Ash's nets.", each(claims.lower, UNITS, *GROWING[::-1])),
    Claim(
        "With weight decay .001 a tenth of the weights is enough: at most half a point is lost.",
        claims.at_most(LOST, "decay/0.001", 0.5),
        ("D10",),
    ),
    Claim("Without weight decay more is lost.", claims.higher(LOST, "decay/0", "decay/0.001"), ("D10",)),
    Claim("Weight decay .001 leaves more weights near 0.", claims.higher(NEAR, "decay/0.001", "decay/0"), ("D10",)),
    Claim(
        "With all of its weights, a net with weight decay .001 errs on at most .2 points more than one without.",
        claims.costs_at_most(TEST, "decay/0.001", "decay/0", 0.2),
    ),
    Claim(
        "Without weight decay at most half a point is lost if the tenth that is left is trained for an epoch.",
        claims.at_most(AGAIN, "decay/0", 0.5),
    ),
]


def pictures(found):
    """What growing nets of the first seed say of each point."""
    return maps({found[row].row.title: found[row].kept(1)["picture"] for row in LEARNT if row in found})


def by_share(name):
    """A figure of the test error by the share of the weights that are left."""
    return figures.profiles(name, "test error %", "share of the weights", (DIGITS,), places=SHARES, scale=100)


FIGURES = {
    "pictures.png": Figure(
        pictures, "How probable is the second spiral at each point? Growing nets of the first seed."
    ),
    "size.png": Figure(by_number(UNITS, "turns", [*NETS.values()][:3]), "Hidden units by turns."),
    "cut.png": Figure(by_share("test/cut"), "Test error with the largest weights alone."),
    "again.png": Figure(by_share("test/again"), "Test error after one more epoch of the weights that are left."),
    "loss.png": Figure(
        figures.profiles("train/loss", "training loss", "hidden units", GROUPS, places=[*map(float, SIZES)]),
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
