"""How a claim is decided: from an interval over seeds, never from one run. The rules are those of `verdicts`.

A decider is a function of `Found`. All numbers are in the metric's unit, after scaling.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from dlx.stats import above_single_run, paired_difference, student
from dlx.study.declare.finding import Bound, Finding, Side
from dlx.study.declare.page import ERRORS, Metric
from dlx.study.judge.verdicts import FAILS, OPEN, all_hold, judge, judge_exactly, level_after, one_holds
from dlx.study.judge.words import could_be_off, number, titled
from dlx.study.run.found import Found, Record, Runs, measure

Decide = Callable[[Found], Finding]
Names = str | Sequence[str]


class Number(NamedTuple):
    """A number of each run of a row."""

    row: str
    of: Callable[[Runs], Mapping[int, float]]
    """From the row's runs, by seed."""


def lower(metric: Metric, rows: Names, than: Names, least: float | int = 0) -> Decide:
    """Each of the rows is lower than each of the others, by more than `least`."""
    bound = Bound("above", least, metric.matters)
    return all_of(*(difference(metric, row, other, bound) for row in _names(rows) for other in _names(than)))


def higher(metric: Metric, rows: Names, than: Names, least: float | int = 0) -> Decide:
    """Each of the rows is higher than each of the others, by more than `least`."""
    bound = Bound("above", least, metric.matters)
    return all_of(*(difference(metric, other, row, bound) for row in _names(rows) for other in _names(than)))


def costs_at_most(metric: Metric, row: str, than: str, bound: float | int) -> Decide:
    """A row's mean is above the other's by at most `bound`, seed against seed."""
    return difference(metric, than, row, Bound("at most", bound))


def difference(metric: Metric, first: str, second: str, bound: Bound) -> Decide:
    """What is claimed of the second row's mean less the first row's, over the seeds that both have."""

    def decider(found: Found) -> Finding:
        sides = [_by_seed(found, row, metric) for row in (first, second)]
        finding = paired(found, metric, (first, second), sides, bound)
        if not finding.sides or not _same_runs(found, first, second, finding.sides):
            return finding
        return showing(judge_exactly([0.0] * len(finding.sides[0].values), bound), metric, finding.sides)

    return decider


def gains_more(metric: Metric, pair: tuple[str, str], than: tuple[str, str]) -> Decide:
    """The first row of a pair is below its second by more than in the other pair, seed against seed."""

    def gains(found: Found, row: str, worse: str) -> dict[int, float]:
        mine, others = (_by_seed(found, name, metric) for name in (row, worse))
        return {seed: others[seed] - mine[seed] for seed in mine if seed in others}

    def decider(found: Found) -> Finding:
        gain = Metric(metric.name, f"gain in {metric.words}", unit=metric.units[1])
        both = [gains(found, *than), gains(found, *pair)]
        return paired(found, gain, (than[0], pair[0]), both, Bound("above", 0, metric.matters))

    return decider


def paired(
    found: Found,
    metric: Metric,
    rows: tuple[str, str],
    by_seed: Sequence[Mapping[int, float]],
    bound: Bound,
    runs: str = "seeds",
) -> Finding:
    """The finding on the second row's values less the first row's, over the seeds that both have."""
    first, second = by_seed
    shared = [seed for seed in first if seed in second]
    values = np.array([[some[seed] for seed in shared] for some in by_seed])
    if not shared or not np.isfinite(values).all():
        lost = [
            row for row, side in zip(rows, by_seed, strict=True) if not (side and np.isfinite([*side.values()]).all())
        ]
        return unfinished(found, lost or rows)
    sides = [side(found, *pair) for pair in zip(rows, values, strict=True)]
    finding = judge(paired_difference(values[1], values[0]), bound, found.looks)
    return showing(finding, metric, sides, runs)


