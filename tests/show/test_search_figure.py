import math

import numpy as np
import pytest

from dlx.show import figures
from dlx.show.figures import Point


def search():
    """Six rows of twelve configurations: the last of each is far off, that before it has diverged."""
    points = []
    for row in range(6):
        values = [1.5 + 0.1 * row + 0.01 * i for i in range(10)] + [math.nan, 88.6]
        for i, value in enumerate(values):
            hypers = {"rate": [0.01, 0.1, 1.0][i % 3], "epochs": 3.0 + i % 2, **({"masking": 0.25} if row == 0 else {})}
            points.append(Point(f"row {row}", hypers, value, i == 0))
    return points


def drawn_in(axes):
    """Markers by place and kind, without the rings; then the places of the rings."""
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0]), line) for line in axes.lines]
    points = [(x, y, line.get_marker(), line.get_color()) for x, y, line in places if line.get_gid() != "chosen"]
    return points, [(x, y) for x, y, line in places if line.get_gid() == "chosen"]


def panels(points, ylabel="valid %"):
    return [axes for figure in figures.scatter(points, ylabel=ylabel) for axes in figure.axes]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].texts]


def test_scatter_has_a_figure_a_hyper_parameter_and_drops_no_run(readable):
    drawn = figures.scatter(search(), ylabel="valid %")
    grid = [axes for figure in drawn for axes in figure.axes]
    assert [axes.get_xlabel() for axes in grid] == ["rate", "epochs", "masking"]
    assert [axes.get_xscale() for axes in grid] == ["log", "linear", "linear"]
    assert {(axes.get_ylabel(), axes.get_yscale(), axes.get_ylim()) for axes in grid} == {
        ("valid %", "log", grid[0].get_ylim())
    }
    for axes, count in zip(grid, (72, 72, 12), strict=True):
        points, rings = drawn_in(axes)
        assert len(set(points)) == count, "none hides another"
        assert sum(marker == "x" for *_, marker, _ in points) == count / 12
        low, high = axes.get_ylim()
        left, right = axes.get_xlim()
        assert all(left < x < right and low <= y < high for x, y, *_ in points)
        assert len(rings) == count / 12
    for figure in drawn:
        readable(figure)


def test_the_legend_names_the_rows_that_a_figure_shows_by_their_colours_and_markers():
    rate, _, masking = figures.scatter(search(), ylabel="y")
    assert legend(rate) == [*(f"row {i}" for i in range(6)), "chosen"]
    assert legend(masking) == ["row 0", "chosen"]
    points, _ = drawn_in(rate.axes[0])
    for row, key in enumerate(rate.legends[0].get_lines()[:-1]):
        mine = [y for _, y, marker, colour in points if (marker, colour) == (key.get_marker(), key.get_color())]
        expected = [p.value for p in search() if p.row == f"row {row}" and p.value < 80]
        np.testing.assert_allclose(sorted(mine)[:10], expected)
        assert len(mine) == 11
    assert rate.legends[0].get_lines()[-1].get_fillstyle() == "none"


def test_a_ring_is_around_the_chosen_configuration():
    points = [Point("r", {"h": h}, value, h == 2) for h, value in [(1, 3.0), (2, 2.0), (3, 2.5)]]
    (axes,) = panels(points)
    shown, rings = drawn_in(axes)
    assert [(x, y) for x, y, *_ in shown] == [(1, 3.0), (2, 2.0), (3, 2.5)]
    assert rings == [(2, 2.0)]


