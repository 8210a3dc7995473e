"""A table of percentages: what is drawn is what was given."""

import numpy as np
import pytest

from dlx.show.heat_figure import heat


def test_each_share_has_its_place_and_those_above_0_their_percentage():
    figure = heat({"first": [0.0, 0.25, 0.75], "second": [1.0, 0.0, 0.0]}, ["a", "b", "c"], xlabel="called")
    (axes,) = figure.axes
    (drawn,) = axes.images
    np.testing.assert_array_equal(drawn.get_array(), [[0, 0.25, 0.75], [1, 0, 0]])
    assert drawn.get_clim() == (0, 1)
    texts = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert texts == {(1, 0): ("25", "black"), (2, 0): ("75", "white"), (0, 1): ("100", "white")}
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]


def test_small_shares_are_told_apart_if_the_largest_is_named():
    figure = heat({"8": [0.031, 0.004]}, ["3", "5"], title="taken for", largest=0.04, decimals=1)
    (axes,) = figure.axes
    assert axes.images[0].get_clim() == (0, 0.04)
    assert [(text.get_text(), text.get_color()) for text in axes.texts] == [("3.1", "white"), ("0.4", "black")]
    assert figure.get_suptitle() == "taken for"


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        heat({}, ["a"])
    with pytest.raises(ValueError, match="'first' has 1 shares for 2 columns"):
        heat({"first": [1.0]}, ["a", "b"])