def ranks_agree(metric: Metric, row: str, than: str, least: float) -> Decide:
    """Two searches rank their common trials alike: Spearman's correlation of the metric is above `least`.

    There is one correlation per search seed, and the claim is about their mean. A run that diverged, or has no finite
    value, ranks last.
    """

    def values(found: Found, name: str) -> dict[str, list[float]]:
        tried = found.outcomes[name].tried if name in found.outcomes else []
        return {repr(one.trial): [last_if_lost(record) for record in one.records] for one in tried}

    def last_if_lost(record: Record) -> float:
        value = np.nan if record["diverged"] else measure(record, metric.name)
        return float(value) if value is not None and np.isfinite(float(value)) else np.inf

    def decider(found: Found) -> Finding:
        from scipy.stats import spearmanr

        ours, theirs = values(found, row), values(found, than)
        shared = [trial for trial in ours if trial in theirs]
        seeds = min((len(one[trial]) for trial in shared for one in (ours, theirs)), default=0)
        ranks = [np.array([one[trial][:seeds] for trial in shared]).T for one in (ours, theirs)]
        differ = len(shared) > 1 and all(np.ptp(np.nan_to_num(rank), 1).all() for rank in ranks)
        if not differ or not seeds:
            return Finding(OPEN, "the two searches have no trials in common that they could rank")
        rho = np.array([spearmanr(*pair).statistic for pair in zip(*ranks, strict=True)])
        finding = judge(student(rho), Bound("above", least), found.looks)
        correlation = Metric(metric.name, f"rank correlation by {metric.words}", bounds=(-1, 1))
        return showing(finding, correlation, [side(found, row, rho)], "search seeds")

    return decider


def at_most(metric: Metric, rows: Names, bound: float | int) -> Decide:
    """The mean of each row is at most `bound`."""
    return all_of(*(mean(metric, row, Bound("at most", bound)) for row in _names(rows)))


def at_least(metric: Metric, rows: Names, bound: float | int) -> Decide:
    """The mean of each row is at least `bound`."""
    return all_of(*(mean(metric, row, Bound("at least", bound)) for row in _names(rows)))


def exact(metric: Metric, rows: Names, bound: float | int) -> Decide:
    """Each run of each row is at most `bound`, as those of an identity are."""
    return all_of(*(mean(metric, row, Bound("at most", bound), True) for row in _names(rows)))


def mean(metric: Metric, row: str, bound: Bound, exactly: bool = False) -> Decide:
    """What is claimed of a row's mean, over the runs that did not diverge; `exactly`, of each of these runs."""

    def decider(found: Found) -> Finding:
        values = metric.scale * found[row].values(metric.name) if row in found else np.empty(0)
        if not len(values):
            return unfinished(found, [row])
        finding = judge_exactly(values.tolist(), bound) if exactly else judge(student(values), bound, found.looks)
        return showing(finding, metric, [side(found, row, values)])

    return decider


def of_numbers(metric: Metric, numbers: Mapping[str, Number], bound: Bound) -> Decide:
    """What is claimed of the second of two numbers, less the first, over the seeds that both have. They have titles."""

    def decider(found: Found) -> Finding:
        rows = [number.row for number in numbers.values()]
        if lost := [row for row in rows if row not in found]:
            return unfinished(found, lost)
        told = [number.of(found[number.row]) for number in numbers.values()]
        by_seed = [{seed: metric.scale * value for seed, value in one.items()} for one in told]
        finding = paired(found, metric, (rows[0], rows[1]), by_seed, bound)
        sides = zip(finding.sides, numbers, strict=False)  # none, where a number is not finite
        return finding._replace(sides=tuple(side._replace(title=title) for side, title in sides))

    return decider


