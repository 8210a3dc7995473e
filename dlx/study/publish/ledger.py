"""The ledger: what lectures claim, and what the experiments say of each claim.

The lectures' claims are read from a file. Each has a number. The claims of a page name the numbers that they decide.
The verdicts come from the results.json of each page.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from dlx.show import html
from dlx.study.judge.claims import FAILS, HOLDS, OPEN, joined
from dlx.study.publish.report import MARKS

UNTESTED = "not tested yet"
VERDICTS = (HOLDS, FAILS, OPEN, UNTESTED)
_CLASSES = dict(zip(VERDICTS, ("holds", "fails", "open", "untested"), strict=True))
_NUMBER = re.compile(r"([A-Z]+)(\d+)([a-z]?)")

LEGEND = f"""\
<p class="legend">{MARKS[HOLDS]} <b>{HOLDS}</b>: a test over several seeds shows it. {MARKS[FAILS]} <b>{FAILS}</b>: the
runs show that it is not so. {MARKS[OPEN]} <b>{OPEN}</b>: the runs do not decide it. Seeds are runs that differ only in
their random numbers.</p>
"""


class LectureClaim(NamedTuple):
    """What a lecture claims under one of its headings."""

    number: str
    """Such as "A8b": the lecture's letter, a number in the lecture's order, and a letter if this is split."""
    heading: str
    words: str
    experiments: tuple[str, ...]
    """The names of those that are to test it."""


class Lecture(NamedTuple):
    """A lecture and its claims, in order."""

    letter: str
    name: str
    claims: tuple[LectureClaim, ...]


class Experiment(NamedTuple):
    """A finished experiment as the pages show it."""

    title: str
    content: Mapping[str, Any]
    """What its results.json says."""
    report: str
    """The link to its report."""
    picture: str | None
    """The link to its first figure, if it has one."""


class Decided(NamedTuple):
    """A claim of an experiment that decides a lecture's claim, as it stands in results.json."""

    experiment: Experiment
    claim: Mapping[str, Any]


Decisions = Mapping[str, Sequence[Decided]]
"""All that decides each lecture's claim, by its number."""


def read_lectures(path: Path) -> list[Lecture]:
    """The lectures and their claims, from a TOML file.

    The file has a table `lectures` (names by letter) and one table `claims.NUMBER` per claim. This has its `heading`,
    its `words` and a list of `experiments`. Raises OSError if the file cannot be read. Raises ValueError, which names
    the file, if it is not valid.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if set(content) != {"lectures", "claims"}:
            raise ValueError("it must have the tables 'lectures' and 'claims', and no other")
        names: dict[str, str] = content["lectures"]
        claims = sorted((_read_claim(*item) for item in content["claims"].items()), key=lambda one: _place(one.number))
        lost = [one.number for one in claims if _place(one.number)[0] not in names]
        if lost:
            raise ValueError(f"no lecture has the letter of {', '.join(lost)}")
    except ValueError as error:
        raise ValueError(f"{path} is not a valid list of claims: {error}") from error
    return [
        Lecture(letter, name, tuple(one for one in claims if _place(one.number)[0] == letter))
        for letter, name in names.items()
    ]


def _read_claim(number: str, entry: Mapping[str, Any]) -> LectureClaim:
    kinds = {name: type(value).__name__ for name, value in entry.items()}
    if kinds != {"heading": "str", "words": "str", "experiments": "list"}:
        raise ValueError(f"{number} must have a heading, words and a list of experiments, and nothing else")
    return LectureClaim(number, entry["heading"], entry["words"], tuple(entry["experiments"]))


def _place(number: str) -> tuple[str, int, str]:
    parts = _NUMBER.fullmatch(number)
    if parts is None:
        raise ValueError(f"{number!r} is not a number such as A8 or A8b")
    return parts[1], int(parts[2]), parts[3]


def decisions(lectures: Sequence[Lecture], experiments: Sequence[Experiment]) -> dict[str, list[Decided]]:
    """What decides each lecture's claim; an empty list for one that nothing tests.

    Raises ValueError if an experiment names a number that no lecture has.
    """
    decided: dict[str, list[Decided]] = {claim.number: [] for lecture in lectures for claim in lecture.claims}
    for experiment in experiments:
        for claim in experiment.content["claims"]:
            for number in claim["numbers"]:
                if number not in decided:
                    name = experiment.content["experiment"]
                    raise ValueError(f"the results of {name} name the claim {number!r}, which no lecture has")
                decided[number].append(Decided(experiment, claim))
    return decided


def verdict_of(decided: Sequence[Decided]) -> str:
    """One verdict of all that decides a claim; without any it is not tested."""
    return joined([one.claim["verdict"] for one in decided]) if decided else UNTESTED


def counts(lecture: Lecture, decided: Decisions) -> Counter[str]:
    """How many of a lecture's claims have each verdict."""
    return Counter(verdict_of(decided[claim.number]) for claim in lecture.claims)


def tally(of: Counter[str]) -> str:
    """How often each verdict of a test was found, in words."""
    return ", ".join(f"{verdict}: {of[verdict]}" for verdict in MARKS)


