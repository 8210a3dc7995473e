"""Does a bidirectional recurrent net do what the forward-backward algorithm does?

Sequences come from hidden Markov models that are known: the two dice of a dishonest casino, and a ring of four states
that are passed in turn. LSTMs learn to tell the hidden state at each step. What the best labeller of any kind can reach
is known, too: the forward algorithm gives the exact posterior after the symbols so far, and forward-backward the one
after the whole sequence. How near do nets of one direction and of both come to these, and with how many sequences? All
nets have about as many parameters.

    python -m experiments forward_backward                   # about a minute on two cores
    python -m experiments forward_backward --preset paper    # about 20 minutes on two cores

Lecture: CMU 10-601B 16, "Outline: Recurrent Neural Networks".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx import hmm
from dlx.algorithms import gradient
from dlx.classify import start
from dlx.hmm import HMM
from dlx.losses.labelling import cross_entropy, mislabelled, negative_log_likelihood
from dlx.nets.recurrent import recurrent
from dlx.show import line_figure
from dlx.show.track_figure import Track, tracks
from dlx.study import Claim, Figure, Metric, Result, Row, Study, Unit, claims, datasets, figures, main
from dlx.train import by_batches, examples, fit, take, valid
from dlx.types import Feed, Model, Rate, Split

BATCH_SIZE = 32
SHOWN = 20
"""Validation sequences of which the nets' posteriors are kept. One is drawn."""
LOADED, SIX = 1, 5


class Hypers(NamedTuple):
    """The rate, and how many training sequences there are."""

    rate: float
    sequences: float


class Chain(NamedTuple):
    """A hidden Markov model."""

    title: str
    model: HMM


CHAINS = {
    "casino": Chain(
        "Casino",
        HMM(
            start=np.array([2, 1]) / 3,
            transition=np.array([[0.95, 0.05], [0.1, 0.9]]),
            emission=np.array([[1 / 6] * 6, [0.1] * 5 + [0.5]]),
        ),
    ),
    "ring": Chain(
        "Ring",
        HMM(
            start=np.array([0.4, 0.3, 0.2, 0.1]),
            transition=0.7 * np.eye(4) + 0.3 * np.roll(np.eye(4), 1, axis=1),
            emission=0.1 + 0.7 * np.eye(3)[[0, 1, 0, 2]],
        ),
    ),
}
"""A fair and a loaded die (Durbin et al. 1998); and four states, of which the first and the third look alike."""


class Net(NamedTuple):
    """A net, and the posterior that it can come to."""

    title: str
    widths: tuple[int, ...]
    both: bool
    exact: Callable[..., jax.Array]
    """`exact(model, symbols)`: log-probabilities of the states at each step."""


NETS = {
    "one": Net("LSTM of one direction", (32,), False, hmm.filtered),
    "both": Net("bidirectional LSTM", (21,), True, hmm.smoothed),
    "deep": Net("deep bidirectional LSTM", (11, 11), True, hmm.smoothed),
}
"""Widths are such that neither net of both directions has more parameters than that of one."""


def rows_below(n: Rate, batch_size: int, steps: int) -> Feed:
    """Batches of the first n training sequences, each drawn at random. So `n` may be traced."""

    def feed(key, train):
        rows = jax.random.randint(key, (steps, batch_size), 0, jnp.minimum(n, examples(train)).astype(jnp.int32))
        return rows, lambda key, some: take(train, some)

    return feed


