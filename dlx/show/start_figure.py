"""Figures of many random starts: boxes, histograms, and the paths of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dlx.show import canvas, panels
from dlx.show.canvas import COLOURS, SMALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Mapping[str, Mapping[str, Float[np.ndarray, " _starts"]]]
"""The values of starts by line and by place on it. NaN: the start diverged."""


def _finite(values: Float[np.ndarray, " _starts"]) -> Float[np.ndarray, " _finite"]:
    return values[np.isfinite(values)]


def _places(lines: Lines) -> list[str]:
    """The places of all lines; none if no line has a value."""
    some = any(len(values) for line in lines.values() for values in line.values())
    return list(dict.fromkeys(place for line in lines.values() for place in line)) if some else []


def boxes(lines: Lines, *, xlabel: str, ylabel: str) -> Figure | None:
    """A box a line and place: median and quartiles, whiskers to the last value within 1.5 times their distance.

    Values farther out are dots. A cross at the top edge says how many starts diverged. The vertical axis is
    logarithmic. Returns None without values.
    """
    from matplotlib.patches import Patch

    places = _places(lines)
    if not places:
        return None
    figure, axes = canvas.panel(4.0, xlabel, ylabel)
    width = 0.7 / len(lines)
    for i, (line, colour) in enumerate(zip(lines.values(), COLOURS, strict=False)):
        middles = {place: places.index(place) + (i - (len(lines) - 1) / 2) * width for place in line}
        there = {place: _finite(values) for place, values in line.items() if np.isfinite(values).any()}
        drawn = axes.boxplot(
            list(there.values()),
            positions=[middles[place] for place in there],
            widths=0.8 * width,
            patch_artist=True,
            medianprops={"color": "black"},
            flierprops={"marker": "o", "markersize": 4, "markeredgecolor": colour},
            manage_ticks=False,
        )
        for box in drawn["boxes"]:
            box.set(facecolor=(colour, 0.6), edgecolor=colour)
        for place, values in line.items():
            if lost := int(np.isnan(values).sum()):
                panels.mark_diverged(axes, middles[place], lost, colour)
    axes.set_yscale("log")
    canvas.name_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xticks(range(len(places)), places)
    axes.set_xlim(-0.5, len(places) - 0.5)
    keys = [Patch(color=colour) for colour, _ in zip(COLOURS, lines, strict=False)]
    panels.name_rows(figure, keys, list(lines))
    return figure


def histograms(lines: Lines, *, xlabel: str, ylabel: str = "", bins: int = 40) -> Figure | None:
    """A panel a place, one below the other: how many starts of each line have which value, in bins of equal ratio.

    `ylabel` names the places. All panels have one horizontal axis, which is logarithmic. A cross at its end says how
    many starts diverged. Returns None without values.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    places = _places(lines)
    values = np.concatenate([np.empty(0), *(_finite(values) for line in lines.values() for values in line.values())])
    if not len(values) or values.min() <= 0:
        return None
    figure = Figure(figsize=(canvas.WIDTH, 0.6 + 0.9 * len(places)), layout="constrained")
    edges = np.geomspace(0.98 * values.min(), 1.02 * values.max(), bins + 1)
    drawn = figure.subplots(len(places), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, place in zip(drawn, places, strict=True):
        for line, colour in zip(lines.values(), COLOURS, strict=False):
            there = line.get(place, np.empty(0))
            axes.hist(_finite(there), edges, color=(colour, 0.6), edgecolor=colour)
            if lost := int(np.isnan(there).sum()):
                panels.mark_diverged(axes, edges[-1], lost, colour)
        axes.set_ylabel(canvas.wrap(place, 12), rotation=0, ha="right", va="center", fontsize=SMALL)
        axes.set_yticks([])
        axes.spines[["top", "right", "left"]].set_visible(False)
    if ylabel:
        figure.supylabel(ylabel, fontsize=canvas.MEDIUM)
    end = drawn[-1]
    end.set_xscale("log")
    canvas.name_ticks(end.xaxis, edges[0], edges[-1], canvas.ACROSS)
    end.set_xlabel(xlabel, fontsize=canvas.MEDIUM)
    end.tick_params(labelsize=SMALL)
    keys = [Patch(color=colour) for colour, _ in zip(COLOURS, lines, strict=False)]
    panels.name_rows(figure, keys, list(lines))
    return figure


def paths(
    runs: Mapping[str, Float[np.ndarray, "_runs _epochs 2"]],
    *,
    xlabel: str = "",
    ylabel: str = "",
    log: bool = False,
    diverged: Mapping[str, Sequence[bool]] | None = None,
) -> Figure:
    """The way of each run through a plane: a line a run, a dot an epoch, a ring at its end, a colour a name.

    `diverged` says of each run of a name whether it did: then a cross takes the place of the ring.
    """
    figure, axes = canvas.panel(4.4, xlabel, ylabel)
    keys = []
    for (name, ways), colour in zip(runs.items(), COLOURS, strict=False):
        lost = (diverged or {}).get(name, [False] * len(ways))
        for way, gone in zip(ways, lost, strict=True):
            axes.plot(*way.T, ".-", color=(colour, 0.35), markersize=3, linewidth=0.6)
            end = way[np.isfinite(way).all(1)][-1:]
            edge = colour if gone else "black"
            axes.plot(*end.T, "x" if gone else "o", color=colour, markeredgecolor=edge, markersize=6, zorder=3)
        keys.append(axes.plot([], [], ".-", color=colour, linewidth=2)[0])
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        canvas.name_ticks(axes.xaxis, *axes.get_xlim(), canvas.ACROSS)
        canvas.name_ticks(axes.yaxis, *axes.get_ylim())
    elif not xlabel:
        axes.set_xticks([])
        axes.set_yticks([])
    canvas.legend(figure, keys, list(runs))
    return figure
