"""The rules of verdicts, and nothing else.

A claim about a difference *holds* if the 99 % interval of the mean lies above the bound. It *does not hold* if the
interval lies below the bound plus the smallest difference that matters. Otherwise there are *not enough runs*.

A claim of several parts holds if each part does. This needs no correction, as each part is tested at the level (Berger,
Technometrics 24, 1982). Where one of several parts is enough, p-values are corrected (Holm 1979): so that a claim of
several parts does not hold, and so that one of several holds.

Seeds that are added after a look at results halve the level. Fewer than three runs decide nothing.
"""

from collections.abc import Sequence

from dlx.stats import Estimate, Interval, holm, runs_needed, smallest_effect
from dlx.study.declare.finding import Bound, Finding

LEVEL = 0.01
POWER = 0.9
"""How often a study with as many runs as are needed reaches its verdict."""
FEWEST = 3
"""The least number of runs that can decide."""
HOLDS, FAILS, OPEN = "holds", "does not hold", "not enough runs"
PARTLY = "partly"


def level_after(looks: int) -> float:
    """The level of tests on seeds that were added after so many looks at results."""
    return LEVEL / 2**looks


def decide(interval: Interval, bound: Bound) -> str:
    """The verdict on what is claimed of a mean, from its interval."""
    if interval.low is None or interval.high is None or interval.n < FEWEST:
        return OPEN
    if bound.sense == "above":
        fails = interval.high < bound.value + bound.matters
        return HOLDS if interval.low > bound.value else FAILS if fails else OPEN
    if bound.sense == "at most":
        return HOLDS if interval.high <= bound.value else FAILS if interval.low > bound.value else OPEN
    return HOLDS if interval.low >= bound.value else FAILS if interval.high < bound.value else OPEN


def judge(estimate: Estimate, bound: Bound, looks: int = 0) -> Finding:
    """The finding on what is claimed of a mean. Where runs are not enough, it says how many are needed."""
    level = level_after(looks)
    interval = estimate.interval(1 - level)
    verdict = decide(interval, bound)
    border = bound.value + bound.matters * (verdict == FAILS)
    finding = Finding(verdict, p=estimate.p(border), interval=interval, bound=bound)
    if verdict != OPEN or estimate.n < FEWEST:
        return finding
    # Either verdict would do, so that the one which is farther from its border is reached with fewer runs.
    effect = max(estimate.mean - bound.value, bound.value + bound.matters - estimate.mean)
    return finding._replace(
        smallest=smallest_effect(estimate, level, POWER), needed=runs_needed(estimate, effect, level, POWER)
    )


def judge_exactly(values: Sequence[float], bound: Bound) -> Finding:
    """The finding on a bound that every run has to keep, as an identity does."""
    low, high = min(values), max(values)
    kept = {"at most": high <= bound.value, "at least": low >= bound.value, "above": low > bound.value}[bound.sense]
    verdict = OPEN if len(values) < FEWEST else HOLDS if kept else FAILS
    return Finding(verdict, bound=bound, exact=True)


def all_hold(parts: Sequence[Finding], looks: int = 0) -> Finding:
    """The finding of a claim that holds if every part does: that of the part which decided.

    It does not hold if one part does not, after Holm's correction. If all parts hold, the one that is shown has the
    largest p.
    """
    tests, held = sum(part.tests for part in parts), sum(map(_held, parts))
    failing = [part for part in parts if part.verdict == FAILS]
    if failing:
        worst = min(failing, key=lambda part: part.p or 0)
        corrected = None if worst.p is None else min(1.0, tests * worst.p)
        if (corrected or 0) < level_after(looks):
            return worst._replace(p=corrected, tests=tests, held=held)
        worst = worst._replace(verdict=OPEN, aside=f"of {tests} tests one may come out so by chance")
    undecided = [part for part in parts if part.verdict == OPEN] or ([worst] if failing else [])
    if undecided:
        shown = max(undecided, key=lambda part: (bool(part.note), part.p is not None, part.p or 0))
    else:
        shown = max(parts, key=lambda part: part.p or 0)
    return shown._replace(tests=tests, held=held)


def one_holds(parts: Sequence[Finding], looks: int = 0) -> Finding:
    """The finding of a claim that holds if one part does, after Holm's correction: that of its surest part.

    It does not hold if no part does.
    """
    p = holm([(0.0 if part.verdict == HOLDS else 1.0) if part.p is None else part.p for part in parts])
    sure = [i for i, part in enumerate(parts) if part.verdict == HOLDS and p[i] < level_after(looks)]
    verdicts = {part.verdict for part in parts}
    verdict = HOLDS if sure else FAILS if verdicts == {FAILS} else OPEN
    shown = min(sure or range(len(parts)), key=lambda i: (parts[i].verdict != verdict, p[i]))
    corrected = None if parts[shown].p is None else p[shown]
    return parts[shown]._replace(verdict=verdict, p=corrected, tests=len(parts), held=sum(map(_held, parts)))


def _held(part: Finding) -> int:
    return part.held if part.tests > 1 else int(part.verdict == HOLDS)


def of_sentence(verdicts: Sequence[str]) -> str:
    """One verdict on a lecture's sentence, from those of its tests, of which there is at least one.

    If some hold, and others do not or have not enough runs, it is "partly (3 of 4)".
    """
    held = verdicts.count(HOLDS)
    if 0 < held < len(verdicts):
        return f"{PARTLY} ({held} of {len(verdicts)})"
    return next((one for one in (FAILS, OPEN) if one in verdicts), HOLDS)
