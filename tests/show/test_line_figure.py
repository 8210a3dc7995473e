"""Lines with bands, and maps: what is drawn is what was given."""

import numpy as np
import pytest

from dlx.show.line_figure import lines, maps


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
    ticks = [float(text.get_text()) for text in axes.get_xticklabels()]
    assert 5 < len(ticks) <= 8
    assert {f"{tick:.0e}"[0] for tick in ticks} <= {"1", "3"}


def test_maps_share_the_scale_of_the_first_and_begin_at_the_bottom():
    first, second = np.arange(6.0).reshape(2, 3), np.zeros((2, 3))
    figure = maps({"truth": first, "net": second})
    for axes, image in zip(figure.axes, (first, second), strict=True):
        (drawn,) = axes.images
        np.testing.assert_array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == (0, 5)
        assert drawn.origin == "lower"
    assert [axes.get_title() for axes in figure.axes] == ["truth", "net"]


def test_no_maps_are_an_error():
    with pytest.raises(ValueError, match="no image"):
        maps({})
