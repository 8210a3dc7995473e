"""Greedy layer-wise training of deep networks, on MNIST (Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).

Experiment 2 sets three hidden layers against one; Experiment 3 is the same with a top hidden layer of 20 units. For
each row, that is a way to pre-train, the same number of configurations is tried; the one with the lowest validation
error is trained again from fresh seeds, and those runs are reported. Experiment 3 takes over the choice of pre-training
and searches the rate of fine-tuning again. Under the paper's rows stand ours: what pre-training is worth from Glorot's
initialisation, and beside rectified nets as they are trained today.

    python -m experiments.bengio2006 --preset quick     # embedded 8 x 8 digits, under a minute on two cores
    python -m experiments.bengio2006 --preset paper     # MNIST; results/bengio2006/report.md gives hardware and time

Lecture: CMU 10-601B 16, "Deep Learning (Part I)", Ideas #1 to #3; CS7015 lecture 9, "Unsupervised pre-training".
"""

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx import greedy
from dlx.data import flat
from dlx.losses.supervised import misclassified
from dlx.modern import train_rectified
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import MLP, hidden, init, logits
from dlx.nets.rectified import Dropout, Rectified
from dlx.optim import adam, max_norm
from dlx.progress import Progress
from dlx.stage import chain, evaluate
from dlx.store import Store, open_store
from dlx.sweep import Run
from dlx.types import Data, Stage
from experiments import contract
from experiments.protocol import Space, Trial, Unit, Workshop, grid, ranked, sample

Pretraining = Literal["dbn", "autoassociator", "denoising", "supervised"]
Modern = Literal["relu", "dropout", "batchnorm"]
Row = Literal[Pretraining, "deep", "shallow", Modern]

TITLES: dict[Row, str] = {
    "dbn": "DBN, RBM pre-training (CD-1)",
    "autoassociator": "deep, auto-associator pre-training",
    "denoising": "deep, denoising auto-associator",
    "supervised": "deep, supervised pre-training",
    "deep": "deep, no pre-training",
    "shallow": "shallow, no pre-training",
    "relu": "deep, rectified units, He's initialisation, Adam",
    "dropout": "the same with dropout and max-norm",
    "batchnorm": "the same with batch normalisation",
}
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
MAX_NORM = 3.0
"""Largest norm of a unit's incoming weights in the row with dropout."""
FILTERS = 16
"""Filters of the first layer that a run keeps for a figure."""


@dataclass(frozen=True)
class Config:
    """What shapes a run's program."""

    row: Row
    widths: tuple[int, ...]
    """Units of each hidden layer, from the input up."""
    pretrain_epochs: int
    """Epochs of greedy training a layer."""
    epochs: int
    """Most epochs of fine-tuning, which ends earlier by `patience`."""
    patience: int
    batch_size: int = 20
    """Examples a minibatch of fine-tuning."""
    pretrain_batch_size: int = 20
    initializer: Literal["fan", "glorot"] = "fan"
    k: int = 1
    """Gibbs steps of contrastive divergence."""
    mean_field: bool = True
    """Whether the RBM's reconstruction is P(v | h) and not a sample of it."""
    tied: bool = True
    """Whether the auto-associators' decoders are the transposes of their encoders."""


class Hypers(NamedTuple):
    """What a search varies within one program."""

    rate: float
    """Learning rate of fine-tuning."""
    pretrain_rate: float = 0.0
    masking: float = 0.0
    """Fraction of the inputs that the denoising auto-associator sets to 0."""


@dataclass(frozen=True)
class Options(contract.Options):
    """What this experiment can be asked for beside the common options."""

    tied: bool = True
    """Auto-associators decode by the transpose of their encoder, or else by a matrix of their own."""
    k: int = 1
    """Gibbs steps of contrastive divergence."""
    rates: tuple[float, ...] | None = None
    """Rates of fine-tuning to search, instead of the preset's."""
    search: Literal["grid", "random"] = "grid"
    trials: int = 9
    """Configurations a row of a random search."""
    halving: bool = False
    """Train every configuration for a quarter of the epochs first, and only the better half to the end."""
    seeds_today: int | None = None
    """Fresh seeds a cell of the rows that are not the paper's. Default: 1 for quick, 3 for paper."""

    def fresh_seeds_today(self) -> int:
        """How many seeds a cell that is not the paper's is trained from."""
        return self.seeds_today or {"quick": 1, "paper": 3}[self.preset]


class Cell(NamedTuple):
    """A place in the table: the paper's own from "fan", its initialisation."""

    experiment: int
    row: Row
    initializer: Literal["fan", "glorot"] = "fan"

    @property
    def name(self) -> str:
        """As it stands in results.json."""
        return f"exp{self.experiment}/{self.row}" + "/glorot" * (self.initializer == "glorot")