def test_scatter_keeps_the_good_values_apart_and_names_the_others():
    axes = panels(search())[0]
    ticks = {label.get_text(): y for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    points, _ = drawn_in(axes)
    assert {y for _, y, marker, _ in points if marker == "x"} == {ticks["diverged"]}
    assert sum(y == ticks["above 2.2"] for _, y, *_ in points) == 6
    good = sorted(y for _, y, *_ in points if y < ticks["above 2.2"])
    np.testing.assert_allclose(good, sorted(p.value for p in search() if p.value < 80))
    low, high = np.log(axes.get_ylim())
    assert np.log(good[-1] / good[0]) > 0.5 * (high - low)
    assert ticks["above 2.2"] < ticks["diverged"] < axes.get_ylim()[1]
    assert all(float(text) == pytest.approx(y) for text, y in ticks.items() if text[0].isdigit())


def test_scatter_moves_points_by_less_than_half_the_way_to_the_next_value():
    rate, epochs, _ = panels(search())
    for axes, scale, values in ((rate, np.log10, [-2, -1, 0]), (epochs, float, [3, 4])):
        moved = np.array([scale(x) for x, *_ in drawn_in(axes)[0]])
        nearest = np.abs(moved[:, None] - np.array(values)).argmin(1)
        assert np.bincount(nearest).tolist() == [72 // len(values)] * len(values)


def test_each_value_of_a_hyper_parameter_has_a_tick():
    rate, epochs, masking = panels(search())
    np.testing.assert_allclose(rate.get_xticks(), [0.01, 0.1, 1])
    np.testing.assert_allclose(epochs.get_xticks(), [3, 4])
    np.testing.assert_allclose(masking.get_xticks(), [0.25])


@pytest.mark.parametrize(("factor", "scale"), [(4.0, "linear"), (4.1, "log")])
def test_an_axis_is_logarithmic_beyond_a_factor_of_4(factor, scale):
    (axes,) = panels([Point("r", {"h": 1.0}, 2.0), Point("r", {"h": factor}, 2.0)])
    assert axes.get_xscale() == scale


def test_negative_values_are_drawn_on_a_linear_axis_where_they_are():
    values = [-84.0, -80.5, math.nan, 3.0]
    (axes,) = panels([Point("r", {"h": i}, value) for i, value in enumerate(values)])
    assert axes.get_yscale() == "linear"
    points, _ = drawn_in(axes)
    assert [y for _, y, *_ in points if y <= 3] == [-84.0, -80.5, 3.0]
    ticks = {label.get_text(): y for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    assert points[2][1:3] == (ticks["diverged"], "x")
    low, high = axes.get_ylim()
    assert low < -84 < 3 < ticks["diverged"] < high
    assert {"-80", "-60", "0"} <= set(ticks)


@pytest.mark.parametrize(
    ("hypers", "values"),
    [
        ([0.1], [math.nan]),
        ([0.1, 0.1], [math.nan, 2.0]),
        ([0.0, 5.0], [0.0, 0.0]),
        ([1, 3], [2.0, 2.0]),
        ([-1], [1e-9]),
        ([1, 2], [-1.0, -1.0]),
        ([1, 2], [-1.0, math.nan]),
    ],
)
def test_scatter_of_odd_values_is_drawn(hypers, values, readable):
    (figure,) = figures.scatter([Point("r", {"h": h}, v) for h, v in zip(hypers, values, strict=True)], ylabel="y")
    readable(figure)
    shown, rings = drawn_in(figure.axes[0])
    assert len(set(shown)) == len(values)
    assert rings == []


def test_scatter_tells_more_rows_than_colours_apart_and_refuses_nothing_to_draw():
    points, _ = drawn_in(panels([Point(f"{i}", {"h": 1}, 2.0) for i in range(15)])[0])
    assert len({(marker, colour) for *_, marker, colour in points}) == 15
    with pytest.raises(ValueError, match="no point"):
        figures.scatter([Point("r", {}, 2.0)], ylabel="y")


@pytest.mark.parametrize("words", [1, 4, 8])
def test_a_long_legend_stays_inside_its_figure(words, readable):
    names = [f"{i} " + "words " * words for i in range(9)]
    (figure,) = figures.scatter([Point(name, {"h": 1}, 2.0) for name in names], ylabel="y")
    readable(figure)
    assert len(legend(figure)) == 10
