"""Recurrent nets over sequences: simple, GRU and LSTM cells, in one direction or both, in one layer or several.

With h_t the state after step t, and all products with weights written out by flax:

    simple  h_t = tanh(W x_t + U h_{t-1} + b)                                            (Elman 1990)
    GRU     h_t = (1 - z) n + z h_{t-1},  n = tanh(W x_t + b + r (U h_{t-1} + c))        (Cho et al. 2014)
    LSTM    c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)                                    (Gers et al. 2000)

with gates r, z, i, f, o in (0, 1). A net of both directions has a second set of cells that reads from the end (Schuster
& Paliwal 1997); in a deep one each layer reads the states of both (Graves & Schmidhuber 2005). Lectures: CMU 10-601B
16, "Outline"; Alpaydin 12, "Recurrent Networks", "Long Short-Term Memory", "Gated Recurrent Unit".
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, Shaped

from dlx.nets.layer import INITIALIZERS, as_float, check_name, check_positive, check_widths
from dlx.nets.module import Affine, model
from dlx.types import Key, Model, Params, Rate, Sequences

Lengths = Int[Array | np.ndarray, " n"]
READOUTS = ("end", "steps")
"""Where a net has its outputs: one after the whole sequence, or one at each step."""


def gate(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logistic sigmoid, by way of tanh, which CPUs compute faster."""
    return 0.5 * jnp.tanh(0.5 * u) + 0.5


CELLS: Mapping[str, Callable[..., nn.RNNCellBase]] = {
    "simple": nn.SimpleCell,
    "gru": partial(nn.GRUCell, gate_fn=gate),
    "lstm": partial(nn.OptimizedLSTMCell, gate_fn=gate),
}
"""Cells by name, made from `features`, the width."""
KEEPING: Mapping[str, str] = {"gru": "iz", "lstm": "hf"}
"""The gate of a cell that lets its state stay, under the name of its bias in flax."""


def recurrent(
    cell: str,
    widths: tuple[int, ...],
    outputs: int = 10,
    *,
    both: bool = False,
    readout: str = "end",
    vocabulary: int | None = None,
    embedding: int = 16,
    keep: Rate = 0.0,
) -> Model:
    """A net from sequences to [n, outputs], or with the readout "steps" to [n, steps, outputs].

    It takes arrays [n, steps, features], or `Sequences` of several lengths. With a vocabulary it takes tokens
    [n, steps] and gives each a vector of `embedding` numbers. The layers have the widths, and `both` directions each
    if so said. At the end, the output is that of the last state, and of the state of the other direction at the first
    step. `keep` is what the bias of the gate that keeps the state starts from; it may be traced.

    Its parameters are those of the cells `forward_0`, `backward_0`, ..., `output` {w, b}, and `embedding`.

    Raises ValueError for an unknown cell or readout, or if a size is less than 1; at the start, for other inputs.
    """
    check_name(cell, CELLS)
    check_name(readout, READOUTS)
    check_widths(widths)
    check_positive(layers=len(widths), outputs=outputs, embedding=embedding)
    net = of_sequences(model(Recurrent(cell, widths, outputs, both, readout, vocabulary, embedding)), vocabulary)
    return net._replace(init=keeping(cell, net.init, keep))


class Recurrent(nn.Module):
    """The net that `recurrent` makes."""

    cell: str
    widths: tuple[int, ...]
    outputs: int
    both: bool
    readout: str
    vocabulary: int | None
    embedding: int

    @nn.compact
    def __call__(self, x: Any) -> Float[Array, "n *steps outputs"]:
        """The outputs for sequences."""
        values, lengths = inputs(x, self.vocabulary, self.embedding)
        states = []
        for i, width in enumerate(self.widths):
            make = partial(CELLS[self.cell], features=width)
            states = [states_of(make(name=f"forward_{i}"), values, lengths)]
            if self.both:
                states.append(states_of(make(name=f"backward_{i}"), values, lengths, reverse=True))
            values = jnp.concatenate(states, -1)
        if self.readout == "end":
            forward, *backward = states
            values = jnp.concatenate([last(forward, lengths), *(state[:, 0] for state in backward)], -1)
        return Affine(self.outputs, INITIALIZERS["fan"], name="output")(values)


def inputs(x: Any, vocabulary: int | None, embedding: int) -> tuple[Float[Array, "n steps _"], Lengths | None]:
    """What cells read, and the lengths if there are several. For use in a module: it may make an `embedding`."""
    values, lengths = (x.values, x.lengths) if isinstance(x, Sequences) else (x, None)
    if vocabulary is None:
        return as_float(values), lengths
    return nn.Embed(vocabulary, embedding, name="embedding")(values), lengths


def states_of(
    cell: nn.RNNCellBase,
    values: Float[Array, "n steps features"],
    lengths: Lengths | None,
    reverse: bool = False,
) -> Float[Array, "n steps width"]:
    """The state after each step, in the order of the steps. With `reverse` the cell reads from the end of each."""
    run = nn.RNN(cell, reverse=reverse, keep_order=True)
    return cast(Array, run(values, initial_carry=blank(cell, values), seq_lengths=lengths))


def blank(cell: nn.RNNCellBase, values: Float[Array, "n steps features"]) -> Any:
    """The zeros that a cell starts from, in the dtype of the values."""
    zeros = cell.initialize_carry(jax.random.key(0), values[:, 0].shape)
    return jax.tree.map(lambda leaf: leaf.astype(values.dtype), zeros)


def last(values: Shaped[Array, "n steps *shape"], lengths: Lengths | None) -> Shaped[Array, "n *shape"]:
    """The value at the end of each sequence."""
    return values[:, -1] if lengths is None else values[jnp.arange(len(values)), lengths - 1]


def of_sequences(net: Model, vocabulary: int | None) -> Model:
    """The net, with an `init` that raises ValueError for an example that is no sequence of what it reads."""
    kind, axes = ("tokens [steps]", 1) if vocabulary else ("sequences [steps, features]", 2)

    def init(key, x):
        values = x.values if isinstance(x, Sequences) else x
        if (shape := jnp.shape(values)) == () or len(shape) != axes or 0 in shape:
            raise ValueError(f"the net takes {kind}, and an input has the shape {shape}")
        if vocabulary and not jnp.issubdtype(values.dtype, jnp.integer):
            raise ValueError(f"tokens are integers from 0 to {vocabulary - 1}, not of the dtype {values.dtype}")
        return net.init(key, x)

    return net._replace(init=init)


def keeping(cell: str, init: Callable[[Key, Any], Params], keep: Rate) -> Callable[[Key, Any], Params]:
    """The `init` with `keep` added to the bias of each gate that lets a state stay. A simple cell has no gate."""

    def moved(path, leaf):
        return leaf + keep if [step.key for step in path[-2:]] == [KEEPING.get(cell), "bias"] else leaf

    return lambda key, x: jax.tree_util.tree_map_with_path(moved, init(key, x))


def in_rows(net: Model, rows: int) -> Model:
    """The net, of vectors [n, rows x columns] that it reads row by row."""

    def read(x, axes):
        return x.reshape(*x.shape[:axes], rows, -1)

    return Model(
        lambda key, x: net.init(key, read(x, 0)),
        lambda params, x: net.apply(params, read(x, 1)),
        lambda params, key, x: net.train(params, key, read(x, 1)),
    )