def stages(net: MLP | Rectified, config: Config, hypers: Hypers, progress: Progress | None = None) -> Iterator[Stage]:
    """The stages of a row: greedy training from the bottom layer up, which is all that distinguishes the rows; then
    fine-tuning and evaluation as one stage."""
    for i in range(len(config.widths)):
        layer = f"layer {i + 1} of {len(config.widths)}"
        score_is_error = config.row == "supervised"
        report = progress.report(layer, epochs=config.pretrain_epochs, percent=score_is_error) if progress else None
        phase: dict[str, Any] = dict(
            rate=hypers.pretrain_rate,
            epochs=config.pretrain_epochs,
            batch_size=config.pretrain_batch_size,
            report=report,
        )
        match net, config.row:
            case MLP(), "supervised":
                yield greedy.supervise(net, i, **phase)
            case MLP(), "autoassociator":
                yield greedy.autoassociate(net, i, tied=config.tied, **phase)
            case MLP(), "denoising":
                yield greedy.autoassociate(net, i, tied=config.tied, masking=hypers.masking, **phase)
            case MLP(), "dbn":
                yield greedy.boltzmann(net, i, k=config.k, mean_field=config.mean_field, **phase)
    if config.epochs:
        phase = dict(
            epochs=config.epochs,
            batch_size=config.batch_size,
            patience=config.patience,
            report=progress.report("fine-tuning", epochs=config.epochs) if progress else None,
        )
        match net:
            case MLP():
                tune = greedy.finetune(net, rate=hypers.rate, **phase)
            case Rectified() if config.row == "dropout":
                optimizer = optax.chain(adam(hypers.rate), max_norm(MAX_NORM))
                tune = train_rectified(net, optimizer, dropout=Dropout(), **phase)
            case Rectified():
                tune = train_rectified(net, adam(hypers.rate), **phase)
        yield chain(tune, evaluate(misclassified(partial(logits, net))))


def network(config: Config) -> MLP | Rectified:
    """The net of a row."""
    if config.row in get_args(Modern):
        return Rectified(config.widths, normalised=config.row == "batchnorm")
    return MLP(config.widths, initializer=INITIALIZERS[config.initializer])


def procedure(config: Config, progress: Progress | None = None) -> Run:
    """The run of one stage of a row: of the last one that the config has.

    `given` is (hypers, start), `start` the layers that are trained already. A layer's greedy training gives the layers
    up to it and its `Curve`. Fine-tuning gives the strongest filters and (Curve, Errors). Run one after the other, the
    units of a row give what `chain(*stages(...))` gives at once.
    """

    def run(key, given, data: Data):
        hypers, start = given
        net = network(config)
        key_init, key_train = jax.random.split(key)
        params = {**init(key_init, net, data.train.x.shape[-1]), **start}
        *_, stage = stages(net, config, hypers, progress)
        params, log = stage(jax.random.fold_in(key_train, len(start)), params, data)
        if not config.epochs:
            return {hidden(i): params[hidden(i)] for i in range(len(config.widths))}, log
        return {"filters": strongest(params[hidden(0)]["w"])}, log

    return run


def strongest(w: Float[Array, "visible units"]) -> Float[Array, "visible shown"]:
    """The incoming weights of the units of largest norm, `FILTERS` or all there are, in half precision."""
    _, units = jax.lax.top_k((w**2).sum(0), min(FILTERS, w.shape[1]))
    return w[:, units].astype(jnp.float16)


def layer_unit(trial: Trial, depth: int, seed: int) -> Unit | None:
    """The greedy training of layer `depth`, counted from 1, on the layers below; None for the input.

    Experiments, and fine-tuning at different rates, share it.
    """
    config, hypers = trial
    if depth == 0:
        return None
    below = layer_unit(trial, depth - 1, seed)
    config = replace(config, widths=config.widths[:depth], epochs=0, patience=0, batch_size=0)
    return Unit(f"layers/{config.row}", config, hypers._replace(rate=0.0), seed, below)


def tuning_unit(group: str, trial: Trial, seed: int) -> Unit:
    """The fine-tuning of a configuration: one program for all rows, which differ in what it starts from."""
    config, hypers = trial
    if config.row not in get_args(Pretraining):
        return Unit(group, config, hypers, seed)
    start = layer_unit(trial, len(config.widths), seed)
    plain = Config("deep", config.widths, 0, config.epochs, config.patience, config.batch_size)
    return Unit(group, replace(plain, initializer=config.initializer), Hypers(hypers.rate), seed, start)


