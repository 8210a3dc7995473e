"""The contract of an experiment, on the quick preset: records, results, resuming, errors."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy import stats

from dlx.store import Store
from experiments import __main__ as listing
from experiments import bench, bengio2006, contract
from experiments.bengio2006 import Config, Hypers
from experiments.bengio2006_plan import PAPER, Block, cells, plan, search, wanted
from experiments.bengio2006_space import Cell, trials
from experiments.protocol import Unit, Workshop
from experiments.search import grid, ranked, sample

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
    """Records by cell and unit."""
    found = {}
    for path in sorted((folder / "units" / kind).rglob("*.json")):
        cell = str(path.parent.relative_to(folder / "units" / kind))
        found.setdefault(cell, []).append(json.loads(path.read_text())["record"])
    return found


CELLS = list(wanted(bengio2006.Options()))


def test_results_follow_from_the_records(finished):
    folder, _, _ = finished
    results, final = json.loads((folder / "results.json").read_text()), records(folder, "final")
    for row in results["rows"]:
        errors = [100 * record[row["metric"].split()[0]] for record in final[row["row"]]]
        assert row["n"] == len(errors) == 2
        np.testing.assert_allclose(sorted(row["values"]), sorted(errors))
        np.testing.assert_allclose(row["mean"], np.mean(errors))
        half = stats.t.ppf(0.975, len(errors) - 1) * stats.sem(errors)
        np.testing.assert_allclose((row["low"], row["high"]), np.mean(errors) + half * np.array([-1, 1]))
        assert row["paper"] is None, "figures of digits are never shown beside the paper's"
    for record in itertools.chain(*final.values()):
        assert len(record["wrong"]) / 300 == pytest.approx(record["test"]), "300 of the digits are for testing"
    assert [row["row"] for row in results["rows"][::3]] == [cell.name for cell in CELLS]
    assert results["data"]["name"] == "digits"
    assert results["data"]["variant"] == "embedded"
    assert {"experiment", "preset", "command", "revision", "seconds", "device", "versions"} <= set(results)


def test_the_search_sees_validation_errors_only_and_decides_what_is_trained(finished):
    folder, _, _ = finished
    searched, final = records(folder, "search"), records(folder, "final")
    assert not {"test", "wrong"} & set().union(*itertools.chain(*searched.values()))
    for cell in CELLS:
        tried, trained = searched[cell.name], final[cell.name]
        assert len(tried) == 2
        least = min(record["valid"] for record in tried)
        best = [record["identity"] for record in tried if record["valid"] == least]
        for record in trained:
            identity = record["identity"]
            assert identity["seed"] > 0, "the search's seed is not among the fresh ones"
            assert (identity["config"], identity["hypers"]) in [(one["config"], one["hypers"]) for one in best]
            starts = [one["start"] and one["start"]["hypers"] for one in best]
            assert (identity["start"] and identity["start"]["hypers"]) in starts


def test_layers_are_trained_once_for_both_experiments(finished):
    """Layer 1 of seeds 1 and 2: one record each, though Experiments 2 and 3 both stand on them."""
    layers = [record["identity"] for record in records(finished[0], "layers")["dbn"]]
    assert len([one for one in layers if one["seed"] > 0 and len(one["config"]["widths"]) == 1]) == 2
    assert len([one for one in layers if one["config"]["widths"][1:] == [20]]) == 3, "seeds 0, 1 and 2"


def test_the_committed_records_are_a_folder_of_finished_work(finished, tmp_path, monkeypatch):
    folder, _, _ = finished
    with tarfile.open(folder / "records.tar.xz") as tar:
        tar.extractall(tmp_path / "out" / "bengio2006", filter="data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contract, "use_every_core", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bengio2006", *COMMAND[3:]])
    monkeypatch.setattr(Workshop, "_work", lambda *_: pytest.fail("nothing is left to be trained"))
    contract.main("bengio2006", bengio2006.Options, "", bengio2006.run)
    for name in ("results.json", "report.md", "report.html", "filters.png"):
        assert (tmp_path / "out" / "bengio2006" / name).read_bytes() == (folder / name).read_bytes()


def test_report_and_figures_are_whole(finished):
    folder, stdout, stderr = finished
    text, page = ((folder / name).read_text() for name in ("report.md", "report.html"))
    for name in ("curves.png", "bars.png", "filters.png", "search2.png", "search3.png"):
        assert f"]({name})" in text
        assert (folder / name).stat().st_size <= 200_000
    assert page.count("data:image/png;base64,") == 5
    assert (folder / "report.html").stat().st_size < 400_000
    for cell in CELLS:
        assert bengio2006.TITLES[cell.row] in stdout
        assert cell.name in text
    assert "at once take" in stderr
    assert "fine-tuning" in stderr


def test_out_of_time_it_reports_what_is_finished(finished, tmp_path, monkeypatch, capsys):
    """A folder with the records of Experiment 2 alone, and no minute to add to them."""
    folder, _, _ = finished
    shutil.copytree(folder, tmp_path / "out" / "bengio2006", ignore=shutil.ignore_patterns("exp3"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contract, "use_every_core", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bengio2006", *COMMAND[3:], "--minutes", "0", "--tensorboard"])
    contract.main("bengio2006", bengio2006.Options, "", bengio2006.run)
    rows = json.loads((tmp_path / "out" / "bengio2006" / "results.json").read_text())["rows"]
    assert {row["experiment"] for row in rows} == {2}
    assert "exp3/dbn (0 of 2)" in (tmp_path / "out" / "bengio2006" / "report.md").read_text()
    assert len(list((tmp_path / "out" / "bengio2006" / "tensorboard").rglob("*tfevents*"))) == 2 * len(rows) // 3


def test_killed_at_any_moment_it_resumes_to_the_same_results_and_two_share_the_rest(finished, cache, tmp_path):
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
    pair = [process, start(tmp_path, cache)]
    said = [process.communicate(timeout=300)[1].decode() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said[0][-2000:] + said[1][-2000:]
    mine, others = ({line.split()[1] for line in text.splitlines() if "  done in " in line} for text in said)
    assert not mine & others, "units that both processes trained"

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


def test_a_process_takes_the_first_unit_that_no_other_has_and_those_like_it(tmp_path, monkeypatch):
    other = replace(CONFIG, k=2)
    units = [Unit("group", config, Hypers(0.1), seed) for seed in range(4) for config in (CONFIG, other)]
    store = Store(tmp_path)
    shop = Workshop(bengio2006.Options(), store, bengio2006.procedure, None, {}, None, None)
    assert shop._take(units) == units[0:3:2], "as many as there are devices"
    taken = {unit.name for unit in units[:2]}
    monkeypatch.setattr(Store, "claim", lambda _, name: name not in taken)
    assert shop._take(units) == units[2:5:2]
    store.save(units[2].name, {})
    assert shop._take(units) == units[3:6:2]
    assert shop._take(units[:2]) == []


@pytest.fixture
def call(monkeypatch, capsys, tmp_path_factory):
    """Run the command in this process and an empty folder; its exit status and what it said on stderr."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
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
        (["--rates", "nan"], "rate nan cannot be searched"),
        (["--rates", "-1"], "rate -1.0 cannot be searched"),
        (["--rates"], "nothing to try"),
        (["--search", "random", "--trials", "0"], "at least one trial, not 0"),
        (["--devices", "99"], "--devices 99 are more than the 2 runs"),
        (["--devices", "99", "--seeds", "99"], "99 devices asked for; there are"),
        (["--devices-per-run", "99"], "99 devices a run do not divide"),
        (["--memory", "1e-6"], "GB on each device, which is more than the 0.00 GB"),
        (["--minutes", "nan"], "--minutes must be a number"),
        (["--num-processes", "2"], "--coordinator HOST:PORT, --num-processes N and --process-id"),
        (["--coordinator", "nowhere", "--num-processes", "2", "--process-id", "1"], "is not HOST:PORT"),
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


