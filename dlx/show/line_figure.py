"""Figures of a value against a number, such as an error against a width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dlx.show import canvas
from dlx.show import panels as row_panels
from dlx.show.canvas import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Line = tuple[Sequence[float | int], Sequence[Float[np.ndarray, " _seeds"]]]
"""Where the points of a line are, and the values of the seeds at each. NaN: the run diverged."""
MOST_TICKS = 12
"""With more places than this an axis has round numbers."""


def lines(rows: Mapping[str, Line], *, xlabel: str, ylabel: str, title: str = "", log_x: bool = False) -> Figure:
    """A line a row: the mean over seeds, in a band from the least to the largest. Many rows have a panel each.

    A point without seeds is left out. A cross at the top edge says how many runs of a point diverged. The vertical axis
    is logarithmic, and with `log_x` the horizontal axis too. A line of single values is dashed, without a band.
    """
    figure, panels = row_panels.panels(list(rows), xlabel=xlabel, ylabel=ylabel, title=title)
    apart, keys = row_panels.are_apart(panels), []
    for i, (axes, row) in enumerate(zip(panels, rows.values(), strict=True)):
        for places, values in rows.values() if apart else ():
            axes.plot(*_means(places, values)[:2], **row_panels.OTHERS)
        colour, marker = (COLOURS[0], MARKERS[0]) if apart else (COLOURS[i], MARKERS[i])
        keys.append(_draw_line(axes, row, colour, marker, i))
        for x, seeds in zip(*row, strict=True):
            if lost := int(np.isnan(seeds).sum()):
                row_panels.mark_diverged(axes, x, lost, colour)
    ticks = sorted({x for places, _ in rows.values() for x in places})
    for axes in dict.fromkeys(panels):
        axes.set_yscale("log")
        if log_x:
            axes.set_xscale("log")
        _name_places(axes, ticks, 5 if apart else MOST_TICKS, log_x)
    for axes in dict.fromkeys(panels):  # which may share their limits
        canvas.name_ticks(axes.yaxis, *axes.get_ylim(), 6 if apart else 12)
    row_panels.name_rows(figure, keys, list(rows), apart)
    return figure


def _means(places: Sequence[float | int], values: Sequence[Float[np.ndarray, " _seeds"]]) -> np.ndarray:
    """Places, means, least and largest values [4, places] of the points that have a finite value."""
    finite = [(x, seeds[np.isfinite(seeds)]) for x, seeds in zip(places, map(np.asarray, values), strict=True)]
    known = [(x, seeds.mean(), seeds.min(), seeds.max()) for x, seeds in finite if len(seeds)]
    return np.array(known, float).reshape(-1, 4).T


def _draw_line(axes: Axes, row: Line, colour: str, marker: str, turn: int) -> Line2D:
    x, mean, low, high = _means(*row)
    banded = any(len(seeds) > 1 for seeds in row[1])
    every = (turn % 4, 4) if len(x) > MOST_TICKS else None
    style = marker + ("-" if banded else "--")
    if banded:
        axes.fill_between(x, low, high, facecolor=(colour, 0.2), edgecolor=colour, linewidth=0.8)
    (line,) = axes.plot(x, mean, style, color=colour, linewidth=2, markersize=6, markevery=every)
    return line


def _name_places(axes: Axes, places: Sequence[float | int], most: int, log_x: bool) -> None:
    """Name all places below the axis if they are at most so many, else round numbers."""
    from matplotlib.ticker import MaxNLocator

    if len(places) <= most:
        axes.set_xticks(places, [canvas.number(x) for x in places])
    elif log_x:
        canvas.name_ticks(axes.xaxis, places[0], places[-1], min(most, canvas.ACROSS))
    else:
        integer = all(float(x).is_integer() for x in places)
        axes.xaxis.set_major_locator(MaxNLocator(min(most, canvas.ACROSS), steps=[1, 2, 5, 10], integer=integer))
        axes.xaxis.set_major_formatter(lambda value, position: canvas.number(value))
    axes.xaxis.minorticks_off()
