"""The plan of `experiments.bengio2006`: the cells of its table, how many seeds of each, and in what order."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

from experiments.bengio2006 import TITLES, Modern, Options, Row, tuning_unit
from experiments.bengio2006_space import Cell, parent, trials
from experiments.protocol import Unit, Workshop
from experiments.search import Trial, ranked

# Train, valid and test error in percent; the test figures are consistent across sources (A), the others are not (B).
PAPER: dict[tuple[int, Row], tuple[float, float, float]] = {
    (2, "dbn"): (0, 1.2, 1.2),
    (2, "autoassociator"): (0, 1.4, 1.4),
    (2, "supervised"): (0, 1.7, 2.0),
    (2, "deep"): (0.004, 2.1, 2.4),
    (2, "shallow"): (0.004, 1.8, 1.9),
    (3, "dbn"): (0, 1.5, 1.5),
    (3, "autoassociator"): (0, 1.4, 1.6),
    (3, "supervised"): (0, 1.8, 1.9),
    (3, "deep"): (0.59, 2.1, 2.2),
    (3, "shallow"): (3.6, 4.7, 5.0),
}
EXPERIMENTS = (2, 3)


def cost(unit: Unit) -> float:
    """About how long a unit takes, in an arbitrary measure that only compares units."""
    config, sizes = unit.config, (784, *unit.config.widths)
    connections = [a * b for a, b in itertools.pairwise(sizes)]
    if not config.epochs:
        return 1.3 * config.pretrain_epochs * (connections[-1] + 30_000)
    return 20.0 * (sum(connections) + 50_000)


Block = Literal["paper", "modern", "glorot", "denoising"]


def cells(block: Block, preset: str = "paper") -> list[Cell]:
    """The cells of the paper's table; rectified nets; the paper's rows from Glorot's initialisation; a denoising row.

    All but the paper's are of Experiment 2. The quick preset has none of the last two.
    """
    own = [Cell(experiment, row) for experiment in EXPERIMENTS for row in TITLES if (experiment, row) in PAPER]
    match block:
        case "paper":
            return own
        case "modern":
            return [Cell(2, row) for row in get_args(Modern)]
        case _ if preset == "quick":
            return []
        case "glorot":
            return [cell._replace(initializer="glorot") for cell in own if cell.experiment == 2]
        case "denoising":
            return [Cell(2, "denoising")]


def wanted(options: Options) -> dict[Cell, int]:
    """The cells of the table and how many seeds each is to have."""
    few, most = options.fresh_seeds_today(), options.fresh_seeds()
    return {
        cell: most if block == "paper" else few for block in get_args(Block) for cell in cells(block, options.preset)
    }


Done = list[tuple[Unit, dict[str, Any]]]
"""Finished units and their records."""


class Search(NamedTuple):
    """All that was tried for a cell, with seed 0: nothing, if the cell has but one configuration."""

    trials: list[Trial]
    tried: Done
    """The run of each trial."""
    chosen: Trial


class Outcome(NamedTuple):
    """What has been done for one cell: its search, and the runs of the chosen configuration."""

    search: Search
    trained: Done


def work(options: Options, shop: Workshop) -> dict[Cell, Outcome]:
    """Do whatever has no record yet and there is time for; what has been done then, by cell."""
    while True:
        units, outcomes = plan(options, shop.finished)
        if not shop.advance(units):
            return outcomes


Finished = Callable[[Unit], dict[str, Any] | None]
"""The record of a unit, if there is one."""


def plan(options: Options, finished: Finished) -> tuple[list[Unit], dict[Cell, Outcome]]:
    """What is to be done as far as the records tell by now, in order, and what has been done of it by cell.

    In each block all that can be searched comes first. Then the chosen configurations are trained from fresh seeds:
    from the first seed in every cell, from the second in every cell, and so on. Cells whose search is not finished
    have no outcome.
    """
    units: list[Unit] = []
    outcomes: dict[Cell, Outcome] = {}
    for block in get_args(Block):
        training: list[list[Unit]] = []
        for cell in cells(block, options.preset):
            before = parent(cell)
            if before is not None and before not in outcomes:
                continue
            chosen = {other: outcome.search.chosen for other, outcome in outcomes.items()}
            tried, found = search(options, cell, trials(options, cell, chosen), finished)
            units += tried
            if found:
                seeds = range(1, wanted(options)[cell] + 1)
                training.append([final_unit(cell, found.chosen, seed) for seed in seeds])
                outcomes[cell] = Outcome(found, done(training[-1], finished))
        units += filter(None, itertools.chain(*itertools.zip_longest(*training)))
    return units, outcomes


def search(options: Options, cell: Cell, trials: list[Trial], finished: Finished) -> tuple[list[Unit], Search | None]:
    """The units that try every configuration, or by successive halving each one briefly and the better half at length.

    With them the finished search, once it is so.
    """

    def attempt(trials: Sequence[Trial]) -> list[Unit]:
        return [tuning_unit(f"search/{cell.name}", trial, 0) for trial in trials]

    if len(trials) == 1:
        return [], Search([], [], trials[0])
    tried: list[Trial] = []
    units: list[Unit] = []
    if options.halving:
        tried = [(replace(config, epochs=-(-config.epochs // 4)), hypers) for config, hypers in trials]
        units = attempt(tried)
        brief = done(units, finished)
        if len(brief) < len(units):
            return units, None
        order = ranked(trials, [record for _, record in brief])
        trials = order[: -(-len(order) // 2)]
    units += attempt(trials)
    records = done(units, finished)
    if len(records) < len(units):
        return units, None
    best, *_ = ranked(trials, [record for _, record in records[len(tried) :]])
    return units, Search(tried + trials, records, best)


def done(units: Sequence[Unit], finished: Finished) -> Done:
    """Those of the units that are finished, with their records."""
    return [(unit, record) for unit in units if (record := finished(unit))]


def final_unit(cell: Cell, trial: Trial, seed: int) -> Unit:
    """A run of the table. The figure of filters shows the first ones of Experiment 2."""
    drawn = seed == 1 and cell.experiment == 2 and cell.initializer == "fan"
    return tuning_unit(f"final/{cell.name}", trial, seed, keeps=drawn)
