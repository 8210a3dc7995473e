"""The greedy training of layers, one after the other, as units that pages share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dlx import pretrain
from dlx.classify import start
from dlx.losses.penalties import contraction
from dlx.nets.deep import affine
from dlx.nets.layer import BINARY, GAUSSIAN, INITIALIZERS, SIGMOID, LayerKind, check_name
from dlx.nets.mlp import codes, hidden, mlp
from dlx.stage import focus
from dlx.train import by_batches
from dlx.types import Data
from dlx.unit import Program, Result, Unit

METHODS = ("dbn", "autoassociator", "denoising", "supervised", "squared", "contractive")


class Rate(NamedTuple):
    """What a search varies where nothing else is varied."""

    rate: float


class LayerHypers(NamedTuple):
    """What a search varies of a layer's greedy training."""

    rate: float
    masking: float = 0.0
    """Fraction of the inputs that the denoising auto-associator sets to 0."""
    contraction: float = 0.0
    """Strength of the contractive auto-associator's penalty."""


def kind_of(method: str) -> LayerKind:
    """The units of a layer that is trained so. With squared error the visible ones are Gaussian, elsewhere sigmoid."""
    return LayerKind(SIGMOID, GAUSSIAN) if method == "squared" else BINARY


@dataclass(frozen=True)
class Layer:
    """The greedy training of the last of `widths` on the layers below it, which are given. Keeps its own layer."""

    method: str
    """One of `METHODS`."""
    widths: tuple[int, ...]
    epochs: int
    initializer: str = "fan"
    tied: bool = True
    k: int = 1
    batch_size: int = 20
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for an unknown method or initialiser."""
        check_name(self.method, METHODS)
        check_name(self.initializer, INITIALIZERS)

    def __call__(self, key, hypers, given, data, progress):
        """Trains the layer on the codes of those below it."""
        i = len(given)
        initializer = INITIALIZERS[self.initializer]
        net = mlp(self.widths, self.classes, initializer)
        associate = partial(pretrain.autoassociate, decoder=None if self.tied else initializer)
        train = {
            "dbn": partial(pretrain.boltzmann, k=self.k, mean_field=True),
            "autoassociator": associate,
            "denoising": partial(associate, masking=hypers.masking),
            "squared": partial(associate, kind=kind_of(self.method)),
            "contractive": partial(associate, penalties=[contraction(hypers.contraction)]),
            "supervised": partial(pretrain.supervise, classes=self.classes, initializer=initializer),
        }[self.method]
        after_epoch = progress(f"layer {i + 1}", epochs=self.epochs, percent=self.method == "supervised")
        stage = train(rate=hypers.rate, epochs=self.epochs, batch_size=self.batch_size, progress=after_epoch)
        key_init, key_train = jax.random.split(key)
        fresh = start(key_init, net, data, given)
        params, curve = focus(hidden(i), codes(i), stage)(jax.random.fold_in(key_train, i), fresh, data)
        return {hidden(i): params[hidden(i)]}, Result.of(curve)


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
        stage = pretrain.boltzmann(rate=hypers.rate, epochs=self.epochs, batch_size=self.batch_size, mean_field=True)

        def train(data, key):
            """The codes of all splits by a layer that is trained on them, and the layer."""
            key_init, key_train = jax.random.split(key)
            visible = data.train.x.shape[1]
            layer = affine(key_init, INITIALIZERS["glorot"], visible, self.width) | {"c": jnp.zeros(visible)}
            layer, curve = stage(key_train, layer, data)
            codes = [
                split._replace(x=by_batches(lambda layer, one: BINARY.encode(layer, one.x), layer, split))
                for split in data
            ]
            return Data(*codes), ({"w": layer["w"], "b": layer["b"]}, curve.score[-1], curve.diverged)

        keys = jax.random.split(key, self.depth)
        codes, (base, *_) = train(data, keys[0])
        _, (layers, nats, diverged) = jax.lax.scan(train, codes, keys[1:])
        return {"input": base, "layers": layers}, Result(nats.mean(), diverged=diverged.any())


def greedy_layers(
    program: Callable[..., Program], widths: Sequence[int], hypers: LayerHypers, seed: int
) -> tuple[Unit, ...]:
    """The units that train the layers one after the other, each on all below it; `program(widths=...)` makes one."""
    layers: tuple[Unit, ...] = ()
    for depth in range(1, len(widths) + 1):
        layers += (Unit(program(widths=tuple(widths[:depth])), hypers, layers, seed),)
    return layers
