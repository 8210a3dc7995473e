import importlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlx.bench import timing
from dlx.data import DataError
from experiments import bench

ROOT = Path(bench.__file__).parents[1]
CONNECTIONS = 784 * 500 + 2 * 500 * 500 + 500 * 10
ROW = ["case", "runs", "gflops", "fraction_of_peak", "executed", "seconds_a_run", "compile_seconds", "memory_gb"]


@pytest.fixture
def calls(monkeypatch):
    """What is timed; each run of it takes half a second an epoch. The peak is 2 GFLOP/s."""
    made = []

    def timing(case, runs, data, **how):
        made.append((case.name, runs, len(data.train.x), how))
        return bench.Timing(0.5 * runs, 1.25, 3 * 10**9)

    monkeypatch.setattr(bench, "use_every_core", lambda: None)
    monkeypatch.setattr(bench, "row_memory", lambda data: len(data.train.x) / 10**5)
    monkeypatch.setattr(bench, "sgemm_gflops", lambda: 2.0)
    monkeypatch.setattr(bench, "timing", timing)
    return made


@pytest.fixture
def measured(calls, capsys):
    """The JSON object, and stderr."""
    bench.main(["--json", "--examples", "600", "--seeds", "3", "5"])
    out, err = capsys.readouterr()
    return json.loads(out), err


def by_hand(row):
    """FLOPs an example of a row: by convention, and those that are executed."""
    if not row["case"].startswith("finetune"):
        return 10 * 784 * 500, 10 * 784 * 500
    wide = "1000-1000-1000" if row["case"] == "finetune b500" else "500-500-500"
    widths = [784, *map(int, row.get("widths", wide).split("-")), 10]
    forward = [2 * a * b for a, b in pairwise(widths)]
    towards_weights, towards_inputs = forward, [0, *forward[1:]]
    return 3 * sum(forward), sum(forward) + sum(towards_weights) + sum(towards_inputs)


def test_speeds_are_the_flops_counted_by_hand_over_the_seconds(measured):
    found, _ = measured
    assert by_hand(found["alone"][0])[0] == 6 * CONNECTIONS
    for row in (row for name in bench.TABLES for row in found[name]):
        convention, executed = by_hand(row)
        gflops = 50_000 * convention / 0.5 / 1e9
        np.testing.assert_allclose(row["gflops"], gflops)
        np.testing.assert_allclose(row["fraction_of_peak"], gflops / 2)
        np.testing.assert_allclose(row["executed"], 50_000 * executed / 0.5 / 1e9 / 2)
        assert (row["seconds_a_run"], row["compile_seconds"], row["memory_gb"]) == (0.5, 1.25, 3)


def test_the_json_object_has_the_fields_of_the_committed_one(measured):
    found, _ = measured
    committed = json.loads((ROOT / "experiments/results/bench.json").read_text())
    assert list(found) == list(committed)
    assert list(found) == ["sgemm_gflops", "row_memory_gb", *bench.TABLES, "versions", "device", "revision"]
    assert found["sgemm_gflops"] == 2
    assert found["row_memory_gb"] == 0.5
    first = {"at_once": ["at_once"], "shapes": ["widths"], "devices": ["devices"], "devices_a_run": ["devices"]}
    for name in bench.TABLES:
        assert {tuple(row) for row in found[name]} == {(*first.get(name, []), *ROW)}


def test_what_each_table_measures(measured, calls):
    found, _ = measured
    rows = {name: [(row["case"], row["runs"]) for row in found[name]] for name in bench.TABLES}
    assert calls[0] == ("finetune b20", 1, 600, {"devices": 1})
    assert [call[:2] for call in calls] == [row for name in bench.TABLES for row in rows[name]]
    cases = [f"{name} b{batch}" for batch in (20, 100) for name in ("finetune", "autoassociate", "boltzmann")]
    assert rows["alone"] == [(case, 1) for case in cases]
    assert rows["sweep"] == [(case, 4) for case in cases]
    assert rows["seeds"] == [("finetune b100", 3), ("finetune b100", 5)]
    assert [row["at_once"] for row in found["at_once"]] == [1, 2, 4]
    shapes = [row["widths"].split("-") for row in found["shapes"]]
    assert [(width[0], len(width)) for width in shapes] == [(w, n) for w in ("500", "1000") for n in (1, 3, 5)]
    counts = [row["devices"] for row in found["devices"]]
    assert [how for name, runs, _, how in calls if name == "finetune b100" and runs == 8] == [
        {"devices": n} for n in counts
    ]
    assert [how for name, *_, how in calls if name == "finetune b500"] == [{"devices": n, "per_run": n} for n in counts]


