"""A page without a command line of its own: in a notebook, in a script, under python -c."""

import functools
import json
import sys
from dataclasses import replace
from types import ModuleType

import jax
import numpy as np
import pytest
from synthetic import dataset, rates, row

from dlx import study
from dlx.study import command

METRIC = study.Metric("train/error", "train error")
STUDY = study.Study(
    "A title.", lambda options: dataset(), lambda options, about: [row("one", rates(0.5, 0.25))], metrics=[METRIC]
)


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "use_every_core", lambda: None)


@pytest.fixture
def notebook(monkeypatch):
    """The process is a kernel: its main module stands in no file, and its arguments are its own."""
    there = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", there)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])

    def rows(options, about):
        return STUDY.rows(options, about)

    rows.__module__ = "__main__"
    return replace(STUDY, rows=rows)


def test_run_returns_what_was_found_and_leaves_the_settings_of_jax(notebook, tmp_path, capsys):
    before = {name: jax.config.values[name] for name in command.SETTINGS}
    options = study.CommonOptions(seeds=3, preset="paper")
    found = study.run(notebook, options, name="width")
    assert found["one"].seeds == [1, 2, 3]
    np.testing.assert_array_equal(
        found["one"].values(METRIC.name), study.find(notebook, options)["one"].values(METRIC.name)
    )
    results = json.loads((tmp_path / "runs" / "width" / "results.json").read_text())
    assert results["command"] == "study.run(STUDY, CommonOptions(preset='paper', seeds=3), name='width')"
    assert "report: runs/width/report.html" in capsys.readouterr().out
    assert {name: jax.config.values[name] for name in command.SETTINGS} == before
    for name in ("a/b", "..", "units"):
        with pytest.raises(ValueError, match=f"a page cannot be called '{name}'"):
            study.run(notebook, options, name=name)


def test_a_page_without_a_file_needs_a_name_and_has_no_command_line(notebook, tmp_path):
    for unnamed in (notebook, replace(STUDY, rows=functools.partial(STUDY.rows))):
        with pytest.raises(ValueError, match=r'needs a name: study.run\(STUDY, options, name="width"\)'):
            study.run(unnamed)
    with pytest.raises(ValueError, match=r"a notebook, .*, has no command line for a page: call study\.run"):
        study.main(notebook)
    assert not list(tmp_path.iterdir())


def test_a_page_in_a_file_is_called_by_its_file(tmp_path):
    assert study.run(STUDY, study.CommonOptions(minutes=0.0)).runs == {}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"identity.json", "test_notebook"}


def test_every_page_of_the_experiments_is_called_by_its_name():
    from pages import studies

    assert {name: page.file.stem for name, page in studies().items()} == {name: name for name in studies()}
