"""The seconds of an epoch: measured on a clock of the test's own, drawn, and compared."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from synthetic import Hypers, dataset, find, record, row

from dlx.show import figures as draw
from dlx.study import clock
from dlx.study.declare.page import Metric, Row, Study
from dlx.sweep import Sweep
from dlx.unit import Result, Unit

EPOCHS = Metric("race/epochs", "epochs to the target", 1, " epochs")
NOW = SimpleNamespace(seconds=0.0, calls=0)


@dataclass(frozen=True)
class Ticking:
    """Each epoch takes so many seconds on the clock, and 5 are spent before the first."""

    cost: float
    epochs: int = 40

    def __call__(self, key, hypers, given, data, progress):
        return {}, Result(hypers.rate * (5 + self.cost * self.epochs))


class Watched(Sweep):
    """A sweep that tells the clock what its runs at the rate .5 have found."""

    def __call__(self, key, varied, data):
        out = super().__call__(key, varied, data)
        NOW.seconds += 2 * float(out[1].score[0])
        NOW.calls += 1
        return out


@dataclass(frozen=True)
class Timeless:
    """A program without epochs."""

    cost: float

    def __call__(self, key, hypers, given, data, progress):
        return {}, Result(0.0)


@dataclass(frozen=True)
class OnHost(Timeless):
    """A program that is not compiled."""

    epochs: int = 3
    host = True


def timed(name, program, given=(), space=({"rate": [0.5, 0.25]},)):
    return Row(name, name.title(), lambda seed, rate=0.5: Unit(program, Hypers(rate), given, seed), space)


@pytest.fixture
def study(monkeypatch):
    """A study of which two rows share a program, and others have nothing to be timed; what it is asked for."""
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: NOW.seconds))
    monkeypatch.setattr(clock, "Sweep", Watched)
    asked = []

    def rows(options, about):
        asked.append((options.preset, options.data))
        return [
            timed("slow", Ticking(2.0)),
            timed("quick", Ticking(0.125)),
            timed("alike", Ticking(2.0), space=({},)),
            timed("timeless", Timeless(1.0)),
            timed("host", OnHost(1.0)),
            timed("above", Ticking(3.0), given=(Unit(Timeless(1.0), Hypers()),)),
        ]

    return Study("Title.", lambda options: dataset("kmnist"), rows), asked


def test_seconds_of_an_epoch_are_measured_of_every_program_that_has_epochs_and_starts_anew(study):
    page, asked = study
    said = []
    found = clock.measure(page, "kmnist", 3, said.append)
    assert asked == [("paper", "kmnist")]
    assert found["data"] == "kmnist"
    assert list(found["rows"]) == ["slow", "quick", "alike"]
    np.testing.assert_allclose(
        [found["rows"][name] for name in ("slow", "quick", "alike")], [[2] * 3, [0.125] * 3, [2] * 3]
    )
    assert said == ["compiling slow", "compiling quick", *(f"measuring, {turn} of 3" for turn in (1, 2, 3))]


def test_a_row_that_shares_a_program_is_not_run_again(study):
    page, _ = study
    NOW.calls = 0
    clock.measure(page, None, 2, lambda text: None)
    assert NOW.calls == 2 * 2 * (1 + 2), "two programs of one and of three epochs, to compile and twice to measure"


def raced(**epochs):
    """What is found of rows by the epochs that their seeds took; rows of a name of one letter are of group g."""
    rows = [row(name, group="g" if len(name) == 1 else "h") for name in epochs]
    records = {
        one.build(seed): record(0.1, {"race": {"epochs": value}})
        for one in rows
        for seed, value in enumerate(epochs[one.name], 1)
    }
    return find(rows, records, 3)


@pytest.fixture
def file(tmp_path):
    """Writes the benchmark's file."""

    def write(data="mnist", **rows):
        path = tmp_path / "seconds.json"
        path.write_text(json.dumps({"data": data, "rows": rows, "device": "cpu x 2"}), encoding="utf-8")
        return path

    return write


def test_a_race_in_seconds_is_epochs_times_the_median_of_the_seconds_of_one(file, monkeypatch):
    drawn = []
    monkeypatch.setattr(draw, "bars", lambda bars, **how: drawn.append((bars, how)) or "figure")
    some = raced(a=[3.0, 4.0, 8.0], b=[5.0], c=[2.0], untimed=[3.0], wide=[1.0, 2.0])
    path = file(a=[0.5, 9.0, 0.25], b=[2.0, 4.0], wide=[1.0], other=[7.0])
    assert clock.seconds(path, EPOCHS)(some) == ["figure", "figure"]
    (g, how), (h, more) = drawn
    assert [how, more] == [{"xlabel": "seconds to the target", "title": title} for title in ("g", "h")]
    assert [bar.label for bar in g] == ["A", "B"], "c has not been timed"
    assert [bar.label for bar in h] == ["Wide"]
    np.testing.assert_allclose(g[0].values, [1.5, 2, 4])
    half = stats.t.ppf(0.975, 2) * stats.sem([1.5, 2, 4])
    np.testing.assert_allclose([g[0].low, g[0].high], [2.5 - half, 2.5 + half])
    assert (list(g[1].values), *g[1][2:]) == ([15.0], None, None, None)
    drawn.clear()
    clock.seconds(path, EPOCHS, ("h",))(some)
    assert [how["title"] for _, how in drawn] == ["h"]


def test_a_race_in_seconds_is_drawn(file):
    (figure,) = clock.seconds(file(a=[0.5, 0.6]), EPOCHS)(raced(a=[3.0, 4.0]))
    assert figure.axes[0].get_xlabel() == "seconds to the target"


@pytest.mark.parametrize(
    ("fast", "slow", "verdict"),
    [
        ([1.0, 1.2, 1.1, 1.3], [2.0, 2.3, 2.1, 2.2], "holds"),
        ([1.0, 1.2, 1.1, 1.3], [1.1, 1.1, 1.2, 1.2], "not resolved"),
        ([2.0, 2.3, 2.1, 2.2], [1.0, 1.2, 1.1, 1.3], "does not hold"),
    ],
)
def test_a_row_is_faster_by_the_paired_test_over_the_measurements(file, fast, slow, verdict):
    finding = clock.faster(file(a=fast, b=slow), "a", "b")(raced(a=[1.0], b=[1.0]))
    gain = np.array(slow) - fast
    assert finding.verdict == verdict
    assert finding.words.startswith(f"a {gain.mean():.3g} [")
    assert "] seconds an epoch below b; 4 measurements" in finding.words
    if verdict != "does not hold":
        np.testing.assert_allclose(finding.p, stats.ttest_rel(slow, fast).pvalue, rtol=1e-6)


@pytest.mark.parametrize("missing", ["file", "row", "data"])
def test_what_the_benchmark_has_not_timed_is_not_resolved_and_not_drawn(file, missing):
    times = {"a": [1.0, 1.1, 1.2], "b": [2.0, 2.2, 2.1]}
    path = {
        "file": lambda: file(**times).with_name("other.json"),
        "row": lambda: file(b=times["b"]),
        "data": lambda: file("digits", **times),
    }[missing]()
    some = raced(a=[1.0, 2.0])
    finding = clock.faster(path, "a", "b")(some)
    assert (finding.verdict, finding.words, finding.p) == (
        "not resolved",
        "the benchmark has not timed these data",
        None,
    )
    assert clock.seconds(path, EPOCHS)(some) == []
