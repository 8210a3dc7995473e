"""The command that compiles for accelerators: its rows, its table, and what it refuses."""

import json

import jax
import pages
import pytest

from dlx.bench import accelerators, ahead, estimate
from dlx.bench.accelerators import ROOT
from dlx.bench.ahead import DEVICES, Work, label
from dlx.bench.estimate import KINDS, bound, epochs_run, weights
from dlx.bench.planned import planned
from dlx.show.progress import duration
from dlx.study.run.code import Shapes

RESULTS = ROOT / "experiments" / "results"
STUDIES = {name: lambda study=study: study for name, study in pages.studies().items()}


@pytest.fixture(scope="module")
def row():
    """A program of a page, compiled for the devices that are here."""
    about, units, runs = planned(pages.studies()["dbn"], "quick", None)
    there = jax.devices()
    return ahead.one_row(Work("dbn", units[0], runs[0], Shapes(about).arguments(units[0])), there, 1)


@pytest.fixture
def compiled(row, monkeypatch, tmp_path):
    """Calls the command, which finds such a row for every page that it is asked for, and gives what it wrote."""
    monkeypatch.setattr(
        accelerators, "elsewhere", lambda kind, names: [{**row, "page": name, "units": 33} for name in names]
    )

    def call(*arguments):
        accelerators.main(STUDIES, tmp_path, arguments)
        rows = [row for page in sorted(pages.studies()) for row in accelerators.saved(tmp_path, page)["rows"]]
        return rows, (tmp_path / "accelerators.md").read_text()

    return call


def test_a_row_says_what_a_step_does(row):
    connections, (hidden, k) = 64 * 10, (row["identity"][1]["hidden"], row["identity"][1]["k"])
    assert (row["program"], hidden, k) == (label(planned(pages.studies()["dbn"], "quick").units[0]), 10, 1)
    assert row["step"]["flops"] % (2 * connections) == 0
    assert row["step"]["flops"] > 0
    assert row["epoch"]["kernels"] > row["step"]["kernels"] > 0
    assert row["collectives"] == []
    assert 0 < row["memory_of_a_run"] < row["memory"]


def test_pages_compiled_again_take_the_place_of_their_rows_and_the_others_stay(compiled):
    rows, _ = compiled()
    assert [(row["page"], row["kind"]) for row in rows] == [
        (page, kind) for page in sorted(pages.studies()) for kind in sorted(KINDS)
    ]
    again, text = compiled("--pages", "dbn", "--kinds", "tpu")
    assert again == rows
    for page in pages.studies():
        assert f"\n## {page}\n" in text
    assert accelerators.COMMAND in text


def test_a_page_takes_as_many_rounds_as_its_runs_do_not_fit_at_once(compiled, monkeypatch):
    monkeypatch.setattr(estimate, "bound", lambda kind, cost, flops: 1.0)
    rows, _ = compiled("--pages", "dbn", "--kinds", "tpu")
    seconds = 1 + rows[0]["epochs"]
    _, [[*_, one, eight]] = estimate.summary(rows, RESULTS, DEVICES)
    assert (one, eight) == (duration(9.0 * seconds), duration(2.0 * seconds)), "33 runs, 4 or 32 at once"


@pytest.mark.parametrize(
    ("kind", "cost", "flops", "seconds"),
    [
        ("cuda", {"kernels": 10, "bytes": 0}, 0, 30e-6),
        ("cuda", {"kernels": 1, "bytes": 3.35e12}, 495e9, 1.0),
        ("cuda", {"kernels": 1, "bytes": 1e9}, 990e12, 2.0),
        ("tpu", {"kernels": 10**9, "bytes": 0.82e12}, 0, 1.0),
    ],
)
def test_the_least_time_is_that_of_what_takes_longest(kind, cost, flops, seconds):
    assert bound(kind, cost, flops) == pytest.approx(seconds)


def test_epochs_are_those_of_the_committed_runs():
    epochs = epochs_run(RESULTS / "optimizers")
    identities = {json.loads(key)[0] for key in epochs}
    assert "Descent" in identities
    assert all(n == 25 for key, n in epochs.items() if json.loads(key)[0] == "Descent")
    assert epochs_run(RESULTS / "a page without records") == {}


@pytest.mark.parametrize(("option", "value"), [("--pages", "nothing"), ("--kinds", "abacus")])
def test_what_there_is_not_is_refused_in_words(option, value, capsys):
    with pytest.raises(SystemExit) as ended:
        accelerators.main(STUDIES, RESULTS, [option, value])
    assert ended.value.code == 2
    assert f"error: {option} {value}: there are " in capsys.readouterr().err


@pytest.mark.parametrize("told", [{"copied_state": [[4, 784, 500], [4, 500]]}, {}])
def test_arrays_without_an_axis_of_examples_may_be_weights(told):
    row = {"identity": ["Machine", {"batch_size": 100}], "copied": [[4, 784, 500], [4, 100, 784], [4, 500]], **told}
    assert weights(row) == [[4, 784, 500]]
