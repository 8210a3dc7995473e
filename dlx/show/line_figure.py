"""Figures of a value against a number, such as an error against a width, and of functions of two numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dlx.show import canvas
from dlx.show.canvas import COLOURS, LARGE, MARKERS, MEDIUM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line = tuple[Sequence[float | int], Sequence[Float[np.ndarray, " _seeds"]]]
"""Where the points of a line are, and the values of the seeds at each. A single value is drawn without a band."""
MOST_TICKS = 12
"""With more places than this an axis has round numbers."""


def lines(rows: Mapping[str, Line], *, xlabel: str, ylabel: str, title: str = "", log_x: bool = False) -> Figure:
    """A line a row: the mean over seeds, in a band from the least to the largest. A point without seeds is left out.

    The vertical axis is logarithmic, and with `log_x` the horizontal axis too. A line of single values is dashed.
    """
    figure, axes = canvas.panel(4.0, xlabel, ylabel, title)
    for i, (places, values) in enumerate(rows.values()):
        colour = COLOURS[i % len(COLOURS)]
        known = [(x, np.asarray(seeds)) for x, seeds in zip(places, values, strict=True) if len(seeds)]
        x, mean = [x for x, _ in known], [seeds.mean() for _, seeds in known]
        banded = any(len(seeds) > 1 for _, seeds in known)
        style = MARKERS[i % len(MARKERS)] + ("-" if banded else "--")
        axes.plot(x, mean, style, color=colour, linewidth=2, markersize=6)
        if banded:
            low, high = ([end(seeds) for _, seeds in known] for end in (np.min, np.max))
            axes.fill_between(x, low, high, facecolor=(colour, 0.2), edgecolor=colour, linewidth=0.8)
    axes.set_yscale("log")
    if log_x:
        axes.set_xscale("log")
    ticks = sorted({x for places, _ in rows.values() for x in places})
    if log_x and len(ticks) > MOST_TICKS:
        ticks = canvas.log_ticks(ticks[0], ticks[-1], canvas.ACROSS)
    if len(ticks) <= MOST_TICKS:
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.xaxis.minorticks_off()
    canvas.name_ticks(axes.yaxis, *axes.get_ylim())
    canvas.legend(figure, axes.lines, list(rows))
    return figure


def maps(images: Mapping[str, Float[np.ndarray, "_height _width"]], columns: int = 3) -> Figure:
    """Functions of a square as colours, each under its name, on the scale of the first. The first row is at the bottom.

    Raises ValueError if there is no image.
    """
    from matplotlib.figure import Figure

    if not images:
        raise ValueError("there is no image to draw; give at least one")
    side, count = canvas.WIDTH / columns, math.ceil(len(images) / columns)
    figure = Figure(figsize=(canvas.WIDTH, count * (side + 0.3)), layout="constrained")
    first = next(iter(images.values()))
    for i, (name, image) in enumerate(images.items(), 1):
        axes = figure.add_subplot(count, columns, i)
        axes.imshow(image, vmin=first.min(), vmax=first.max(), origin="lower", cmap="viridis")
        axes.set_title(name, fontsize=MEDIUM if len(name) > 16 else LARGE)
        axes.set_axis_off()
    return figure
