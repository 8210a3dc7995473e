"""A hash of what a traced function computes, which refactoring does not change."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend import core


def digest(closed: core.ClosedJaxpr) -> str:
    """A hash of the operations, their order, shapes and constants. Names of functions and variables are not in it.

    The same program has the same hash in every process with the same version of JAX.
    """
    known: dict[int, str] = {}

    def of_jaxpr(jaxpr: Any) -> str:
        if id(jaxpr) not in known:
            known[id(jaxpr)] = _hash("\n".join(_lines(jaxpr, said)))
        return known[id(jaxpr)]

    def said(value: Any) -> str:
        """A parameter of an operation, in words that are the same in every process."""
        if isinstance(value, core.ClosedJaxpr):
            return of_jaxpr(value.jaxpr) + "".join(map(said, value.consts))
        if isinstance(value, core.Jaxpr):
            return of_jaxpr(value)
        if isinstance(value, tuple | list):
            return f"({', '.join(map(said, value))})"
        if isinstance(value, frozenset | set):
            return f"{{{', '.join(sorted(map(said, value)))}}}"
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return _array(value)
        if callable(value) and not isinstance(value, type):
            return "a function"
        return re.sub(r" at 0x[0-9a-f]+", "", repr(value))

    return said(closed)


def _lines(jaxpr: Any, said: Callable[[Any], str]) -> list[str]:
    numbers: dict[Any, int] = {}

    def named(variable: Any) -> str:
        if isinstance(variable, core.Literal):
            return f"{said(variable.val)}:{variable.aval}"
        return f"{numbers.setdefault(variable, len(numbers))}:{variable.aval}"

    def line(equation: Any) -> str:
        params = [f"{key}={said(value)}" for key, value in sorted(equation.params.items()) if key != "name"]
        places = [" ".join(map(named, variables)) for variables in (equation.invars, equation.outvars)]
        return f"{places[1]} = {equation.primitive}[{' '.join(params)}] {places[0]}"

    ends = [" ".join(map(named, variables)) for variables in (jaxpr.constvars, jaxpr.invars)]
    return [*ends, *map(line, jaxpr.eqns), " ".join(map(named, jaxpr.outvars))]


def _array(value: Any) -> str:
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    return f"{array.dtype}{array.shape}{_hash(array.tobytes())}"


def _hash(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
