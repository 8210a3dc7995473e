"""The records of a study's units: how they are named, found in the store, and judged by the code that is loaded.

On many hosts only the first process reads and writes the store.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

import jax

from dlx.show.progress import Progress
from dlx.store import Store, provenance, to_json
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import About
from dlx.study.run.code import Code
from dlx.study.run.cost import Cost, Spent, core_seconds, spent
from dlx.study.run.found import Record
from dlx.study.run.hosts import from_first_process
from dlx.study.run.record import as_record, fault
from dlx.unit import Kept, Naming, Program, Result, Unit, changed


class Records:
    """The records that a store has of the units of a study. A record is read once, and again after its unit is left."""

    def __init__(self, options: CommonOptions, store: Store, about: About, progress: Progress):
        self.store, self.about, self.progress, self.stale = store, about, progress, options.stale
        self.naming = Naming({name: dataset.origin.fingerprint for name, dataset in about.items()}, options.numerics())
        self.code = Code(about, options.products())
        self._provenance = provenance()
        self._read: dict[Unit, Record] = {}
        self._judged: dict[Unit, str] = {}
        self._faulty: set[Unit] = set()
        self._told_in_store = cache(lambda program: from_first_process(lambda: self._spent_by(program)))

    def finished(self, unit: Unit) -> Record | None:
        """The record of the unit, or None if there is none, or if it is stale and to be trained anew.

        One that is not well formed is named, and is as none.
        """
        self.code.source(unit)  # as it is before anything is trained
        if unit not in self._read and (record := from_first_process(lambda: self._from_store(unit))):
            self._read[unit], self._judged[unit] = record, self.code.judge(unit, record)
        anew = self._judged.get(unit) == "stale" and self.stale == "train"
        return None if anew else self._read.get(unit)

    def _from_store(self, unit: Unit) -> Record | None:
        record = self.store.load(self.naming.name(unit))
        if record is None or (wrong := fault(record)) is None:
            return record
        if unit not in self._faulty:
            self._faulty.add(unit)
            name = self.naming.name(unit)
            self.progress.say(f"the record of {name} is not well formed, so it counts as none: {wrong}")
        return None

    def check_code(self) -> list[str]:
        """Sentences on the records that were read, and which other code made, or that do not say which code made them.

        Raises ValueError if some are stale, unless the options say what to do with them.
        """
        stale = Counter(type(unit.program) for unit, judged in self._judged.items() if judged == "stale")
        unknown = Counter(self._judged.values())["unknown"]
        programs = ", ".join(f"{one.__module__}.{one.__name__} ({count})" for one, count in stale.items())
        if stale and self.stale == "stop":
            raise ValueError(
                f"these programs, or those that they stand on, are no longer the ones that made their records: "
                f"{programs}; --stale train trains these units anew, --stale keep uses the records as they are"
            )
        how = {"keep": "are used as they are", "train": "are made anew"}.get(self.stale)
        remarks = [f"the programs of {stale.total()} records have changed since; they {how}: {programs}"] * bool(stale)
        return remarks + [f"{unknown} records do not say which code made them; they are used"] * bool(unknown)

    def load(self, unit: Unit) -> Kept:
        """What a finished unit has kept. Raises `dlx.store.StoreError` if it was not saved."""
        return self.store.load_arrays(self.naming.name(unit))

    def claim(self, unit: Unit) -> bool:
        """Take a unit for this process until it is left. False if another process has it, or has done it meanwhile."""
        name, known = self.naming.name(unit), self._read.get(unit)
        taken = from_first_process(lambda: self.store.claim(name) and self._from_store(unit) == known)
        if not taken:
            self.leave(unit)
        return taken

    def leave(self, unit: Unit) -> None:
        """Release the unit to other processes, and read its record again when it is asked for."""
        self._read.pop(unit, None)
        self._judged.pop(unit, None)
        if jax.process_index() == 0:
            self.store.release(self.naming.name(unit))

    def save(self, unit: Unit, result: Result, kept: Kept | None, took: Mapping[str, float]) -> None:
        """Write the record of a finished unit, with what it kept, if that is given. `took` is what it cost."""
        if jax.process_index() > 0:
            return
        record = {
            **self.naming.description(unit),
            **as_record(result, unit.blind),
            "kept": kept is not None,
            **took,
            "below": self._cost_below(unit),
            "code": self.code.source(unit),
            "computation": self.code.computation(unit),
            **self._provenance,
            "origin": self.about[unit.data].origin._asdict(),
        }
        self.store.save(self.naming.name(unit), record, kept)

    def _cost_below(self, unit: Unit) -> float:
        """The core-seconds of all units that it stands on, each counted once."""
        records = map(self._from_store, unit.lineage[:-1])
        return sum(core_seconds(record) for record in records if record)

    def memory(self) -> int:
        """The most bytes per device in any record that was read; 0 without records."""
        return max((record.get("memory", 0) for record in self._read.values()), default=0)

    def costs(self, units: Iterable[Unit]) -> dict[Program, Cost]:
        """What the programs take that have records: those that were read or, if none was, others in the store."""
        told: dict[Program, list[Spent]] = {}
        for unit, record in self._read.items():
            told.setdefault(unit.program, []).append(spent(record))
        for program in dict.fromkeys(unit.program for unit in units):  # in the same order on every host
            if program not in told and (stored := self._told_in_store(program)):
                told[program] = [Spent(*each) for each in stored]
        return {program: Cost.of(each) for program, each in told.items()}

    def _spent_by(self, program: Program) -> list[list[float]]:
        """What all units of a program took that have records, such as those of rates that are not in the plan."""
        fields, data = json.loads(to_json(changed(program))), set(self.naming.fingerprints.values())
        return [
            [*spent(record)]
            for record in self.store.records(type(program).__name__)
            if record.get("fields") == fields
            and record.get("data") in data
            and record.get("numerics", []) == list(self.naming.numerics)
            and isinstance(record.get("seconds"), int | float)
        ]
