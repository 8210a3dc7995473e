"""The unit of work: one run of one program, from a key, hyper-parameters, and what other runs have kept.

A unit is named by what makes its outcome what it is, and by nothing else. So its record is found again after the
program has moved to another module, or has gained fields with defaults. The default of a field may not change.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool

from dlx.stage import Evaluation
from dlx.store import to_json
from dlx.train import AfterEpoch, Curve
from dlx.types import Data, Key, Scalar

Kept = Mapping[str, Any]
"""What a run leaves to other runs and to figures: arrays in nested dicts whose keys are strings."""
Follow = Callable[..., AfterEpoch | None]
"""Called by a program with a stage's name and its `epochs`; gives what `dlx.train.fit` is to call after each epoch."""
Measures = Mapping[str, Mapping[str, Any]]
"""Arrays by split and name, such as "test" -> "error"; what is of no split stands under a word such as "model"."""


class Result(NamedTuple):
    """What a run has found."""

    score: Scalar | float = jnp.nan
    """What a search minimises. It never comes from test data."""
    measures: Measures = {}  # noqa: RUF012  # nothing writes to it
    """"test" -> {"error": [], "wrong": bool [n]}, "model" -> {"parameters": []}."""
    curves: Measures = {}  # noqa: RUF012
    """"train" -> {"loss": [epochs]}: an entry an epoch; those after the last one are not finite."""
    diverged: Bool[Array, ""] | bool = False

    @classmethod
    def of(cls, curve: Curve, found: Evaluation | None = None) -> "Result":
        """The result of a fit and, where there is one, of the evaluation of the parameters that it returned.

        Its curves are the metrics under "train", the score under "valid", and what was "watched".
        Its score is the validation `error`, or without an evaluation by that name the fit's score at its best epoch.
        The test examples whose `error` is not 0 are those that are `wrong`.
        """
        measures: dict[str, dict[str, Any]] = {
            "fit": {"epochs": curve.epochs, "best": curve.best, "first_loss": curve.first_loss}
        }
        curves: dict[str, Mapping[str, Any]] = {"train": curve.metrics}
        score = cls().score
        if curve.score is not None:
            curves |= {"valid": {"score": curve.score}}
            score = curve.score[curve.best]
        if curve.watched:
            curves |= {"watched": curve.watched}
        if found is not None:
            measures |= {"train": {**found.train}, "valid": {**found.valid}, "test": {**found.test}}
            if "error" in found.valid:
                score = found.valid["error"]
                measures["test"]["wrong"] = found.per_example["error"] > 0
        return cls(score, measures, curves, curve.diverged)


@runtime_checkable
class Program(Protocol):
    """A frozen dataclass. Its fields shape what is compiled, and its class's name stands in the names of its units.

    A class attribute `host = True` says that it is not to be compiled: it is called with NumPy's arrays.
    """

    def __call__(
        self, key: Key, hypers: Any, given: tuple[Kept, ...], data: Data, progress: Follow
    ) -> tuple[Kept, Result]:
        """One run: what it keeps, and what it has found. `given` is what the units that it starts from have kept."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Unit:
    """One run of one program; what is done once and recorded."""

    program: Program
    hypers: Any = ()
    """A NamedTuple of floats: what a search varies within one compiled program."""
    given: tuple["Unit", ...] = ()
    """The units whose kept arrays it starts from. They may have other seeds."""
    seed: int = 0
    data: str = "main"
    """The name that the study gives the data set."""
    blind: bool = False
    """Whether the run is handed zeros in place of the test split, and its record has no measure of it."""

    @property
    def lineage(self) -> tuple["Unit", ...]:
        """The units that it stands on, each once and after those that it stands on itself, and at the end this one."""
        below = dict.fromkeys(link for unit in self.given for link in unit.lineage)
        return (*below, self)

    def blinded(self) -> "Unit":
        """The same, and all that it stands on, without the test split."""
        return replace(self, blind=True, given=tuple(unit.blinded() for unit in self.given))


@dataclass(frozen=True)
class Naming:
    """Names units. `fingerprints` are those of the data sets by name; `numerics` are settings that change results."""

    fingerprints: Mapping[str, str]
    numerics: tuple[str, ...] = ()
    _names: dict[Unit, str] = field(default_factory=dict, repr=False, compare=False)

    def identity(self, unit: Unit) -> dict[str, Any]:
        """All that makes the outcome what it is, in a form for JSON; fields and hypers that have their defaults are
        left out. Raises ValueError if a field's value has no such form, or hypers are no NamedTuple."""
        identity = {
            "program": type(unit.program).__name__,
            "fields": changed(unit.program),
            "hypers": {name: float(value) for name, value in changed_hypers(unit.hypers).items()},
            "given": [self.name(other) for other in unit.given],
            "seed": unit.seed,
            "data": self.fingerprints[unit.data],
        }
        identity |= {"blind": True} if unit.blind else {}
        identity |= {"numerics": list(self.numerics)} if self.numerics else {}
        try:
            return json.loads(to_json(identity))
        except TypeError as error:
            raise ValueError(f"a unit of {identity['program']} cannot be named: {error}") from error

    def name(self, unit: Unit) -> str:
        """The name of its record: program, seed, and a hash of its identity."""
        if unit not in self._names:
            identity = self.identity(unit)
            digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
            self._names[unit] = f"{identity['program']}/{unit.seed}-{digest[:16]}"
        return self._names[unit]

    def label(self, unit: Unit) -> str:
        """What a reader is told of it, such as "Layer dbn 64-64 seed 1 (42064e)"."""
        program, _, rest = self.name(unit).partition("/")
        values = [value for value in changed(unit.program).values() if isinstance(value, str | tuple)]
        words = [value if isinstance(value, str) else "-".join(map(str, value)) for value in values]
        return " ".join([program, *words, f"seed {unit.seed} ({rest.rpartition('-')[2][:6]})"])

    def description(self, unit: Unit) -> dict[str, Any]:
        """Its identity, and under "lineage" the identities of the units that it stands on, by name."""
        below = {self.name(other): self.identity(other) for other in unit.lineage[:-1]}
        return {**self.identity(unit), **({"lineage": below} if below else {})}


def changed(program: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults."""
    values = {one.name: getattr(program, one.name) for one in fields(program)}
    defaults = {one.name: one.default for one in fields(program)}
    return {name: value for name, value in values.items() if value != defaults[name]}


def changed_hypers(hypers: Any) -> dict[str, Any]:
    """The fields of a NamedTuple that differ from their defaults; none for an empty tuple.

    Raises ValueError for anything else, as without names they could not stand in the name of a unit.
    """
    if hypers == ():
        return {}
    if not hasattr(hypers, "_asdict"):
        raise ValueError(f"hypers {hypers!r:.60} are no NamedTuple of floats; make them one")
    defaults, values = hypers._field_defaults, hypers._asdict()
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def check_kept(kept: Any, place: str = "") -> None:
    """Raise ValueError if what a program keeps is anything else than arrays in nested dicts with strings as keys."""
    if isinstance(kept, Mapping):
        for name, entry in kept.items():
            if not isinstance(name, str):
                raise ValueError(f"a key of what a program keeps is a string, not {name!r}")
            check_kept(entry, f"{place}/{name}")
    elif not hasattr(kept, "dtype"):
        raise ValueError(f"what a program keeps is a dict of arrays or of such dicts; {place or 'it'} is {kept!r:.60}")