def parent(cell: Cell) -> Cell | None:
    """The cell whose choice a cell takes over, but for the rate of fine-tuning."""
    if cell.initializer == "glorot":
        return cell._replace(initializer="fan")
    return cell._replace(experiment=2) if cell.experiment == 3 and cell.row != "shallow" else None


def trials(options: Options, cell: Cell, chosen: Mapping[Cell, Trial]) -> list[Trial]:
    """The configurations to try for a cell: as many for every row that takes over as little."""
    lists = space(options, cell, chosen)
    if options.search == "grid":
        return grid(lists, Hypers)
    return sample(lists, Hypers, options.trials)


def space(options: Options, cell: Cell, chosen: Mapping[Cell, Trial]) -> Space:
    """What is searched for a cell, given the choices made before."""
    before = parent(cell)
    asked = {} if options.rates is None else {"rate": options.rates}
    if before is None:
        own = own_space(options.preset, cell)
        return [(replace(config, tied=options.tied, k=options.k), {**lists, **asked}) for config, lists in own]
    config, hypers = chosen[before]
    top = TOP if cell.experiment == 3 else config.widths[-1]
    config = replace(config, widths=(*config.widths[:-1], top), initializer=cell.initializer)
    rates = {"quick": (0.5, 2.0), "paper": (0.8, 1.6, 2.4)}[options.preset]
    fixed = {"pretrain_rate": (hypers.pretrain_rate,), "masking": (hypers.masking,)}
    return [(config, {"rate": rates, **fixed, **asked})]


def own_space(preset: str, cell: Cell) -> Space:
    """What is searched for a cell that takes over nothing: the same number of configurations for every row."""
    masking = {"masking": (0.25,)} if cell.row == "denoising" else {}
    if preset == "quick":
        widths = (64, 64) if cell.row != "shallow" else (64 if cell.experiment == 2 else TOP,)
        if cell.row not in get_args(Pretraining):
            rates = (0.001, 0.003) if cell.row in get_args(Modern) else (0.5, 2.0)
            return [(Config(cell.row, widths, 0, epochs=20, patience=5), {"rate": rates})]
        config = Config(cell.row, widths, 5, epochs=20, patience=5)
        return [(config, {"rate": (2.0,), "pretrain_rate": (0.05, 0.1), **masking})]
    if cell.row in get_args(Modern):
        rates = {"relu": (0.0003, 0.001), "dropout": (0.001, 0.002), "batchnorm": (0.001, 0.003)}
        return [(Config(cell.row, (500,) * 3, 0, epochs=50, patience=6, batch_size=100), {"rate": rates[cell.row]})]
    limits: dict[str, Any] = dict(epochs=30, patience=4, batch_size=100)
    if cell.row == "shallow" and cell.experiment == 3:
        return [(Config("shallow", (TOP,), 0, **limits), {"rate": (0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0, 2.4)})]
    if cell.row == "shallow":
        limits = dict(epochs=40, patience=4, batch_size=20)
        return [(Config("shallow", (w,), 0, **limits), {"rate": (0.1, 0.2, 0.3)}) for w in (500, 750, 1000)]
    widths = (500, 500, 500)
    if cell.row == "deep":
        return [(Config("deep", widths, 0, **limits), {"rate": (0.4, 0.8, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8)})]
    epochs, rates = {"supervised": (5, (0.1, 0.3, 0.9))}.get(cell.row, (15, (0.05, 0.1, 0.2)))
    config = Config(cell.row, widths, epochs, **limits)
    return [(config, {"rate": (0.8, 1.6, 2.4), "pretrain_rate": rates, **masking})]


def cost(unit: Unit) -> float:
    """About how long a unit takes, in an arbitrary measure that only compares units."""
    config, sizes = unit.config, (784, *unit.config.widths)
    connections = [a * b for a, b in itertools.pairwise(sizes)]
    if not config.epochs:
        return 1.3 * config.pretrain_epochs * (connections[-1] + 30_000)
    return 20 * (sum(connections) + 50_000)


Block = Literal["paper", "modern", "others"]


def cells(block: Block, preset: str = "paper") -> list[Cell]:
    """The cells of the paper's table; rectified nets; the denoising rows and all from Glorot's initialisation.

    Of the last the quick preset has only the former.
    """
    own = [Cell(experiment, row) for experiment in EXPERIMENTS for row in TITLES if (experiment, row) in PAPER]
    denoising = [Cell(experiment, "denoising") for experiment in EXPERIMENTS]
    match block:
        case "paper":
            return own
        case "modern":
            return [Cell(2, row) for row in get_args(Modern)]
        case "others":
            glorot = [cell._replace(initializer="glorot") for cell in (*own, *denoising)]
            return denoising if preset == "quick" else denoising + glorot


