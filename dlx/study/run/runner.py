"""Does the units of a plan that have no record yet.

Each finished unit leaves a record on disk. So a command that is given again does only what is missing. Two processes
with the same command share the work.
"""

import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlx.show.progress import Progress, duration
from dlx.study.declare.options import CommonOptions, size
from dlx.study.declare.page import Row
from dlx.study.run.cost import Cost, Estimate, seconds_used, shared_out
from dlx.study.run.found import Runs
from dlx.study.run.hosts import arrays_from_first_process, from_first_process
from dlx.study.run.plan import Search, foresee, plan
from dlx.study.run.record import blinded, on_host, one_run
from dlx.study.run.records import Records
from dlx.sweep import Sweep
from dlx.types import Data
from dlx.unit import Kept, Program, Result, Unit


class Runner:
    """Does units, and leaves their records.

    `like` are other records, which tell the time of programs that have no record in these.
    """

    def __init__(self, options: CommonOptions, records: Records, progress: Progress, like: Records | None = None):
        self.options, self.records, self.progress, self._like = options, records, progress, like
        self.deadline = time.monotonic() + 60 * options.minutes
        self.data = {(name, False): dataset.data for name, dataset in records.about.items()}
        self.data |= {(name, True): blinded(dataset.data) for name, dataset in records.about.items()}
        self._label = records.naming.label
        self._done: dict[Unit, None] = {}
        self._announced: set[tuple[Any, int]] = set()
        self._waiting = False
        self._hashing = ThreadPoolExecutor(1)  # while XLA compiles
        self._sweep = cache(
            lambda program, devices: Sweep(
                one_run(program, progress), devices, options.devices_per_run, options.runs_at_once
            )
        )

    def outlook(self, units: Sequence[Unit], stated: str) -> str:
        """How many units are to do, and how long and how much memory they take by the records, in words.

        `stated` is the time that the page states. It is shown where there are no records.
        """
        missing = self.missing(units)
        expected = self.estimate(missing)
        ended = sum(unit not in missing for unit in units)
        parts = [f"{ended} of {ended + expected.units} units are finished, {expected.units} are to do"]
        if not missing:
            return parts[0]
        if known := expected.units - expected.unknown:
            parts.append(f"about {duration(expected.seconds)} for {known} of them by the records there are")
        if expected.unknown:
            which = f"the other {expected.unknown}" if known else "they"
            parts.append(f"no record tells yet how long {which} take" + f" (the page states: {stated})" * bool(stated))
        if expected.memory:
            return "; ".join([*parts, f"up to {size(expected.memory)} on each device by the records"])
        data = sum(leaf.nbytes for dataset in self.records.about.values() for leaf in jax.tree.leaves(dataset.data))
        takes = f"the data take {size(data)} on each device, and each program says before it starts what it takes"
        return "; ".join([*parts, takes])

    def estimate(self, units: Collection[Unit]) -> Estimate:
        """What units that have no record cost, by the records there are."""
        return Estimate.of(units, self._known(units), self.records.memory())

    def train(self, rows: Sequence[Row], seeds: int, search: Search) -> dict[str, Runs]:
        """Do what the rows want, as long as there is time, and return their runs by name: see `plan`."""
        while True:
            units, outcomes = plan(rows, self.records.finished, seeds, search)
            kept = [unit for row in rows if row.name in outcomes for unit in outcomes[row.name].wanted[: row.keep]]
            later = units if len(outcomes) == len(rows) else foresee(rows, self.records.finished, seeds, search)
            if not self.advance(units, kept, later):
                return outcomes

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
        known, now = shared_out(every, self._known(every)), len(self._done.keys() | missing)
        costs = {self._label(unit): seconds for unit, seconds in known.items()}
        self.progress.plan(dict([*costs.items()][:now]), dict([*costs.items()][now:]))
        taken = self._take([unit for unit in missing if not any(other in missing for other in unit.given)])
        if taken:
            self._do(taken, {*keep, *itertools.chain(*(unit.given for unit in missing))})
        elif not self._waiting:
            self.progress.say("other processes are doing what is left; waiting for them")
        self._waiting = not taken
        time.sleep(self._waiting)
        return True

    def missing(self, units: Sequence[Unit], keep: Sequence[Unit] = ()) -> dict[Unit, None]:
        """The units that have no record, or lack arrays that are needed, each after those that it starts from."""
        missing: dict[Unit, None] = {}

        def add(unit: Unit, arrays: bool) -> None:
            record = self.records.finished(unit)
            if unit not in missing and (not record or (arrays and not record["kept"])):
                for other in unit.given:
                    add(other, arrays=True)
                missing[unit] = None

        kept = set(keep)
        for unit in units:
            add(unit, unit in kept)
        return missing

    def _known(self, units: Iterable[Unit]) -> dict[Program, Cost]:
        """The costs of the programs that have records, here or among those that are `like` them."""
        return (self._like.costs(units) if self._like else {}) | self.records.costs(units)

    def _take(self, ready: Sequence[Unit]) -> list[Unit]:
        """Claim the first free unit, and as many more of its program as are trained at once.

        No other process gets them before they are left.
        """
        for i, first in enumerate(ready):
            if self.records.claim(first):
                if on_host(first.program):
                    return [first]
                alike = [unit for unit in ready[i:] if unit.kind == first.kind]
                sweep = self._program(alike)
                count = sweep.runs_side_by_side(len(alike)) * sweep.groups(len(alike))
                return list(itertools.islice(filter(self.records.claim, alike), count))
        return []

    def _program(self, batch: Sequence[Unit]) -> Sweep:
        """The program of these units, on no more of the devices asked for than they can use."""
        asked = self.options.devices if jax.process_count() == 1 else None
        devices = None if asked is None else min(asked, len(batch) * self.options.devices_per_run)
        return self._sweep(batch[0].program, devices)

    def _do(self, taken: Sequence[Unit], keep: set[Unit]) -> None:
        """Train the first of the units that are taken, as many as fit, write their records, and leave them all."""
        try:
            self._train_side_by_side(taken, keep)
        finally:
            for unit in taken:
                self.records.leave(unit)

    def _train_side_by_side(self, group: Sequence[Unit], keep: set[Unit]) -> None:
        begin, first, compiling = time.monotonic(), group[0], 0.0
        self.progress.unit(self._label(first))
        if on_host(first.program):
            begun = seconds_used(1)
            batch, memory, results = group, 0, [self._on_host(first)]
            used = seconds_used(1) - begun
        else:
            data = self.data[first.data, first.blind]
            hashed = self._hashing.submit(self.records.code.computation, first)
            batch, inputs, memory = self._fit(self._with_copies(group), data)
            compiling = time.monotonic() - begin
            self.progress.unit(*map(self._label, dict.fromkeys(batch)))
            program = self._program(batch)
            devices = program.groups(len(batch)) * program.per_run
            begun = seconds_used(devices)
            outcome = program(*inputs, data)
            jax.effects_barrier()
            used = seconds_used(devices) - begun
            hashed.result()
            batch = list(dict.fromkeys(batch))
            results = [jax.tree.map(lambda leaf, i=i: leaf[i], outcome) for i in range(len(batch))]
        share = {
            "seconds": (time.monotonic() - begin) / len(batch),
            "core_seconds": used / len(batch),
            "memory": memory,
        }
        for unit, (kept, result) in zip(batch, results, strict=True):
            took = {**share, "compile": compiling * (unit == batch[0])}
            self.records.save(unit, result, kept if unit in keep else None, took)
        self.progress.done()
        self._done |= dict.fromkeys(batch)

    def _on_host(self, unit: Unit) -> tuple[Kept, Result]:
        """What a program that is not compiled returns. Only the first process runs it."""
        if jax.process_index() > 0:
            return {}, Result()
        run = one_run(unit.program, self.progress)
        given = tuple(self.records.load(other) for other in unit.given)
        return run(jax.random.key(unit.seed), (unit.hypers, given), self.data[unit.data, unit.blind])

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
                    f"one run of {self._label(group[0])} takes {size(need)} on each device, which is more than "
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

    def _inputs(self, batch: Sequence[Unit]) -> tuple[Any, Any]:
        keys = jax.vmap(jax.random.key)(jnp.array([unit.seed for unit in batch]))
        hypers = jax.tree.map(lambda *values: np.array(values, np.float32), *(unit.hypers for unit in batch))
        return keys, (hypers, jax.tree.map(lambda *leaves: np.stack(leaves), *map(self._given, batch)))

    def _given(self, unit: Unit) -> tuple[Kept, ...]:
        return tuple(arrays_from_first_process(lambda other=other: self.records.load(other)) for other in unit.given)

    def keep(self, unit: Unit, entry: str | None = None) -> None:
        """Train the unit, and what it stands on, until it has kept arrays: under this name, if an `entry` is given."""
        while self.advance([unit], [unit]):
            pass
        if entry in (None, *self.records.load(unit)):
            return
        while self.advance(unit.given, unit.given):
            pass
        if self.records.claim(unit):
            self._do([unit], {unit})
