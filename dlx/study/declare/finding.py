"""What the finished runs say of a claim, as data. `dlx.study.judge.words` makes a sentence of it."""

import math
from typing import Literal, NamedTuple

from dlx.stats import Interval


class Bound(NamedTuple):
    """What is claimed of a number."""

    sense: Literal["above", "at least", "at most"]
    value: float
    matters: float = 0
    """For "above": the smallest difference of interest."""


class Side(NamedTuple):
    """A row as a finding shows it: its title, and its values by seed in the metric's unit."""

    title: str
    values: tuple[float, ...]
    group: str = ""
    """The row's group, where other rows have the same title."""

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return math.fsum(self.values) / len(self.values)


class Finding(NamedTuple):
    """What the finished runs say of a claim. Of a claim with several tests it is the test that decided."""

    verdict: str
    """"holds", "does not hold", or "not enough runs"."""
    note: str = ""
    """What is said in place of the numbers, such as that a row is not finished."""
    p: float | None = None
    """Of the two-sided test that the number is the bound; where it does not hold, that it is as large as matters."""
    interval: Interval | None = None
    """Of the number that is tested, at the level of the verdicts. With two sides it is the second less the first."""
    label: str = ""
    """What is compared, such as "test error"."""
    unit: str = ""
    """As it stands after a value, such as " %"."""
    unit_of_gaps: str = ""
    """As it stands after a difference, such as " points"."""
    sides: tuple[Side, ...] = ()
    """The rows that are compared; one for a mean; none for a number of all rows together."""
    bound: Bound | None = None
    """What is claimed of the number."""
    exact: bool = False
    """Whether each run has to keep the bound, and not the mean."""
    aside: str = ""
    """What else a reader must know of the numbers."""
    runs: str = "seeds"
    """What the number of runs counts."""
    smallest: float | None = None
    """Where the runs are not enough, the smallest difference that they find in nine studies of ten."""
    needed: int | None = None
    """Where the runs are not enough, how many would be, if differences stay as they are; None for over 1000."""
    tests: int = 1
    """How many tests the claim has."""
    held: int = 0
    """How many of several tests hold."""