def test_stderr_says_what_is_measured_a_line_a_row(measured, calls):
    _, err = measured
    lines = [line for line in err.splitlines() if line.startswith("[")]
    assert len(lines) == len(calls)
    for number, (line, (name, runs, *_)) in enumerate(zip(lines, calls, strict=True), 1):
        assert line.startswith(f"[{number}/{len(calls)}] ")
        assert f"{name}, {runs} run" in line
    assert any("500-500-500" in line for line in lines)


def test_the_tables_are_printed_in_their_order(calls, capsys):
    bench.main(["--seeds", "7"])
    out = capsys.readouterr().out
    places = [out.index(title) for title in bench.TABLES.values()]
    assert places == sorted(places)
    cells = [line.replace("│", "|").split("|") for line in out.splitlines() if "finetune b100" in line]
    seven = next(line for line in cells if any(cell.strip() == "7" for cell in line))
    gflops = 50_000 * 6 * CONNECTIONS / 0.5 / 1e9
    shown = [cell.strip() for cell in seven if cell.strip()]
    executed = (6 * CONNECTIONS - 2 * 784 * 500) / (6 * CONNECTIONS)
    speed = [f"{gflops:.0f}", f"{gflops / 2:.0%}", f"{gflops / 2 * executed:.0%}"]
    assert shown == ["finetune b100", "7", *speed, "0.50", "1.2", "3.00"]
    assert "sgemm peak 2 GFLOP/s; one run peaks at 0.50 GB" in out


@pytest.mark.parametrize("arguments", [["--examples", "499"], ["--examples", "0"], ["--examples", "-5000"]])
def test_fewer_examples_than_the_largest_minibatch_are_refused(calls, capsys, arguments):
    with pytest.raises(SystemExit) as end:
        bench.main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert (out, calls) == ("", [])
    assert err.startswith(f"error: --examples {arguments[1]} ")
    assert "500" in err


def test_an_epoch_of_one_minibatch_is_enough(calls, capsys):
    bench.main(["--examples", "500"])
    assert calls


@pytest.mark.parametrize("seeds", [["0"], ["2", "-1"], []])
def test_numbers_of_runs_that_cannot_be_are_refused(calls, capsys, seeds):
    with pytest.raises(SystemExit) as end:
        bench.main(["--seeds", *seeds])
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert (out, calls) == ("", [])
    assert err.startswith("error: --seeds ")
    assert err.endswith(f"given: {' '.join(seeds) or 'none'}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--page", "nonsense"], "--page 'nonsense' is no page of experiments"),
        (["--page", "bench"], "--page 'bench' is no page of experiments"),
        (["--page", "__main__"], "--page '__main__' is no page of experiments"),
        (["--page", "optimizers", "--measurements", "0"], "--measurements must be at least 1, not 0"),
        (["--page", "optimizers", "--measurements", "-2"], "--measurements must be at least 1, not -2"),
    ],
)
def test_a_page_that_there_is_not_and_measurements_that_cannot_be_are_refused(
    calls, capsys, monkeypatch, arguments, said
):
    monkeypatch.setattr(bench.clock, "measure", lambda *asked: calls.append(asked))
    with pytest.raises(SystemExit) as end:
        bench.main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out, calls) == (2, "", [])
    assert err == f"error: {said}\n"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_the_seconds_of_a_page_are_a_json_object_alone_on_stdout(calls, capsys, monkeypatch, more):
    asked = []

    def measure(study, data, repeats, say):
        asked.append((study, data, repeats))
        say("measuring, 1 of 3")
        return {"data": "kmnist", "rows": {"a": [0.5, np.float64(0.25)]}}

    monkeypatch.setattr(bench.clock, "measure", measure)
    bench.main(["--page", "optimizers", "--data", "kmnist", "--measurements", "3", *more])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert list(found) == ["data", "rows", "versions", "device", "revision"]
    assert (found["data"], found["rows"]) == ("kmnist", {"a": [0.5, 0.25]})
    assert err == "measuring, 1 of 3\n"
    assert asked == [(importlib.import_module("experiments.optimizers").STUDY, "kmnist", 3)]
    assert calls == [], "nothing else is timed"


