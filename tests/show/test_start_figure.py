"""Boxes, histograms and paths: what is drawn is what was given."""

import numpy as np
import pytest

from dlx.show.start_figure import boxes, histograms, paths

RNG = np.random.default_rng(0)
LINES = {"without": {"1": RNG.lognormal(0, 0.2, 30), "2": RNG.lognormal(1, 0.5, 30)}, "with": {"2": np.ones(4)}}


def test_a_box_goes_from_quartile_to_quartile_around_the_median():
    (axes,) = boxes(LINES, xlabel="layers", ylabel="error").axes
    drawn = [patch.get_path().vertices for patch in axes.patches]
    values = [LINES["without"]["1"], LINES["without"]["2"], LINES["with"]["2"]]
    assert len(drawn) == 3
    for box, of in zip(drawn, values, strict=True):
        ends = np.quantile(of, [0.25, 0.75])
        np.testing.assert_allclose([box[:, 1].min(), box[:, 1].max()], ends)
    middles = [np.mean([box[:, 0].min(), box[:, 0].max()]) for box in drawn]
    np.testing.assert_allclose(middles, [-0.175, 0.825, 1.175])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2"]
    assert axes.get_yscale() == "log"


def test_a_histogram_counts_every_start_once_on_a_panel_of_its_place():
    figure = histograms(LINES, xlabel="error", bins=25)
    assert [axes.get_ylabel() for axes in figure.axes] == ["1", "2"]
    counts = [sum(patch.get_height() for patch in axes.patches) for axes in figure.axes]
    assert counts == [30, 34]
    edges = np.array([patch.get_x() for patch in figure.axes[0].patches[:25]])
    np.testing.assert_allclose(edges[1:] / edges[:-1], edges[1] / edges[0])


@pytest.mark.parametrize(
    "draw", [lambda lines: boxes(lines, xlabel="", ylabel=""), lambda lines: histograms(lines, xlabel="")]
)
def test_without_values_nothing_is_drawn(draw):
    assert draw({}) is None
    assert draw({"without": {"1": np.empty(0)}}) is None


LOST = {"without": {"1": np.array([1.0, 2.0, 3.0]), "2": np.array([4.0, np.nan, np.nan])}, "with": {"2": np.ones(3)}}


@pytest.mark.parametrize("place", [0.825, None])
def test_starts_that_diverged_are_counted_at_the_edge(place, readable):
    if place:
        figure = boxes(LOST, xlabel="layers", ylabel="error")
    else:
        figure = histograms(LOST, xlabel="error", ylabel="layers")
    marks = [(axes, mark) for axes in figure.axes for mark in axes.texts]
    assert [mark.get_text() for _, mark in marks] == ["✕ 2"]
    axes, mark = marks[0]
    assert mark.xy[0] == pytest.approx(place or axes.get_xlim()[1], rel=0.1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*LOST, "so many runs diverged"]
    readable(figure)


def test_a_place_where_all_starts_diverged_has_a_cross_and_no_box():
    (axes,) = boxes({"a": {"1": np.ones(3), "2": np.full(3, np.nan)}}, xlabel="layers", ylabel="error").axes
    assert len(axes.patches) == 1
    assert [(mark.get_text(), mark.xy[0]) for mark in axes.texts] == [("✕ 3", 1)]


def test_a_path_that_diverged_ends_in_a_cross():
    ways = RNG.random((2, 5, 2)) + 0.1
    (axes,) = paths({"one": ways}, xlabel="x", ylabel="y", diverged={"one": [True, False]}).axes
    assert [line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1] == ["x", "o"]


def test_what_has_no_logarithm_has_no_histogram():
    assert histograms({"without": {"1": np.array([0.0, 1.0])}}, xlabel="error") is None


def test_a_path_ends_in_a_ring_where_it_is_last_finite():
    ways = RNG.random((2, 5, 2)) + 0.1
    ways[1, 3:] = np.nan
    (axes,) = paths({"one": ways, "two": ways[:1] + 1}, xlabel="x", ylabel="y", log=True).axes
    ends = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(ends, [ways[0, -1], ways[1, 2], ways[0, -1] + 1])
    np.testing.assert_allclose(axes.lines[0].get_xydata(), ways[0])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_a_plane_without_names_has_no_numbers():
    (axes,) = paths({"one": RNG.random((1, 3, 2))}).axes
    assert list(axes.get_xticks()) == list(axes.get_yticks()) == []