@dataclass(frozen=True)
class Labeller:
    """The training of a net in `NETS` to tell the states of a chain in `CHAINS`. Keeps what it says of some sequences.

    Its training sequences are the first ones, in an order of its seed.
    """

    net: str
    chain: str
    epochs: int
    steps: int
    """Updates an epoch."""
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Nats and errors of the net with the least validation nats, and of the exact posterior on the same symbols."""
        kind, model = NETS[self.net], CHAINS[self.chain].model
        symbols = model.emission.shape[1]
        net = recurrent(
            "lstm", kind.widths, self.classes, both=kind.both, readout="steps", vocabulary=symbols, embedding=8
        )
        key_init, key_order, key_train = jax.random.split(key, 3)
        order = jax.random.permutation(key_order, examples(data.train))
        updates = self.epochs * self.steps
        train = fit(
            gradient(cross_entropy(net), optax.adam(lambda count: hypers.rate * (1 - count / updates))),
            rows_below(hypers.sequences, BATCH_SIZE, self.steps),
            epochs=self.epochs,
            score=valid(negative_log_likelihood(net)),
            patience=self.epochs,
            progress=progress("net", epochs=self.epochs, percent=False),
        )
        params, curve = train(key_train, start(key_init, net, data), data._replace(train=take(data.train, order)))
        logits = by_batches(lambda params, split: net.apply(params, split.x), params, data.test)
        exact = kind.exact(model, data.test.x)
        test = {
            **judged(logits, data.test),
            **{f"exact_{name}": value for name, value in judged(exact, data.test).items()},
        }
        weights = sum(leaf.size for leaf in jax.tree.leaves(params))
        result = Result.of(curve).telling(
            test={**test, "excess": test["nats"] - test["exact_nats"]}, model={"parameters": jnp.array(weights)}
        )
        return {"said": jax.nn.softmax(net.apply(params, data.valid.x[:SHOWN]))}, result


def judged(logits: jax.Array, split: Split) -> dict[str, jax.Array]:
    """Nats a state, and the share of states that are mislabelled, by the logits of all sequences of a split."""
    told = Model(lambda key, x: {}, lambda logits, x: logits, lambda logits, key, x: (logits, {}))
    measures = {"nats": negative_log_likelihood(told), "error": mislabelled(told)}
    return {name: measure(logits, split).mean() for name, measure in measures.items()}


class Sizes(NamedTuple):
    """What the presets differ in."""

    nets: tuple[str, ...]
    length: int  # steps of a sequence
    sequences: tuple[int, ...]  # for training
    valid: int
    test: int
    epochs: int
    steps: int  # updates an epoch
    rates: list[float]  # to choose from


SIZES = {
    "quick": Sizes(
        nets=("one", "both"),
        length=24,
        sequences=(30, 1000),
        valid=100,
        test=300,
        epochs=5,
        steps=30,
        rates=[0.03],
    ),
    "paper": Sizes(
        nets=("one", "both", "deep"),
        length=50,
        sequences=(100, 1000, 10_000, 100_000),
        valid=1000,
        test=5000,
        epochs=10,
        steps=100,
        rates=[0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    ),
}


def rows(options, about):
    """The nets by chain and number of training sequences, with the same rates to choose."""
    sizes = SIZES[options.preset]

    def unit(seed, rate, *, net, chain, sequences):
        program = Labeller(net, chain, sizes.epochs, sizes.steps)
        return Unit(program, Hypers(rate, sequences), seed=seed, data=chain)

    return [
        Row(
            row_of(chain, sequences, net),
            NETS[net].title,
            partial(unit, net=net, chain=chain, sequences=sequences),
            [{"rate": sizes.rates}],
            group=f"{title}, {sequences} sequences",
            keep=1 if chain == "casino" and sequences == max(sizes.sequences) else 0,
            at={"chain": chain, "training sequences": sequences, "net": net},
        )
        for chain, (title, _) in CHAINS.items()
        for sequences in sizes.sequences
        for net in sizes.nets
    ]


def row_of(chain: str, sequences: int, net: str) -> str:
    """The name of a row."""
    return f"{chain}/{sequences}/{net}"


EXCESS = Metric("test/excess", "thousandths of a nat above the exact posterior's", 1000, matters=2)
NATS = Metric("test/nats", "test nats")
EXACT = Metric("test/exact_nats", "test nats of the exact posterior")
ERROR = Metric("test/error", "states mislabelled, %", 100, " points", bounds=(0, 100), matters=0.1)
EXACT_ERROR = Metric("test/exact_error", "states mislabelled by the exact posterior, %", 100, " points")
PARAMETERS = Metric("model/parameters", "parameters")
NEAR = 20
"""Thousandths of a nat that count as near."""
FIGURE = {"casino": 1, "ring": 2}
"""The place of a chain among the pictures of a figure."""


def sizes_of(found) -> list[int]:
    """The numbers of training sequences, in order.

    Without rows they are the quick preset's, so that a claim is left out.
    """
    told = {row.at["training sequences"] for row in found.rows.values() if "training sequences" in row.at}
    return sorted(told or SIZES["quick"].sequences)


def at_most_sequences(decide):
    """The decider that `decide(name)` makes, where `name(chain, net)` is the row of the most training sequences."""
    return lambda found: decide(lambda chain, net: row_of(chain, sizes_of(found)[-1], net))(found)


def nearer(found):
    """The decider of whether with the most sequences every net is nearer to its posterior than with the fewest."""
    sizes = sizes_of(found)
    pairs = [[row_of(chain, n, net) for n in (sizes[-1], sizes[0])] for chain in CHAINS for net in NETS]
    there = [pair for pair in pairs if found.rows.keys() >= {*pair}]
    return claims.all_of(*(claims.lower(EXCESS, row, than=other) for row, other in there))(found)


CLAIMS = [
    *(
        Claim(
            f"{title}: a bidirectional LSTM comes within .02 nats of the forward-backward algorithm.",
            at_most_sequences(lambda name, chain=chain: claims.at_most(EXCESS, name(chain, "both"), NEAR)),
            ("A8b",),
            figure=f"nats-{FIGURE[chain]}.png",
            answers=True,
        )
        for chain, (title, _) in CHAINS.items()
    ),
    *(
        Claim(
            f"{title}: an LSTM of one direction comes within .02 nats of the forward algorithm.",
            at_most_sequences(lambda name, chain=chain: claims.at_most(EXCESS, name(chain, "one"), NEAR)),
            ("A8b",),
            figure=f"nats-{FIGURE[chain]}.png",
        )
        for chain, (title, _) in CHAINS.items()
    ),
    Claim(
        "An LSTM of one direction does not get below the forward algorithm: it cannot know what comes.",
        at_most_sequences(lambda name: claims.at_least(EXCESS, [name(chain, "one") for chain in CHAINS], 0)),
        ("A8b",),
        figure="nats.png",
    ),
    *(
        Claim(
            f"{title}: a {NETS[net].title} mislabels fewer states than one of one direction.",
            at_most_sequences(
                lambda name, chain=chain, net=net: claims.lower(ERROR, name(chain, net), than=name(chain, "one"))
            ),
            ("A8a",),
            figure=f"error-{FIGURE[chain]}.png",
            answers=net == "both",
        )
        for net in ("both", "deep")
        for chain, (title, _) in CHAINS.items()
    ),
    Claim(
        "A deep bidirectional LSTM mislabels fewer states than a bidirectional one of one layer.",
        at_most_sequences(
            lambda name: claims.all_of(
                *(claims.lower(ERROR, name(chain, "deep"), than=name(chain, "both")) for chain in CHAINS)
            )
        ),
        figure="error.png",
    ),
    Claim(
        "With the most training sequences every net comes nearer to its posterior than with the fewest.",
        nearer,
        figure="nats.png",
    ),
]


def posteriors(found):
    """The nets' posteriors of the loaded die in a sequence that none has learnt from, over the exact ones."""
    most, drawn = sizes_of(found)[-1], {}
    x, y = (leaf[:SHOWN] for leaf in found.about["casino"].data.valid)
    model = CHAINS["casino"].model
    exact = {net: np.exp(np.asarray(NETS[net].exact(model, x)))[..., LOADED] for net in ("one", "both")}
    i = int(exact["both"].std(1).argmax())  # the sequence in which the posterior varies most
    for net, way in (("one", "the forward algorithm"), ("both", "forward-backward")):
        if (name := row_of("casino", most, net)) in found.runs:
            said = np.asarray(found[name].kept(1)["said"])[i, :, LOADED]
            drawn[f"{NETS[net].title}, over {way}"] = Track(
                {"exact posterior": exact[net][i], "net": said},
                {"the loaded die": y[i] == LOADED},
                {"a six": x[i] == SIX},
            )
    return tracks(drawn, xlabel="throw", ylabel="probability of the loaded die", limits=(0.0, 1.0)) if drawn else None


