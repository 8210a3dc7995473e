"""The stages of greedy layer-wise training (Bengio et al. 2006): ways to pre-train one hidden layer, and fine-tuning.

A row of the paper's table is `chain(*(pretrain(net, i) for i in range(depth)), finetune(net))`, and the rows differ in
`pretrain` alone. Layer i is trained on the deterministic codes of the layers below, without labels but in `supervise`.
"""

from dlx.losses import energy, reconstruction, supervised
from dlx.nets.layer import Affine, encode
from dlx.nets.mlp import MLP, init, logits
from dlx.optim import sgd
from dlx.stage import focus, scratch
from dlx.train import Report, fit, gradient
from dlx.types import Loss, Rate, Stage


def _fit_layer(loss: Loss, rate: Rate, epochs: int, batch_size: int, report: Report | None) -> Stage:
    """The whole budget of plain descent; the validation curve is the reconstruction error in nats."""
    algorithm = gradient(loss, sgd(rate))
    return fit(algorithm, reconstruction.reconstruction(), epochs=epochs, batch_size=batch_size, report=report)


def autoassociate(
    net: MLP,
    i: int,
    *,
    rate: Rate,
    epochs: int,
    batch_size: int,
    masking: Rate | None = None,
    tied: bool = True,
    report: Report | None = None,
) -> Stage:
    """Train hidden layer i as an auto-associator, denoising if a `masking` probability is given.

    Tied, the decoder is the transpose of w; untied, it is a matrix of its own that starts from the net's initializer.
    """
    stage = _fit_layer(reconstruction.autoassociator(masking), rate, epochs, batch_size, report)
    if not tied:
        stage = scratch("decoder", lambda key, layer: net.initializer(key, layer["w"].T.shape), stage)
    return focus(net, i, stage)


def boltzmann(
    net: MLP,
    i: int,
    *,
    rate: Rate,
    epochs: int,
    batch_size: int,
    k: int = 1,
    mean_field: bool = False,
    report: Report | None = None,
) -> Stage:
    """Train hidden layer i as an RBM by CD-k; layers trained so from the bottom up form a deep belief network."""
    loss = energy.contrastive_divergence(k, mean_field)
    return focus(net, i, _fit_layer(loss, rate, epochs, batch_size, report))


def supervise(net: MLP, i: int, *, rate: Rate, epochs: int, batch_size: int, report: Report | None = None) -> Stage:
    """Train hidden layer i as the hidden layer of a one-hidden-layer classifier whose output layer is thrown away."""
    head = Affine(net.classes, net.initializer)

    def head_logits(layer, x):
        return encode(layer, x) @ layer["head"]["w"] + layer["head"]["b"]

    stage = fit(
        gradient(supervised.cross_entropy(head_logits), sgd(rate)),
        supervised.misclassified(head_logits),
        epochs=epochs,
        batch_size=batch_size,
        report=report,
    )
    return focus(net, i, scratch("head", lambda key, layer: init(key, head, layer["b"].size), stage))


def finetune(
    net: MLP, *, rate: Rate, epochs: int, batch_size: int, patience: int, report: Report | None = None
) -> Stage:
    """Train all layers on the labels by backpropagation; return the best epoch by validation error."""

    def net_logits(params, x):
        return logits(net, params, x)

    return fit(
        gradient(supervised.cross_entropy(net_logits), sgd(rate)),
        supervised.misclassified(net_logits),
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        report=report,
    )
