"""The vocabulary: data, nets, and the few function shapes, each made from the one before.

A `Loss` is differentiated by an `Algorithm`. A `Stage` repeats its steps on the batches of a `Feed`. Stages chain into
a training procedure.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

Key = PRNGKeyArray
Params = Any
"""A pytree of arrays. A layer is `{w, b, c}`: weights [in, out], hidden bias [out], visible bias [in]."""
Log = Any
"""A pytree of arrays: what a stage tells its reader."""
Scalar = Float[Array, ""]
Rate = float | Scalar
"""A float hyper-parameter, traced where a search varies it within one program."""
Metrics = Mapping[str, Any]
"""Scalars by name; under `CARRIED` a loss hands on what a net carries."""
CARRIED = "carried"
Split = Any
"""A pytree of arrays with one leading axis, over examples: `Labelled`, tokens with their lengths, pairs, trees."""
Batch = Any
"""Some examples of a split, or what stands for them."""
State = Any
"""What an algorithm changes step by step. It has a field `params`."""


class Labelled(NamedTuple):
    """Examples: inputs `x`, as uint8 intensities or float32, and class labels `y`."""

    x: Shaped[Array, "n *shape"]
    y: Int[Array, " n"]


class Data(NamedTuple):
    """The three splits: parameters are fitted to `train`, choices made on `valid`, and `test` is only reported."""

    train: Split
    valid: Split
    test: Split


class Model(NamedTuple):
    """A net. Inputs come as the data hold them: what is deterministic, such as pixels to floats, is done within."""

    init: Callable[[Key, Any], Params]
    """Fresh parameters, from the input of one example, without a batch axis: its shape and dtype are what counts."""
    apply: Callable[[Params, Any], Any]
    """The output [n, ...] of the net in use for inputs [n, ...]."""
    train: Callable[[Params, Key, Any], tuple[Any, Mapping[str, Params]]]
    """The output as in training, and what is carried: new values of entries of the parameters, without a gradient."""


Review = Callable[[State, Scalar], State]
"""What is done to the state after every epoch, by its score."""


def keep(state: State, score: Scalar) -> State:
    """The review that changes nothing."""
    del score
    return state


class Algorithm(NamedTuple):
    """One update rule."""

    init: Callable[[Key, Params], State]
    step: Callable[[Key, State, Batch], tuple[State, Metrics]]
    review: Review = keep


Loss = Callable[[Params, Key, Batch], tuple[Scalar, Metrics]]
"""Mean over a batch, differentiated in its first argument."""
PerExample = Callable[[Params, Split], Float[Array, " n"]]
"""One value an example; lower is better; deterministic."""
Score = Callable[[Params, Data], Scalar]
"""What choices are made by; lower is better; deterministic. `dlx.train.valid` makes one of a `PerExample`."""
Feed = Callable[[Key, Split], tuple[Any, Callable[[Key, Any], Batch]]]
"""One epoch, from a key and the training split: xs with a leading axis over steps, and what makes a batch of an x."""
Stage = Callable[[Key, Params, Data], tuple[Params, Log]]
"""One training phase. The parameters come back with the structure, shapes and dtypes they had."""
