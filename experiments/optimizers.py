"""Ways to descend: minibatches, momentum, adaptive and falling rates, each at its best rate.

One net of two sigmoid layers is trained by each of the lectures' rules. Every rule has five rates to choose from, a
factor of 2 apart. The choice is by the validation error at the end, over two seeds (of Muon, one). The rule is then
trained from fresh seeds. We compare the epochs until the validation error is down to a target, and the test error in
the end.

    python -m experiments optimizers                   # 8 x 8 digits: about a minute on two cores
    python -m experiments optimizers --preset paper    # MNIST: about two hours on two cores

Lecture: CS/CNS/EE 155 16, "Learning Rate & Momentum"; on feed-forward nets, "Tricks of the Trade" to "Adapting
Learning Rates", "Optimization Tricks"; Alpaydin 12, "Improving Training Convergence" to "ADAM".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx import study
from dlx.classify import classify, errors, start
from dlx.inspect.curves import epochs_to
from dlx.inspect.formulas import gap
from dlx.inspect.gradients import spread
from dlx.losses.supervised import cross_entropy
from dlx.nets.layer import check_name
from dlx.nets.mlp import mlp
from dlx.nets.standardised import standardised
from dlx.optim import RULES, halve_on_plateau, sgd
from dlx.programs import Rate
from dlx.show.line_figure import lines
from dlx.stage import chain, standardise
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, clock, figures, main
from dlx.study.declare.finding import Bound
from dlx.study.run.found import measure
from dlx.train import examples, first
from dlx.types import Review, keep

Descending = tuple[optax.GradientTransformation, Review]
"""An optimizer, and what changes its state after every epoch."""


class Way(NamedTuple):
    """A way to descend."""

    title: str
    largest_rate: float
    """Of the five that its search has."""
    optimizer: Callable[..., Descending]
    """`optimizer(rate, updates)`, for so many updates in all."""
    standardised: bool = False
    """Whether the inputs are standardised first."""
    search_seeds: int = 2
    seeds: int = 7


def steadily(rule: str) -> Callable[..., Descending]:
    """The rule of `dlx.optim.RULES` at a rate that stays."""
    return lambda rate, updates: (RULES[rule](rate), keep)


def halved(rate, updates) -> Descending:
    """Plain descent, whose rate is halved after two epochs without a better score."""
    return halve_on_plateau(sgd(rate), patience=2)


def falling(rate, updates) -> Descending:
    """Plain descent, whose rate falls to a hundredth."""
    return sgd(lambda count: rate * 0.01 ** (count / updates)), keep


WAYS = {
    "plain": Way("plain", 8.0, steadily("plain")),
    "momentum": Way("momentum .9", 0.8, steadily("momentum")),
    "average": Way("momentum .9 as an average", 8.0, steadily("average")),
    "nesterov": Way("Nesterov's momentum .9", 0.8, steadily("nesterov")),
    "adagrad": Way("Adagrad", 0.2, steadily("adagrad")),
    "rmsprop": Way("RMSProp", 0.016, steadily("rmsprop")),
    "adam": Way("Adam", 0.016, steadily("adam")),
    "clipped": Way("gradient clipped at norm .1", 32.0, steadily("clipped")),
    # a step of Muon takes as long as twelve of Adam
    "muon": Way("Muon: matrices preconditioned", 0.016, steadily("muon"), search_seeds=1, seeds=5),
    "halving": Way("rate halved on a plateau", 8.0, halved),
    "decay": Way("rate falling to a hundredth", 8.0, falling),
    "standardised": Way("plain, standardised inputs", 4.0, steadily("plain"), standardised=True),
}


@dataclass(frozen=True)
class Descent:
    """The training of a net of sigmoid layers in one way, on all training examples or on the first of them."""

    rule: str
    """A name in `WAYS`."""
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    target: float
    """The validation error that the race is to."""
    examples: int | None = None
    """With a number the score is that of the lecture's search on a subset: the largest rate that does not diverge."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown rule."""
        check_name(self.rule, WAYS)

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs, and measures how many it took to the target."""
        way, net = WAYS[self.rule], mlp(self.widths, self.classes)
        net = standardised(net) if way.standardised else net
        data = data._replace(train=first(data.train, self.examples))
        key_init, key_train = jax.random.split(key)
        optimizer, review = way.optimizer(hypers.rate, updates=self.epochs * (examples(data.train) // self.batch_size))
        train = classify(
            net,
            optimizer,
            epochs=self.epochs,
            batch_size=self.batch_size,
            review=review,
            progress=progress(self.rule, epochs=self.epochs),
        )
        before = [standardise] if way.standardised else []
        stages = chain(*before, train, errors(net))
        _, (*_, curve, measured) = stages(key_train, start(key_init, net, data), data)
        result = Result.of(curve, measured).telling(race={"epochs": epochs_to(self.target, curve.score)})
        if self.examples is None:
            return {}, result
        lost = curve.diverged | ~(curve.metrics["loss"][-1] < curve.first_loss)
        return {}, result._replace(score=jnp.where(lost, jnp.inf, -hypers.rate))


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
        batch_size = min(100, examples(data.train))
        train = classify(net, sgd(hypers.rate), epochs=1, batch_size=batch_size, scored=False)
        params, curve = train(key_train, start(key_init, net, data), data)
        spreads = spread(key_draw, cross_entropy(net), params, data.train, self.sizes, self.draws)
        slope = jnp.polyfit(jnp.log(jnp.array(self.sizes)), jnp.log(spreads), 1)[0]
        by_size = {str(size): value for size, value in zip(self.sizes, spreads, strict=True)}
        return {}, Result(0.0, {"spread": {"slope": slope, **by_size}}, diverged=curve.diverged)


class Sizes(NamedTuple):
    """What the presets differ in."""

    widths: tuple[int, ...]
    target: float  # the validation error that the race is to
    part: int  # examples of the search on a subset
    small: int  # examples in a minibatch
    usual: int
    large: int


SIZES = {
    "quick": Sizes(widths=(32, 32), target=0.08, part=400, small=5, usual=10, large=50),
    "paper": Sizes(widths=(256, 256), target=0.03, part=5_000, small=10, usual=100, large=500),
}
EPOCHS = 25


class Race(NamedTuple):
    """Ways to descend that are compared, each at its best rate."""

    title: str
    ways: tuple[str, ...]


RACES = {
    "momentum": Race("Momentum", ("plain", "momentum", "average", "nesterov")),
    "adaptive": Race("Adaptive rates and preconditioning", ("plain", "adagrad", "rmsprop", "adam", "muon")),
    "falling": Race("Falling rates and others", ("plain", "halving", "decay", "clipped", "standardised")),
}
MINIBATCHES, ALONE = "Minibatches", "Gradients, formulas"
DRAWN = (1, 10, 100, 1_000)
"""Examples in the minibatches whose gradients are compared with that of all examples."""


def rates(largest: float) -> list[float]:
    """Five rates to search, a factor of 2 apart."""
    return [largest / 16, largest / 8, largest / 4, largest / 2, largest]


def rows(options, about):
    """The rules, the sizes of minibatches, the search of a rate on a subset, gradients, and formulas."""
    sizes = SIZES[options.preset]

    def descent(seed, rate, *, rule="plain", batch_size=sizes.usual, examples=None):
        program = Descent(rule, sizes.widths, EPOCHS, batch_size=batch_size, target=sizes.target, examples=examples)
        return Unit(program, Rate(rate), seed=seed)

    def gradients(seed):
        return Unit(Spread(sizes.widths, DRAWN), Rate(1.0), seed=seed)

    def formulas(seed):
        return Unit(Formulas(), seed=seed)

    row = partial(Row, seeds=min(7, options.fresh_seeds()))
    minibatches, subset = partial(row, group=MINIBATCHES, search_seeds=2), partial(row, group="Rates")
    plain = {"rate": rates(WAYS["plain"].largest_rate)}
    return [
        *(
            Row(
                f"{name}/{rule}",
                WAYS[rule].title,
                partial(descent, rule=rule),
                [{"rate": rates(WAYS[rule].largest_rate)}],
                group=race.title,
                search_seeds=WAYS[rule].search_seeds,
                seeds=min(WAYS[rule].seeds, options.fresh_seeds()),
            )
            for name, race in RACES.items()
            for rule in race.ways
        ),
        minibatches(
            "size/small",
            f"minibatches of {sizes.small}",
            partial(descent, batch_size=sizes.small),
            [{"rate": rates(3.2)}],
        ),
        minibatches("size/usual", f"minibatches of {sizes.usual}", descent, [plain]),
        minibatches("size/large", f"minibatches of {sizes.large}", partial(descent, batch_size=sizes.large), [plain]),
        subset("rates/all", "all examples, the best rate", descent, [plain], search_seeds=5),
        subset(
            "rates/part",
            f"{sizes.part} digits, the largest rate that does not diverge",
            partial(descent, examples=sizes.part),
            [plain],
            search_seeds=5,
        ),
        subset(
            "rates/taken",
            "all examples, at that rate",
            descent,
            lambda chosen: [chosen["rates/part"]],
            after=("rates/part",),
        ),
        row("gradients", "gradients of minibatches", gradients, group=ALONE),
        row("formulas", "steps against formulas", formulas, group=ALONE),
    ]


_, VALID, TEST = ERRORS
TO_TARGET = Metric("race/epochs", "epochs to the target", unit=" epochs")
SLOPE = Metric("spread/slope", "slope of log spread")
GAP = Metric("formula/gap", "gap to the formulas, millionths", 1e6)
SECONDS = Path(__file__).parent / "results" / "optimizers" / "seconds.json"
lower = claims.lower


AWAY = Metric("", "squared distance from the gradient of all examples, as a share")


def spread_of(size: int, averaged: float = 1):
    """The spread of the gradients of minibatches of a size, or of the mean of several such gradients."""
    return claims.Number(
        "gradients",
        lambda runs: {seed: value / averaged for seed, value in runs.by_seed(f"spread/{size}").items()},
    )


def nearer(size: int):
    """A decider: gradients of minibatches of this size are nearer to that of all examples than those of one example."""
    numbers = {f"minibatches of {size}": spread_of(size), "single examples": spread_of(1)}
    return claims.of_numbers(AWAY, numbers, Bound("above", 0))


def nearer_at_equal_time(small: int, usual: int):
    """A decider: the mean of small minibatches, as many as take the time of a usual one, is farther off than that one.

    The times are the medians of the benchmark. The squared distance of a mean falls as the number of its minibatches.
    """

    def decider(found):
        known = clock.an_epoch(SECONDS, found)
        if not {"size/small", "size/usual"} <= {*known}:
            return clock.untimed()
        epoch = {name: np.median(known[f"size/{name}"]) for name in ("small", "usual")}
        as_many = usual * epoch["usual"] / (small * epoch["small"])
        numbers = {
            f"one minibatch of {usual}": spread_of(usual),
            f"the mean of {as_many:.1f} of {small}": spread_of(small, as_many),
        }
        return claims.of_numbers(AWAY, numbers, Bound("above", 0))(found)

    return decider


def searched_on_part(found):
    """What it costs to search as the lecture says, seed by seed: beside the best rate of the same seed on all examples.

    On a part of them the largest rate is taken that does not diverge.
    """
    rates, errors = {}, {}
    for attempt in found.outcomes["rates/part"].tried:
        for unit, record in zip(attempt.units, attempt.records, strict=True):
            if np.isfinite(float(record["score"])):
                rates.setdefault(unit.seed, []).append(attempt.trial["rate"])
    for attempt in found.outcomes["rates/all"].tried:
        for unit, record in zip(attempt.units, attempt.records, strict=True):
            error = 100 * float(measure(record, VALID.name))
            errors.setdefault(unit.seed, {})[attempt.trial["rate"]] = error
    best = {seed: min(of.values()) for seed, of in errors.items()}
    taken = {seed: of[max(rates[seed])] for seed, of in errors.items() if seed in rates}
    return claims.paired(
        found, VALID, ("rates/all", "rates/part"), [best, taken], Bound("at most", 0.2), "search seeds"
    )


CLAIMS = [
    *(
        Claim(
            f"{title} reaches the target in fewer epochs than plain descent.",
            lower(TO_TARGET, f"momentum/{rule}", than="momentum/plain"),
            ("B25", "C8"),
            figure="race-1.png",
            answers=rule == "momentum",
        )
        for rule, title in {"momentum": "Momentum", "nesterov": "Nesterov's momentum"}.items()
    ),
    Claim(
        "Halving the rate on a plateau errs less in the end than a constant rate.",
        lower(TEST, "falling/halving", than="falling/plain"),
        ("B26", "C6"),
        figure="curves-3.png",
        answers=True,
    ),
    Claim(
        "A rate that falls to a hundredth errs less in the end than a constant rate.",
        claims.if_trained(lower(TEST, "falling/decay", than="falling/plain"), "falling/decay", than="falling/plain"),
        ("C29",),
        figure="curves-3.png",
    ),
    Claim(
        "With standardised inputs the target is reached in fewer epochs.",
        lower(TO_TARGET, "falling/standardised", than="falling/plain"),
        ("C5",),
        figure="race-3.png",
    ),
    Claim(
        "Preconditioned in the way of K-FAC, by Muon, a net needs fewer epochs to the target than by plain descent.",
        lower(TO_TARGET, "adaptive/muon", than="adaptive/plain"),
        figure="race-2.png",
        answers=True,
    ),
    Claim(
        "The gradient of a minibatch, of 10 to 1 000, is nearer to that of all examples than that of one example.",
        claims.all_of(*(nearer(size) for size in DRAWN if size > 1)),
        ("B24a", "C7a"),
        figure="spread.png",
    ),
    Claim(
        "In equal time one minibatch of 100 gives a more accurate gradient than the mean of minibatches of 10.",
        nearer_at_equal_time(small=10, usual=100),
        ("B24a", "C7a"),
        figure="spread.png",
    ),
    Claim(
        "The spread of minibatches falls nearly as 1 / size.",
        claims.at_most(SLOPE, "gradients", -0.9),
        figure="spread.png",
    ),
    *(
        Claim(
            f"An example costs less time in a minibatch of {more} than of {less}.",
            clock.faster(SECONDS, f"size/{large}", than=f"size/{small}"),
            ("B24b", "C7b"),
        )
        for (small, less), (large, more) in combinations({"small": 10, "usual": 100, "large": 500}.items(), 2)
    ),
    Claim(
        "The largest rate that does not diverge on a tenth of the examples costs at most .2 points beside the best.",
        searched_on_part,
        ("C28",),
        figure="search-part.png",
    ),
    Claim(
        "Rates rank on a tenth of the examples as on all of them.",
        claims.ranks_agree(VALID, "rates/part", than="rates/all", least=0),
        figure="search-part.png",
    ),
    Claim("Every rule does what the lectures' formulas say.", claims.exact(GAP, "formulas", 100), ("C9", "D2")),
]
RACED = (*(race.title for race in RACES.values()), MINIBATCHES)
VALID_LABEL = "validation error %"


def spreads(found):
    """Spread of the gradients against the size of the minibatch, beside a spread that falls as its inverse."""
    if "gradients" not in found:
        return None
    spread = {n: found["gradients"].values(f"spread/{n}") for n in DRAWN}
    falling = [np.array([spread[DRAWN[0]].mean() * DRAWN[0] / n]) for n in DRAWN]
    drawn = {"after one epoch": (DRAWN, list(spread.values())), "inverse of the size": (DRAWN, falling)}
    return lines(drawn, xlabel="examples in a minibatch", ylabel="|g - G|² / |G|²", log_x=True)


def searched(group):
    """A figure of the validation error of every rate that the rows of a group have tried."""
    return Figure(figures.search(VALID_LABEL, 100, group=group), f"{group}: validation error of each rate.")


FIGURES = {
    "race.png": Figure(
        figures.bars(TO_TARGET, RACED),
        "Epochs until the validation error is down to the target (3 % on MNIST, 8 % on the 8 x 8 digits).",
    ),
    "curves.png": Figure(
        figures.curves("valid/score", VALID_LABEL, 100, RACED),
        "Validation error by epoch: the mean over seeds, in a band from best to worst.",
    ),
    "seconds.png": Figure(
        clock.seconds(SECONDS, TO_TARGET, RACED),
        "The same race in seconds: epochs times what an epoch of one run takes, alone on two cores.",
    ),
    "spread.png": Figure(spreads, "How far the gradient of a minibatch is from that of all examples."),
    "search-1.png": searched(RACES["momentum"].title),
    "search-2.png": searched(RACES["adaptive"].title),
    "search-3.png": searched(RACES["falling"].title),
    "search-4.png": searched(MINIBATCHES),
    "search-part.png": Figure(
        figures.search(VALID_LABEL, 100, group="Rates", measure="valid/error"),
        "The same rates on all examples and on a tenth of them, mean over five seeds.",
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*ERRORS, TO_TARGET, SLOPE, GAP],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
