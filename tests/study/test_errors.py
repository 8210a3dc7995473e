"""What dlx says of bad input is one line; what a page, a program or a library raises keeps its traceback."""

import json
import re
import traceback
from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest
from synthetic import dataset, row

from dlx.data import DataError
from dlx.nets.mlp import mlp
from dlx.study import Result, Study, Unit, command
from dlx.study.declare.page import Row


@dataclass(frozen=True)
class Faulty:
    host: bool
    fault: str

    def __call__(self, key, hypers, given, data, progress):
        return {}, Result(fault(self.fault))


def fault(kind):
    if kind == "library":
        np.zeros(3).reshape(2, 2)
    if kind == "data":
        raise DataError("there is no such file")
    if kind == "json":
        json.loads("{")
    if kind == "own":
        raise ValueError("mine")
    if kind == "dlx":
        mlp((0,))
    return int("x")


STUDY = Study("A title.", lambda options: dataset(), lambda options, about: [row("one")])
TOLD = {"data": "there is no such file", "dlx": "width 1 must be at least 1, not 0"}


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("use_every_core", "steady"):
        monkeypatch.setattr(command, name, lambda: None)
    before = jax.config.jax_default_matmul_precision
    yield
    jax.config.update("jax_default_matmul_precision", before)
    jax.config.update("jax_disable_most_optimizations", True)


def rows_of(program):
    return lambda options, about: [Row("one", "One", lambda seed: Unit(program, seed=seed))]


PLACES = {
    "rows": lambda kind: replace(STUDY, rows=lambda options, about: fault(kind)),
    "data": lambda kind: replace(STUDY, data=lambda options: fault(kind)),
    "program": lambda kind: replace(STUDY, rows=rows_of(Faulty(False, kind))),
    "host program": lambda kind: replace(STUDY, rows=rows_of(Faulty(True, kind))),
}


@pytest.mark.parametrize("kind", ["int", "library", "json", "own", *TOLD])
@pytest.mark.parametrize("place", PLACES)
def test_only_what_dlx_raised_is_told_in_one_line(place, kind, capsys):
    with pytest.raises((SystemExit, ValueError, DataError)) as raised:
        command.main(PLACES[place](kind), "page", [])
    if kind in TOLD:
        assert raised.value.code == 2
        *_, last = capsys.readouterr().err.splitlines()
        assert re.fullmatch(rf"error: {TOLD[kind]} \(test_errors\.py, line \d+\)", last)
    else:
        assert not isinstance(raised.value, SystemExit)
        assert "in fault" in "".join(traceback.format_exception(raised.value)), "the function of the page"


def test_without_code_of_a_page_no_line_is_named(capsys):
    with pytest.raises(SystemExit):
        command.main(STUDY, "page", ["--seeds", "0"])
    assert capsys.readouterr().err == "error: --seeds must be at least 1, not 0\n"
