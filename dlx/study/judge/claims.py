"""How a claim is decided: from an interval or a paired test over seeds, never from one run.

A claim *holds* if all gains have the right sign and p is below `LEVEL`. p is corrected for all comparisons (Holm 1979).
It *does not hold* if the 95 % interval of one gain lies at or below the least that was claimed. Otherwise it is *not
resolved*. A decider is a function of `Found`. All numbers are in the metric's unit, after scaling.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from dlx.stats import Interval, holm, interval, over_seeds, paired_interval
from dlx.study.declare.page import Finding, Metric
from dlx.study.run.found import Found, Record, measure

LEVEL = 0.01
ROUNDING = 1e-9
"""1.5 - 1.4 is a little more than 0.1 as a float."""
HOLDS, FAILS, OPEN = "holds", "does not hold", "not resolved"
Decide = Callable[[Found], Finding]
Names = str | Sequence[str]


class Comparison(NamedTuple):
    """The gain of one row over another, seed by seed; a positive gain is as claimed."""

    row: str
    than: str
    gain: Interval | None = None
    """None if the rows share no seed, or if the metric of a run is not finite."""
    p: float | None = None
    """Of the two-sided t-test. None for a single seed, or without variance."""


def lower(metric: Metric, rows: Names, than: Names, least: float | int = 0) -> Decide:
    """Each of the rows is lower than each of the others, by more than `least`."""
    return _ordered(metric, rows, than, least, "below")


def higher(metric: Metric, rows: Names, than: Names, least: float | int = 0) -> Decide:
    """Each of the rows is higher than each of the others, by more than `least`."""
    return _ordered(metric, rows, than, least, "above")


def _ordered(metric: Metric, rows: Names, than: Names, least: float | int, side: str) -> Decide:
    def decider(found: Found) -> Finding:
        pairs = [compare(found, metric, row, other, least, side) for row in _names(rows) for other in _names(than)]
        return decide(pairs, least, f"{metric.unit} {side}")

    return decider


def compare(found: Found, metric: Metric, row: str, than: str, least: float | int, side: str) -> Comparison:
    """Compare two rows over the seeds that both have. The p-value is that of a mean gain of `least`."""
    if row not in found or than not in found:
        return Comparison(row, than)
    mine, others = found[row].by_seed(metric.name), found[than].by_seed(metric.name)
    shared = [seed for seed in mine if seed in others]
    ours, theirs = (metric.scale * np.array([values[seed] for seed in shared]) for values in (mine, others))
    if not shared or not np.isfinite([ours, theirs]).all():
        return Comparison(row, than)
    large, small = (theirs, ours) if side == "below" else (ours, theirs)
    return Comparison(row, than, paired_interval(large, small), over_seeds(large - least, small))


def decide(comparisons: Sequence[Comparison], least: float | int, side: str, runs: str = "seeds") -> Finding:
    """The finding of a claim that consists of these comparisons. Of three or more gains its words name the least."""
    known = [(one, one.gain) for one in comparisons if one.gain is not None]
    told = known if len(known) < 3 else [min(known, key=lambda pair: pair[1].mean)]
    words = [f"{one.row} {_mean(gain)}{side} {one.than}" for one, gain in told]
    if len(told) < len(known):
        words = [f"the least of {len(known)} gains: {words[0]}"]
    words += [f"{', '.join(dict.fromkeys(str(gain.n) for _, gain in known))} {runs}"] * bool(known)
    words += [f"{one.row} or {one.than} is not finished, or diverged" for one in comparisons if one.gain is None]
    if any(gain.high is not None and gain.high <= least for _, gain in known):
        return Finding(FAILS, "; ".join(words))
    p = [one.p for one in comparisons if one.p is not None]
    if len(p) < len(comparisons):
        return Finding(OPEN, "; ".join(words))
    worst = max(holm(p))
    right = all(gain.mean > least for _, gain in known)
    gain = known[0][1] if len(known) == 1 else None
    return Finding(HOLDS if right and worst < LEVEL else OPEN, "; ".join([*words, f"p = {worst:.2g}"]), worst, gain)


def gains_more(metric: Metric, pair: tuple[str, str], than: tuple[str, str]) -> Decide:
    """The first row of a pair is below its second by more than in the other pair, seed against seed."""

    def gains(found: Found, row: str, worse: str) -> dict[int, float]:
        mine, others = (found[name].by_seed(metric.name) if name in found else {} for name in (row, worse))
        return {seed: metric.scale * (others[seed] - mine[seed]) for seed in mine if seed in others}

    def decider(found: Found) -> Finding:
        ours, theirs = gains(found, *pair), gains(found, *than)
        shared = [seed for seed in ours if seed in theirs]
        large, small = (np.array([gain[seed] for seed in shared]) for gain in (ours, theirs))
        if not shared or not np.isfinite([large, small]).all():
            return decide([Comparison(pair[0], than[0])], 0, "")
        gain = Comparison(pair[0], than[0], paired_interval(large, small), over_seeds(large, small))
        return decide([gain], 0, f"{metric.unit} of gain above")

    return decider


def ranks_agree(metric: Metric, row: str, than: str, least: float) -> Decide:
    """Two searches rank their common trials alike: Spearman's correlation of the metric is above `least`.

    There is one correlation per search seed. The claim holds if the 95 % interval of their mean lies above `least`. It
    does not hold if no part of the interval does. A run that diverged, or has no finite value, ranks last.
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
            return Finding(OPEN, f"{row} and {than} have no trials in common that they could rank")
        rho = interval([spearmanr(*pair).statistic for pair in zip(*ranks, strict=True)])
        sure = rho.low is not None and rho.high is not None
        verdict = OPEN if not sure else HOLDS if rho.low > least else FAILS if rho.high <= least else OPEN
        words = f"{row} {_mean(rho)} of rank correlation with {than} over {rho.n} search seeds"
        return Finding(verdict, words, interval=rho)

    return decider


