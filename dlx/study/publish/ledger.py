"""The ledger: what lectures claim, and what the experiments say of each claim.

The lectures' claims are read from a file. Each has a number. The claims of a page name the numbers that they decide.
The verdicts come from the results.json of each page.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dlx.show import html
from dlx.study.judge.verdicts import of_sentence
from dlx.study.publish.marks import UNTESTED, VERDICTS, kind
from dlx.study.publish.report import pictures_of

FEW_TESTS = 2
"""The numbers of the tests are folded if there are more."""
_NUMBER = re.compile(r"([A-Z]+)(\d+)([a-z]?)")


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
    pictures: Mapping[str, str]
    """The links to its pictures, by file; the first is the one at the top of its report."""


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
    return of_sentence([one.claim["verdict"] for one in decided]) if decided else UNTESTED


def counts(lecture: Lecture, decided: Decisions) -> Counter[str]:
    """How many of a lecture's claims have each verdict."""
    return Counter(kind(verdict_of(decided[claim.number])) for claim in lecture.claims)


def tally(of: Mapping[str, int]) -> str:
    """How often each verdict of a test was found, in words."""
    return ", ".join(f"{verdict}: {of[verdict]}" for verdict in VERDICTS if verdict != UNTESTED and of.get(verdict))


def page(lectures: Sequence[Lecture], experiments: Sequence[Experiment], index: str) -> str:
    """The HTML page of the lectures. Each claim has its verdict, what decided it, and a link to the experiment.

    `index` is the link to the page of experiments. Raises ValueError if an experiment names a number that no lecture
    has.
    """
    decided = decisions(lectures, experiments)
    by_lecture = [counts(lecture, decided) for lecture in lectures]
    of = sum(by_lecture, Counter())
    return html.render(
        "lectures.html.j2",
        title="The lectures, claim by claim",
        index=index,
        lectures=[
            (lecture, of_lecture, [card(claim, decided[claim.number]) for claim in lecture.claims])
            for lecture, of_lecture in zip(lectures, by_lecture, strict=True)
        ],
        total=of,
        tally=tally(of),
        verdicts=VERDICTS,
        untested=UNTESTED,
    )


def card(claim: LectureClaim, decided: Sequence[Decided]) -> dict[str, Any]:
    """What the page shows of a claim: its verdict and, by experiment, the tests, the pictures and the report."""
    verdict = verdict_of(decided)
    by_experiment: dict[str, list[Decided]] = {}
    for one in decided:
        by_experiment.setdefault(one.experiment.content["experiment"], []).append(one)
    return {
        "claim": claim,
        "verdict": verdict,
        "kind": kind(verdict),
        "single": len(decided) == 1,
        "few": len(decided) <= FEW_TESTS,
        "evidence": [
            {
                "experiment": tests[0].experiment,
                "tests": [one.claim for one in tests],
                "pictures": pictures(tests),
            }
            for tests in by_experiment.values()
        ],
    }


def pictures(tests: Sequence[Decided]) -> list[str]:
    """The links to the pictures that the claims of an experiment name, each once."""
    links = tests[0].experiment.pictures
    files = [file for one in tests for file in pictures_of(one.claim["figure"], list(links))]
    return [links[file] for file in dict.fromkeys(files)]
