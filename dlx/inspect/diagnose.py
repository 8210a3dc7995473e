"""What is wrong with a net that was trained: signs, flags that are raised by them, and the remedy in words.

`measure` takes the signs from the curve of a fit, from the net before and after it, and from the data. `diagnose`
compares them with thresholds. Both can be jitted and vmapped. The flags stand in an order of causes: what explains the
others comes first, and that is what a run is named by (`name`). `explain` says it in words.

Lecture on feed-forward nets: "Debugging on Small Dataset", "Visualization", "When it does not work".
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from dlx.inspect import units
from dlx.nets.weights import weights
from dlx.types import Data, Params, Rate, Scalar

Flags = Mapping[str, Bool[Array, ""]]


class Look(NamedTuple):
    """A net at one time."""

    params: Params
    """Its weights are looked at (`dlx.nets.weights`), layer by layer in the order of the tree."""
    hidden: Sequence[Float[Array, "n _units"]]
    """The values of each hidden layer, from below, on the same training examples."""


class Signs(NamedTuple):
    """What was measured."""

    gradient: Scalar
    """The largest gap of a layer's gradient (`dlx.inspect.check.slope_gaps`) before training."""
    leaked: Scalar
    """The share of the validation examples that are training examples, too."""
    inputs: Scalar
    """The root mean square of the training inputs."""
    twins: Scalar
    """The largest share of a hidden layer's units that have the weights of another unit, before and after training."""
    dead: Scalar
    """The largest share of a hidden layer's units that are 0 for all examples, before training."""
    saturated: Scalar
    """The largest share of a hidden layer's values that are near an end, before training."""
    diverged: Bool[Array, ""]
    """Whether the fit met a number that is not finite."""
    peak: Scalar
    """The largest mean loss of an epoch over the loss before training."""
    bounce: Scalar
    """By how much the loss rose in all, from epoch to epoch, over the loss before training."""
    still: Scalar
    """The smallest change of a layer's weights, as a share of their norm before training."""
    fall: Scalar
    """By how much the loss fell in all, over the loss before training."""
    late: Scalar
    """Which share of that came in the last quarter of the epochs."""
    train_error: Scalar
    valid_error: Scalar
    chance: Scalar
    """The validation error of whoever always names the most common class."""


class Thresholds(NamedTuple):
    """What a sign must be above, or below where it says so. The notes of the page `debugging` say how they were set."""

    gradient: float = 0.05
    leaked: float = 0.01
    inputs: float = 10.0
    twins: float = 0.5
    dead: float = 0.9
    saturated: float = 0.5
    peak: float = 1.2
    bounce: float = 0.2
    still: float = 1e-6
    """Below."""
    fall: float = 0.9
    late: float = 0.2
    low_error: float = 0.2
    """Of chance: what is above it is a high error."""
    gap: float = 0.3
    """Of chance: by how much the validation error may be above the training error."""


DEFAULTS = Thresholds()


class Named(NamedTuple):
    """What a flag means."""

    sign: str
    remedy: str


NAMES: Mapping[str, Named] = {
    "gradient": Named("a gradient does not agree with finite differences", "find the error in it, layer by layer"),
    "leak": Named("validation examples are among the training examples", "take them out, and distrust the error"),
    "inputs": Named("the inputs are large", "normalise them"),
    "twins": Named("the units of a layer are all equal", "start from random weights"),
    "dead": Named("the units of a layer give 0 for all examples", "raise their biases"),
    "saturated": Named("units are saturated before the first update", "scale the start down, normalise the inputs"),
    "diverging": Named("the loss grows beyond where it began", "decrease the learning rate, then check gradients"),
    "bouncing": Named("the loss jumps up and down", "decrease the learning rate"),
    "frozen": Named("a layer is never updated", "give it to the optimizer"),
    "collapsed": Named("the loss is small and the error is not", "take a loss that fits, without degenerate solutions"),
    "memorised": Named("training examples are learnt and others are not", "look at the labels, then regularise"),
    "slow": Named("the error is high and the loss still falls", "train longer, or raise the learning rate"),
    "small": Named("the error stays high", "count parameters and FLOPs, and make the net larger"),
}
"""Every flag, causes before what follows from them."""
SOUND = len(NAMES)
"""The number of a run for which no flag is raised."""


