"""What can wide and deep nets express? A function by width, parity by depth, AND and OR, and nets that are linear.

A net of one hidden layer is fitted to Franke's function, at several widths. Nets of one to three hidden layers learn
the parity of some bits from all of their patterns: how few units are enough? Beside them are circuits of AND and OR. A
net of minima and maxima learns AND and OR. What can be said exactly is checked exactly.

    python -m experiments expressiveness                   # about a minute on two cores
    python -m experiments expressiveness --preset paper    # about 15 minutes on two cores

Lecture: CS/CNS/EE 155 16, "Recap: 2 Layer Neural Network" to "What Happens if No Transfer Function?", "Deep
Convolutional Networks".
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from dlx.data.generated import bit_patterns, franke, franke_points, square
from dlx.nets import collapsed, logical, saw
from dlx.nets.layer import RELU
from dlx.programs.expressive import FORMULAS, WIDTHS, Approximate, Hypers, MinMax, Parity
from dlx.show.line_figure import maps
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, datasets, figures, main
from dlx.study.judge.numbered import by_number

LAYERS = {1: "One hidden layer", 2: "Two hidden layers", 3: "Three hidden layers"}
CHECKS = {
    "gates": ("AND as a minimum, OR as a maximum", lambda key, n: logical.wrong_gates(n)),
    "circuits": ("parity by AND and OR gates: depth two, and deep", lambda key, n: logical.wrong_circuits(n)),
    "thresholds": ("parity by n threshold units", lambda key, n: logical.wrong_counts(n)),
    "saw": ("a saw of 2^n pieces by 2 n rectified units, or 2^n", lambda key, n: saw.saw_gap(n)),
    "layers": ("linear layers as one", lambda key, n: collapsed.layers_gap(key, 4 * n)),
    "convolutions": ("linear convolutions as one", lambda key, n: collapsed.kernels_gap(key, 2 * n)),
    "rectified": ("rectified layers as one", lambda key, n: collapsed.layers_gap(key, 4 * n, RELU)),
}


@dataclass(frozen=True)
class ExactCheck:
    """What can be said exactly, checked by enumeration or at random weights."""

    check: str
    """A name in `CHECKS`."""
    host = True

    def __call__(self, key, hypers, given, data, progress):
        """How far it is from what is said; 0 if nothing but rounding is between them."""
        return {}, Result(0.0, {"exact": {"gap": np.float32(CHECKS[self.check][1](key, int(hypers.number)))}})


def rows(options, about):
    """Widths, parity by depth and bits, formulas, and what is exact. All that train have the same rates to choose."""
    quick = options.preset == "quick"
    function, bits, numbers = ((20, 50), (10, 100), (4, 6)) if quick else ((200, 500), (20, 500), (4, 6, 8, 10))
    rates = [0.01, 0.03] if quick else [0.001, 0.003, 0.01, 0.03, 0.1]

    def row(name, title, group, program, number, data="patterns", keep=0):
        def build(seed, rate=0.0):
            return Unit(program, Hypers(rate, number), seed=seed, data=data)

        space = [{} if isinstance(program, ExactCheck) else {"rate": rates}]
        return Row(name, title, build, space, group=group, search_seeds=1 if quick else 2, keep=keep)

    return [
        *(row(f"width/{n}", f"{n} hidden units", "Width", Approximate(*function), n, "main", 1) for n in WIDTHS),
        *(row(f"parity{i}/{n}", f"{n} bits", LAYERS[i], Parity(i, *bits), n) for i in LAYERS for n in numbers),
        *(row(f"formula/{i}", one, "Formulas", MinMax(8, 8, *bits), i) for i, one in enumerate(FORMULAS)),
        *(
            row(f"exact/{one}", title, "Exact", ExactCheck(one), 6 if quick else 8)
            for one, (title, _) in CHECKS.items()
        ),
    ]


RMS = Metric("test/rms", "rms error, % of the spread", 100)
LOG = Metric("test/log", "log2 of the rms error")
UNITS, LOG_UNITS = Metric("parity/units", "fewest units"), Metric("parity/log", "log2 of the fewest units")
WRONG, GAP = Metric("formula/error", "error %", 100, " %"), Metric("exact/gap", "gap, millionths", 1e6)


def most_bits(decide):
    """The decider that `decide` makes of the numbers of bits that were run."""
    return lambda found: decide([int(name[8:]) for name in found if name.startswith("parity1/")])(found)


def exact(check, tolerance=0):
    """A decider: a check finds no more than rounding."""
    return claims.at_most(GAP, f"exact/{check}", tolerance)


CLAIMS = [
    Claim(
        "A hidden layer four times as wide errs less, at every width.",
        claims.all_of(*(claims.lower(RMS, f"width/{4 * n}", f"width/{n}") for n in WIDTHS[:-1])),
        ("B4",),
    ),
    Claim(
        "With 256 units the error is at most 1 % of the function's spread.",
        claims.at_most(RMS, "width/256", 1),
        ("B4",),
    ),
    Claim(
        "From 16 to 256 units the error falls to a quarter or less, as Barron's bound 1 / sqrt(units) does.",
        claims.lower(LOG, "width/256", "width/16", least=2),
    ),
    Claim(
        "An OR of ANDs for the parity of n bits needs 2^(n-1) + 1 gates; a deep circuit does it with 3 (n - 1).",
        exact("circuits"),
        ("B5",),
    ),
    Claim(
        "A saw of 2^n pieces takes 2 n rectified units in n layers; one layer has a unit for each piece.",
        exact("saw"),
        ("B5",),
    ),
    Claim("Parity does not need many threshold units: n in one hidden layer.", exact("thresholds")),
    Claim(
        "Of trained nets of one hidden layer, the smallest that learns parity grows by more than sqrt(2) a bit.",
        most_bits(lambda n: claims.higher(LOG_UNITS, f"parity1/{n[-1]}", f"parity1/{n[0]}", (n[-1] - n[0]) / 2)),
    ),
    Claim(
        "At the most bits, nets of two and of three hidden layers learn parity with fewer units than nets of one.",
        most_bits(lambda n: claims.lower(LOG_UNITS, [f"parity{i}/{n[-1]}" for i in (2, 3)], f"parity1/{n[-1]}")),
    ),
    Claim("On truth values the minimum is AND, and the maximum is OR.", exact("gates"), ("B6",)),
    Claim(
        "A net of minima and maxima learns AND, OR, and an AND of ORs, without an error.",
        claims.at_most(WRONG, [f"formula/{i}" for i in range(len(FORMULAS))], 0),
        ("B6",),
    ),
    Claim("Linear layers are one linear layer, to a millionth.", exact("layers", 1), ("B7",)),
    Claim("Linear convolutions are one convolution, to a millionth.", exact("convolutions", 1), ("B8",)),
    Claim(
        "Rectified layers are not: the best linear map leaves more than a tenth.",
        claims.higher(GAP, "exact/rectified", "exact/layers", 1e5),
        ("B7",),
    ),
]


def pictures(found):
    """Franke's function, and what nets of the first seed make of it."""
    nets = {f"{n} units": found[f"width/{n}"].kept(1)["picture"] for n in WIDTHS if f"width/{n}" in found}
    true = franke(np.asarray(square(Approximate.picture), float))
    return maps({"Franke's function": (true - true.mean()) / true.std(), **nets})


GATES = {"gates, OR of ANDs": lambda n: 2 ** (n - 1) + 1, "gates, deep circuit": lambda n: 3 * (n - 1)}
STUDY = Study(
    doc=__doc__,
    data={
        "main": datasets.generated(partial(franke_points, 600, 300), partial(franke_points, 5000, 2000)),
        "patterns": datasets.generated(partial(bit_patterns, 6), partial(bit_patterns, 10)),
    },
    rows=rows,
    metrics=[RMS, UNITS, WRONG, GAP],
    claims=CLAIMS,
    figures={
        "width.png": Figure(
            by_number(RMS, "hidden units", ["Width"], log_x=True),
            "Error on test points by width: the mean over seeds, in a band from best to worst.",
        ),
        "parity.png": Figure(
            by_number(UNITS, "bits", list(LAYERS.values()), beside=GATES),
            "Hidden units of the smallest net that learns parity, beside the gates of circuits (dashed).",
        ),
        "pictures.png": Figure(pictures, "The function, and what nets of the first seed make of it."),
        "search.png": Figure(
            figures.search("validation rms error", group="Width"),
            "Root of the mean squared error on validation points at each rate.",
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
