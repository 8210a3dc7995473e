import io
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image, ImageColor

from dlx.show import figures, tables
from dlx.show.figures import Bar, Point


def parse(source: str) -> list[list[str]]:
    """The cells of a GitHub table, rule left out, by walking over its characters."""
    rows = []
    for line in source.splitlines():
        cells, cell, characters = [], "", iter(line)
        for character in characters:
            if character == "\\":
                cell += next(characters)
            elif character == "|":
                cells, cell = [*cells, cell], ""
            else:
                cell += character
        assert cell == ""
        rows.append([cell.strip().replace("<br>", "\n") for cell in cells[1:]])
    assert all(re.fullmatch(r"-{2,}[-:]", cell) for cell in rows[1])
    return rows[:1] + rows[2:]


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


def falling(seeds=4, epochs=30, end=1.4):
    noise = np.random.default_rng(seeds).normal(0, 0.03, (seeds, epochs))
    return end + 6 * np.exp(-np.arange(epochs) / 4) + noise


def test_markdown_is_read_back_as_it_was_written():
    header = ["row", "a|b", "error %"]
    rows = [
        ["x|y", "back\\slash", "1.31 ± 0.04"],
        ["\\|", "two\nlines", ""],
        ["||", "\\\\|\\", "12.0"],
        ["**bold**", "[link](a_b)", "–"],
    ]
    assert parse(tables.markdown(header, rows)) == [header, *rows]


def test_markdown_lines_up_and_puts_numbers_to_the_right():
    lines = tables.markdown(["row", "error"], [["dbn", "1.2"], ["shallow", "10.25"]]).splitlines()
    assert lines == [
        "| row     | error |",
        "| ------- | ----: |",
        "| dbn     |   1.2 |",
        "| shallow | 10.25 |",
    ]


@pytest.mark.parametrize("show", [tables.markdown, lambda *table: tables.terminal("", *table)])
def test_tables_refuse_a_row_of_another_length(show):
    with pytest.raises(ValueError, match="argument"):
        show(["a", "b"], [["1"]])


def test_terminal_shows_every_character_away_from_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    verdict = "as the paper says [bold]" * 20
    tables.terminal("A [title]", ["row", "verdict"], [["dbn", verdict], ["deep", "short"]])
    out = capsys.readouterr().out
    assert verdict in out
    assert "A [title]" in out
    assert len({len(line) for line in out.splitlines()[1:]}) == 1


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1.312, 1.27, 1.35), "1.31 ± 0.04"),
        ((1.3, None, None), "1.30"),
        ((None, None, None), "–"),
        ((math.nan, None, None), "–"),
    ],
)
def test_percent(values, text):
    assert tables.percent(*values) == text


def test_curves_have_a_panel_an_experiment_and_a_line_a_row():
    rows = {"shallow": falling(end=4.7), "dbn": jnp.asarray(falling())}
    figure = figures.curves({"exp2": rows, "exp3": rows}, ylabel="error (%)", title="t")
    assert [axes.get_title() for axes in figure.axes] == ["exp2", "exp3"]
    colours = [[line.get_color() for line in axes.lines] for axes in figure.axes]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 2
    assert [len(axes.collections) for axes in figure.axes] == [2, 2]
    assert [text.get_text() for text in figure.legends[0].texts] == ["shallow", "dbn"]
    mean = np.asarray(figure.axes[0].lines[0].get_ydata())
    np.testing.assert_allclose(mean, rows["shallow"].mean(0))
    low, high = figure.axes[0].get_ylim()
    assert low < 1.4 < 4.7 < high < 10
    assert len(figures.png(figure)) <= 200_000


def test_a_line_is_the_mean_of_the_runs_still_going_and_ends_with_half_of_them():
    runs = np.array([[4.0, 4.0, 4.0, 4.0], [2.0, 2.0, 2.0, np.nan], [3.0, 3.0, np.nan, np.nan], [3.0, 3, 3, np.nan]])
    (line,) = figures.curves({"e": {"r": runs}}, ylabel="y").axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [3, 3, 3, np.nan])
    assert np.asarray(line.get_xdata()).tolist() == [1, 2, 3, 4]


def test_rows_that_diverged_are_named():
    lost, fine = np.full((2, 5), np.nan), falling(2, 5)
    panels = {"exp2": {"all": lost, "some": lost, "none": fine}, "exp3": {"all": lost, "some": fine}}
    figure = figures.curves(panels, ylabel="y")
    names = [text.get_text() for text in figure.legends[0].texts]
    assert names == ["all (diverged)", "some (diverged: exp2)", "none"]
    assert figures.png(figures.curves({"exp2": {"all": lost}}, ylabel="y"))
    assert figures.png(figure)


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((1, 1), 88.6), np.array([[90.0, 1e-9], [1.0, 0.0]])])
def test_curves_of_odd_values_are_drawn(values):
    figure = figures.curves({"e": {"r": values}}, ylabel="y")
    assert figures.png(figure)
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < high


