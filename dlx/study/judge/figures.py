"""The figures that a study can show, each a function of what was found; `dlx.show.figures` draws them."""

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from dlx.show import figures as draw
from dlx.show.line_figure import lines as draw_lines
from dlx.stats import interval
from dlx.study.declare.page import Metric, Trial
from dlx.study.run.found import Found, Runs

Draw = Callable[[Found], Any]
"""Returns a matplotlib figure, a list of them, or None if there is nothing to draw."""
Where = Mapping[str, Any]
"""A value, or several in a list, for some entries of `Row.at`."""
NOWHERE = object()


def bars(metric: Metric, groups: tuple[str, ...] = ()) -> Draw:
    """One figure per group: the mean of each row with its interval, its seeds, and the paper's value."""

    def figure(found: Found) -> list[Any]:
        drawn = []
        for group, rows in panels(found, groups).items():
            panel = []
            for name in rows:
                row, seeds = found[name].row, all_values(found[name], metric)
                paper, values = row.paper.get(metric.name), seeds[np.isfinite(seeds)]
                _, low, high, _ = interval(values) if len(values) else (None, None, None, 0)
                panel.append(draw.Bar(row.title, list(seeds), low, high, None if paper is None else paper.value))
            drawn.append(draw.bars(panel, xlabel=metric.label, title=group, bounds=metric.bounds))
        return drawn

    return figure


def curves(name: str, label: str, scale: float | int = 1, groups: tuple[str, ...] = (), xlabel: str = "epoch") -> Draw:
    """One figure per group, with one curve per row that has it: the mean over seeds, in a band from best to worst."""

    def figure(found: Found) -> list[Any]:
        drawn = []
        for group, rows in panels(found, groups).items():
            told = [found[row] for row in rows if found[row].has_curve(name)]
            diverged = {runs.row.title: [record["diverged"] for record in runs.records] for runs in told}
            if lines := {runs.row.title: scale * runs.curves(name) for runs in told}:
                drawn.append(draw.curves(lines, ylabel=label, xlabel=xlabel, title=group, diverged=diverged))
        return drawn

    return figure


def lines(
    metric: Metric,
    x: str,
    line: str | None = None,
    where: Where | None = None,
    panel: str | None = None,
    log_x: bool = True,
    beside: Mapping[str, Callable[[float], float]] | None = None,
) -> Draw:
    """A metric over what differs between rows, such as depth, with a line for rows that share one.

    `x` is the entry of `Row.at` that places a row on the horizontal axis, and the name of this axis. `line` is the
    entry that names its line; None stands for its group. With `panel` there is a figure for each value of this entry,
    whose horizontal axis names it, too. Rows without these entries, or not of `where`, are left out. `beside` has
    functions of x, by name, which are drawn dashed. The vertical axis is logarithmic, and with `log_x` the horizontal
    one, too.
    """

    def figure(found: Found) -> Any:
        drawn: dict[str, dict[str, dict[float, np.ndarray]]] = {}
        for runs in rows_at(found, [entry for entry in (x, line, panel) if entry], where):
            xlabel = f"{x}, {runs.row.at[panel]} {panel}" if panel else x
            name = str(runs.row.at[line]) if line else runs.row.group
            drawn.setdefault(xlabel, {}).setdefault(name, {})[float(runs.row.at[x])] = all_values(runs, metric)
        several = [_lines(there, xlabel, metric.label, log_x, beside or {}) for xlabel, there in drawn.items()]
        return several if panel else next(iter(several), None)

    return figure


def _lines(drawn: dict[str, dict[float, np.ndarray]], xlabel: str, ylabel: str, log_x: bool, beside) -> Any:
    places = sorted({x for line in drawn.values() for x in line})
    known = {name: {x: np.array([value(x)]) for x in places} for name, value in beside.items()}
    there = {line: (sorted(at), [at[x] for x in sorted(at)]) for line, at in (drawn | known).items()}
    return draw_lines(there, xlabel=xlabel, ylabel=ylabel, log_x=log_x)


def rows_at(found: Found, entries: Collection[str], where: Where | None = None) -> list[Runs]:
    """The runs of the rows whose `Row.at` has these entries, and of `where` a value, or one of several."""
    asked = {name: value if isinstance(value, tuple | list) else [value] for name, value in (where or {}).items()}
    return [
        runs
        for runs in found.runs.values()
        if {*entries} <= runs.row.at.keys()
        and all(runs.row.at.get(name, NOWHERE) in values for name, values in asked.items())
    ]


def all_values(runs: Runs, metric: Metric) -> np.ndarray:
    """A metric of the runs of a row, in its unit, seed by seed; then NaN for every run that diverged."""
    return np.array([*metric.scale * runs.values(metric.name), *[math.nan] * runs.lost(metric.name)])


