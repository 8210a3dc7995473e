"""The vocabulary: data, nets, and the few function shapes, each made from the one before.

An `Algorithm` differentiates a `Loss`. A `Stage` repeats the algorithm's steps on the batches of a `Feed`. Stages chain
into a training procedure.

A *step* is one update, on one *batch*. A *minibatch* is a batch of examples from the data. A *pass* takes each training
example once. An *epoch* is the steps from one score to the next: one pass, unless the feed says otherwise. A net has
*parameters*; its *weights* are the matrices among them. The *loss* is what steps make small. The *score* chooses among
epochs and among trials. The *error* is the fraction of wrongly classified examples.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

Key = PRNGKeyArray
Params = Any
"""A pytree of arrays. A layer is `{w, b, c}`: weights [in, out], hidden bias [out], visible bias [in]."""
Log = Any
"""A pytree of arrays: what happened in a stage, such as a `dlx.train.Curve`."""
Scalar = Float[Array, ""]
Rate = float | Scalar
"""A float hyper-parameter, traced where a search varies it within one program."""
Metrics = Mapping[str, Any]
"""Scalars by name. Under `CARRIED` a loss passes on what a net carries, see `Model.train`."""
CARRIED = "carried"
Split = Any
"""Examples: a NamedTuple with inputs `x` and, where there are labels, `y`.

Each may be any pytree of arrays, all with one leading axis, over examples: pixels, tokens with lengths, pairs."""
Batch = Any
"""Some examples of a split, or what a feed generates in their place."""
State = Any
"""What an algorithm changes step by step. It has a field `params`."""


class Labelled(NamedTuple):
    """Examples: inputs `x`, as uint8 intensities or float32, and class labels `y`."""

    x: Shaped[Array, "n *shape"]
    y: Int[Array, " n"]


class Sequences(NamedTuple):
    """Sequences of their own lengths, at least 1. What stands behind the end of one is padding, and counts nowhere."""

    values: Shaped[Array, "n steps *shape"]
    """Numbers, or tokens: integers from 0."""
    lengths: Int[Array, " n"]


class Pairs(NamedTuple):
    """What an encoder and a decoder read: a source, and before each token of the answer the token that precedes it."""

    source: Sequences
    before: Int[Array, "n steps"]


class Trees(NamedTuple):
    """Binary trees over words. Of at most `most` words, the words are the nodes 0 to most - 1, in their order.

    The inner nodes are most, most + 1, ..., each after its children; there are as many as words, less one. The last
    of them is the root. Behind it stand pairs (0, 0).
    """

    words: Sequences
    children: Int[Array, "n inner 2"]


END = 0
"""The token that ends an answer. It also stands before the first token."""
UNLABELLED = -1
"""The label of what has none, such as padding."""


class Data(NamedTuple):
    """The three splits. Parameters are fitted to `train`; choices are made on `valid`; `test` is only reported."""

    train: Split
    valid: Split
    test: Split


class Model(NamedTuple):
    """A net. It takes inputs as the data hold them. What is deterministic is part of it, such as pixels to floats."""

    init: Callable[[Key, Any], Params]
    """Fresh parameters. The input of one example, without a batch axis, gives the shape and the dtype."""
    apply: Callable[[Params, Any], Any]
    """The output [n, ...] of the net in use for inputs [n, ...]."""
    train: Callable[[Params, Key, Any], tuple[Any, Mapping[str, Params]]]
    """The output in training, and what is carried: by name, new values for entries that get no gradient."""


Review = Callable[[State, Scalar], State]
"""Changes the state after every epoch, given the epoch's score."""


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
"""One value per example; lower is better; deterministic."""
Score = Callable[[Params, Data], Scalar]
"""A number to choose by; lower is better; deterministic. `dlx.train.valid` makes one from a `PerExample`."""
Feed = Callable[[Key, Split], tuple[Any, Callable[[Key, Any], Batch]]]
"""The batches of one epoch, from a key and the training split.

It returns xs, whose leading axis is over steps, and what makes a batch from a key and one x."""
Stage = Callable[[Key, Params, Data], tuple[Params, Log]]
"""One training phase. It returns parameters of the same structure, shapes and dtypes, and a log."""
