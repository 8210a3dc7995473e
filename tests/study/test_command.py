"""The command line of a page, on the quick preset of `bengio2006`: records, resuming, sharing, errors."""

import itertools
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import synthetic
from scipy import stats

from dlx import study
from dlx.data import read
from dlx.show.progress import Progress
from dlx.store import Store, open_store
from dlx.study import command
from dlx.study.run import hosts
from dlx.study.run.records import Records
from dlx.study.run.runner import Runner
from experiments import bengio2006

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["bengio2006", "--preset", "quick", "--out", "out"]
OPTIONS = bengio2006.Options(out=Path("out"))


def start(folder, cache, *arguments):
    folder.mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    line = [sys.executable, "-m", "experiments", *QUICK, *arguments]
    return subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    """The folder of a whole run, and what it said."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with start(folder, cache) as process:
        stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr.decode()[-2000:]
    return folder, stdout.decode(), stderr.decode()


def records(folder):
    """The records of a folder of units, by file."""
    return {path: json.loads(path.read_text())["record"] for path in sorted((folder / "out" / "units").rglob("*.json"))}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path_factory):
    """Runs the command in this process; its exit status and what it said on stderr. It must not train anything."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    monkeypatch.setattr(command, "use_every_core", lambda: None)
    monkeypatch.setattr(command, "steady", lambda: None)
    before = jax.config.jax_default_matmul_precision

    def run(*arguments, folder=None, page=bengio2006.STUDY):
        if folder is not None:
            monkeypatch.chdir(folder)
        status = 0
        try:
            command.main(page, "experiments.bengio2006", list(map(str, arguments)))
        except SystemExit as stop:
            status = stop.code
        return status, capsys.readouterr()

    yield run
    jax.config.update("jax_default_matmul_precision", before)
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr(Runner, "_do", lambda *_: pytest.fail("nothing is left to be trained"))


def test_results_follow_from_the_records(finished):
    folder, *_ = finished
    results = json.loads((folder / "out" / "bengio2006" / "results.json").read_text())
    found = study.find(bengio2006.STUDY, OPTIONS.__class__(out=folder / "out"))
    assert [row["row"] for row in results["rows"][::3]] == list(found)
    for row in results["rows"]:
        runs, split = found[row["row"]], row["metric"].split()[0]
        errors = [100 * record["measures"][split]["error"] for record in runs.records]
        assert row["n"] == len(errors) == 2
        np.testing.assert_allclose(row["values"], errors)
        half = stats.t.ppf(0.975, 1) * stats.sem(errors)
        np.testing.assert_allclose((row["low"], row["high"]), np.mean(errors) + half * np.array([-1, 1]))
        assert row["paper"] is None, "figures of digits are never shown beside the paper's"
        assert row["group"] == runs.row.group
    for record in itertools.chain(*(found[name].records for name in found)):
        wrong = record["measures"]["test"]["wrong"]
        assert wrong["size"] == 300, "300 of the digits are for testing"
        assert len(wrong["true"]) / 300 == pytest.approx(record["measures"]["test"]["error"])
    assert results["data"]["variant"] == "embedded"


def test_what_a_record_says_is_so(finished):
    folder, *_ = finished
    seeds = {}
    for record in records(folder).values():
        best = record["measures"]["fit"]["best"]
        curve = record["curves"]["valid"]["score"]
        assert len(curve) == len(record["curves"]["train"]["loss"]) == record["measures"]["fit"]["epochs"]
        assert record["score"] == curve[best]
        if "patience" in record["fields"]:
            assert best == int(np.argmin(curve)), "the first of the epochs with the least validation error"
            assert record["measures"]["valid"]["error"] == record["score"]
            assert record["measures"]["train"]["error"] != record["measures"]["valid"]["error"]
        same = {name: value for name, value in record.items() if name in ("program", "fields", "hypers", "blind")}
        seeds.setdefault(json.dumps(same), []).append((record["seed"], record["curves"]["train"]["loss"]))
    for runs in seeds.values():
        losses = [tuple(loss) for seed, loss in runs if seed > 0]
        assert len(set(losses)) == len(losses), "fresh seeds differ"


