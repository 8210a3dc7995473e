"""The programs of a page: one unit of each, on blank data. Nothing is trained."""

from dataclasses import replace
from typing import Any, NamedTuple

from dlx.data import Dataset
from dlx.study.command import rows_and_search
from dlx.study.declare.page import Study
from dlx.study.run.plan import foresee
from dlx.unit import Unit


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
        alike.setdefault(unit.blinded().kind, []).append(unit)
    return Planned(about, [some[0] for some in alike.values()], [len(some) for some in alike.values()])
