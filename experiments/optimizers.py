"""Ways to descend: minibatches, momentum, adaptive and falling rates, each at its best rate, on MNIST.

One net of two sigmoid layers is trained by each of the lectures' rules. Every rule has five rates to choose from, a
factor of 2 apart, by the validation error at the end over two seeds, and is then trained from fresh seeds. What is
compared is how soon the validation error is down to a stated one, and the test error at the end.

    python -m experiments optimizers                   # 8 x 8 digits: about a minute on two cores
    python -m experiments optimizers --preset paper    # MNIST: about 1 hour on two cores

Lecture: CS/CNS/EE 155 16, "Learning Rate & Momentum"; feed-forward nets, "Tricks of the Trade", "Mini-batch, Momentum",
"Adapting Learning Rates", "Optimization Tricks"; Alpaydin 12, "Improving Training Convergence" to "ADAM".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx import study
from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import mlp
from dlx.nets.standardised import standardised
from dlx.optim import adam, halve_on_plateau, sgd
from dlx.programs import Rate
from dlx.stage import chain, evaluate, standardise
from dlx.study import ERRORS, Metric, Result, Row, Study, Unit, main
from dlx.train import examples, fit, minibatches, take, valid


class Rule(NamedTuple):
    """A way to descend: the optimizer of a rate, and the largest of the rates to search."""

    title: str
    optimizer: Callable[..., Any]
    largest: float


def averaged(rate):
    """s <- 0.9 s + 0.1 gradient, w <- w - rate * s (lecture Alpaydin 12, "Momentum")."""
    return optax.chain(optax.ema(0.9, debias=False), optax.scale_by_learning_rate(rate))


def adagrad(rate):
    """g <- g + gradient^2, w <- w - rate * gradient / sqrt(g + 1e-8), from g = 0."""
    return optax.adagrad(rate, initial_accumulator_value=0.0, eps=1e-8)


def rmsprop(rate):
    """r <- 0.9 r + 0.1 gradient^2, w <- w - rate * gradient / sqrt(r + 1e-8), from r = 0."""
    return optax.rmsprop(rate, 0.9, 1e-8)


def clipped(rate):
    """Plain descent on a gradient whose norm over all parameters is scaled down to 0.1 where it is longer."""
    return optax.chain(optax.clip_by_global_norm(0.1), sgd(rate))


RULES = {
    "plain": Rule("plain", sgd, 8.0),
    "momentum": Rule("momentum .9", partial(sgd, momentum=0.9), 0.8),
    "average": Rule("momentum .9 as an average", averaged, 8.0),
    "nesterov": Rule("Nesterov's momentum .9", partial(optax.sgd, momentum=0.9, nesterov=True), 0.8),
    "adagrad": Rule("Adagrad", adagrad, 0.2),
    "rmsprop": Rule("RMSProp", rmsprop, 0.016),
    "adam": Rule("Adam", adam, 0.016),
    "clipped": Rule("gradient clipped at norm .1", clipped, 32.0),
    "halving": Rule("rate halved on a plateau", sgd, 8.0),
    "decay": Rule("rate falling to a hundredth", sgd, 8.0),
    "standardised": Rule("plain, standardised inputs", sgd, 4.0),
}


@dataclass(frozen=True)
class Descent:
    """The training of a net by one rule, on all training examples or on the first of them."""

    rule: str
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    target: float
    """The validation error that the race is to."""
    examples: int | None = None
    """With a number the score is that of the lecture's search on a subset: the largest rate that does not diverge."""

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs, and measures how many it took to the target."""
        net = mlp(self.widths)
        prepared = self.rule == "standardised"
        net = standardised(net) if prepared else net
        if self.examples is not None:
            data = data._replace(train=take(data.train, jnp.arange(self.examples)))
        key_init, key_train = jax.random.split(key)
        train = fit(
            gradient(cross_entropy(net), *self.how(hypers.rate, examples(data.train) // self.batch_size)),
            minibatches(self.batch_size),
            epochs=self.epochs,
            score=valid(misclassified(net)),
            progress=progress(self.rule, epochs=self.epochs),
        )
        before = [standardise] if prepared else []
        stages = chain(*before, train, evaluate(error=misclassified(net)))
        _, (*_, curve, errors) = stages(key_train, net.init(key_init, data.train.x[0]), data)
        result = Result.of(curve, errors)
        race = {"epochs": epochs_to(self.target, curve.score)}
        if self.examples is not None:
            lost = curve.diverged | ~(curve.metrics["loss"][-1] < curve.first_loss)
            result = result._replace(score=jnp.where(lost, jnp.inf, -hypers.rate))
        return {}, result._replace(measures={**result.measures, "race": race})

    def how(self, rate, steps):
        """The optimizer, and for one rule the review, with so many steps an epoch."""
        if self.rule == "decay":
            return (sgd(lambda count: rate * 0.01 ** (count / (steps * self.epochs))),)
        optimizer = RULES[self.rule].optimizer(rate)
        return halve_on_plateau(optimizer, patience=2) if self.rule == "halving" else (optimizer,)


def epochs_to(target, score):
    """Epochs until the score [epochs], as a line from epoch to epoch, is down to the target; infinite if it never is.

    What is reached within the first epoch counts as one epoch.
    """
    epoch = jnp.argmax(score <= target)
    before, after = score[jnp.maximum(epoch - 1, 0)], score[epoch]
    part = jnp.where(epoch > 0, (before - target) / jnp.where(before > after, before - after, 1.0), 1.0)
    return jnp.where((score <= target).any(), epoch + part, jnp.inf)


@dataclass(frozen=True)
class Spread:
    """How far the gradients of minibatches are from that of all examples, after one epoch of plain descent."""

    widths: tuple[int, ...]
    sizes: tuple[int, ...]
    draws: int = 100

    def __call__(self, key, hypers, given, data, progress):
        """The mean of |g - G|^2 / |G|^2 by size, and the slope of its logarithm against that of the size."""
        net = mlp(self.widths)
        loss = cross_entropy(net)
        key_init, key_train, key_draw = jax.random.split(key, 3)
        train = fit(gradient(loss, sgd(hypers.rate)), minibatches(100), epochs=1)
        params, curve = train(key_train, net.init(key_init, data.train.x[0]), data)

        def slope_at(rows):
            grads = jax.grad(loss, has_aux=True)(params, key, take(data.train, rows))[0]
            return jax.flatten_util.ravel_pytree(grads)[0]

        total = examples(data.train)
        full = slope_at(jnp.arange(total))

        def spread(key, size):
            def one(key):
                return jnp.square(slope_at(jax.random.randint(key, (size,), 0, total)) - full).sum()

            return jax.lax.map(one, jax.random.split(key, self.draws)).mean() / jnp.square(full).sum()

        keys = jax.random.split(key_draw, len(self.sizes))
        spreads = jnp.stack([spread(key, size) for key, size in zip(keys, self.sizes, strict=True)])
        slope = jnp.polyfit(jnp.log(jnp.array(self.sizes)), jnp.log(spreads), 1)[0]
        measures = {f"of_{size}": value for size, value in zip(self.sizes, spreads, strict=True)}
        return {}, Result(-slope, {"gradient": {"slope": slope, **measures}}, diverged=curve.diverged)


def by_formula(rule: str, rate: float, w: np.ndarray, grads: np.ndarray) -> np.ndarray:
    """Where gradients [steps, n] lead w [n], as the lectures write the rule."""
    change, s, r = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        if rule == "clipped":
            change = -rate * g * min(1, 0.1 / np.linalg.norm(g))
        elif rule in ("plain", "momentum"):
            change = -rate * g + (0.9 if rule == "momentum" else 0) * change
        elif rule == "nesterov":
            s = 0.9 * s + g
            change = -rate * (g + 0.9 * s)
        else:
            s = 0.9 * s + 0.1 * g
            r = {"adagrad": r + g**2, "adam": 0.999 * r + 0.001 * g**2}.get(rule, 0.9 * r + 0.1 * g**2)
            change = {
                "average": -rate * s,
                "adam": -rate * (s / (1 - 0.9**t)) / (np.sqrt(r / (1 - 0.999**t)) + 1e-8),
            }.get(rule, -rate * g / np.sqrt(r + 1e-8))
        w = w + change
    return w


@dataclass(frozen=True)
class Formulas:
    """Some steps of every rule against the lectures' formulas in NumPy, on random gradients."""

    steps: int = 5
    host = True

    def __call__(self, key, hypers, given, data, progress):
        """The largest difference, as a share of the way that the parameters went."""
        start, *grads = np.asarray(jax.random.normal(key, (1 + self.steps, 100)), np.float32)
        gaps = []
        for name in FORMULAS:
            optimizer, w = RULES[name].optimizer(0.1), start
            state = optimizer.init(w)
            for g in grads:
                updates, state = optimizer.update(g, state, w)
                w = optax.apply_updates(w, updates)
            expected = by_formula(name, 0.1, start.astype(float), np.array(grads, float))
            gaps.append(np.abs(np.asarray(w) - expected).max() / np.abs(expected - start).max())
        return {}, Result(0.0, {"formula": {"gap": np.float32(max(gaps))}})