def test_more_rows_than_colours_still_differ():
    rows = {str(i): falling(2, 3) for i in range(15)}
    lines = figures.curves({"e": rows}, ylabel="y").axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 15


@pytest.mark.parametrize(
    "draw",
    [
        lambda names: figures.curves({"e": {name: falling(2, 3) for name in names}, "f": {}}, ylabel="y"),
        lambda names: figures.scatter([Point(name, {"h": 1}, 2.0) for name in names], ylabel="y"),
    ],
)
@pytest.mark.parametrize("words", [1, 4, 8])
def test_a_legend_is_no_wider_than_its_figure(draw, words):
    figure = draw([f"{i} " + "words " * words for i in range(9)])
    figures.png(figure)
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert len(legend.get_texts()) >= 9


def test_filters_show_the_units_of_largest_norm_on_a_symmetric_scale():
    weights = np.ones((6, 5)) * [1.0, -4.0, 2.0, 3.0, 0.5]
    figure = figures.filters({"dbn": weights, "few": weights[:, :2]}, (2, 3), count=4)
    first, second = (axes.images[0] for axes in figure.axes)
    shown = np.ma.filled(np.ma.asarray(first.get_array()), np.nan)
    assert shown.shape == (2 * 2 + 2, 2 * 3 + 2)
    assert [shown[0, 0], shown[0, -1], shown[-1, 0], shown[-1, -1]] == [-4, 3, 2, 1]
    assert np.isnan(shown[2:4]).all()
    assert first.get_clim() == (-4, 4)
    assert np.asarray(second.get_array()).shape == (2, 2 * 3 + 2)
    assert "dbn" in figure.axes[0].get_title()


def test_filters_of_the_real_size_fit_into_a_file():
    rng = np.random.default_rng(0)
    groups = {name: rng.normal(size=(784, 100)) for name in "abc"}
    data = figures.png(figures.filters(groups, (28, 28), title="Noise, which compresses worst"))
    assert len(data) <= 200_000
    assert min(size(data)) > 600


def test_filters_that_diverged_or_are_zero_are_drawn():
    figure = figures.filters({"lost": np.full((4, 3), np.nan), "zero": np.zeros((4, 3))}, (2, 2))
    assert "diverged" in figure.axes[0].get_title()
    assert figures.png(figure)


def test_filters_refuse_another_image_shape():
    with pytest.raises(ValueError, match="dbn: 6 weights"):
        figures.filters({"dbn": np.ones((6, 2))}, (2, 2))


def test_bars_stand_beside_those_of_the_paper():
    panel = [
        Bar("shallow", 1.9, 1.8, 2.0, 1.9),
        Bar("denoising", 1.4, None, None, None),
        Bar("deep", math.nan, None, None, 2.0),
        Bar("dbn", None, None, None, None),
    ]
    figure = figures.bars({"exp2": panel, "exp3": panel[:1]}, ylabel="test error (%)", title="t")
    drawn = [[patch for patch in axes.patches if isinstance(patch, Rectangle)] for axes in figure.axes]
    lengths = [sorted(round(patch.get_width(), 6) for patch in patches) for patches in drawn]
    assert lengths == [[1.4, 1.9, 1.9, 2.0], [1.9, 1.9]]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1.90 ± 0.10", "1.9", "1.40", "diverged", "2.0", "diverged"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["test error (%)"] * 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "shallow",
        "denoising",
        "deep",
        "dbn",
    ]
    assert len(figures.png(figure)) <= 200_000


def search():
    """Six rows of twelve configurations: the last of each is far off, that before it has diverged."""
    points = []
    for row in range(6):
        values = [1.5 + 0.1 * row + 0.01 * i for i in range(10)] + [None, 88.6]
        for i, value in enumerate(values):
            hypers = {"rate": [0.01, 0.1, 1.0][i % 3], "epochs": 3.0 + i % 2, "masking": 0.25 if row == 0 else None}
            points.append(Point(f"row {row}", hypers, value, i == 0))
    return points


def drawn_in(axes):
    """Markers by place and kind, without the rings; then the places of the rings."""
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0]), line) for line in axes.lines]
    points = [(x, y, line.get_marker(), line.get_color()) for x, y, line in places if line.get_gid() != "chosen"]
    return points, [(x, y) for x, y, line in places if line.get_gid() == "chosen"]


