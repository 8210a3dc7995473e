"""The training of nets of many layers of one width, looked into layer by layer."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlx.algorithms import gradient
from dlx.inspect.layers import by_layer, decades_apart, decades_lost, gap_to_inputs, largest_step, logarithm
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.deep import BLOCKS, activations, deep, plain
from dlx.nets.layer import INITIALIZERS, RELU, TANH, as_float, check_name, switch_initializers, switch_units
from dlx.optim import clipped, sgd
from dlx.programs.layers import merge
from dlx.stage import chain, evaluate
from dlx.train import examples, fit, minibatches, take, valid
from dlx.unit import Result


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
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for a kind that there is not, or a net of so few layers that they cannot be compared."""
        check_name(self.kind, BLOCKS)
        if not self.epochs and self.depth < 3:
            raise ValueError(f"without epochs layers are compared, of a net of 3 at least, not of {self.depth}")

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs."""
        units = switch_units(hypers.units)
        initializer = switch_initializers(hypers.start, hypers.scale)
        make = partial(deep, BLOCKS[self.kind], self.depth, self.width, classes=self.classes)
        net = make(units=units, initializer=initializer)
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
class Ladder:
    """An epoch of a deep net of rectified linear units at each of several rates: at how many does it not learn?"""

    depth: int
    width: int
    batch_size: int
    rates: tuple[float, ...]
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """All rates start from the same weights. At chance is who errs on four of five validation examples."""
        key_init, key_train = jax.random.split(key)
        start = switch_initializers(hypers.start, hypers.scale)
        net = deep(plain, self.depth, self.width, classes=self.classes, units=RELU, initializer=start)
        params, loss = net.init(key_init, data.train.x[0]), cross_entropy(net)

        def run(rate):
            train = fit(gradient(loss, clipped(rate, hypers.limit)), minibatches(self.batch_size), epochs=1)
            end, curve = train(key_train, params, data)
            return curve.diverged, valid(misclassified(net))(end, data)

        diverged, errors = jax.lax.map(run, jnp.array(self.rates))
        errors, first = jnp.where(diverged, 1.0, errors), take(data.train, jnp.arange(self.batch_size))
        norm = optax.tree.norm(jax.grad(loss, has_aux=True)(params, key, first)[0])
        shares = {"lost": (errors > 0.8).mean(), "error": errors.mean(), "under": jnp.log10(15 / norm)}
        return {}, Result(errors.min(), {"ladder": shares}, {"ladder": {"error": errors}})


@dataclass(frozen=True)
class Exact:
    """What must hold to rounding, of tanh nets of three layers: each measure is to be 0."""

    width: int
    batch_size: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Gradients at weights of 0; units that start equal, after an epoch; gradients against inputs."""
        key_init, key_train = jax.random.split(key)
        view = activations(plain(TANH, INITIALIZERS["zeros"]), TANH)
        first, one = take(data.train, jnp.arange(self.batch_size)), take(data.train, jnp.arange(1))
        make = partial(deep, plain, 3, self.width, classes=self.classes, units=TANH)
        nets = {name: make(initializer=one) for name, one in INITIALIZERS.items()}
        drawn = {name: net.init(jax.random.clone(key_init), data.train.x[0]) for name, net in nets.items()}
        slopes, _ = jax.grad(cross_entropy(nets["zeros"]), has_aux=True)(drawn["zeros"], key, first)
        train = fit(gradient(cross_entropy(nets["equal"]), sgd(0.1)), minibatches(self.batch_size), epochs=1)
        h = view(train(key_train, drawn["equal"], data)[0], first.x)
        one = one._replace(x=as_float(one.x))
        gaps = {
            "zero": jnp.max(jnp.array([jnp.abs(part["w"]).max() for part in slopes.values()])),
            "equal": jnp.abs(h - h[..., :1]).max(),
            "input": gap_to_inputs(key, cross_entropy(nets["glorot"]), view, drawn["glorot"], one),
        }
        return {}, Result(0.0, {"exact": gaps})