def wanted(options: Options) -> dict[Cell, int]:
    """The cells of the table and how many seeds each is to have."""
    seeds = {
        "paper": options.fresh_seeds(),
        "modern": options.fresh_seeds_today(),
        "others": options.fresh_seeds_today(),
    }
    return {cell: seeds[block] for block in get_args(Block) for cell in cells(block, options.preset)}


Done = list[tuple[Unit, dict[str, Any]]]
"""Finished units and their records."""


class Search(NamedTuple):
    """All that was tried for a cell, with seed 0."""

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

    Cells whose search is not finished are left out.
    """
    few, all_of_them = options.fresh_seeds_today(), options.fresh_seeds()
    searches: dict[Cell, Search] = {}
    outcomes: dict[Cell, Outcome] = {}
    # A whole table of few seeds comes first, as far as it takes no second search of the paper's rows.
    rounds: list[tuple[Block, int]] = [("paper", min(few, all_of_them)), ("modern", few), ("paper", all_of_them)]
    for block, seeds in (*rounds, ("others", few)):
        for generation in generations(cells(block, options.preset)):
            chosen = {cell: search.chosen for cell, search in searches.items()}
            ready = [cell for cell in generation if parent(cell) is None or parent(cell) in chosen]
            searches |= search(options, shop, {cell: trials(options, cell, chosen) for cell in ready})
        finals = {
            cell: [tuning_unit(f"final/{cell.name}", searches[cell].chosen, seed) for seed in range(1, seeds + 1)]
            for cell in cells(block, options.preset)
            if cell in searches
        }
        outcomes |= {cell: Outcome(searches[cell], trained) for cell, trained in finish(shop, finals).items()}
    return {cell: outcomes[cell] for cell in wanted(options) if cell in outcomes}


def search(options: Options, shop: Workshop, given: Mapping[Cell, list[Trial]]) -> dict[Cell, Search]:
    """Try every configuration of every cell, or by successive halving each one briefly and the better half at length.

    Cells for which the time did not suffice are left out.
    """

    def attempt(trials: Mapping[Cell, list[Trial]]) -> dict[Cell, Done]:
        units = {cell: [tuning_unit(f"search/{cell.name}", trial, 0) for trial in trials[cell]] for cell in trials}
        return {cell: done for cell, done in finish(shop, units).items() if len(done) == len(units[cell])}

    before: dict[Cell, tuple[list[Trial], Done]] = {cell: ([], []) for cell in given}
    if options.halving:
        brief = {cell: [(replace(c, epochs=-(-c.epochs // 4)), h) for c, h in given[cell]] for cell in given}
        before = {cell: (brief[cell], done) for cell, done in attempt(brief).items()}
        orders = {cell: ranked(given[cell], [record for _, record in before[cell][1]]) for cell in before}
        given = {cell: order[: -(-len(order) // 2)] for cell, order in orders.items()}
    searches = {}
    for cell, done in attempt(given).items():
        best, *_ = ranked(given[cell], [record for _, record in done])
        searches[cell] = Search(before[cell][0] + given[cell], before[cell][1] + done, best)
    return searches


def finish(shop: Workshop, units: Mapping[Cell, Sequence[Unit]]) -> dict[Cell, Done]:
    """Do the units of all cells; of each cell those that are finished, with their records."""
    shop.do([unit for group in units.values() for unit in group])
    return {cell: [(unit, r) for unit in group if (r := shop.finished(unit))] for cell, group in units.items()}


def generations(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in two groups: those of Experiment 3 that stand on choices of Experiment 2 come second."""
    late = [cell for cell in cells if parent(cell) in cells]
    return [[cell for cell in cells if cell not in late], late]


def run(options: Options, data: Data, origin: dict, folder: Path) -> None:
    """Do the work that is missing in `folder`, write results and report there, print the table."""
    from experiments.bengio2006_report import publish

    identity = {"experiment": "bengio2006", "preset": options.preset, "data": origin}
    first = jax.process_index() == 0
    store, rows = open_store(folder, identity) if first else Store(folder), flat(data)
    with Progress({}) if first else Progress({}, stream=io.StringIO()) as progress:
        shop = Workshop(options, store, partial(procedure, progress=progress), rows, origin, progress, cost)
        outcomes = work(options, shop)
    if first:
        publish(options, origin, store, outcomes, rows)


if __name__ == "__main__":
    contract.main("bengio2006", Options, __doc__.splitlines()[0], run)
