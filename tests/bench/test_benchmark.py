"""The command of the benchmark: its numbers by hand, what it prints and writes, and what it refuses."""

import importlib
import json
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlx.bench import command, machine
from dlx.bench.machine import TABLES
from dlx.data import DataError

RESULTS = Path(command.__file__).parents[2] / "experiments" / "results"
READ = {"simple": 1, "gru": 3, "lstm": 4}
"""Products of a step with the input, and with the state, by recurrent cell."""
CONNECTIONS = 784 * 500 + 2 * 500 * 500 + 500 * 10
SEEN = {
    "lenet5": [28 * 28 * 6 * 25, 10 * 10 * 16 * 6 * 25, 400 * 120, 120 * 84, 84 * 10],
    "convnetjs": [24 * 24 * 8 * 25, 12 * 12 * 16 * 8 * 25, 256 * 10],
}
"""The connections of the nets that see images, layer by layer."""
ROW = ["case", "runs", "gflops", "fraction_of_peak", "executed", "seconds_a_run", "compile_seconds", "memory_gb"]


@pytest.fixture
def measured(call, calls, capsys):
    """The JSON object, and stderr."""
    call("--json", "--examples", "600", "--seeds", "3", "5")
    out, err = capsys.readouterr()
    return json.loads(out), err


def by_hand(row):
    """FLOPs an example of a row: by convention, and those that are executed."""
    name = row["case"].partition(" ")[0]
    if name in READ:
        inputs, states = (28 * READ[name] * 128 * a for a in (28, 128))
        return 6 * (inputs + states + 1280), 4 * inputs + 6 * (states + 1280)
    if name in SEEN:
        forward = [2 * n for n in SEEN[name]]
        return 3 * sum(forward), 3 * sum(forward) - forward[0]
    if name != "finetune":
        return 10 * 784 * 500, 10 * 784 * 500
    wide = "1000-1000-1000" if row["case"] == "finetune b500" else "500-500-500"
    widths = [784, *map(int, row.get("widths", wide).split("-")), 10]
    forward = [2 * a * b for a, b in pairwise(widths)]
    towards_weights, towards_inputs = forward, [0, *forward[1:]]
    return 3 * sum(forward), sum(forward) + sum(towards_weights) + sum(towards_inputs)


def test_speeds_are_the_flops_counted_by_hand_over_the_seconds(measured):
    numbers, _ = measured
    assert by_hand(numbers["alone"][0])[0] == 6 * CONNECTIONS
    for row in (row for name in TABLES for row in numbers[name]):
        convention, executed = by_hand(row)
        gflops = 50_000 * convention / 0.5 / 1e9
        np.testing.assert_allclose(row["gflops"], gflops)
        np.testing.assert_allclose(row["fraction_of_peak"], gflops / 2)
        np.testing.assert_allclose(row["executed"], 50_000 * executed / 0.5 / 1e9 / 2)
        assert (row["seconds_a_run"], row["compile_seconds"], row["memory_gb"]) == (0.5, 1.25, 3)


def test_the_json_object_has_the_fields_of_the_committed_one(measured):
    numbers, _ = measured
    committed = json.loads((RESULTS / "bench.json").read_text())
    assert list(numbers) == list(committed)
    assert list(numbers) == ["sgemm_gflops", "row_memory_gb", *TABLES, "versions", "device", "revision"]
    assert numbers["sgemm_gflops"] == 2
    assert numbers["row_memory_gb"] == 0.5
    first = {"at_once": ["at_once"], "shapes": ["widths"], "devices": ["devices"], "devices_a_run": ["devices"]}
    for name in TABLES:
        assert {tuple(row) for row in numbers[name]} == {(*first.get(name, []), *ROW)}


def test_what_each_table_measures(measured, calls):
    numbers, _ = measured
    rows = {name: [(row["case"], row["runs"]) for row in numbers[name]] for name in TABLES}
    assert calls[0] == ("finetune b20", 1, 600, {"devices": 1})
    assert [call[:2] for call in calls] == [row for name in TABLES for row in rows[name]]
    cases = [f"{name} b{batch}" for batch in (20, 100) for name in ("finetune", "autoassociate", "boltzmann", *SEEN)]
    assert rows["alone"] == [(case, 1) for case in (*cases, *(f"{cell} b100" for cell in READ))]
    assert rows["sweep"] == [(case, 4) for case in cases]
    assert rows["seeds"] == [("finetune b100", 3), ("finetune b100", 5)]
    assert [row["at_once"] for row in numbers["at_once"]] == [1, 2, 4]
    shapes = [row["widths"].split("-") for row in numbers["shapes"]]
    assert [(width[0], len(width)) for width in shapes] == [(w, n) for w in ("500", "1000") for n in (1, 3, 5)]
    counts = [row["devices"] for row in numbers["devices"]]
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


