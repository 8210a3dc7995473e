"""The plan of a study, a pure function of its rows and of the finished records.

It says what is to be done and what was found. A process does the first units of the plan, and plans again. So a plan
needs no memory, and what another process has finished meanwhile is part of the next plan.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import numpy as np

from dlx.study.declare.page import Row, Space, Trial
from dlx.study.run.found import Attempt, Record, Runs
from dlx.unit import Unit

Finished = Callable[[Unit], Record | None]
"""The record of a unit, if there is one."""


@dataclass(frozen=True)
class Search:
    """How the spaces of the rows are searched."""

    method: Literal["grid", "random"] = "grid"
    trials: int = 9
    """Trials a row of a random search."""
    halving: bool = False
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Values that take the place of a row's own, by argument."""

    def list_trials(self, space: Space) -> list[Trial]:
        """The trials of a space. Raises ValueError if there is none, or if a value does not fit."""
        space = [
            {name: like(own, name, self.values[name]) if name in self.values else own for name, own in part.items()}
            for part in space
        ]
        every = grid(space)
        return every if self.method == "grid" or len(every) == 1 else sample(space, self.trials)


def like(own: Any, name: str, values: Sequence[float]) -> list[float | int]:
    """The values to try, as whole numbers if a row's own are. Raises ValueError for values that do not fit."""
    numbers = own if isinstance(own, list) else [own]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise ValueError(f"--try {name}={values[0]:g} cannot be: {name} is no number")
    if not numbers or any(isinstance(number, float) for number in numbers):
        return list(values)
    for value in values:
        if not float(value).is_integer():
            raise ValueError(f"--try {name}={value:g} cannot be: {name} is a whole number")
    return [int(value) for value in values]


def grid(space: Space) -> list[Trial]:
    """Every combination of the values that are lists, in the order of the space.

    Raises ValueError if there is none, or a number is negative or not finite.
    """
    trials: list[Trial] = []
    for part in space:
        names = [name for name, value in part.items() if isinstance(value, list)]
        trials += [{**part, **dict(zip(names, v, strict=True))} for v in itertools.product(*(part[n] for n in names))]
    if not trials:
        raise ValueError("the search has nothing to try: give every argument at least one value")
    for name, value in itertools.chain(*(trial.items() for trial in trials)):
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise ValueError(f"{name} {value} cannot be searched: it must be a finite number of 0 or more")
    return trials


def sample(space: Space, count: int, seed: int = 0) -> list[Trial]:
    """`count` random trials. Each takes one part of the space, and draws a value for each argument that is a list.

    A list of floats is a range from the least to the largest. The value is uniform in it: on a logarithmic scale, if
    the least is not 0 (Bergstra & Bengio 2012). Of any other list, such as whole numbers, one entry is drawn.
    Raises ValueError as `grid` does, or if `count` is less than 1.
    """
    grid(space)
    if count < 1:
        raise ValueError(f"a random search needs at least one trial, not {count}")
    rng = np.random.default_rng(seed)

    def draw(values: list) -> Any:
        if not all(isinstance(value, float) for value in values):
            return values[int(rng.integers(len(values)))]
        low, high = min(values), max(values)
        if low == high:  # without rounding, as other units may have the same value
            return low
        return rng.uniform(low, high) if low == 0 else math.exp(rng.uniform(math.log(low), math.log(high)))

    parts = [space[int(rng.integers(len(space)))] for _ in range(count)]
    return [{name: draw(v) if isinstance(v, list) else v for name, v in part.items()} for part in parts]


def plan(
    rows: Sequence[Row], finished: Finished, seeds: int, search: Search = Search()
) -> tuple[list[Unit], dict[str, Runs]]:
    """The units that are wanted, as far as they are known now, in order; and the runs of the rows by name.

    First come the units of searches, row by row. Then come the chosen trials: the first seed of every row, the second
    seed of every row, and so on. A row has no runs until its search is over, and also the searches of the rows that it
    comes after. Raises ValueError if a row comes after one that does not exist, or after itself in a circle. It also
    raises it if two rows have one name.
    """
    searched: list[Unit] = []
    known: dict[str, Runs] = {}
    for row in in_order(rows):
        if any(name not in known for name in row.after):
            continue
        chosen = {name: runs.trial for name, runs in known.items() if runs.trial is not None}
        if all(name in chosen for name in row.after):
            trials = search.list_trials(row.space_after(chosen))
            units, tried = try_all(row, trials, search.halving, finished)
            searched += units
            if tried is None:
                continue
            trial = best(tried, row.by) if tried else trials[0]
        else:
            tried, trial = [], None
        count = (seeds if row.seeds is None else row.seeds) + row.more
        wanted = [row.build(seed, **trial) for seed in range(1, count + 1)] if trial is not None else []
        done = [(unit, record) for unit in wanted if (record := finished(unit))]
        known[row.name] = Runs(row, tried, trial, wanted, [u for u, _ in done], [record for _, record in done])
    by_seed = itertools.zip_longest(*(runs.wanted for runs in known.values()))
    return searched + [unit for units in by_seed for unit in units if unit], known


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows, each after those that it comes after, otherwise as they are given. Raises ValueError as `plan` does."""
    names = [row.name for row in rows]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two rows are called {', '.join(sorted(twice))}; give each a name of its own")
    ordered: dict[str, Row] = {}
    left = list(rows)
    while left:
        ready = [row for row in left if all(name in ordered for name in row.after)]
        if not ready:
            row = left[0]
            unknown = [name for name in row.after if name not in names]
            fault = f"{unknown[0]!r}, which is no row" if unknown else f"{row.after[0]!r} in a circle"
            raise ValueError(f"row {row.name!r} comes after {fault}; the rows are {', '.join(names)}")
        ordered |= {ready[0].name: ready[0]}
        left.remove(ready[0])
    return list(ordered.values())


def first_trials(rows: Sequence[Row]) -> dict[str, Trial]:
    """The first trial of each row's space, if the rows that it comes after chose their first trials."""
    return {name: trials[0] for name, trials in _trials(rows).items()}