def test_search_units_have_no_test_error_and_fresh_units_have_other_seeds(finished):
    tuned = [record for record in records(finished[0]).values() if record["program"] == "Finetune"]
    searched = [record for record in tuned if record.get("blind")]
    assert len(searched) == 26
    assert all(record["seed"] == 0 and "test" not in record["measures"] for record in searched)
    assert {record["seed"] for record in tuned if not record.get("blind")} == {1, 2}


def test_layers_are_trained_once_for_both_experiments(finished):
    """Layer 1 of seeds 1 and 2: one record each, though Experiments 2 and 3 both stand on them."""
    layers = [record for record in records(finished[0]).values() if record["program"] == "Layer"]
    dbn = [record for record in layers if record["fields"]["method"] == "dbn"]
    assert len([one for one in dbn if one["seed"] > 0 and one["fields"]["widths"] == [64]]) == 2
    top = [one["seed"] for one in dbn if one["fields"]["widths"] == [64, 20]]
    assert sorted(top) == [0, 1, 2], "once for both trials of Experiment 3, which differ in fine-tuning"


def test_a_layer_keeps_its_own_layer_and_can_be_loaded(finished):
    folder, *_ = finished
    options = bengio2006.Options(out=folder / "out")
    found = study.find(bengio2006.STUDY, options)
    first, second = found["exp2/dbn"].units[0].given
    layer = study.load(bengio2006.STUDY, second, options)
    assert {name: array.shape for name, array in layer["hidden_1"].items()} == {"w": (64, 64), "b": (64,), "c": (64,)}
    assert list(study.load(bengio2006.STUDY, first, options)) == ["hidden_0"]


def test_the_committed_records_are_a_folder_of_finished_work(finished, tmp_path, call, untrained):
    folder, *_ = finished
    results = folder / "out" / "bengio2006"
    with tarfile.open(results / "records.tar.xz") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    status, _ = call(*QUICK[1:], folder=tmp_path)
    assert status == 0
    for name in ("results.json", "report.md", "filters.png"):
        mine = (tmp_path / "out" / "bengio2006" / name).read_bytes()
        assert mine.replace(b"experiments.bengio2006", b"experiments bengio2006") == (
            results / name
        ).read_bytes().replace(b"experiments.bengio2006", b"experiments bengio2006")


def test_it_says_beforehand_how_much_there_is_to_do(finished, tmp_path, call):
    _, stdout, stderr = finished
    first = stderr.splitlines()[0]
    counted = re.search(r"^0 of (\d+) units are finished, (\d+) are to do", first)
    assert counted is not None
    assert len(set(counted.groups()) | set(re.findall(r"^\[\d+/(\d+)\]", stderr, re.MULTILINE))) == 1, "one count"
    assert "the data take 122.20 kB on each device" in first
    assert "8 x 8 digits: about a minute on two cores" in first, "as the page's first lines say"
    assert all(bengio2006.WAYS[name.split("/")[1]].title in stdout for name in ("exp2/dbn", "exp3/shallow"))
    shutil.copytree(finished[0] / "out", tmp_path / "out", ignore=shutil.ignore_patterns("Finetune"))
    status, said = call("--minutes", "0", "--out", tmp_path / "out")
    assert status == 0
    assert said.out.startswith("no row has a finished run yet (0 runs of finished searches)\n")
    assert re.search(
        r"0 of (\d+) units are finished, \1 are to do; about [\d.]+ (second|minute)s? for \d+ of them", said.err
    )


