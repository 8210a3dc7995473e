"""Figures of curves, error bars, filters and searches: one panel each, which a phone can show.

`scatter` and its `Point` are made in `search_figure`, `filters` in `filter_figure`, `png` in `canvas`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from dlx.show import canvas
from dlx.show.canvas import COLOURS, MARKERS, MEDIUM, SMALL, png
from dlx.show.filter_figure import filters
from dlx.show.search_figure import Point, scatter
from dlx.show.tables import UNBOUNDED, Bounds, Values, estimate, shows_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

__all__ = ["Bar", "Point", "Runs", "bars", "curves", "filters", "png", "scatter"]

Runs = Float[np.ndarray | jax.Array, "_seeds _epochs"]

_OURS, _PAPER, _SEEDS = "#0072B2", "#C9C9C9", "#FFFFFF"


def curves(rows: Mapping[str, Runs], *, ylabel: str, xlabel: str = "epoch", title: str = "") -> Figure:
    """A line a row, the mean over seeds, in a band from the lowest to the highest seed.

    `rows` maps names to values [seeds, epochs] in the unit that `ylabel` names, NaN once a run has stopped. The mean
    is over the runs that still go on; a line ends where fewer than half of them do. A row without any finite value
    is named as diverged. The vertical axis is logarithmic, unless a value is negative.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas.panel(4.0, title)
    summaries = [_summary(runs) for runs in rows.values()]
    handles = []
    for number, (mean, lowest, highest) in enumerate(summaries):
        turn, index = divmod(number, len(COLOURS))
        epochs, colour = np.arange(1, len(mean) + 1), COLOURS[index]
        (line,) = axes.plot(epochs, mean, ("-", "--", ":")[turn % 3], color=colour, linewidth=2)
        line.set(marker=MARKERS[index], markevery=(index % 4, 4), markersize=6)
        axes.fill_between(epochs, lowest, highest, color=colour, alpha=0.2, linewidth=0)
        handles.append(line)
    axes.set_xlabel(xlabel, fontsize=MEDIUM)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True))
    axes.grid(alpha=0.3)
    _vertical_axis(axes, summaries)
    axes.set_ylabel(ylabel, fontsize=MEDIUM)
    lost = [not np.isfinite(summary).any() for summary in summaries]
    names = [f"{row} (diverged)" if gone else row for row, gone in zip(rows, lost, strict=True)]
    canvas.legend(figure, handles, names)
    return figure


def _summary(runs: Runs) -> Float[np.ndarray, "3 _epochs"]:
    """Mean, lowest and highest over the runs that still go on; NaN where fewer than half of them do."""
    values = np.asarray(runs, np.float64)
    going = np.isfinite(values)
    count = going.sum(0)
    mean = values.sum(0, where=going) / np.maximum(count, 1)
    lowest, highest = values.min(0, initial=np.inf, where=going), values.max(0, initial=-np.inf, where=going)
    return np.where((count > 0) & (2 * count >= len(values)), np.stack([mean, lowest, highest]), np.nan)


def _vertical_axis(axes: Axes, summaries: Sequence[Float[np.ndarray, "3 _epochs"]]) -> None:
    """Make a vertical axis with plain numbers that shows where the lines end rather than where they start.

    It is logarithmic, unless a value is negative.
    """
    drawn = [summary[:, np.isfinite(summary[0])] for summary in summaries]
    values = np.concatenate([np.empty(0), *map(np.ravel, drawn)])
    if (values < 0).any():
        return
    end = max((lines[2, -1] for lines in drawn if lines.size), default=0.0)
    top = min(1.5 * end, 1.05 * values.max()) if end > 0 else 10.0
    low = max(0.93 * values[values > 0].min(initial=top / 2), top / 300)
    axes.set_ylim(low, top)  # before the scale, which would look for limits of its own
    axes.set_yscale("log", nonpositive="clip")
    axes.set_yticks(canvas.log_ticks(low, top))
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:.6g}")
    axes.minorticks_off()


class Bar(NamedTuple):
    """A row's values, one a seed (NaN: it diverged); the interval of their mean; the paper's figure (None: none)."""

    label: str
    values: Values
    low: float | None
    high: float | None
    paper: float | None


