"""The seconds of an epoch, as the benchmark measured them: drawn, and compared."""

import json

import numpy as np
import pytest
from scipy import stats
from synthetic import find, record, row

from dlx.show import figures as draw
from dlx.study import clock
from dlx.study.declare.page import Metric

EPOCHS = Metric("race/epochs", "epochs to the target", 1, " epochs")


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
        ([1.0, 1.2, 1.1, 1.3], [1.1, 1.1, 1.2, 1.2], "not enough runs"),
        ([2.0, 2.3, 2.1, 2.2], [1.0, 1.2, 1.1, 1.3], "does not hold"),
    ],
)
def test_a_row_is_faster_by_the_paired_test_over_the_measurements(file, fast, slow, verdict):
    finding = clock.faster(file(a=fast, b=slow), "a", "b")(raced(a=[1.0], b=[1.0]))
    gain = np.array(slow) - fast
    assert finding.verdict == verdict
    np.testing.assert_allclose(finding.interval.mean, gain.mean(), atol=1e-12)
    assert (finding.runs, [side.title for side in finding.sides]) == ("measurements", ["A", "B"])
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
    assert (finding.verdict, finding.note, finding.p) == (
        "not enough runs",
        "the benchmark has not timed these data",
        None,
    )
    assert clock.seconds(path, EPOCHS)(some) == []
