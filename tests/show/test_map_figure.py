"""Maps of functions of two numbers: colours, axes, colour bars and points are what was given."""

import numpy as np
import pytest

from dlx.show.map_figure import Map, maps

SQUARE = (-1.0, 1.0, -2.0, 2.0)
FIRST, SECOND = np.arange(1.0, 7.0).reshape(2, 3), np.full((2, 3), 100.0)


def drawn(figure):
    return [axes for axes in figure.axes if axes.images]


def test_maps_of_one_scale_share_its_colours_and_a_bar_that_names_it(readable):
    images = {"truth": Map(FIRST, SQUARE, "u", "v", scale="loss"), "net": Map(SECOND, SQUARE, "u", "v", scale="loss")}
    figure = maps({**images, "other": Map(FIRST, SQUARE, "u", "w")}, logs=("loss",))
    for axes, values in zip(drawn(figure), (FIRST, SECOND, FIRST), strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), values)
        assert (image.origin, tuple(image.get_extent())) == ("lower", SQUARE)
        assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 1), (-2, 2))
    assert [axes.images[0].get_clim() for axes in drawn(figure)] == [(1, 100), (1, 100), (1, 6)]
    assert [axes.get_title() for axes in drawn(figure)] == ["truth", "net", "other"]
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in drawn(figure)] == [("u", "v"), ("u", "v"), ("u", "w")]
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert [bar.get_xlabel() for bar in bars] == ["loss"]
    assert len(bars[0].get_xticks()) >= 2
    readable(figure)


def test_points_of_a_name_have_a_marker_that_the_legend_names():
    one, two = np.array([[0.0, 0.0], [0.5, 1.0]]), np.array([[-0.5, -1.0]])
    images = {
        "a": Map(FIRST, SQUARE, "u", "v", {"one": one, "two": two}),
        "b": Map(FIRST, SQUARE, "u", "v", {"one": one}),
    }
    figure = maps(images)
    left, right = drawn(figure)
    assert [line.get_xydata().tolist() for line in left.lines] == [one.tolist(), two.tolist()]
    assert [line.get_xydata().tolist() for line in right.lines] == [one.tolist()]
    assert left.lines[0].get_marker() == right.lines[0].get_marker() != left.lines[1].get_marker()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]


def test_no_maps_are_an_error():
    with pytest.raises(ValueError, match="no map"):
        maps({})
