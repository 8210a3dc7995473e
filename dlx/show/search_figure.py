"""A figure of a search: what each trial reached, against each hyper-parameter."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dlx.show import canvas
from dlx.show.canvas import COLOURS, MARKERS
from dlx.show.panels import grid

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
    panel: str = ""
    """The name of the panel that it stands in; that of the row if empty."""
    kind: str = ""
    """What else tells trials apart, such as "patience 4"."""


Styles = Mapping[str, tuple[str, str]]
"""The colour and the marker of each kind."""


def scatter(points: Sequence[Point], *, ylabel: str) -> list[Figure]:
    """One figure per hyper-parameter, with a panel a row: what each trial reached, in the unit that `ylabel` names.

    Each panel has axes of its own. A vertical axis is logarithmic unless a value is negative. Colour and marker show
    the kind of a trial, and a ring shows the chosen one. A line joins the trials of a row that differ in this
    hyper-parameter alone. Points that would hide each other stand side by side. Diverged trials are crosses along the
    top edge. On a logarithmic axis, values far above the rows' best all stand on one level below the crosses. So the
    good values stay apart. The axis of a hyper-parameter is logarithmic if its values are positive and span more than a
    factor of 4. Raises ValueError if there is no hyper-parameter.
    """
    known = dict.fromkeys(name for point in points for name in point.hypers)
    if not known:
        raise ValueError("no point has a hyper-parameter to be drawn against")
    kinds = list(dict.fromkeys(point.kind for point in points))
    styles = {kind: (COLOURS[i % 7], MARKERS[(i + i // 7) % 7]) for i, kind in enumerate(kinds)}
    return [_figure([p for p in points if name in p.hypers], name, styles, ylabel) for name in known]


def _figure(points: Sequence[Point], name: str, styles: Styles, ylabel: str) -> Figure:
    panels: dict[str, list[Point]] = {}
    for point in points:
        panels.setdefault(point.panel or point.row, []).append(point)
    alone = len(panels) == 1
    if alone:
        figure, axes = canvas.panel(4.0, name, ylabel)
        drawn = [axes]
    else:
        figure, drawn = grid(list(panels), xlabel=name, ylabel=ylabel, share=False)
    for axes, trials in zip(drawn, panels.values(), strict=True):
        places = sorted({float(point.hypers[name]) for point in trials})
        heights = _heights(trials, apart=0.07 if alone else 0.16)
        log = _set_horizontal_axis(axes, places, alone)
        span = math.log10(places[-1] / places[0]) if log else places[-1] - places[0]
        _draw_trials(axes, trials, name, styles, heights, log, span or 1.0)
        _set_vertical_axis(axes, heights, 12 if alone else 5)
    _name_kinds(figure, points, styles)
    return figure


def _draw_trials(
    axes: Axes, points: Sequence[Point], name: str, styles: Styles, heights: _Heights, log: bool, span: float
) -> None:
    values = [math.log10(point.hypers[name]) if log else float(point.hypers[name]) for point in points]
    marks = [(list(styles).index(p.kind), x, heights.place(p.value)) for p, x in zip(points, values, strict=True)]
    lanes = [(mark[0], marks[:i].count(mark)) for i, mark in enumerate(marks)]
    joined: dict[Any, list[tuple[float, float]]] = {}
    for point, x in zip(points, _beside(values, lanes, span), strict=True):
        colour, marker = styles[point.kind]
        place = 10**x if log else x, heights.place(point.value)
        rest = frozenset((key, value) for key, value in point.hypers.items() if key != name)
        joined.setdefault((point.row, point.kind, rest), []).append(place)
        axes.plot(*place, marker if math.isfinite(point.value) else "x", color=colour, markersize=7, alpha=0.85)
        if point.chosen:
            axes.plot(*place, "o", color="black", fillstyle="none", markersize=14, gid="chosen")
    for (_, kind, _), places in joined.items():
        axes.plot(*zip(*sorted(places), strict=True), color=styles[kind][0], linewidth=1, alpha=0.5, gid="joined")


def _name_kinds(figure: Figure, points: Sequence[Point], styles: Styles) -> None:
    """Put a legend below the panels: kinds if they are several, and what the ring means if there is one."""
    from matplotlib.lines import Line2D

    drawn = [(kind, style) for kind, style in styles.items() if any(point.kind == kind for point in points)]
    keys = {
        kind: Line2D([], [], color=colour, marker=marker, linestyle="", markersize=8)
        for kind, (colour, marker) in drawn
        if len(drawn) > 1
    }
    if any(point.chosen for point in points):
        ring: dict[str, Any] = {"color": "black", "marker": "o", "linestyle": "", "fillstyle": "none", "markersize": 13}
        keys["chosen"] = Line2D([], [], **ring)
    if keys:
        canvas.legend(figure, list(keys.values()), list(keys))


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


def _heights(points: Sequence[Point], apart: float) -> _Heights:
    """An axis on which the rows' best values are well apart, and levels that are so large a share of it apart.

    It is logarithmic, and values beyond four times a typical best and beyond every best share one level. If a value is
    negative, the axis is linear, and its only level is that of the diverged trials.
    """
    finite = [point for point in points if math.isfinite(point.value)]
    values = np.array([point.value for point in finite])
    log = not (values < 0).any()
    if log:
        best: dict[str, float] = {}
        for point in finite:
            best[point.row] = min(point.value, best.get(point.row, math.inf))
        typical = statistics.median_low(best.values()) if best else 0.0
        most = max(4 * typical, *best.values()) if best else 0.0
        top = 1.05 * (values[values <= most] if typical > 0 else values).max(initial=0) or 10.0
        low = max(0.93 * values[values > 0].min(initial=top / 1.2), top / 300)
    else:
        span = float(np.ptp(values)) or 1.0
        low, top = values.min() - 0.05 * span, values.max() + 0.05 * span
    above = apart * (values > top).any()
    diverged = above + apart * (len(values) < len(points))
    shares = above, diverged, diverged + apart / 2 * (diverged > 0)
    levels = [float(top * (top / low) ** share if log else top + share * (top - low)) for share in shares]
    return _Heights(log, float(low), float(top), *levels)


def _set_vertical_axis(axes: Axes, heights: _Heights, most: int) -> None:
    """Name at most so many values up to the top, and the levels above it, which are shaded."""
    axes.axhspan(heights.top, heights.end, color="black", alpha=0.06, linewidth=0)
    axes.set_ylim(heights.low, heights.end)
    if heights.log:
        axes.set_yscale("log")
        ticks = canvas.log_ticks(heights.low, heights.top, most).tolist()
    else:
        ticks = [tick for tick in axes.get_yticks().tolist() if heights.low <= tick <= heights.top]
    levels = {heights.above: f"above {heights.top:.2g}"} if heights.above > heights.top else {}
    levels |= {heights.diverged: "diverged"} if heights.diverged > heights.above else {}
    axes.set_yticks([*ticks, *levels], [*map(canvas.number, ticks), *levels.values()])
    axes.yaxis.minorticks_off()


def _set_horizontal_axis(axes: Axes, places: Sequence[float], wide: bool) -> bool:
    """Show all places, with a tick at each unless they are many; return whether the axis is logarithmic."""
    log = places[0] > 0 and places[-1] > 4 * places[0]
    scale = math.log10 if log else float
    first, last = scale(places[0]), scale(places[-1])
    margin = 0.16 * (last - first) or 0.5
    if log:
        axes.set_xscale("log")
    axes.set_xlim(*(10**end if log else end for end in (first - margin, last + margin)))
    many, apart = (10, 0.1) if wide else (8, 0.3)
    if len(places) <= many or log:
        few = len(places) <= many
        ticks = []
        for tick in places if few else canvas.log_ticks(places[0], places[-1], canvas.ACROSS).tolist():
            if not ticks or scale(tick) - scale(ticks[-1]) >= (apart if few else 1.3 * apart) * (last - first):
                ticks.append(tick)
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(lambda value, position: canvas.number(value))
    axes.minorticks_off()
    return log


def _beside(positions: Sequence[float], lanes: Sequence[Any], span: float) -> list[float]:
    """The positions on an axis of this span, moved sideways so that lanes at the same one stand side by side."""
    places = sorted(set(positions))
    sharing = {x: sorted({lane for lane, its in zip(lanes, positions, strict=True) if its == x}) for x in places}
    gaps = [span, *np.diff(places).tolist(), span]
    steps = {
        x: min(0.03 * span, min(0.24 * span, 0.7 * left, 0.7 * right) / len(sharing[x]))
        for x, left, right in zip(places, gaps, gaps[1:], strict=False)
    }
    return [
        x + steps[x] * (sharing[x].index(lane) - (len(sharing[x]) - 1) / 2)
        for x, lane in zip(positions, lanes, strict=True)
    ]
