"""Tables that a reader sees, on a terminal and in Markdown, and how they show an estimate."""

import math
import re
from collections.abc import Iterable, Sequence

import jax
import numpy as np
from jaxtyping import Float

Values = Sequence[float] | Float[np.ndarray | jax.Array, " _n"]
Bounds = tuple[float | int, float | int]
UNBOUNDED: Bounds = (-math.inf, math.inf)
"""The bounds of values that can be any number."""


def _numeric(cells: Iterable[str]) -> bool:
    return not any(character.isalpha() for cell in cells for character in re.sub(r"(?<=\d)e[-+]\d", "", cell))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; columns without letters are aligned to the right.

    Pipes and backslashes are escaped and line breaks become `<br>`; other markup in a cell is kept. Raises
    ValueError if a row is not as long as the header.
    """

    def escape(cell: str) -> str:
        return "<br>".join(cell.replace("\\", "\\\\").replace("|", "\\|").splitlines())

    columns = []
    for name, *cells in zip(*([escape(cell) for cell in row] for row in (header, *rows)), strict=True):
        right, width = _numeric(cells), max(3, len(name), *map(len, cells))
        rule = "-" * (width - 1) + (":" if right else "-")
        columns.append([cell.rjust(width) if right else cell.ljust(width) for cell in (name, rule, *cells)])
    return "".join(f"| {' | '.join(line)} |\n" for line in zip(*columns, strict=True))


def terminal(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout. On a terminal it is wrapped to the width; elsewhere it is as wide as it needs to be.

    Raises ValueError if a row is not as long as the header.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title))
    for name, *cells in zip(header, *rows, strict=True):
        table.add_column(Text(name), justify="right" if _numeric(cells) else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table)


def shows_interval(values: Values, low: float | None, high: float | None, bounds: Bounds = UNBOUNDED) -> bool:
    """Does the interval [low, high] of the mean say something? Then tables and figures show it.

    It does not for fewer than 3 finite values, or if it has no width. It does not for fewer than 6 if it leaves
    `bounds`, the least and the largest possible value.
    """
    count = int(np.isfinite(values).sum())
    if count < 3 or low is None or high is None or low == high or not (math.isfinite(low) and math.isfinite(high)):
        return False
    return count > 5 or (bounds[0] <= low and high <= bounds[1])


def estimate(values: Values, low: float | None, high: float | None, bounds: Bounds = UNBOUNDED) -> str:
    """The mean of a few values as "1.31 ± 0.04", where 0.04 is half the width of its interval [low, high].

    If `shows_interval` is false, the values themselves are shown, as "74.10, 75.21"; of more than 5, the mean is shown.
    A value that all runs have is shown once, as "4510" if it is whole. Values that are not finite (diverged runs) are
    left out. An en dash stands for no value.
    """

    def write(value: float) -> str:
        if alike and value == round(value):
            return f"{value:.0f}"
        return f"{round(value, 2) + 0.0:.2f}"  # + 0.0: no minus before a zero

    finite = [value for value in map(float, values) if math.isfinite(value)]
    if not finite:
        return "\N{EN DASH}"
    alike = len(finite) > 1 and len(set(finite)) == 1
    if alike:
        return write(finite[0])
    mean = math.fsum(finite) / len(finite)
    if low is not None and high is not None and shows_interval(finite, low, high, bounds):
        return f"{write(mean)} ± {write((high - low) / 2)}"
    return write(mean) if len(finite) > 5 else ", ".join(map(write, finite))
