"""Greedy layer-wise training of deep networks, on MNIST (Bengio, Lamblin, Popovici & Larochelle, NIPS 2006).

Experiment 2 sets three hidden layers against one; Experiment 3 is the same with a top hidden layer of 20 units. For
each row, that is a way to pre-train, the same number of configurations is tried; the one with the lowest validation
error is trained again from fresh seeds, and those runs are reported. Experiment 3 takes over the choice of pre-training
and searches the rate of fine-tuning again. Under the paper's rows stand ours: what pre-training is worth from Glorot's
initialisation, and beside rectified nets as they are trained today.

    python -m experiments.bengio2006 --preset quick     # embedded 8 x 8 digits, about a minute on two cores
    python -m experiments.bengio2006 --preset paper     # MNIST; results/bengio2006/report.md gives hardware and time

Lecture: CMU 10-601B 16, "Deep Learning (Part I)", Ideas #1 to #3; CS7015 lecture 9, "Unsupervised pre-training".
"""

import io
from collections.abc import Iterator
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
from dlx.show.progress import Progress
from dlx.stage import chain, evaluate
from dlx.store import Store, open_store
from dlx.sweep import Run
from dlx.types import Data, Stage
from experiments import contract
from experiments.protocol import Unit, Workshop
from experiments.search import Trial

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
    """Rates of fine-tuning to search, instead of the preset's; not for rectified nets, which Adam trains."""
    search: Literal["grid", "random"] = "grid"
    trials: int = 9
    """Configurations a row of a random search."""
    halving: bool = False
    """Train every configuration for a quarter of the epochs first, and only the better half to the end."""
    seeds_today: int | None = None
    """Fresh seeds a cell of the rows that are not the paper's. Default: 2 for quick, 3 for paper."""

    def fresh_seeds_today(self) -> int:
        """How many seeds a cell that is not the paper's is trained from."""
        return self.seeds_today or {"quick": 2, "paper": 3}[self.preset]


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
    return Unit(f"layers/{config.row}", config, hypers._replace(rate=0.0), seed, below, keeps=True)


def tuning_unit(group: str, trial: Trial, seed: int, keeps: bool = False) -> Unit:
    """The fine-tuning of a configuration: one program for all rows, which differ in what it starts from.

    It `keeps` its filters for a figure, if asked to.
    """
    config, hypers = trial
    if config.row not in get_args(Pretraining):
        return Unit(group, config, hypers, seed, keeps=keeps)
    start = layer_unit(trial, len(config.widths), seed)
    plain = Config("deep", config.widths, 0, config.epochs, config.patience, config.batch_size)
    return Unit(group, replace(plain, initializer=config.initializer), Hypers(hypers.rate), seed, start, keeps)


def run(options: Options, data: Data, origin: dict, folder: Path) -> None:
    """Do the work that is missing in `folder`, write results and report there, print the table."""
    from experiments.bengio2006_plan import cost, work
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
