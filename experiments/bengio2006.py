"""Greedy layer-wise training of deep networks, on MNIST (Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).

Experiment 2 sets three hidden layers against one; Experiment 3 is the same with a top hidden layer of 20 units. For
each row, that is a way to pre-train, the same number of configurations is tried; the one with the lowest validation
error is trained again from fresh seeds, in both experiments, and those runs are reported. (With 20 units the shallow
net is another one, so it has a search of its own.)

    python -m experiments.bengio2006 --preset quick     # embedded 8 x 8 digits, under a minute on two cores
    python -m experiments.bengio2006 --preset paper     # MNIST; results/bengio2006/report.md gives hardware and time

Lecture: CMU 10-601B 16, "Deep Learning (Part I)", Ideas #1 to #3; CS7015 lecture 9, "Unsupervised pre-training".
"""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from dlx import greedy
from dlx.data import flat
from dlx.losses.supervised import misclassified
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import MLP, init, logits
from dlx.progress import Progress
from dlx.stage import chain, evaluate
from dlx.store import Store, open_store
from dlx.sweep import Run
from dlx.types import Data, Stage
from experiments import contract
from experiments.protocol import Trial, Unit, Workshop, choose, search_units, seed_units

Row = Literal["shallow", "deep", "supervised", "autoassociator", "denoising", "dbn"]

