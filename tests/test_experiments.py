"""The contract of an experiment, on the quick preset: records, results, resuming, errors."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import __main__ as listing
from experiments import bench, bengio2006, contract
from experiments.bengio2006 import Config, Hypers
from experiments.protocol import Unit, choose, search_units, seed_units, verdict

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "experiments.bengio2006", "--preset", "quick", "--out", "out"]


def start(folder, cache):
    folder.mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("uninterrupted")
    with start(folder, cache) as process:
        stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr.decode()[-2000:]
    return folder / "out" / "bengio2006", stdout.decode(), stderr.decode()


def records(folder, kind):
    return {
        str(path.relative_to(folder / "units" / kind)): json.loads(path.read_text())["record"]
        for path in sorted((folder / "units" / kind).rglob("*.json"))
    }


def test_results_follow_from_the_records(finished):
    folder, _, _ = finished
    results = json.loads((folder / "results.json").read_text())
    for row in results["rows"]:
        split = row["metric"].split()[0]
        runs = [
            run
            for name, record in records(folder, "final").items()
            if name.startswith(row["row"] + "/")
            for run in record["runs"]
        ]
        errors = 100 * np.array([run[split] for run in runs])
        assert row["n"] == len(errors) == 2
        np.testing.assert_allclose(row["mean"], errors.mean())
        half = stats.t.ppf(0.975, len(errors) - 1) * stats.sem(errors)
        np.testing.assert_allclose((row["low"], row["high"]), errors.mean() + half * np.array([-1, 1]))
        assert row["paper"] is None, "figures of digits are never shown beside the paper's"
    assert len(results["rows"]) == 2 * 6 * 3
    assert results["data"]["name"] == "digits"
    assert results["data"]["variant"] == "embedded"
    assert {"experiment", "preset", "command", "revision", "seconds", "device", "versions"} <= set(results)


def test_the_search_sees_validation_errors_only_and_decides_what_is_trained(finished):
    folder, _, _ = finished
    searched, final = records(folder, "search"), records(folder, "final")
    assert all("test" not in run for record in searched.values() for run in record["runs"])
    for row in bengio2006.TITLES:
        (record,) = (r for name, r in searched.items() if name.startswith(f"exp2/{row}/"))
        best = min(range(2), key=lambda i: record["runs"][i]["valid"])
        (trained,) = (r for name, r in final.items() if name.startswith(f"exp2/{row}/"))
        assert trained["identity"]["hypers"] == [record["identity"]["hypers"][best]] * 2
        assert 0 not in trained["identity"]["seeds"], "the search's seed is not among the fresh ones"


def test_report_and_figures_are_whole(finished):
    folder, stdout, stderr = finished
    text = (folder / "report.md").read_text()
    for name in ("curves.png", "bars.png", "filters.png"):
        assert f"]({name})" in text
        assert (folder / name).stat().st_size <= 200_000
    for title in bengio2006.TITLES.values():
        assert title in text
        assert title in stdout
    assert "fine-tuning" in stderr


def test_killed_at_any_moment_it_resumes_to_the_same_results(finished, cache, tmp_path):
    moments = random.Random(0)
    process = start(tmp_path, cache)
    for _ in range(4):
        try:
            process.wait(moments.uniform(4, 9))
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            process = start(tmp_path, cache)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr.decode()[-2000:]

    def results(folder):
        content = json.loads((folder / "results.json").read_text())
        del content["seconds"]
        return content

    assert results(tmp_path / "out" / "bengio2006") == results(finished[0])


def test_the_same_command_again_does_nothing_twice(finished, monkeypatch):
    folder, _, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "units").rglob("*")}
    results = (folder / "results.json").read_bytes()
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.setattr(contract, "use_every_core", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bengio2006", *COMMAND[3:]])
    contract.main("bengio2006", bengio2006.Options, "", bengio2006.run)
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "units").rglob("*")}
    assert (folder / "results.json").read_bytes() == results


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command in this process; its exit status and what it said on stderr."""
    monkeypatch.setattr(contract, "use_every_core", lambda: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bengio2006", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            contract.main("bengio2006", bengio2006.Options, "", bengio2006.run)
        return stop.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--data", "nonsense"], "unknown data set 'nonsense'"),
        (["--out", "{file}"], "cannot be used"),
        (["--out", "{foreign}"], "not dlx's"),
    ],
)
def test_bad_input_gets_one_clear_error(call, tmp_path, arguments, message):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign" / "bengio2006").mkdir(parents=True)
    (tmp_path / "foreign" / "bengio2006" / "thesis.tex").write_text("mine")
    code, stderr = call(*(a.format(file=tmp_path / "file", foreign=tmp_path / "foreign") for a in arguments))
    assert code == 2
    assert stderr.startswith("error: ")
    assert message in stderr
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["file", "thesis.tex"]


