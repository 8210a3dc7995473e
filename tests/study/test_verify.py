"""Committed outcomes are trained again: what agrees, and what was changed by hand."""

import io
import json
import re
import tarfile
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import pytest
from synthetic import dataset, rates, row, toy

from dlx.data import DataError
from dlx.store import StoreError, open_store
from dlx.study import command, verify
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import Row, Study
from dlx.study.publish.index import read_results
from dlx.unit import NET, Naming, Result, Unit
from experiments.__main__ import listing, main

ROWS = [
    row("one", rates(0.5, 0.25)),
    Row("two", "Two", lambda seed, **trial: toy(seed, width=3, given=(toy(seed, width=7),), **trial)),
]
STUDY = Study("A title.\n\nWhat is asked.", lambda options: dataset(), lambda options, about: ROWS)


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setattr(command, "use_every_core", lambda: None)
    monkeypatch.setattr(verify, "steady", lambda: None)
    before = jax.config.jax_default_matmul_precision
    yield
    jax.config.update("jax_default_matmul_precision", before)
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """What a run of the page publishes: results.json, and the members of its archive by name."""
    folder = tmp_path_factory.mktemp("run")
    options = CommonOptions(preset="paper", seeds=2, out=folder / "runs", results=folder / "page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "use_every_core", lambda: None)
        command.run(STUDY, options, "page")
    with tarfile.open(folder / "page" / "records.tar.xz") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    return (folder / "page" / "results.json").read_bytes(), members


@pytest.fixture
def check(archive, tmp_path, capsys, monkeypatch):
    """Commits the outcome with changes, verifies it, and gives the exit status, the lines printed and the errors.

    `change(record)` changes a record in place if it is to; `files(members)` changes the members of the archive.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments, change=None, files=None, study=STUDY, names=("page",)):
        results, members = archive[0], dict(archive[1])
        for name in [name for name in members if name.startswith("units/") and name.endswith(".json") and change]:
            kept = json.loads(members[name])
            change(kept["record"])
            members[name] = json.dumps(kept).encode()
        if files:
            files(members)
        for page in names:
            (tmp_path / "results" / page).mkdir(parents=True)
            (tmp_path / "results" / page / "results.json").write_bytes(results)
            with tarfile.open(tmp_path / "results" / page / "records.tar.xz", "w:xz") as tar:
                for name, content in members.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        status = 0
        try:
            verify.main({page: lambda: study for page in (*names, "other")}, tmp_path / "results", arguments)
        except SystemExit as stop:
            status = stop.code
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return run


def of_row_two(record):
    return record["program"] == "Toy" and bool(record["given"])


def test_what_was_published_agrees_bit_for_bit(check):
    status, (first, *lines), _ = check("page", "--units", "20", "--seed", "5")
    assert status == 0
    assert first.startswith("page: 6 of 6 units could be drawn: by the records they take at most 10 minutes each;")
    assert "drawn by --seed 5: 6, which take about" in first
    assert len(lines) == 6
    for line in lines:
        assert re.fullmatch(r"Toy seed \d \(\w{6}\): agreed bit for bit: score (\S+), \1 now", line)


def test_every_page_is_verified_and_the_seed_decides_the_draw(check, tmp_path):
    status, lines, _ = check("--units", "1", "--seed", "1", names=("page", "same"))
    assert status == 0
    assert lines[0].partition(":")[0] == "page"
    assert lines[2].partition(":")[0] == "same"
    assert lines[1] == lines[3]
    assert len(lines) == 4


def test_a_forged_score_is_found_and_named(check):
    def forge(record):
        record["score"] += 1.0
        record["curves"]["valid"]["mean"][2] = 7.0

    status, lines, _ = check("page", "--units", "1", change=forge)
    assert status == 1
    difference = (
        r"DIFFERS in score: \S+ committed, \S+ now; curves/valid/mean\[2\]: 7.0 committed, \S+ now \(revisions .+\)"
    )
    assert re.fullmatch(rf"Toy seed \d \(\w{{6}}\): {difference}", lines[1])
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        (lambda record: record["curves"]["valid"].pop("mean"), "agreed bit for bit: score"),
        (lambda record: record.update(curves={}), "agreed bit for bit: score"),
        (lambda record: record.update(measures={}), "nothing committed"),
    ],
)
def test_a_curve_may_be_left_out_and_a_measure_may_not(check, left_out, said):
    status, lines, _ = check("page", "--units", "1", change=left_out)
    assert status == (1 if "nothing" in said else 0)
    assert said in lines[1]


def test_a_difference_within_the_tolerance_is_one_where_the_bits_should_be_the_same(check):
    def forge(record):
        record["score"] += 1e-5

    status, lines, _ = check("page", "--units", "1", change=forge)
    assert status == 1
    assert "DIFFERS, though within the tolerance, in score: " in lines[1]


def test_a_record_of_an_unnamed_cpu_whose_bits_are_the_same_agrees_bit_for_bit(check):
    status, lines, _ = check("page", "--units", "1", change=lambda record: record.update(device="cpu x 2"))
    assert status == 0
    assert "agreed bit for bit: score" in lines[1]


@pytest.mark.parametrize("where", [{"device": "H100 x 1"}, {"device": "cpu x 2"}, {"versions": {"jax": "0.1"}}])
def test_another_device_or_version_has_a_tolerance(check, where):
    def move(record):
        record["score"] *= 1.001
        curve = record["curves"]["valid"]["mean"]
        curve += [0.0, 1.001 * curve[-1]]
        record.update(where)

    status, lines, _ = check("page", "--units", "1", change=move)
    assert status == 0
    assert "Otherwise fractional numbers must agree to 1% or 0.002" in lines[0]
    assert "agreed within tolerance: score" in lines[1]


@pytest.mark.parametrize(
    ("old", "new", "agrees"),
    [
        (0.1, 0.1019, True),
        (0.1, 0.1021, False),
        (50.0, 50.4, True),
        (50.0, 50.6, False),
        (3, 9, True),
        ("nan", 1.0, False),
    ],
)
def test_numbers_agree_to_a_hundredth_or_a_fifth_of_a_point_and_whole_ones_are_not_compared(old, new, agrees):
    assert verify.agree(old, new, exact=False) == agrees
    assert not verify.agree(old, new, exact=True)


def test_the_tolerance_has_an_end(check):
    def forge(record):
        record["device"] = "H100 x 1"
        record["measures"]["valid"]["error"] *= 1.02

    status, lines, _ = check("page", "--units", "1", change=forge)
    assert status == 1
    assert "DIFFERS in measures/valid/error: " in lines[1]


@pytest.mark.parametrize("key", ["hypers", "lineage", "blind"])
def test_a_record_whose_content_is_not_that_of_its_name_is_found_without_training(check, key):
    def forge(record):
        if of_row_two(record) and record["seed"] == 2:
            if key == "lineage":
                next(iter(record["lineage"].values()))["seed"] = 9
            else:
                record[key] = {"hypers": {"rate": 0.75}, "blind": True}[key]

    status, lines, _ = check("page", "--minutes", "0.00000001", change=forge)
    assert status == 1
    assert re.match(rf"Toy seed 2 \(\w{{6}}\): DIFFERS from the unit of this name: {key}", lines[0])


def test_a_record_by_another_name_is_found(check):
    def rename(members):
        name = next(name for name in members if "/2-" in name)
        members[name.replace("/2-", "/5-")] = members.pop(name)

    status, lines, _ = check("page", "--units", "1", files=rename)
    assert status == 1
    assert re.match(r"Toy/5-\w{16}: DIFFERS: damaged, or of no unit", lines[0])


def test_a_record_without_a_score_is_found(check):
    status, lines, _ = check("page", "--units", "1", change=lambda record: record["seed"] == 2 and record.pop("score"))
    assert status == 1
    assert re.match(r"Toy/2-\w{16}, Toy/2-\w{16}: DIFFERS: damaged", lines[0])


def test_layers_without_a_record_count(check):
    def slow(record):
        record["seconds"] = 40.0 if of_row_two(record) else 50.0

    status, lines, _ = check("page", "--units", "1", "--minutes", "1", change=slow)
    assert status == 0
    assert lines[0].startswith("page: 4 of 6 units"), (
        "those of row two take 40 seconds, and a layer as long as the mean"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["page", "--minutes", "0.00000001"], r"no unit of page fits into --minutes 1e-08; the shortest takes \d"),
        (["nowhere"], "there is no committed outcome of nowhere in .*results; those to choose from: page"),
        (["other"], "there is no committed outcome of other"),
        (["page", "--units", "0"], "--units must be at least 1, not 0"),
    ],
)
def test_what_a_user_can_mend_is_said(check, arguments, said):
    status, lines, errors = check(*arguments)
    assert (status, lines) == (2, [])
    assert re.search(f"error: {said}", errors)


def test_other_data_are_said(check):
    other = Study("A title.", lambda options: dataset(fingerprint="0" * 64), lambda options, about: ROWS)
    status, _, errors = check("page", study=other)
    assert status == 2
    assert re.search(r"the data here are not those of .*page, mnist \(canonical\): set DLX_DATA_DIR", errors)


def test_without_results_or_data_it_says_so_in_a_line(check, tmp_path, monkeypatch):
    def missing(options):
        raise DataError("mnist is not at hand.\nSet DLX_DATA_DIR, or use --data digits.")

    status, _, errors = check("page", study=Study("A title.", missing, lambda options, about: ROWS))
    assert (status, errors.count("\n")) == (2, 1)
    assert "page is verified on the data that it was trained on: mnist is not at hand" in errors
    with pytest.raises(ValueError, match=r"results.json cannot be read: No such file"):
        read_results(tmp_path / "results.json")


def test_what_an_archive_does_not_hold_is_trained_when_it_is_asked_for(archive, tmp_path):
    """The records of a row that stands on a layer, without the layer's arrays."""
    for name, content in archive[1].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    options = CommonOptions(preset="paper", seeds=2, out=tmp_path)
    unit = command.find(STUDY, options)["two"].units[0]
    layer = unit.given[0]
    with pytest.raises(StoreError, match=r"no whole arrays: study.load\(..., train=True\) trains it"):
        command.load(STUDY, layer, options)
    assert command.load(STUDY, layer, options, train=True)["w"].shape == (7,)
    assert command.load(STUDY, layer, options)["w"].shape == (7,)
    assert command.load(STUDY, unit, options, train=True)["w"].shape == (3,)


@dataclass(frozen=True)
class Netted:
    """Keeps a net, and something beside it; before it was `large`, it kept only this."""

    def __call__(self, key, hypers, given, data, progress):
        return {"w": jnp.ones(2), **({NET: {"b": jnp.full(3, 2.0)}} if LARGE else {})}, Result(jnp.zeros(()))


LARGE = False


def test_an_entry_that_old_records_and_archives_lack_is_trained_when_it_is_asked_for(tmp_path, monkeypatch):
    unit = Unit(Netted())
    page = Study("A title.", lambda options: dataset(), lambda options, about: [])
    options = CommonOptions(out=tmp_path)
    assert set(command.load(page, unit, options, train=True)) == {"w"}
    with pytest.raises(StoreError, match=r"has kept w, and no 'net': study.load\(..., train=True\) trains it"):
        command.load(page, unit, options, entry=NET)
    monkeypatch.setitem(globals(), "LARGE", True)
    assert command.load(page, unit, options, entry=NET, train=True)["b"].tolist() == [2, 2, 2]
    assert set(command.load(page, unit, options)) == {"w", NET}
    store = open_store(tmp_path, command.STORE)
    name = Naming({"main": dataset().origin.fingerprint}, options.numerics()).name(unit)
    (tmp_path / "small.tar.xz").write_bytes(store.archive([name], [name], without=NET))
    small = open_store(verify.unpack(tmp_path / "small.tar.xz", tmp_path / "small"), command.STORE)
    assert small.load(name) == store.load(name)
    assert list(small.load_arrays(name)) == ["w"]


def test_a_damaged_archive_is_said(tmp_path):
    (tmp_path / "records.tar.xz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"records.tar.xz is damaged: take it from the repository again"):
        verify.unpack(tmp_path / "records.tar.xz", tmp_path / "out")


def test_without_any_outcome_it_says_so(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        verify.main({"page": lambda: STUDY}, tmp_path, [])
    assert stop.value.code == 2
    assert "no committed outcome of any page" in capsys.readouterr().err


def test_the_command_is_listed_and_knows_the_pages(capsys):
    assert "python -m experiments verify [NAME] [--help]" in listing()
    with pytest.raises(SystemExit) as stop:
        main(["verify", "bengio2007"])
    assert stop.value.code == 2
    assert "no committed outcome of bengio2007" in capsys.readouterr().err


def test_not_a_number_agrees_with_itself_alone():
    old, new = {"a": "nan", "b": 3, "c": [1.0], "d": True}, {"a": "nan", "b": 4, "c": [1.004, 2.0, 1.003], "d": True}
    assert list(verify.differences(old, new, exact=False)) == []
    assert list(verify.differences(old, new)) == ["b: 3 committed, 4 now", "c[0]: 1.0 committed, 1.004 now"]
    assert list(verify.differences({"a": "nan", "d": True}, {"a": 1.0}, exact=False)) == [
        "a: nan committed, 1.0 now",
        "d: True committed, nothing now",
    ]