def test_out_of_time_it_reports_what_is_finished(finished, tmp_path, call):
    """A folder without the records of one seed, and no minute to add to them."""
    folder, *_ = finished
    shutil.copytree(folder / "out", tmp_path / "out")
    for path, record in records(tmp_path).items():
        if record["program"] == "Finetune" and record["seed"] == 2:
            path.unlink()
    status, said = call("--minutes", "0", "--tensorboard", "--out", tmp_path / "out")
    assert status == 0
    results = json.loads((tmp_path / "out" / "bengio2006" / "results.json").read_text())
    assert {row["n"] for row in results["rows"]} == {1}
    assert "exp3/dbn (1 of 2)" in (tmp_path / "out" / "bengio2006" / "report.md").read_text()
    assert len(list((tmp_path / "out" / "bengio2006" / "tensorboard").rglob("*tfevents*"))) == len(results["rows"]) // 3
    assert re.search(r"about [\d.]+ (second|minute)s? for 13 of them by the records", said.err)


def test_killed_at_any_moment_it_resumes_to_the_same_results_and_two_share_the_rest(finished, cache, tmp_path):
    """Three rows, of which two stand on the same layers."""
    moments, some = random.Random(0), ["exp2/dbn", "exp3/dbn", "exp2/deep"]
    for finished_units in (1, 8):
        with start(tmp_path, cache, "--rows", *some) as process:
            while len(list(tmp_path.rglob("units/*/*.json"))) < finished_units:
                assert process.poll() is None, process.stderr.read().decode()[-2000:]
                time.sleep(0.02)
            time.sleep(moments.uniform(0, 0.2))
            process.kill()
    pair = [start(tmp_path, cache, "--rows", *some) for _ in range(2)]
    said = [process.communicate(timeout=300)[1].decode() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said[0][-2000:] + said[1][-2000:]
    mine, others = (set(re.findall(r"\] .*?\((\w{6})\).*  done in ", text)) for text in said)
    assert mine | others
    assert not mine & others, "units that both processes trained"

    def results(folder):
        content = json.loads((folder / "out" / "bengio2006" / "results.json").read_text())
        return {row["row"] + row["metric"]: row for row in content["rows"] if row["row"] in some}

    assert results(tmp_path) == results(finished[0])


def test_three_hosts_give_what_one_gives(finished, cache, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    hosts = ["--rows", "exp2/dbn", "--coordinator", address, "--num-processes", "3", "--process-id"]
    all_ = [start(tmp_path, cache, *hosts, str(i)) for i in range(3)]
    said = [process.communicate(timeout=300) for process in all_]
    assert [process.returncode for process in all_] == [0, 0, 0], said[0][1].decode()[-2000:]
    assert [b"report: " in out for out, _ in said] == [True, False, False], "the first alone prints and writes"
    mine, whole = (
        json.loads((folder / "out" / "bengio2006" / "results.json").read_text())["rows"]
        for folder in (tmp_path, finished[0])
    )
    alike = {row["metric"]: row["values"] for row in whole if row["row"] == "exp2/dbn"}
    assert {row["metric"]: row["values"] for row in mine} == alike


def test_the_same_command_again_does_nothing_twice(finished, call, untrained):
    folder, *_ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "units").rglob("*")}
    assert call("--out", folder / "out")[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "out" / "units").rglob("*")}


