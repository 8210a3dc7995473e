"""What Boltzmann machines have learnt: their likelihood, their samples, and what they take for a digit, on MNIST.

A restricted Boltzmann machine is the layer of a deep belief network. It is trained by contrastive divergence with 1 and
10 Gibbs steps, and by persistent chains. How probable are unseen digits then? With 20 hidden units the partition
function is summed. With 500 it is estimated from both sides: by annealing towards the machine and back.

    python -m experiments dbn                   # 8 x 8 digits: about a minute on two cores
    python -m experiments dbn --preset paper    # MNIST, binarised anew in every batch: about 1 hour on two cores

Lecture: feed-forward nets, "Pre-training"; CMU 10-601B 16, "Deep Learning (Part I)", Idea #3.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

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
    chains: int
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
    steps: int
    """Gibbs steps per frame, and of the chains that the way back starts from."""

    def __call__(self, key, hypers, given, data, progress):
        """The likelihood by both estimates of log Z, or by the sum, and the free energies of other images."""
        (layer,), keys = given, [*jax.random.split(key, 8)]
        bits = {name: sampling.binarise(jax.random.clone(keys[0]), split) for name, split in data._asdict().items()}
        a, betas = sampling.independent_pixels(jnp.asarray(data.train.x)), sampling.temperatures(self.temperatures)
        forward = sampling.ais(keys[1], layer, a, betas, self.chains)
        model = gibbs_chain(keys[2], layer, bits["train"].x[: self.chains], self.steps)
        back = sampling.reverse_ais(keys[3], layer, a, betas, model)
        summed = layer["b"].size <= sampling.LARGEST
        log_z = sampling.log_partition(layer) if summed else forward.mean
        cautious = log_z if summed else jnp.maximum(forward.mean, back.mean)

        def free(x):
            return BINARY.free_energy(layer, x).mean()

        nats = {name: {"nats": free(split.x) + log_z} for name, split in bits.items()}
        digits = bits["test"].x
        others = {
            "permuted": jax.random.permutation(keys[4], digits, 1, independent=True),
            "random": jax.random.bernoulli(keys[5], 0.5, digits.shape).astype(digits.dtype),
        }
        active = {name: BINARY.encode(layer, x).mean() for name, x in {"digits": digits, **others}.items()}
        nats["test"] |= {
            "back": free(digits) + back.mean,
            "apart": jnp.abs(back.mean - forward.mean),
            **{f"below_{name}": free(digits) - free(x) for name, x in others.items()},
            **{f"less_active_{name}": active[name] - active["digits"] for name in others},
        }
        if summed:
            nats["test"]["gap"] = jnp.abs(forward.mean - log_z)
        chains = sampling.frames(keys[6], layer, digits[:8], 8, self.steps)
        return {"chains": jnp.round(255 * chains).astype(jnp.uint8)}, Result(free(bits["valid"].x) + cautious, nats)


@dataclass(frozen=True)
class Annealed:
    """How far log Z by annealing is from the sum, for a given machine of few hidden units."""

    temperatures: int
    chains: int

    def __call__(self, key, hypers, given, data, progress):
        """The distance, and how far single chains are apart, in nats."""
        layer, a = given[0], sampling.independent_pixels(jnp.asarray(data.train.x))
        found = sampling.ais(key, layer, a, sampling.temperatures(self.temperatures), self.chains)
        gap = jnp.abs(found.mean - sampling.log_partition(layer))
        return {}, Result(0.0, {"annealing": {"gap": gap, "deviation": found.deviation}})


METHODS = {"cd1": ("CD-1", 1, 0), "cd10": ("CD-10", 10, 0), "pcd": ("persistent chains (PCD)", 1, 100)}


def rows(options, about):
    """Each way to train at both sizes, by the rate whose machine makes validation digits most probable.

    If log Z is estimated, the less flattering of the two estimates counts.
    """
    quick = options.preset == "quick"
    epochs, batch, ways = (10, 20, (200, 50, 100)) if quick else (20, 100, (3_000, 100, 500))
    long, longest = ((300, 100), (400, 100)) if quick else ((20_000, 300), (50_000, 1_500))
    sizes = {"smaller": 10, "larger": 64} if quick else {"smaller": 20, "larger": 500}
    paper, seeds = {"larger/cd10": {"test/nats": Published(86.34, "B")}}, min(5, options.fresh_seeds())

    def row(name, size, program, group, **more):
        way, k, chains = METHODS[name.partition("/")[2]]

        def build(seed, *, rate):
            trained = Unit(Machine(sizes[size], k, chains, epochs, batch), Rate(rate), seed=seed)
            return Unit(program, given=(trained,), seed=seed)

        return Row(name, f"{sizes[size]} units, {way}", build, group=group, seeds=seeds, **more)

    def annealed(name, chains):
        before = f"smaller/{name}"
        taken: dict[str, Any] = {"space": lambda chosen: [chosen[before]], "after": (before,)}
        program = Annealed(*(longest if chains else long))
        return row(f"annealed/{name}", "smaller", program, "The smaller machine, annealed for longer", **taken)

    how: dict[str, Any] = {"space": [{"rate": [0.05, 0.1, 0.2]}], "keep": 1}
    judged = (
        row(name := f"{size}/{way}", size, Judged(*ways), f"The {size} machine", paper=paper.get(name, {}), **how)
        for size, way in product(sizes, METHODS)
    )
    return [*judged, *(annealed(name, chains) for name, (_, _, chains) in METHODS.items())]


NATS, BACK, GAP, ANNEALED, APART = (
    Metric(*names, unit=" nats")
    for names in (
        ("test/nats", "-log p of a test digit"),
        ("test/back", "by the way back"),
        ("test/gap", "AIS apart from the sum"),
        ("annealing/gap", "longer AIS apart from the sum"),
        ("test/apart", "there and back apart"),
    )
)
OTHERS = {"permuted": "digits with their pixels permuted", "random": "random images"}
SMALLER, LARGER, LONGER = ([f"{rows}/{name}" for name in METHODS] for rows in ("smaller", "larger", "annealed"))


def below(measure, words):
    """A decider: in every row a measure, a difference of digits and what is not a digit, is below 0."""
    return claims.at_most(Metric(f"test/{measure}", words), [*SMALLER, *LARGER], 0)


CLAIMS = [
    *(
        Claim(f"Digits have less free energy than {words}.", below(f"below_{name}", "free energy"), ("C18",))
        for name, words in OTHERS.items()
    ),
    *(
        Claim(
            f"Features are more common in digits than in {words}.",
            below(f"less_active_{name}", "mean activation"),
            ("C18",),
        )
        for name, words in OTHERS.items()
    ),
    Claim(
        "Persistent chains and CD-10 give a more probable machine than CD-1 at the larger size.",
        claims.lower(NATS, LARGER[1:], LARGER[0]),
    ),
    Claim("At the smaller size annealing is within .1 nat of the sum.", claims.at_most(ANNEALED, LONGER, 0.1)),
    Claim("At the larger size annealing there and back agree within 1 nat.", claims.at_most(APART, LARGER, 1)),
    Claim(
        "The larger machine of persistent chains gives a digit 95 nats at most, by both ways.",
        claims.all_of(claims.at_most(NATS, LARGER[2], 95), claims.at_most(BACK, LARGER[2], 95)),
    ),
]
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", flat=True),
    rows=rows,
    metrics=[GAP, APART, ANNEALED, BACK, NATS],
    claims=CLAIMS,
    figures={
        "samples.png": Figure(
            figures.samples("chains", ("The larger machine",)),
            "Each row is a chain of the first seed's machine that starts from a test digit.",
        ),
        "small.png": Figure(figures.samples("chains", ("The smaller machine",)), "The same for the smaller machine."),
        "likelihood.png": Figure(
            figures.bars(NATS, ("The smaller machine", "The larger machine")),
            "Nats of a test digit: minus its log-likelihood, so shorter bars are better.",
        ),
        "search.png": Figure(
            figures.search("-log p of a validation digit, nats"), "Nats of a validation digit at each rate."
        ),
    },
)

if __name__ == "__main__":
    main(STUDY)
