import pytest
from matplotlib.text import Text


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def readable():
    """Checks that a figure is as wide as all are, and that every text is large enough and inside the figure."""

    def check(figure):
        figure.draw_without_rendering()
        assert figure.get_figwidth() == 6
        unseen = []
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = axis.get_major_ticks() + axis.get_minor_ticks()
                unseen += [t.label1 for t in ticks if not axes.axison or not low <= t.get_loc() <= high]
        for text in figure.findobj(Text):
            if text.get_text() and text.get_visible() and text not in unseen:
                assert text.get_fontsize() >= 11
                box = text.get_window_extent()
                assert -1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text.get_text()
                assert -1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text.get_text()

    return check
