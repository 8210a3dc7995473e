"""Every page of `experiments`, and what each comes to."""

import importlib
from functools import cache

from dlx.study import planned as planning
from dlx.study.page import Study
from experiments.__main__ import pages as documented


@cache
def studies() -> dict[str, Study]:
    """The pages by name."""
    modules = {name: importlib.import_module(f"experiments.{name}") for name in documented()}
    return {name: module.STUDY for name, module in modules.items() if hasattr(module, "STUDY")}


@cache
def planned(name: str, preset: str) -> planning.Planned:
    """One unit of every distinct program of a page, on blank data."""
    return planning.planned(studies()[name], preset)
