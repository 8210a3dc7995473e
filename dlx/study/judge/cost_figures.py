"""The figures of a study that tell what an error costs; `dlx.show.cost_figure` draws them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dlx.show import cost_figure
from dlx.show.cost_figure import Points
from dlx.show.line_figure import Line
from dlx.stats import interval
from dlx.study.declare.page import Metric
from dlx.study.judge.figures import Draw, panels
from dlx.study.run.found import Found


def over(metrics: Mapping[float, Metric], xlabel: str, papers: Metric, groups: tuple[str, ...] = ()) -> Draw:
    """A line a row that has the metrics: the mean of each at its place, in a band that is its 95 % interval.

    With fewer than 3 seeds the band goes from one to the other. In the margin stand the paper's values of the metric
    `papers`, where a row has one.
    """

    def figure(found: Found) -> Any:
        drawn: dict[str, Line] = {}
        margin = {}
        for name in (name for rows in panels(found, groups).values() for name in rows):
            runs = found[name]
            told = {place: one.scale * runs.values(one.name) for place, one in metrics.items()}
            if known := {place: with_ends(values) for place, values in told.items() if len(values)}:
                drawn[runs.row.title] = ([*known], [*known.values()])
                if paper := runs.row.paper.get(papers.name):
                    margin[runs.row.title] = paper.value
        if drawn:
            return cost_figure.with_margin(drawn, margin, "paper", xlabel=xlabel, ylabel=papers.label)
        return None

    return figure


def with_ends(values: np.ndarray) -> np.ndarray:
    """The mean and the ends of its interval, whose mean is the same; the values of fewer than 3 seeds."""
    mean, low, high, n = interval(values)
    return values if n < 3 or low is None or high is None else np.array([low, mean, high])


def against_cost(metric: Metric, groups: tuple[str, ...] = ()) -> Draw:
    """A figure a group: a metric of each run against the core-seconds that it took with all that it stands on."""

    def figure(found: Found) -> list[Any]:
        drawn = []
        for group, names in panels(found, groups).items():
            points: dict[str, Points] = {}
            for runs in (found[name] for name in names):
                costs, values = runs.costs(), runs.by_seed(metric.name)
                both = [(costs[seed], metric.scale * values[seed]) for seed in costs if seed in values]
                if positive := [pair for pair in both if np.isfinite(pair).all() and min(pair) > 0]:
                    points[runs.row.title] = Points(*np.array(positive).T)
            if points:
                label = "core-seconds in all, with pre-training"
                drawn.append(cost_figure.clouds(points, xlabel=label, ylabel=metric.label, title=group))
        return drawn

    return figure
