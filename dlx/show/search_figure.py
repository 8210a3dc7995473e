"""A figure of a search: what each trial reached, against each hyper-parameter."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dlx.show import canvas
from dlx.show.canvas import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Point(NamedTuple):
    """A trial of a row's search: its hyper-parameters, and what it reached."""

    row: str
    hypers: Mapping[str, float]
    value: float
    """NaN: diverged."""
    chosen: bool = False


Styles = Mapping[str, tuple[str, str]]
"""The colour and the marker of each row."""


def scatter(points: Sequence[Point], *, ylabel: str) -> list[Figure]:
    """One figure per hyper-parameter: what each trial reached, in the unit that `ylabel` names.

    All figures have the same vertical axis, which is logarithmic unless a value is negative. Colour and marker show the
    row, and a ring shows the chosen trial. Points that would hide each other stand side by side. Diverged trials are
    crosses along the top edge. On a logarithmic axis, values far above the rows' best all stand on one level below the
    crosses. So the good values stay apart. The axis of a hyper-parameter is logarithmic if its values are positive and
    span more than a factor of 4. Raises ValueError if there is no hyper-parameter.
    """
    known = dict.fromkeys(name for point in points for name in point.hypers)
    if not known:
        raise ValueError("no point has a hyper-parameter to be drawn against")
    rows = dict.fromkeys(point.row for point in points)
    styles = {row: (COLOURS[i % 7], MARKERS[(i + i // 7) % 7]) for i, row in enumerate(rows)}
    heights = _heights(points)
    return [_figure([p for p in points if name in p.hypers], name, styles, heights, ylabel) for name in known]


def _figure(points: Sequence[Point], name: str, styles: Styles, heights: _Heights, ylabel: str) -> Figure:
    from matplotlib.lines import Line2D

    figure, axes = canvas.panel(4.0, name, ylabel)
    values = [float(point.hypers[name]) for point in points]
    log = _set_horizontal_axis(axes, sorted(set(values)))
    marks = [(list(styles).index(p.row), x, heights.place(p.value)) for p, x in zip(points, values, strict=True)]
    lanes = [(mark[0], marks[:i].count(mark)) for i, mark in enumerate(marks)]
    for point, x in zip(points, _beside([math.log10(x) if log else x for x in values], lanes), strict=True):
        colour, marker = styles[point.row]
        place = [10**x if log else x], [heights.place(point.value)]
        axes.plot(*place, marker if math.isfinite(point.value) else "x", color=colour, markersize=7, alpha=0.85)
        if point.chosen:
            axes.plot(*place, "o", color="black", fillstyle="none", markersize=14, gid="chosen")
    _set_vertical_axis(axes, heights)
    drawn = {row: style for row, style in styles.items() if any(point.row == row for point in points)}
    keys = [Line2D([], [], color=c, marker=m, linestyle="", markersize=8) for c, m in drawn.values()]
    keys.append(Line2D([], [], color="black", marker="o", linestyle="", fillstyle="none", markersize=13))
    canvas.legend(figure, keys, [*drawn, "chosen"])
    return figure


class _Heights(NamedTuple):
    """Where values are drawn: on an axis from `low` to `top`, and on two levels between `top` and `end`."""

    log: bool
    low: float
    top: float
    above: float
    """The level of values greater than `top`; `top` if there is none."""
    diverged: float
    """The level of diverged trials; `above` if there is none."""
    end: float

    def place(self, value: float) -> float:
        """The height of a value."""
        if not math.isfinite(value):
            return self.diverged
        return self.above if value > self.top else max(value, self.low)


def _heights(points: Sequence[Point]) -> _Heights:
    """An axis on which the rows' best values are well apart.

    It is logarithmic, and values beyond four times a typical best share one level. If a value is negative, the axis is
    linear, and its only level is that of the diverged trials.
    """
    finite = [point for point in points if math.isfinite(point.value)]
    values = np.array([point.value for point in finite])
    log = not (values < 0).any()
    if log:
        best: dict[str, float] = {}
        for point in finite:
            best[point.row] = min(point.value, best.get(point.row, math.inf))
        typical = statistics.median_low(best.values()) if best else 0.0
        top = 1.05 * (values[values <= 4 * typical] if typical > 0 else values).max(initial=0) or 10.0
        low = max(0.93 * values[values > 0].min(initial=top / 1.5), top / 300)
    else:
        span = float(np.ptp(values)) or 1.0
        low, top = values.min() - 0.05 * span, values.max() + 0.05 * span
    above = 0.07 * (values > top).any()
    diverged = above + 0.07 * (len(values) < len(points))
    shares = above, diverged, diverged + 0.035 * (diverged > 0)
    levels = [float(top * (top / low) ** share if log else top + share * (top - low)) for share in shares]
    return _Heights(log, float(low), float(top), *levels)


def _set_vertical_axis(axes: Axes, heights: _Heights) -> None:
    """Name the values up to the top, and the levels above it, which are shaded."""
    axes.axhspan(heights.top, heights.end, color="black", alpha=0.06, linewidth=0)
    axes.set_ylim(heights.low, heights.end)
    if heights.log:
        axes.set_yscale("log")
        ticks = canvas.log_ticks(heights.low, heights.top).tolist()
    else:
        ticks = [tick for tick in axes.get_yticks().tolist() if heights.low <= tick <= heights.top]
    levels = {heights.above: f"above {heights.top:.2g}"} if heights.above > heights.top else {}
    levels |= {heights.diverged: "diverged"} if heights.diverged > heights.above else {}
    axes.set_yticks([*ticks, *levels], [*(f"{tick:.6g}" for tick in ticks), *levels.values()])
    axes.yaxis.minorticks_off()


def _set_horizontal_axis(axes: Axes, places: Sequence[float]) -> bool:
    """Show all places, with a tick at each unless they are many; return whether the axis is logarithmic."""
    log = places[0] > 0 and places[-1] > 4 * places[0]
    scale = math.log10 if log else float
    first, last = scale(places[0]), scale(places[-1])
    margin = 0.16 * (last - first) or 0.5
    if log:
        axes.set_xscale("log")
    axes.set_xlim(*(10**end if log else end for end in (first - margin, last + margin)))
    if len(places) <= 10 or log:
        few = len(places) <= 10
        ticks, apart = [], 0.1 if few else 0.13
        for tick in places if few else canvas.log_ticks(places[0], places[-1], canvas.ACROSS).tolist():
            if not ticks or scale(tick) - scale(ticks[-1]) >= apart * (last - first):
                ticks.append(tick)
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:.6g}")
    axes.minorticks_off()
    return log


def _beside(positions: Sequence[float], lanes: Sequence[Any]) -> list[float]:
    """The positions, moved sideways so that lanes at the same position stand side by side."""
    places = sorted(set(positions))
    sharing = {x: sorted({lane for lane, its in zip(lanes, positions, strict=True) if its == x}) for x in places}
    span = (places[-1] - places[0]) or 1.0
    gaps = [span, *np.diff(places).tolist(), span]
    steps = {
        x: min(0.03 * span, min(0.24 * span, 0.7 * left, 0.7 * right) / len(sharing[x]))
        for x, left, right in zip(places, gaps, gaps[1:], strict=False)
    }
    return [
        x + steps[x] * (sharing[x].index(lane) - (len(sharing[x]) - 1) / 2)
        for x, lane in zip(positions, lanes, strict=True)
    ]
