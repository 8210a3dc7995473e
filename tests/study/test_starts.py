"""Many random starts: verdicts on their spread, by Levene's test of SciPy; figures; and how many starts it takes."""

import numpy as np
import pytest
from scipy.stats import levene
from synthetic import found, of_error, record

from dlx.study.declare.page import ERRORS
from dlx.study.judge.claims import lower
from dlx.study.judge.starts import boxes, histograms, paths, power, steadier
from dlx.study.judge.verdicts import FAILS, HOLDS, OPEN

TEST = ERRORS[2]
RNG = np.random.default_rng(0)
CLOSE, FAR = 0.1 + 0.005 * RNG.normal(size=20), 0.2 + 0.05 * RNG.normal(size=20)
SAME = np.abs(0.3 + 0.05 * RNG.normal(size=20))


def starts(at=None, **rows):
    records = {name: [{**of_error(value), **errors(value)} for value in values] for name, values in rows.items()}
    return found(records, at=at)


def errors(value):
    """A test error that no count of examples rounds."""
    return {"measures": {"test": {"error": float(value)}}}


@pytest.mark.parametrize(("row", "than", "verdict"), [(CLOSE, FAR, HOLDS), (FAR, CLOSE, FAILS), (FAR, SAME, OPEN)])
def test_a_row_is_steadier_by_levenes_test(row, than, verdict):
    finding = steadier(TEST, "a", "b")(starts(a=row, b=than))
    assert finding.verdict == verdict
    if verdict == HOLDS:
        assert finding.p == pytest.approx(levene(row, than, center="median").pvalue)
        far = [np.abs(side - np.median(side)).mean() for side in (than, row)]
        assert finding.interval.mean == pytest.approx(100 * (far[0] - far[1]))
        assert (finding.label, finding.runs) == ("mean distance from the median test error", "starts")
        np.testing.assert_allclose([side.mean for side in finding.sides], 100 * np.array(far)[::-1])


def test_a_row_that_is_not_there_or_has_two_starts_resolves_nothing():
    for there in (starts(a=CLOSE), starts(a=CLOSE, b=FAR[:2])):
        finding = steadier(TEST, "a", "b")(there)
        assert finding.verdict == OPEN
        assert finding.note.lower() == "b: not finished, or without a number"


@pytest.mark.parametrize("draw", [boxes, histograms])
def test_lines_and_places_are_drawn_of_rows_that_have_one(draw):
    at = {
        "a/1": {"kind": "a", "depth": 1},
        "b/1": {"kind": "b", "depth": 1},
        "a/2": {"kind": "a", "depth": 2},
        "rest": {"kind": "a"},
    }
    figure = draw(TEST, x="depth", line="kind")(starts(at, **{"a/1": CLOSE, "b/1": FAR, "a/2": SAME, "rest": CLOSE}))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert draw(TEST, x="depth", line="kind")(starts(at, rest=CLOSE)) is None


def test_paths_are_those_of_two_curves_of_each_run():
    nats = {"train": {"nats": [1.0, 0.1]}, "test": {"nats": [2.0, 0.5]}}
    there = found({"a": [record(curves=nats)] * 3})
    (axes,) = paths("train/nats", "test/nats", ["a", "b"], "training", "test")(there).axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert len(lines) == 3
    assert lines[0].get_xydata().tolist() == [[1.0, 2.0], [0.1, 0.5]]
    assert paths("train/nats", "test/nats", ["b"], "training", "test")(there) is None


def test_the_share_of_draws_in_which_a_claim_holds_grows_with_the_starts():
    there = starts(a=np.linspace(0.1, 0.2, 12), b=np.linspace(0.1, 0.2, 12) + 0.02 + 0.02 * RNG.normal(size=12))
    whole = lower(TEST, "a", "b")
    (axes,) = power({"lower": whole, "higher": lower(TEST, "b", "a")}, (2, 4, 6, 12, 30), draws=50)(there).axes
    shares = np.asarray(axes.images[0].get_array())
    assert [text.get_text() for text in axes.get_xticklabels()] == ["4", "6", "12"], "2 decide nothing, there are no 30"
    assert shares[0].tolist() == sorted(shares[0])
    assert shares[0, -1] == (whole(there).verdict == HOLDS)
    assert not shares[1].any()
    assert power({"lower": whole}, (3, 6))(starts(a=CLOSE[:1])) is None
