"""How large a net is, and what an example costs: what to look at first where a net errs too much or is too slow.

Lecture on feed-forward nets, "When it does not work".
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import jax

from dlx.types import Params

TRAINING = 3
"""A training step costs so many forward passes: gradients of the weights and of the units cost one more each."""


class Counts(NamedTuple):
    """The size of a net."""

    parameters: int
    """Numbers that the parameters hold."""
    forward: int
    """FLOPs of the net in use: a multiplication with its addition counts as two."""

    @property
    def training(self) -> int:
        """FLOPs of a training step on the same examples: of a plain net 6 a connection, the field's convention."""
        return TRAINING * self.forward


def parameter_count(params: Params) -> int:
    """How many numbers the parameters hold, arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def count(apply: Callable[[Params, Any], Any], params: Params, x: Any) -> Counts:
    """Count the parameters of a net, and the FLOPs of `apply(params, x)`, from shapes alone: nothing is computed.

    Matrix products and convolutions count, in loops as often as they run; other operations do not, nor what a loop
    does whose end is not known beforehand. Where platforms have code of their own, the code that is for all others
    counts, so that a convolution costs the same everywhere. To count FLOPs an example, give one example.
    """
    return Counts(parameter_count(params), _flops(jax.make_jaxpr(apply)(params, x).jaxpr))


def _flops(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += 2 * prod(equation.outvars[0].aval.shape) * prod(shape[i] for i in contracted)
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            outputs = kernel[parameters["dimension_numbers"].rhs_spec[0]]
            total += 2 * prod(equation.outvars[0].aval.shape) * prod(kernel) // outputs
        elif name == "cond":
            costs = [_flops(branch.jaxpr) for branch in parameters["branches"]]
            total += costs[-1] if parameters.get("branches_platforms") else max(costs)
        elif name != "while":
            inner = sum(_flops(one) for value in parameters.values() for one in _jaxprs(value))
            total += parameters.get("length", 1) * inner if name == "scan" else inner
    return total


def _jaxprs(value: Any) -> list[Any]:
    if hasattr(value, "jaxpr"):
        return [value.jaxpr]
    return [value] if hasattr(value, "eqns") else []
