"""What runs are called: claims about the share that are called rightly, and a figure of what is taken for what."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dlx.show.heat_figure import heat
from dlx.study.declare.page import Finding
from dlx.study.judge.claims import FAILS, HOLDS, OPEN, Decide
from dlx.study.judge.figures import Draw
from dlx.study.run.found import Found


def called(measure: str, labels: Sequence[str], rows: Mapping[str, Collection[str]], least: float) -> Decide:
    """Of all runs of the rows, diverged ones too, at least the share `least` are called by one of their row's names.

    The measure of a run is the place of its name among `labels`. The claim holds if the exact 95 % interval of the
    share (Clopper & Pearson 1934) is at least so high, and fails if it is wholly below.
    """

    def decider(found: Found) -> Finding:
        from scipy.stats import binomtest

        right = [one in names for row, names in rows.items() for one in names_of(found, row, measure, labels)]
        missing = [row for row in rows if row not in found]
        if not right:
            return Finding(OPEN, "no run is finished")
        low, high = binomtest(sum(right), len(right)).proportion_ci()
        words = f"{sum(right)} of {len(right)} runs, {np.mean(right):.3g} [{low:.3g}, {high:.3g}]"
        verdict = OPEN if missing else HOLDS if low >= least else FAILS if high < least else OPEN
        return Finding(verdict, "; ".join([words, *(f"{row} is not finished" for row in missing)]))

    return decider


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
