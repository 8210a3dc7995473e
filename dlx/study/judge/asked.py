"""What claims ask for, and whether the rows of a study can answer it.

The rows and the measures that a claim asks for are found by handing its decider a `Found` without runs.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import About, Claim, Row, Study
from dlx.study.run.code import Shapes
from dlx.study.run.found import Found, Runs
from dlx.study.run.plan import first_trials
from dlx.study.run.record import on_host
from dlx.unit import Unit


def check_claims(study: Study, options: CommonOptions, shapes: Shapes, rows: Sequence[Row]) -> None:
    """Raise ValueError for a claim on a row, or on a measure of its rows, that no preset of the page has.

    What the page has for other presets counts, as far as it tells that for these data. Programs are traced from the
    shapes of their arguments, as far as it is asked what they tell.
    """
    presets = [{row.name: row for row in rows}]
    for preset in ("quick", "paper"):
        with contextlib.suppress(Exception):
            presets.append({row.name: row for row in study.rows(replace(options, preset=preset), shapes.about)})
    known = dict.fromkeys(name for some in presets for name in some)
    wanted = [(claim.words, *row) for claim in study.claims for row in asked(claim, presets[0], shapes.about).items()]
    told: dict[str, None] = {}

    def tells(name: str, measure: str) -> bool:
        """Whether the row's program, or one that was traced before, tells a measure. True if it cannot be traced."""
        for there in (some for some in presets if name in some and measure not in told):
            unit = there[name].build(1, **first_trials(list(there.values()))[name])
            if any(on_host(one.program) for one in unit.lineage):
                return True
            try:
                places = shapes.outcome(unit)[1].measures.items()
            except Exception:  # the run itself will say it
                return True
            told.update({f"{place}/{entry}": None for place, entries in places for entry in entries})
        return measure in told

    for words, name, measures in wanted:
        if name not in known:
            raise ValueError(f"the claim {words!r} asks for the row {name!r}; there are {', '.join(known)}")
        for measure in measures:
            if not tells(name, measure):
                raise ValueError(
                    f"the claim {words!r} asks for the measure {measure!r} of row {name!r}; there are {', '.join(told)}"
                )


def asked(claim: Claim, rows: Mapping[str, Row], about: About) -> dict[str, list[str]]:
    """The names of the rows that a claim asks for, and of each the names of the measures.

    A decider that raises an error for want of runs has told what it asked for until then.
    """
    outcomes = _Outcomes()
    with contextlib.suppress(Exception):
        claim.decide(_Nothing(outcomes, about, rows))
    return {name: list(runs.measures) for name, runs in outcomes.items()}


@dataclass(frozen=True)
class _NoRuns(Runs):
    """No runs. It notes the measures that it is asked for."""

    measures: dict[str, None] = field(default_factory=dict)

    def by_seed(self, name: str) -> dict[int, float]:
        self.measures[name] = None
        return {}


class _Outcomes(dict[str, _NoRuns]):
    """Has a row of any name, and notes those that it is asked for."""

    def __contains__(self, name: object) -> bool:
        return bool(self[str(name)])

    def __missing__(self, name: str) -> _NoRuns:
        self[name] = _NoRuns(Row(name, name, Unit), [], None, [], [], [])
        return self[name]


class _Nothing(Found):
    @property
    def runs(self) -> Any:
        return self.outcomes

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)


def lacking(claim: Claim, found: Found) -> list[str]:
    """The names of the rows that a claim asks for, and that this table does not have."""
    return [name for name in asked(claim, found.rows, found.about) if name not in found.rows]