def page(lectures: Sequence[Lecture], experiments: Sequence[Experiment], index: str) -> str:
    """The HTML page of the lectures. Each claim has its verdict, what decided it, and a link to the experiment.

    `index` is the link to the page of experiments. Raises ValueError if an experiment names a number that no lecture
    has.
    """
    decided = decisions(lectures, experiments)
    parts = [
        f'<h1>The lectures, claim by claim</h1>\n<p><a href="{escape(index)}">All experiments</a></p>\n',
        _summary(lectures, decided),
        LEGEND,
        _table_of_counts(lectures, decided),
        '<p><label><input type="checkbox" id="tested"> Show only the claims that are tested</label></p>\n',
        *(_lecture(lecture, decided) for lecture in lectures),
    ]
    return html.document("".join(parts), "The lectures, claim by claim", html.CARDS)


def _summary(lectures: Sequence[Lecture], decided: Decisions) -> str:
    of = sum((counts(lecture, decided) for lecture in lectures), Counter())
    total, tested = of.total(), of.total() - of[UNTESTED]
    return (
        f"<p>{len(lectures)} lectures make {total} claims about deep learning. {tested} of them are tested "
        f"({tally(of)}), and {of[UNTESTED]} are not tested yet. Each verdict is computed from the runs of an "
        "experiment. Where several findings decide a claim, it holds if all of them hold. It does not hold if one of "
        "them does not. Otherwise it is not resolved. Brackets hold the 95 % interval of a mean.</p>\n"
    )


def _table_of_counts(lectures: Sequence[Lecture], decided: Decisions) -> str:
    def cells(of: Counter[str]) -> str:
        return "".join(f'<td style="text-align:right">{n}</td>' for n in (of.total(), *(of[one] for one in VERDICTS)))

    each = [counts(lecture, decided) for lecture in lectures]
    rows = [
        f'<tr><td><a href="#{lecture.letter}">{lecture.letter}. {html.inline(lecture.name)}</a></td>{cells(of)}</tr>\n'
        for lecture, of in zip(lectures, each, strict=True)
    ]
    heads = "".join(f"<th>{name}</th>" for name in ("lecture", "claims", *VERDICTS))
    return (
        f'<div class="scroll">\n<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{"".join(rows)}</tbody>\n'
        f"<tfoot><tr><td>all lectures</td>{cells(sum(each, Counter()))}</tr></tfoot>\n</table>\n</div>\n"
    )


def _lecture(lecture: Lecture, decided: Decisions) -> str:
    shown = "".join(_claim(claim, decided[claim.number]) for claim in lecture.claims)
    return f'<h2 id="{lecture.letter}">{lecture.letter}. {html.inline(lecture.name)}</h2>\n{shown}'


def _claim(claim: LectureClaim, decided: Sequence[Decided]) -> str:
    verdict = verdict_of(decided)
    planned = ", ".join(f"<code>{escape(name)}</code>" for name in claim.experiments)
    reports = list(dict.fromkeys(one.experiment.report for one in decided))
    evidence = "".join(_evidence([one for one in decided if one.experiment.report == link]) for link in reports)
    return (
        f'<article class="claim {_CLASSES[verdict]}" id="{claim.number}">\n'
        f'<div class="top"><a class="number" href="#{claim.number}">{claim.number}</a> '
        f'<span class="heading">{html.inline(claim.heading)}</span> {mark(verdict)}</div>\n'
        f'<p class="words">{html.inline(claim.words)}</p>\n'
        + (evidence or f'<p class="planned">The experiment that is planned: {planned}</p>\n')
        + "</article>\n"
    )


def _evidence(decided: Sequence[Decided]) -> str:
    """The findings of one experiment, with the numbers that decided them, beside its first figure."""
    experiment = decided[0].experiment
    lines = [finding(claim, f'<span class="decided">{html.inline(claim["words"])}</span>') for _, claim in decided]
    return (
        f'<div class="evidence">\n{picture(experiment)}<div>\n<ul>\n{"".join(lines)}</ul>\n'
        f'<p>The report: <a href="{escape(experiment.report)}">{html.inline(experiment.title)}</a></p>\n'
        "</div>\n</div>\n"
    )


def finding(claim: Mapping[str, Any], more: str) -> str:
    """A claim of an experiment as an item of a list: its verdict, its words, and `more`, which is HTML."""
    verdict = claim["verdict"]
    return f'<li class="{_CLASSES[verdict]}">{mark(verdict)}: {html.inline(claim["claim"])} {more}</li>\n'


def mark(verdict: str) -> str:
    """A verdict with its mark, in the colour of the element around it."""
    return f'<span class="verdict">{MARKS[verdict] + " " if verdict in MARKS else ""}{verdict}</span>'


def picture(experiment: Experiment) -> str:
    """The first figure of an experiment, with a link to the report; empty without a figure."""
    if experiment.picture is None:
        return ""
    return (
        f'<a href="{escape(experiment.report)}"><img src="{escape(experiment.picture)}" '
        f'alt="The first figure of {escape(experiment.content["experiment"])}" loading="lazy"></a>\n'
    )
