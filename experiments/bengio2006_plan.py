"""The plan of `experiments.bengio2006`: the cells of its table, what is searched for each, and in what order."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

from experiments.bengio2006 import TITLES, Config, Hypers, Modern, Options, Pretraining, Row, tuning_unit
from experiments.protocol import Unit, Workshop
from experiments.search import Space, Trial, grid, ranked, sample

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
TOP = 20
"""Units of the top hidden layer in Experiment 3."""
MASKING = (0.1, 0.25, 0.4)
"""Fractions of masked inputs that the search of the denoising row tries."""
PATIENT: dict[str, Any] = {"epochs": 60, "patience": 10}
"""What part of the search gives fine-tuning time for. It comes first: a tie is decided for it."""
BRIEF: dict[str, Any] = {"epochs": 30, "patience": 4}


class Cell(NamedTuple):
    """A place in the table: the paper's own from "fan", its initialisation."""

    experiment: int
    row: Row
    initializer: Literal["fan", "glorot"] = "fan"

    @property
    def name(self) -> str:
        """As it stands in results.json."""
        return f"exp{self.experiment}/{self.row}" + "/glorot" * (self.initializer == "glorot")


def parent(cell: Cell) -> Cell | None:
    """The cell whose choice a cell takes over.

    In Experiment 3 the rate and the patience of fine-tuning are searched again; of the denoising row only the masking
    is; from Glorot's initialisation nothing is.
    """
    if cell.initializer == "glorot":
        return cell._replace(initializer="fan")
    if cell.experiment == 3 and cell.row != "shallow":
        return cell._replace(experiment=2)
    return cell._replace(row="autoassociator") if cell.row == "denoising" else None


def trials(options: Options, cell: Cell, chosen: Mapping[Cell, Trial]) -> list[Trial]:
    """The configurations to try for a cell: as many for every row that takes over as little."""
    lists = space(options, cell, chosen)
    every = grid(lists, Hypers)
    return every if options.search == "grid" or len(every) == 1 else sample(lists, Hypers, options.trials)


def space(options: Options, cell: Cell, chosen: Mapping[Cell, Trial]) -> Space:
    """What is searched for a cell, given the choices made before."""
    before = parent(cell)
    asked = {} if options.rates is None or cell.row in get_args(Modern) else {"rate": options.rates}
    if before is None:
        own = own_space(options.preset, cell)
        return [(replace(config, tied=options.tied, k=options.k), {**lists, **asked}) for config, lists in own]
    config, hypers = chosen[before]
    config = replace(config, row=cell.row, initializer=cell.initializer)
    same = {name: (value,) for name, value in hypers._asdict().items()}
    if before.initializer != cell.initializer:
        return [(config, same)]
    if before.row != cell.row:
        return [(config, {**same, "masking": MASKING, **asked})]
    config = replace(config, widths=(*config.widths[:-1], TOP))
    if options.preset == "quick":
        return [(config, {**same, "rate": (0.5, 2.0), **asked})]
    rates = {20: (0.3, 0.6, 1.0, 1.4, 2.0), 100: (0.8, 1.6, 2.4, 3.2, 4.0)}[config.batch_size]
    return [  # a narrow top layer makes validation errors jump for long
        (replace(config, **PATIENT), {**same, "rate": rates[1:], **asked}),
        (replace(config, **BRIEF), {**same, "rate": rates[:3], **asked}),
    ]


class Grid(NamedTuple):
    """A part of a row's search on MNIST: every rate with every pre-training rate."""

    width: int
    batch_size: int
    rates: tuple[float, ...]
    pretrain_rates: tuple[float, ...] = (0.0,)
    epochs: int = BRIEF["epochs"]
    patience: int = BRIEF["patience"]


_UNSUPERVISED = Grid(500, 100, (0.8, 1.6, 2.4), (0.05, 0.1, 0.2))
GRIDS: dict[Row, list[Grid]] = {
    "dbn": [
        Grid(500, 100, (1.6, 2.4), (0.1,), **PATIENT),
        _UNSUPERVISED,
        Grid(750, 100, (2.4,), (0.1,)),
        Grid(750, 20, (0.5, 0.9), (0.1,)),
    ],
    "autoassociator": [
        Grid(500, 100, (1.6, 2.4), (0.2,), **PATIENT),
        _UNSUPERVISED,
        Grid(750, 20, (0.6, 1.0, 1.4), (0.2,)),
    ],
    "supervised": [
        Grid(500, 100, (1.6, 2.4), (0.3,), **PATIENT),
        Grid(500, 100, (0.8, 1.6, 2.4), (0.1, 0.3, 0.9)),
        Grid(750, 20, (0.3, 0.6, 1.0), (0.3,)),
    ],
    "deep": [
        Grid(500, 100, (0.8, 1.4), **PATIENT),
        Grid(500, 100, (0.4, 0.8, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8)),
        Grid(750, 20, (0.3, 0.6, 1.0)),
    ],
    "shallow": [
        *(Grid(width, 100, (0.8, 1.6, 2.4)) for width in (500, 750, 1000)),
        *(Grid(width, 20, (0.1, 0.2, 0.3), epochs=40) for width in (500, 750, 1000)),
    ],
}


