"""The cases that the benchmark times, and how it times them."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlx import pretrain
from dlx.classify import classify
from dlx.inspect.counts import count
from dlx.nets.convnetjs import convnetjs_layers
from dlx.nets.convolutional import network
from dlx.nets.cropped import cropped
from dlx.nets.lenet import lenet5_layers
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.recurrent import in_rows, recurrent
from dlx.optim import sgd
from dlx.stage import focus
from dlx.sweep import Run, Sweep
from dlx.types import Data, Labelled, Model, Stage

Say = Callable[[str], None]
"""Tells the user what is measured now."""
VISIBLE, CLASSES = 784, 10
WIDTHS = (500, 500, 500)
CONVOLUTIONAL = {"lenet5": lenet5_layers, "convnetjs": convnetjs_layers}
"""Nets that see images, by name."""
SIDE = 28
SIDES = {"lenet5": SIDE, "convnetjs": 24}
"""Rows and columns that they see of an image, which has `SIDE`."""
EXAMPLES = 50_000
LARGEST_BATCH = 500
"""The largest minibatch of a case. An epoch needs at least one."""
PRODUCTS = {"simple": 1, "gru": 3, "lstm": 4}
"""By how many matrices a recurrent cell multiplies its input, and as many its state."""
REPEATS = 4
"""How often the short and the long run are timed, in turn. The fastest counts."""


class Case(NamedTuple):
    """A run to time, with this many epochs, and its FLOPs per example: by convention and as executed."""

    name: str
    run: Callable[[int], Run]
    flops: int
    executed: int


class Timing(NamedTuple):
    """What runs of one program take together."""

    epoch: float
    """Seconds per epoch of 50 000 examples."""
    compile: float
    """Seconds to compile."""
    memory: int
    """Bytes per device."""


def fresh(net: Model, stage: Stage) -> Run:
    """The run that trains fresh parameters by a stage. Only the key varies."""
    return lambda key, given, data: stage(key, net.init(key, data.train.x[0]), data)


def finetuning(widths: Sequence[int], batch: int) -> Case:
    """Fine-tuning of a whole net."""
    net = mlp(tuple(widths))
    tune = partial(classify, net, sgd(0.1), batch_size=batch)
    first, *others = (a * b for a, b in itertools.pairwise((VISIBLE, *widths, CLASSES)))
    flops = 6 * (first + sum(others))
    return Case(f"finetune b{batch}", lambda n: fresh(net, tune(epochs=n, patience=n)), flops, flops - 2 * first)


def pretraining(name: str, build: Callable[..., Stage], batch: int) -> Case:
    """Greedy training of the first layer."""
    net, flops = mlp(WIDTHS[:1]), 10 * VISIBLE * WIDTHS[0]

    def run(n: int) -> Run:
        return fresh(net, focus(hidden(0), codes(0), build(rate=0.1, epochs=n, batch_size=batch)))

    return Case(f"{name} b{batch}", run, flops, flops)


def reading(cell: str, batch: int = 100, rows: int = 28, width: int = 128) -> Case:
    """Training of a recurrent net that reads digits row by row."""
    net = in_rows(recurrent(cell, (width,), CLASSES), rows)
    inputs, states = (rows * PRODUCTS[cell] * a * width for a in (VISIBLE // rows, width))
    train = partial(classify, net, sgd(0.1), batch_size=batch)
    flops = 6 * (inputs + states + width * CLASSES)
    return Case(f"{cell} b{batch}", lambda n: fresh(net, train(epochs=n, patience=n)), flops, flops - 2 * inputs)


def recurrent_cases() -> Iterator[Case]:
    """Rows of digits, read by each kind of cell."""
    return map(reading, PRODUCTS)


def convolutional(name: str, batch: int) -> Case:
    """The supervised training of a net that sees images: one of `CONVOLUTIONAL`."""
    layers, side = CONVOLUTIONAL[name](), SIDES[name]
    net = network(layers) if side == SIDE else cropped(network(layers), side)
    image = jnp.zeros((1, side, side))
    params = jax.eval_shape(network(layers).init, jax.random.key(0), image[0])
    first, whole = (count(network(some).apply, params, image) for some in (layers[:1], layers))
    tune = partial(classify, net, sgd(0.1), batch_size=batch)
    executed = whole.training - first.forward
    return Case(f"{name} b{batch}", lambda n: fresh(net, tune(epochs=n, patience=n)), whole.training, executed)


def cases() -> Iterator[Case]:
    """Fine-tuning, the two ways to pre-train without labels, and two nets that see images."""
    for batch in (20, 100):
        yield finetuning(WIDTHS, batch)
        yield pretraining("autoassociate", pretrain.autoassociate, batch)
        yield pretraining("boltzmann", partial(pretrain.boltzmann, mean_field=True), batch)
        yield from (convolutional(name, batch) for name in CONVOLUTIONAL)


def random_data(examples: int) -> Data:
    """Noise in the shape of MNIST, with `examples` training digits and few others."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Labelled:
        x, y = rng.integers(0, 256, (n, VISIBLE), np.uint8), rng.integers(0, CLASSES, n, np.int32)
        return Labelled(jnp.asarray(x), jnp.asarray(y))

    return Data(split(examples), split(100), split(100))


def wall_time(call: Callable[[], Any]) -> float:
    """Seconds of one call, to the end of its computation."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def timing(
    case: Case, runs: int, data: Data, devices: int | None = None, per_run: int = 1, at_once: int | None = None
) -> Timing:
    """Time `runs` runs of a case on the devices."""
    arguments = jax.vmap(jax.random.key)(jnp.arange(runs)), (), data
    short, long = (Sweep(case.run(epochs), devices, per_run, at_once) for epochs in (1, 3))
    compiling = wall_time(lambda: long.memory(*arguments))
    rounds = [[wall_time(lambda s=sweep: s(*arguments)) for sweep in (short, long)] for _ in range(REPEATS)]
    one, three = map(min, zip(*rounds, strict=True))
    return Timing(EXAMPLES / len(data.train.x) * (three - one) / 2, compiling, long.memory(*arguments))
