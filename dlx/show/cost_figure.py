"""Figures of what an error costs: over how long training waits, and against the seconds that it takes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from dlx.show import canvas
from dlx.show.canvas import COLOURS, MARKERS
from dlx.show.line_figure import Line, lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 1.5
"""The marks of a margin stand so many times as far right as the last place."""
ROOM = 1.15
"""A logarithmic axis goes on beyond the values by this factor."""


def with_margin(
    rows: Mapping[str, Line], margin: Mapping[str, float], name: str, *, xlabel: str, ylabel: str
) -> Figure:
    """Lines on logarithmic axes, and right of them a hollow mark for each row that has a value in the `margin`.

    `name` is what stands below these marks.
    """
    figure = lines(rows, xlabel=xlabel, ylabel=ylabel, log_x=True)
    (axes,) = figure.axes
    if margin:
        places = sorted({x for there, _ in rows.values() for x in there})
        for row, line in zip(rows, list(axes.lines), strict=True):
            if row in margin:
                (mark,) = axes.plot([MARGIN * places[-1]], [margin[row]], color=line.get_color(), markersize=9)
                mark.set(marker=line.get_marker(), fillstyle="none", markeredgewidth=2)
        axes.set_xticks([*places, MARGIN * places[-1]], [*(f"{x:g}" for x in places), name])
        low, top = axes.get_ylim()
        axes.set_ylim(min(low, 0.95 * min(margin.values())), max(top, 1.05 * max(margin.values())))
        canvas.name_ticks(axes.yaxis, *axes.get_ylim())
    return figure


class Points(NamedTuple):
    """Where the points of a row are, and how high."""

    x: Float[np.ndarray, " seeds"]
    y: Float[np.ndarray, " seeds"]


def clouds(rows: Mapping[str, Points], *, xlabel: str, ylabel: str, title: str = "") -> Figure:
    """The points of each row in a colour and with a marker of its own, on logarithmic axes.

    Raises ValueError if there is no row, or if a number is not positive.
    """
    if not rows or not all((np.asarray(values) > 0).all() for values in itertools.chain(*rows.values())):
        raise ValueError("points on logarithmic axes are positive, and there is at least one row of them")
    figure, axes = canvas.panel(4.0, xlabel, ylabel, title)
    for i, (x, y) in enumerate(rows.values()):
        axes.plot(x, y, MARKERS[(i + i // 7) % 7], color=COLOURS[i % 7], markersize=7, alpha=0.8)
    across, up = (np.concatenate([points[place] for points in rows.values()]) for place in (0, 1))
    axes.set(xscale="log", xlim=ends(across), yscale="log", ylim=ends(up))
    canvas.name_ticks(axes.xaxis, *ends(across), canvas.ACROSS)
    canvas.name_ticks(axes.yaxis, *ends(up))
    canvas.legend(figure, axes.lines, list(rows))
    return figure


def ends(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The ends of a logarithmic axis that shows all of these values."""
    return float(values.min()) / ROOM, float(values.max()) * ROOM
