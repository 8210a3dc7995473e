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
from dlx.inspect.layers import by_layer, decades_apart, decades_lost, largest_step, logarithm
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.deep import BLOCKS, activations, affine, deep
from dlx.nets.layer import BINARY, INITIALIZERS, switch_initializers, switch_units
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.standardised import standardised
from dlx.optim import RULES, clipped, halve_on_plateau, sgd
from dlx.stage import chain, evaluate, focus, standardise
from dlx.train import by_batches, examples, fit, minibatches, take, valid
from dlx.types import Data
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


class NetHypers(NamedTuple):
    """How a deep net starts, and how it is trained."""

    units: float
    """The place among `dlx.nets.layer.UNITS`."""
    start: float
    """The place among `dlx.nets.layer.INITIALIZERS`."""
    rate: float = 0.0
    limit: float = 1e30
    """The longest gradient; one that is longer is scaled down to it."""
    scale: float = 1.0
    """Of the weights at the start."""
    bias: float = 0.0
    """Of the first hidden layer at the start."""


@dataclass(frozen=True)
class Deep:
    """The training of a net of `depth` layers of one width by plain descent, from what is given or from the start.

    Looks into its layers before and after, on the first training examples. Without epochs it looks only once.
    """

    kind: str
    """A name in `dlx.nets.deep.BLOCKS`."""
    depth: int
    width: int
    epochs: int
    batch_size: int
    looked_at: int = 1000

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs."""
        units = switch_units(hypers.units)
        initializer = switch_initializers(hypers.start, hypers.scale)
        net = deep(BLOCKS[self.kind], self.depth, self.width, units=units, initializer=initializer)
        key_init, key_train, key_look = jax.random.split(key, 3)
        fresh = net.init(key_init, data.train.x[0])
        fresh = {**fresh, "input": {**fresh["input"], "b": fresh["input"]["b"] + hypers.bias}, **merge(given)}
        view = activations(BLOCKS[self.kind](units, initializer), units)
        batch = take(data.train, jnp.arange(min(self.looked_at, examples(data.train))))
        look = partial(by_layer, key_look, cross_entropy(net), view, batch=batch)
        before = look(fresh)
        if not self.epochs:
            numbers = {"decades": decades_lost(before["gradient"][1:]), "step": largest_step(before["gradient"][1:])}
            return {}, Result(0.0, {"start": numbers | {"apart": decades_apart(before["variance"])}}, {"start": before})
        train = fit(
            gradient(cross_entropy(net), clipped(hypers.rate, hypers.limit)),
            minibatches(self.batch_size),
            epochs=self.epochs,
            score=valid(misclassified(net)),
            progress=progress(f"{self.kind} {self.depth}", epochs=self.epochs),
        )
        params, (curve, errors) = chain(train, evaluate(error=misclassified(net)))(key_train, fresh, data)
        after, result = look(params), Result.of(curve, errors)
        moved = jnp.abs(params["input"]["w"] - fresh["input"]["w"]).max()
        seen = {"start": {"base": logarithm(before["gradient"][0]), "inactive": before["inactive"].mean()}}
        seen["end"] = {"active": after["active"].mean(), "inactive": after["inactive"].mean(), "moved": moved}
        curves = {**result.curves, "start": before, "end": after}
        return {}, result._replace(measures={**result.measures, **seen}, curves=curves)


@dataclass(frozen=True)
class Stack:
    """The greedy training of all hidden layers of a `deep` net of sigmoid units as RBMs by CD-1. Keeps them.

    Layers above the first are alike, so a scan trains them, each on the codes of the one below.
    """

    depth: int
    width: int
    epochs: int
    batch_size: int

    def __call__(self, key, hypers, given, data, progress):
        """Trains the layers from the base up."""
        stage = greedy.boltzmann(rate=hypers.rate, epochs=self.epochs, batch_size=self.batch_size, mean_field=True)

        def train(data, key):
            """The codes of all splits by a layer that is trained on them, and the layer."""
            key_init, key_train = jax.random.split(key)
            visible = data.train.x.shape[1]
            layer = affine(key_init, INITIALIZERS["glorot"], visible, self.width) | {"c": jnp.zeros(visible)}
            layer, curve = stage(key_train, layer, data)
            codes = [split._replace(x=by_batches(lambda layer, one: BINARY.encode(layer, one.x), layer, split))
                     for split in data]  # fmt: skip
            return Data(*codes), ({"w": layer["w"], "b": layer["b"]}, curve.score[-1], curve.diverged)

        first, *others = jax.random.split(key, self.depth)
        codes, (base, *_) = train(data, first)
        _, (layers, nats, diverged) = jax.lax.scan(train, codes, jnp.stack(others))
        return {"input": base, "layers": layers}, Result(nats.mean(), diverged=diverged.any())


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
