"""The training of sigmoid nets with what is to keep them from over-fitting; early stopping; weight decay as a prior."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from dlx.algorithms import gradient
from dlx.inspect.curves import stopped
from dlx.inspect.weights import sizes
from dlx.losses.penalties import hint, l1, l2, penalised
from dlx.losses.supervised import cross_entropy, misclassified, negative_log_likelihood, squared_error
from dlx.nets.layer import INITIALIZERS, as_float, check_name
from dlx.nets.mlp import in_order, mlp
from dlx.nets.module import Affine, model
from dlx.nets.noise import SILENT, Noise, dropout, gaussian
from dlx.nets.normalised import normalised
from dlx.nets.virtual import virtual
from dlx.optim import sgd
from dlx.programs.layers import merge
from dlx.stage import evaluate
from dlx.train import examples, fit, minibatches, take, valid
from dlx.types import Labelled, Model
from dlx.unit import Result

KINDS = ("plain", "dropout", "inputs", "hidden", "weights", "virtual", "hint")
MOMENTUM = 0.9
SMALL = 1e-3
"""A weight of less than this counts as 0."""
EDGES = tuple(10 ** (i / 8) for i in range(-40, 9))
"""Of the sizes |w| by which weights are counted, from 1e-5 to 10."""
SHIFT, ANGLE, SCALE = 1 / 14, 15.0, 0.15
"""The largest moves of virtual examples and hints: a part of the image's width, degrees, and a part of the size."""


class Regular(NamedTuple):
    """The rate, and how much of what regularises there is. What a kind does not use is left at 0."""

    rate: float
    l2: float = 0.0
    l1: float = 0.0
    """Strengths of penalties; only for the kind plain."""
    amount: float = 0.0
    """dropout: rate of hidden units, of which inputs have two fifths, as .5 goes with .2. Noise: its deviation.
    virtual: a factor of the largest moves. hint: the strength of the penalty."""
    shuffled: float = 0.0
    """If not 0, the labels of the training examples are dealt out to them at random."""


@dataclass(frozen=True)
class Regularised:
    """The training of a net of sigmoid units by descent with momentum, in so many parts of `steps` minibatches.

    The parameters after the last part are judged. Given layers take the place of the start.
    """

    kind: str
    """One of `KINDS`. inputs, hidden and weights: where there is Gaussian noise."""
    widths: tuple[int, ...]
    batch_size: int
    parts: int
    steps: int
    examples: int
    """It is trained on the first so many training examples, or on all if there are fewer."""
    stops: tuple[int, ...] = ()
    """Look-aheads of early stopping, in parts. What the net was at each of these stops is kept."""
    normalised: bool = False
    """Whether there is batch normalisation before the units."""
    shape: tuple[int, int] = (28, 28)
    """Of an image: its height and width in pixels."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for a kind that there is not."""
        check_name(self.kind, KINDS)

    def __call__(self, key, hypers, given, data, progress):
        """Errors, negative log-likelihoods, their gap from training to test, and the sizes of the weights."""
        key_init, key_train, key_end, key_labels = jax.random.split(key, 4)
        data = self.seen(key_labels, hypers, data)
        net = self.net(hypers)
        train = fit(
            gradient(self.loss(net, hypers), sgd(hypers.rate, MOMENTUM)),
            minibatches(self.batch_size, self.prepare(hypers), self.steps),
            epochs=self.parts,
            score=valid(misclassified(net)),
            watch=(lambda params, data: {"params": params}) if self.stops else None,
            progress=progress(self.kind, epochs=self.parts),
        )
        params, curve = train(key_train, {**net.init(key_init, data.train.x[0]), **merge(given)}, data)
        kept = at_stops(curve.score, curve.watched["params"], self.stops) if self.stops else {}
        return kept, judged(net, key_end, params, data, curve._replace(watched={}))

    def seen(self, key, hypers, data):
        """The data with the first training examples alone, and with labels dealt out at random if that is asked for."""
        n = min(self.examples, examples(data.train))
        train = take(data.train, jnp.arange(n))
        dealt = jnp.where(hypers.shuffled != 0, jax.random.permutation(key, train.y), train.y)
        return data._replace(train=train._replace(y=dealt))

    def net(self, hypers) -> Model:
        """The net, with noise if the kind has it."""
        noise: Noise = SILENT
        if self.kind == "dropout":
            noise = dropout(0.4 * hypers.amount, hypers.amount)
        elif self.kind in Noise._fields:
            noise = Noise(**{self.kind: gaussian(hypers.amount)})
        make = normalised if self.normalised else mlp
        return make(self.widths, self.classes, initializer=INITIALIZERS["glorot"], noise=noise)

    def loss(self, net, hypers):
        """Cross-entropy, with the penalties of the kind."""
        loss = cross_entropy(net)
        if self.kind == "plain":
            return penalised(loss, l2(hypers.l2), l1(hypers.l1))
        return penalised(loss, hint(hypers.amount, net, self.move(1.0))) if self.kind == "hint" else loss

    def prepare(self, hypers):
        """What makes virtual examples of a batch; None for other kinds."""
        if self.kind != "virtual":
            return None
        move = self.move(hypers.amount)
        return lambda key, batch: batch._replace(x=move(key, batch.x))

    def move(self, amount):
        """The random moves of images, whose largest are so many times those of this module."""
        return virtual(self.shape, amount * SHIFT * self.shape[1], amount * ANGLE, amount * SCALE)


