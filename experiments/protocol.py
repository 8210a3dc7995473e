"""The protocol that experiments share: units of work on disk, search by validation error, fresh seeds.

A unit is a batch of runs of one program. Each finished unit is a record in the experiment's output folder, so the same
command again does only what is missing. A search unit's record holds no test error: nothing could be chosen by it.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlx.progress import Progress
from dlx.store import Store, StoreError, provenance, to_json
from dlx.sweep import Run, sweep
from dlx.types import Data

Trial = tuple[Any, Any]
"""A configuration of the search: a frozen Config and a NamedTuple of Hypers."""


class Unit(NamedTuple):
    """Runs of one Config that are trained as one program: run i has hypers[i] and seeds[i]."""

    name: str
    config: Any
    hypers: tuple[Any, ...]
    seeds: tuple[int, ...]

    def identity(self) -> dict[str, Any]:
        """What a record must agree with to be this unit's, as it reads in a record."""
        identity = {"config": asdict(self.config), "hypers": self.hypers, "seeds": self.seeds}
        return json.loads(to_json(identity))


def search_units(cell: str, trials: Sequence[Trial], lanes: int) -> list[Unit]:
    """Units that try every configuration once, with seed 0, at most `lanes` runs each."""
    units = []
    for config in dict.fromkeys(config for config, _ in trials):
        hypers = [h for c, h in trials if c == config]
        units += [(config, tuple(hypers[i : i + lanes])) for i in range(0, len(hypers), lanes)]
    return [Unit(f"search/{cell}/{i}", c, h, (0,) * len(h)) for i, (c, h) in enumerate(units)]


def seed_units(cell: str, trial: Trial, seeds: int, lanes: int) -> list[Unit]:
    """Units that train one configuration from the seeds 1, 2, ..., `seeds`, at most `lanes` runs each."""
    config, hypers = trial
    chunks = [tuple(range(s, min(s + lanes, seeds + 1))) for s in range(1, seeds + 1, lanes)]
    return [
        Unit(f"final/{cell}/{'-'.join(map(str, chunk))}", config, (hypers,) * len(chunk), chunk) for chunk in chunks
    ]


def choose(units: Sequence[Unit], records: Sequence[dict[str, Any]]) -> Trial:
    """The configuration with the lowest validation error; a diverged run only if all have diverged."""
    tried = [
        ((run["diverged"], float(run["valid"])), (unit.config, hypers))
        for unit, record in zip(units, records, strict=True)
        for run, hypers in zip(record["runs"], unit.hypers, strict=True)
    ]
    return min(tried, key=lambda one: one[0])[1]


class Workshop:
    """Does units that have no record yet, and reads those that have one."""

    def __init__(
        self,
        store: Store,
        procedure: Callable[[Any], Run],
        data: Data,
        origin: dict[str, Any],
        progress: Progress,
    ):
        self.store, self.data, self.progress = store, jax.device_put(data), progress
        self.surroundings = {**provenance(), "data": origin}
        self.program = cache(lambda config: sweep(procedure(config)))

    def finished(self, unit: Unit) -> dict[str, Any] | None:
        """The record of the unit if there is one of the same runs."""
        record = self.store.load(unit.name)
        return record if record and record["identity"] == unit.identity() else None

    def do(self, unit: Unit) -> dict[str, Any]:
        """The record of the unit, made now if it is missing."""
        if self.finished(unit) is None:
            self._work(unit)
        record = self.finished(unit)
        if record is None:
            raise StoreError(f"{self.store.folder}: the record of {unit.name} was lost as soon as it was written")
        return record

    def _work(self, unit: Unit) -> None:
        self.progress.unit(unit.name)
        start = time.monotonic()
        keys = jax.vmap(jax.random.key)(jnp.array(unit.seeds))
        hypers = jax.tree.map(lambda *values: jnp.array(values, jnp.float32), *unit.hypers)
        params, logs = jax.device_get(self.program(unit.config)(keys, hypers, self.data))
        jax.effects_barrier()
        final = unit.name.startswith("final/")
        record = {
            "identity": unit.identity(),
            "runs": [summary(jax.tree.map(lambda leaf, i=i: leaf[i], logs), final) for i in range(len(unit.seeds))],
            "seconds": time.monotonic() - start,
            **self.surroundings,
        }
        arrays = {"wrong": logs[-1].test_each > 0, "filters": params["hidden_0"]["w"][0]} if final else None
        self.store.save(unit.name, record, arrays)
        self.progress.done()


def summary(logs: tuple, final: bool) -> dict[str, Any]:
    """One run in figures: errors as fractions, whether it diverged, and the curve of each stage."""
    *curves, errors = logs
    splits = ("train", "valid", "test") if final else ("train", "valid")
    stages = []
    for curve in curves:
        n = int(curve.epochs)
        stages.append(
            {
                "loss": curve.loss[:n],
                "valid": curve.valid[:n],
                "best": curve.best,
                "first_loss": curve.first_loss,
            }
        )
    return {
        **{split: getattr(errors, split) for split in splits},
        "diverged": bool(any(curve.diverged for curve in curves)),
        "stages": stages,
    }


def load_finals(store: Store, units: Sequence[Unit], n_test: int, visible: int) -> dict[str, np.ndarray]:
    """Of the units of a cell: whether each test example was `wrong` [seeds, n_test], the first run's `filters`."""
    wrong, filters = [], []
    for unit in units:
        like = {
            "wrong": jax.ShapeDtypeStruct((len(unit.seeds), n_test), bool),
            "filters": jax.ShapeDtypeStruct((visible, unit.config.widths[0]), np.float32),
        }
        arrays = store.load_arrays(unit.name, like)
        wrong.append(arrays["wrong"])
        filters.append(arrays["filters"])
    return {"wrong": np.concatenate(wrong), "filters": filters[0]}


def verdict(mean: float | None, low: float | None, high: float | None, paper: float | None, n: int) -> str:
    """What error figures in percent allow to be said beside the paper's one run on n examples.

    The paper's own 95 % interval is binomial. Two intervals that overlap do not tell the figures apart.
    """
    if mean is None:
        return "every run diverged"
    if paper is None:
        return "no figure in the paper"
    half = 196 * (paper / 100 * (1 - paper / 100) / n) ** 0.5
    low, high = (mean, mean) if low is None or high is None else (low, high)
    if low <= paper + half and high >= paper - half:
        return "not told apart from the paper's"
    return f"{'lower' if mean < paper else 'higher'} than the paper's by {abs(mean - paper):.2f}"