def own_space(preset: str, cell: Cell) -> Space:
    """What is searched for a cell that takes over nothing: as many configurations for all of the paper's deep rows."""
    if preset == "quick":
        widths = (64, 64) if cell.row != "shallow" else (64 if cell.experiment == 2 else TOP,)
        if cell.row not in get_args(Pretraining):
            rates = (0.001, 0.003) if cell.row in get_args(Modern) else (0.5, 2.0)
            return [(Config(cell.row, widths, 0, epochs=20, patience=5), {"rate": rates})]
        config = Config(cell.row, widths, 5, epochs=20, patience=5)
        return [(config, {"rate": (2.0,), "pretrain_rate": (0.05, 0.1)})]
    if cell.row in get_args(Modern):
        rates = {"relu": (0.0003, 0.001), "dropout": (0.001, 0.002), "batchnorm": (0.001, 0.003)}
        return [(Config(cell.row, (500,) * 3, 0, epochs=50, patience=6, batch_size=100), {"rate": rates[cell.row]})]
    if cell.row == "shallow" and cell.experiment == 3:
        rates = (0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0, 2.4)
        config = Config("shallow", (TOP,), 0, **BRIEF, batch_size=100)
        return [(replace(config, **PATIENT), {"rate": (0.4, 0.6)}), (config, {"rate": rates})]
    depth = 1 if cell.row == "shallow" else 3
    pretrain_epochs = {"shallow": 0, "deep": 0, "supervised": 5}.get(cell.row, 15)
    return [
        (
            Config(cell.row, (part.width,) * depth, pretrain_epochs, part.epochs, part.patience, part.batch_size),
            {"rate": part.rates, "pretrain_rate": part.pretrain_rates},
        )
        for part in GRIDS[cell.row]
    ]


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
    """Search, then train the chosen configurations from fresh seeds, whatever has no record yet and there is time for.

    The first seed of every cell comes before the second of any. Cells whose search is not finished are left out.
    """
    seeds = wanted(options)
    searches: dict[Cell, Search] = {}
    for generation in generations(list(seeds)):
        chosen = {cell: search.chosen for cell, search in searches.items()}
        ready = [cell for cell in generation if parent(cell) is None or parent(cell) in chosen]
        searches |= search(options, shop, {cell: trials(options, cell, chosen) for cell in ready})
    finals = {
        cell: [final_unit(cell, searches[cell].chosen, seed) for seed in range(1, seeds[cell] + 1)]
        for cell in seeds
        if cell in searches
    }
    return {cell: Outcome(searches[cell], trained) for cell, trained in finish(shop, finals).items()}


def final_unit(cell: Cell, trial: Trial, seed: int) -> Unit:
    """A run of the table. The figure of filters shows the first ones of Experiment 2."""
    drawn = seed == 1 and cell.experiment == 2 and cell.initializer == "fan"
    return tuning_unit(f"final/{cell.name}", trial, seed, keeps=drawn)


def search(options: Options, shop: Workshop, given: Mapping[Cell, list[Trial]]) -> dict[Cell, Search]:
    """Try every configuration of every cell, or by successive halving each one briefly and the better half at length.

    Cells for which the time did not suffice are left out.
    """

    def attempt(trials: Mapping[Cell, list[Trial]]) -> dict[Cell, Done]:
        units = {cell: [tuning_unit(f"search/{cell.name}", trial, 0) for trial in trials[cell]] for cell in trials}
        return {cell: done for cell, done in finish(shop, units).items() if len(done) == len(units[cell])}

    searches = {cell: Search([], [], *trials) for cell, trials in given.items() if len(trials) == 1}
    given = {cell: trials for cell, trials in given.items() if cell not in searches}
    before: dict[Cell, tuple[list[Trial], Done]] = {cell: ([], []) for cell in given}
    if options.halving:
        brief = {cell: [(replace(c, epochs=-(-c.epochs // 4)), h) for c, h in given[cell]] for cell in given}
        before = {cell: (brief[cell], done) for cell, done in attempt(brief).items()}
        orders = {cell: ranked(given[cell], [record for _, record in before[cell][1]]) for cell in before}
        given = {cell: order[: -(-len(order) // 2)] for cell, order in orders.items()}
    for cell, done in attempt(given).items():
        best, *_ = ranked(given[cell], [record for _, record in done])
        searches[cell] = Search(before[cell][0] + given[cell], before[cell][1] + done, best)
    return searches


def finish(shop: Workshop, units: Mapping[Cell, Sequence[Unit]]) -> dict[Cell, Done]:
    """Do the units of all cells, the first of each before the second; of each the finished ones and their records."""
    in_turn = itertools.zip_longest(*units.values())
    shop.do([unit for units in in_turn for unit in units if unit])
    return {cell: [(unit, r) for unit in group if (r := shop.finished(unit))] for cell, group in units.items()}


def generations(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in two groups: those that take over another's choice come second."""
    late = [cell for cell in cells if parent(cell) in cells]
    return [[cell for cell in cells if cell not in late], late]
