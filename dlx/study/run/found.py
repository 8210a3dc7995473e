"""What a study has found: the finished runs of every row, for claims, figures and reports."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dlx.data import Dataset
from dlx.study.declare.page import About, Metric, Row, Trial, main_of
from dlx.study.run.cost import core_seconds
from dlx.train import examples
from dlx.unit import Kept, Unit

Record = Mapping[str, Any]
Load = Callable[[Unit], Kept]
"""Reads what a finished unit has kept."""


class Attempt(NamedTuple):
    """A trial of a search, its units, one per search seed, and the records of those that are finished."""

    trial: Trial
    units: tuple[Unit, ...]
    records: tuple[Record, ...]
    brief: bool = False
    """Whether it was trained only for a quarter of the epochs, by successive halving."""

    @property
    def score(self) -> float:
        """Mean over the search seeds; NaN if a run diverged or its score is not finite."""
        return self._mean([record["score"] for record in self.records])

    def mean(self, name: str) -> float:
        """Mean of a measure over the search seeds; NaN if a run diverged, or has no finite value of it."""
        return self._mean([measure(record, name) for record in self.records])

    def _mean(self, values: Sequence[Any]) -> float:
        lost = any(value is None or record["diverged"] for value, record in zip(values, self.records, strict=True))
        numbers = np.array([math.nan] if lost or not values else [float(value) for value in values])
        return float(numbers.mean()) if np.isfinite(numbers).all() else math.nan


def measure(record: Record, name: str) -> Any:
    """A measure of a record by its name, such as "test/error"; None if it has none of that name."""
    return _entry(record["measures"], name)


def _entry(places: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    place, _, rest = name.partition("/")
    return places.get(place, {}).get(rest)


def is_number(value: Any) -> bool:
    """Whether `float` takes a value of a record; what is not finite is a word there."""
    return value in ("nan", "inf", "-inf") if isinstance(value, str) else isinstance(value, bool | int | float)


def as_booleans(value: Mapping[str, Any]) -> np.ndarray:
    """Booleans [size]. A record holds them as their size, and the indices of those that are true."""
    booleans = np.zeros(value["size"], bool)
    booleans[value["true"]] = True
    return booleans


@dataclass(frozen=True)
class Runs:
    """The runs of a row whose search is over."""

    row: Row
    tried: Sequence[Attempt]
    """Empty if the row has only one trial."""
    trial: Trial | None
    """The trial that the search chose; None if every trial diverged or had no score."""
    wanted: Sequence[Unit]
    """One unit per fresh seed, finished or not."""
    units: Sequence[Unit]
    """Those of them that are finished."""
    records: Sequence[Record]
    load: Load = lambda unit: {}  # a plan reads no arrays

    @property
    def data(self) -> str:
        """The name of the data set that the runs are evaluated on."""
        return self.units[0].data

    @property
    def seeds(self) -> list[int]:
        """The seeds of the finished runs."""
        return [unit.seed for unit in self.units]

    def lost(self, name: str) -> int:
        """How many finished runs have a measure, but are not among its `values`."""
        return len(self.by_seed(name)) - len(self.values(name))

    def _measured(self, name: str) -> dict[int, Any]:
        return {unit.seed: measure(record, name) for unit, record in zip(self.units, self.records, strict=True)}

    def by_seed(self, name: str) -> dict[int, float]:
        """A measure of every finished run that has it, by seed; also of diverged runs."""
        measured = self._measured(name)
        for seed, value in measured.items():
            if not is_number(value) and value is not None:
                raise ValueError(
                    f"{name!r} is no number in the record of row {self.row.name}, seed {seed}, but {value!r:.40}: name "
                    "another measure, or remove this record; then the same command trains the run again"
                )
        return {seed: float(value) for seed, value in measured.items() if value is not None}

    def values(self, name: str) -> np.ndarray:
        """The finite values [n] of a measure, of the runs that did not diverge, in the order of the seeds."""
        converged = {u.seed for u, record in zip(self.units, self.records, strict=True) if not record["diverged"]}
        measured = self.by_seed(name).items()
        return np.array([value for seed, value in measured if seed in converged and np.isfinite(value)])

    def per_example(self, name: str) -> dict[int, np.ndarray]:
        """The booleans [examples] of every finished run that has them, by seed."""
        return {seed: as_booleans(value) for seed, value in self._measured(name).items() if value is not None}

    def curves(self, name: str) -> np.ndarray:
        """A curve of every finished run [n, epochs]; NaN after a run's last epoch."""
        lines = [_entry(record["curves"], name) or [] for record in self.records]
        curves = np.full((len(lines), max(map(len, lines), default=0)), np.nan)
        for row, line in zip(curves, lines, strict=True):
            row[: len(line)] = [float(value) for value in line]
        return curves

    def has_curve(self, name: str) -> bool:
        """Whether the program tells such a curve; one of a run that diverged at once is empty."""
        return any(_entry(record["curves"], name) is not None for record in self.records)

    def costs(self) -> dict[int, float]:
        """The core-seconds of every finished run that did not diverge, with all units that it stands on, by seed.

        Units that several runs stand on count for each: it is what one would pay for this run alone. Runs whose records
        do not tell the cost of what they stand on are left out.
        """
        told = zip(self.units, self.records, strict=True)
        return {
            unit.seed: core_seconds(record) + float(record.get("below", 0))
            for unit, record in told
            if not record["diverged"] and (not unit.given or "below" in record)
        }

    def kept(self, seed: int) -> Kept:
        """What the run of a seed keeps.

        Raises ValueError if no run of this seed is finished. Raises `dlx.store.StoreError` if its arrays were not saved
        (see `Row.keep`).
        """
        if seed not in self.seeds:
            there = ", ".join(map(str, self.seeds))
            raise ValueError(f"{self.row.name} has no finished run of seed {seed}; it has those of {there}")
        return self.load(self.units[self.seeds.index(seed)])

    def of_seeds(self, seeds: Collection[int]) -> "Runs":
        """The same with only the runs of these seeds."""
        runs = [(u, record) for u, record in zip(self.units, self.records, strict=True) if u.seed in seeds]
        wanted = [unit for unit in self.wanted if unit.seed in seeds]
        return replace(self, wanted=wanted, units=[u for u, _ in runs], records=[record for _, record in runs])