def profiles(
    name: str,
    label: str,
    xlabel: str = "layer",
    groups: tuple[str, ...] = (),
    where: Where | None = None,
    places: Sequence[float] = (),
    scale: float | int = 1,
    log_x: bool = True,
) -> Draw:
    """A figure a group: what a curve of each row says layer by layer, on a logarithmic axis.

    Only rows of `where` are drawn. With places the curve is over these; with `log_x` their axis is logarithmic, too.
    """

    def figure(found: Found) -> list[Any]:
        drawn, kept = [], {runs.row.name for runs in rows_at(found, (), where)}
        for group, names in panels(found, groups).items():
            there = {}
            for runs in (found[row] for row in names if row in kept):
                diverged = np.array([record["diverged"] for record in runs.records])
                columns = [column[np.isfinite(column) | diverged] for column in scale * runs.curves(name).T]
                there[runs.row.title] = (places or range(1, 1 + len(columns)), columns)
            if there:
                drawn.append(draw_lines(there, xlabel=xlabel, ylabel=label, title=group, log_x=log_x and bool(places)))
        return drawn

    return figure


def panels(found: Found, groups: tuple[str, ...]) -> dict[str, list[str]]:
    """The rows that have runs, by group; only of `groups`, if any are given."""
    return {group: rows for group, rows in found.groups().items() if not groups or group in groups}


def filters(name: str, groups: tuple[str, ...] = (), count: int = 6) -> Draw:
    """The filters that the first seed of each row keeps under a name: [inputs, units], as images."""

    def figure(found: Found) -> Any:
        kept, shape = _kept_by_rows(found, name, groups)
        return draw.filters(kept, shape, count=count) if kept else None

    return figure


def samples(name: str, groups: tuple[str, ...] = ()) -> Draw:
    """The images that the first seed of each row keeps under a name: [down, across, pixels]."""

    def figure(found: Found) -> Any:
        kept, shape = _kept_by_rows(found, name, groups)
        return draw.samples(kept, shape) if kept else None

    return figure


def _kept_by_rows(found: Found, name: str, groups: tuple[str, ...]) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """What the first seed of each row keeps under a name, by the row's title, and the shape of an image."""
    rows = itertools.chain(*panels(found, groups).values())
    kept = {row: kept for row in rows if (kept := _kept(found, row, name)) is not None}
    shape = found.about[found[next(iter(kept))].data].shape if kept else ()
    return {found[row].row.title: array for row, array in kept.items()}, shape


def _kept(found: Found, row: str, name: str) -> np.ndarray | None:
    runs = found[row]
    first = [unit for unit, record in zip(runs.units, runs.records, strict=True) if record["kept"]]
    return runs.load(first[0])[name] if first else None


def search(
    label: str,
    scale: float | int = 1,
    hypers: Callable[[str, Trial], Mapping[str, float]] | None = None,
    group: str = "",
    measure: str = "",
    panel: str = "",
    marked: str = "patience",
) -> Draw:
    """One figure per hyper-parameter: the score of every trial of the rows, or only of those of `group`.

    `hypers(row, trial)` returns the values that a trial is drawn against. Without it these are all numbers that the
    searches vary. A `measure` such as "valid/error" takes the place of the score. Each row has a panel; with `panel`
    rows of one value of this entry of `Row.at` share one, and others that of their group. If trials differ in the
    argument `marked`, their colours and markers say it.
    """

    def figure(found: Found) -> list[Any]:
        points, varied = [], [name for name in searched(found) if name != marked]
        rows = [name for name in found.outcomes if not group or found.rows[name].group == group]
        differ = len({one.trial.get(marked) for name in rows for one in found.outcomes[name].tried}) > 1
        for name in rows:
            outcome, row = found.outcomes[name], found.rows[name]
            where = str(row.at.get(panel, row.group)) if panel else row.title
            for one in outcome.tried:
                numbers = {key: one.trial[key] for key in varied if _is_number(one.trial.get(key))}
                places = hypers(name, one.trial) if hypers else numbers
                chosen = one.trial == outcome.trial and not one.brief
                value = scale * (one.mean(measure) if measure else one.score)
                kind = f"{marked} {one.trial.get(marked, '–')}" if differ else ""
                points.append(draw.Point(name, places, value, chosen, where, kind))
        return draw.scatter(points, ylabel=label) if points else []

    return figure


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def searched(found: Found) -> list[str]:
    """The arguments that differ between the trials of a row, in the order of the trials."""
    names: dict[str, None] = {}
    for outcome in found.outcomes.values():
        trials = [one.trial for one in outcome.tried]
        for name in itertools.chain(*trials):
            if len({repr(trial.get(name)) for trial in trials}) > 1:
                names[name] = None
    return list(names)
