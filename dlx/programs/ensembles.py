"""Nets that differ in their start, in the order of their minibatches, or in both; and what they say together."""

from dataclasses import dataclass
from itertools import count, pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.mlp import mlp, widths_of
from dlx.optim import sgd
from dlx.train import by_batches, fit, minibatches, valid
from dlx.types import Model
from dlx.unit import Result


def rectified(widths: tuple[int, ...], classes: int = 10) -> Model:
    """The net of rectified units that members are, from He's start."""
    return mlp(widths, classes, INITIALIZERS["he"], RELU)


class Which(NamedTuple):
    """The rate of a net, and which of several starts and of several orders of its minibatches it has."""

    rate: float
    start: float = 0.0
    order: float = 0.0


@dataclass(frozen=True)
class Member:
    """The training of a net of rectified units by plain descent, for a fixed number of epochs. Keeps the net."""

    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    examples: int
    """It is trained on the first so many training examples, or on all if there are fewer."""
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """The parameters after the last epoch. Nets of a seed that have the same number of a start begin alike."""
        net = rectified(self.widths, self.classes)
        key_start, key_order = jax.random.split(key)
        key_start = jax.random.fold_in(key_start, hypers.start.astype(jnp.int32))
        key_order = jax.random.fold_in(key_order, hypers.order.astype(jnp.int32))
        seen = data._replace(train=jax.tree.map(lambda leaf: leaf[: self.examples], data.train))
        rule = gradient(cross_entropy(net), sgd(hypers.rate))
        after_epoch = progress("net", epochs=self.epochs, percent=False)
        train = fit(rule, minibatches(self.batch_size), epochs=self.epochs, progress=after_epoch)
        params, curve = train(key_order, net.init(key_start, data.train.x[0]), seen)
        score = valid(misclassified(net))(params, data)
        return params, Result(score, curves={"train": curve.metrics}, diverged=curve.diverged)


@dataclass(frozen=True)
class Ensemble:
    """What the given nets of rectified units say together: the mean of their probabilities."""

    sizes: tuple[int, ...]
    """Numbers of members at which it is judged, powers of 2. With fewer nets, it is judged with all of them."""

    def __call__(self, key, hypers, given, data, progress):
        """Errors and nats of all members together, and errors by size, as means over disjoint groups of members.

        With several members also, on test data: how often two of them disagree; how many errors the whole saves beside
        one member, and which share of its nats is left; and how many more errors two members save than half of that.
        """
        net = rectified(*widths_of(given[0]))
        members = jax.tree.map(lambda *leaves: jnp.stack(leaves), *given)

        def said(split):
            """Log-probabilities [members, n, classes]."""

            def of_one(params):
                return jax.nn.log_softmax(by_batches(lambda params, batch: net.apply(params, batch.x), params, split))

            return jax.lax.map(of_one, members)

        def mean(judge, size):
            """On test data, over all groups of so many members."""
            return judge(together(each, min(size, len(given))), data.test.y).mean()

        error = wrong(together(said(data.valid), len(given))[0], data.valid.y).mean()
        each = said(data.test)
        whole, nats = (mean(judge, len(given)) for judge in (wrong, missing))
        test = {"error": whole, "nats": nats, "wrong": wrong(together(each, len(given))[0], data.test.y) > 0}
        if len(given) > 1:
            gain, gain_of_two = (mean(wrong, 1) - mean(wrong, size) for size in (len(given), 2))
            test |= {
                "gain": gain,
                "early": gain_of_two - gain / 2,
                "left": nats / mean(missing, 1),
                "disagreement": disagreement(each.argmax(-1)),
            }
        by_size = jnp.stack([mean(wrong, size) for size in self.sizes])
        return {}, Result(error, {"valid": {"error": error}, "test": test}, {"test": {"by_size": by_size}})


def together(each: Float[Array, "members n classes"], size: int) -> Float[Array, "groups n classes"]:
    """Logarithms of the mean probabilities of groups of so many members, from each member's log-probabilities.

    Raises ValueError if the number of members is not a multiple of the size.
    """
    if len(each) % size:
        raise ValueError(f"{len(each)} members are not groups of {size}; give a multiple of {size}")
    return jax.nn.logsumexp(each.reshape(-1, size, *each.shape[1:]), 1) - jnp.log(size)


def wrong(said: Float[Array, "... n classes"], y: Int[Array, " n"]) -> Float[Array, "... n"]:
    """1 where the most probable class is not the label, else 0."""
    return (said.argmax(-1) != y).astype(jnp.float32)


def missing(said: Float[Array, "... n classes"], y: Int[Array, " n"]) -> Float[Array, "... n"]:
    """The negative log-probability of the label, in nats."""
    return -jnp.take_along_axis(said, jnp.broadcast_to(y[:, None], (*said.shape[:-1], 1)), -1)[..., 0]


def disagreement(classes: Int[Array, "members n"]) -> Float[Array, ""]:
    """The share of examples that two members call differently, as a mean over pairs of them."""
    members = len(classes)
    differ = (classes[:, None] != classes[None]).mean(-1).sum()
    return differ / (members * (members - 1))


def parameters(widths: tuple[int, ...], inputs: int, classes: int = 10) -> int:
    """How many weights and biases a net from inputs to classes uses."""
    return sum((below + 1) * above for below, above in pairwise((inputs, *widths, classes)))


def as_large(widths: tuple[int, ...], members: int, inputs: int, classes: int = 10) -> tuple[int, ...]:
    """The widths of a net of as many equal layers that uses as many parameters as so many members, or a few more."""
    enough = members * parameters(widths, inputs, classes)
    return next(wide for n in count(1) if parameters(wide := (n,) * len(widths), inputs, classes) >= enough)
