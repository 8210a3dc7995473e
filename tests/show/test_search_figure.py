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
    lines = [line for line in axes.lines if line.get_gid() != "joined"]
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0]), line) for line in lines]
    points = [(x, y, line.get_marker(), line.get_color()) for x, y, line in places if line.get_gid() != "chosen"]
    return points, [(x, y) for x, y, line in places if line.get_gid() == "chosen"]


def panels(points, ylabel="valid %"):
    return [
        axes for figure in figures.scatter(points, ylabel=ylabel) for axes in figure.axes if axes.axison and axes.lines
    ]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].texts]


def test_scatter_has_a_figure_a_hyper_parameter_with_a_panel_a_row_and_drops_no_run(readable):
    rate, epochs, masking = figures.scatter(search(), ylabel="valid %")
    for figure, name, scale, count in ((rate, "rate", "log", 6), (epochs, "epochs", "linear", 6)):
        grid = [axes for axes in figure.axes if axes.lines]
        assert [axes.get_title() for axes in grid] == [f"row {i}" for i in range(count)]
        assert [axes.get_xlabel() for axes in grid] == [""] * (count - 2) + [name] * 2
        assert {(axes.get_xscale(), axes.get_yscale()) for axes in grid} == {(scale, "log")}
    (alone,) = masking.axes
    assert (alone.get_title(), alone.get_xlabel(), alone.get_ylabel()) == ("", "masking", "valid %")
    for axes in panels(search()):
        points, rings = drawn_in(axes)
        assert len(set(points)) == 12, "none hides another"
        assert sum(marker == "x" for *_, marker, _ in points) == 1
        low, high = axes.get_ylim()
        left, right = axes.get_xlim()
        assert all(left < x < right and low <= y < high for x, y, *_ in points)
        assert len(rings) == 1
    for figure in (rate, epochs, masking):
        readable(figure)


def test_rows_of_one_panel_stand_together_and_kinds_of_trials_have_colours_and_markers_of_their_own():
    points = [
        Point(f"{i}", {"h": h}, 2.0 + h / 10 + i, h == 2, panel="all", kind=f"patience {4 + 6 * (h == 3)}")
        for i in range(3)
        for h in (1, 2, 3)
    ]
    (figure,) = figures.scatter(points, ylabel="y")
    assert legend(figure) == ["patience 4", "patience 10", "chosen"]
    shown, rings = drawn_in(figure.axes[0])
    assert len(shown) == 9
    assert len(rings) == 3
    for i, key in enumerate(figure.legends[0].get_lines()[:-1]):
        mine = [y for _, y, marker, colour in shown if (marker, colour) == (key.get_marker(), key.get_color())]
        np.testing.assert_allclose(sorted(mine), sorted(p.value for p in points if p.kind.endswith(("4", "10")[i])))
    assert figure.legends[0].get_lines()[-1].get_fillstyle() == "none"


def test_a_line_joins_the_trials_of_a_row_that_differ_in_one_thing_alone():
    points = [Point("r", {"h": h, "g": g}, 2.0 + h + g) for g in (0, 1) for h in (3, 1, 2)]
    figure, _ = figures.scatter(points, ylabel="y")
    joined = [line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_gid() == "joined"]
    assert joined == [[[1, 3], [2, 4], [3, 5]], [[1, 4], [2, 5], [3, 6]]]
    assert not figure.legends, "nothing is chosen, and there is one kind"


def test_a_ring_is_around_the_chosen_configuration():
    points = [Point("r", {"h": h}, value, h == 2) for h, value in [(1, 3.0), (2, 2.0), (3, 2.5)]]
    (axes,) = panels(points)
    shown, rings = drawn_in(axes)
    assert [(x, y) for x, y, *_ in shown] == [(1, 3.0), (2, 2.0), (3, 2.5)]
    assert rings == [(2, 2.0)]


def test_scatter_keeps_the_good_values_apart_and_names_the_others():
    axes = panels([point for point in search() if point.row == "row 0"])[0]
    ticks = {label.get_text(): y for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    points, _ = drawn_in(axes)
    assert {y for _, y, marker, _ in points if marker == "x"} == {ticks["diverged"]}
    assert sum(y == ticks["above 1.7"] for _, y, *_ in points) == 1
    good = sorted(y for _, y, *_ in points if y < ticks["above 1.7"])
    np.testing.assert_allclose(good, sorted(p.value for p in search() if p.row == "row 0" and p.value < 80))
    low, high = np.log(axes.get_ylim())
    assert np.log(good[-1] / good[0]) > 0.15 * (high - low)
    assert ticks["above 1.7"] < ticks["diverged"] < axes.get_ylim()[1]
    assert all(float(text) == pytest.approx(y) for text, y in ticks.items() if text[0].isdigit())


def test_the_best_of_each_row_of_a_panel_is_on_the_axis():
    points = [Point(f"{i}", {"h": 1.0}, value, True, panel="all") for i, value in enumerate([1.0, 1.1, 1.2, 50.0])]
    (axes,) = panels(points)
    assert sorted(y for _, y in drawn_in(axes)[1]) == [1.0, 1.1, 1.2, 50.0]


def test_scatter_moves_points_by_less_than_half_the_way_to_the_next_value():
    for axes in panels(search())[:-1]:
        log = axes.get_xscale() == "log"
        scale, values = (np.log10, [-2, -1, 0]) if log else (float, [3, 4])
        moved = np.array([scale(x) for x, *_ in drawn_in(axes)[0]])
        nearest = np.abs(moved[:, None] - np.array(values)).argmin(1)
        assert np.bincount(nearest).tolist() == [12 // len(values)] * len(values)


def test_each_value_of_a_hyper_parameter_has_a_tick():
    rate, epochs, masking = (figure.axes[0] for figure in figures.scatter(search(), ylabel="y"))
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


def test_scatter_tells_many_kinds_apart_and_refuses_nothing_to_draw():
    points, _ = drawn_in(panels([Point("r", {"h": 1}, 2.0, kind=f"{i}") for i in range(15)])[0])
    assert len({(marker, colour) for *_, marker, colour in points}) == 15
    with pytest.raises(ValueError, match="no point"):
        figures.scatter([Point("r", {}, 2.0)], ylabel="y")


@pytest.mark.parametrize("words", [1, 4, 8])
def test_long_names_stay_inside_their_figure(words, readable):
    names = [f"{i} " + "words " * words for i in range(9)]
    (figure,) = figures.scatter([Point(name, {"h": 1}, 2.0, kind=name) for name in names], ylabel="y")
    readable(figure)
    assert len(legend(figure)) == 9
