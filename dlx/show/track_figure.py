"""Figures of what happens step by step along one sequence, such as probabilities of a hidden state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from dlx.show import canvas
from dlx.show.canvas import COLOURS, MEDIUM, SMALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Track(NamedTuple):
    """What a panel shows of a sequence."""

    lines: Mapping[str, Float[np.ndarray, " _steps"]]
    """By name. The first is drawn wide and grey, the others over it."""
    shaded: Mapping[str, Bool[np.ndarray, " _steps"]] = {}
    """By name, the steps that are shaded: one kind at most."""
    marked: Mapping[str, Bool[np.ndarray, " _steps"]] = {}
    """By name, the steps with a mark below: one kind at most."""


def tracks(
    panels: Mapping[str, Track], *, xlabel: str, ylabel: str, limits: tuple[float, float] | None = None
) -> Figure:
    """A panel for each track, one below the other, under its name. They share both axes and one legend.

    `limits` are the ends of the vertical axis. Raises ValueError if there is no track.
    """
    from matplotlib.figure import Figure

    if not panels:
        raise ValueError("there is nothing to draw: give at least one track")
    figure = Figure(figsize=(canvas.WIDTH, 0.6 + 1.7 * len(panels)), layout="constrained")
    drawn = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False).ravel()
    keys = {}
    for axes, (title, track) in zip(drawn, panels.items(), strict=True):
        for name, steps in track.shaded.items():
            for first, last in _spans(steps):
                keys[name] = axes.axvspan(first - 0.5, last + 0.5, color="#F0E442", alpha=0.45, linewidth=0)
        for i, (name, line) in enumerate(track.lines.items()):
            style = {"color": COLOURS[i - 1], "linewidth": 1.8} if i else {"color": "#909090", "linewidth": 5}
            (keys[name],) = axes.plot(range(1, 1 + len(line)), line, **style)
        for name, steps in track.marked.items():
            places = 1 + np.flatnonzero(steps)
            (keys[name],) = axes.plot(
                places,
                np.full(len(places), -0.04),
                "^k",
                markersize=5,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
        axes.set_title(title, fontsize=SMALL)
        axes.tick_params(labelsize=SMALL, pad=6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.margins(x=0.01)
    if limits:
        drawn[0].set_ylim(*limits)
    drawn[-1].set_xlabel(xlabel, fontsize=MEDIUM)
    figure.supylabel(ylabel, fontsize=MEDIUM)
    canvas.legend(figure, list(keys.values()), list(keys))
    return figure


def _spans(steps: Bool[np.ndarray, " _steps"]) -> list[tuple[int, int]]:
    """The first and the last step of each span of True, from 1."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(steps, int), [0]])))
    return [(int(a) + 1, int(b)) for a, b in edges.reshape(-1, 2)]
