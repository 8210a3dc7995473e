"""Pages are edited and run again: records of code that computes something else are found."""

import importlib.util
import json
import sys

import jax
import pytest
from synthetic import dataset

from dlx.study import command, verify
from dlx.study.declare.options import CommonOptions
from dlx.study.run.code import Code

PAGE = '''
"""A title.

What is asked.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from helper import scale

from dlx import study
from synthetic import dataset, Hypers

DRAWN = 3


@dataclass(frozen=True)
class Below:
    """The lower one."""

    def __call__(self, key, hypers, given, data, progress):
        return {"w": jax.random.normal(key, (DRAWN,))}, study.Result()


@dataclass(frozen=True)
class Above:
    def __call__(self, key, hypers, given, data, progress):
        total = hypers.rate * given[0]["w"].sum()
        return {}, study.Result(scale(total), {"test": {"error": jnp.tanh(total)}})


def double(number):
    return 2 * number


@dataclass(frozen=True)
class OnHost:
    host = True

    def __call__(self, key, hypers, given, data, progress):
        return {}, study.Result(double(1.0))


def rows(options, about):
    def build(seed):
        return study.Unit(Above(), Hypers(), (study.Unit(Below(), seed=seed),), seed)

    return [study.Row("one", "One", build), study.Row("two", "Two", lambda seed: study.Unit(OnHost(), seed=seed))]


STUDY = study.Study(__doc__, lambda options: dataset(), rows)
'''
HELPER = "def scale(number):\n    return 3 * number\n"


@pytest.fixture
def page(tmp_path, monkeypatch, capsys):
    """Writes a page with edits, (old, new) each, runs it, and returns what it said, and its report."""
    monkeypatch.setattr(command, "use_every_core", lambda: None)
    monkeypatch.syspath_prepend(tmp_path)
    before = jax.config.jax_default_matmul_precision

    def load(*edits):
        for name in ("helper", "page"):
            text = {"page": PAGE, "helper": HELPER}[name]
            for old, new in edits:
                text = text.replace(old, new)
            (tmp_path / f"{name}.py").write_text(text)
            spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, name, module)
            exec(compile((tmp_path / f"{name}.py").read_text(), spec.origin, "exec"), vars(module))
        return module.STUDY

    def run(*edits, **options):
        options = CommonOptions(preset="paper", seeds=2, out=tmp_path / "runs", **options)
        command.train_and_publish(load(*edits), "page", options, "python -m page")
        said = capsys.readouterr()
        return said.out + said.err, (tmp_path / "runs" / "page" / "report.md").read_text()

    run.load = load
    yield run
    jax.config.update("jax_default_matmul_precision", before)
    jax.config.update("jax_disable_most_optimizations", True)


def stored(tmp_path):
    return {path: json.loads(path.read_text())["record"] for path in (tmp_path / "runs" / "units").rglob("*.json")}


OUTLIVED = {
    "nothing": (),
    "a comment": ("DRAWN = 3", "# A number.\nDRAWN = 3"),
    "a docstring": ("The lower one.", "The lowest one."),
    "a title": ('"One"', '"The first"'),
    "a name": ("total", "summed"),
    "a function in place of a line": ("scale(total)", "(lambda number: 3 * number)(total)"),
}
STALE = {
    "a constant": (("DRAWN = 3", "DRAWN = 4"), "page.Above (2)"),
    "an operation": (("jnp.tanh", "jnp.sin"), "page.Above (2)"),
    "the program that it stands on": (("jax.random.normal", "jax.random.uniform"), "page.Above (2)"),
    "a file beside it": (("3 * number", "4 * number"), "page.Above (2)"),
    "what a program on the host calls": (("2 * number", "5 * number"), "page.OnHost (2)"),
}


@pytest.mark.parametrize("edit", OUTLIVED)
def test_a_record_outlives_what_does_not_change_its_computation(page, tmp_path, edit):
    page()
    before = stored(tmp_path)
    said, _ = page(*filter(None, [OUTLIVED[edit]]))
    assert "4 of 4 units are finished, 0 are to do" in said
    assert "changed" not in said
    assert stored(tmp_path) == before


