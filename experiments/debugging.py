"""How does one see that a net does not work, and what is wrong with it?

A museum of ten faults. Each is switched on in a small net on 1 000 digits, and `diagnose` names it from the loss by
epoch, the net before and after training, and the data. Then its remedy is tried. Sound nets show how often a fault is
seen where there is none. Finite differences check the gradient of every loss of this project.

    python -m experiments debugging                   # 8 x 8 digits: about a minute on two cores
    python -m experiments debugging --preset paper    # MNIST: about 10 minutes on two cores

Lecture: feed-forward nets, "Gradient Checking", "Debugging on Small Dataset", "Visualization", "When it does not work".
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx import study
from dlx.classify import classify, errors, start
from dlx.inspect import faults, units
from dlx.inspect.check import check, slope_gaps
from dlx.inspect.counts import count
from dlx.inspect.diagnose import NAMES, SOUND, Look, diagnose, measure, name
from dlx.inspect.faults import Faults
from dlx.losses import adversarial, energy, reconstruction
from dlx.losses.supervised import cross_entropy, mean_of, squared_error
from dlx.nets.layer import BINARY, GAUSSIAN, RELU, TANH, UNITS, LayerKind, as_float, number_of, switch_units
from dlx.nets.mlp import codes, hidden, mlp
from dlx.optim import sgd
from dlx.show.figures import samples
from dlx.stage import chain
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, figures, main, shares
from dlx.train import first
from dlx.types import Data, Labelled, Loss


@dataclass(frozen=True)
class Museum:
    """The training of a net of two hidden layers, spoiled or sound, and what `diagnose` says of it.

    There are too many runs for their records to say which test examples are wrong.
    """

    width: int
    train: int
    """Training examples."""
    valid: int
    """Validation examples."""
    epochs: int = 30
    batch_size: int = 10
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Keeps the values of the upper hidden layer, sample by unit."""
        key_data, key_init, key_check, key_train = jax.random.split(key, 4)
        few = Data(floats(data.train, self.train), floats(data.valid, self.valid), floats(data.test))
        data = faults.spoil_data(key_data, few, hypers)
        kind, lower = switch_units(hypers.units), hidden(0)
        net = mlp((self.width, self.width), self.classes, units=kind)
        loss = faults.wrong_gradient(mean_of(faults.log_loss(hypers.unfit), net), lower, hypers.factor, hypers.share)
        fresh = faults.spoil_start(start(key_init, net, data), hypers)
        train = classify(
            net,
            optax.chain(sgd(hypers.rate), faults.frozen(lower, hypers.frozen)),
            epochs=self.epochs,
            batch_size=self.batch_size,
            loss=loss,
            progress=progress("museum", epochs=self.epochs),
        )
        end, (curve, measured) = chain(train, errors(net))(key_train, fresh, data)
        seen = first(data.train, 500)
        views: list[Any] = [codes(1, kind), codes(2, kind)]
        before, after = (Look(params, [view(params, seen.x) for view in views]) for params in (fresh, end))
        low, high = kind.mean(jnp.array([-jnp.inf, jnp.inf]))
        signs = measure(
            curve,
            before,
            after,
            data,
            (measured.train["error"], measured.valid["error"]),
            gradient=slope_gaps(loss, key_check, fresh, first(seen, 50)).max(),
            low=low,
            high=high,
        )
        flags, result = diagnose(signs), Result.of(curve, measured)
        called = {**flags, "sound": name(flags) == SOUND, "first": name(flags)}
        upper = after.hidden[-1]
        result = result._replace(measures={**result.measures, "test": measured.test})  # not which ones are wrong
        result = result.telling(
            signs=signs._asdict(),
            flags={flag: 1.0 * value for flag, value in called.items()},
            units={
                "redundant": units.redundant(upper),
                "correlation": units.correlation(upper),
                "activity": units.activity(upper),
            },
            model={"flops": jnp.asarray(float(count(net.apply, fresh, data.train.x[0]).training))},
        )
        picture = units.picture(upper, seen.y)[:: max(1, len(upper) // self.width)]
        return {"units": picture.astype(jnp.float16)}, result


def floats(split: Labelled, n: int | None = None) -> Labelled:
    """The first n examples, or all; pixels from 0 to 1."""
    return Labelled(as_float(jnp.asarray(split.x[:n])), jnp.asarray(split.y[:n]))


class Checked(NamedTuple):
    """A loss whose gradients are checked."""

    case: str
    """The name in `Gradients` of the parameters and the batch that it takes."""
    loss: Loss


CRITIC, GENERATOR = mlp((4,), 1), mlp((3,), 5)
NET, DEEP = mlp((8,), 3, units=RELU), mlp((4, 3), 3)
SPINS = LayerKind(TANH, TANH)
LOSSES = [
    Checked("layer", reconstruction.autoassociator(None, BINARY)),
    Checked("layer", reconstruction.autoassociator(None, SPINS)),
    Checked("layer", reconstruction.autoassociator(None, LayerKind(RELU, GAUSSIAN))),
    Checked("layer", energy.contrastive_divergence(1, kind=BINARY)),
    Checked("layer", energy.contrastive_divergence(3, kind=SPINS)),
    Checked("untied", reconstruction.autoassociator(0.4)),
    Checked("net", cross_entropy(NET)),
    Checked("deep", cross_entropy(DEEP)),
    Checked("squares", squared_error(NET)),
    *(Checked("players", loss) for loss in adversarial.non_saturating(GENERATOR, CRITIC, 5)),
]
"""Every loss of this project."""


def slipped(loss: Loss) -> Loss:
    """The loss on (factor, batch); the gradient of the first of its entries is multiplied by the factor."""
    return lambda params, key, batch: faults.wrong_gradient(loss, min(params), batch[0])(params, key, batch[1])


SLIPPED = [Checked(case, slipped(loss)) for case, loss in LOSSES]


@dataclass(frozen=True)
class Gradients:
    """Every loss of this project under finite differences: as it is, and with one array's gradient off by 1 %."""

    host = True

    def __call__(self, key, hypers, given, data, progress):
        """The largest gap of a right gradient, and how many wrong ones have a gap below a millionth."""
        key_x, key_y, key_init, key_far, key_loss = jax.random.split(key, 5)
        x, y = jax.random.uniform(key_x, (6, 5)), jax.random.randint(key_y, (6,), 0, 3)
        critic, generator, net, deep = (one.init(key_init, x[0]) for one in (CRITIC, GENERATOR, NET, DEEP))
        layer, labelled = deep[hidden(0)], Labelled(x, y)
        cases = {
            "layer": (layer, labelled),
            "untied": ({**layer, "decoder": layer["w"].T}, labelled),
            "net": (net, labelled),
            "deep": (deep, labelled),
            "squares": (net, Labelled(x, jnp.eye(3)[y])),
            "players": ({"critic": critic, "generator": generator}, x),
        }

        def gap(checked, factor):
            params, batch = cases[checked.case]
            params = jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(key_far, leaf.shape), params)
            return check(checked.loss, key_loss, params, (jnp.array(factor), batch)).relative

        right = np.array([gap(one, 1.0) for one in SLIPPED])
        wrong = np.array([gap(one, 1.01) for one in SLIPPED])
        return {}, Result(0.0, {"checked": {"gap": right.max(), "missed": np.float64((wrong < 1e-6).sum())}})


class Sizes(NamedTuple):
    """What the presets differ in."""

    rate: float  # of a sound net, at the middle of its rates
    wide: int  # units a layer
    narrow: int
    large: int  # four times as wide
    train: int  # examples
    valid: int


SIZES = {
    "quick": Sizes(rate=0.1, wide=32, narrow=16, large=128, train=500, valid=300),
    "paper": Sizes(rate=0.03, wide=100, narrow=50, large=400, train=1000, valid=1000),
}
FEW = 500
"""Digits that nets are to over-fit."""
TANH_UNITS = number_of("tanh", UNITS)
switched = partial(Faults, rate=1.0)
"""A sound run but for what is given. Its rate is a multiple of that of a sound net."""


class Fault(NamedTuple):
    """A fault, and what is done against it."""

    title: str
    wrong: Faults
    cured: Faults


FAULTS = {
    "bouncing": Fault(
        "rate too large", wrong=switched(units=TANH_UNITS, rate=16.0), cured=switched(units=TANH_UNITS, rate=2.0)
    ),
    "saturated": Fault(
        "saturated start", wrong=switched(units=TANH_UNITS, start=10.0), cured=switched(units=TANH_UNITS, start=2.0)
    ),
    "twins": Fault("equal weights", wrong=switched(equal=1.0), cured=switched(start=2.0)),
    "dead": Fault("dead rectifiers", wrong=switched(bias=-5.0), cured=switched(bias=0.1)),
    "gradient": Fault("a gradient of wrong sign", wrong=switched(factor=-1.0), cured=switched()),
    "inputs": Fault(
        "inputs not normalised",
        wrong=switched(units=TANH_UNITS, inputs=255.0, normalised=0.0),
        cured=switched(units=TANH_UNITS, inputs=255.0),
    ),
    "memorised": Fault("labels shuffled", wrong=switched(shuffled=1.0), cured=switched()),
    "leak": Fault("validation in training", wrong=switched(leaked=0.5), cured=switched()),
    "collapsed": Fault("a loss that does not fit", wrong=switched(unfit=1.0), cured=switched()),
    "frozen": Fault("a layer never updated", wrong=switched(frozen=1.0), cured=switched()),
}
"""By the names of their flags."""
SPEEDS = {"low": 1 / 3, "middle": 1.0, "high": 3.0}
SIGMOID_SPEED = 10
"""Nets of sigmoid units have rates so many times as large."""


class SoundNet(NamedTuple):
    """A net of which nothing is wrong."""

    width: str
    units: str
    speed: str


SOUND_NETS = {
    f"sound/{width}-{kind}-{speed}": SoundNet(width, kind, speed)
    for width in ("wide", "narrow")
    for kind in ("sigmoid", "tanh", "relu", "leaky")
    for speed in SPEEDS
}
RELU_NET, TANH_NET = "sound/wide-relu-middle", "sound/wide-tanh-middle"
SHOWN = {
    RELU_NET: "sound",
    "fault/twins": FAULTS["twins"].title,
    "fault/gradient": FAULTS["gradient"].title,
    "fault/inputs": FAULTS["inputs"].title,
}
"""Rows whose upper hidden layer is drawn, and what the picture calls them."""


def rows(options, about):
    """Sound nets, each fault with and without its remedy, other failures, and the over-fitting of few digits."""
    sizes = SIZES[options.preset]

    def row(name, title, group, wrong, width=sizes.wide, train=sizes.train):
        def build(seed):
            at_rate = wrong._replace(rate=sizes.rate * wrong.rate)
            return Unit(Museum(width, train, sizes.valid), at_rate, seed=seed)

        return Row(name, title, build, group=group, keep=1 if name in SHOWN else 0)

    def sound(name, net):
        rate = SPEEDS[net.speed] * (SIGMOID_SPEED if net.units == "sigmoid" else 1)
        return row(
            name,
            f"{net.units}, {net.speed} rate",
            f"Sound nets, {net.width}",
            switched(units=number_of(net.units, UNITS), rate=rate),
            width=sizes.wide if net.width == "wide" else sizes.narrow,
        )

    def gradients(seed):
        return Unit(Gradients(), seed=seed)

    failure, overfit = partial(row, group="Other failures"), partial(row, group="Over-fitting", train=FEW)
    return [
        *(sound(name, net) for name, net in SOUND_NETS.items()),
        *(row(f"fault/{flag}", fault.title, "Faults", fault.wrong) for flag, fault in FAULTS.items()),
        *(row(f"cured/{flag}", f"{fault.title}, cured", "Remedies", fault.cured) for flag, fault in FAULTS.items()),
        failure("failure/diverging", "rate a hundred times too large", wrong=switched(rate=100.0)),
        failure("failure/slow", "rate a hundred times too small", wrong=switched(rate=0.01)),
        failure("failure/small", "three units a layer", wrong=switched(units=TANH_UNITS), width=3),
        failure("failure/large", "four times as wide", wrong=switched(), width=sizes.large),
        overfit("overfit/sound", "500 digits", wrong=switched()),
        overfit(
            "overfit/wrong", "500 digits, a tenth of a layer's gradients wrong", wrong=switched(factor=-1.0, share=0.1)
        ),
        Row("gradients", "finite differences", gradients, group="Gradients"),
    ]


TRAIN, VALID, TEST = ERRORS
SOUNDS = Metric("flags/sound", "called sound %", 100, " %", bounds=(0, 100))
SATURATED = Metric("signs/saturated", "saturated %", 100, " points", bounds=(0, 100))
REDUNDANT = Metric("units/redundant", "redundant %", 100, " points", bounds=(0, 100))
CORRELATION = Metric("units/correlation", "correlation")
ACTIVITY = Metric("units/activity", "activity")
BOUNCE = Metric("signs/bounce", "rise")
WRONG = Metric("signs/gradient", "gradient's gap")
FLOPS = Metric("model/flops", "kFLOPs", 1e-3)
GAP = Metric("checked/gap", "gap, millionths", 1e6)
MISSED = Metric("checked/missed", "missed")
NAMED = {f"fault/{flag}": [flag] for flag in FAULTS} | {"fault/bouncing": ["bouncing", "diverging"]}
"""What each fault is to be called."""
FAILED = {
    "failure/diverging": ["diverging"],
    "failure/slow": ["slow"],
    "failure/small": ["small"],
    "fault/collapsed": ["collapsed"],
}
FIRST, LABELS = "flags/first", [*NAMES, "sound"]
SOUND_ALIKE = {flag: TANH_NET if fault.wrong.units == TANH_UNITS else RELU_NET for flag, fault in FAULTS.items()}
"""The sound net with the units of each fault's net."""
FOUND_OUT = ("bouncing", "saturated", "twins", "dead", "inputs")
"""Faults whose remedy is more than to undo them."""


class Bad(NamedTuple):
    """Rows that differ in a fault with which training errors are left."""

    what: str
    row: str
    sound: str


BAD = [
    *(
        Bad(FAULTS[flag].title, f"fault/{flag}", SOUND_ALIKE[flag])
        for flag in ("twins", "dead", "gradient", "collapsed", "bouncing", "inputs", "frozen")
    ),
    Bad("rate a hundred times too small", "failure/slow", RELU_NET),
]
"""All those of the page whose net has as many units as a sound one."""
all_of, at_most, costs_at_most, higher = claims.all_of, claims.at_most, claims.costs_at_most, claims.higher
called = partial(shares.called, FIRST, LABELS)


def falls_when_cured(metric, *flags):
    """A decider: the remedy of each of these faults lowers the metric."""
    return all_of(*(claims.lower(metric, f"cured/{flag}", than=f"fault/{flag}") for flag in flags))


CLAIMS = [
    Claim(
        "At least 90 % of the faults are called by their names.",
        called(NAMED, least=0.9),
        ("C35",),
        figure="confusion.png",
        answers=True,
    ),
    Claim(
        "At least 90 % of the nets that diverge, collapse, are slow or small are called so.",
        called(FAILED, least=0.9),
        ("C35",),
        figure="confusion.png",
    ),
    Claim(
        "At most 5 % of the sound runs are called faulty.",
        called({net: ["sound"] for net in SOUND_NETS}, least=0.95),
        figure="confusion.png",
        answers=True,
    ),
    Claim(
        "Each remedy that does not just undo the fault brings the validation error to within 1 point of a sound net's.",
        all_of(*(costs_at_most(VALID, f"cured/{flag}", than=SOUND_ALIKE[flag], bound=1) for flag in FOUND_OUT)),
    ),
    Claim("Finite differences agree with every gradient to 1e-6.", claims.exact(GAP, "gradients", 1), ("C10",)),
    Claim("They find a gradient that is 1 % off in one array.", claims.exact(MISSED, "gradients", 0), ("C10",)),
    Claim(
        "A sound net learns 500 digits without an error, and 1 000.",
        all_of(*(claims.exact(TRAIN, row, 0) for row in ("overfit/sound", RELU_NET, TANH_NET))),
        ("C11",),
    ),
    Claim(
        "A net some of whose gradients are wrong learns 500 digits without an error.",
        claims.exact(TRAIN, "overfit/wrong", 0),
        ("C14",),
    ),
    Claim(
        "The gradient check finds the wrong gradients of a net that learns 500 digits all the same.",
        higher(WRONG, "overfit/wrong", than="overfit/sound"),
        ("C10",),
    ),
    Claim(
        "With large weights, or large inputs, more units are saturated before the first update.",
        higher(SATURATED, ["fault/saturated", "fault/inputs"], than=TANH_NET),
        ("C12",),
    ),
    Claim(
        "Smaller weights, or normalised inputs, cure that.",
        falls_when_cured(SATURATED, "saturated", "inputs"),
        ("C12",),
    ),
    Claim(
        "Where fewer units start in saturation, the validation error is lower.",
        falls_when_cured(VALID, "saturated", "inputs"),
        ("C31b",),
    ),
    Claim(
        "A smaller rate cures a loss that jumps up and down, and the training error falls.",
        all_of(falls_when_cured(BOUNCE, "bouncing"), falls_when_cured(TRAIN, "bouncing")),
        ("C13",),
        figure="curves.png",
    ),
    *(
        Claim(
            f"Hidden units are sparser after good training than after bad ({bad.what}).",
            claims.lower(ACTIVITY, bad.sound, than=bad.row),
            ("C33a",),
            figure="units.png",
        )
        for bad in BAD
    ),
    *(
        Claim(
            f"After bad training ({bad.what}) more hidden units ignore the input, or are strongly correlated.",
            claims.any_of(*(higher(metric, bad.row, than=bad.sound) for metric in (REDUNDANT, CORRELATION))),
            ("C33b",),
            figure="units.png",
        )
        for bad in BAD
    ),
    Claim(
        "A net 4 times wider errs at most 1 point less.", costs_at_most(TEST, RELU_NET, than="failure/large", bound=1)
    ),
]


def pictures(found):
    """The upper hidden layer, sample by unit, after good training and after bad."""
    there = {title: found[row] for row, title in SHOWN.items() if row in found and 1 in found[row].seeds}
    if not there:
        return None
    values = {title: runs.kept(1)["units"] for title, runs in there.items()}
    shape = next(iter(values.values())).shape
    return samples({title: image.reshape(1, 1, -1) for title, image in values.items()}, shape)


FIGURES = {
    "confusion.png": Figure(
        shares.confusion(FIRST, LABELS, groups=("Faults", "Other failures", "Over-fitting")),
        "Of the runs with each fault (lines), the percentages that are called by each name (columns).",
    ),
    "curves.png": Figure(
        figures.curves("train/loss", "training loss", groups=("Faults",)),
        "Training loss by epoch: the mean over seeds, in a band from the least to the largest.",
    ),
    "units.png": Figure(
        pictures, "Upper hidden layer of the first seed: a line a digit, by class; a column a unit; white is large."
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*ERRORS, SOUNDS, SATURATED, BOUNCE, WRONG, REDUNDANT, CORRELATION, ACTIVITY, FLOPS, GAP, MISSED],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