def at_most(metric: Metric, rows: Names, bound: float | int) -> Decide:
    """The mean of each row is at most `bound`.

    It holds if all 95 % intervals are at most `bound`. It does not hold if one lies wholly above.
    """
    return _means(metric, rows, lambda mean: _bounded(mean, bound), max)


def at_least(metric: Metric, rows: Names, bound: float | int) -> Decide:
    """The mean of each row is at least `bound`.

    It holds if all 95 % intervals are at least `bound`. It does not hold if one lies wholly below.
    """

    def mirrored(mean: Interval) -> str:
        low, high = (None if end is None else -end for end in (mean.high, mean.low))
        return _bounded(Interval(-mean.mean, low, high, mean.n), -bound)

    return _means(metric, rows, mirrored, min)


def _means(metric: Metric, rows: Names, verdict: Callable[[Interval], str], extreme: Any) -> Decide:
    def decider(found: Found) -> Finding:
        values = {name: _values(found, name, metric) for name in _names(rows)}
        means = {name: interval(one) for name, one in values.items() if len(one)}
        told = means if len(means) < 3 else [extreme(means, key=lambda name: means[name].mean)]
        words = [f"{name} {_mean(means[name])}{metric.unit} over {means[name].n} seeds" for name in told]
        if len(told) < len(means):
            words = [f"the {'largest' if extreme is max else 'least'} of {len(means)} means: {words[0]}"]
        words += [f"{name} is not finished" for name in values if name not in means]
        verdicts = [verdict(means[name]) if name in means else OPEN for name in values]
        return Finding(joined(verdicts), "; ".join(words))

    return decider


def costs_at_most(metric: Metric, row: str, than: str, bound: float | int) -> Decide:
    """A row's mean is above the other's by at most `bound`, seed against seed.

    It holds if the 95 % interval of the difference is at most `bound`. It does not hold if that lies wholly above.
    """

    def decider(found: Found) -> Finding:
        gain = compare(found, metric, row, than, 0, "above").gain
        if gain is None:
            return Finding(OPEN, f"{row} or {than} is not finished, or diverged")
        words = f"{row} {_mean(gain)}{metric.unit} above {than} over {gain.n} seeds"
        return Finding(_bounded(gain, bound), words, interval=gain)

    return decider


def _bounded(mean: Interval, bound: float | int) -> str:
    if mean.low is None or mean.high is None:
        return OPEN
    return HOLDS if mean.high <= bound else FAILS if mean.low > bound else OPEN


def near_paper(metric: Metric, rows: Sequence[str], tolerance: float | int) -> Decide:
    """No row's mean is above the paper's value by more than `tolerance`."""

    def decider(found: Found) -> Finding:
        values = {name: _values(found, name, metric) for name in rows}
        known = [name for name in rows if len(values[name]) and metric.name in found[name].row.paper]
        gaps = {name: float(values[name].mean()) - found[name].row.paper[metric.name].value for name in known}
        missed = [f"{name} by {gap:.3f}{metric.unit}" for name, gap in gaps.items() if gap > tolerance + ROUNDING]
        if missed:
            return Finding(FAILS, f"above it: {', '.join(missed)}")
        words = f"{len(gaps)} of {len(rows)} rows are at most {tolerance:g}{metric.unit} above the paper's figures"
        return Finding(HOLDS if len(gaps) == len(rows) else OPEN, words)

    return decider


def all_of(*deciders: Decide) -> Decide:
    """Every part holds. The claim does not hold if one part does not.

    p is that of the worst part, times the number of parts. If it is not below `LEVEL`, the claim does not hold yet: it
    is not resolved. Of more than three parts the words tell one that has the claim's verdict, that with the largest p.
    """

    def decider(found: Found) -> Finding:
        parts = [one(found) for one in deciders]
        p = min(1.0, len(parts) * max((part.p for part in parts if part.p is not None), default=0.0))
        verdict = joined([part.verdict for part in parts])
        worst = max(parts, key=lambda part: (part.verdict == verdict, part.p or 0))
        told = parts if len(parts) < 4 else [worst]
        words = [f"{sum(part.verdict == HOLDS for part in parts)} of {len(parts)} parts hold"] * (len(parts) > 3)
        words = "; ".join([*words, *(part.words for part in told)])
        return Finding(OPEN if verdict == HOLDS and p >= LEVEL else verdict, words, p or None)

    return decider


def _names(rows: Names) -> list[str]:
    return [rows] if isinstance(rows, str) else list(rows)


def _values(found: Found, row: str, metric: Metric) -> np.ndarray:
    return metric.scale * found[row].values(metric.name) if row in found else np.empty(0)


def _mean(one: Interval) -> str:
    return f"{one.mean:.3g}" + ("" if one.low is None else f" [{one.low:.3g}, {one.high:.3g}]")


def joined(verdicts: Collection[str]) -> str:
    """One verdict of all: it holds if all hold, and does not hold if one does not."""
    return next((one for one in (FAILS, OPEN) if one in verdicts), HOLDS)
