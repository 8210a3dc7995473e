"""The words of a finding: one function makes its sentence, another one the answer to a page's question."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dlx.stats import Estimate, Interval, above_single_run, single_run_error, student
from dlx.study.declare.finding import Finding, Side
from dlx.study.declare.page import Claim
from dlx.study.judge.verdicts import FAILS, FEWEST, HOLDS, LEVEL, OPEN

ANSWERS = {HOLDS: "Yes", FAILS: "No", OPEN: "Not decided"}
AS_SAID = {"above": "more than", "at least": "at least", "at most": "at most"}
MOST = 3
"""The most claims in an answer."""


def sentence(finding: Finding) -> str:
    """What decided a claim, or why nothing did, in a sentence."""
    parts = [finding.note or numbers(finding), *([] if finding.note else _support(finding)), *_other_tests(finding)]
    text = "; ".join(part for part in parts if part)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def numbers(finding: Finding) -> str:
    """What is compared, its means, and the difference with its interval."""
    if not finding.label:
        return ""
    groups, label = {side.group for side in finding.sides}, finding.label
    if len(groups) == 1 and groups != {""}:
        label += f" ({groups.pop()})"
        finding = finding._replace(sides=tuple(side._replace(group="") for side in finding.sides))
    return f"{label}: {_compared(finding)}"


def _compared(finding: Finding) -> str:
    mean, sides = finding.interval, finding.sides
    if finding.exact:
        return _exact(finding)
    if mean is None:
        return ""
    if not sides:
        return _with_interval(mean, finding.unit).replace("100.0", "100")
    if mean.low is None or mean.n < FEWEST:
        return _listed(sides, [f"{_few(side.values)}{finding.unit}" for side in sides])
    if len(sides) == 1:
        return _listed(sides, [_with_interval(mean, finding.unit)])
    places = _places(mean)
    means = [with_unit(number(side.mean, max(places, _own_places(side))), finding.unit) for side in sides]
    return f"{_listed(sides, means)}: {_difference(mean, finding.unit_of_gaps, places)}"


def _exact(finding: Finding) -> str:
    sides, bound = finding.sides, finding.bound
    if len(sides) == 2 or bound is None:
        return f"the same in each run ({'; '.join(titled(side) for side in sides)})"
    values = sides[0].values
    places = _decimals(max(map(abs, values)))
    between = " to ".join(dict.fromkeys(number(end(values), places) for end in (min, max)))
    said = _listed(sides, [f"{with_unit(between, finding.unit)} in {len(values)} runs"])
    if set(values) == {bound.value}:
        return f"{said}, exact"
    return f"{said}, exact: {bound.sense} {with_unit(number(bound.value), finding.unit)} in each run"


def _few(values: Sequence[float]) -> str:
    """The values themselves, where there are too few of them; one value, where all are the same."""
    return " and ".join(number(value) for value in (values if len(values) < FEWEST else dict.fromkeys(values)))


def _listed(sides: Sequence[Side], told: Sequence[str]) -> str:
    """What is told of each side, before its title where that has commas, or ends as numbers do."""
    if all(side.title[-1:].isalpha() and not side.group and not set(side.title) & set(",:") for side in sides):
        return ", ".join(f"{side.title} {one}" for side, one in zip(sides, told, strict=True))
    titles = [f"{side.title}; {side.group}" if side.group else side.title for side in sides]
    return ", ".join(f"{one} ({title})" for one, title in zip(told, titles, strict=True))


def titled(side: Side) -> str:
    """The title of a row, with its group where other rows have the same."""
    return f"{side.title} ({side.group})" if side.group else side.title


def _support(finding: Finding) -> list[str]:
    """What is claimed, how many runs there are, and how sure they are."""
    mean, bound, gaps = finding.interval, finding.bound, finding.unit_of_gaps
    if finding.exact:
        runs = len(finding.sides[0].values)
        return [f"{FEWEST} runs are the fewest that decide"] * (runs < FEWEST)
    if mean is None or bound is None:
        return []
    counted = with_unit(str(mean.n), f" {finding.runs}")
    parts = [_claimed(finding), finding.aside]
    if mean.n < FEWEST:
        return [*parts, f"{counted}, and {FEWEST} are the fewest that decide"]
    if mean.low is None:
        return [*parts, f"all {counted} give the same, so that nothing tells how far others would be off"]
    if finding.verdict != OPEN:
        against = bound.value + bound.matters * (finding.verdict == FAILS)
        against_it = with_unit(number(against), gaps) if against and len(finding.sides) == 2 else ""
        if against_it and bound.sense == "above":
            counted = f"{counted} {'show' if finding.verdict == HOLDS else 'rule out'} {against_it} more"
        return [*parts, ", ".join(filter(None, [counted, p_value(finding.p)]))]
    if finding.aside:
        return [*parts, counted]
    if finding.smallest is not None:
        counted += f" can tell {with_unit(number(finding.smallest, _decimals(finding.smallest)), gaps)}"
    return [*parts, counted, f"about {finding.needed} would tell" if finding.needed else "over 1000 would be needed"]


def _claimed(finding: Finding) -> str:
    """What is claimed, if it is not just that there is a difference."""
    bound = finding.bound
    if bound is None or (bound.sense == "above" and bound.value == 0 and len(finding.sides) == 2):
        return ""
    if len(finding.sides) != 2:
        return f"claimed: {AS_SAID[bound.sense]} {with_unit(number(bound.value), finding.unit)}"
    more = "" if bound.sense == "above" else " more"
    return f"claimed: {AS_SAID[bound.sense]} {with_unit(number(bound.value), finding.unit_of_gaps)}{more}"


def _other_tests(finding: Finding) -> list[str]:
    others = finding.tests - 1
    if not others:
        return []
    if finding.verdict == HOLDS and finding.held == finding.tests:
        tests = "the other test" if others == 1 else f"the other {others} tests"
        return [
            f"{tests} hold{'s' * (others == 1)} as well"
            if finding.exact
            else f"{tests} {'is' if others == 1 else 'are'} clearer"
        ]
    return [f"{finding.held or 'none'} of {finding.tests} tests hold{'s' * (finding.held < 2)}"]


def _difference(gap: Interval, unit: str, places: int) -> str:
    """How much larger or smaller the second side is."""
    low, high = gap.low or 0.0, gap.high or 0.0
    if number(gap.mean, places) == "0":
        return f"no difference [{number(low, places)}, {number(high, places)}]"
    more = gap.mean > 0
    ends = (low, high) if more else (-high, -low)
    between = ", ".join(number(end, places) for end in ends)
    return f"{with_unit(number(abs(gap.mean), places), unit)} {'more' if more else 'less'} [{between}]"


def _with_interval(mean: Interval, unit: str) -> str:
    if mean.low is None or mean.high is None:
        return with_unit(number(mean.mean), unit)
    places = _places(mean)
    low, high = number(mean.low, places), number(mean.high, places)
    return f"{with_unit(number(mean.mean, places), unit)} [{low}, {high}]"


def _places(mean: Interval) -> int:
    """The decimal places that an interval supports: two digits of half its width.

    There are more where an end that is not 0 would be rounded to it.
    """
    if mean.low is None or mean.high is None:
        return _decimals(0.0)
    near = max(mean.low, -mean.high)  # above 0 where the interval does not touch it
    return max(_decimals((mean.high - mean.low) / 2), _decimals(near) - 1 if near > 0 else 0)


def _own_places(side: Side) -> int:
    """The decimal places that the values of a side alone support: one digit of half the width of their interval."""
    low, high = student(side.values).interval(1 - LEVEL)[1:3]
    return 0 if low is None or high is None else _decimals((high - low) / 2) - 1


def _decimals(width: float) -> int:
    return max(0, 1 - math.floor(math.log10(width))) if width > 0 else 2


def number(value: float, places: int | None = None) -> str:
    """A number with so many decimal places, by default to three or four digits; without the zero before the point."""
    if places is not None and places <= 5:
        text = f"{round(value, places) + 0.0:.{max(places, 0)}f}"
        text = text if text.strip("-.0") else "0"
    elif value and abs(value) < 1e-3:
        text = f"{value:.2g}".replace("e-0", "e-")
    else:
        text = f"{value + 0.0:.0f}" if abs(value) >= 1000 else f"{value + 0.0:.{3 + (abs(value) >= 100)}g}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def with_unit(text: str, unit: str) -> str:
    """A number with its unit, such as " points"; of 1 it is " point"."""
    return text + (unit.removesuffix("s") if text in ("1", "-1") and len(unit) > 2 else unit)


def p_value(p: float | None) -> str:
    """A p-value to the digit that counts."""
    if p is None:
        return ""
    if p < 1e-4:
        return "p < .0001"
    places = 2 if p >= 0.1 else _decimals(p) - 1
    below = (some for some in range(places, 9) if p >= LEVEL or round(p, some) < LEVEL)
    return f"p = {number(p, next(below, 9))}"


def could_be_off(paper: float, examples: int, level: float = LEVEL) -> str:
    """How far the paper's value may be off, as it is that of one run on so many examples."""
    half = Estimate(0, single_run_error(paper, examples), math.inf, 1).interval(1 - level).high or 0.0
    grouped = f"{examples:,}".replace(",", " ")
    return f"the paper's single run on {grouped} examples could be off by {number(half, 2)} points"


