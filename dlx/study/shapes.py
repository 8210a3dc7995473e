"""The programs of a page, by the shapes of their arguments. Nothing is trained."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from dlx.data import Dataset
from dlx.study.command import rows_and_search
from dlx.study.page import Study
from dlx.study.plan import foresee
from dlx.study.record import kind, one_run
from dlx.unit import Kept, Result, Unit


def unwatched(stage, *, epochs, percent=True):
    """It takes the place of a progress display, and shows nothing."""


class Planned(NamedTuple):
    """The programs of a page with a preset."""

    about: dict[str, Dataset]
    units: list[Unit]
    """One of each program, each after those that it stands on."""
    runs: list[int]
    """How many units of each program the page asks for, if no run of a search fails."""


def planned(study: Study, preset: str, seeds: int | None = 1) -> Planned:
    """One unit of each program of a page. If `seeds` is None, the page says how many fresh seeds there are.

    With the preset `paper` blank images take the place of MNIST.
    """
    options = study.options(preset=preset)  # ty: ignore[invalid-argument-type]
    try:
        about = dict(study.datasets(replace(options, data="blank") if preset == "paper" else options))
    except ValueError:  # the page makes its own data
        about = dict(study.datasets(options))
    rows, search = rows_and_search(study, options, about)
    ends = foresee(rows, lambda unit: None, seeds or options.fresh_seeds(), search)
    units = list(dict.fromkeys(link for unit in ends for link in unit.lineage))
    alike: dict[Any, list[Unit]] = {}
    for unit in units:
        alike.setdefault(program(unit), []).append(unit)
    return Planned(about, [some[0] for some in alike.values()], [len(some) for some in alike.values()])


def program(unit: Unit) -> Any:
    """What the units of one compiled program share. A blind unit differs only in its data."""
    return kind(unit)[:-1] if not unit.given else (kind(unit)[0], tuple(map(program, unit.given)), unit.data)


class Shapes:
    """The shapes of what the units of a page take and return. A program is traced once for arguments of one shape."""

    def __init__(self, about: dict[str, Dataset]):
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
