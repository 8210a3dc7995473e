"""Programs, traced from the shapes of their arguments. Nothing is trained."""

from typing import Any

import jax
import numpy as np

from dlx.study.declare.page import About
from dlx.study.run.record import kind, one_run
from dlx.unit import Kept, Result, Unit


def unwatched(stage, *, epochs, percent=True):
    """It takes the place of a progress display, and shows nothing."""


def program(unit: Unit) -> Any:
    """What the units of one compiled program share. A blind unit differs only in its data."""
    return kind(unit)[:-1] if not unit.given else (kind(unit)[0], tuple(map(program, unit.given)), unit.data)


class Shapes:
    """The shapes of what the units of a page take and return. A program is traced once for arguments of one shape."""

    def __init__(self, about: About):
        self.about = about
        self._traced: dict[Any, jax.stages.Traced] = {}

    def arguments(self, unit: Unit) -> tuple[Any, tuple[Any, Any], Any]:
        """The key, (hypers, given) and data of one run."""
        data = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self.about[unit.data].data)
        hypers = jax.tree.map(lambda value: jax.ShapeDtypeStruct((), np.float32), unit.hypers)
        given = tuple(self.outcome(other)[0] for other in unit.given)
        return jax.eval_shape(lambda: jax.random.key(0)), (hypers, given), data

    def traced(self, unit: Unit) -> jax.stages.Traced:
        """One run of a program, traced from the shapes of its arguments."""
        key = program(unit)
        if key not in self._traced:
            taken = self.arguments(unit)
            leaves, structure = jax.tree.flatten(taken)
            alike = unit.program, tuple(leaves), structure
            if alike not in self._traced:
                self._traced[alike] = jax.jit(one_run(unit.program, unwatched)).trace(*taken)
            self._traced[key] = self._traced[alike]
        return self._traced[key]

    def outcome(self, unit: Unit) -> tuple[Kept, Result]:
        """What one run keeps, and its result."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self.traced(unit).out_info)