def test_data_that_cannot_be_had_are_refused_in_words(calls, capsys, monkeypatch):
    def measure(*asked):
        raise DataError("there is no data set nonsense")

    monkeypatch.setattr(bench.clock, "measure", measure)
    with pytest.raises(SystemExit) as end:
        bench.main(["--page", "optimizers", "--data", "nonsense"])
    assert end.value.code == 2
    assert capsys.readouterr() == ("", "error: there is no data set nonsense\n")


def test_an_interrupt_ends_with_one_line(calls, capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "sgemm_gflops", interrupted)
    with pytest.raises(SystemExit) as end:
        bench.main([])
    out, err = capsys.readouterr()
    assert end.value.code == 130
    assert out == ""
    assert err.splitlines()[-1] == "stopped"


def test_seconds_of_an_epoch_are_half_of_what_two_more_epochs_take(monkeypatch):
    """Each pair is one epoch's time and three epochs' time; the fastest of each counts."""
    times = iter([7.0, 2.0, 9.0, 1.0, 5.0, 3.0, 8.0, 2.0, 7.0])
    monkeypatch.setattr(timing, "wall_time", lambda call: next(times))
    data = bench.random_data(400)
    time = bench.timing(bench.finetuning((4,), batch=20), 1, data)
    np.testing.assert_allclose(time.epoch, (5 - 1) / 2 * 50_000 / 400)
    assert time.compile == 7
    assert not list(times)


def test_a_tiny_case_is_timed():
    time = bench.timing(bench.finetuning((4,), batch=20), 2, bench.random_data(200))
    pixels = (200 + 100 + 100) * 784
    assert np.isfinite(time.epoch)
    assert time.compile > 0
    assert pixels < time.memory < 20 * pixels


def test_a_product_of_matrices_is_timed():
    assert 0.01 < bench.sgemm_gflops(256, repeats=2) < 10**5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the second opinion is Linux's")
def test_the_memory_of_a_run_is_the_peak_of_this_process(monkeypatch):
    monkeypatch.setattr(bench, "WIDTHS", (8, 8))
    found = bench.row_memory(bench.random_data(500))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    np.testing.assert_allclose(found, int(status["VmHWM"].split()[0]) / 2**20, rtol=0.05)


def start(*command, before=(sys.executable,), **environment):
    return subprocess.Popen(
        [*before, *command],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


CUDA = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))


@pytest.mark.parametrize(
    "platform", ["nonsense", pytest.param("cuda", marks=pytest.mark.skipif(CUDA, reason="jax has CUDA here"))]
)
def test_a_platform_that_is_not_there_is_said_in_words(platform):
    out, err = (process := start("-m", "experiments", "bench", JAX_PLATFORMS=platform)).communicate(timeout=120)
    assert process.returncode == 2
    assert out == ""
    assert err.startswith(f"error: JAX_PLATFORMS={platform} ")
    assert err.count("\n") == 1


def wait_for_the_package(process):
    """Python prints a line for each module that it has imported, if it is asked to."""
    for line in process.stderr:
        if line.split("|")[-1].strip() == "experiments":
            return


def without_imports(err):
    return [line for line in err.splitlines() if not line.startswith("import time:")]