def test_a_process_takes_the_first_unit_that_no_other_has_and_those_like_it(tmp_path, monkeypatch):
    dataset = read("digits")
    records = Records(OPTIONS, open_store(tmp_path / "out", command.STORE), {"main": dataset}, Progress.silent())
    runner = Runner(OPTIONS, records, records.progress)
    one = {"width": 8, "rate": 0.1, "epochs": 1, "patience": 1, "batch_size": 20}
    units = [bengio2006.unit("deep", OPTIONS, seed, depth=depth, **one) for seed in range(4) for depth in (1, 2)]
    name = records.naming.name
    assert runner._take(units) == units[0:3:2], "as many as there are devices"
    taken = {name(unit) for unit in units[:2]}
    monkeypatch.setattr(Store, "claim", lambda _, other: other not in taken)
    assert runner._take(units) == units[2:5:2]
    records.store.save(name(units[2]), synthetic.record())
    assert runner._take(units) == units[3:6:2]
    assert runner._take(units[:2]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--seeds", "1000000"], "--seeds must be at most 1000, not 1000000: a plan lists every run"),
        (["--seeds-of-ours", "1001"], "--seeds-of-ours must be at most 1000, not 1001"),
        (["--seeds-of-ours", "0"], "--seeds-of-ours must be at least 1, not 0"),
        (["--seeds-of-ours", "-3"], "--seeds-of-ours must be at least 1, not -3"),
        (["--k", "0"], "--k must be at least 1, not 0"),
        (["--data", "nonsense"], "unknown data set 'nonsense'"),
        (["--data", ""], "unknown data set ''"),
        (["--data", "tfds:"], "tfds:"),
        (["--try", "rate=nan"], "rate nan cannot be searched"),
        (["--try", "rate=-1"], "rate -1.0 cannot be searched"),
        (["--try", "rate=1", "--try", "width=3"], "--try is given twice; give it once, with all its values"),
        (["--rows=exp2/dbn", "--rows", "exp3/*"], "--rows is given twice"),
        (["--more", "exp2/dbn=9", "--more", "exp3/dbn=9", "--looks", "1"], "--more is given twice"),
        (["--more", "exp2/dbn=1", "--looks", "1"], "exp2/dbn has 2 seeds without"),
        (["--trials", "3"], "--trials 3 needs --search random"),
        (["--search", "committed", "--halving"], "--search committed searches nothing"),
        (["--search", "committed", "--try", "rate=1"], "--search committed searches nothing"),
        (["--search", "committed"], "of the preset paper on mnist, not of quick on digits"),
        (["--try", "rate="], "is not NAME=NUMBER,NUMBER"),
        (["--try", "rates=1"], "no row has an argument 'rates'"),
        (["--rows", "exp4/*"], "names no row; the rows are exp2/dbn"),
        (["--search", "random", "--trials", "0"], "--trials must be at least 1, not 0"),
        (["--devices", "99"], "99 devices asked for; there are"),
        (["--devices-per-run", "99"], "99 devices per run do not divide"),
        (["--memory", "1e-6"], "takes "),
        (["--memory", "0"], "--memory 0 leaves no memory"),
        (["--minutes", "nan"], "--minutes must be a number"),
        (["--num-processes", "2"], "--coordinator HOST:PORT, --num-processes N and --process-id"),
        (["--coordinator", "nowhere", "--num-processes", "2", "--process-id", "1"], "is not HOST:PORT"),
        (["--coordinator", "localhost:99999", "--num-processes", "2", "--process-id", "0"], "a port of 1 to 65535"),
        (["--coordinator", "auto"], "--coordinator auto finds no cluster"),
        (["--out", "{file}"], "cannot be used"),
        (["--out", "{foreign}"], "not dlx's"),
    ],
)
def test_bad_input_gets_one_clear_error(call, tmp_path, arguments, message):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("mine")
    status, said = call(*(a.format(file=tmp_path / "file", foreign=tmp_path / "foreign") for a in arguments))
    assert status == 2
    *_, last = said.err.splitlines()
    assert last.startswith("error: ")
    assert message in last
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file", "thesis.tex"]


@pytest.mark.parametrize("other", [["--preset", "paper", "--data", "digits"], ["--try", "rate=1000000"], ["--k", "3"]])
def test_a_folder_with_the_results_of_other_options_is_refused_and_kept(call, finished, other):
    folder, *_ = finished
    before = {path: path.read_bytes() for path in (folder / "out" / "bengio2006").rglob("*") if path.is_file()}
    status, said = call(*other, "--out", folder / "out", "--minutes", "0")
    assert status == 2
    assert "holds other work" in said.err
    assert "--results" in said.err
    assert before == {path: path.read_bytes() for path in (folder / "out" / "bengio2006").rglob("*") if path.is_file()}


