"""Fresh seeds beyond those that were planned."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from dlx.study.declare.options import SEEDS
from dlx.study.declare.page import Row


def planned_seeds(row: Row, seeds: int) -> int:
    """How many fresh seeds a row was planned to have; `seeds`, if it does not say."""
    return seeds if row.seeds is None else row.seeds


def with_more(rows: Sequence[Row], more: Sequence[str], seeds: int) -> list[Row]:
    """The rows, some of which get more fresh seeds than planned: as many as the texts PATTERN=SEEDS say.

    `seeds` is the number of a row that does not say how many. Raises ValueError for a text of another form, a pattern
    that names no row, or a row that has as many seeds without.
    """
    made = {row.name: row for row in rows}
    for text in more:
        pattern, _, number = text.rpartition("=")
        if not pattern or not number.isdecimal():
            raise ValueError(f"--more {text!r} is not ROW=SEEDS, such as exp2/dbn=20")
        named = [name for name in made if fnmatchcase(name, pattern)]
        if not named:
            raise ValueError(f"--more {text!r} names no row; the rows are {', '.join(made)}")
        for name in named:
            planned = planned_seeds(made[name], seeds)
            if not planned < int(number) <= SEEDS:
                raise ValueError(f"--more {text!r}: {name} has {planned} seeds without; at most are possible {SEEDS}")
            made[name] = replace(made[name], more=int(number) - planned)
    return list(made.values())
