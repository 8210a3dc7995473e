"""The protocol that experiments share: units of work on disk, done once, by any number of processes.

A unit is one run of one phase: a layer's greedy training, or the fine-tuning that stands on such layers. Each finished
unit is a record in the experiment's output folder, so the same command again does only what is missing, the same
command twice at once shares the work, and layers that several units stand on are trained once. A search unit's record
holds no test error: nothing could be chosen by it.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from dlx.show.progress import Progress
from dlx.store import Store, provenance, to_json
from dlx.sweep import Run, Sweep
from dlx.train import Curve
from dlx.types import Data
from experiments.contract import Options


class Unit(NamedTuple):
    """One run: a program's Config, its Hypers and a seed, from fresh parameters or from what another unit kept."""

    group: str
    """The kind of unit and what it is for, such as "search/exp2/dbn"."""
    config: Any
    hypers: Any
    seed: int
    start: "Unit | None" = None
    keeps: bool = False
    """Whether arrays are saved beside the record, for other units or for a figure; not part of its identity."""

    def identity(self) -> dict[str, Any]:
        """What a record must agree with to be this unit's, as it reads in a record."""
        start = self.start and self.start.identity()
        identity = {"config": asdict(self.config), "hypers": self.hypers, "seed": self.seed, "start": start}
        return json.loads(to_json(identity))

    @property
    def name(self) -> str:
        """The name of its record, from all that makes the run what it is."""
        digest = hashlib.sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()
        return f"{self.group}/{self.seed}-{digest[:16]}"

    @property
    def lineage(self) -> tuple["Unit", ...]:
        """The units that it stands on, from the first, and itself."""
        return (*(self.start.lineage if self.start else ()), self)


