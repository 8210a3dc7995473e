"""Figures of a table of percentages, such as what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlx.show import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def heat(
    rows: Mapping[str, Sequence[float]],
    columns: Sequence[str],
    *,
    xlabel: str = "",
    title: str = "",
    largest: float = 1,
    decimals: int = 0,
) -> Figure:
    """A line a row and a column each of `columns`: shares from 0, white, to the `largest`, dark.

    Those above 0 have their percentage, with so many `decimals`.

    Raises ValueError if there is no row, or one has not a share for each column.
    """
    if not rows:
        raise ValueError("there is nothing to draw: give at least one row of shares")
    for name, shares in rows.items():
        if len(shares) != len(columns):
            raise ValueError(f"row {name!r} has {len(shares)} shares for {len(columns)} columns; give it one for each")
    values = np.array(list(rows.values()), float)
    figure, axes = canvas.panel(1.5 + 0.3 * len(rows), xlabel, title=title)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=largest, aspect="auto")
    axes.grid(visible=False)
    for (i, j), share in np.ndenumerate(values):
        if share > 0:
            colour = "white" if share > largest / 2 else "black"
            axes.text(j, i, f"{100 * share:.{decimals}f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xticks(range(len(columns)), list(columns), rotation=90)
    axes.set_yticks(range(len(rows)), [canvas.wrap(name, 30) for name in rows])
    return figure
