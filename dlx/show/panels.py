"""Panels of rows: one for a few rows, or one each for many, as more lines in one panel cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlx.show import canvas
from dlx.show.canvas import LARGE, MEDIUM, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOGETHER = 5
"""So many rows have room in one panel."""
BESIDE = 2
"""So many panels of single rows stand beside each other; of more a phone could not show the numbers."""
OTHERS: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 0.9, "zorder": 1}
"""How a row is drawn in the panel of another."""


def panels(rows: Sequence[str], *, xlabel: str, ylabel: str, title: str = "") -> tuple[Figure, list[Axes]]:
    """A figure, and the panel of each row: the same for all if they are few, else one each, under its name.

    Panels of single rows share both axes.
    """
    if len(rows) <= TOGETHER:
        figure, axes = canvas.panel(4.0, xlabel, ylabel, title)
        return figure, [axes] * len(rows)
    return grid(rows, xlabel=xlabel, ylabel=ylabel, title=title)


def grid(
    names: Sequence[str], *, xlabel: str, ylabel: str, title: str = "", share: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each name, two beside each other. If asked to `share` they have the same axes."""
    from matplotlib.figure import Figure

    down, title = math.ceil(len(names) / BESIDE), canvas.wrap(title, 54)
    names = [canvas.wrap(name, 30 if share else 25) for name in names]
    lines = sum(max(name.count("\n") + 1 for name in names[i : i + BESIDE]) for i in range(0, len(names), BESIDE))
    height = 0.5 + (1.5 if share else 1.7) * down + canvas.LINE * (lines + len(title.splitlines()))
    figure = Figure(figsize=(canvas.WIDTH, height), layout="constrained")
    drawn = figure.subplots(down, BESIDE, sharex=share, sharey=share, squeeze=False).ravel()
    if title:
        figure.suptitle(title, fontsize=LARGE)
    figure.supylabel(ylabel, fontsize=MEDIUM)
    for axes, name in zip(drawn, names, strict=False):
        axes.set_title(name, fontsize=SMALL)
        axes.tick_params(labelsize=SMALL)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    for axes in drawn[len(names) :]:
        axes.set_axis_off()
    for axes in drawn[max(0, len(names) - BESIDE) : len(names)]:
        axes.set_xlabel(xlabel, fontsize=MEDIUM)
        axes.tick_params(labelbottom=True)
    return figure, list(drawn[: len(names)])


def are_apart(panels: Sequence[Axes]) -> bool:
    """Whether each row has a panel of its own."""
    return len({*map(id, panels)}) > 1


def mark_diverged(axes: Axes, x: float | int, count: int, colour: str) -> None:
    """Mark with a cross at the top edge that so many runs diverged at x, below the marks that are there."""
    from matplotlib.text import Annotation

    there = [text for text in axes.texts if isinstance(text, Annotation) and text.get_gid() == "diverged"]
    line = sum(mark.xy[0] == x for mark in there)
    axes.annotate(
        f"✕ {count}",
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, -2 - 13 * line),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=SMALL,
        color=colour,
        gid="diverged",
        annotation_clip=False,
    )


def name_rows(figure: Figure, keys: Sequence[Any], names: Sequence[str], apart: bool = False) -> None:
    """Put a legend below the panel. It names the rows, unless they are one or stand apart, and the crosses."""
    from matplotlib.lines import Line2D

    named = [] if len(names) < 2 or apart else [*zip(keys, names, strict=True)]
    if any(text.get_gid() == "diverged" for axes in figure.axes for text in axes.texts):
        cross = Line2D([], [], color="black", marker="x", linestyle="", markersize=7, markeredgewidth=1.5)
        named.append((cross, "so many runs diverged"))
    if named:
        canvas.legend(figure, *zip(*named, strict=True))
