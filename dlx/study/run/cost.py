"""How long units take, estimated from the records of their programs.

The record of a unit tells its share of the seconds that it took with the units beside it. One of these records also
tells how many of these seconds went by before the first step, mostly to compile. Apart from these
it tells what the unit cost in core-seconds, which is what one would pay for it alone.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dlx.unit import Program, Unit


class Spent(NamedTuple):
    """What one unit took."""

    seconds: float
    compile: float
    """0 if its program was compiled before, or with the unit beside it; also in records that do not tell."""


class Cost(NamedTuple):
    """What a program takes, in seconds."""

    run: float
    """Of a unit, once the program is compiled."""
    compile: float
    """To compile it; 0 if no record tells."""

    @classmethod
    def of(cls, spent: Sequence[Spent]) -> "Cost":
        """From what some units of the program took: the mean of running, and the most of compiling."""
        seconds, compiling = np.array(spent).T
        return cls(float(max(np.mean(seconds - compiling), 0.0)), float(compiling.max()))


class Estimate(NamedTuple):
    """The estimated cost of the units that have no record yet."""

    units: int
    seconds: float
    """Of the units whose program has records, and to compile each of these programs once."""
    unknown: int
    """The number of units whose program has no record."""
    memory: int
    """The most bytes per device in any record; 0 without records."""

    @classmethod
    def of(cls, missing: Iterable[Unit], known: Mapping[Program, Cost], memory: int) -> "Estimate":
        """The estimate for these units from the costs that are known."""
        programs = [unit.program for unit in missing]
        told = [program for program in programs if program in known]
        seconds = sum(known[program].run for program in told) + sum(known[program].compile for program in {*told})
        return cls(len(programs), seconds, len(programs) - len(told), memory)


def shared_out(units: Iterable[Unit], known: Mapping[Program, Cost]) -> dict[Unit, float]:
    """The seconds of each unit. To compile a program counts for its first unit.

    Programs whose cost is not known are like the mean of the others. The seconds are 0 if none is known.
    """
    typical = Cost(*np.mean([*known.values()], axis=0).tolist()) if known else Cost(0.0, 0.0)
    seconds: dict[Unit, float] = {}
    seen: set[Program] = set()
    for unit in units:
        cost = known.get(unit.program, typical)
        seconds[unit] = cost.run + (0.0 if unit.program in seen else cost.compile)
        seen.add(unit.program)
    return seconds


def spent(record: Mapping[str, Any]) -> Spent:
    """What a record tells of the unit's time."""
    return Spent(float(record["seconds"]), float(record.get("compile", 0.0)))


def seconds_used(devices: int) -> float:
    """Seconds that go by on so many accelerators; on CPUs those that the cores worked for this process, whatever else
    they did meanwhile.

    Only the difference of two such numbers means something.
    """
    return time.process_time() if jax.default_backend() == "cpu" else devices * time.monotonic()


def core_seconds(record: Mapping[str, Any]) -> float:
    """What a unit cost alone: the seconds that cores worked for it, or the seconds on each accelerator that it took.

    To compile is not counted. Of a record that does not tell, it is the seconds on all devices that were there.
    """
    if "core_seconds" in record:
        return float(record["core_seconds"])
    there = [int(count) for count in re.findall(r" x (\d+)", str(record.get("device")))]
    return float(record["seconds"]) * (sum(there) or 1)