class Workshop:
    """Does units that have no record yet, and reads those that have one.

    `procedure` makes the program of a config: from a key, (hypers, start) and data to what a unit keeps for units that
    start from it, and its log. Of many processes the first one reads and writes the store.
    """

    def __init__(
        self,
        options: Options,
        store: Store,
        procedure: Callable[[Any], Run],
        data: Data,
        origin: dict[str, Any],
        progress: Progress,
        cost: Callable[[Unit], float],
    ):
        self.options, self.store, self.data, self.progress, self.cost = options, store, data, progress, cost
        self.deadline = time.monotonic() + 60 * options.minutes
        self.surroundings = {**provenance(), "data": origin}
        self._shapes: dict[tuple, Any] = {}
        self._said: set[tuple[Any, int]] = set()
        self._records: dict[str, dict[str, Any]] = {}
        self._waiting = False
        self.procedure = cache(procedure)
        self.program = cache(
            lambda config, devices: Sweep(
                self.procedure(config), devices, options.devices_per_run, options.runs_at_once
            )
        )

    def finished(self, unit: Unit) -> dict[str, Any] | None:
        """The record of the unit if there is one."""
        if unit.name not in self._records and (record := agree(lambda: self.store.load(unit.name))):
            self._records[unit.name] = record
        return self._records.get(unit.name)

    def advance(self, units: Sequence[Unit]) -> bool:
        """Make some of the records that are missing, of these units or of what they start from; False if none is, or
        if the time is up.

        Other processes that do so in the same folder share the work; if they are at all that is left, wait a moment.
        """
        missing = self._missing(units)
        if not missing or not agree(lambda: time.monotonic() < self.deadline):
            return False
        self.progress.plan({unit.name: self.cost(unit) for unit in missing})
        taken = self._take([unit for unit in missing if unit.start not in missing])
        if taken:
            self._work(taken)
        elif not self._waiting:
            self.progress.say("other processes are at what is left; waiting for them")
        self._waiting = not taken
        time.sleep(self._waiting)
        return True

    def _missing(self, units: Sequence[Unit]) -> dict[Unit, None]:
        """Those that have no record, each after those without one that it stands on."""
        missing = [unit for unit in dict.fromkeys(units) if not self.finished(unit)]
        starts = self._missing([unit.start for unit in missing if unit.start]) if missing else {}
        return dict.fromkeys(link for unit in missing for link in unit.lineage if link == unit or link in starts)

    def _take(self, ready: Sequence[Unit]) -> list[Unit]:
        """The first unit that this process gets, and of the others of its program as many as are trained at once.

        No other process gets them before `_work` is done.
        """

        def program(unit: Unit) -> tuple[Any, bool]:
            return unit.config, unit.start is None

        def mine(unit: Unit) -> bool:  # another process may have finished it since it was found to be missing
            return agree(lambda: self.store.claim(unit.name) and self.store.load(unit.name) is None)

        for i, first in enumerate(ready):
            if mine(first):
                alike = [unit for unit in ready[i:] if program(unit) == program(first)]
                sweep = self._program(alike)
                count = sweep.lanes(len(alike)) * sweep.groups(len(alike))
                return list(itertools.islice(filter(mine, alike), count))
        return []

    def _kept(self, unit: Unit | None) -> Any:
        """What the unit keeps, as shapes, which follow from the configs of the unit and of what it starts from."""
        if unit is None:
            return {}
        configs = tuple(link.config for link in unit.lineage)
        if configs not in self._shapes:
            given = unit.hypers, self._kept(unit.start)
            run = self.procedure(unit.config)
            self._shapes[configs] = jax.eval_shape(run, jax.random.key(0), given, self.data)[0]
        return self._shapes[configs]

    def _start(self, unit: Unit) -> Any:
        """What the unit starts from, read by the first process."""
        if unit.start is None:
            return {}
        like = self._kept(unit.start)
        if jax.process_count() == 1:
            return self.store.load_arrays(unit.start.name, like)
        first = jax.process_index() == 0
        mine = self.store.load_arrays(unit.start.name, like) if first else jax.tree.map(jnp.zeros_like, like)
        return jax.device_get(multihost_utils.broadcast_one_to_all(mine))

    def _inputs(self, batch: Sequence[Unit]) -> tuple[Any, Any]:
        keys = jax.vmap(jax.random.key)(jnp.array([unit.seed for unit in batch]))
        hypers = jax.tree.map(lambda *values: np.array(values, np.float32), *(unit.hypers for unit in batch))
        return keys, (hypers, jax.tree.map(lambda *leaves: np.stack(leaves), *map(self._start, batch)))

    def _program(self, group: Sequence[Unit]) -> Sweep:
        """The program of these units, on no more of the devices asked for than they can use."""
        asked = self.options.devices if jax.process_count() == 1 else None
        devices = None if asked is None else min(asked, len(group) * self.options.devices_per_run)
        return self.program(group[0].config, devices)

    def _fit(self, group: Sequence[Unit]) -> tuple[Sequence[Unit], tuple[Any, Any]]:
        """The first units of the group, as many as the devices' memory holds at once, and the inputs of their runs."""
        program, limit, count = self._program(group), agree(self.options.bytes_a_device), len(group)
        while True:
            inputs = self._inputs(group[:count])
            need = program.memory(*inputs, self.data)
            if need <= limit:
                break
            if count <= program.groups(count):
                raise ValueError(
                    f"one run of {group[0].name} takes {need / 1e9:.2f} GB on each device, which is more than the "
                    f"{limit / 1e9:.2f} GB there are for it; give --memory, or share a run with --devices-per-run"
                )
            count = max(count // 2, 1)
        if (group[0].config, count) not in self._said:
            self._said.add((group[0].config, count))
            self.progress.say(f"{count} at once take {need / 1e9:.2f} GB a device, of {limit / 1e9:.2f} free")
        return group[:count], inputs

    def _work(self, group: Sequence[Unit]) -> None:
        """Train the first units of the group, as many as fit, and release all."""
        begin = time.monotonic()
        self.progress.unit(group[0].name)
        batch, inputs = self._fit(group)
        self.progress.unit(*(unit.name for unit in batch))
        kept, logs = self._program(batch)(*inputs, self.data)
        jax.effects_barrier()
        seconds = (time.monotonic() - begin) / len(batch)
        for i, unit in enumerate(batch):
            keep, log = jax.tree.map(lambda leaf, i=i: leaf[i], (kept, logs))
            public = not unit.group.startswith("search/")
            record = {"identity": unit.identity(), **summary(log, public), "seconds": seconds, **self.surroundings}
            if jax.process_index() == 0:
                self.store.save(unit.name, record, keep if unit.keeps else None)
        self.progress.done()
        if jax.process_index() == 0:
            for unit in group:
                self.store.release(unit.name)


def agree(value: Callable[[], Any]) -> Any:
    """What the first process finds, in a form that a record can hold, on every process."""
    if jax.process_count() == 1:
        return value()
    text = to_json(value()).encode() if jax.process_index() == 0 else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    text = multihost_utils.broadcast_one_to_all(np.frombuffer(text.ljust(size), np.uint8))
    return json.loads(bytes(np.asarray(text)))


def summary(log: Any, public: bool) -> dict[str, Any]:
    """A run in figures: its curve, whether it diverged and, of a log (Curve, Errors), the errors as fractions.

    If `public`, the test error and the numbers of the `wrong` test examples are among them.
    """
    curve, errors = (log, None) if isinstance(log, Curve) else log
    n = int(curve.epochs)
    figures = {
        "diverged": bool(curve.diverged),
        "loss": curve.loss[:n],
        "valid_curve": curve.valid[:n],
        "best": curve.best,
        "first_loss": curve.first_loss,
    }
    if errors is not None:
        figures |= {"train": errors.train, "valid": errors.valid}
    if errors is not None and public:
        figures |= {"test": errors.test, "wrong": np.flatnonzero(errors.test_each)}
    return figures