@pytest.mark.parametrize(
    ("module", "delay"),
    [*((["experiments", "bench"], delay) for delay in (0.0, 0.1, 0.3, 0.5, 1.0, 2.0)), (["experiments.bench"], 0.3)],
)
def test_an_interrupt_at_any_moment_of_the_start_ends_with_one_line(module, delay):
    process = start("-X", "importtime", "-m", *module)
    wait_for_the_package(process)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    said = [line for line in without_imports(err) if not line.startswith("measuring ")]
    assert said == ["stopped"]
    assert process.returncode == 130
    assert out == ""


def test_an_interrupt_between_imports_ends_with_one_line():
    """Where no module is being imported, Python itself is left to say what the error was."""
    stop = "import sys; sys.argv[:] = ['-m']; import experiments; import signal; signal.raise_signal(signal.SIGINT)"
    _, err = (process := start("-c", stop)).communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped\n")


def test_errors_of_other_kinds_are_shown_as_python_does():
    fail = "import sys; sys.argv[:] = ['-m']; import experiments; 1 / 0"
    _, err = (process := start("-c", fail)).communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_interrupts_stay_ignored_where_they_were():
    """A shell script starts its background jobs so."""
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable]
    process = start("-X", "importtime", "-m", "experiments", "bench", "--examples", "0", before=ignoring)
    wait_for_the_package(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert without_imports(err)[0].startswith("error: --examples 0 ")


def test_importing_the_package_elsewhere_changes_nothing():
    look = "import signal, sys; import experiments; print(signal.getsignal(2) is signal.default_int_handler)"
    look += "; print(sys.excepthook is sys.__excepthook__)"
    out, _ = start("-c", look).communicate(timeout=60)
    assert out.split() == ["True", "True"]


@pytest.fixture
def device(calls, monkeypatch, tmp_path):
    """Calls `bench --device`, and gives what it wrote."""

    def call(*arguments):
        monkeypatch.setattr(
            bench, "product_gflops", lambda precision: {"highest": 4.0, "tensorfloat32": 40.0}[precision]
        )
        bench.main(["--device", "--out", str(tmp_path), *arguments])
        (path,) = tmp_path.glob("*.json")
        return path.stem, json.loads(path.read_text())

    return call


def test_a_device_is_measured_in_both_precisions_at_full_size_and_a_file_is_written(device, calls, monkeypatch):
    monkeypatch.setattr(bench, "table_seconds", lambda: 77.0)
    name, found = device()
    assert {case[2] for case in calls} == {50_000}
    assert [(row["precision"], row["runs"]) for row in found["rows"][:8]] == [
        ("float32", n) for n in (1, 8, 32, 128, 1, 8, 32, 128)
    ]
    assert found["table_seconds"] == 77.0
    assert found["peak_gflops"]["tf32"] == 10 * found["peak_gflops"]["float32"] > 0
    float32, tf32 = ([row for row in found["rows"] if row["precision"] == name] for name in ("float32", "tf32"))
    assert len(float32) == len(tf32) == 6 * 4
    assert float32[0]["fraction_of_peak"] == pytest.approx(10 * tf32[0]["fraction_of_peak"])
    assert name == "-".join(part for part in re.split(r"[^a-z0-9]", found["device"].lower()) if part)


def test_the_table_is_left_out_when_asked_and_its_failure_costs_no_figure(device, monkeypatch):
    _, found = device("--no-table", "--seeds", "3")
    assert (found["table_seconds"], {row["runs"] for row in found["rows"]}) == (None, {3})
    monkeypatch.setattr(bench.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=2))
    assert bench.table_seconds() is None


def test_the_table_is_timed_from_nothing_to_its_report(monkeypatch):
    commands = []
    monkeypatch.setattr(
        bench.subprocess, "run", lambda *how, **_: commands.append(how) or SimpleNamespace(returncode=0)
    )
    assert 0 <= bench.table_seconds() < 1
    ((command,),) = commands
    assert command[1:6] == ["-m", "experiments", "bengio2006", "--preset", "paper"]


def test_a_product_is_timed_on_the_device():
    assert bench.product_gflops("highest", n=64) > 0