def test_the_tables_are_printed_in_their_order(call, calls, capsys):
    call("--seeds", "7")
    out = capsys.readouterr().out
    places = [out.index(title) for title in TABLES.values()]
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
def test_fewer_examples_than_the_largest_minibatch_are_refused(call, calls, capsys, arguments):
    with pytest.raises(SystemExit) as end:
        call(*arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert (out, calls) == ("", [])
    assert err.startswith(f"error: --examples {arguments[1]} ")
    assert "500" in err


def test_an_epoch_of_one_minibatch_is_enough(call, calls, capsys):
    call("--examples", "500")
    assert calls


@pytest.mark.parametrize("seeds", [["0"], ["2", "-1"], []])
def test_numbers_of_runs_that_cannot_be_are_refused(call, calls, capsys, seeds):
    with pytest.raises(SystemExit) as end:
        call("--seeds", *seeds)
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
    call, calls, capsys, monkeypatch, arguments, said
):
    monkeypatch.setattr(command, "measure_page", lambda *asked: calls.append(asked))
    with pytest.raises(SystemExit) as end:
        call(*arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out, calls) == (2, "", [])
    assert err == f"error: {said}\n"


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_the_seconds_of_a_page_are_a_json_object_alone_on_stdout(call, calls, capsys, monkeypatch, more):
    asked = []

    def measure(study, data, repeats, say):
        asked.append((study, data, repeats))
        say("measuring, 1 of 3")
        return {"data": "kmnist", "rows": {"a": [0.5, np.float64(0.25)]}}

    monkeypatch.setattr(command, "measure_page", measure)
    call("--page", "optimizers", "--data", "kmnist", "--measurements", "3", *more)
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert list(printed) == ["data", "rows", "versions", "device", "revision"]
    assert (printed["data"], printed["rows"]) == ("kmnist", {"a": [0.5, 0.25]})
    assert err == "measuring, 1 of 3\n"
    assert asked == [(importlib.import_module("experiments.optimizers").STUDY, "kmnist", 3)]
    assert calls == [], "nothing else is timed"


def test_data_that_cannot_be_had_are_refused_in_words(call, calls, capsys, monkeypatch):
    def measure(*asked):
        raise DataError("there is no data set nonsense")

    monkeypatch.setattr(command, "measure_page", measure)
    with pytest.raises(SystemExit) as end:
        call("--page", "optimizers", "--data", "nonsense")
    assert end.value.code == 2
    assert capsys.readouterr() == ("", "error: there is no data set nonsense\n")


def test_an_interrupt_ends_with_one_line(call, calls, capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(machine, "sgemm_gflops", interrupted)
    with pytest.raises(SystemExit) as end:
        call()
    out, err = capsys.readouterr()
    assert end.value.code == 130
    assert out == ""
    assert err.splitlines()[-1] == "stopped"


@pytest.fixture
def device(call, monkeypatch, tmp_path):
    """Calls `bench --device`, and gives what it wrote."""

    def written(*arguments):
        monkeypatch.setattr(
            machine, "product_gflops", lambda precision: {"highest": 4.0, "tensorfloat32": 40.0}[precision]
        )
        call("--device", "--out", str(tmp_path), *arguments)
        (path,) = tmp_path.glob("*.json")
        return path.stem, json.loads(path.read_text())

    return written


def test_a_device_is_measured_in_both_precisions_at_full_size_and_a_file_is_written(device, calls, monkeypatch):
    monkeypatch.setattr(command, "table_seconds", lambda say: 77.0)
    name, written = device()
    assert {case[2] for case in calls} == {50_000}
    assert [(row["precision"], row["runs"]) for row in written["rows"][:8]] == [
        ("float32", n) for n in (1, 8, 32, 128, 1, 8, 32, 128)
    ]
    assert written["table_seconds"] == 77.0
    assert written["peak_gflops"]["tf32"] == 10 * written["peak_gflops"]["float32"] > 0
    float32, tf32 = ([row for row in written["rows"] if row["precision"] == name] for name in ("float32", "tf32"))
    assert len(float32) == len(tf32) == 10 * 4
    assert float32[0]["fraction_of_peak"] == pytest.approx(10 * tf32[0]["fraction_of_peak"])
    assert name == "-".join(part for part in re.split(r"[^a-z0-9]", written["device"].lower()) if part)


def test_the_table_is_left_out_when_asked_and_its_failure_costs_no_figure(device, monkeypatch):
    _, written = device("--no-table", "--seeds", "3")
    assert (written["table_seconds"], {row["runs"] for row in written["rows"]}) == (None, {3})
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=2))
    assert machine.table_seconds(lambda text: None) is None