@pytest.mark.parametrize("edit", STALE)
def test_a_record_of_another_computation_stops_the_command_until_it_is_said_what_to_do(page, tmp_path, edit):
    change, programs = STALE[edit]
    page()
    before = stored(tmp_path)
    with pytest.raises(ValueError, match="no longer the ones that made their records: ") as error:
        page(change)
    assert programs in str(error.value)
    assert "--stale train" in str(error.value)
    said, report = page(change, stale="keep")
    assert stored(tmp_path) == before
    for text in (said, report):
        assert f"the programs of 2 records have changed since; they are used as they are: {programs}" in text
    said, report = page(change, stale="train")
    assert "changed since" not in report
    after = stored(tmp_path)
    assert after.keys() == before.keys()
    changed = {path for path in after if after[path]["computation"] != before[path]["computation"]}
    assert len(changed) == (4 if "Above" in programs and edit not in ("an operation", "a file beside it") else 2)
    said, _ = page(change)
    assert "0 are to do" in said
    assert stored(tmp_path) == after


def test_with_another_version_of_jax_the_same_source_is_valid_and_other_source_is_not(page, monkeypatch):
    page()
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    assert "0 are to do" in page()[0]
    with pytest.raises(ValueError, match="--stale train"):
        page(OUTLIVED["a name"])


def test_study_find_stops_as_well(page, tmp_path):
    page()
    options = CommonOptions(preset="paper", seeds=2, out=tmp_path / "runs")
    with pytest.raises(ValueError, match=r"page\.OnHost \(2\)"):
        command.find(page.load(STALE["what a program on the host calls"][0]), options)


def test_records_that_do_not_say_are_used_and_verify_tells_them(page, tmp_path, monkeypatch, capsys):
    page()
    for path in (tmp_path / "runs" / "units").rglob("*.json"):
        kept = json.loads(path.read_text())
        del kept["record"]["code"], kept["record"]["computation"]
        path.write_text(json.dumps(kept))
    said, report = page()
    assert said.count("records do not say which code made them") == 2, "at the start, and after the table"
    assert "4 records do not say which code made them; they are used" in report
    monkeypatch.setattr(verify, "steady", lambda: None)
    verify.main({"page": lambda: page.load()}, tmp_path / "runs", ["page", "--units", "3"])
    said = capsys.readouterr().out
    assert "3 records of" in said
    assert "now say which code makes them" in said
    folder = verify.unpack(tmp_path / "runs" / "page" / "records.tar.xz", tmp_path / "unpacked")
    records = [json.loads(path.read_text())["record"] for path in (folder / "units").rglob("*.json")]
    told = [(record["code"], record["computation"]) for record in records if "code" in record]
    assert (len(records), len(told)) == (4, 3)
    code = Code({"main": dataset()}, "highest")
    units = [row.build(1) for row in page.load().rows(None, None)]
    assert set(told) <= {(code.source(unit), code.computation(unit)) for unit in units}


def test_a_page_without_a_file_is_judged_by_what_it_computes(page, tmp_path):
    page()
    study = page.load()
    (tmp_path / "page.py").unlink()
    options = CommonOptions(preset="paper", seeds=2, out=tmp_path / "runs", rows=("one",))
    assert len(command.find(study, options).runs["one"].records) == 2


def test_a_file_that_is_edited_during_a_run_is_not_the_code_of_its_records(page, tmp_path):
    code = Code({"main": dataset()}, "highest")
    units = [row.build(1) for row in page.load().rows(None, None)]
    before = [code.source(unit) for unit in units]
    (tmp_path / "page.py").write_text(PAGE.replace("DRAWN = 3", "DRAWN = 4"))
    assert [code.source(unit) for unit in units] == before
    assert [Code({"main": dataset()}, "highest").source(unit) for unit in units] != before
