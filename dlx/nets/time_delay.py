"""The time-delay net: feed-forward layers with shared weights that see only a window of steps (Waibel et al. 1989).

Lecture Alpaydin 12, "Time-Delay Neural Networks".
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from dlx.nets.layer import INITIALIZERS, TANH, Units, check_name, check_positive, check_widths
from dlx.nets.mlp import hidden
from dlx.nets.module import Affine, model
from dlx.nets.recurrent import READOUTS, inputs, last, of_sequences
from dlx.types import Model


def time_delay(
    window: int,
    widths: tuple[int, ...],
    outputs: int = 10,
    *,
    readout: str = "end",
    units: Units = TANH,
    vocabulary: int | None = None,
    embedding: int = 16,
) -> Model:
    """A net as `dlx.nets.recurrent.recurrent` makes, of layers that see `window` steps of the layer below.

    A unit sees the step itself and those before it; before the first step stand zeros. So an output depends on no more
    than the last `reach(window, layers)` steps. Parameters are `hidden_0`, ..., `output`, each {w, b}, and `embedding`.

    Raises ValueError for an unknown readout, or if a size is less than 1; at the start, for other inputs.
    """
    check_name(readout, READOUTS)
    check_widths(widths)
    check_positive(window=window, layers=len(widths), outputs=outputs, embedding=embedding)
    return of_sequences(model(TimeDelay(window, widths, outputs, readout, units, vocabulary, embedding)), vocabulary)


def reach(window: int, layers: int = 1) -> int:
    """How many steps an output of a time-delay net can depend on."""
    return layers * (window - 1) + 1


class TimeDelay(nn.Module):
    """The net that `time_delay` makes."""

    window: int
    widths: tuple[int, ...]
    outputs: int
    readout: str
    units: Units
    vocabulary: int | None
    embedding: int

    @nn.compact
    def __call__(self, x: Any) -> Float[Array, "n *steps outputs"]:
        """The outputs for sequences."""
        values, lengths = inputs(x, self.vocabulary, self.embedding)
        for i, width in enumerate(self.widths):
            layer = Affine(width, INITIALIZERS["fan"], name=hidden(i))
            values = self.units.mean(layer(delayed(values, self.window)))
        values = last(values, lengths) if self.readout == "end" else values
        return Affine(self.outputs, INITIALIZERS["fan"], name="output")(values)


def delayed(values: Float[Array, "n steps features"], window: int) -> Float[Array, "n steps _"]:
    """The last `window` values up to each step, side by side, the oldest first; zeros before the first step."""
    steps = values.shape[1]
    padded = jnp.pad(values, ((0, 0), (window - 1, 0), (0, 0)))
    return jnp.concatenate([padded[:, i : i + steps] for i in range(window)], -1)
