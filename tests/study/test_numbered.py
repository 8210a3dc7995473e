"""A metric against the numbers of rows."""

import numpy as np
import pytest
import synthetic

from dlx.study.declare.page import ERRORS
from dlx.study.judge.numbered import by_number, number


def test_each_group_is_a_line_beside_functions_of_the_number():
    found = synthetic.found({"width/2": [0.5, 0.25], "width/8": [0.25, 0.25]}, group="Width")
    figure = by_number(ERRORS[-1], "units", ["Width"], beside={"bound": lambda n: 100 / n})(found)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[2, 37.5], [8, 25]])
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[2, 50], [8, 12.5]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("units", ERRORS[-1].label)


def test_without_rows_nothing_is_drawn():
    found = synthetic.found({"width/2": [0.5]}, group="Width")
    assert by_number(ERRORS[-1], "units", ["Depth"])(found) is None


def test_a_name_without_a_number_is_an_error():
    with pytest.raises(ValueError, match="'width/wide'"):
        number("width/wide")
    assert number("noise/inputs/0.3") == 0.3