def beside_paper(values: Sequence[float], paper: float | None, examples: int) -> str:
    """How the mean of error rates compares with the paper's one run on so many examples. All are in percent."""
    if not len(values):
        return "every run diverged"
    if paper is None:
        return "no figure in the paper"
    gap = above_single_run(values, paper, examples).interval(1 - LEVEL)
    if gap.n < FEWEST:
        return f"fewer than {FEWEST} runs do not tell"
    if gap.low is not None and gap.high is not None and gap.low <= 0 <= gap.high:
        return f"not told apart: {could_be_off(paper, examples)}"
    return f"{'higher' if gap.mean > 0 else 'lower'} than the paper's by {number(abs(gap.mean), 2)}"


def answer(claims: Sequence[Claim], findings: Sequence[Finding]) -> str:
    """The answer to a page's question in one to three sentences: those claims that answer it, or else the first two."""
    pairs = list(zip(claims, findings, strict=True))
    chosen = [pair for pair in pairs if pair[0].answers] or pairs[:2]
    return " ".join(_answered(claim.words, finding) for claim, finding in chosen[:MOST])


def _answered(words: str, finding: Finding) -> str:
    told = finding.note.rstrip(".") or numbers(finding)
    return f"{ANSWERS[finding.verdict]}: {words.rstrip('.')}{f'; {told}' if told else ''}."


def told(content: Mapping[str, Any]) -> str:
    """The verdicts, a line each, and the answer, from the content of results.json: for a terminal."""
    lines = [f"{one['verdict']}: {one['claim']} {one['words']}" for one in content["claims"]]
    return "\n".join([*lines, *([f"answer: {content['answer']}"] if content["answer"] else [])])


def level_and_seeds(content: Mapping[str, Any]) -> str:
    """The level of the verdicts, and the rows that got more seeds than planned, from the content of results.json."""
    runs = {row["title"]: (row["n"] + row["diverged"], row["planned"]) for row in content["rows"]}
    more = [f"{title} ({run} for {planned})" for title, (run, planned) in runs.items() if run > planned]
    if not more:
        return f"Verdicts are at level {number(content['level'])}."
    return (
        f"Verdicts are at level {number(content['level'])}: it is halved for each look at results before seeds were "
        f"added. More seeds than planned have {', '.join(more)}."
    )
