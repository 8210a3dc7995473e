"""The unit of work: one run of one program, from a key, hyper-parameters, and what other units kept.

The name of a unit is made of all that decides its result, and of nothing else. So its record is found again after its
program has moved to another module, or gained fields with defaults. The default of a field may not change.

A unit *starts from* the units in its `given`. It *stands on* these, and on all that they stand on.
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
"""What a unit leaves to other units and to figures: arrays in nested dicts whose keys are strings."""
NET = "net"
"""Under this name a program keeps the parameters of a whole net. They are large: published archives lack them."""
Follow = Callable[..., AfterEpoch | None]
"""A program calls it with a stage's name and its `epochs`. It returns the `progress` of `dlx.train.fit`."""
Measures = Mapping[str, Mapping[str, Any]]
"""Arrays by split and name, such as "test" -> "error". Those of no split stand under a word such as "model"."""


class Result(NamedTuple):
    """What a run tells."""

    score: Scalar | float = jnp.nan
    """What a search minimises. It never comes from test data."""
    measures: Measures = {}  # noqa: RUF012  # nothing writes to it
    """"test" -> {"error": [], "wrong": [n]}, "model" -> {"parameters": []}."""
    curves: Measures = {}  # noqa: RUF012
    """"train" -> {"loss": [epochs]}: one entry per epoch. Entries after the last epoch are not finite."""
    diverged: Bool[Array, ""] | bool = False

    @classmethod
    def of(cls, curve: Curve, measured: Evaluation | None = None) -> "Result":
        """The result of a fit, and of what was `measured` of its parameters, if anything was.

        Its curves are the metrics under "train", the score under "valid", and what was "watched". Its score is the
        validation `error`, if that was evaluated. Otherwise it is the fit's score at the best epoch, or NaN without
        one. The `error` of each test example is `wrong`; see `dlx.study.run.record.as_record`.
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
        if measured is not None:
            measures |= {"train": {**measured.train}, "valid": {**measured.valid}, "test": {**measured.test}}
            if "error" in measured.valid:
                score = measured.valid["error"]
                measures["test"]["wrong"] = measured.per_example["error"]
        return cls(score, measures, curves, curve.diverged)

    def telling(self, **measures: Mapping[str, Any]) -> "Result":
        """The result with more measures by place, such as `result.telling(race={"epochs": epochs})`."""
        places = {place: {**self.measures.get(place, {}), **entries} for place, entries in measures.items()}
        return self._replace(measures={**self.measures, **places})


@runtime_checkable
class Program(Protocol):
    """A frozen dataclass. Its fields shape what is compiled. The names of its units begin with its class's name.

    With the class attribute `host = True` it is not compiled. It is then called with NumPy arrays.
    """

    def __call__(
        self, key: Key, hypers: Any, given: tuple[Kept, ...], data: Data, progress: Follow
    ) -> tuple[Kept, Result]:
        """Do one run; return what it keeps, and its result. `given` is what the units that it starts from kept."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Unit:
    """One run of one program. It is done once and recorded."""

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

    def __post_init__(self):
        """Raise ValueError for a seed that a key cannot be made of."""
        if not -(2**31) <= self.seed < 2**31:
            raise ValueError(f"a seed is a whole number from -2**31 to 2**31 - 1, not {self.seed}")

    @property
    def lineage(self) -> tuple["Unit", ...]:
        """The units that it stands on, each once and after its own, and this unit at the end."""
        below = dict.fromkeys(link for unit in self.given for link in unit.lineage)
        return (*below, self)

    @property
    def kind(self) -> tuple[Any, ...]:
        """What units must share to be runs of one compiled program."""
        return self.program, tuple(unit.kind for unit in self.given), self.data, self.blind

    def blinded(self) -> "Unit":
        """The same unit, but it and all units that it stands on are blind."""
        return replace(self, blind=True, given=tuple(unit.blinded() for unit in self.given))


@dataclass(frozen=True)
class Naming:
    """Names units. `fingerprints` are those of the data sets by name; `numerics` are settings that change results."""

    fingerprints: Mapping[str, str]
    numerics: tuple[str, ...] = ()
    _names: dict[Unit, str] = field(default_factory=dict, repr=False, compare=False)

    def identity(self, unit: Unit) -> dict[str, Any]:
        """All that decides the result, in a form for JSON. Fields and hypers with their default values are left out.

        Raises ValueError if a field's value has no such form, or if the hypers are not a NamedTuple.
        """
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
        """The name that a reader sees, such as "Layer dbn 64-64 seed 1 (42064e)"."""
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

    Raises ValueError for anything else: a unit's identity needs the names of its hypers.
    """
    if hypers == ():
        return {}
    if not hasattr(hypers, "_asdict"):
        raise ValueError(f"hypers {hypers!r:.60} are no NamedTuple of floats; make them one")
    defaults, values = hypers._field_defaults, hypers._asdict()
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def check_kept(kept: Any, place: str = "") -> None:
    """Raise ValueError if what a program keeps is not arrays in nested dicts whose keys are strings."""
    if isinstance(kept, Mapping):
        for name, entry in kept.items():
            if not isinstance(name, str):
                raise ValueError(f"a key of what a program keeps is a string, not {name!r}")
            check_kept(entry, f"{place}/{name}")
    elif not hasattr(kept, "dtype"):
        raise ValueError(f"what a program keeps is a dict of arrays or of such dicts; {place or 'it'} is {kept!r:.60}")
