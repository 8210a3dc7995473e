"""Figures of curves, error bars, filters and searches: one panel each, which a phone can show.

`scatter` and `Point` are from `search_figure`, `filters` and `samples` from `filter_figure`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from dlx.show import canvas
from dlx.show import panels as row_panels
from dlx.show.canvas import COLOURS, MARKERS, SMALL, png
from dlx.show.filter_figure import filters, samples
from dlx.show.search_figure import Point, scatter
from dlx.show.tables import UNBOUNDED, Bounds, Values, estimate, shows_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation

__all__ = ["Bar", "Point", "Runs", "bars", "curves", "filters", "png", "samples", "scatter"]

Runs = Float[np.ndarray | jax.Array, "_seeds _epochs"]

_OURS, _PAPER = "#0072B2", "#C9C9C9"
_SEED: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4, "color": "white", "markeredgecolor": "black"}


def curves(
    rows: Mapping[str, Runs],
    *,
    ylabel: str,
    xlabel: str = "epoch",
    title: str = "",
    diverged: Mapping[str, Sequence[bool]] | None = None,
) -> Figure:
    """A line a row: the mean over seeds, in a band from the lowest to the highest seed. Many rows have a panel each.

    `rows` maps names to values [seeds, epochs], in the unit that `ylabel` names. They are NaN after a run has stopped.
    The mean is over the runs that still go on. A line ends where fewer than half of them do. `diverged` says of each
    run of a row whether it did: a cross with their number stands where the first of them ends. A row without any finite
    value is named as diverged. The vertical axis is logarithmic, unless a value is negative.
    """
    from matplotlib.ticker import MaxNLocator

    summaries = [_summary(runs) for runs in rows.values()]
    lost = [not np.isfinite(summary).any() for summary in summaries]
    names = [f"{row} (diverged)" if gone else row for row, gone in zip(rows, lost, strict=True)]
    figure, panels = row_panels.panels(names, xlabel=xlabel, ylabel=ylabel, title=title)
    keys, apart = [], row_panels.are_apart(panels)
    for number, (axes, name, summary) in enumerate(zip(panels, rows, summaries, strict=True)):
        colour = COLOURS[0 if apart else number]
        for mean, _, _ in summaries if apart else ():
            axes.plot(np.arange(1, len(mean) + 1), mean, **row_panels.OTHERS)
        keys.append(_draw_curve(axes, summary, colour, "" if apart else MARKERS[number], number))
        ends = _ends(rows[name], (diverged or {}).get(name, ()))
        if ends:
            row_panels.mark_diverged(axes, min(ends), len(ends), colour)
    for axes in dict.fromkeys(panels):
        axes.xaxis.set_major_locator(MaxNLocator(5 if apart else 7, steps=[1, 2, 5, 10], integer=True))
        _set_vertical_axis(axes, summaries, most=6 if apart else 12)
    row_panels.name_rows(figure, keys, names, apart)
    return figure


def _draw_curve(axes: Axes, summary: Float[np.ndarray, "3 _epochs"], colour: str, marker: str, turn: int) -> Line2D:
    mean, lowest, highest = summary
    epochs = np.arange(1, len(mean) + 1)
    axes.fill_between(epochs, lowest, highest, color=colour, alpha=0.2, linewidth=0)
    step = max(4, len(mean) // 12)
    every = (turn * step // 4, step) if len(mean) > 4 else None
    (line,) = axes.plot(epochs, mean, f"{marker}-", color=colour, linewidth=2, markevery=every, markersize=6)
    return line


def _ends(runs: Runs, diverged: Sequence[bool]) -> list[int]:
    """The first epoch without a finite value of each run that diverged."""
    finite = [np.isfinite(run) for run, gone in zip(np.asarray(runs), diverged, strict=False) if gone]
    return [1 + (len(run) if run.all() else int(run.argmin())) for run in finite]


def _summary(runs: Runs) -> Float[np.ndarray, "3 _epochs"]:
    """Mean, lowest and highest over the runs that still go on; NaN where fewer than half of them do."""
    values = np.asarray(runs, np.float64)
    going = np.isfinite(values)
    count = going.sum(0)
    mean = values.sum(0, where=going) / np.maximum(count, 1)
    lowest, highest = values.min(0, initial=np.inf, where=going), values.max(0, initial=-np.inf, where=going)
    return np.where((count > 0) & (2 * count >= len(values)), np.stack([mean, lowest, highest]), np.nan)


def _set_vertical_axis(axes: Axes, summaries: Sequence[Float[np.ndarray, "3 _epochs"]], most: int) -> None:
    """Make the axis logarithmic, unless a value is negative. Its limits suit the ends of lines, not their starts."""
    drawn = [summary[:, np.isfinite(summary[0])] for summary in summaries]
    values = np.concatenate([np.empty(0), *map(np.ravel, drawn)])
    if (values < 0).any():
        return
    end = max((lines[2, -1] for lines in drawn if lines.size), default=0.0)
    top = min(1.5 * end, 1.05 * values.max()) if end > 0 else 10.0
    low = max(0.93 * values[values > 0].min(initial=top / 2), top / 300)
    axes.set_ylim(low, top)  # before the scale, which would look for limits of its own
    axes.set_yscale("log", nonpositive="clip")
    canvas.name_ticks(axes.yaxis, low, top, most)


class Bar(NamedTuple):
    """A row's values, one per seed, the interval of their mean, and the paper's value."""

    label: str
    values: Values
    """NaN: the run diverged."""
    low: float | None
    high: float | None
    paper: float | None


def bars(bars: Sequence[Bar], *, xlabel: str, title: str = "", bounds: Bounds = UNBOUNDED) -> Figure:
    """Each row's mean as a bar from 0, with one dot per seed, above the paper's bar. `xlabel` names the values.

    The label of a bar is that of `tables.estimate` with `bounds`, and the number of diverged runs. A bar has an error
    bar if its label has an interval.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, axes = canvas.panel(0.9 + 0.75 * max(len(bars), 1), xlabel, title=title)
    labels = [label for y, bar in enumerate(bars) for label in _draw_bar(axes, y, bar, bounds)]
    axes.set_yticks(range(len(bars)), [canvas.wrap(bar.label, 22) for bar in bars], fontsize=SMALL)
    axes.set_ylim(max(len(bars), 1) - 0.4, -0.6)
    intervals = len(axes.collections) > 0  # nothing else that is drawn here is a collection
    ours = "ours, with 95 % interval of the mean" if intervals else "ours"
    keys = {ours: Patch(color=_OURS), "a seed": Line2D([], [], **_SEED)}
    if any(bar.paper is not None for bar in bars):
        keys["paper"] = Patch(color=_PAPER)
    _set_horizontal_axis(axes, labels)
    canvas.legend(figure, list(keys.values()), list(keys))
    return figure


