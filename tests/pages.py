"""Every page of `experiments`, the units that it comes to, and its programs, without training anything."""

import importlib
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np

from dlx.data import Dataset, Provenance
from dlx.study import datasets
from dlx.study.command import rows_and_search
from dlx.study.page import Study
from dlx.study.plan import foresee
from dlx.study.record import kind, one_run
from dlx.types import Data, Labelled
from dlx.unit import Unit
from experiments.__main__ import pages as documented

SHAPES = {"digits": (8, 8), "mnist": (28, 28), "fashion_mnist": (28, 28), "kmnist": (28, 28)}


def unwatched(stage, *, epochs, percent=True):
    """In the place of a progress display."""


def blank(name: str) -> Dataset:
    """In the place of `dlx.data.read`: a data set of the right shapes, whose arrays take no memory."""
    sizes = (1197, 300, 300) if name == "digits" else (50_000, 10_000, 10_000)

    def split(n: int) -> Labelled:
        return Labelled(np.broadcast_to(np.uint8(0), (n, *SHAPES[name])), np.broadcast_to(np.int32(0), (n,)))

    return Dataset(Data(*map(split, sizes)), Provenance(name, "idx", "unrecognised", f"blank {name}"), SHAPES[name], 10)


@cache
def studies() -> dict[str, Study]:
    """The pages by name."""
    modules = {name: importlib.import_module(f"experiments.{name}") for name in documented()}
    return {name: module.STUDY for name, module in modules.items() if hasattr(module, "STUDY")}


class Planned(NamedTuple):
    """What a page comes to with a preset."""

    about: dict[str, Dataset]
    units: list[Unit]
    """One of each program, each after those that it stands on."""


@cache
def planned(name: str, preset: str) -> Planned:
    """One unit of every distinct program of a page, on blank data."""
    study = studies()[name]
    options = study.options(preset=preset)  # ty: ignore[invalid-argument-type]
    before, datasets.read = datasets.read, blank
    try:
        about = dict(study.datasets(options))
    finally:
        datasets.read = before
    rows, search = rows_and_search(study, options, about)
    ends = foresee(rows, lambda unit: None, 1, search)
    units = dict.fromkeys(link for unit in ends for link in unit.lineage)
    return Planned(about, list({program(unit): unit for unit in reversed(units)}.values())[::-1])


def program(unit: Unit) -> Any:
    """What units share that are runs of one compiled program; a blind unit differs in its data alone."""
    return kind(unit)[:-1] if not unit.given else (kind(unit)[0], tuple(map(program, unit.given)), unit.data)


def shapes(unit: Unit, about: dict[str, Dataset], known: dict[Any, Any]) -> Any:
    """What the unit keeps and its result, as shapes; `known` is filled with those of the units that it stands on."""
    if program(unit) not in known:
        given = tuple(shapes(other, about, known)[0] for other in unit.given)
        hypers = jax.tree.map(lambda value: jax.ShapeDtypeStruct((), np.float32), unit.hypers)
        data = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), about[unit.data].data)
        key = jax.eval_shape(lambda: jax.random.key(0))
        known[program(unit)] = jax.eval_shape(one_run(unit.program, unwatched), key, (hypers, given), data)
    return known[program(unit)]
