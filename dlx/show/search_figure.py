"""A figure of a search: what each configuration reached, against each hyper-parameter."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dlx.show import canvas
from dlx.show.canvas import COLOURS, MARKERS, MEDIUM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Point(NamedTuple):
    """A configuration of a row's search: its hyper-parameters (None: the row has no such one) and what it reached."""

    row: str
    hypers: Mapping[str, float | None]
    value: float | None
    """None or NaN: diverged."""
    chosen: bool = False


def scatter(points: Sequence[Point], *, ylabel: str, title: str = "") -> list[Figure]:
    """A figure a hyper-parameter: what each configuration reached, in the unit that `ylabel` names.

    All figures have the same vertical axis, which is logarithmic unless a value is negative. Colour and marker tell
    the row, and a ring the chosen configuration. Points that would hide each other stand side by side. Diverged runs
    are crosses along the top edge. On a logarithmic axis, values far above the rows' best share a level below these,
    so that the good values stay apart. The axis of a hyper-parameter is logarithmic if its values are positive and
    more than a factor of 4 apart. Raises ValueError if there is no hyper-parameter.
    """
    known = {name: None for point in points for name, value in point.hypers.items() if value is not None}
    if not known:
        raise ValueError("no point has a hyper-parameter to be drawn against")
    rows = list(dict.fromkeys(point.row for point in points))
    styles = {row: (COLOURS[i % 7], MARKERS[(i + i // 7) % 7]) for i, row in enumerate(rows)}
    heights = _heights(points)
    return [_figure(points, name, styles, heights, ylabel, title) for name in known]


def _figure(
    points: Sequence[Point],
    name: str,
    styles: Mapping[str, tuple[str, str]],
    heights: _Heights,
    ylabel: str,
    title: str,
) -> Figure:
    from matplotlib.lines import Line2D

    figure, axes = canvas.panel(4.0, title)
    shown = [(point, float(x)) for point in points if (x := point.hypers.get(name)) is not None]
    _draw(axes, shown, list(styles), styles, heights, _hyper_axis(axes, [x for _, x in shown]))
    axes.axhspan(heights.top, heights.end, color="black", alpha=0.06, linewidth=0)
    axes.set_xlabel(name, fontsize=MEDIUM)
    axes.set_ylabel(ylabel, fontsize=MEDIUM)
    axes.grid(alpha=0.3)
    levels = {heights.above: f"above {heights.top:.2g}"} if heights.above > heights.top else {}
    levels |= {heights.diverged: "diverged"} if heights.diverged > heights.above else {}
    axes.set_ylim(heights.low, heights.end)
    if heights.log:
        axes.set_yscale("log")
        ticks = canvas.log_ticks(heights.low, heights.top)
    else:
        ticks = [tick for tick in axes.get_yticks().tolist() if heights.low <= tick <= heights.top]
    axes.set_yticks([*ticks, *levels], [*(f"{tick:.6g}" for tick in ticks), *levels.values()])
    axes.yaxis.minorticks_off()
    drawn = {row: styles[row] for row in styles if any(point.row == row for point, _ in shown)}
    keys = [Line2D([], [], color=c, marker=m, linestyle="", markersize=8) for c, m in drawn.values()]
    keys.append(Line2D([], [], color="black", marker="o", linestyle="", fillstyle="none", markersize=13))
    canvas.legend(figure, keys, [*drawn, "chosen"])
    return figure


def _draw(
    axes: Axes,
    shown: Sequence[tuple[Point, float]],
    rows: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
    heights: _Heights,
    log: bool,
) -> None:
    """Draw the points, each with its value of the hyper-parameter."""
    seen: Counter[tuple] = Counter()
    lanes = []
    for point, x in shown:
        same = point.row, x, heights(point.value)
        lanes.append(((rows.index(point.row), seen[same]), math.log10(x) if log else x))
        seen[same] += 1
    for (point, _), x in zip(shown, _beside(lanes), strict=True):
        colour, marker = styles[point.row]
        place = [10**x if log else x], [heights(point.value)]
        axes.plot(*place, marker if _finite(point.value) else "x", color=colour, markersize=7, alpha=0.85)
        if point.chosen:
            axes.plot(*place, "o", color="black", fillstyle="none", markersize=14, gid="chosen")


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


class _Heights(NamedTuple):
    """Where values are drawn: on an axis from `low` to `top`, and on two levels above it."""

    log: bool
    low: float
    top: float
    above: float
    diverged: float
    end: float

    def __call__(self, value: float | None) -> float:
        if value is None or not math.isfinite(value):
            return self.diverged
        return self.above if value > self.top else max(value, self.low)


def _heights(points: Sequence[Point]) -> _Heights:
    """An axis on which the rows' best values are well apart: values beyond four times a typical best share a level.

    It is logarithmic. If a value is negative, it is linear, and has no level but that of the diverged runs.
    """
    best: dict[str, float] = {}
    for row, _, value, _ in points:
        if value is not None and math.isfinite(value):
            best[row] = min(value, best.get(row, math.inf))
    values = np.array([point.value for point in points if _finite(point.value)])
    if (values < 0).any():
        span = float(np.ptp(values)) or 1.0
        low, top = values.min() - 0.05 * span, values.max() + 0.05 * span
        room = 0.07 * span * (len(values) < len(points))
        return _Heights(False, low, top, top, top + room, top + 1.5 * room)
    typical = statistics.median_low(best.values()) if best else 0.0
    top = 1.05 * (values[values <= 4 * typical] if typical > 0 else values).max(initial=0) or 10.0
    low = max(0.93 * values[values > 0].min(initial=top / 1.5), top / 300)
    some = [(values > top).any(), len(values) < len(points)]
    levels = 0.07 * np.cumsum([*some, 0.5 * any(some)])
    return _Heights(True, low, top, *(top * (top / low) ** levels).tolist())


def _beside(lanes: Sequence[tuple[Any, float]]) -> list[float]:
    """The positions of (lane, position), moved sideways so that the lanes which share one stand side by side."""
    sharing: dict[float, list[Any]] = {}
    for place in sorted({position for _, position in lanes}):
        sharing[place] = sorted({lane for lane, position in lanes if position == place})
    places = list(sharing)
    span = (places[-1] - places[0]) or 1.0
    gaps = [span, *np.diff(places).tolist(), span]
    steps = {
        place: min(0.03 * span, min(0.24 * span, 0.7 * left, 0.7 * right) / len(sharing[place]))
        for place, left, right in zip(places, gaps, gaps[1:], strict=False)
    }
    return [x + steps[x] * (sharing[x].index(lane) - (len(sharing[x]) - 1) / 2) for lane, x in lanes]


def _hyper_axis(axes: Axes, values: Sequence[float]) -> bool:
    """Prepare a panel's horizontal axis; whether it is logarithmic."""
    places = sorted(set(values))
    log = places[0] > 0 and places[-1] > 4 * places[0]
    scale = math.log10 if log else float
    ends = scale(places[0]), scale(places[-1])
    span = (ends[1] - ends[0]) or 1.0
    margin = 0.16 * span if len(places) > 1 else 0.5
    low, high = ends[0] - margin, ends[1] + margin
    axes.set_xlim(*((10**low, 10**high) if log else (low, high)))
    if log:
        axes.set_xscale("log")
    ticks: list[float] = []
    for tick in places if len(places) <= 10 else canvas.log_ticks(places[0], places[-1]).tolist() if log else []:
        if not ticks or scale(tick) - scale(ticks[-1]) >= 0.1 * span:
            ticks.append(tick)
    if ticks:
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:.6g}")
    axes.minorticks_off()
    return log