def _draw_bar(axes: Axes, y: int, bar: Bar, bounds: Bounds) -> list[Annotation]:
    """Draw a row's bars, and return the labels at their ends."""
    text: dict[str, Any] = {"va": "center", "fontsize": SMALL, "xytext": (7, 0), "textcoords": "offset points"}
    text["annotation_clip"] = False
    ours, end = y if bar.paper is None else y - 0.19, 0.0
    finite = [value for value in map(float, bar.values) if math.isfinite(value)]
    lost = len(bar.values) - len(finite)
    label = canvas.wrap(estimate(bar.values, bar.low, bar.high, bounds), 21)
    label += f"\n({lost} of {len(bar.values)} diverged)" if lost else ""
    if finite:
        mean = math.fsum(finite) / len(finite)
        axes.barh(ours, mean, 0.36, color=_OURS)
        axes.plot(finite, [ours + 0.09] * len(finite), zorder=3, **_SEED)
        end = max(0.0, *finite)
        if bar.low is not None and bar.high is not None and shows_interval(bar.values, bar.low, bar.high, bounds):
            sides = [[mean - bar.low], [bar.high - mean]]
            axes.errorbar(mean, ours - 0.07, xerr=sides, color="black", capsize=5, linewidth=1.5)
            end = max(end, bar.high)
    elif lost:
        label = "diverged"
    labels = [axes.annotate(label, (end, ours), style="normal" if finite else "italic", **text)]
    if bar.paper is not None:
        axes.barh(y + 0.19, bar.paper, 0.36, color=_PAPER)
        shown = f"{bar.paper:.1f}" if round(bar.paper, 1) == bar.paper else f"{bar.paper:g}"
        labels.append(axes.annotate(shown, (max(bar.paper, 0.0), y + 0.19), **text))
    return labels


def _set_horizontal_axis(axes: Axes, labels: Sequence[Annotation]) -> None:
    """Let the axis go from 0, or a negative value, to where the last label begins: labels may stand to its right."""
    low = min(axes.dataLim.x0, 0.0)
    top = max([label.xy[0] for label in labels], default=0.0) or (1.0 if low == 0 else 0.0)
    axes.set_xlim(1.05 * low, 1.02 * (top if top > low else low + 1))
