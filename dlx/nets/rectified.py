"""Multi-layer perceptrons as they are made after 2006: rectified linear units, dropout, batch normalisation.

Weights are drawn from N(0, 2 / fan-in), cut off at two standard deviations and rescaled, which keeps the mean square of
the pre-activations from layer to layer (He et al. 2015, equation 10). Lectures: Alpaydin 12, "Rectified Linear Unit
(ReLU)", "Batch Normalization", "Regularization: Dropout"; CS/CNS/EE 155 16, "Dropout".
"""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import he_normal
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import as_float
from dlx.nets.module import STATISTICS, Affine, model, variables
from dlx.types import Key, Model, Rate

DECAY = 0.95
"""Of the running statistics, a batch: a mean over about 20 batches, which has left its start behind after 100."""


class Dropout(NamedTuple):
    """Probabilities of being dropped, by default those of Srivastava et al. 2014 on MNIST (appendix B.1)."""

    inputs: Rate = 0.2
    hidden: Rate = 0.5


def drop(key: Key, rate: Rate, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Each element set to 0 with probability `rate` and else divided by 1 - rate, so that x is the expectation.

    Scaled so in training, nothing is scaled at test time (Srivastava et al. 2014, section 10).

    Raises ValueError if the rate is a number outside [0, 1).
    """
    if isinstance(rate, int | float) and not 0 <= rate < 1:
        raise ValueError(f"a dropout rate must be at least 0 and less than 1, not {rate}")
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


class Rectified(nn.Module):
    """Layers `hidden_0`, `hidden_1`, ... of the given widths, then `output` with one logit a class.

    If `normalised`, `norm_0`, ... stand between each hidden layer's affine map and its rectifier, with a `scale` and a
    `bias` a unit; the affine map has none then (Ioffe & Szegedy 2015, algorithm 1 and section 3.2). Running `mean` and
    `var` are in the entry `batch_stats` of the parameters, in place of the paper's pass over the training set (its
    algorithm 2), so that there is a validation score after every epoch; `var` lacks the paper's factor m / (m - 1).
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
        self, x: Shaped[Array, "*n visible"], key: Key | None = None, dropout: Dropout | None = None
    ) -> Float[Array, "*n classes"]:
        """Logits of the classes: with a key as in training, by the statistics of the batch and with dropout."""

        def dropped(i, x):
            if key is None or dropout is None:
                return x
            return drop(jax.random.fold_in(key, i), dropout.hidden if i else dropout.inputs, x)

        x = as_float(x)
        for i, layer in enumerate(self.hidden):
            x = layer(dropped(i, x))
            if self.normalised:
                x = self.norm[i](x, use_running_average=key is None)
            x = jax.nn.relu(x)
        return self.output(dropped(len(self.widths), x))


def rectified(
    widths: tuple[int, ...], classes: int = 10, *, normalised: bool = False, dropout: Dropout | None = None
) -> Model:
    """A `Rectified` net from inputs [n, visible], pixels or floats, to logits [n, classes].

    In training units are dropped where `dropout` is given, and where `normalised` the running statistics are carried.

    Raises ValueError, in training, if a dropout rate is a number outside [0, 1).
    """
    net = Rectified(widths, classes, normalised)

    def train(params, key, x):
        outputs, renewed = cast(tuple, net.apply(variables(params), x, key, dropout, mutable=[STATISTICS]))
        return outputs, dict(renewed) if normalised else {}

    return model(net)._replace(train=train)
