"""What an error costs: over how long training waits, and against core-seconds. What is drawn is in the records."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import find, record, row

from dlx.show import cost_figure
from dlx.stats import interval
from dlx.study import cost_figures
from dlx.study.declare.page import Metric, Published

ERROR = Metric("test/error", "error %", 100)
WAITS = {wait: Metric(f"test/wait_{wait}", "error %", 100) for wait in (1, 4)}
ERRORS = {"a": {1: [0.3, 0.4, 0.6], 4: [0.2, 0.2, 0.3]}, "b": {1: [0.1, 0.5]}, "c": {}}
CLOCK = {"a": [10.0, 20.0, 40.0], "b": [300.0, 500.0], "c": [5.0]}


def told():
    """What is found of two rows, of which only the first has both measures, and of one that has none."""
    rows = [
        replace(row(name, group="g"), paper={"test/error": Published(28.0)} if name == "a" else {}) for name in CLOCK
    ]
    records = {}
    for one in rows:
        for i, seconds in enumerate(CLOCK[one.name]):
            measures = {f"wait_{wait}": values[i] for wait, values in ERRORS[one.name].items()}
            records[one.build(i + 1)] = record(measures={"test": measures | {"error": 0.2}}, core_seconds=seconds)
    return find(rows, records)


def test_a_line_a_row_over_its_measures_in_the_band_of_the_interval_and_the_papers_value_in_the_margin():
    (axes,) = cost_figures.over(WAITS, "wait", ERROR)(told()).axes
    first, second, mark = axes.lines
    np.testing.assert_allclose(first.get_xydata(), [[1, 130 / 3], [4, 70 / 3]])
    np.testing.assert_allclose(second.get_xydata(), [[1, 30]], err_msg="the other measure is not told")
    of_first, of_second = (np.concatenate([path.vertices for path in band.get_paths()]) for band in axes.collections)
    ends = [end for wait in (1, 4) for end in interval(np.multiply(ERRORS["a"][wait], 100))[1:3]]
    np.testing.assert_allclose(sorted({*of_first[:, 1].round(6)}), sorted(np.round(ends, 6)))
    assert sorted({*of_second[:, 1].round(6)}) == [10, 50], "of two seeds they themselves"
    assert mark.get_ydata()[0] == 28
    assert mark.get_xdata()[0] > 4
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "paper"]
    assert (mark.get_color(), mark.get_fillstyle()) == (first.get_color(), "none")
    low, top = axes.get_ylim()
    assert low < 28 < top
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("wait", "error %")


def test_without_the_measures_there_is_nothing_to_draw():
    assert cost_figures.over({1: Metric("test/none", "none")}, "wait", ERROR)(told()) is None
    assert cost_figures.against_cost(Metric("test/none", "none"))(told()) == []


def test_the_metric_of_each_run_stands_at_what_the_run_cost():
    (figure,) = cost_figures.against_cost(ERROR)(told())
    (axes,) = figure.axes
    for line, seconds in zip(axes.lines, CLOCK.values(), strict=True):
        np.testing.assert_allclose(line.get_xydata(), [[one, 20] for one in seconds])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert len(axes.get_xticks()) > 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B", "C"]


@pytest.mark.parametrize("rows", [{}, {"a": cost_figure.Points(np.array([0.0]), np.array([1.0]))}])
def test_points_that_no_logarithmic_axis_has_are_refused(rows):
    with pytest.raises(ValueError, match="positive"):
        cost_figure.clouds(rows, xlabel="x", ylabel="y")
