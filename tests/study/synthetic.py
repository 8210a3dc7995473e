"""Studies without training: rows of a toy program, and records that say whatever a test wants."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlx.data import Dataset, Provenance
from dlx.show.progress import Progress
from dlx.store import to_json
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import Published, Row
from dlx.study.run.found import Found
from dlx.study.run.plan import Search, plan
from dlx.study.run.record import as_record
from dlx.study.run.records import Records
from dlx.study.run.runner import Runner
from dlx.types import Data, Labelled
from dlx.unit import Result, Unit

TEST = 200
"""Test examples of the synthetic data."""


class Hypers(NamedTuple):
    rate: float = 0.5
    masking: float = 0.0


@dataclass(frozen=True)
class Toy:
    """A line x w, of which it tells the sum; quick to compile, and all that it is given has an effect."""

    width: int = 1
    epochs: int = 4

    def __call__(self, key, hypers, given, data, progress):
        start = sum((entry["w"].sum() for entry in given), jnp.zeros(()))
        w = start + hypers.rate * jax.random.normal(key, (self.width,))
        means = {name: split.x.mean(dtype=jnp.float32) for name, split in data._asdict().items()}
        measures = {name: {"error": mean, "wrong": getattr(data, name).y > 0} for name, mean in means.items()}
        curves = {name: {"mean": jnp.full(self.epochs, mean)} for name, mean in means.items()}
        return {"w": w}, Result(w.sum(), measures, curves)


def toy(seed, rate=0.5, masking=0.0, width=1, epochs=4, given=()):
    return Unit(Toy(width, epochs), Hypers(rate, masking), given, seed)


def row(name, space=({},), **more):
    """A row of its own units: its name stands in the width, so that no two rows share one."""
    width = 100 + sum(ord(letter) * 7**place for place, letter in enumerate(name))
    return Row(name, name.title(), lambda seed, **trial: toy(seed, **{"width": width, **trial}), space, **more)


def rates(*values):
    return ({"rate": list(values)},)


def runner_in(store, progress=None, like=None, about=None, **options):
    """A runner of units on the synthetic data, whose records are in this store."""
    options, progress = CommonOptions(**options), progress or Progress.silent()
    return Runner(options, Records(options, store, about or {"main": dataset()}, progress), progress, like)


def dataset(name="mnist", shape=(2, 2), fingerprint="f" * 64, test=TEST):
    rng = np.random.default_rng(0)
    size = int(np.prod(shape))
    splits = [Labelled(rng.integers(1, 256, (n, size)).astype(np.uint8), np.ones(n, np.int32)) for n in (6, 4, test)]
    return Dataset(Data(*splits), Provenance(name, "idx", "canonical", fingerprint), shape, 10)


def record(score=float("nan"), measures=None, curves=None, diverged=False, **more):
    """A record as it comes back from disk."""
    made = as_record(Result(score, measures or {}, curves or {}, diverged), blind=False)
    around = {
        "kept": False,
        "seconds": 2.0,
        "memory": 0,
        "device": "cpu x 2",
        "revision": "abc",
        "versions": {"jax": "1"},
    }
    return json.loads(to_json({**made, **around, **more}))


def of_error(error, first=0, **more):
    """The record of a run with this fraction of wrong test examples, from the example `first` on."""
    each = np.roll(np.arange(TEST) < round(error * TEST), first)
    measures = {"train": {"error": error / 4}, "valid": {"error": error / 2}, "test": {"error": error, "wrong": each}}
    return record(error / 2, measures, {"valid": {"score": [error, error / 2]}}, **more)


def find(rows, records, seeds=3, about=None, search=None, load=None):
    """What is found of the rows when these units have records."""
    _, outcomes = plan(rows, records.get, seeds, search or Search())
    return Found.of(rows, outcomes, about or {"main": dataset()}, load or (lambda unit: {}))


def found(errors, paper=None, about=None, group="", at=None, **of):
    """What is found of rows without a search whose seeds 1, 2, ... have these test errors; None: not finished."""
    figures = {name: {"test/error": Published(value)} for name, value in (paper or {}).items()}
    rows = [row(name, paper=figures.get(name, {}), group=group, at=(at or {}).get(name, {})) for name in errors]
    records = {
        one.build(seed): error if isinstance(error, dict) else of_error(error, **of)
        for one in rows
        for seed, error in enumerate(errors[one.name], 1)
        if error is not None
    }
    return find(rows, records, max(map(len, errors.values()), default=0), about)