TITLES: dict[Row, str] = {
    "dbn": "DBN, RBM pre-training (CD-1)",
    "autoassociator": "deep, auto-associator pre-training",
    "denoising": "deep, denoising auto-associator",
    "supervised": "deep, supervised pre-training",
    "deep": "deep, no pre-training",
    "shallow": "shallow, no pre-training",
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

    initializer: Literal["fan", "glorot"] = "fan"
    """fan: the paper's U[-1/√d, 1/√d], d = max(fan-in, fan-out). glorot: U[-√6/√s, √6/√s], s = fan-in + fan-out."""
    tied: bool = True
    """Auto-associators decode by the transpose of their encoder, or else by a matrix of their own."""
    k: int = 1
    """Gibbs steps of contrastive divergence."""
    batch_size: int = 20


def trials(options: Options, experiment: int, row: Row) -> list[Trial]:
    """The configurations tried for a cell: as many for every row; none where Experiment 2's choice is taken over."""
    if experiment == 3 and row != "shallow":
        return []
    names = ("initializer", "tied", "k", "batch_size")
    asked = {name: getattr(options, name) for name in names}
    return [(replace(config, **asked), hypers) for config, hypers in space(options.preset, experiment, row)]


def space(preset: str, experiment: int, row: Row) -> list[Trial]:
    """What is searched in each preset: the same number of configurations for every row."""
    if preset == "quick":
        widths = (64, 64, 64) if row != "shallow" else (64 if experiment == 2 else TOP,)
        config = Config(row, widths, 5, epochs=20, patience=5)
        return [(config, Hypers(rate, 0.1, 0.25)) for rate in (0.5, 2.0)]
    limits: dict[str, Any] = dict(epochs=24, patience=3)
    if row == "shallow":
        widths, rates = ((500, 1000), (0.3, 0.6)) if experiment == 2 else ((TOP,), (0.05, 0.1, 0.2, 0.4))
        return [(Config(row, (w,), 0, **limits), Hypers(rate)) for w in widths for rate in rates]
    # Pre-training epochs a layer, pre-training rate, fine-tuning rate.
    rates = {
        "deep": [(0, 0, 0.3), (0, 0, 0.5), (0, 0, 1.0), (0, 0, 2.0)],
        "supervised": [(2, 0.1, 0.5), (2, 0.3, 0.5), (4, 0.1, 0.5), (4, 0.1, 1.0)],
        "autoassociator": [(3, 0.05, 0.3), (3, 0.1, 0.3), (6, 0.05, 0.3), (6, 0.05, 0.6)],
        "denoising": [(3, 0.05, 0.3), (3, 0.1, 0.3), (6, 0.05, 0.3), (6, 0.1, 0.3)],
        "dbn": [(3, 0.1, 0.3), (3, 0.2, 0.3), (6, 0.1, 0.3), (6, 0.2, 0.3)],
    }[row]
    return [(Config(row, (500, 500, 500), n, **limits), Hypers(rate, pre, 0.25)) for n, pre, rate in rates]


def narrow(trial: Trial) -> Trial:
    """A choice of Experiment 2 as Experiment 3 takes it over: with the top hidden layer of 20 units."""
    config, hypers = trial
    return replace(config, widths=(*config.widths[:-1], TOP)), hypers


def pretrain(net: MLP, config: Config, hypers: Hypers, progress: Progress | None) -> Iterator[Stage]:
    """The greedy stages of a row, from the bottom layer up: all that distinguishes the rows."""
    for i in range(len(config.widths)):
        layer = f"layer {i + 1} of {len(config.widths)}"
        score_is_error = config.row == "supervised"
        report = progress.report(layer, epochs=config.pretrain_epochs, percent=score_is_error) if progress else None
        phase: dict[str, Any] = dict(
            rate=hypers.pretrain_rate,
            epochs=config.pretrain_epochs,
            batch_size=config.batch_size,
            report=report,
        )
        match config.row:
            case "supervised":
                yield greedy.supervise(net, i, **phase)
            case "autoassociator":
                yield greedy.autoassociate(net, i, tied=config.tied, **phase)
            case "denoising":
                yield greedy.autoassociate(net, i, tied=config.tied, masking=hypers.masking, **phase)
            case "dbn":
                yield greedy.boltzmann(net, i, k=config.k, mean_field=config.mean_field, **phase)


def procedure(config: Config, progress: Progress | None = None) -> Run:
    """The run of a configuration: from a key, `Hypers` and data to the trained parameters and the log of each stage.

    The last two logs are the fine-tuning's `Curve` and the `Errors` of the best epoch.
    """

    def run(key, hypers, data: Data):
        net = MLP(config.widths, initializer=INITIALIZERS[config.initializer])
        key_init, key_train = jax.random.split(key)
        finetune = greedy.finetune(
            net,
            rate=hypers.rate,
            epochs=config.epochs,
            batch_size=config.batch_size,
            patience=config.patience,
            report=progress.report("fine-tuning", epochs=config.epochs) if progress else None,
        )
        error = evaluate(misclassified(partial(logits, net)))
        train = chain(*pretrain(net, config, hypers, progress), finetune, error)
        return train(key_train, init(key_init, net, data.train.x.shape[-1]), data)

    return run


def cost(unit: Unit) -> float:
    """About how long a unit takes, in an arbitrary measure that only compares units."""
    sizes = (784, *unit.config.widths)
    connections = sum(a * b for a, b in itertools.pairwise(sizes)) + 50_000
    return len(unit.seeds) * connections * (2 * unit.config.pretrain_epochs + 20)


def cells() -> list[tuple[str, int, Row]]:
    """Name, experiment and row of every cell of the table."""
    return [(f"exp{experiment}/{row}", experiment, row) for experiment in EXPERIMENTS for row in TITLES]


class Outcome(NamedTuple):
    """All that was done for one cell."""

    searched: list[Unit]
    search: list[dict[str, Any]]
    """The records of the search, as `searched`."""
    chosen: Trial
    trained: list[Unit]
    final: list[dict[str, Any]]
    """The records of the chosen configuration, as `trained`."""


def work(options: Options, data: Data, origin: dict, store: Store) -> dict[str, Outcome]:
    """Search, then train the chosen configurations from fresh seeds, whatever has no record yet."""
    lanes = jax.device_count()
    searches = {cell: search_units(cell, trials(options, e, row), lanes) for cell, e, row in cells()}

    def train(cell: str, trial: Trial) -> list[Unit]:
        return seed_units(cell, trial, options.fresh_seeds(), lanes)

    def first(row: Row) -> Trial:
        return trials(options, 2, row)[0]

    planned = [unit for units in searches.values() for unit in units]
    planned += [unit for cell, _, row in cells() for unit in train(cell, first(row))]
    with Progress({u.name: cost(u) for u in planned if store.load(u.name) is None}) as progress:
        shop = Workshop(store, partial(procedure, progress=progress), data, origin, progress)
        tried = {cell: [shop.do(unit) for unit in units] for cell, units in searches.items()}
        outcomes = {}
        for cell, _, row in cells():
            own = bool(searches[cell])
            chosen = choose(searches[cell], tried[cell]) if own else narrow(outcomes[f"exp2/{row}"].chosen)
            units = train(cell, chosen)
            records = [shop.do(unit) for unit in units]
            outcomes[cell] = Outcome(searches[cell], tried[cell], chosen, units, records)
        return outcomes


def run(options: Options, data: Data, origin: dict, folder: Path) -> None:
    """Do the work that is missing in `folder`, write results and report there, print the table."""
    from experiments.bengio2006_report import publish

    searched = {cell: [(asdict(c), h) for c, h in trials(options, e, row)] for cell, e, row in cells()}
    identity = {"experiment": "bengio2006", "preset": options.preset, "data": origin, "space": searched}
    store, rows = open_store(folder, identity), flat(data)
    publish(options, origin, store, work(options, rows, origin, store), rows)


if __name__ == "__main__":
    contract.main("bengio2006", Options, __doc__.splitlines()[0], run)