FORMULAS = ("plain", "momentum", "average", "nesterov", "adagrad", "rmsprop", "adam", "clipped")


def rows(options, about):
    """The rules, the sizes of minibatches, the search of a rate on a subset, gradients, and formulas."""
    quick = options.preset == "quick"
    widths, epochs, target, part = ((32, 32), 15, 0.1, 400) if quick else ((256, 256), 25, 0.03, 5_000)
    small, usual, large = sizes = (5, 20, 100) if quick else (10, 100, 500)

    def row(name, group, title, rule="plain", size=usual, *, largest=None, number=None, **more):
        def build(seed, *, rate):
            return Unit(Descent(rule, widths, epochs, size, target, number), Rate(rate), seed=seed)

        rates = [(largest or RULES[rule].largest) / 2**i for i in reversed(range(5))]
        return Row(
            **{"name": name, "title": title, "build": build, "space": [{"rate": rates}], "search_seeds": 2} | more,
            group=group,
        )

    few: dict[str, Any] = {"seeds": min(5, options.fresh_seeds())}
    taken = {"space": lambda chosen: [chosen["rates/part"]], "after": ("rates/part",), **few}
    largest = {small: 3.2, usual: 8.0, large: 8.0}
    return [
        *(row(name, "Rules", rule.title, name) for name, rule in RULES.items()),
        *(row(f"size/{n}", "Minibatches", f"minibatches of {n}", size=n, largest=largest[n], **few) for n in sizes),
        row("rates/all", "Rates", "all examples", search_seeds=5, **few),
        row(
            "rates/part",
            "Rates",
            f"{part} examples, the largest that does not diverge",
            number=part,
            search_seeds=5,
            **few,
        ),
        row("rates/taken", "Rates", "all examples, at that rate", **taken),
        Row(
            "gradient",
            "gradients of minibatches",
            lambda seed: Unit(Spread(widths, (1, 10, 100, 1000)), Rate(1.0), seed=seed),
            group="Gradients",
            **few,
        ),
        Row("formulas", "steps against formulas", lambda seed: Unit(Formulas(), seed=seed), group="Formulas", **few),
    ]


EPOCHS = Metric("race/epochs", "epochs to the target")
SLOPE = Metric("gradient/slope", "slope of log variance")
GAP = Metric("formula/gap", "gap to the formulas")
STUDY = Study(
    doc=__doc__,
    data=study.images(quick="digits", paper="mnist", rows=True),
    rows=rows,
    metrics=[*ERRORS, EPOCHS, SLOPE, GAP],
    claims=[],
)

if __name__ == "__main__":
    main(STUDY)
