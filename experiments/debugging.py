"""How does one see that a net does not work, and what is wrong with it?

A museum of ten faults. Each is switched on in a small net on 1 000 digits, and `diagnose` names it from the loss by
epoch, the net before and after training, and the data. Then its remedy is tried. Sound nets show how often a fault is
seen where there is none. Finite differences check the gradient of every loss of this project.

    python -m experiments debugging                   # 8 x 8 digits: about a minute on two cores
    python -m experiments debugging --preset paper    # MNIST: about 10 minutes on two cores

Lecture: feed-forward nets, "Gradient Checking", "Debugging on Small Dataset", "Visualization", "When it does not work".
"""

from itertools import product

from dlx import study
from dlx.inspect.diagnose import NAMES
from dlx.inspect.faults import Faults
from dlx.programs.museum import Gradients, Museum
from dlx.show.figures import samples
from dlx.study import ERRORS, Claim, Figure, Metric, Row, Study, Unit, claims, figures, main, shares

UNITS, T = ("sigmoid", "tanh", "relu", "leaky"), {"units": 1.0}
# By the name of the flag: a title, what is wrong, and what is done. A rate is a multiple of that of a sound net.
FAULTS = {
    "bouncing": ("rate too large", T | {"rate": 16.0}, T | {"rate": 2.0}),
    "saturated": ("saturated start", T | {"start": 10.0}, T | {"start": 2.0}),
    "twins": ("equal weights", {"equal": 1.0}, {"start": 2.0}),
    "dead": ("dead rectifiers", {"bias": -5.0}, {"bias": 0.1}),
    "gradient": ("a gradient of wrong sign", {"factor": -1.0}, {}),
    "inputs": ("inputs not normalised", T | {"inputs": 255.0, "normalised": 0.0}, T | {"inputs": 255.0}),
    "memorised": ("labels shuffled", {"shuffled": 1.0}, {}),
    "leak": ("validation in training", {"leaked": 0.5}, {}),
    "collapsed": ("a loss that does not fit", {"unfit": 1.0}, {}),
    "frozen": ("a layer never updated", {"frozen": 1.0}, {}),
}


SPEEDS: dict[str, float] = {"low": 1 / 3, "middle": 1.0, "high": 3.0}
RELU_NET, TANH_NET = "sound/wide-relu-middle", "sound/wide-tanh-middle"
SHOWN = {RELU_NET: "sound", **{f"fault/{one}": FAULTS[one][0] for one in ("twins", "gradient", "inputs")}}
SOUND_NETS = {f"sound/{'-'.join(one)}": one for one in product(("wide", "narrow"), UNITS, SPEEDS)}


def rows(options, about):
    """Sound nets, each fault with and without its remedy, other failures, and the over-fitting of few digits."""
    at = {"quick": (0.1, 32, 16, 128, (500, 300)), "paper": (0.03, 100, 50, 400, (1000, 1000))}
    rate, wide, narrow, large, sizes = at[options.preset]
    few, wrong = (500, sizes[1]), {"factor": -1.0, "share": 0.1}

    def row(place, title, group, how, width=wide, sizes=sizes):
        hypers = Faults(**{**how, "rate": rate * how.get("rate", 1.0)})
        build, keep = lambda seed: Unit(Museum(width, *sizes), hypers, seed=seed), int(place in SHOWN)
        return Row(place, title, build, group=group, keep=keep)

    def sound(of, kind, speed):
        how = {"units": float(UNITS.index(kind)), "rate": SPEEDS[speed] * (10 if kind == "sigmoid" else 1)}
        return f"{kind}, {speed} rate", f"Sound nets, {of}", how, wide if of == "wide" else narrow

    return [
        *(row(place, *sound(*what)) for place, what in SOUND_NETS.items()),
        *(row(f"fault/{one}", title, "Faults", how) for one, (title, how, _) in FAULTS.items()),
        *(row(f"cured/{one}", f"{title}, cured", "Remedies", how) for one, (title, _, how) in FAULTS.items()),
        row("failure/diverging", "rate a hundred times too large", "Other failures", {"rate": 100.0}),
        row("failure/slow", "rate a hundred times too small", "Other failures", {"rate": 0.01}),
        row("failure/small", "three units a layer", "Other failures", T, 3),
        row("failure/large", "four times as wide", "Other failures", {}, large),
        row("overfit/sound", "500 digits", "Over-fitting", {}, sizes=few),
        row("overfit/wrong", "500 digits, a tenth of a layer's gradients wrong", "Over-fitting", wrong, sizes=few),
        Row("gradients", "finite differences", lambda seed: Unit(Gradients(), seed=seed), group="Gradients"),
    ]


LIKE = {one: TANH_NET if "units" in how else RELU_NET for one, (_, how, _) in FAULTS.items()}
NAMED = {f"fault/{one}": [one, "diverging"] if one == "bouncing" else [one] for one in FAULTS}
FAILED = {f"failure/{one}": [one] for one in ("diverging", "slow", "small")} | {"fault/collapsed": ["collapsed"]}
CALLED = ("flags/first", [*NAMES, "sound"])