def test_scatter_has_a_panel_a_hyper_parameter_and_drops_no_run():
    figure = figures.scatter(search(), ylabel="valid %", title="t")
    assert [axes.get_xlabel() for axes in figure.axes] == ["rate", "epochs", "masking"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "linear"]
    for axes, count in zip(figure.axes, (72, 72, 12), strict=True):
        points, rings = drawn_in(axes)
        assert len(set(points)) == count, "none hides another"
        assert sum(marker == "x" for *_, marker, _ in points) == count / 12
        low, high = axes.get_ylim()
        left, right = axes.get_xlim()
        assert all(left < x < right and low <= y < high for x, y, *_ in points)
        assert len(rings) == count / 12
        assert set(rings) <= {(x, y) for x, y, *_ in points}
    assert len({(marker, colour) for *_, marker, colour in drawn_in(figure.axes[0])[0] if marker != "x"}) == 6
    assert [text.get_text() for text in figure.legends[0].texts] == [*(f"row {i}" for i in range(6)), "chosen"]
    figure.draw_without_rendering()


def test_scatter_keeps_the_good_values_apart_and_names_the_others():
    axes = figures.scatter(search(), ylabel="valid %").axes[0]
    ticks = {label.get_text(): y for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    points, _ = drawn_in(axes)
    assert {y for _, y, marker, _ in points if marker == "x"} == {ticks["diverged"]}
    good = sorted(y for _, y, *_ in points if y < ticks["above 2.2"])
    np.testing.assert_allclose(good, sorted(p.value for p in search() if p.value and p.value < 80))
    low, high = np.log(axes.get_ylim())
    assert np.log(good[-1] / good[0]) > 0.5 * (high - low)
    assert ticks["above 2.2"] < ticks["diverged"] < axes.get_ylim()[1]


def test_scatter_moves_points_by_less_than_half_the_way_to_the_next_value():
    rate, epochs, _ = figures.scatter(search(), ylabel="y").axes
    for axes, scale, values in ((rate, np.log10, [-2, -1, 0]), (epochs, float, [3, 4])):
        moved = np.array([scale(x) for x, *_ in drawn_in(axes)[0]])
        nearest = np.abs(moved[:, None] - np.array(values)).argmin(1)
        assert np.bincount(nearest).tolist() == [72 // len(values)] * len(values)


@pytest.mark.parametrize(
    ("hypers", "values"),
    [([0.1], [None]), ([0.1, 0.1], [math.nan, 2.0]), ([0.0, 5.0], [0.0, 0.0]), ([1, 3], [2.0, 2.0]), ([-1], [1e-9])],
)
def test_scatter_of_odd_values_is_drawn(hypers, values):
    points = [Point("r", {"h": h}, value) for h, value in zip(hypers, values, strict=True)]
    figure = figures.scatter(points, ylabel="y")
    figure.draw_without_rendering()
    shown, rings = drawn_in(figure.axes[0])
    assert len(set(shown)) == len(values)
    assert rings == []


def test_scatter_tells_more_rows_than_colours_apart_and_refuses_nothing_to_draw():
    points, _ = drawn_in(figures.scatter([Point(f"{i}", {"h": 1}, 2.0) for i in range(15)], ylabel="y").axes[0])
    assert len({(marker, colour) for *_, marker, colour in points}) == 15
    with pytest.raises(ValueError, match="no point"):
        figures.scatter([Point("r", {"h": None}, 2.0)], ylabel="y")


@pytest.mark.parametrize("limit", [200_000, 60_000, 35_000])
def test_a_small_png_still_tells_the_lines_apart(limit):
    rng = np.random.default_rng(0)
    runs = {f"row {i}": 5 + i + rng.normal(0, 0.5, (10, 30)) for i in range(7)}
    data = figures.png(figures.curves({"Experiment 2": runs, "Experiment 3": runs}, ylabel="y"), limit)
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB"), int).reshape(-1, 3)
    for name in figures._COLOURS:
        colour = np.array(ImageColor.getrgb(name))
        assert np.abs(pixels - colour).max(1).min() < 32, f"nothing is {name}"


def test_png_gives_up_sharpness_for_size_and_then_gives_up():
    figure = figures.bars({"exp2": [Bar("dbn", 1.3, 1.2, 1.4, 1.2)]}, ylabel="%")
    large = figures.png(figure)
    assert figures.png(figure) == large
    small = figures.png(figure, len(large) - 1)
    assert len(small) < len(large)
    assert size(small) < size(large)
    with pytest.raises(ValueError, match="at most 100 are allowed"):
        figures.png(figure, 100)
