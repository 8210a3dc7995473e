"""Tracks: what is drawn is what was given."""

import numpy as np
import pytest

from dlx.show.track_figure import Track, tracks


def test_a_track_has_its_lines_spans_and_marks_and_all_share_a_legend():
    exact, net = np.array([0.1, 0.5, 0.9, 0.2]), np.array([0.2, 0.4, 0.8, 0.3])
    loaded, sixes = {"loaded": np.array([True, True, False, True])}, {"a six": np.array([False, True, False, False])}
    figure = tracks(
        {"forward": Track({"exact": exact}), "both": Track({"exact": exact, "net": net}, loaded, sixes)},
        xlabel="throw",
        ylabel="p",
        limits=(0.0, 1.0),
    )
    above, below = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["forward", "both"]
    np.testing.assert_array_equal(above.lines[0].get_xydata(), np.stack([np.arange(1, 5), exact], 1))
    np.testing.assert_array_equal(below.lines[1].get_xydata(), np.stack([np.arange(1, 5), net], 1))
    np.testing.assert_array_equal(below.lines[2].get_xdata(), [2])
    assert {axes.get_ylim() for axes in figure.axes} == {(0, 1)}
    ends = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in below.patches]
    assert ends == [(0.5, 2.5), (3.5, 4.5)]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"exact", "net", "loaded", "a six"}


def test_without_tracks_there_is_no_figure():
    with pytest.raises(ValueError, match="at least one track"):
        tracks({}, xlabel="x", ylabel="y")