def measure(
    curve: Any,
    before: Look,
    after: Look,
    data: Data,
    errors: tuple[Scalar, Scalar],
    *,
    gradient: Rate = 0.0,
    low: Rate = -jnp.inf,
    high: Rate = jnp.inf,
) -> Signs:
    """The signs. `curve` is the `dlx.train.Curve` of a fit with a metric `loss`.

    The data are those that training saw, with class labels. `errors` are those of the training and of the validation
    examples after training, as shares. `gradient` is the largest gap of a gradient check. `low` and `high` are the ends
    of what the hidden units can give, infinite where there is none.

    Raises ValueError if the net has no hidden layer.
    """
    if not before.hidden or not after.hidden:
        raise ValueError("there are no hidden units to look at; give the values of each hidden layer")
    x, layers = data.train.x.astype(jnp.float32), weights(before.params)
    course = _course(curve)
    changes = [_norm(w - old) / _norm(old) for w, old in zip(weights(after.params), layers, strict=True)]
    alike = [
        jnp.stack([units.twins(w.reshape(-1, w.shape[-1])) for w in weights(look.params)]) for look in (before, after)
    ]
    return Signs(
        gradient=jnp.asarray(gradient),
        leaked=are_among(data.valid.x, data.train.x).mean(),
        inputs=jnp.sqrt(jnp.square(x).mean()),
        twins=jnp.minimum(*alike)[: len(before.hidden)].max(),
        dead=jnp.stack([units.dead(h) for h in before.hidden]).max(),
        saturated=jnp.stack([units.saturated(h, low, high) for h in before.hidden]).max(),
        diverged=curve.diverged,
        still=jnp.stack(changes).min(),
        train_error=errors[0],
        valid_error=errors[1],
        chance=1 - _commonest(data.valid.y),
        **course,
    )


def diagnose(signs: Signs, thresholds: Thresholds = DEFAULTS) -> Flags:
    """The flags that are raised, by the names in `NAMES` and in their order."""
    t = thresholds
    high = ~(signs.train_error <= t.low_error * signs.chance)
    flags = {
        "gradient": signs.gradient > t.gradient,
        "leak": signs.leaked > t.leaked,
        "inputs": signs.inputs > t.inputs,
        "twins": signs.twins > t.twins,
        "dead": signs.dead > t.dead,
        "saturated": signs.saturated > t.saturated,
        "diverging": signs.diverged | (signs.peak > t.peak),
        "bouncing": signs.bounce > t.bounce,
        "frozen": signs.still < t.still,
        "collapsed": high & (signs.fall > t.fall),
        "memorised": signs.valid_error - signs.train_error > t.gap * signs.chance,
        "slow": high & (signs.late > t.late),
        "small": high,
    }
    return {name: jnp.asarray(flags[name]) for name in NAMES}


def name(flags: Flags) -> Int[Array, ""]:
    """The number of the first flag that is raised, in the order of `NAMES`; `SOUND` if there is none."""
    raised = jnp.stack([flags[one] for one in NAMES])
    return jnp.where(raised.any(), jnp.argmax(raised), SOUND)


def explain(flags: Mapping[str, Any]) -> list[str]:
    """A sentence for each flag that is raised, the cause of the others first; one sentence if there is none."""
    raised = [named for one, named in NAMES.items() if flags[one]]
    return [f"{named.sign}: {named.remedy}" for named in raised] or ["nothing is wrong that can be seen here"]


def are_among(examples: Shaped[Array, "n *shape"], others: Shaped[Array, "m *shape"]) -> Bool[Array, " n"]:
    """Whether each example equals one of the others, number by number."""
    axes = tuple(range(1, others.ndim))
    return jax.lax.map(lambda one: (others == one).all(axes).any(), jnp.asarray(examples))


def _commonest(y: Int[Array, " n"]) -> Scalar:
    """The share of the most common label."""
    ordered = jnp.sort(y)
    counts = jnp.searchsorted(ordered, ordered, side="right") - jnp.searchsorted(ordered, ordered, side="left")
    return counts.max() / len(y)


def _norm(w: Array) -> Scalar:
    return jnp.sqrt(jnp.square(w).sum())


def _course(curve: Any) -> dict[str, Scalar]:
    """The signs of the loss by epoch: peak, bounce, fall, late."""
    loss, epochs = curve.metrics["loss"], curve.epochs
    loss = jnp.where(jnp.arange(loss.size) < epochs, loss, loss[epochs - 1]) / curve.first_loss
    bounce = jnp.maximum(jnp.diff(loss), 0).sum()
    fall = 1 - loss[-1]
    last = loss[jnp.maximum(epochs * 3 // 4 - 1, 0)] - loss[-1]
    peak, late = loss.max(), jnp.where(fall > 0, last / jnp.where(fall > 0, fall, 1), 0.0)
    return {"peak": peak, "bounce": bounce, "fall": fall, "late": late}
