"""The kernels, bytes, FLOPs and copies of a compiled program on a device, from its optimised HLO text.

Nothing is run, so the device need not be there. An instruction of a computation that is not fused into another is one
kernel. Instructions that only name or reshape memory are no kernels.
"""

import math
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from dlx.bench.hlo import Computation, Instruction, Shape, parse

NO_KERNEL = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
    "copy-start",
    "copy-done",
    "async-done",
    "async-update",
    "add-dependency",
    "domain",
}
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute", "collective-broadcast")
SAME = ("bitcast", "copy", "copy-start", "copy-done")
"""They return what they take."""
SLICES = ("dynamic-slice", "gather", "slice")
"""They read no more of their first operand than they return."""


class Cost(NamedTuple):
    """What a device does, in all or in one round of a loop."""

    kernels: float = 0.0
    bytes: float = 0.0
    """Read from main memory and written to it, as if no cache held anything from one kernel to the next."""
    flops: float = 0.0
    """Of matrix products alone: two for each product of two numbers."""

    def plus(self, other: "Cost") -> "Cost":
        """The cost of both."""
        return Cost(*(mine + its for mine, its in zip(self, other, strict=True)))

    def times(self, n: float | int) -> "Cost":
        """The cost of n rounds."""
        return Cost(*(n * mine for mine in self))


class Copy(NamedTuple):
    """A copy of an array."""

    shape: Shape
    of_state: bool
    """Whether it is of what the loop changes from round to round, such as weights: before its change or after it."""


class Loop(NamedTuple):
    """A loop of a program."""

    body: str
    trips: int | None


class Compiled:
    """A program by its optimised HLO text."""

    def __init__(self, text: str):
        self.computations, self.entry = parse(text)

    def cost(self, name: str | None = None, rounds: float | int = 1) -> Cost:
        """What a computation does (None: the whole program). A loop of unknown length counts this many `rounds`."""
        total = Cost()
        computation = self.computations[name or self.entry]
        for one in computation.values():
            total = total.plus(self._cost(one, computation, rounds))
        return total

    def trips(self, loop: Instruction) -> int | None:
        """The number of rounds of a loop that counts from 0 up to a constant; None for any other loop."""
        condition = self.computations[loop.called("condition") or ""]
        *_, root = condition.values()
        ends = [condition[name] for name in root.operands if name in condition]
        if len(ends) == 2 and root.opcode == "compare" and "direction=LT" in root.attributes:
            return int(ends[1].operands[0]) if ends[1].opcode == "constant" else None
        known = re.search(r'"known_trip_count":{"n":"(\d+)"}', loop.attributes)
        return int(known[1]) if known else None

    def _cost(self, one: Instruction, computation: Computation, rounds: float | int) -> Cost:
        if one.opcode == "while":
            trips = self.trips(one)
            trips = rounds if trips is None else trips
            return self.cost(one.called("body"), rounds).times(trips)
        if one.opcode == "conditional":
            branches = re.search(r"branch_computations={([^}]*)}", one.attributes)
            names = [part.strip().lstrip("%") for part in branches[1].split(",")] if branches else []
            names += [name for way in ("true", "false") if (name := one.called(f"{way}_computation"))]
            return max((self.cost(name, rounds) for name in names), key=lambda cost: cost.bytes)
        if one.opcode == "call" or (one.opcode == "async-start" and one.called("calls")):
            return self.cost(one.called("calls") or one.called("to_apply"), rounds)
        if one.opcode in NO_KERNEL:  # of an asynchronous copy, the sides in main memory
            moved = one.shapes[0].bytes + one.shapes[1].bytes if one.opcode == "copy-start" else 0
            return Cost(bytes=moved)
        inside = self.computations.get(one.called("calls") or "", {}) if one.opcode == "fusion" else {}
        flops = sum(_flops(part, inside) for part in inside.values()) or _flops(one, computation)
        moved = _read(one, computation, inside) + _written(one, inside)
        return Cost(1.0, moved, flops)

    @cached_property
    def loops(self) -> dict[str, list[Loop]]:
        """The loops of each computation, and of the computations that it calls outside its loops."""

        def within(name: str) -> Iterator[Loop]:
            for one in self.computations[name].values():
                if one.opcode == "while":
                    yield Loop(one.called("body") or "", self.trips(one))
                elif one.opcode in ("call", "async-start") and (inner := one.called("calls") or one.called("to_apply")):
                    yield from within(inner)

        return {name: list(within(name)) for name in self.computations}

    def busiest(self, rounds: float | int = 1) -> Loop | None:
        """The loop with most kernels. A loop of unknown length is over epochs; then take the loop within it.

        So it is if a loop of unknown length is within one of known length, such as one over several nets.
        """

        def kernels(loop: Loop) -> float | int:
            return self.cost(loop.body, rounds).kernels * (rounds if loop.trips is None else loop.trips)

        busiest, here = None, self.loops[self.entry]
        while here:
            busiest = max(here, key=kernels)
            here = self.loops[busiest.body] if busiest.trips is None or self._holds_epochs(busiest.body) else []
        return busiest

    def _holds_epochs(self, name: str) -> bool:
        return any(loop.trips is None or self._holds_epochs(loop.body) for loop in self.loops[name])

    def copies(self, name: str) -> list[Copy]:
        """The floats that a loop's body, or a loop within it, copies within one memory.

        A copy of a constant, such as of zeros to add to, is not among them: it is one more fill.
        """
        computation, copies = self.computations[name], []
        state = _state(computation)
        for one in computation.values():
            if inner := one.called("body") or (one.opcode == "call" and one.called("to_apply")):
                copies += self.copies(inner)
            elif one.opcode in ("copy", "copy-start") and re.match(r"b?f\d", one.shapes[0].dtype):
                source = computation[one.operands[0]].shapes[0] if one.opcode == "copy" else one.shapes[1]
                if source.place == one.shapes[0].place and not _constant(one.name, computation):
                    copies.append(Copy(one.shapes[0], _origin(one.name, computation) in state))
        return copies

    @property
    def collectives(self) -> list[str]:
        """The opcodes of all exchanges between devices, in any computation."""
        every = (one.opcode.removesuffix("-start") for part in self.computations.values() for one in part.values())
        return sorted(opcode for opcode in every if opcode in COLLECTIVES)