CONFIG = Config("deep", (8, 8, 8), 0, epochs=2, patience=1)
SPACE = [(CONFIG, {"rate": (0.1, 1.0)}), (replace(CONFIG, k=2), {"rate": (0.1, 1.0), "masking": (0.0, 0.5)})]


def test_a_grid_holds_every_combination_once():
    tried = grid(SPACE, Hypers)
    assert tried[:2] == [(CONFIG, Hypers(0.1)), (CONFIG, Hypers(1.0))]
    assert {(h.rate, h.masking) for config, h in tried if config.k == 2} == {(0.1, 0), (0.1, 0.5), (1, 0), (1, 0.5)}
    assert len(tried) == 6


def test_a_random_search_stays_in_the_space_and_is_uniform_on_a_logarithmic_scale():
    tried = sample(SPACE, Hypers, 2000)
    assert tried == sample(SPACE, Hypers, 2000)
    rates = np.log10([hypers.rate for _, hypers in tried])
    assert stats.kstest(rates, stats.uniform(-1, 1).cdf).pvalue > 0.001
    masking = [hypers.masking for config, hypers in tried if config.k == 2]
    assert stats.kstest(masking, stats.uniform(0, 0.5).cdf).pvalue > 0.001
    assert abs(len(masking) / 2000 - 0.5) < 0.05


def test_units_of_other_runs_have_other_names():
    units = [Unit("group", CONFIG, Hypers(rate), seed) for rate in (0.1, 0.2) for seed in (0, 1)]
    units += [unit._replace(start=units[0]) for unit in units] + [unit._replace(start=units[1]) for unit in units]
    units.append(units[0]._replace(config=replace(CONFIG, k=2)))
    assert len({unit.name for unit in units}) == len(units)


def test_the_converged_are_ranked_by_validation_error_before_the_diverged():
    tried = [(CONFIG, Hypers(rate)) for rate in (1.0, 2.0, 3.0)]
    records = [{"diverged": d, "valid": v} for d, v in ((False, 0.3), (True, "nan"), (False, 0.2))]
    assert ranked(tried, records) == [tried[2], tried[0], tried[1]]