def arguments(rows: Sequence[Row]) -> list[str]:
    """The arguments that the trials of any row have."""
    return list(dict.fromkeys(name for trials in _trials(rows).values() for trial in trials for name in trial))


def searched_whole(rows: Sequence[Row]) -> list[str]:
    """The names of the rows that have several trials, and none that halving can shorten."""
    several = {name for name, trials in _trials(rows).items() if len(trials) > 1 and not have_epochs(trials)}
    return [row.name for row in rows if row.name in several]


def _trials(rows: Sequence[Row]) -> dict[str, list[Trial]]:
    trials: dict[str, list[Trial]] = {}
    for row in in_order(rows):
        trials[row.name] = grid(row.space_after({name: tried[0] for name, tried in trials.items()}))
    return trials


def select(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """The rows that any of the patterns names; all rows if there is no pattern.

    The rows that these come after are there as well, without fresh seeds. Raises ValueError for a pattern that names
    no row.
    """
    if not patterns:
        return list(rows)
    for pattern in patterns:
        if not any(fnmatchcase(row.name, pattern) for row in rows):
            raise ValueError(f"--rows {pattern!r} names no row; the rows are {', '.join(row.name for row in rows)}")
    kept: dict[str, Row] = {}
    for row in reversed(in_order(rows)):
        if any(fnmatchcase(row.name, pattern) for pattern in patterns):
            kept[row.name] = row
        elif any(row.name in other.after for other in kept.values()):
            kept[row.name] = replace(row, seeds=0)
    return [kept[row.name] for row in rows if row.name in kept]


def try_all(
    row: Row, trials: Sequence[Trial], halving: bool, finished: Finished
) -> tuple[list[Unit], list[Attempt] | None]:
    """The units that try every trial, and the attempts.

    With successive halving every trial is tried briefly, and then the better half is tried to the end. If a trial has
    no epochs, all are tried to the end. The attempts are None until all units are finished, and empty if there is only
    one trial. Search units see no test data.
    """
    if len(trials) == 1:
        return [], []
    tried: list[Attempt] = []
    units: list[Unit] = []
    if halving and have_epochs(trials):
        tried = [attempt(row, {**t, "epochs": -(-t["epochs"] // 4)}, finished, brief=True) for t in trials]
        units = list(itertools.chain(*(one.units for one in tried)))
        if not all_finished(tried):
            return units, None
        ranked = sorted(zip(tried, trials, strict=True), key=lambda pair: rank(pair[0], row.by))
        trials = [trial for _, trial in ranked[: -(-len(ranked) // 2)]]
    full = [attempt(row, trial, finished) for trial in trials]
    units += itertools.chain(*(one.units for one in full))
    return units, [*tried, *full] if all_finished(full) else None


def have_epochs(trials: Sequence[Trial]) -> bool:
    """Whether every trial has epochs, a quarter of which are a brief attempt."""
    return all("epochs" in trial for trial in trials)


def attempt(row: Row, trial: Trial, finished: Finished, brief: bool = False) -> Attempt:
    """The attempt at a trial, from the search seeds 0, -1, ... No fresh run has these seeds."""
    units = tuple(row.build(-i, **trial).blinded() for i in range(row.search_seeds))
    return Attempt(trial, units, tuple(record for unit in units if (record := finished(unit))), brief)


def all_finished(attempts: Iterable[Attempt]) -> bool:
    """Whether every unit of the attempts has its record."""
    return all(len(one.records) == len(one.units) for one in attempts)


def rank(one: Attempt, by: str = "") -> tuple[bool, float]:
    """Sorts attempts by score, or by the mean of a measure. Those that diverged or have no number come last."""
    value = one.mean(by) if by else one.score
    return (True, 0.0) if math.isnan(value) else (False, value)


def best(tried: Sequence[Attempt], by: str = "") -> Trial | None:
    """The trial that ranks first, and of equals the first one. None if no trial has a number to rank by."""
    first = min((one for one in tried if not one.brief), key=partial(rank, by=by))
    lost, _ = rank(first, by)
    return None if lost else first.trial


def foresee(rows: Sequence[Row], finished: Finished, seeds: int, search: Search = Search()) -> list[Unit]:
    """The units of all searches and rows, as far as they can be known before they are trained.

    In every search that is not over, a trial that is still to be trained is taken to be the chosen one.
    """
    pretended: dict[Unit, Record] = {}

    def pretend(unit: Unit) -> Record | None:
        return finished(unit) or pretended.get(unit)

    while True:
        units, _ = plan(rows, pretend, seeds, search)
        new = [unit for unit in units if pretend(unit) is None]
        if not new:
            return units
        pretended |= {unit: _pretended(rows, float(i)) for i, unit in enumerate(new)}


def _pretended(rows: Sequence[Row], value: float) -> Record:
    """A record with this score, and with it as every measure that a search ranks by."""
    measures: dict[str, dict[str, float]] = {}
    for place, _, name in (row.by.partition("/") for row in rows if row.by):
        measures.setdefault(place, {})[name] = value
    return {"diverged": False, "score": value, "measures": measures}
