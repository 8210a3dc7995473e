"""What `experiments.bengio2006` searches for each cell of its table, and which choice a cell takes over."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

from experiments.bengio2006 import Config, Hypers, Modern, Options, Pretraining, Row
from experiments.search import Space, Trial, grid, sample

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
    longer: int = 1
    """Times the epochs of greedy training that the row has elsewhere."""


_UNSUPERVISED = Grid(500, 100, (0.8, 1.6, 2.4), (0.05, 0.1, 0.2))
GRIDS: dict[Row, list[Grid]] = {
    "dbn": [
        Grid(500, 100, (1.6, 2.4), (0.1,), **PATIENT),
        _UNSUPERVISED,
        Grid(750, 100, (2.4,), (0.1,)),
        Grid(750, 20, (0.3, 0.5, 0.9), (0.1,)),
        Grid(750, 20, (0.5,), (0.1,), longer=2),
    ],
    "autoassociator": [
        Grid(500, 100, (1.6, 2.4), (0.2,), **PATIENT),
        _UNSUPERVISED,
        Grid(750, 20, (0.6, 1.0, 1.4, 2.0), (0.2,)),
        Grid(750, 20, (1.4,), (0.2,), longer=2),
    ],
    "supervised": [
        Grid(500, 100, (1.6, 2.4, 3.2), (0.3,), **PATIENT),
        Grid(500, 100, (2.4,), (0.3,), **PATIENT, longer=2),
        Grid(500, 100, (0.8, 1.6, 2.4), (0.1, 0.3, 0.9)),
        Grid(750, 20, (0.3, 0.6, 1.0), (0.3,)),
    ],
    "deep": [
        Grid(500, 100, (0.8, 1.4), **PATIENT),
        Grid(500, 100, (0.4, 0.8, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8)),
        Grid(750, 20, (0.3, 0.6, 1.0, 1.4, 2.0)),
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
            Config(
                cell.row,
                (part.width,) * depth,
                pretrain_epochs * part.longer,
                part.epochs,
                part.patience,
                part.batch_size,
            ),
            {"rate": part.rates, "pretrain_rate": part.pretrain_rates},
        )
        for part in GRIDS[cell.row]
    ]