def judged(net, key, params, data, curve=None) -> Result:
    """Errors and negative log-likelihoods of a net in use, their gap, and the sizes of its weights."""

    _, found = evaluate(error=misclassified(net), nats=negative_log_likelihood(net))(key, params, data)
    test = {**found.test, "gap": found.test["nats"] - found.train["nats"]}
    size = sizes(params)
    about = {"norm": length(params), "small": (size < SMALL).mean(), "largest": jnp.quantile(size, 0.99)}
    counts = jnp.histogram(size, jnp.array(EDGES))[0] / size.size
    measures = {"train": {**found.train}, "valid": {**found.valid}, "test": test, "weights": about}
    if curve is None:
        return Result(found.valid["error"], measures, {"weights": {"counts": counts}})
    result = Result.of(curve)
    return Result(
        found.valid["error"],
        {**result.measures, **measures},
        {**result.curves, "weights": {"counts": counts}},
        curve.diverged,
    )


def length(params):
    """The Euclidean norm of all weights together."""
    return jnp.sqrt(jnp.square(sizes(params)).sum())


def at_stops(score, params, stops):
    """The parameters at each look-ahead's stop, stacked, and the parts that were run until then."""
    best, run = (jnp.stack(found) for found in zip(*(stopped(score, one + 1) for one in stops), strict=True))
    return {"params": jax.tree.map(lambda leaf: leaf[best], params), "best": best, "run": run}


class Stop(NamedTuple):
    """Which of the look-aheads of the given net it is, by its place from 0."""

    place: float


@dataclass(frozen=True)
class Stopped:
    """Judges the given net as it was when early stopping with a look-ahead stopped it. Nothing is trained."""

    examples: int
    """The net was trained on the first so many."""

    def __call__(self, key, hypers, given, data, progress):
        """The measures of `Regularised`, and how many parts were run and which was returned."""
        place = hypers.place.astype(jnp.int32)
        kept = jax.tree.map(lambda leaf: leaf[place], given[0])
        *widths, classes = (layer["b"].size for layer in in_order(kept["params"]))
        train = take(data.train, jnp.arange(min(self.examples, examples(data.train))))
        result = judged(mlp(tuple(widths), classes), key, kept["params"], data._replace(train=train))
        return {}, result._replace(measures={**result.measures, "fit": {"run": kept["run"], "best": kept["best"]}})


@dataclass(frozen=True)
class Ridge:
    """A linear map from pixels to classes, by descent on its squared error with weight decay, and in closed form."""

    examples: int
    steps: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """How far descent ends from the closed form, and the slope of the posterior's logarithm there; as shares."""
        x = as_float(take(data.train, jnp.arange(min(self.examples, examples(data.train)))).x)
        y = jax.nn.one_hot(data.train.y[: len(x)], self.classes)
        n, decay = x.shape[0], hypers.l2
        gram = 2 * x.T @ x / n
        closed = jax.scipy.linalg.solve(gram + decay * jnp.eye(len(gram)), 2 * x.T @ y / n, assume_a="pos")
        # No eigenvalue of a matrix is above its largest sum of a row.
        steepest = gram.sum(1).max() + decay
        ratio = jnp.sqrt(decay / steepest)
        net = model(Affine(self.classes, INITIALIZERS["zeros"], biased=False))
        rule = gradient(penalised(squared_error(net), l2(decay)), sgd(1 / steepest, (1 - ratio) / (1 + ratio), True))
        train = fit(rule, minibatches(n, steps=self.steps), epochs=1, progress=progress("ridge", epochs=1))
        linear = data._replace(train=Labelled(x, y))
        params, curve = train(key, {"w": jnp.zeros_like(closed)}, linear)

        def likelihood(w):
            """Of Gaussian noise whose variance is 1/2, so that -log p is the squared error."""
            return norm.logpdf(y, x @ w, 0.5**0.5).sum()

        def prior(w):
            return norm.logpdf(w, 0, (1 / (n * decay)) ** 0.5).sum()

        at_closed, of_prior = (jax.grad(one)(closed) for one in (likelihood, prior))
        slope = jnp.linalg.norm(at_closed + of_prior) / jnp.linalg.norm(of_prior)
        apart = jnp.linalg.norm(params["w"] - closed) / jnp.linalg.norm(closed)
        return {}, Result(apart, {"ridge": {"apart": apart, "slope": slope}}, {"train": curve.metrics}, curve.diverged)