def test_a_folder_of_another_configuration_is_refused_and_kept(call, finished):
    folder, _, _ = finished
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, stderr = call("--preset", "paper", "--data", "digits", "--out", folder.parent)
    assert code == 2
    assert "preset: quick there, paper now" in stderr
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--seeds=one", "--preset=slow", "--nonsense"])
def test_options_are_checked(call, option):
    code, stderr = call(option)
    assert code == 2
    assert option.lstrip("-").split("=")[0] in stderr


def test_every_experiment_is_listed():
    text = listing.listing()
    for name in ("bench", "bengio2006"):
        assert f"\n{name} " in text
    assert "Lecture" in text
    assert "protocol" not in text


CONFIGS = [Config("deep", (8, 8, 8), 0, epochs=2, patience=1), Config("deep", (4, 4, 4), 0, epochs=2, patience=1)]


def test_units_hold_every_trial_and_every_seed_once():
    trials = [(config, Hypers(rate)) for config in CONFIGS for rate in (0.1, 0.2, 0.3)]
    units = search_units("exp2/deep", trials, lanes=2)
    assert [(u.config, h) for u in units for h in u.hypers] == trials
    assert {u.seeds for u in units} <= {(0, 0), (0,)}
    finals = seed_units("exp2/deep", trials[0], seeds=5, lanes=2)
    assert [u.seeds for u in finals] == [(1, 2), (3, 4), (5,)]
    assert len({u.name for u in units + finals}) == len(units) + len(finals)


def test_the_choice_has_the_lowest_validation_error_of_the_converged():
    unit = Unit("u", CONFIGS[0], tuple(Hypers(rate) for rate in (1.0, 2.0, 3.0)), (0, 0, 0))
    runs = [{"diverged": d, "valid": v} for d, v in ((False, 0.3), (False, 0.2), (True, "nan"))]
    assert choose([unit], [{"runs": runs}]) == (CONFIGS[0], Hypers(2.0))


@pytest.mark.parametrize(
    ("mean", "low", "high", "paper", "words"),
    [
        (None, None, None, 1.2, "every run diverged"),
        (1.3, 1.2, 1.4, None, "no figure"),
        (1.3, 1.2, 1.4, 1.2, "not told apart"),
        (1.3, None, None, 1.2, "not told apart"),  # the paper's own interval is 1.2 ± 0.21
        (1.8, 1.7, 1.9, 1.2, "higher than the paper's by 0.60"),
        (1.8, 1.7, 1.9, 2.4, "lower than the paper's by 0.60"),
    ],
)
def test_verdicts(mean, low, high, paper, words):
    assert words in verdict(mean, low, high, paper, 10_000)


def test_the_benchmark_prints_what_it_promises(monkeypatch, capsys):
    monkeypatch.setattr(bench, "use_every_core", lambda: None)
    monkeypatch.setattr(bench, "WIDTHS", (784, 8, 8, 10))
    monkeypatch.setattr(bench, "cases", lambda every=bench.cases: itertools.islice(every(), 1))
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--examples", "400"])
    bench.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["sgemm_gflops"] > 0
    (row,) = printed["rows"]
    assert row["case"] == "finetune b20"
    np.testing.assert_allclose(row["fraction_of_peak"] * printed["sgemm_gflops"], row["gflops"])
    connections = 784 * 8 + 8 * 8 + 8 * 10
    np.testing.assert_allclose(row["gflops"] * row["epoch_seconds"] * 1e9, 6 * connections * 400)