def bars(bars: Sequence[Bar], *, xlabel: str, title: str = "", bounds: Bounds = UNBOUNDED, digits: int = 2) -> Figure:
    """Each row's mean as a bar from 0, with a dot a seed, above the bar of the paper; `xlabel` names the values.

    A bar is labelled by `tables.estimate`, with `bounds` and `digits`, and has an error bar where the label has an
    interval. The number of diverged runs stands beside it.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, axes = canvas.panel(0.9 + 0.75 * max(len(bars), 1), title)
    intervals = [shows_interval(bar.values, bar.low, bar.high, bounds) for bar in bars]
    labels = [
        label
        for y, (bar, interval) in enumerate(zip(bars, intervals, strict=True))
        for label in _bar(axes, y, bar, _label(bar, bounds, digits), interval)
    ]
    axes.set_yticks(range(len(bars)), [canvas.wrap(bar.label, 22) for bar in bars], fontsize=SMALL)
    axes.set_ylim(max(len(bars), 1) - 0.4, -0.6)
    axes.set_xlabel(xlabel, fontsize=MEDIUM)
    axes.grid(axis="x", alpha=0.3)
    keys = [Patch(color=_OURS), Line2D([], [], **_DOT)]
    names = ["ours, with 95 % interval of the mean" if any(intervals) else "ours", "a seed"]
    if any(bar.paper is not None for bar in bars):
        keys, names = [*keys, Patch(color=_PAPER)], [*names, "paper"]
    canvas.legend(figure, keys, names)
    _make_room(figure, axes, labels)
    return figure


_DOT: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4, "color": _SEEDS, "markeredgecolor": "black"}


def _finite(bar: Bar) -> list[float]:
    return [value for value in map(float, bar.values) if math.isfinite(value)]


def _label(bar: Bar, bounds: Bounds, digits: int) -> str:
    lost = len(bar.values) - len(_finite(bar))
    if lost and lost == len(bar.values):
        return "diverged"
    shown = estimate(bar.values, bar.low, bar.high, bounds=bounds, digits=digits)
    return canvas.wrap(shown, 21) + (f"\n({lost} of {len(bar.values)} diverged)" if lost else "")


def _bar(axes: Axes, y: int, bar: Bar, label: str, interval: bool) -> list[Annotation]:
    """Draw a row's bars, and return the labels at their ends."""
    ours, finite = y if bar.paper is None else y - 0.19, _finite(bar)
    text: dict[str, Any] = {"va": "center", "fontsize": SMALL, "xytext": (7, 0), "textcoords": "offset points"}
    ends = [0.0, *finite]
    if finite:
        mean = math.fsum(finite) / len(finite)
        axes.barh(ours, mean, 0.36, color=_OURS)
        if interval and bar.low is not None and bar.high is not None:
            sides = [[mean - bar.low], [bar.high - mean]]
            axes.errorbar(mean, ours - 0.07, xerr=sides, color="black", capsize=5, linewidth=1.5)
            ends.append(bar.high)
        axes.plot(finite, [ours + 0.09] * len(finite), zorder=3, **_DOT)
    labels = [axes.annotate(label, (max(ends), ours), style="normal" if finite else "italic", **text)]
    if bar.paper is not None:
        axes.barh(y + 0.19, bar.paper, 0.36, color=_PAPER)
        plain = f"{bar.paper:.1f}"
        plain = plain if float(plain) == bar.paper else f"{bar.paper:g}"
        labels.append(axes.annotate(plain, (max(bar.paper, 0.0), y + 0.19), **text))
    return labels


def _make_room(figure: Figure, axes: Axes, labels: Sequence[Annotation]) -> None:
    """Let the horizontal axis begin at 0, or below, and end where the last label ends."""
    low = min(axes.dataLim.x0, 0.0)
    top = max([label.xy[0] for label in labels], default=0.0) or (1.0 if low == 0 else 0.0)
    axes.set_xlim(low, top if top > low else low + 1)
    figure.draw_without_rendering()
    width = axes.get_window_extent().width
    shares = [min(0.8, (label.get_window_extent().width + 8 * figure.dpi / 72) / width) for label in labels]
    left = 1.05 * low
    ends = [left + (label.xy[0] - left) / (1 - share) for label, share in zip(labels, shares, strict=True)]
    axes.set_xlim(left, max([top, *ends]) or 1.0)
