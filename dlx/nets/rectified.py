"""Multi-layer perceptrons as they are made after 2006: rectified linear units, dropout, batch normalisation.

Weights are drawn from N(0, 2 / fan-in), cut off at two standard deviations and rescaled, which keeps the mean square of
the pre-activations from layer to layer (He et al. 2015, equation 10). Lectures: Alpaydin 12, "Rectified Linear Unit
(ReLU)", "Batch Normalization", "Regularization: Dropout"; CS/CNS/EE 155 16, "Dropout".
"""

from typing import cast

import jax
from flax import linen as nn
from jax.nn.initializers import he_normal
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import as_float, check_positive, check_widths
from dlx.nets.module import STATISTICS, Affine, model, of_vectors, variables
from dlx.nets.noise import SILENT, Noise
from dlx.types import Key, Model

DECAY = 0.95
"""Of the running statistics, a batch: a mean over about 20 batches, which has left its start behind after 100."""


class Rectified(nn.Module):
    """Layers `hidden_0`, `hidden_1`, ... of the given widths, then `output` with one logit a class.

    If `normalised`, `norm_0`, ... stand between each hidden layer's affine map and its rectifier, with a `scale` and a
    `bias` a unit; the affine map has none then (Ioffe & Szegedy 2015, algorithm 1 and section 3.2). Running `mean` and
    `var` are in the entry `batch_stats` of the parameters, in place of the paper's pass over the training set (its
    algorithm 2), so that there is a validation score after every epoch; `var` lacks the paper's factor m / (m - 1).
    `dlx.nets.normalised` says how it differs from the batch normalisation there.
    """

    widths: tuple[int, ...]
    classes: int
    normalised: bool

    def setup(self):
        """Layers in the order of the data's way through them."""
        self.hidden = [Affine(width, he_normal(), biased=not self.normalised) for width in self.widths]
        self.norm = [nn.BatchNorm(momentum=DECAY) for _ in self.widths if self.normalised]
        self.output = Affine(self.classes, he_normal())

    def __call__(
        self, x: Shaped[Array, "*n visible"], key: Key | None = None, noise: Noise = SILENT
    ) -> Float[Array, "*n classes"]:
        """Logits of the classes: with a key as in training, by the statistics of the batch and with noise on values."""

        def noisy(i, x):
            return x if key is None else noise.values(key, i, x)

        x = as_float(x)
        for i, layer in enumerate(self.hidden):
            x = layer(noisy(i, x))
            if self.normalised:
                x = self.norm[i](x, use_running_average=key is None)
            x = jax.nn.relu(x)
        return self.output(noisy(len(self.widths), x))


def rectified(widths: tuple[int, ...], classes: int = 10, *, normalised: bool = False, noise: Noise = SILENT) -> Model:
    """A `Rectified` net from inputs [n, visible], pixels or floats, to logits [n, classes].

    In training there is noise on inputs and hidden values, and where `normalised` the running statistics are carried.

    Raises ValueError for noise on weights, or as `dlx.nets.mlp.mlp` does.
    """
    check_positive(classes=classes)
    check_widths(widths)
    if noise.weights:
        raise ValueError("a rectified net has noise on inputs and hidden values only; dlx.nets.mlp has it on weights")
    net = Rectified(widths, classes, normalised)

    def train(params, key, x):
        outputs, renewed = cast(tuple, net.apply(variables(params), x, key, noise, mutable=[STATISTICS]))
        return outputs, dict(renewed) if normalised else {}

    return of_vectors(model(net)._replace(train=train))
