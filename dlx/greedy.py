"""Greedy layer-wise training: stages that pre-train a layer, and fine-tuning (Bengio et al. 2006).

The first three train one layer `{w, b, c}`; of them only `supervise` uses labels. `focus(hidden(i), codes(i), stage)`
trains layer i of an `mlp` with them, on the deterministic codes of the layers below. A row of the paper's table chains
one of these for each layer, and then `finetune`. The rows differ only in the pre-training.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from jax.nn.initializers import Initializer

from dlx.algorithms import gradient
from dlx.data.checks import wrong_labels
from dlx.losses.energy import contrastive_divergence
from dlx.losses.penalties import Penalty, penalised
from dlx.losses.reconstruction import autoassociator, reconstruction
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import BINARY, INITIALIZERS, LayerKind
from dlx.nets.module import affine
from dlx.optim import sgd
from dlx.stage import temporary
from dlx.train import AfterEpoch, Watch, fit, minibatches, take, valid
from dlx.types import Data, Key, Loss, Model, Params, Rate, Stage


def _fit_layer(
    loss: Loss, rate: Rate, epochs: int, batch_size: int, kind: LayerKind, progress: AfterEpoch | None
) -> Stage:
    """Plain descent for all epochs, without patience. The score is the reconstruction error in nats."""
    score = valid(reconstruction(kind))
    return fit(gradient(loss, sgd(rate)), minibatches(batch_size), epochs=epochs, score=score, progress=progress)


def autoassociate(
    *,
    rate: Rate,
    epochs: int,
    batch_size: int,
    masking: Rate | None = None,
    decoder: Initializer | None = None,
    penalties: Sequence[Penalty] = (),
    kind: LayerKind = BINARY,
    progress: AfterEpoch | None = None,
) -> Stage:
    """Train a layer as an auto-associator; as a denoising one if a `masking` probability is given.

    Penalties make it contractive or sparse: `dlx.losses.penalties.contraction`, or `sparsity` of `kind.encode`. With
    Gaussian visible units the decoder is linear and R half the squared error.

    It decodes by the transpose of w. With an initializer `decoder` it decodes by a matrix of its own, which starts from
    that. This matrix is thrown away at the end.

    Raises ValueError if the visible units have no distribution.
    """
    loss = autoassociator(masking, kind)
    loss = penalised(loss, *penalties) if penalties else loss
    stage = _fit_layer(loss, rate, epochs, batch_size, kind, progress)
    if decoder is None:
        return stage
    return temporary("decoder", lambda key, layer: decoder(key, layer["w"].T.shape), stage)


def boltzmann(
    *,
    rate: Rate,
    epochs: int,
    batch_size: int,
    k: int = 1,
    mean_field: bool = False,
    kind: LayerKind = BINARY,
    progress: AfterEpoch | None = None,
) -> Stage:
    """Train a layer as an RBM by CD-k. Layers that are trained so, from below, form a deep belief network.

    Raises ValueError if the units of a side have no distribution.
    """
    return _fit_layer(contrastive_divergence(k, mean_field, kind), rate, epochs, batch_size, kind, progress)


def supervise(
    *,
    rate: Rate,
    epochs: int,
    batch_size: int,
    classes: int = 10,
    initializer: Initializer = INITIALIZERS["fan"],
    kind: LayerKind = BINARY,
    progress: AfterEpoch | None = None,
) -> Stage:
    """Train a layer as the only hidden layer of a classifier, whose output layer is then thrown away."""
    head = affine(classes, initializer)

    def apply(layer, x):
        return head.apply(layer["head"], kind.encode(layer, x))

    classifier = Model(head.init, apply, lambda layer, key, x: (apply(layer, x), {}))
    stage = finetune(classifier, sgd(rate), epochs=epochs, batch_size=batch_size, progress=progress)
    return temporary("head", lambda key, layer: head.init(key, layer["b"]), stage)


def finetune(
    net: Model,
    optimizer: optax.GradientTransformation,
    *,
    epochs: int,
    batch_size: int,
    steps: int | None = None,
    patience: int | None = None,
    watch: Watch | None = None,
    progress: AfterEpoch | None = None,
) -> Stage:
    """Train a whole classifier on the labels by backpropagation.

    It returns the last parameters, or with patience those of the epoch with the least validation error. The error is
    that of the net in use: nothing is dropped, and running statistics normalise. An epoch is one pass, or so many
    `steps`.

    Raises ValueError, when called with labels whose values are known, for one that is no class of the net.
    """
    train = fit(
        gradient(cross_entropy(net), optimizer),
        minibatches(batch_size, steps=steps),
        epochs=epochs,
        score=valid(misclassified(net)),
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
