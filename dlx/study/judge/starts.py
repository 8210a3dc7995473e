"""What many random starts show: how far outcomes lie apart, and how many starts a verdict needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlx.show import start_figure as draw
from dlx.show.heat_figure import heat
from dlx.stats import spread_difference
from dlx.study.declare.finding import Bound, Finding
from dlx.study.declare.page import Metric
from dlx.study.judge.claims import Decide, showing, side, unfinished
from dlx.study.judge.figures import Draw, all_values, rows_at
from dlx.study.judge.verdicts import FEWEST, HOLDS, judge
from dlx.study.run.found import Found


def steadier(metric: Metric, row: str, than: str) -> Decide:
    """The values of a row lie closer to their median than those of the other, by Levene's test with medians."""

    def decider(found: Found) -> Finding:
        sides = [metric.scale * found[one].values(metric.name) if one in found else np.empty(0) for one in (row, than)]
        if lost := [one for one, some in zip((row, than), sides, strict=True) if len(some) < FEWEST]:
            return unfinished(found, lost)
        finding = judge(spread_difference(sides[1], sides[0]), Bound("above", 0), found.looks)
        far = [np.abs(some - np.median(some)) for some in sides]
        told = [side(found, one, some) for one, some in zip((row, than), far, strict=True)]
        spread = Metric(metric.name, f"mean distance from the median {metric.words}", unit=metric.units[1])
        return showing(finding, spread, told, "starts")

    return decider


def boxes(metric: Metric, x: str, line: str) -> Draw:
    """A box a row: the quartiles of a metric over starts, at the entry `x` of `Row.at`. Rows of a line have one colour.

    Rows without these entries are left out.
    """
    return lambda found: draw.boxes(_lines(found, metric, x, line), xlabel=x, ylabel=metric.label)


def histograms(metric: Metric, x: str, line: str) -> Draw:
    """A panel a value of the entry `x` of `Row.at`: how many starts of each line ended where."""
    return lambda found: draw.histograms(_lines(found, metric, x, line), xlabel=metric.label, ylabel=x)


def _lines(found: Found, metric: Metric, x: str, line: str) -> dict[str, dict[str, np.ndarray]]:
    drawn: dict[str, dict[str, np.ndarray]] = {}
    for runs in rows_at(found, (x, line)):
        drawn.setdefault(str(runs.row.at[line]), {})[str(runs.row.at[x])] = all_values(runs, metric)
    return drawn


def paths(x: str, y: str, rows: Sequence[str], xlabel: str, ylabel: str) -> Draw:
    """A curve of each run against another, on logarithmic axes: a point an epoch, a colour a row.

    Runs that diverged end in a cross.
    """

    def figure(found: Found) -> Any:
        there = [found[row] for row in rows if row in found]
        drawn = {runs.row.title: np.stack([runs.curves(x), runs.curves(y)], -1) for runs in there}
        diverged = {runs.row.title: [record["diverged"] for record in runs.records] for runs in there}
        return draw.paths(drawn, xlabel=xlabel, ylabel=ylabel, log=True, diverged=diverged) if drawn else None

    return figure


def power(claims: Mapping[str, Decide], counts: Sequence[int], draws: int = 40) -> Draw:
    """How often each claim would be said to hold with fewer starts: a line a claim, a column a number of starts.

    So many are drawn from those of the page without replacement, again and again. Draws of nearly all of them differ
    little, so that the last columns are surer than they look.
    """

    def figure(found: Found) -> Any:
        seeds = sorted({seed for name in found for seed in found[name].seeds})
        tried = [n for n in counts if FEWEST <= n <= len(seeds)]
        if not tried:
            return None
        rng = np.random.default_rng(0)
        drawn = {
            n: [found.of_seeds(set(rng.choice(seeds, n, replace=False).tolist())) for _ in range(draws)] for n in tried
        }
        shares = {
            words: [np.mean([how(part).verdict == HOLDS for part in drawn[n]]) for n in tried]
            for words, how in claims.items()
        }
        return heat(shares, [str(n) for n in tried], xlabel="starts a row")

    return figure
