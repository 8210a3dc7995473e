"""Figures of functions of two numbers, such as a loss on a plane, as colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Shaped

from dlx.show import canvas
from dlx.show.canvas import MEDIUM, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Shaped[np.ndarray | jax.Array, "_points 2"]
FILLS = ("#FFFFFF", "#D55E00", "#56B4E9")
"""Of the points of each name, with black edges: seen on dark colours and on light ones."""
MARKS = "osD"


class Map(NamedTuple):
    """A function of two numbers on a rectangle, and points there. Its first row is at the bottom."""

    values: Float[np.ndarray | jax.Array, "_height _width"]
    extent: tuple[float, float, float, float]
    """Left, right, bottom and top of the rectangle."""
    xlabel: str
    ylabel: str
    points: Mapping[str, Points] = {}
    """By name."""
    scale: str = ""
    """What the colours mean. Maps of one scale share a colour bar, from their least to their largest value."""


def maps(images: Mapping[str, Map], *, columns: int = 2, size: int = 7, logs: tuple[str, ...] = ()) -> Figure:
    """Each map under its name, with its points in markers of `size` points, and a colour bar for each scale.

    The scales of `logs` are logarithmic. A map without a scale has no colour bar. Raises ValueError if there is no map.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure

    if not images:
        raise ValueError("there is no map to draw; give at least one")
    names = [canvas.wrap(name, {1: 54, 2: 28}.get(columns, 17)) for name in images]
    down, side = math.ceil(len(images) / columns), canvas.WIDTH / columns
    scales = list(dict.fromkeys(image.scale for image in images.values() if image.scale))
    height = down * (side + canvas.LINE * max(name.count("\n") for name in names)) + 0.9 * bool(scales)
    figure = Figure(figsize=(canvas.WIDTH, height), layout="constrained")
    panels = figure.subplots(down, columns, squeeze=False).ravel()
    for scale in dict.fromkeys(image.scale for image in images.values()):
        there = [image.values for image in images.values() if image.scale == scale]
        low, top = float(min(map(np.min, there))), float(max(map(np.max, there)))
        norm = (LogNorm if scale in logs else Normalize)(vmin=low, vmax=top)
        mine = [axes for axes, image in zip(panels, images.values(), strict=False) if image.scale == scale]
        for axes, image in zip(mine, (one for one in images.values() if one.scale == scale), strict=True):
            drawn = axes.imshow(image.values, norm=norm, extent=image.extent, origin="lower", cmap="viridis")
        if scale:
            bar = figure.colorbar(drawn, ax=mine, location="bottom", shrink=0.8, aspect=30, pad=0.02)
            bar.set_label(scale, fontsize=MEDIUM)
            bar.ax.tick_params(labelsize=SMALL)
            if scale in logs:
                canvas.name_ticks(bar.ax.xaxis, low, top, 6)
    keys: dict[str, Any] = {}
    for axes, image, name in zip(panels, images.values(), names, strict=False):
        axes.set_title(name, fontsize=SMALL)
        keys |= _finish(axes, image, size)
    for axes in panels[len(images) :]:
        axes.set_axis_off()
    if keys:
        canvas.legend(figure, list(keys.values()), list(keys))
    return figure


def _finish(axes: Axes, image: Map, size: int) -> dict[str, Any]:
    """Draw the points of a map, and name its axes. Returns a key of the legend for each name of points."""
    from matplotlib.ticker import MaxNLocator

    keys = {}
    for (name, points), fill, mark in zip(image.points.items(), FILLS, MARKS, strict=False):
        style: dict[str, Any] = {
            "linestyle": "",
            "color": fill,
            "markeredgecolor": "black",
            "markeredgewidth": min(1, size / 6),
        }
        (keys[name],) = axes.plot(*np.asarray(points).T, mark, markersize=size, clip_on=False, **style)
    axes.set_xlim(*image.extent[:2])
    axes.set_ylim(*image.extent[2:])
    axes.set_xlabel(image.xlabel, fontsize=MEDIUM)
    axes.set_ylabel(image.ylabel, fontsize=MEDIUM)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=SMALL)
    return keys
