"""Greedy layer-wise training: stages that pre-train a layer (Bengio et al. 2006).

Each trains one layer `{w, b, c}`; only `supervise` uses labels. `focus(hidden(i), codes(i), stage)` trains layer i of
an `mlp` with them, on the deterministic codes of the layers below. A row of the paper's table chains one of these for
each layer, and then `dlx.classify.classify`. The rows differ only in the pre-training.
"""

from collections.abc import Sequence

from jax.nn.initializers import Initializer

from dlx.algorithms import gradient
from dlx.classify import classify
from dlx.losses.energy import contrastive_divergence
from dlx.losses.penalties import Penalty, penalised
from dlx.losses.reconstruction import autoassociator, reconstruction
from dlx.nets.layer import BINARY, INITIALIZERS, LayerKind
from dlx.nets.module import Affine, model
from dlx.optim import sgd
from dlx.stage import temporary
from dlx.train import AfterEpoch, fit, minibatches, valid
from dlx.types import Loss, Model, Rate, Stage


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
    head = model(Affine(classes, initializer))

    def apply(layer, x):
        return head.apply(layer["head"], kind.encode(layer, x))

    classifier = Model(head.init, apply, lambda layer, key, x: (apply(layer, x), {}))
    stage = classify(classifier, sgd(rate), epochs=epochs, batch_size=batch_size, progress=progress)
    return temporary("head", lambda key, layer: head.init(key, layer["b"]), stage)
