"""How long units take, estimated from the records of their programs.

The record of a unit tells its share of the seconds that it took with the units beside it. One of these records also
tells how many of these seconds went by before the first step, mostly to compile. A unit costs these seconds on each
device that it took, such as a core.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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


def core_seconds(record: Mapping[str, Any]) -> float:
    """The seconds of the unit alone on all devices that it took; of a record that does not tell, all that were there.

    Devices are the cores of a CPU, or accelerators.
    """
    there = [int(count) for count in re.findall(r" x (\d+)", str(record.get("device")))]
    return float(record["seconds"]) * record.get("devices", sum(there) or 1)
