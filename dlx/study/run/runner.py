"""Does the units of a plan that have no record yet, and reads the records of the others.

Each finished unit leaves a record on disk. So a command that is given again does only what is missing. Two processes
with the same command share the work. On many hosts only the first process reads and writes the store.
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlx.show.progress import Progress
from dlx.store import Store, provenance
from dlx.study.declare.options import CommonOptions, size
from dlx.study.declare.page import About
from dlx.study.run.code import Code
from dlx.study.run.cost import Cost, Estimate, Spent, shared_out, spent, spent_before
from dlx.study.run.hosts import arrays_from_first_process, from_first_process
from dlx.study.run.record import as_record, blinded, fault, kind, on_host, one_run
from dlx.sweep import Sweep
from dlx.types import Data
from dlx.unit import Kept, Naming, Program, Result, Unit


class Runner:
    """Does units, and keeps their records in a store.

    `like` is a runner of other records, which tell the time of programs that have no record in this store.
    """

    def __init__(
        self, options: CommonOptions, store: Store, about: About, progress: Progress, like: "Runner | None" = None
    ):
        self.options, self.store, self.progress = options, store, progress
        self.naming = Naming({name: dataset.origin.fingerprint for name, dataset in about.items()}, options.numerics())
        self.deadline = time.monotonic() + 60 * options.minutes
        self.provenance = provenance()
        self.origins = {name: dataset.origin._asdict() for name, dataset in about.items()}
        self.data = {(name, False): dataset.data for name, dataset in about.items()}
        self.data |= {(name, True): blinded(dataset.data) for name, dataset in about.items()}
        self.code = Code(about, options.products())
        self._records: dict[Unit, dict[str, Any]] = {}
        self._judged: dict[Unit, str] = {}
        self._done: dict[Unit, None] = {}
        self._announced: set[tuple[Any, int]] = set()
        self._faulty: set[Unit] = set()
        self._waiting = False
        self._hashing = ThreadPoolExecutor(1)  # while XLA compiles
        self._like = like
        self._stored = cache(
            lambda program: from_first_process(lambda: [[*each] for each in spent_before(store, self.naming, program)])
        )
        self._sweep = cache(
            lambda program, devices: Sweep(
                one_run(program, progress), devices, options.devices_per_run, options.runs_at_once
            )
        )

    def finished(self, unit: Unit) -> dict[str, Any] | None:
        """The record of the unit, or None if there is none, or if it is stale and to be trained anew.

        One that is not well formed is named, and is as none.
        """
        self.code.source(unit)  # as it is before anything is trained
        if unit not in self._records and (record := from_first_process(lambda: self._read(unit))):
            self._records[unit], self._judged[unit] = record, self.code.judge(unit, record)
        anew = self._judged.get(unit) == "stale" and self.options.stale == "train"
        return None if anew else self._records.get(unit)

    def check_code(self) -> list[str]:
        """Sentences on the records that were read, and which other code made, or that do not say which code made them.

        Raises ValueError if some are stale, unless the options say what to do with them.
        """
        stale = Counter(type(unit.program) for unit, judged in self._judged.items() if judged == "stale")
        unknown = Counter(self._judged.values())["unknown"]
        programs = ", ".join(f"{one.__module__}.{one.__name__} ({count})" for one, count in stale.items())
        if stale and self.options.stale == "stop":
            raise ValueError(
                f"these programs, or those that they stand on, are no longer the ones that made their records: "
                f"{programs}; --stale train trains these units anew, --stale keep uses the records as they are"
            )
        how = {"keep": "are used as they are", "train": "are made anew"}.get(self.options.stale)
        remarks = [f"the programs of {stale.total()} records have changed since; they {how}: {programs}"] * bool(stale)
        silent = f"{unknown} records do not say which code made them; they are used"
        return remarks + [silent] * bool(unknown)

    def _read(self, unit: Unit) -> dict[str, Any] | None:
        record = self.store.load(self._name(unit))
        if record is None or (wrong := fault(record)) is None:
            return record
        if unit not in self._faulty:
            self._faulty.add(unit)
            self.progress.say(f"the record of {self._name(unit)} is not well formed, so it counts as none: {wrong}")
        return None

    def load(self, unit: Unit) -> Kept:
        """What a finished unit has kept. Raises `dlx.store.StoreError` if it was not saved."""
        return self.store.load_arrays(self._name(unit))

    def advance(self, units: Sequence[Unit], keep: Sequence[Unit] = (), later: Sequence[Unit] = ()) -> bool:
        """Do some of the missing units. Return False if none is missing or the time is up.

        Units like those of `later` are to come, once others are finished. They count in what is said of the time left.
        Arrays are saved for the units in `keep`, and for units that a missing unit starts from. Processes that share
        the folder share the work. If others are at work on all that is left, it waits a moment.
        """
        missing = self.missing(units, keep)
        if not missing or not from_first_process(lambda: time.monotonic() < self.deadline):
            return False
        every = dict.fromkeys([*self._done, *missing, *self.missing(later)])
        costs, now = self.costs(every), len(self._done.keys() | missing)
        self.progress.plan(dict([*costs.items()][:now]), dict([*costs.items()][now:]))
        taken = self._take([unit for unit in missing if not any(other in missing for other in unit.given)])
        if taken:
            try:
                self._do(taken, {*keep, *itertools.chain(*(unit.given for unit in missing))})
            finally:
                for unit in taken:
                    self._leave(unit)
        elif not self._waiting:
            self.progress.say("other processes are doing what is left; waiting for them")
        self._waiting = not taken
        time.sleep(self._waiting)
        return True

    def renew(self, unit: Unit) -> None:
        """Train a unit again, though it is finished, and save what it keeps."""
        while self.advance(unit.given, unit.given):
            pass
        if self.store.claim(self._name(unit)):
            try:
                self._do([unit], {unit})
            finally:
                self._leave(unit)

    def missing(self, units: Sequence[Unit], keep: Sequence[Unit] = ()) -> dict[Unit, None]:
        """The units that have no record, or lack arrays that are needed, each after those that it starts from."""
        missing: dict[Unit, None] = {}

        def add(unit: Unit, arrays: bool) -> None:
            record = self.finished(unit)
            if unit not in missing and (not record or (arrays and not record["kept"])):
                for other in unit.given:
                    add(other, arrays=True)
                missing[unit] = None

        kept = set(keep)
        for unit in units:
            add(unit, unit in kept)
        return missing

    def costs(self, units: Iterable[Unit]) -> dict[str, float]:
        """The estimated seconds of each unit by label, see `dlx.study.run.cost.shared_out`."""
        units = list(units)
        return {self.naming.label(unit): cost for unit, cost in shared_out(units, self._known(units)).items()}

    def estimate(self, units: Sequence[Unit]) -> Estimate:
        """The cost of the units without a record, estimated from the records there are."""
        missing = self.missing(units)
        memory = max((record.get("memory", 0) for record in self._records.values()), default=0)
        return Estimate.of(missing, self._known(missing), memory)

    def _known(self, units: Iterable[Unit]) -> dict[Program, Cost]:
        """The costs of the programs that have records: of the plan's units or, if none is finished, of others."""
        found: dict[Program, list[Spent]] = {}
        for unit, record in self._records.items():
            found.setdefault(unit.program, []).append(spent(record))
        for program in dict.fromkeys(unit.program for unit in units):  # in the same order on every host
            if program not in found and (stored := self._stored(program)):
                found[program] = [Spent(*each) for each in stored]
        known = self._like._known(units) if self._like else {}
        return known | {program: Cost.of(each) for program, each in found.items()}

    def _name(self, unit: Unit) -> str:
        return self.naming.name(unit)

    def _take(self, ready: Sequence[Unit]) -> list[Unit]:
        """Claim the first free unit, and as many more of its program as are trained at once.

        No other process gets them before they are left.
        """

        def mine(unit: Unit) -> bool:  # another process may have done it since it was found to be missing
            name, known = self._name(unit), self._records.get(unit)
            got = from_first_process(lambda: self.store.claim(name) and self._read(unit) == known)
            if not got:
                self._leave(unit)
            return got

        for i, first in enumerate(ready):
            if mine(first):
                if on_host(first.program):
                    return [first]
                alike = [unit for unit in ready[i:] if kind(unit) == kind(first)]
                sweep = self._program(alike)
                count = sweep.runs_side_by_side(len(alike)) * sweep.groups(len(alike))
                return list(itertools.islice(filter(mine, alike), count))
        return []

    def _given(self, unit: Unit) -> tuple[Kept, ...]:
        return tuple(arrays_from_first_process(lambda other=other: self.load(other)) for other in unit.given)

    def _inputs(self, batch: Sequence[Unit]) -> tuple[Any, Any]:
        keys = jax.vmap(jax.random.key)(jnp.array([unit.seed for unit in batch]))
        hypers = jax.tree.map(lambda *values: np.array(values, np.float32), *(unit.hypers for unit in batch))
        return keys, (hypers, jax.tree.map(lambda *leaves: np.stack(leaves), *map(self._given, batch)))

    def _program(self, batch: Sequence[Unit]) -> Sweep:
        """The program of these units, on no more of the devices asked for than they can use."""
        asked = self.options.devices if jax.process_count() == 1 else None
        devices = None if asked is None else min(asked, len(batch) * self.options.devices_per_run)
        return self._sweep(batch[0].program, devices)

    def _with_copies(self, group: Sequence[Unit]) -> Sequence[Unit]:
        """The group; but copies of a unit alone, if these run in a program that is compiled already.

        Copies may take the time of a run on top. So a unit that takes longer than to compile is left alone.
        """
        program, cost = group[0].program, self._known(group).get(group[0].program)
        several = [count for other, count in self._announced if other == program and count > 1]
        if len(group) > 1 or not several or cost is None or cost.run > cost.compile:
            return group
        return [group[0]] * min(several)

    def _fit(self, group: Sequence[Unit], data: Data) -> tuple[Sequence[Unit], tuple[Any, Any], int]:
        """The first units of the group, as many as the memory holds, their inputs, and the bytes per device."""
        program, count = self._program(group), len(group)
        limit = from_first_process(self.options.bytes_a_device)
        while True:
            inputs = self._inputs(group[:count])
            need = program.memory(*inputs, data)
            if need <= limit:
                break
            if count <= program.groups(count):
                raise ValueError(
                    f"one run of {self.naming.label(group[0])} takes {size(need)} on each device, which is more than "
                    f"the {size(limit)} there are for it; give --memory, or share a run with --devices-per-run"
                )
            count = max(count // 2, 1)
        if (group[0].program, count) not in self._announced:
            self._announced.add((group[0].program, count))
            self.progress.say(
                f"{type(group[0].program).__name__}: {count} at once, {size(need)} of {size(limit)} free on each device"
                + ", compiled without most of XLA's optimisations" * (not program.optimised)
            )
        return group[:count], inputs, need

    def _do(self, group: Sequence[Unit], keep: set[Unit]) -> None:
        """Train the first units of the group, as many as fit, and write their records."""
        begin, first, compiling = time.monotonic(), group[0], 0.0
        self.progress.unit(self.naming.label(first))
        if on_host(first.program):
            batch, memory, results = group, 0, [self._on_host(first)]
        else:
            data = self.data[first.data, first.blind]
            hashed = self._hashing.submit(self.code.computation, first)
            batch, inputs, memory = self._fit(self._with_copies(group), data)
            compiling = time.monotonic() - begin
            self.progress.unit(*map(self.naming.label, dict.fromkeys(batch)))
            outcome = self._program(batch)(*inputs, data)
            jax.effects_barrier()
            hashed.result()
            batch = list(dict.fromkeys(batch))
            results = [jax.tree.map(lambda leaf, i=i: leaf[i], outcome) for i in range(len(batch))]
        seconds = (time.monotonic() - begin) / len(batch)
        for unit, (kept, result) in zip(batch, results, strict=True):
            took = {"seconds": seconds, "compile": compiling * (unit == batch[0]), "memory": memory}
            self._save(unit, result, kept if unit in keep else None, took)
        self.progress.done()
        self._done |= dict.fromkeys(batch)

    def _leave(self, unit: Unit) -> None:
        """Release the unit to other processes, and read its record again when it is asked for."""
        self._records.pop(unit, None)
        self._judged.pop(unit, None)
        if jax.process_index() == 0:
            self.store.release(self._name(unit))

    def _on_host(self, unit: Unit) -> tuple[Kept, Result]:
        """What a program that is not compiled returns. Only the first process runs it."""
        if jax.process_index() > 0:
            return {}, Result()
        run = one_run(unit.program, self.progress)
        given = tuple(self.load(other) for other in unit.given)
        return run(jax.random.key(unit.seed), (unit.hypers, given), self.data[unit.data, unit.blind])

    def _save(self, unit: Unit, result: Result, kept: Kept | None, took: Mapping[str, float]) -> None:
        if jax.process_index() > 0:
            return
        record = {
            **self.naming.description(unit),
            **as_record(result, unit.blind),
            "kept": kept is not None,
            **took,
            "code": self.code.source(unit),
            "computation": self.code.computation(unit),
            **self.provenance,
            "origin": self.origins[unit.data],
        }
        self.store.save(self._name(unit), record, kept)
