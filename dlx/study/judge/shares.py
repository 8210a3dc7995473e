"""What runs are called: claims about the share that are called rightly, and a figure of what is taken for what."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dlx.show.heat_figure import heat
from dlx.stats import Interval
from dlx.study.declare.finding import Bound, Finding
from dlx.study.judge.claims import Decide, unfinished
from dlx.study.judge.figures import Draw
from dlx.study.judge.verdicts import OPEN, POWER, decide, level_after
from dlx.study.run.found import Found


def called(
    measure: str,
    labels: Sequence[str],
    rows: Mapping[str, Collection[str]],
    least: float,
    words: str = "runs that are called by their name",
) -> Decide:
    """Of all runs of the rows, diverged ones too, at least the share `least` are called by one of their row's names.

    The measure of a run is the place of its name among `labels`. The verdict is by the exact interval of the share
    (Clopper & Pearson 1934). `words` say what is counted.
    """

    def decider(found: Found) -> Finding:
        right = [one in names for row, names in rows.items() for one in names_of(found, row, measure, labels)]
        if not right or any(row not in found for row in rows):
            return unfinished(found, [row for row in rows if row not in found] or [*rows])
        level = level_after(found.looks)
        share, bound = share_interval(sum(right), len(right), 1 - level), Bound("at least", 100 * least)
        finding = Finding(decide(share, bound), interval=share, label=words, unit=" %", bound=bound, runs="runs")
        if finding.verdict != OPEN:
            return finding
        return finding._replace(needed=runs_of_share(share.mean / 100, least, level, POWER))

    return decider


def share_interval(right: int, runs: int, confidence: float) -> Interval:
    """The share of runs that are right, in percent, with its exact interval."""
    from scipy.stats import binomtest

    low, high = binomtest(right, runs).proportion_ci(confidence)
    return Interval(100 * right / runs, 100 * float(low), 100 * float(high), runs)


def runs_of_share(share: float, bound: float, level: float, power: float, most: int = 1000) -> int | None:
    """How many runs are needed, so that the interval of such a share leaves the bound; None for more than `most`."""
    from scipy.stats import binom

    runs = np.arange(1, most + 1)
    if share >= bound:
        border = binom.isf(level / 2, runs, bound)  # fewer than this are not enough to be above the bound
        enough = binom.sf(border, runs, share) >= power
    else:
        border = binom.ppf(level / 2, runs, bound)
        enough = binom.cdf(border - 1, runs, share) >= power
    return int(runs[enough][0]) if enough.any() else None


def names_of(found: Found, row: str, measure: str, labels: Sequence[str]) -> list[str]:
    """What every finished run of a row is called, diverged ones too; none if the row has no run with the measure."""
    return [labels[int(place)] for place in found[row].by_seed(measure).values()] if row in found else []


def confusion(measure: str, labels: Sequence[str], groups: Collection[str]) -> Draw:
    """A table of percentages: how many runs of each row are called by each of the labels.

    The rows of `groups` have a line each, and the rows of any other group one line together.
    """

    def figure(found: Found):
        called: dict[str, list[str]] = {}
        for row in found:
            what = found.rows[row]
            kind = what.title if what.group in groups else what.group
            called.setdefault(kind, []).extend(names_of(found, row, measure, labels))
        shares = {kind: [names.count(one) / len(names) for one in labels] for kind, names in called.items() if names}
        return heat(shares, labels, xlabel="called") if shares else None

    return figure
