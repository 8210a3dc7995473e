"""Ways to descend: minibatches, momentum, adaptive and falling rates, each at its best rate, on MNIST.

One net of two sigmoid layers is trained by each of the lectures' rules. Every rule has five rates to choose from, a
factor of 2 apart. The choice is by the validation error at the end, over two seeds (of Muon, one). The rule is then
trained from fresh seeds. We compare the epochs until the validation error is down to a target, and the test error in
the end.

    python -m experiments optimizers                   # 8 x 8 digits: about a minute on two cores
    python -m experiments optimizers --preset paper    # MNIST: about two hours on two cores

Lecture: CS/CNS/EE 155 16, "Learning Rate & Momentum"; on feed-forward nets, "Tricks of the Trade" to "Adapting
Learning Rates", "Optimization Tricks"; Alpaydin 12, "Improving Training Convergence" to "ADAM".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlx import study
from dlx.algorithms import gradient
from dlx.inspect.formulas import gap
from dlx.inspect.gradients import spread
from dlx.losses.supervised import cross_entropy
from dlx.nets.mlp import mlp
from dlx.optim import RULES, sgd
from dlx.programs import Rate
from dlx.programs.descent import Descent
from dlx.show.figures import Point, scatter
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, clock, figures, main
from dlx.train import examples, fit, minibatches

# By group and by the name of the rule: a title, and the largest rate of the search.
PLAIN = ("plain", 8.0)
RACE = {
    "Momentum": {
        "plain": PLAIN,
        "momentum": ("momentum .9", 0.8),
        "average": ("momentum .9 as an average", 8.0),
        "nesterov": ("Nesterov's momentum .9", 0.8),
    },
    "Adaptive rates and preconditioning": {
        "plain": PLAIN,
        "adagrad": ("Adagrad", 0.2),
        "rmsprop": ("RMSProp", 0.016),
        "adam": ("Adam", 0.016),
        "muon": ("Muon: matrices preconditioned", 0.016),
    },
    "Falling rates and others": {
        "plain": PLAIN,
        "halving": ("rate halved on a plateau", 8.0),
        "decay": ("rate falling to a hundredth", 8.0),
        "clipped": ("gradient clipped at norm .1", 32.0),
        "standardised": ("plain, standardised inputs", 4.0),
    },
}


@dataclass(frozen=True)
class Formulas:
    """A comparison of every rule's steps with the lectures' formulas in NumPy, on random gradients."""

    steps: int = 5
    host = True

    def __call__(self, key, hypers, given, data, progress):
        """The largest difference of any rule, as a fraction of the way that its parameters went."""
        gaps = [gap(key, name, rule(0.1), 0.1, self.steps) for name, rule in RULES.items()]
        return {}, Result(0.0, {"formula": {"gap": np.float32(max(gaps))}})


@dataclass(frozen=True)
class Spread:
    """How far the gradients of minibatches are from that of all examples, after an epoch of plain descent."""

    widths: tuple[int, ...]
    sizes: tuple[int, ...]
    draws: int = 100
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """The spread by size, and the slope of its logarithm against the logarithm of the size."""
        net = mlp(self.widths, self.classes)
        key_init, key_train, key_draw = jax.random.split(key, 3)
        feed = minibatches(min(100, examples(data.train)))
        train = fit(gradient(cross_entropy(net), sgd(hypers.rate)), feed, epochs=1)
        params, curve = train(key_train, net.init(key_init, data.train.x[0]), data)
        spreads = spread(key_draw, cross_entropy(net), params, data.train, self.sizes, self.draws)
        slope = jnp.polyfit(jnp.log(jnp.array(self.sizes)), jnp.log(spreads), 1)[0]
        by_size = {str(size): value for size, value in zip(self.sizes, spreads, strict=True)}
        return {}, Result(0.0, {"spread": {"slope": slope, **by_size}}, diverged=curve.diverged)


def rows(options, about):
    """The rules, the sizes of minibatches, the search of a rate on a subset, gradients, and formulas."""
    quick = options.preset == "quick"
    widths, epochs, target, part = ((32, 32), 25, 0.08, 400) if quick else ((256, 256), 25, 0.03, 5_000)
    small, usual, large = (5, 10, 50) if quick else (10, 100, 500)
    seeds = min(7, options.fresh_seeds())

    def row(name, group, title, rule="plain", size=usual, largest=PLAIN[1], part=None, **more):
        def build(seed, *, rate):
            return Unit(Descent(rule, widths, epochs, size, target, part), Rate(rate), seed=seed)

        rates = [largest / 2**i for i in reversed(range(5))]
        tried, told = (1, min(5, seeds)) if rule == "muon" else (2, seeds)  # a step of Muon takes as long as twelve
        how: dict[str, Any] = {"build": build, "space": [{"rate": rates}], "search_seeds": tried, "seeds": told} | more
        return Row(name=name, title=title, group=group, **how)

    def alone(name, title, program, hypers=()):
        return Row(name, title, lambda seed: Unit(program, hypers, seed=seed), group="Gradients, formulas", seeds=seeds)

    taken = {"space": lambda chosen: [chosen["rates/part"]], "after": ("rates/part",)}
    return [
        *(
            row(f"{group.partition(' ')[0].lower()}/{rule}", group, title, rule, largest=largest)
            for group, rules in RACE.items()
            for rule, (title, largest) in rules.items()
        ),
        row("size/small", "Minibatches", f"minibatches of {small}", size=small, largest=3.2),
        row("size/usual", "Minibatches", f"minibatches of {usual}"),
        row("size/large", "Minibatches", f"minibatches of {large}", size=large),
        row("rates/all", "Rates", "all examples, the best rate", search_seeds=5),
        row("rates/part", "Rates", f"{part} digits, the largest rate that does not diverge", part=part, search_seeds=5),
        row("rates/taken", "Rates", "all examples, at that rate", **taken),
        alone("gradients", "gradients of minibatches", Spread(widths, SIZES), Rate(1.0)),
        alone("formulas", "steps against formulas", Formulas()),
    ]


EPOCHS, TEST = Metric("race/epochs", "epochs to the target", unit=" epochs"), ERRORS[-1]
SLOPE = Metric("spread/slope", "slope of log spread")
GAP = Metric("formula/gap", "gap to the formulas, millionths", 1e6)
SIZES = (1, 10, 100, 1_000)
SECONDS = Path(__file__).parent / "results" / "optimizers" / "seconds.json"


def spreads(found):
    """Spread of the gradients against the size of the minibatch."""
    if "gradients" not in found:
        return None
    mean = {n: found["gradients"].values(f"spread/{n}").mean() for n in SIZES}
    points = [Point("after one epoch", {"examples in a minibatch": n}, spread) for n, spread in mean.items()]
    return scatter(points, ylabel="|g - G|² / |G|²")


CLAIMS = [
    Claim(
        "Momentum, in both forms, reaches the target in fewer epochs than plain descent.",
        claims.lower(EPOCHS, ["momentum/momentum", "momentum/average"], "momentum/plain"),
        ("B25", "C8"),
    ),
    Claim(
        "Halving the rate on a plateau errs less in the end than a constant rate.",
        claims.lower(TEST, "falling/halving", "falling/plain"),
        ("B26", "C6"),
    ),
    Claim(
        "A rate that falls to a hundredth errs less in the end than a constant rate.",
        claims.lower(TEST, "falling/decay", "falling/plain"),
        ("C29",),
    ),
    Claim(
        "With standardised inputs the target is reached in fewer epochs.",
        claims.lower(EPOCHS, "falling/standardised", "falling/plain"),
        ("C5",),
    ),
    Claim(
        "Preconditioned in the way of K-FAC, by Muon, a net needs fewer epochs to the target than by plain descent.",
        claims.lower(EPOCHS, "adaptive/muon", "adaptive/plain"),
    ),
    Claim(
        "The gradient of a minibatch is more accurate: its spread falls nearly as 1 / size.",
        claims.at_most(SLOPE, "gradients", -0.9),
        ("B24", "C7"),
    ),
    Claim(
        "An example costs less time in a large minibatch than in a small one.",
        clock.faster(SECONDS, "size/large", "size/small"),
        ("B24", "C7"),
    ),
    Claim(
        "Rates rank on a tenth of the examples as on all of them.",
        claims.ranks_agree(ERRORS[1], "rates/part", "rates/all", 0.5),
        ("C28",),
    ),
    Claim(
        "The largest rate that does not diverge on a tenth costs at most .2 points.",
        claims.costs_at_most(TEST, "rates/taken", "rates/all", 0.2),
        ("C28",),
    ),
    Claim("Every rule does what the lectures' formulas say.", claims.at_most(GAP, "formulas", 100), ("C9", "D2")),
]
VALID, RACED = "validation error %", (*RACE, "Minibatches")
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*ERRORS, EPOCHS, SLOPE, GAP],
    claims=CLAIMS,
    figures={
        "race.png": Figure(
            figures.bars(EPOCHS, RACED),
            "Epochs until the validation error is down to the target (3 % on MNIST, 8 % on the 8 x 8 digits).",
        ),
        "curves.png": Figure(
            figures.curves("valid/score", VALID, 100, RACED),
            "Validation error by epoch: the mean over seeds, in a band from best to worst.",
        ),
        "seconds.png": Figure(
            clock.seconds(SECONDS, EPOCHS, RACED),
            "The same race in seconds: epochs times what an epoch of one run takes, alone on two cores.",
        ),
        "spread.png": Figure(spreads, "How far the gradient of a minibatch is from that of all examples."),
        **{
            f"search-{i}.png": Figure(
                figures.search(VALID, 100, group=group), f"{group}: validation error of each rate."
            )
            for i, group in enumerate(RACED, 1)
        },
        "search-part.png": Figure(
            figures.search(VALID, 100, group="Rates", measure="valid/error"),
            "The same rates on all examples and on a tenth of them, mean over five seeds.",
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