def test_rows_of_the_paper_that_are_compared_have_equal_searches():
    options = bengio2006.Options(preset="paper")
    deep = [row for experiment, row in PAPER if experiment == 2 and row != "shallow"]
    firsts = {row: trials(options, Cell(2, row), {}) for row in deep}
    later = [trials(options, Cell(3, row), {Cell(2, row): firsts[row][0]}) for row in deep]
    assert {len(tried) for tried in firsts.values()} == {16}
    assert {len(tried) for tried in later} == {7}
    assert {config.widths[-1] for tried in later for config, _ in tried} == {20}


def test_what_a_row_of_ours_takes_over():
    options = bengio2006.Options(preset="paper", search="random")
    before, one = Cell(2, "autoassociator"), (replace(CONFIG, row="autoassociator"), Hypers(1.4, 0.2))
    masked = trials(replace(options, search="grid"), Cell(2, "denoising"), {before: one})
    assert masked == [(replace(CONFIG, row="denoising"), Hypers(1.4, 0.2, v)) for v in (0.1, 0.25, 0.4)]
    other = trials(options, before._replace(initializer="glorot"), {before: one})
    assert other == [(replace(one[0], initializer="glorot"), one[1])]
    units, found = search(options, before, other, lambda unit: pytest.fail("there is nothing to compare"))
    assert found.chosen == other[0]
    assert not units


def as_good_as_its_rate(unit):
    return {"diverged": False, "valid": unit.hypers.rate}


def test_successive_halving_trains_the_better_half_to_the_end():
    cell, options = Cell(2, "deep"), bengio2006.Options(halving=True)
    given = [(replace(CONFIG, epochs=10), Hypers(rate)) for rate in (0.5, 0.2, 0.4)]
    brief = [(3, 0.5), (3, 0.2), (3, 0.4)]
    units, found = search(options, cell, given, lambda unit: None)
    assert [(unit.config.epochs, unit.hypers.rate) for unit in units] == brief
    assert found is None
    units, found = search(options, cell, given, as_good_as_its_rate)
    assert [(unit.config.epochs, unit.hypers.rate) for unit in units] == [*brief, (10, 0.2), (10, 0.4)]
    assert found.chosen == given[1]
    assert len(found.trials) == len(found.tried) == 5


def test_the_plan_follows_from_what_is_finished():
    """Told that whatever was planned is finished, it plans more until every cell has its seeds."""
    options = bengio2006.Options(preset="paper", seeds=4, seeds_today=2)
    finished, before = set(), None

    def record(unit):
        return as_good_as_its_rate(unit) if unit.name in finished else None

    while len(finished) != before:
        before = len(finished)
        units, outcomes = plan(options, record)
        fresh = [unit for unit in units if unit.name not in finished]
        for block in get_args(Block):
            names = {cell.name for cell in cells(block)}
            seeds = [unit.seed for unit in fresh if unit.group.split("/", 1)[1] in names]
            assert seeds == sorted(seeds), "the search, which has seed 0, and then seed by seed"
        finished.update(unit.name for unit in units)
    assert {cell: len(outcome.trained) for cell, outcome in outcomes.items()} == wanted(options)
    searches = [outcome.search for outcome in outcomes.values() if outcome.search.tried]
    assert all(search.chosen[1].rate == min(h.rate for _, h in search.trials) for search in searches)


def test_an_unreachable_coordinator_is_said_in_seconds():
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"no coordinator answers at localhost:1 .*; start process 0 there"):
        contract.join("localhost:1", 2, 1, seconds=0.5)
    assert time.monotonic() - start < 10


def test_the_benchmark_prints_what_it_promises(monkeypatch, capsys):
    monkeypatch.setattr(bench, "use_every_core", lambda: None)
    monkeypatch.setattr(bench, "EXAMPLES", 400)
    monkeypatch.setattr(bench, "sgemm_gflops", lambda: 2.0)
    monkeypatch.setattr(bench, "timing", lambda case, runs, data, **how: bench.Timing(0.5 * runs, 1.0, 10**9))
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--examples", "200", "--seeds", "3"])
    bench.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed["row_memory_gb"] > 0
    connections = 784 * 500 + 2 * 500 * 500 + 500 * 10
    row = printed["sweep"][0]
    assert (row["case"], row["runs"], row["seconds_a_run"]) == ("finetune b20", 4, 0.5)
    np.testing.assert_allclose(row["gflops"] * row["seconds_a_run"] * 1e9, 6 * connections * 400)
    np.testing.assert_allclose(row["fraction_of_peak"], row["gflops"] / 2)
    assert [row["runs"] for row in printed["seeds"]] == [3]
    monkeypatch.setattr(sys, "argv", ["bench"])
    bench.main()
    text = capsys.readouterr().out
    assert all(title in text for title in bench.TABLES.values())


def test_the_benchmark_times_runs():
    case = bench.finetuning((4,), batch=20)
    time = bench.timing(case, 2, bench.random_data(200))
    assert np.isfinite(time.epoch)
    assert time.compile > 0
    assert time.memory > 200 * 784
