"""Programs that several pages share: the greedy training of a layer, on layers that other units have trained.

So pages that start from the same layers train them once, whichever comes first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax

from dlx import greedy
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import codes, hidden, mlp
from dlx.stage import focus
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