@dataclass(frozen=True)
class Found:
    """What has been found of a study; `found["row"]` gives a row's runs."""

    outcomes: Mapping[str, Runs]
    """Of every row whose search is over, in the order of the page."""
    about: About
    rows: Mapping[str, Row]
    """All rows of the page."""
    looks: int = 0
    """How often results were looked at before the last seeds were added."""

    @classmethod
    def of(cls, rows: Sequence[Row], outcomes: Mapping[str, Runs], about: About, load: Load, looks: int = 0) -> "Found":
        """The same from the runs that a plan returns."""
        over = {row.name: replace(outcomes[row.name], load=load) for row in rows if row.name in outcomes}
        return cls(over, about, {row.name: row for row in rows}, looks)

    @property
    def runs(self) -> dict[str, Runs]:
        """The runs of every row that has a finished run of a fresh seed."""
        return {name: one for name, one in self.outcomes.items() if one.units}

    @property
    def main(self) -> Dataset:
        """The data set "main", or else the first one."""
        return main_of(self.about)

    def __getitem__(self, row: str) -> Runs:
        """The runs of a row. Raises ValueError, which says what to do, if it has no finished run of a fresh seed."""
        runs = self.runs
        if row in runs:
            return runs[row]
        if row in self.rows:
            raise ValueError(
                f"row {row!r} has no finished run in these records: run the page with the same options first"
            )
        raise ValueError(f"there is no row {row!r}; the rows are {', '.join(self.rows)}")

    def __contains__(self, row: str) -> bool:
        return row in self.runs

    def __iter__(self) -> Iterator[str]:
        return iter(self.runs)

    def records(self) -> dict[Unit, Record]:
        """The records of all runs of searches and rows, each once."""
        records: dict[Unit, Record] = {}
        for runs in self.outcomes.values():
            for part in (*runs.tried, runs):
                records |= zip(part.units, part.records, strict=True)
        return records

    def groups(self) -> dict[str, list[str]]:
        """The rows that have runs, by group."""
        groups: dict[str, list[str]] = {}
        for name, runs in self.runs.items():
            groups.setdefault(runs.row.group, []).append(name)
        return groups

    def examples(self, row: str, metric: Metric) -> int:
        """How many examples the split of a metric has in the data set of a row; 0 if it is of no split."""
        split = getattr(self.about[self[row].data].data, metric.name.partition("/")[0], None)
        return 0 if split is None else examples(split)

    def of_seeds(self, seeds: Collection[int]) -> "Found":
        """The same with only the runs of these seeds."""
        return replace(self, outcomes={name: runs.of_seeds(seeds) for name, runs in self.outcomes.items()})
