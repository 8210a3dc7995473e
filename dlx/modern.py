"""Deep nets as they are trained after 2006, without pre-training: the rows that stand under the table of 2006.

A row is one stage: `train_rectified(Rectified((500, 500, 500)), adam(1e-3), ...)`; its regularised ones give `dropout`
and `optax.chain(sgd(0.1, 0.9), max_norm(2.0))`, or a net that is `normalised`.
"""

from functools import partial

import optax

from dlx.losses import supervised
from dlx.nets.layer import STATISTICS
from dlx.nets.mlp import logits
from dlx.nets.rectified import Dropout, Rectified, training_logits
from dlx.train import Report, fit, gradient, renewing
from dlx.types import Stage


def train_rectified(
    net: Rectified,
    optimizer: optax.GradientTransformation,
    *,
    epochs: int,
    batch_size: int,
    patience: int,
    dropout: Dropout | None = None,
    report: Report | None = None,
) -> Stage:
    """Train all layers on the labels; return the best epoch by validation error.

    The validation error is that of the net in use: nothing is dropped, and running statistics normalise.
    """
    loss = supervised.training_cross_entropy(partial(training_logits, net, dropout=dropout))
    return fit(
        renewing(STATISTICS, loss, optimizer) if net.normalised else gradient(loss, optimizer),
        supervised.misclassified(partial(logits, net)),
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        report=report,
    )
