import math

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from dlx.show import figures
from dlx.show.figures import Bar


def falling(seeds=4, epochs=30, end=1.4):
    noise = np.random.default_rng(seeds).normal(0, 0.03, (seeds, epochs))
    return end + 6 * np.exp(-np.arange(epochs) / 4) + noise


def legend(figure):
    return [text.get_text() for text in figure.legends[0].texts]


def band(collection):
    """Lowest and highest value of a band at each horizontal place."""
    places = {}
    for x, y in collection.get_paths()[0].vertices:
        places.setdefault(round(float(x), 6), []).append(y)
    return [min(ys) for _, ys in sorted(places.items())], [max(ys) for _, ys in sorted(places.items())]


def test_a_line_is_the_mean_over_seeds_and_its_band_goes_from_the_lowest_to_the_highest(readable):
    rows = {"shallow": falling(end=4.7), "dbn": jnp.asarray(falling())}
    figure = figures.curves(rows, ylabel="error (%)", xlabel="step", title="Experiment 2")
    (axes,) = figure.axes
    assert (figure.get_suptitle(), axes.get_xlabel(), axes.get_ylabel()) == ("Experiment 2", "step", "error (%)")
    assert legend(figure) == list(rows)
    for line, filled, runs in zip(axes.lines, axes.collections, rows.values(), strict=True):
        assert np.asarray(line.get_xdata()).tolist() == list(range(1, 31))
        np.testing.assert_allclose(np.asarray(line.get_ydata()), np.asarray(runs, float).mean(0), rtol=1e-6)
        low, high = band(filled)
        np.testing.assert_allclose(low, np.asarray(runs, float).min(0), rtol=1e-6)
        np.testing.assert_allclose(high, np.asarray(runs, float).max(0), rtol=1e-6)
        assert to_hex(filled.get_facecolor()[0]) == line.get_color().lower()
    keys = [(key.get_color(), key.get_marker()) for key in figure.legends[0].get_lines()]
    assert keys == [(line.get_color(), line.get_marker()) for line in axes.lines]
    assert len(set(keys)) == 2
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert low < 1.4 < 4.7 < high < 10
    readable(figure)
    assert len(figures.png(figure)) <= 200_000


def test_the_axis_leaves_out_where_lines_start_and_shows_where_the_highest_run_ends():
    (axes,) = figures.curves({"a": np.array([[90.0, 2.0], [90.0, 8.0]]), "b": np.array([[90.0, 1.0]])}, ylabel="y").axes
    low, high = axes.get_ylim()
    assert 0.5 < low < 1
    assert 8 < high < 20


def test_curves_name_epochs_unless_told_otherwise():
    assert figures.curves({"r": falling()}, ylabel="y").axes[0].get_xlabel() == "epoch"


def test_a_line_is_the_mean_of_the_runs_still_going_and_ends_with_half_of_them():
    runs = np.array([[4.0, 4.0, 4.0, 4.0], [2.0, 2.0, 2.0, np.nan], [3.0, 3.0, np.nan, np.nan], [3.0, 3, 3, np.nan]])
    (line,) = figures.curves({"r": runs}, ylabel="y").axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [3, 3, 3, np.nan])
    (line,) = figures.curves({"r": runs[:2]}, ylabel="y").axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [3, 3, 3, 4])


def test_rows_that_diverged_are_named():
    rows = {"lost": np.full((2, 5), np.nan), "fine": falling(2, 5), "half": np.array([[np.nan] * 5, [2.0] * 5])}
    figure = figures.curves(rows, ylabel="y")
    assert legend(figure) == ["lost (diverged)", "fine", "half"]
    assert figures.png(figure)
    assert not figures.curves({"all": rows["lost"]}, ylabel="y").legends, "one row needs no legend"


def test_a_cross_stands_where_the_first_run_of_a_row_diverged():
    runs = falling(4, 9)
    runs[0, 3:], runs[1, 6:], runs[2, 5:] = np.nan, np.nan, np.nan  # the last of these has stopped
    figure = figures.curves({"a": runs, "b": falling(2, 9)}, ylabel="y", diverged={"a": [True, True, False, False]})
    (mark,) = figure.axes[0].texts
    assert (mark.get_text(), mark.xy) == ("✕ 2", (4, 1))
    assert legend(figure) == ["a", "b", "so many runs diverged"]


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((1, 1), 88.6), np.array([[90.0, 1e-9], [1.0, 0.0]])])
def test_curves_of_odd_values_are_drawn(values):
    figure = figures.curves({"r": values}, ylabel="y")
    assert figures.png(figure)
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < high


def test_curves_of_negative_values_have_a_linear_axis_that_shows_all():
    (axes,) = figures.curves({"r": np.array([[5.0, -80.0, -84.0]])}, ylabel="nats").axes
    assert axes.get_yscale() == "linear"
    low, high = axes.get_ylim()
    assert low < -84 < 5 < high


def test_a_figure_without_rows_is_empty():
    assert figures.png(figures.curves({}, ylabel="y"))
    assert figures.png(figures.bars([], xlabel="x"))


def test_rows_that_share_a_panel_differ():
    rows = {str(i): falling(2, 3) for i in range(5)}
    (axes,) = figures.curves(rows, ylabel="y").axes
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 5


def test_more_rows_have_a_panel_each_on_the_same_axes(readable):
    rows = {f"row {i} with a name of many words": falling(3, 20, 1.0 + i) for i in range(9)}
    figure = figures.curves(rows, ylabel="error", title="title")
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title().replace("\n", " ") for axes in drawn] == list(rows)
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in drawn}) == 1
    for axes, runs in zip(drawn, rows.values(), strict=True):
        assert len(axes.lines) == 10, "all rows, and its own once more"
        np.testing.assert_allclose(np.asarray(axes.lines[-1].get_ydata()), runs.mean(0))
        assert len(axes.collections) == 1
    readable(figure)


