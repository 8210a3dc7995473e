"""A compiled program's optimised HLO text as data: computations, their instructions, and the shapes of these."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

BITS = {"pred": 8, "s4": 4, "u4": 4, "bf16": 16}
"""The bits of the types whose names do not end with them."""


class Shape(NamedTuple):
    """An array's type. `place` is the memory space that a TPU's program puts it in; 0 is the main memory."""

    dtype: str
    dims: tuple[int, ...]
    place: int = 0

    @property
    def bytes(self) -> int:
        """How many bytes of main memory the array takes."""
        bits = BITS.get(self.dtype) or int((re.search(r"\d+", self.dtype) or ["0"])[0])
        return 0 if self.place else math.prod(self.dims) * bits // 8


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    shapes: tuple[Shape, ...]
    """The shapes of its result; several for a tuple."""
    opcode: str
    operands: tuple[str, ...]
    """The names of the instructions that it takes. For a parameter it is its number, for a constant its value."""
    attributes: str

    @property
    def bytes(self) -> int:
        """How many bytes of main memory its result takes."""
        return sum(shape.bytes for shape in self.shapes)

    def called(self, attribute: str) -> str | None:
        """The computation that an attribute names, such as `body` or `calls`."""
        match = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        return match[1] if match else None

    def dims(self, attribute: str) -> tuple[int, ...]:
        """The dimensions that an attribute lists."""
        match = re.search(rf"\b{attribute}={{([\d,]*)}}", self.attributes)
        return tuple(int(n) for n in match[1].split(",") if n) if match else ()


Computation = Mapping[str, Instruction]


def parse(text: str) -> tuple[Mapping[str, Computation], str]:
    """The computations of an HLO module by name, and the name of its entry. Raises ValueError for an open bracket."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, name = "", None
    for line in text.splitlines():
        head = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\) -> .*{$", line)
        if head:
            name = head[2]
            computations[name], entry = {}, name if head[1] else entry
        elif name and line.startswith("  ") and (one := _instruction(line)):
            computations[name][one.name] = one
        elif line.startswith("}"):
            name = None
    return computations, entry


def _instruction(line: str) -> Instruction | None:
    head = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = ", line)
    if not head:
        return None
    rest = line[head.end() :]
    end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    opcode, _, rest = rest.partition("(")
    end = _closing("(" + rest) - 2
    operands = [rest[:end]] if opcode in ("parameter", "constant") else re.findall(r"%([\w.\-]+)", rest[:end])
    return Instruction(head[1], _shapes(kind), opcode, tuple(operands), rest[end:])


def _closing(text: str) -> int:
    """The length of the text up to the bracket that closes its first bracket."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return i + 1
    raise ValueError(f"brackets do not close in {text:.60}")


def _shapes(kind: str) -> tuple[Shape, ...]:
    def shape(dtype: str, dims: str, layout: str) -> Shape:
        place = re.search(r"S\((\d+)\)", layout)
        return Shape(dtype, tuple(int(n) for n in dims.split(",") if n), int(place[1]) if place else 0)

    return tuple(shape(*parts) for parts in re.findall(r"(\w+)\[([\d,]*)\](?:{([^}]*)})?", kind))
