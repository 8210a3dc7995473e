"""The vocabulary: data, and the four function shapes, each made from the one before.

A `Loss` is differentiated by an `Algorithm`, whose steps a `Stage` repeats; stages chain into a training procedure.
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
"""Scalars, and what `dlx.train.renewing` puts in the place of an entry of the parameters."""


class Split(NamedTuple):
    """Examples: inputs `x`, as uint8 intensities or float32, and class labels `y`."""

    x: Shaped[Array, "n *shape"]
    y: Int[Array, " n"]


class Data(NamedTuple):
    """The three splits: parameters are fitted to `train`, choices made on `valid`, and `test` is only reported."""

    train: Split
    valid: Split
    test: Split


class Algorithm(NamedTuple):
    """One update rule. Every state has a field `params`."""

    init: Callable[[Params], Any]
    step: Callable[[Key, Any, Split], tuple[Any, Metrics]]


Loss = Callable[[Params, Key, Split], tuple[Scalar, Metrics]]
"""Mean over a batch, differentiated in its first argument."""
Score = Callable[[Params, Split], Float[Array, " n"]]
"""One value an example; lower is better; deterministic."""
Stage = Callable[[Key, Params, Data], tuple[Params, Log]]
"""One training phase. The parameters come back with the structure, shapes and dtypes they had."""