def if_trained(decide: Decide, row: str, than: str) -> Decide:
    """The finding of a decider. It does not fail while the row errs on more of its training examples than the other.

    Then its training is too short to tell.
    """
    train = ERRORS[0]

    def decider(found: Found) -> Finding:
        finding = decide(found)
        if finding.verdict != FAILS:
            return finding
        left, other = (float(train.scale * found[one].values(train.name).mean()) for one in (row, than))
        if left - other <= train.matters:
            return finding
        errors = zip((row, than), (left, other), strict=True)
        on = [f"{number(part, 2)} % ({titled(side(found, one, np.empty(0)))})" for one, part in errors]
        short = f"of training errors {' and '.join(on)} are left: longer"
        aside = "; ".join(filter(None, [finding.aside, f"{short} training would tell, not more seeds"]))
        return finding._replace(verdict=OPEN, aside=aside)

    return decider


def near_paper(metric: Metric, rows: Sequence[str], tolerance: float | int) -> Decide:
    """No row's mean is above the paper's by more than `tolerance`.

    The paper's value is that of one run on as many examples as our test split has.
    """

    def decide(found: Found, row: str) -> Finding:
        values = metric.scale * found[row].values(metric.name) if row in found else np.empty(0)
        if not len(values):
            return unfinished(found, [row])
        if metric.name not in found[row].row.paper:
            return Finding(OPEN, f"{titled(side(found, row, values))}: the paper has no value for these data")
        paper, examples = found[row].row.paper[metric.name].value, found.examples(row, metric)
        finding = judge(above_single_run(values, paper, examples), Bound("at most", tolerance), found.looks)
        sides = [Side("the paper", (paper,)), side(found, row, values)]
        aside = could_be_off(paper, examples, level_after(found.looks))
        aside += ", which more seeds do not mend" * (finding.verdict == OPEN)
        return showing(finding._replace(needed=None, smallest=None, aside=aside), metric, sides)

    return all_of(*(partial(decide, row=row) for row in rows))


def all_of(*deciders: Decide) -> Decide:
    """Every part holds. The claim does not hold if one part does not."""
    return lambda found: all_hold([decide(found) for decide in deciders], found.looks)


def any_of(*deciders: Decide) -> Decide:
    """At least one part holds. The claim does not hold if no part does."""
    return lambda found: one_holds([decide(found) for decide in deciders], found.looks)


def side(found: Found, row: str, values: np.ndarray) -> Side:
    """A row and its values, as findings show them."""
    one = found.rows.get(row)
    if one is None:
        return Side(row, tuple(values.tolist()))
    alike = sum(other.title == one.title for other in found.rows.values()) > 1
    return Side(one.title, tuple(values.tolist()), one.group if alike else "")


def showing(finding: Finding, metric: Metric, sides: Sequence[Side], runs: str = "seeds") -> Finding:
    """The finding, with what is compared. An interval of a mean ends where the metric does."""
    unit, unit_of_gaps = metric.units
    mean = finding.interval
    if len(sides) == 1 and mean is not None and mean.low is not None and mean.high is not None:
        least, largest = metric.bounds
        finding = finding._replace(interval=mean._replace(low=max(mean.low, least), high=min(mean.high, largest)))
    return finding._replace(label=metric.words, unit=unit, unit_of_gaps=unit_of_gaps, sides=tuple(sides), runs=runs)


def unfinished(found: Found, rows: Sequence[str]) -> Finding:
    """The finding where rows lack runs, or numbers."""
    titles = " and ".join(titled(side(found, row, np.empty(0))) for row in rows)
    return Finding(OPEN, f"{titles}: not finished, or without a number")


def _names(rows: Names) -> list[str]:
    return [rows] if isinstance(rows, str) else list(rows)


def _same_runs(found: Found, first: str, second: str, sides: Sequence[Side]) -> bool:
    """Whether two rows have the same runs, or runs that compute the same: with equal values that vary over seeds."""
    mine, others = (side.values for side in sides)
    return found[first].units == found[second].units or (mine == others and len(set(mine)) > 1)


def _by_seed(found: Found, row: str, metric: Metric) -> dict[int, float]:
    values = found[row].by_seed(metric.name) if row in found else {}
    return {seed: metric.scale * value for seed, value in values.items()}
