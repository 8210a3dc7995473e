"""Draw of rows whose names end in a number, such as "width/16": a metric against that number."""

from collections.abc import Callable, Mapping, Sequence

from dlx.study.declare.page import Metric
from dlx.study.judge.figures import Draw, lines


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
) -> Draw:
    """A line a group: the metric of its rows against their numbers. `beside` has functions of the number, by name."""
    return lines(metric, lambda row: (row.group, number(row.name)), xlabel, tuple(groups), log_x, beside)
