"""What Boltzmann machines have learnt: their likelihood, their samples, and what they take for a digit.

A restricted Boltzmann machine is the layer of a deep belief network. It is trained by contrastive divergence with 1 and
10 Gibbs steps, and by persistent chains. How probable are unseen digits then? With 20 hidden units the partition
function is summed. With 500 it is estimated from both sides: by annealing towards the machine and back.

    python -m experiments dbn                   # 8 x 8 digits: about a minute on two cores
    python -m experiments dbn --preset paper    # MNIST, binarised anew in every batch: about 1 hour on two cores

Lecture: feed-forward nets, "Pre-training"; CMU 10-601B 16, "Deep Learning (Part I)", Idea #3.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlx import sampling, study
from dlx.algorithms import gradient, persistent
from dlx.losses.energy import contrastive_divergence, gibbs_chain
from dlx.nets.layer import BINARY
from dlx.programs import Rate
from dlx.study import Claim, Figure, Metric, Published, Result, Row, Study, Unit, claims, figures, main
from dlx.train import examples, fit, minibatches


@dataclass(frozen=True)
class Machine:
    """Trains an RBM by CD-k, or by PCD if it has chains. The rate falls to 0 in a line. It keeps the layer."""

    hidden: int
    k: int
    """Gibbs steps."""
    chains: int
    """How many persist; 0: none do, and a chain starts from each example of a batch."""
    epochs: int
    batch_size: int

    def __call__(self, key, hypers, given, data, progress):
        """It starts from small weights, and from visible biases that give each pixel its mean."""
        key_init, key_train = jax.random.split(key)
        steps = self.epochs * (examples(data.train) // self.batch_size)
        rule = optax.sgd(lambda count: hypers.rate * (1 - count / steps))
        loss = contrastive_divergence(self.k)
        descent = persistent(self.k, rule, self.chains) if self.chains else gradient(loss, rule)
        feed = minibatches(self.batch_size, prepare=sampling.binarise)
        train = fit(descent, feed, epochs=self.epochs, progress=progress("machine", epochs=self.epochs, percent=False))
        pixels = sampling.independent_pixels(jnp.asarray(data.train.x))
        w = 0.01 * jax.random.normal(key_init, (pixels.size, self.hidden))
        layer, curve = train(key_train, {"w": w, "b": jnp.zeros(self.hidden), "c": pixels}, data)
        return layer, Result.of(curve)


@dataclass(frozen=True)
class Judged:
    """What a given machine has learnt, in nats per digit. It keeps Gibbs chains that start from test digits."""

    temperatures: int
    chains: int
    """Those that are annealed."""
    steps: int
    """Gibbs steps per frame, and of the chains that the way back starts from."""

    def __call__(self, key, hypers, given, data, progress):
        """The likelihood by both estimates of log Z, or by the sum, and the free energies of other images."""
        (layer,) = given
        key_bits, key_ais, key_model, key_back, key_permuted, key_random, key_chains, _ = jax.random.split(key, 8)
        bits = {name: sampling.binarise(jax.random.clone(key_bits), split) for name, split in data._asdict().items()}
        pixels, betas = sampling.independent_pixels(jnp.asarray(data.train.x)), sampling.temperatures(self.temperatures)
        there = sampling.ais(key_ais, layer, pixels, betas, self.chains)
        samples = gibbs_chain(key_model, layer, bits["train"].x[: self.chains], self.steps)
        back = sampling.reverse_ais(key_back, layer, pixels, betas, samples)
        is_summed = layer["b"].size <= sampling.LARGEST
        log_z = sampling.log_partition(layer) if is_summed else there.mean
        cautious = log_z if is_summed else jnp.maximum(there.mean, back.mean)

        def free_energy(x):
            return BINARY.free_energy(layer, x).mean()

        nats = {name: {"nats": free_energy(split.x) + log_z} for name, split in bits.items()}
        digits = bits["test"].x
        others = {
            "permuted": jax.random.permutation(key_permuted, digits, 1, independent=True),
            "random": jax.random.bernoulli(key_random, 0.5, digits.shape).astype(digits.dtype),
        }
        active = {name: BINARY.encode(layer, x).mean() for name, x in {"digits": digits, **others}.items()}
        nats["test"] |= {
            "back": free_energy(digits) + back.mean,
            "apart": jnp.abs(back.mean - there.mean),
            **{f"below_{name}": free_energy(digits) - free_energy(x) for name, x in others.items()},
            **{f"less_active_{name}": active[name] - active["digits"] for name in others},
        }
        if is_summed:
            nats["test"]["gap"] = jnp.abs(there.mean - log_z)
        chains = sampling.frames(key_chains, layer, digits[:8], 8, self.steps)
        kept = {"chains": jnp.round(255 * chains).astype(jnp.uint8)}
        return kept, Result(free_energy(bits["valid"].x) + cautious, nats)


@dataclass(frozen=True)
class Annealed:
    """How far log Z by annealing is from the sum, for a given machine of few hidden units."""

    temperatures: int
    chains: int

    def __call__(self, key, hypers, given, data, progress):
        """The distance, and how far single chains are apart, in nats."""
        (layer,), pixels = given, sampling.independent_pixels(jnp.asarray(data.train.x))
        estimate = sampling.ais(key, layer, pixels, sampling.temperatures(self.temperatures), self.chains)
        gap = jnp.abs(estimate.mean - sampling.log_partition(layer))
        return {}, Result(0.0, {"annealing": {"gap": gap, "deviation": estimate.deviation}})


class Way(NamedTuple):
    """A way to train a machine: `k` and `chains` of `Machine`."""

    title: str
    k: int
    chains: int


WAYS = {
    "cd1": Way("CD-1", k=1, chains=0),
    "cd10": Way("CD-10", k=10, chains=0),
    "pcd": Way("persistent chains (PCD)", k=1, chains=100),
}


class Sizes(NamedTuple):
    """What the presets differ in."""

    hidden: dict[str, int]
    """Hidden units of the machines."""
    epochs: int
    batch_size: int
    judged: Judged
    """How each machine is judged."""
    annealed: dict[str, Annealed]
    """How the smaller machine is annealed for longer, by the way that it was trained."""


SIZES = {
    "quick": Sizes(
        hidden={"smaller": 10, "larger": 64},
        epochs=10,
        batch_size=20,
        judged=Judged(temperatures=200, chains=50, steps=100),
        annealed={
            "cd1": Annealed(temperatures=300, chains=100),
            "cd10": Annealed(temperatures=300, chains=100),
            "pcd": Annealed(temperatures=400, chains=100),
        },
    ),
    "paper": Sizes(
        hidden={"smaller": 20, "larger": 500},
        epochs=20,
        batch_size=100,
        judged=Judged(temperatures=3_000, chains=100, steps=500),
        annealed={
            "cd1": Annealed(temperatures=20_000, chains=300),
            "cd10": Annealed(temperatures=20_000, chains=300),
            "pcd": Annealed(temperatures=50_000, chains=1_500),
        },
    ),
}
PAPER = {"larger/cd10": {"test/nats": Published(86.34, "B")}}


def rows(options, about):
    """Each way to train at both sizes, by the rate whose machine makes validation digits most probable.

    If log Z is estimated, the less flattering of the two estimates counts.
    """
    sizes = SIZES[options.preset]

    def row(name, way, size, program, **others):
        hidden, seeds = sizes.hidden[size], min(5, options.fresh_seeds())
        machine = Machine(hidden, k=way.k, chains=way.chains, epochs=sizes.epochs, batch_size=sizes.batch_size)

        def build(seed, rate):
            return Unit(program, given=(Unit(machine, Rate(rate), seed=seed),), seed=seed)

        return Row(name, f"{hidden} units, {way.title}", build, seeds=seeds, paper=PAPER.get(name, {}), **others)

    def as_chosen(other, chosen):
        return [chosen[other]]

    return [
        *(
            row(
                f"{size}/{name}",
                way,
                size,
                sizes.judged,
                space=[{"rate": [0.05, 0.1, 0.2]}],
                group=f"The {size} machine",
                keep=1,
            )
            for size in sizes.hidden
            for name, way in WAYS.items()
        ),
        *(
            row(
                f"annealed/{name}",
                way,
                "smaller",
                sizes.annealed[name],
                space=partial(as_chosen, f"smaller/{name}"),
                after=(f"smaller/{name}",),
                group="The smaller machine, annealed for longer",
            )
            for name, way in WAYS.items()
        ),
    ]


NATS = Metric("test/nats", "-log p of a test digit", unit=" nats")
BACK = Metric("test/back", "by the way back", unit=" nats")
GAP = Metric("test/gap", "AIS apart from the sum", unit=" nats")
ANNEALED = Metric("annealing/gap", "longer AIS apart from the sum", unit=" nats")
APART = Metric("test/apart", "there and back apart", unit=" nats")
OTHERS = {"permuted": "digits with their pixels permuted", "random": "random images"}
SMALLER, LARGER = [f"smaller/{way}" for way in WAYS], [f"larger/{way}" for way in WAYS]
at_most = claims.at_most


# A record has how much less active units are in the other images.
MORE_ACTIVE = {
    name: Metric(f"test/less_active_{name}", f"more units on in digits than in {name} images", -100, " points")
    for name in OTHERS
}
LESS_ENERGY = {
    name: Metric(f"test/below_{name}", f"free energy, digits less {name} images", unit=" nats") for name in OTHERS
}
MACHINES = "The smaller machine", "The larger machine"
CLAIMS = [
    *(
        Claim(
            f"Hidden units are on more often in digits than in {words}, on average.",
            claims.at_least(MORE_ACTIVE[name], [*SMALLER, *LARGER], 0),
            ("C18",),
            figure=f"active_{name}.png",
            answers=name == "permuted",
        )
        for name, words in OTHERS.items()
    ),
    *(
        Claim(f"Digits have less free energy than {words}.", at_most(LESS_ENERGY[name], [*SMALLER, *LARGER], 0))
        for name, words in OTHERS.items()
    ),
    Claim(
        "Machines of persistent chains and of CD-10 find digits more probable than those of CD-1, at both sizes.",
        claims.all_of(
            *(claims.lower(NATS, [f"{size}/cd10", f"{size}/pcd"], than=f"{size}/cd1") for size in ("smaller", "larger"))
        ),
        figure="likelihood.png",
        answers=True,
    ),
    Claim(
        "At the smaller size annealing is within .1 nat of the sum.",
        at_most(ANNEALED, [f"annealed/{way}" for way in WAYS], 0.1),
    ),
    Claim("At the larger size annealing there and back agree within 1 nat.", at_most(APART, LARGER, 1)),
    Claim(
        "The larger machine of persistent chains gives a digit 95 nats at most, by both ways.",
        claims.all_of(at_most(NATS, "larger/pcd", 95), at_most(BACK, "larger/pcd", 95)),
        figure="likelihood-2.png",
        answers=True,
    ),
]
FIGURES = {
    "samples.png": Figure(
        figures.samples("chains", ("The larger machine",)),
        "Each row is a chain of the first seed's machine that starts from a test digit.",
    ),
    "small.png": Figure(figures.samples("chains", ("The smaller machine",)), "The same for the smaller machine."),
    "likelihood.png": Figure(
        figures.bars(NATS, MACHINES), "Nats of a test digit: minus its log-likelihood, so shorter bars are better."
    ),
    **{
        f"active_{name}.png": Figure(
            figures.bars(MORE_ACTIVE[name], MACHINES),
            f"How much more often hidden units are on in digits than in {words}.",
        )
        for name, words in OTHERS.items()
    },
    "search.png": Figure(
        figures.search("-log p of a validation digit, nats"), "Nats of a validation digit at each rate."
    ),
}
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[*MORE_ACTIVE.values(), *LESS_ENERGY.values(), GAP, APART, ANNEALED, BACK, NATS],
    claims=CLAIMS,
    figures=FIGURES,
)

if __name__ == "__main__":
    main(STUDY)
