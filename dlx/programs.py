"""Programs that several pages share: the greedy training of a layer, and descent by one of the lectures' rules.

Pages that start from the same layers train them once, whichever comes first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlx import greedy
from dlx.algorithms import gradient
from dlx.inspect.curves import epochs_to
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.standardised import standardised
from dlx.optim import RULES, halve_on_plateau, sgd
from dlx.stage import chain, evaluate, focus, standardise
from dlx.train import examples, fit, minibatches, take, valid
from dlx.unit import Kept, Program, Result, Unit


class Rate(NamedTuple):
    """What a search varies where nothing else is varied."""

    rate: float


class LayerHypers(NamedTuple):
    """What a search varies of a layer's greedy training."""

    rate: float
    masking: float = 0.0
    """Fraction of the inputs that the denoising auto-associator sets to 0."""


@dataclass(frozen=True)
class Layer:
    """The greedy training of the last of `widths` on the layers below it, which are given. Keeps its own layer."""

    method: str
    """dbn, autoassociator, denoising or supervised."""
    widths: tuple[int, ...]
    epochs: int
    initializer: str = "fan"
    tied: bool = True
    k: int = 1
    batch_size: int = 20
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Trains the layer on the codes of those below it."""
        i = len(given)
        initializer = INITIALIZERS[self.initializer]
        net = mlp(self.widths, self.classes, initializer)
        associate = partial(greedy.autoassociate, decoder=None if self.tied else initializer)
        train = {
            "dbn": partial(greedy.boltzmann, k=self.k, mean_field=True),
            "autoassociator": associate,
            "denoising": partial(associate, masking=hypers.masking),
            "supervised": partial(greedy.supervise, classes=self.classes, initializer=initializer),
        }[self.method]
        after_epoch = progress(f"layer {i + 1}", epochs=self.epochs, percent=self.method == "supervised")
        stage = train(rate=hypers.rate, epochs=self.epochs, batch_size=self.batch_size, progress=after_epoch)
        key_init, key_train = jax.random.split(key)
        start = {**net.init(key_init, data.train.x[0]), **merge(given)}
        params, curve = focus(hidden(i), codes(i), stage)(jax.random.fold_in(key_train, i), start, data)
        return {hidden(i): params[hidden(i)]}, Result.of(curve)


@dataclass(frozen=True)
class Descent:
    """The training of a net of sigmoid layers by one rule, on all training examples or on the first of them."""

    rule: str
    """A name in `dlx.optim.RULES`; or halving, decay (to a hundredth) or standardised (inputs), with plain descent."""
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    target: float
    """The validation error that the race is to."""
    examples: int | None = None
    """With a number the score is that of the lecture's search on a subset: the largest rate that does not diverge."""

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs, and measures how many it took to the target."""
        prepared = self.rule == "standardised"
        net = standardised(mlp(self.widths)) if prepared else mlp(self.widths)
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
        optimizer = RULES.get(self.rule, sgd)(rate)
        return halve_on_plateau(optimizer, patience=2) if self.rule == "halving" else (optimizer,)


def greedy_layers(
    program: Callable[..., Program], widths: Sequence[int], hypers: LayerHypers, seed: int
) -> tuple[Unit, ...]:
    """The units that train the layers one after the other, each on all below it; `program(widths=...)` makes one."""
    layers: tuple[Unit, ...] = ()
    for depth in range(1, len(widths) + 1):
        layers += (Unit(program(widths=tuple(widths[:depth])), hypers, layers, seed),)
    return layers


def merge(given: Sequence[Kept]) -> Mapping[str, Any]:
    """What units have kept, as one tree; of entries of the same name the last one."""
    return {name: entry for kept in given for name, entry in kept.items()}
