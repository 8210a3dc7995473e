"""Descent by one of the lectures' rules."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dlx.algorithms import gradient
from dlx.inspect.curves import epochs_to
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import check_name
from dlx.nets.mlp import mlp
from dlx.nets.standardised import standardised
from dlx.optim import RULES, halve_on_plateau, sgd
from dlx.stage import chain, evaluate, standardise
from dlx.train import examples, fit, minibatches, take, valid
from dlx.unit import Result


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
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for a rule that there is not."""
        check_name(self.rule, (*RULES, "halving", "decay", "standardised"))

    def __call__(self, key, hypers, given, data, progress):
        """Trains for all epochs, and measures how many it took to the target."""
        prepared = self.rule == "standardised"
        net = mlp(self.widths, self.classes)
        net = standardised(net) if prepared else net
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