def below(metric, *pairs):
    """A decider: the metric is lower in the first row of each pair than in the second."""
    return claims.all_of(*(claims.lower(metric, row, than) for row, than in pairs))


def pictures(found):
    """The upper hidden layer, sample by unit, after good training and after bad."""
    there = {title: found[row] for row, title in SHOWN.items() if row in found and 1 in found[row].seeds}
    values = {title: runs.kept(1)["units"] for title, runs in there.items()}
    shape = next((one.shape for one in values.values()), (1, 1))
    return samples({title: one.reshape(1, 1, -1) for title, one in values.items()}, shape) if values else None


SOUNDS = Metric("flags/sound", "called sound %", 100, " %", bounds=(0, 100))
SATURATED = Metric("signs/saturated", "saturated %", 100, " points", bounds=(0, 100))
REDUNDANT = Metric("units/redundant", "redundant %", 100, " points", bounds=(0, 100))
CORRELATION, ACTIVITY = Metric("units/correlation", "correlation"), Metric("units/activity", "activity")
BOUNCE, WRONG = Metric("signs/bounce", "rise"), Metric("signs/gradient", "gradient's gap")
(TRAIN, VALID, TEST), FLOPS = ERRORS, Metric("model/flops", "kFLOPs", 1e-3)
GAP, MISSED = Metric("checked/gap", "gap, 1e-6", 1e6), Metric("checked/missed", "missed")
WORSE = [(LIKE[one], f"fault/{one}") for one in ("twins", "dead", "gradient", "collapsed", "bouncing", "inputs")]
JUMPING, *SATURATING = [(f"cured/{one}", f"fault/{one}") for one in ("bouncing", "saturated", "inputs")]
CLAIMS = [
    Claim("At least 90 % of the faults are called by their names.", shares.called(*CALLED, NAMED, 0.9), ("C35",)),
    Claim("So are nets that diverge, collapse, are slow or small.", shares.called(*CALLED, FAILED, 0.9), ("C35",)),
    Claim(
        "At most 5 % of the sound runs are called faulty.",
        shares.called(*CALLED, {row: ["sound"] for row in SOUND_NETS}, 0.95),
    ),
    Claim(
        "Each remedy brings the validation error to within 1 point of a sound net's.",
        claims.all_of(*(claims.costs_at_most(VALID, f"cured/{one}", LIKE[one], 1) for one in FAULTS)),
    ),
    Claim("Finite differences agree with every gradient to 1e-6.", claims.at_most(GAP, "gradients", 1), ("C10",)),
    Claim("They find a gradient that is 1 % off in one array.", claims.at_most(MISSED, "gradients", 0), ("C10",)),
    Claim("A sound net learns 500 digits without an error.", claims.at_most(TRAIN, "overfit/sound", 0), ("C11",)),
    Claim(
        "So does a net some of whose gradients are wrong, which the gradient check finds.",
        claims.all_of(
            claims.at_most(TRAIN, "overfit/wrong", 0), claims.higher(WRONG, "overfit/wrong", "overfit/sound", 0.05)
        ),
        ("C14",),
    ),
    Claim(
        "Large weights, or large inputs, saturate most units before the first update.",
        claims.higher(SATURATED, ["fault/saturated", "fault/inputs"], TANH_NET, 50),
        ("C12",),
    ),
    Claim(
        "Smaller weights, or normalised inputs, cure that, and the validation error falls.",
        claims.all_of(below(SATURATED, *SATURATING), below(VALID, *SATURATING)),
        ("C12",),
    ),
    Claim(
        "A smaller rate cures a loss that jumps up and down, and the training error falls.",
        claims.all_of(below(BOUNCE, JUMPING), below(TRAIN, JUMPING)),
        ("C13",),
    ),
    Claim("Hidden units are sparser after good training than after bad.", below(ACTIVITY, *WORSE), ("C33",)),
    Claim("They are less correlated.", below(CORRELATION, *WORSE), ("C33",)),
    Claim("Fewer of them ignore the input or are strongly correlated.", below(REDUNDANT, *WORSE), ("C33",)),
    Claim("A net 4 times wider errs at most 1 point less.", claims.costs_at_most(TEST, RELU_NET, "failure/large", 1)),
]
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*ERRORS, SOUNDS, SATURATED, BOUNCE, WRONG, REDUNDANT, CORRELATION, ACTIVITY, FLOPS, GAP, MISSED],
    claims=CLAIMS,
    figures={
        "confusion.png": Figure(
            shares.confusion(*CALLED, ("Faults", "Other failures", "Over-fitting")),
            "Of the runs with each fault (lines), the percentages that are called by each name (columns).",
        ),
        "curves.png": Figure(
            figures.curves("train/loss", "training loss", groups=("Faults",)),
            "Training loss by epoch: the mean over seeds, in a band from the least to the largest.",
        ),
        "units.png": Figure(
            pictures, "Upper hidden layer of the first seed: a line a digit, by class; a column a unit; white is large."
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
