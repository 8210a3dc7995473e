"""Lines with bands: what is drawn is what was given."""

import numpy as np
import pytest

from dlx.show.canvas import COLOURS
from dlx.show.line_figure import lines


def test_a_line_is_the_mean_in_a_band_and_points_without_seeds_are_left_out():
    ours = [1, 4, 16], [np.array([4.0, 8.0]), np.array([]), np.array([1.0, 3.0])]
    figure = lines(
        {"ours": ours, "bound": ([1, 16], [np.array([2.0]), np.array([8.0])])}, xlabel="x", ylabel="y", log_x=True
    )
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 6], [16, 2]])
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), [[1, 2], [16, 8]])
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]
    band = axes.collections[0].get_paths()[0].vertices
    assert {(1, 4), (1, 8), (16, 1), (16, 3)} <= {tuple(point) for point in band}
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "4", "16"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "bound"]


def test_over_many_places_an_axis_has_round_numbers():
    places = [10 ** (i / 8) for i in range(-40, 9)]
    values = [np.array([1.0, 2.0])] * len(places)
    (axes,) = lines({"a": (places, values)}, xlabel="x", ylabel="y", log_x=True).axes
    ticks = axes.get_xticks()
    assert 5 < len(ticks) <= 8
    assert {f"{tick:.0e}"[0] for tick in ticks} <= {"1", "3"}


def test_a_cross_at_the_edge_counts_the_runs_that_diverged(readable):
    ours = [1, 2, 3], [np.array([4.0, 8.0]), np.array([3.0, np.nan]), np.array([np.nan, np.nan])]
    theirs = [1, 2, 3], [np.array([5.0, 5.0]), np.array([np.nan, 5.0]), np.array([5.0, 5.0])]
    figure = lines({"ours": ours, "theirs": theirs}, xlabel="x", ylabel="y")
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 6], [2, 3]])
    assert [(mark.get_text(), mark.xy[0]) for mark in axes.texts] == [("✕ 1", 2), ("✕ 2", 3), ("✕ 1", 2)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "theirs", "so many runs diverged"]
    readable(figure)
    boxes = [mark.get_window_extent() for mark in axes.texts]
    assert not boxes[0].overlaps(boxes[2])


def test_many_rows_have_a_panel_each_where_the_others_are_gray(readable):
    rows = {f"row {i}": ([1, 10], [np.array([1.0 + i, 2.0 + i]), np.array([2.0, 3.0])]) for i in range(7)}
    figure = lines(rows, xlabel="x", ylabel="y", log_x=True)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in drawn] == list(rows)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in drawn}) == 1
    for i, axes in enumerate(drawn):
        assert [line.get_color() for line in axes.lines] == ["#BBBBBB"] * 7 + [COLOURS[0]]
        np.testing.assert_array_equal(axes.lines[-1].get_xydata(), [[1, 1.5 + i], [10, 2.5]])
    assert not figure.legends
    readable(figure)


def test_the_legend_of_one_line_would_repeat_the_axis():
    assert not lines({"ours": ([1, 2], [np.ones(2), np.ones(2)])}, xlabel="x", ylabel="y").legends


@pytest.mark.parametrize("places", [range(1, 21), [i / 24 for i in range(25)]])
def test_an_axis_of_whole_numbers_has_no_others(places):
    (axes,) = lines({"a": (list(places), [np.array([1.0, 2.0])] * len(places))}, xlabel="x", ylabel="y").axes
    whole = all(float(tick).is_integer() for tick in axes.get_xticks())
    assert whole == isinstance(places, range)


@pytest.mark.parametrize("values", [[3.6, 4.3], [0.97, 1.01], [20.0, 23.0], [0.1, 0.11], [1e-5, 1.0]])
def test_a_logarithmic_axis_has_at_least_two_numbers(values):
    (axes,) = lines({"a": ([1, 2], [np.array([value]) for value in values])}, xlabel="x", ylabel="y").axes
    low, top = axes.get_ylim()
    assert sum(low <= tick <= top for tick in axes.get_yticks()) >= 2
