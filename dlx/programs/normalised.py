"""The training of sigmoid nets with and without batch normalisation, and what their last hidden layer gets."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dlx.algorithms import gradient
from dlx.inspect.curves import epochs_to
from dlx.losses.supervised import cross_entropy, misclassified, negative_log_likelihood
from dlx.nets.layer import INITIALIZERS, as_float, check_name
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.normalised import normalised, pre_activations, to_normalise
from dlx.optim import sgd
from dlx.stage import evaluate, population
from dlx.train import examples, fit, minibatches, take, valid
from dlx.unit import Result

QUANTILES = (0.15, 0.5, 0.85)
SATURATED = 3.0
"""Beyond this the slope of a sigmoid is less than a fifth of its largest."""


@dataclass(frozen=True)
class Normalised:
    """The training of hidden layers of sigmoid units by plain descent, a part of so many `steps` after the other.

    Watches what the units of the last hidden layer get, on the first 1 000 training examples.
    """

    kind: str
    """batch for batch normalisation, or plain."""
    widths: tuple[int, ...]
    batch_size: int
    parts: int
    steps: int
    targets: tuple[float, ...] = ()
    """Validation errors that the race is to."""
    examples: int | None = None
    """Train on so many of the training examples; on all without a number."""
    classes: int = 10

    def __post_init__(self):
        """Raise ValueError for a kind that there is not."""
        check_name(self.kind, ("batch", "plain"))

    def __call__(self, key, hypers, given, data, progress):
        """Steps to each target; errors and negative log-likelihoods by running averages, and by stored statistics."""
        data = data._replace(train=take(data.train, jnp.arange(self.examples or examples(data.train))))
        key_init, key_train, key_end = jax.random.split(key, 3)
        net, view = self.net_and_view()
        seen = jnp.asarray(data.train.x[:1000])

        def watch(params, data):
            u = view(params, seen)
            low, middle, high = jnp.quantile(u[:, 0], jnp.array(QUANTILES))
            saturated = (jnp.abs(u) > SATURATED).mean()
            return {"low": low, "middle": middle, "high": high, "saturated": saturated, "medians": jnp.median(u, 0)}

        train = fit(
            gradient(cross_entropy(net), sgd(hypers.rate)),
            minibatches(self.batch_size, steps=self.steps),
            epochs=self.parts,
            score=valid(misclassified(net)),
            watch=watch,
            progress=progress(self.kind, epochs=self.parts),
        )
        params, curve = train(key_train, net.init(key_init, data.train.x[0]), data)
        measure = evaluate(error=misclassified(net), nats=negative_log_likelihood(net))
        _, errors = measure(key_end, params, data)
        stored, _ = population(to_normalise(self.widths) if self.kind == "batch" else {})(key_end, params, data)
        _, again = measure(key_end, stored, data)
        medians = curve.watched["medians"][self.parts // 2 :]
        result = Result.of(curve._replace(watched={k: v for k, v in curve.watched.items() if k != "medians"}), errors)
        race = {f"to_{place}": self.steps * epochs_to(one, curve.score) for place, one in enumerate(self.targets, 1)}
        race |= {f"log_{name}": jnp.log2(steps) for name, steps in race.items()}
        found = {
            "race": race,
            "last": {"saturated": curve.watched["saturated"][-1], "drift": medians.std(0).mean()},
        }
        test = {
            **result.measures["test"],
            "gap": errors.test["nats"] - errors.train["nats"],
            "stored": again.test["error"],
            "apart": jnp.abs(again.test["error"] - errors.test["error"]),
        }
        return {}, result._replace(measures={**result.measures, **found, "test": test})

    def net_and_view(self):
        """The net, and what the units of its last hidden layer get."""
        last, start = len(self.widths) - 1, INITIALIZERS["glorot"]
        if self.kind == "batch":
            return normalised(self.widths, self.classes, initializer=start), pre_activations(last)
        below = codes(last) or (lambda params, x: as_float(x))

        def view(params, x):
            layer = params[hidden(last)]
            return below(params, x) @ layer["w"] + layer["b"]

        return mlp(self.widths, self.classes, start), view