def test_the_help_names_the_rows_of_the_page(call):
    status, said = call("--help")
    assert status == 0
    words = " ".join(re.sub(r"[│\n]", " ", said.out).split())
    assert "Rows of the preset quick: exp2/dbn, exp2/autoassociator" in words
    assert "exp2/shallow/glorot" in words.partition("Rows of the preset paper:")[2]


TYPO = study.Claim("So.", study.claims.at_most(study.ERRORS[2], "exp2/dnb", 1))
WRONG = {
    "an empty docstring": (replace(bengio2006.STUDY, doc=" \n"), [], "the page has no docstring"),
    "a name with a space": (
        replace(bengio2006.STUDY, rows=lambda *_: [synthetic.row("a b")]),
        [],
        "the row name 'a b' is empty or has a space",
    ),
    "data of its own": (
        replace(bengio2006.STUDY, data=lambda options: read("digits")),
        ["--data", "mnist"],
        "this page has its own data (digits); leave out --data mnist",
    ),
    "a claim on no row": (
        replace(bengio2006.STUDY, claims=[TYPO]),
        [],
        "the claim 'So.' asks for the row 'exp2/dnb'; there are exp2/dbn, ",
    ),
}


@pytest.mark.parametrize(("page", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_page_that_cannot_be_is_refused_before_training(call, untrained, page, arguments, message):
    status, said = call(*arguments, page=page)
    assert status == 2
    assert said.err.splitlines()[-1].startswith(f"error: {message}")


@pytest.mark.parametrize("option", ["--seeds=one", "--preset=slow", "--nonsense"])
def test_options_are_checked(call, option):
    status, said = call(option)
    assert status == 2
    assert option.lstrip("-").split("=")[0] in said.err


def test_an_unreachable_coordinator_is_said_in_seconds():
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"no coordinator answers at localhost:1 .*; start process 0 there"):
        hosts.join("localhost:1", 2, 1, seconds=0.5)
    assert time.monotonic() - begin < 10


def test_devices_that_jax_has_made_before_are_used_and_that_is_said(monkeypatch, capsys):
    there = len(jax.devices())
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    for cores, said in ((there, ""), (there + 3, f"devices: {there}, CPU cores: {there + 3}, as JAX was used before")):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)), raising=False)
        hosts.use_every_core()
        assert said in capsys.readouterr().err
    assert len(jax.devices()) == there
    with pytest.raises(ValueError, match=r"--coordinator cannot be used in this process: .*before any"):
        hosts.join("localhost:9", 1, 0)


def test_a_platform_that_is_not_there_is_said_in_words(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cuda"}
    line = [sys.executable, "-m", "experiments", *QUICK]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "error: JAX_PLATFORMS=cuda asks for a platform that is not usable here" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_experiment_is_refused_and_the_known_are_named(capsys):
    from experiments.__main__ import FOLDER, main

    with pytest.raises(SystemExit) as stop:
        main(["bengio2007"])
    assert stop.value.code == 2
    known = sorted(["accelerators", "bench", *(path.stem for path in FOLDER.glob("[!_]*.py"))])
    assert f"there are {', '.join(known)}, report, verify" in capsys.readouterr().err


def test_the_settings_of_jax_are_those_of_the_options(call, monkeypatch):
    seen = {}
    monkeypatch.setattr(command.jax.config, "update", lambda name, value: seen.update({name: value}))
    for precision, preset in itertools.product(("float32", "tf32"), ("quick", "paper")):
        command.prepare(bengio2006.Options(precision=precision, preset=preset))
        assert seen["jax_default_matmul_precision"] == {"float32": "highest", "tf32": "tensorfloat32"}[precision]
        assert seen["jax_disable_most_optimizations"] == (preset == "quick"), "never for the paper's figures"
    assert bengio2006.Options(preset="paper").fresh_seeds() == 10
    assert bengio2006.Options(preset="quick").fresh_seeds() == 2
    assert bengio2006.Options(memory=0.5).bytes_a_device() == 500_000_000
