"""The training of nets with dropout, and averages over the nets that masks leave."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx.algorithms import gradient
from dlx.inspect.units import correlation
from dlx.losses.supervised import cross_entropy, misclassified, negative_log_likelihood
from dlx.nets.layer import INITIALIZERS, UNITS, LayerKind, check_name
from dlx.nets.mlp import hidden, mlp
from dlx.nets.noise import SILENT, Noise, dropout
from dlx.nets.rectified import rectified
from dlx.optim import adam, max_norm, sgd
from dlx.programs.layers import merge
from dlx.stage import chain, evaluate
from dlx.train import by_batches, examples, fit, minibatches, take, valid
from dlx.types import Model, Params
from dlx.unit import Result

START = {"sigmoid": "fan", "relu": "he"}
"""Where the weights of hidden units start from."""


class Dropping(NamedTuple):
    """What a search or a row varies of a training with dropout."""

    rate: float
    inputs: float = 0.0
    """Probability that an input is dropped."""
    hidden: float = 0.0
    """Probability that a hidden unit is dropped."""
    momentum: float = 0.9
    norm: float = jnp.inf
    """The largest norm of a unit's incoming weights."""


@dataclass(frozen=True)
class Dropped:
    """The training of a net by a rule whose rate decays to a hundredth, for all epochs. Keeps the net.

    Given layers take the place of its start.
    """

    units: str
    """sigmoid or relu."""
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    examples: int | None = None
    """Train on the first so many examples, or all if there are fewer. Without a number, score every epoch, too."""
    drops: bool = True
    """Whether units are dropped. Without, the probabilities do not matter."""
    rule: str = "momentum"
    """momentum or adam; the rate decays to a hundredth."""
    normalised: bool = False
    """Whether hidden layers have batch normalisation; of rectified units only."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for units that are not sigmoid or relu, or for sigmoid ones with batch normalisation."""
        check_name(self.units, START)
        check_name(self.rule, ("momentum", "adam"))
        if self.normalised and self.units != "relu":
            raise ValueError("a net with dropout and batch normalisation has units 'relu'")

    def __call__(self, key, hypers, given, data, progress):
        """Errors, the gap of test to training nats, and the mean correlation of units of the first hidden layer."""
        key_init, key_train = jax.random.split(key)
        net = self.net(dropout(hypers.inputs, hypers.hidden) if self.drops else SILENT)
        n = min(self.examples or examples(data.train), examples(data.train))
        data = data._replace(train=take(data.train, jnp.arange(n)))
        steps = self.epochs * (n // self.batch_size)

        def rate(count):
            return hypers.rate * 0.01 ** (count / steps)

        descent = adam(rate) if self.rule == "adam" else sgd(rate, hypers.momentum)
        train = fit(
            gradient(cross_entropy(net), optax.chain(descent, max_norm(hypers.norm))),
            minibatches(self.batch_size),
            epochs=self.epochs,
            score=None if self.examples else valid(misclassified(net)),
            progress=progress(self.units, epochs=self.epochs, percent=not self.examples),
        )

        stages = chain(train, evaluate(error=misclassified(net), nats=negative_log_likelihood(net)))
        params, (curve, found) = stages(key_train, {**net.init(key_init, data.train.x[0]), **merge(given)}, data)
        result = Result.of(curve, found)
        test = {**result.measures["test"], "gap": found.test["nats"] - found.train["nats"]}
        measures = {**result.measures, "test": test}
        if not self.normalised:
            h = first_layer(self.units, params, jnp.asarray(data.valid.x[:1000]))
            measures |= {"hidden": {"correlation": correlation(h)}}
        return params, result._replace(measures=measures)

    def net(self, noise: Noise) -> Model:
        """The net, with noise in training."""
        if self.normalised:
            return rectified(self.widths, self.classes, normalised=True, noise=noise)
        return mlp(self.widths, self.classes, INITIALIZERS[START[self.units]], UNITS[self.units], noise)


@dataclass(frozen=True)
class Averaged:
    """What the nets that masks leave of a given net say on average, and what the net in use says instead of them.

    Each hidden unit is dropped with probability 1/2. The average over masks is the geometric one, normalised.
    """

    units: str
    widths: tuple[int, ...]
    samples: int | None = None
    """So many masks are drawn. Without a number all masks are taken, which needs one hidden layer."""

    def __call__(self, key, hypers, given, data, progress):
        """Errors of both on test data, and the largest and the mean difference of a probability."""
        (params,) = given
        net = mlp(self.widths, params["output"]["b"].size, units=UNITS[self.units], noise=dropout(0.0, 0.5))

        def average(params, x):
            if self.samples is None:
                return over_all_masks(first_layer(self.units, params, x), params["output"])
            keys = jax.random.split(jax.random.clone(key), self.samples)  # the same masks for all examples
            said = jax.lax.map(lambda key: jax.nn.log_softmax(net.train(params, key, x)[0]), keys)
            return jax.nn.log_softmax(said.mean(0))

        x, y = data.test
        average, used = (by_batches(f, params, x) for f in (average, lambda p, x: jax.nn.log_softmax(net.apply(p, x))))
        wrong = [(one.argmax(-1) != y).astype(jnp.float32).mean() for one in (used, average)]
        apart = jnp.abs(jnp.exp(average) - jnp.exp(used))
        test = {
            "error": wrong[0],
            "average": wrong[1],
            "excess": wrong[0] - wrong[1],
            "apart": apart.max(),
            "mean": apart.mean(),
        }
        return {}, Result(measures={"test": test})


def first_layer(units: str, params: Params, x: Array) -> Float[Array, "n width"]:
    """What the first hidden layer of a net of such units says of inputs x [n, visible] in use."""
    return LayerKind(UNITS[units]).encode(params[hidden(0)], x)


def over_all_masks(h: Float[Array, "n units"], output: dict[str, Array]) -> Float[Array, "n classes"]:
    """Log-probabilities of the normalised geometric mean over all 2^units masks of h, each as probable as any other.

    Units that are kept count twice, as in training (lecture on feed-forward nets, "Dropout at Test Time").
    """
    units = h.shape[-1]
    masks = (jnp.arange(2**units)[:, None] >> jnp.arange(units)) & 1

    def add(total, mask):
        return total + jax.nn.log_softmax(2 * mask * h @ output["w"] + output["b"]), None

    total, _ = jax.lax.scan(add, jnp.zeros((len(h), output["b"].size)), masks.astype(h.dtype))
    return jax.nn.log_softmax(total / len(masks))
