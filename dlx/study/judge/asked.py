"""The rows and the measures that a claim asks for, found by handing its decider a `Found` without runs."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dlx.study.declare.page import About, Claim, Row, Study
from dlx.study.run.found import Found, Runs
from dlx.study.run.plan import first_trials
from dlx.study.run.record import on_host
from dlx.study.run.shapes import Shapes
from dlx.unit import Unit


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


def asked(claim: Claim, rows: Mapping[str, Row], about: About) -> dict[str, list[str]]:
    """The names of the rows that a claim asks for, and of each the names of the measures.

    A decider that raises an error for want of runs has told what it asked for until then.
    """
    outcomes = _Outcomes()
    with contextlib.suppress(Exception):
        claim.decide(_Nothing(outcomes, about, rows))
    return {name: list(runs.measures) for name, runs in outcomes.items()}


def decidable(claims: Sequence[Claim], rows: Mapping[str, Row], about: About) -> tuple[list[Claim], list[str]]:
    """The claims all of whose rows are there, and a sentence for each of the others."""
    missing = [[name for name in asked(claim, rows, about) if name not in rows] for claim in claims]
    told = [
        f"The claim {claim.words!r} is left out: it asks for {', '.join(names)}, which this table does not have."
        for claim, names in zip(claims, missing, strict=True)
        if names
    ]
    return [claim for claim, names in zip(claims, missing, strict=True) if not names], told


def check_claims(study: Study, options: Any, shapes: Shapes, rows: Sequence[Row]) -> None:
    """Raise ValueError for a claim on a row, or on a measure of its rows, that no preset of the page has.

    What the page has for other presets counts, as far as it tells that for these data.
    """
    about = shapes.about
    presets = [{row.name: row for row in rows}]
    for preset in ("quick", "paper"):
        with contextlib.suppress(Exception):
            presets.append({row.name: row for row in study.rows(replace(options, preset=preset), about)})
    known: dict[str, None] = dict.fromkeys(name for some in presets for name in some)
    told = _Told(shapes)
    for claim in study.claims:
        for name, measures in asked(claim, presets[0], about).items():
            if name not in known:
                raise ValueError(f"the claim {claim.words!r} asks for the row {name!r}; there are {', '.join(known)}")
            for measure in measures:
                if not told.has(measure, name, presets):
                    raise ValueError(
                        f"the claim {claim.words!r} asks for the measure {measure!r} of row {name!r}; there are "
                        f"{', '.join(told.known)}"
                    )


class _Told:
    """The measures that programs tell, traced from the shapes of their arguments as far as it is asked for them."""

    def __init__(self, shapes: Shapes):
        self._shapes = shapes
        self.known: dict[str, None] = {}

    def has(self, measure: str, name: str, presets: Sequence[Mapping[str, Row]]) -> bool:
        """Whether a program that was traced tells a measure, or that of the row does. True if it cannot be traced."""
        for rows in presets:
            if measure in self.known:
                return True
            if name in rows:
                unit = rows[name].build(1, **first_trials(list(rows.values()))[name])
                if any(on_host(one.program) for one in unit.lineage):
                    return True
                try:
                    places = self._shapes.outcome(unit)[1].measures.items()
                except Exception:  # the run itself will say it
                    return True
                self.known |= {f"{place}/{entry}": None for place, entries in places for entry in entries}
        return measure in self.known
