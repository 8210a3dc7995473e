"""How a claim is decided: from an interval or a paired test over seeds, never from one run.

A claim *holds* if p, corrected for all of its comparisons (Holm 1979), is below `LEVEL` and the sign is right. It *does
not hold* if the 95 % interval of a comparison leaves out every gain above the least that was claimed. Otherwise it is
*not resolved*. A decider is a function of `Found`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dlx.stats import Interval, holm, interval, over_seeds, paired_interval
from dlx.study.found import Found
from dlx.study.page import Finding

LEVEL = 0.01
ROUNDING = 1e-9
"""1.5 - 1.4 is a little more than 0.1 as a float."""
HOLDS, FAILS, OPEN = "holds", "does not hold", "not resolved"
Decide = Callable[[Found], Finding]


class Comparison(NamedTuple):
    """The gain of one row over another, seed by seed, in a metric's unit; positive is as claimed."""

    row: str
    than: str
    gain: Interval | None
    """None if no seed is shared, or a run of one has no number."""
    p: float | None
    """Of the two-sided t-test. None without variance or a second seed."""
    word: str = "below"


def compare(
    found: Found, metric: str, row: str, than: str, least: float | int, scale: float | int, lower: bool
) -> Comparison:
    """Compare two rows over the seeds that both have; the gain is counted from `least`, in the metric's unit."""
    if row not in found or than not in found:
        return Comparison(row, than, None, None)
    mine, others = found[row].by_seed(metric), found[than].by_seed(metric)
    shared = [seed for seed in mine if seed in others]
    ours, theirs = (scale * np.array([values[seed] for seed in shared]) for values in (mine, others))
    large, small = (theirs, ours) if lower else (ours, theirs)
    if not shared or not np.isfinite([ours, theirs]).all():
        return Comparison(row, than, None, None)
    p = over_seeds(large - least, small)
    return Comparison(row, than, paired_interval(large, small), p, "below" if lower else "above")


def decide(comparisons: Sequence[Comparison], least: float | int, unit: str) -> Finding:
    """The finding of a claim that consists of these comparisons."""
    known = [(one, one.gain) for one in comparisons if one.gain is not None]
    told = known if len(known) < 3 else [min(known, key=lambda pair: pair[1].mean)]
    words = "; ".join(_compared(one, gain, unit) for one, gain in told)
    words = f"the least of {len(known)} gains: {words}" if len(told) < len(known) else words
    words += f"; {', '.join(dict.fromkeys(str(gain.n) for _, gain in known))} seeds" * bool(known)
    missing = [f"{one.row} or {one.than} is not finished, or diverged" for one in comparisons if one.gain is None]
    words = "; ".join([words, *missing] if words else missing)
    if any(gain.high is not None and gain.high <= least for _, gain in known):
        return Finding(FAILS, words)
    p = [one.p for one in comparisons if one.p is not None]
    if missing or len(p) < len(comparisons):
        return Finding(OPEN, words)
    worst = max(holm(p))
    right = all(gain.mean > least for _, gain in known)
    gain = known[0][1] if len(known) == 1 else None
    return Finding(HOLDS if right and worst < LEVEL else OPEN, f"{words}; p = {worst:.2g}", worst, gain)


def _compared(one: Comparison, gain: Interval, unit: str) -> str:
    """The gain in words, with its interval."""
    sure = "" if gain.low is None or gain.high is None else f" [{gain.low:.3g}, {gain.high:.3g}]"
    return f"{one.row} {gain.mean:.3g}{sure}{unit} {one.word} {one.than}"


def _bounds(gain: Interval) -> str:
    return "" if gain.low is None else f" [{gain.low:.3g}, {gain.high:.3g}]"


def lower(
    metric: str,
    rows: str | Sequence[str],
    than: str | Sequence[str],
    least: float | int = 0,
    scale: float | int = 1,
    unit: str = "",
) -> Decide:
    """Every one of the rows is lower than every one of the others, by more than `least`, counted after `scale`."""
    return _ordered(metric, rows, than, least, scale, unit, lower=True)


def higher(
    metric: str,
    rows: str | Sequence[str],
    than: str | Sequence[str],
    least: float | int = 0,
    scale: float | int = 1,
    unit: str = "",
) -> Decide:
    """Every one of the rows is higher than every one of the others, by more than `least`, counted after `scale`."""
    return _ordered(metric, rows, than, least, scale, unit, lower=False)


def _ordered(
    metric: str,
    rows: str | Sequence[str],
    than: str | Sequence[str],
    least: float | int,
    scale: float | int,
    unit: str,
    lower: bool,
) -> Decide:
    mine, others = ([names] if isinstance(names, str) else list(names) for names in (rows, than))

    def decider(found: Found) -> Finding:
        pairs = [compare(found, metric, a, b, least, scale, lower) for a in mine for b in others]
        return decide(pairs, least, unit)

    return decider


def at_most(
    metric: str, rows: str | Sequence[str], bound: float | int, scale: float | int = 1, unit: str = ""
) -> Decide:
    """The mean of each row is at most `bound`: it holds if all 95 % intervals are, and fails if one is wholly above."""
    names = [rows] if isinstance(rows, str) else list(rows)

    def decider(found: Found) -> Finding:
        words, verdicts = [], []
        for name in names:
            values = scale * found[name].values(metric) if name in found else np.empty(0)
            if not len(values):
                words.append(f"{name} is not finished")
                verdicts.append(OPEN)
                continue
            mean, low, high, n = interval(values)
            words.append(f"{name} {mean:.3g}{_bounds(Interval(mean, low, high, n))}{unit} over {n} seeds")
            sure = low is not None and high is not None
            verdicts.append(OPEN if not sure else HOLDS if high <= bound else FAILS if low > bound else OPEN)
        return Finding(_joined(verdicts), "; ".join(words))

    return decider


def near_paper(
    metric: str, rows: Sequence[str], tolerance: float | int, scale: float | int = 1, unit: str = ""
) -> Decide:
    """No row's mean is above the paper's figure by more than `tolerance`, both in the metric's unit."""

    def decider(found: Found) -> Finding:
        missed, done = [], []
        for name in rows:
            values = scale * found[name].values(metric) if name in found else np.empty(0)
            if len(values) and metric in found[name].row.paper:
                gap = float(values.mean()) - found[name].row.paper[metric].value
                done.append(name)
                missed += [f"{name} by {gap:.3f}{unit}"] if gap > tolerance + ROUNDING else []
        if missed:
            return Finding(FAILS, f"above it: {', '.join(missed)}")
        words = f"{len(done)} of {len(rows)} rows are at most {tolerance:g}{unit} above the paper's figures"
        return Finding(HOLDS if len(done) == len(rows) else OPEN, words)

    return decider


def all_of(*deciders: Decide) -> Decide:
    """Every part holds; it does not hold if one part does not. p is that of the worst part times their number."""

    def decider(found: Found) -> Finding:
        parts = [one(found) for one in deciders]
        p = min(1.0, len(parts) * max((part.p for part in parts if part.p is not None), default=0.0))
        verdict = _joined([part.verdict for part in parts])
        words = "; ".join(part.words for part in parts)
        return Finding(OPEN if verdict == HOLDS and p >= LEVEL else verdict, words, p or None)

    return decider


def _joined(verdicts: Sequence[str]) -> str:
    return next((one for one in (FAILS, OPEN) if one in verdicts), HOLDS)