@pytest.mark.parametrize("words", [1, 4, 8, 20])
def test_a_legend_is_no_wider_than_its_figure_and_leaves_the_panel_its_height(words, readable):
    names = [f"{i} " + "words " * words for i in range(5)]
    figure = figures.curves({name: falling(2, 3) for name in names}, ylabel="y", title="title " * words)
    readable(figure)
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
    assert [" ".join(name.split()) for name in legend(figure)] == [name.strip() for name in names]
    height = figure.axes[0].get_window_extent().height / figure.dpi
    assert 2.8 < height < 4


PERCENT = (0, 100)
BARS = [
    Bar("shallow", [1.8, 1.9, 2.0], 1.8, 2.0, 1.9),
    Bar("denoising", [1.4], None, None, None),
    Bar("deep", [math.nan, math.nan], None, None, 2.0),
    Bar("dbn", [], None, None, None),
    Bar("two", [1.5, 3.5], -93.0, 98.0, 1.25),
    Bar("wide", [0.5, 1.0, 1.5], -0.1, 2.1, 0.0),
    Bar("one lost", [2.5, math.nan, 2.7, 2.6], 2.45, 2.85, None),
]


def rectangles(axes):
    return [
        (
            round(p.get_x(), 6),
            round(p.get_width(), 6),
            round(p.get_y() + p.get_height() / 2, 6),
            to_hex(p.get_facecolor()),
        )
        for p in axes.patches
        if isinstance(p, Rectangle)
    ]


def test_a_bar_is_the_mean_from_zero_above_that_of_the_paper(readable):
    figure = figures.bars(BARS, xlabel="test error (%)", title="Experiment 2", bounds=PERCENT)
    (axes,) = figure.axes
    ours, paper = "#0072b2", "#c9c9c9"
    assert rectangles(axes) == [
        (0, 1.9, -0.19, ours),
        (0, 1.9, 0.19, paper),
        (0, 1.4, 1, ours),
        (0, 2.0, 2.19, paper),
        (0, 2.5, 3.81, ours),
        (0, 1.25, 4.19, paper),
        (0, 1.0, 4.81, ours),
        (0, 0.0, 5.19, paper),
        (0, 2.6, 6, ours),
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == [bar.label for bar in BARS]
    assert axes.get_yticks().tolist() == list(range(7))
    low, high = axes.get_ylim()
    assert low > high, "the first row is at the top"
    assert (figure.get_suptitle(), axes.get_xlabel()) == ("Experiment 2", "test error (%)")
    assert legend(figure) == ["ours, with 95 % interval of the mean", "a seed", "paper"]
    assert [to_hex(key.get_facecolor()) for key in figure.legends[0].get_patches()] == [ours, paper]
    readable(figure)
    assert len(figures.png(figure)) <= 200_000


def test_labels_stand_at_the_ends_of_their_bars_and_say_what_tables_say():
    (axes,) = figures.bars(BARS, xlabel="%", bounds=PERCENT).axes
    assert [(text.get_text(), *text.xy) for text in axes.texts] == [
        ("1.90 ± 0.10", 2.0, -0.19),
        ("1.9", 1.9, 0.19),
        ("1.40", 1.4, 1),
        ("diverged", 0, 1.81),
        ("2.0", 2.0, 2.19),
        ("–", 0, 3),
        ("1.50, 3.50", 3.5, 3.81),
        ("1.25", 1.25, 4.19),
        ("0.50, 1.00, 1.50", 1.5, 4.81),
        ("0.0", 0, 5.19),
        ("2.60 ± 0.20\n(1 of 4 diverged)", 2.85, 6),
    ]


def test_each_seed_is_a_dot_and_an_interval_is_drawn_where_the_label_has_one():
    (axes,) = figures.bars(BARS, xlabel="%", bounds=PERCENT).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in dots] == [
        [1.8, 1.9, 2.0],
        [1.4],
        [1.5, 3.5],
        [0.5, 1.0, 1.5],
        [2.5, 2.7, 2.6],
    ]
    for line, middle in zip(dots, [-0.19, 1, 3.81, 4.81, 6], strict=True):
        assert np.abs(np.asarray(line.get_ydata()) - middle).max() < 0.18, "the dots are on the bar"
    intervals = [segment for c in axes.collections for segment in c.get_segments()]
    np.testing.assert_allclose([[x for x, _ in segment] for segment in intervals], [[1.8, 2.0], [2.45, 2.85]])
    assert all(abs(y - middle) < 0.18 for one, middle in zip(intervals, [-0.19, 6], strict=True) for _, y in one)
    assert legend(figures.bars(BARS[1:2], xlabel="%")) == ["ours", "a seed"]


@pytest.mark.parametrize("sign", [1, -1])
def test_an_axis_ends_with_the_bars_and_labels_stay_inside_the_figure(sign, readable):
    values = [sign * value for value in (84.1, 85.2, 84.7, 81.0, 80.0)]
    rows = [
        Bar("a row with a name of many words " * 2, values, None, None, sign * 86.3),
        Bar("b", [2.0], None, None, 1),
    ]
    figure = figures.bars(rows, xlabel="nats")
    (axes,) = figure.axes
    readable(figure)
    low, high = axes.get_xlim()
    ends = min(*values, -86.3 if sign < 0 else 0), max(*values, 86.3 if sign > 0 else 2)
    assert low <= ends[0] < ends[1] <= high
    assert high - low < 1.1 * (ends[1] - ends[0])
