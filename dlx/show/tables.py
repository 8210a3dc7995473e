"""Tables that a reader sees, on a terminal and in Markdown. Everything here formats and nothing computes results."""

import math
from collections.abc import Iterable, Sequence


def _numeric(cells: Iterable[str]) -> bool:
    return not any(character.isalpha() for cell in cells for character in cell)


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
    """Print a table to stdout: wrapped to the width of a terminal, and as wide as it needs to be elsewhere.

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


def percent(mean: float | None, low: float | None, high: float | None) -> str:
    """Percent values as "1.31 ± 0.04", a mean and half the width of its interval; a dash without a mean."""
    if mean is None or not math.isfinite(mean):
        return "\N{EN DASH}"
    return f"{mean:.2f}" if low is None or high is None else f"{mean:.2f} ± {(high - low) / 2:.2f}"