def _origin(name: str, computation: Computation) -> tuple[str, str]:
    """The instruction that computed a value, before any copies, and the number of the value among its results."""
    one = computation[name]
    if one.opcode == "get-tuple-element":
        return one.operands[0], one.called("index") or ""
    return _origin(one.operands[0], computation) if one.opcode in SAME else (name, "")


def _constant(name: str, computation: Computation) -> bool:
    """Whether a value is computed from constants alone."""
    one = computation[_origin(name, computation)[0]]
    if one.opcode in ("broadcast", "fusion"):
        return all(_constant(operand, computation) for operand in one.operands)
    return one.opcode in ("constant", "iota")


def _state(computation: Computation) -> set[tuple[str, str]]:
    """The origins of what a loop's body takes and of what it gives, where they differ."""
    *_, root = computation.values()
    taken = next((name for name, one in computation.items() if one.opcode == "parameter"), "")
    given = [_origin(name, computation) for name in root.operands] if root.opcode == "tuple" else []
    return {one for i, new in enumerate(given) if new != (taken, str(i)) for one in ((taken, str(i)), new)}


def _is_library_product(one: Instruction) -> bool:
    return one.opcode == "custom-call" and 'custom_call_target="__cublas$' in one.attributes


def _flops(one: Instruction, computation: Computation) -> float | int:
    if one.opcode != "dot" and not _is_library_product(one):
        return 0.0
    left = computation[one.operands[0]].shapes[0].dims
    listed = re.search(r'"lhs_contracting_dimensions":\[([\d",]*)\]', one.attributes)
    summed = [int(n) for n in re.findall(r"\d+", listed[1])] if listed else one.dims("lhs_contracting_dims")
    return 2.0 * math.prod(one.shapes[0].dims) * math.prod(left[i] for i in summed)


def _read(one: Instruction, computation: Computation, inside: Computation) -> float | int:
    """Bytes that a kernel reads. If it only takes slices of an operand, it reads only these."""
    if one.opcode in SLICES:
        return one.bytes
    number = {part.name: int(part.operands[0]) for part in inside.values() if part.opcode == "parameter"}
    read = {i: float(computation[name].bytes) for i, name in enumerate(one.operands) if name in computation}
    for name, i in number.items():
        users = [part for part in inside.values() if name in part.operands]
        if users and all(part.opcode in SLICES and part.operands[0] == name for part in users):
            read[i] = min(read.get(i, 0.0), float(sum(part.bytes for part in users)))
        elif users and all(part.opcode == "dynamic-update-slice" and part.operands[0] == name for part in users):
            read[i] = 0.0
    return sum(read.values())


def _written(one: Instruction, inside: Computation) -> float | int:
    """Bytes that a kernel writes. If it updates a slice in place, it writes only that slice.

    The second result of a library's matrix product is room to work in, and it need not be used.
    """
    if _is_library_product(one):
        return one.shapes[0].bytes
    updates = [part for part in inside.values() if part.opcode == "dynamic-update-slice"]
    in_place = {part.shapes[0]: inside[part.operands[1]].bytes for part in updates}
    return float(sum(in_place.get(shape, shape.bytes) for shape in one.shapes))
