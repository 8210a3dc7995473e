"""Fine-tuning that is followed epoch by epoch; what layers reconstruct; the functions that nets pass in training."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from dlx.classify import classify
from dlx.inspect.curves import at
from dlx.losses.supervised import misclassified, negative_log_likelihood
from dlx.nets.layer import as_float, check_name
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.programs.layers import METHODS, kind_of, merge
from dlx.stage import evaluate
from dlx.train import by_batches
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
        error, nats = misclassified(net), negative_log_likelihood(net)
        start = {**net.init(key_init, data.train.x[0]), **merge(given)}
        data = data._replace(train=jax.tree.map(lambda leaf: leaf[: self.labels], data.train))

        def both(params, split):
            return error(params, split), nats(params, split)

        def watch(params, data):
            told = {}
            if self.levels:
                (errors, of_train), (_, of_test) = (by_batches(both, params, one) for one in (data.train, data.test))
                told = {"error": errors.mean(), "nats": of_train.mean(), "test": of_test.mean()}
            if self.shown:
                told["said"] = jax.nn.softmax(net.apply(params, data.valid.x[: self.shown]))
            return told

        follow = progress("fine-tuning", epochs=self.epochs)
        train = classify(
            net,
            sgd(hypers.rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            steps=self.steps,
            patience=self.epochs,
            watch=watch,
            progress=follow,
        )
        params, curve = train(key_train, start, data)
        _, found = evaluate(error=error, nats=nats)(key_train, params, data)
        measures = {name: {**split} for name, split in zip(data._fields, found[:3], strict=True)}
        curves = {"valid": {"score": curve.score}}
        if self.levels:
            told = curve.watched
            curves |= {"train": {"error": told["error"], "nats": told["nats"]}, "test": {"nats": told["test"]}}
            measures["train"]["end"] = told["error"][-1]
            measures["test"] |= {f"at_{one:g}": at(one, told["nats"], told["test"]) for one in self.levels}
        kept = {"said": curve.watched["said"]} if self.shown else {}
        measures["fit"] = {"best": curve.best}
        return kept, Result(found.valid["error"], measures, curves, curve.diverged)


@dataclass(frozen=True)
class Reconstructed:
    """How well each of the given layers, trained by one method, reconstructs its input. Nothing is trained.

    Keeps some filters of the first, those of the largest norm, and validation examples above their reconstructions from
    the codes of one layer, of two, and so on: as float16, since they are only to be looked at.
    """

    method: str
    shown: int = 6
    """How many filters are kept, and how many validation examples."""

    def __post_init__(self):
        """Raise ValueError for a method that there is not."""
        check_name(self.method, METHODS)

    def __call__(self, key, hypers, given, data, progress):
        """Shares of the variance of each layer's input that are left, and of the pixels' through all layers."""
        kind, layers = kind_of(self.method), [layer for one in given for layer in one.values()]

        def share(x, rebuilt):
            return jnp.square(x - rebuilt).sum() / jnp.square(x - x.mean(0)).sum()

        def coded(split):
            """The input, and the codes of it by each layer."""
            codes = [as_float(jnp.asarray(split.x))]
            for layer in layers:
                codes.append(kind.encode(layer, codes[-1]))
            return codes

        def decoded(code, below):
            """The input by the code of the uppermost of some layers."""
            for layer in reversed(below):
                code = kind.decode(layer, code)
            return code

        def left(codes):
            told = {
                f"left_{i + 1}": share(codes[i], decoded(codes[i + 1], layers[i : i + 1])) for i in range(len(layers))
            }
            return told | {"pixels": share(codes[0], decoded(codes[-1], layers))}

        codes = coded(data.valid)
        valid = left(codes)
        images = jnp.stack([decoded(codes[i][: self.shown], layers[:i]) for i in range(len(codes))])
        filters = layers[0]["w"]
        largest = jnp.argsort(-jnp.linalg.norm(filters, axis=0))[: self.shown]
        kept = {"filters": filters[:, largest].astype(jnp.float16), "images": images.astype(jnp.float16)}
        return kept, Result(valid["pixels"], {"valid": valid, "test": left(coded(data.test))})


@dataclass(frozen=True)
class Embedded:
    """The functions that nets pass in training, as points of a plane: t-SNE of what they say (van der Maaten 2008).

    The first half of the given runs is of one kind, the second of another.
    """

    host: ClassVar[bool] = True

    def __call__(self, key, hypers, given, data, progress):
        """Keeps the points [runs, epochs, 2]. Tells distances between the functions at the end, in probabilities."""
        from scipy.spatial.distance import cdist
        from sklearn.manifold import TSNE

        said = np.stack([np.asarray(one["said"]) for one in given])
        runs, epochs = said.shape[:2]
        told = said.reshape(runs * epochs, -1)
        seed = int(jax.random.bits(key)) % 2**31
        points = TSNE(init="pca", perplexity=min(30, len(told) / 4), random_state=seed).fit_transform(told)
        ends = said[:, -1].reshape(runs, -1)
        apart, first = cdist(ends, ends), np.arange(runs) < runs // 2
        alike = (first[:, None] == first) & ~np.eye(runs, dtype=bool)
        nearest = np.where(np.eye(runs, dtype=bool), np.inf, apart).argmin(1)
        measures = {
            "between": apart[first][:, ~first].mean(),
            "within": apart[alike].mean(),
            "mixed": (first != first[nearest]).mean(),
        }
        measures["ratio"] = measures["between"] / measures["within"]
        return {"points": points.reshape(runs, epochs, 2)}, Result(measures={"functions": measures})
