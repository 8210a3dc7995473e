"""Every page of `experiments`, and what each comes to."""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from dlx.bench import planned as planning
from dlx.study.declare.page import Study
from experiments.__main__ import pages as documented

CLASSES = 13
"""No page has this number anywhere."""


@cache
def studies() -> dict[str, Study]:
    """The pages by name."""
    modules = {name: importlib.import_module(f"experiments.{name}") for name in documented()}
    return {name: module.STUDY for name, module in modules.items() if hasattr(module, "STUDY")}


@cache
def planned(name: str, preset: str) -> planning.Planned:
    """One unit of every distinct program of a page, on blank data, which have `CLASSES` in place of ten classes."""
    study = studies()[name]
    loaders = study.data if isinstance(study.data, Mapping) else {"main": study.data}

    def more(load):
        def loaded(options):
            dataset = load(options)
            return dataset._replace(classes=CLASSES) if dataset.classes == 10 else dataset

        return loaded

    return planning.planned(replace(study, data={key: more(load) for key, load in loaders.items()}), preset)
