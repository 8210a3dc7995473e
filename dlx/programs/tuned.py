"""Fine-tuning that is followed epoch by epoch."""

from dataclasses import dataclass

import jax

from dlx.classify import classify, errors_and_nats, start
from dlx.inspect.curves import at
from dlx.losses.supervised import misclassified, negative_log_likelihood
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.train import by_batches, first
from dlx.unit import Result


@dataclass(frozen=True)
class Tuned:
    """The training of a sigmoid net on labels by plain descent, from given layers where there are some.

    All epochs are run. The net is judged as it was after the epoch with the least validation error.
    """

    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    labels: int | None = None
    """Only the first so many training examples have a label; None: all."""
    steps: int | None = None
    """Minibatches an epoch; None: one pass."""
    levels: tuple[float, ...] = ()
    """Training nats at whose first crossing the test nats are told. With some, errors and nats are told by epoch."""
    shown: int = 0
    """Of so many validation examples the probabilities of the classes after each epoch are kept."""
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Errors at the best epoch, the training error after the last; with levels the nats."""
        net, (key_init, key_train) = mlp(self.widths, self.classes), jax.random.split(key)
        fresh = start(key_init, net, data, given)
        data = data._replace(train=first(data.train, self.labels))

        def error_and_nats(params, split):
            return misclassified(net)(params, split), negative_log_likelihood(net)(params, split)

        def watch(params, data):
            seen = {}
            if self.levels:
                train_error, train_nats = by_batches(error_and_nats, params, data.train)
                _, test_nats = by_batches(error_and_nats, params, data.test)
                seen |= {"error": train_error.mean(), "nats": train_nats.mean(), "test": test_nats.mean()}
            if self.shown:
                seen |= {"said": jax.nn.softmax(net.apply(params, data.valid.x[: self.shown]))}
            return seen

        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            steps=self.steps,
            patience=self.epochs,
            watch=watch,
            progress=progress("fine-tuning", epochs=self.epochs),
        )
        params, curve = train(key_train, fresh, data)
        _, measured = errors_and_nats(net)(key_train, params, data)
        measures = {
            "train": measured.train,
            "valid": measured.valid,
            "test": measured.test,
            "fit": {"best": curve.best},
        }
        result = Result(measured.valid["error"], measures, {"valid": {"score": curve.score}}, curve.diverged)
        seen = curve.watched
        if self.levels:
            end = seen["error"][-1]
            crossings = {f"at_{level:g}": at(level, seen["nats"], seen["test"]) for level in self.levels}
            result = result.telling(train={"end": end}, test=crossings)
            followed = {"train": {"error": seen["error"], "nats": seen["nats"]}, "test": {"nats": seen["test"]}}
            result = result._replace(curves={**result.curves, **followed})
        return {"said": seen["said"]} if self.shown else {}, result
