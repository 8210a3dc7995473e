"""The supervised training of a whole net, by backpropagation, and what is measured of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from dlx.algorithms import gradient
from dlx.data.checks import wrong_labels
from dlx.losses.supervised import cross_entropy, misclassified, negative_log_likelihood
from dlx.stage import Evaluation, evaluate
from dlx.train import AfterEpoch, Watch, fit, minibatches, take, valid
from dlx.types import Batch, Data, Key, Loss, Model, Params, Review, Scalar, Stage, keep


def start(key: Key, net: Model, data: Data, given: Sequence[Mapping[str, Params]] = ()) -> Params:
    """Fresh parameters of a net for these data. Entries that are `given`, such as trained layers, take their places."""
    return {**net.init(key, data.train.x[0]), **merge(given)}


def merge(given: Sequence[Mapping[str, Params]]) -> Mapping[str, Params]:
    """What units have kept, as one tree; of entries of the same name the last one."""
    return {name: entry for kept in given for name, entry in kept.items()}


def classify(
    net: Model,
    optimizer: optax.GradientTransformation,
    *,
    epochs: int,
    batch_size: int,
    steps: int | None = None,
    loss: Loss | None = None,
    prepare: Callable[[Key, Batch], Batch] | None = None,
    scored: bool = True,
    patience: int | None = None,
    review: Review = keep,
    watch: Watch | None = None,
    progress: AfterEpoch | None = None,
) -> Stage:
    """Train a whole classifier on the labels. The loss is the cross-entropy, if no other is given.

    It returns the last parameters, or with patience those of the epoch with the least validation error. The error is
    that of the net in use: nothing is dropped, and running statistics normalise. It is not computed if not `scored`. An
    epoch is one pass, or so many `steps`. `prepare`, `review`, `watch` and `progress` are those of `dlx.train`.

    Raises ValueError, when called with labels whose values are known, for one that is no class of the net.
    """
    train = fit(
        gradient(loss or cross_entropy(net), optimizer, review),
        minibatches(batch_size, prepare, steps),
        epochs=epochs,
        score=valid(misclassified(net)) if scored else None,
        patience=patience,
        watch=watch,
        progress=progress,
    )

    def stage(key: Key, params: Params, data: Data) -> tuple[Params, Any]:
        for name, split in zip(Data._fields, data, strict=True):
            if not isinstance(split.y, Tracer):
                classes = jax.eval_shape(net.apply, params, take(split, jnp.arange(1)).x).shape[-1]
                if fault := wrong_labels(split.y, classes):
                    raise ValueError(f"{name} has {fault}")
        return train(key, params, data)

    return stage


def errors(net: Model) -> Stage:
    """The stage that measures the `error` of a net on each split."""
    return evaluate(error=misclassified(net))


def errors_and_nats(net: Model) -> Stage:
    """The stage that measures the `error` of a net on each split, and its negative log-likelihood in `nats`."""
    return evaluate(error=misclassified(net), nats=negative_log_likelihood(net))


def gap(measured: Evaluation) -> Scalar:
    """The nats of the test split minus those of the training split: by how much a net has over-fitted."""
    return measured.test["nats"] - measured.train["nats"]
