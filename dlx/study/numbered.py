"""Figures of rows whose names end in a number, such as "width/16": a metric against that number."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dlx.show.line_figure import lines
from dlx.study.figures import Figures, panels
from dlx.study.found import Found
from dlx.study.page import Metric


def number(row: str) -> float:
    """The number that ends the name of a row, after the last slash. Raises ValueError if there is none."""
    try:
        return float(row.rpartition("/")[2])
    except ValueError as error:
        raise ValueError(f"the name of row {row!r} does not end in a number; call it such as width/16") from error


def by_number(
    metric: Metric,
    xlabel: str,
    groups: Sequence[str],
    log_x: bool = False,
    beside: Mapping[str, Callable[[float], float]] | None = None,
) -> Figures:
    """A line a group: the metric of its rows against their numbers. `beside` has functions of the number, by name."""

    def figure(found: Found):
        drawn = {}
        for group, rows in panels(found, tuple(groups)).items():
            drawn[group] = (
                [number(row) for row in rows],
                [metric.scale * found[row].values(metric.name) for row in rows],
            )
        places = sorted({place for ours, _ in drawn.values() for place in ours})
        known = {name: (places, [np.array([value(n)]) for n in places]) for name, value in (beside or {}).items()}
        return lines(drawn | known, xlabel=xlabel, ylabel=metric.label, log_x=log_x) if drawn else None

    return figure