def by_sequences(metric: Metric, exact: Metric):
    """A figure a chain: a metric of each net by the number of training sequences, and what is exact, dashed."""

    def draw(found) -> list[Any]:
        drawn = []
        for chain, (title, _) in CHAINS.items():
            lines: dict[str, Any] = {}
            for net, kind in NETS.items():
                told = figures.rows_at(found, (), {"chain": chain, "net": net})
                if told:
                    places = [runs.row.at["training sequences"] for runs in told]
                    lines[kind.title] = (places, [figures.all_values(runs, metric) for runs in told])
                    way = {"one": "forward algorithm", "both": "forward-backward"}.get(net)
                    known = [np.array([exact.scale * runs.values(exact.name).mean()]) for runs in told]
                    lines |= {way: (places, known)} if way else {}
            if lines:
                where = {"xlabel": "training sequences", "ylabel": metric.label, "title": title}
                drawn.append(line_figure.lines(lines, log_x=True, **where))
        return drawn

    return draw


FIGURES = {
    "posteriors.png": Figure(
        posteriors,
        "Was the loaded die thrown? What nets say of a sequence that they have not learnt from, and what is exact.",
    ),
    "nats.png": Figure(
        by_sequences(NATS, EXACT), "Nats a state on test sequences, by training sequences, above the exact posteriors'."
    ),
    "error.png": Figure(
        by_sequences(ERROR, EXACT_ERROR), "States that are mislabelled on test sequences, by training sequences."
    ),
    "search.png": Figure(figures.search("validation nats", panel="chain"), "Validation nats at each rate."),
}
STUDY = Study(
    doc=__doc__,
    data={
        chain: datasets.generated(
            **{
                preset: partial(
                    hmm.dataset,
                    "hidden Markov models",
                    model,
                    sizes.length,
                    (max(sizes.sequences), sizes.valid, sizes.test),
                )
                for preset, sizes in SIZES.items()
            }
        )
        for chain, (_, model) in CHAINS.items()
    },
    rows=rows,
    metrics=[ERROR, EXACT_ERROR, NATS, EXACT, EXCESS, PARAMETERS],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
