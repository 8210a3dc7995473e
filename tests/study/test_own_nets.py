"""The README's nets as pages of their own, from the library through search, claim and figure to the report.

A convolutional net with dropout and batch normalisation, a recurrent one on padded sequences, and one without labels.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest

from dlx import study
from dlx.algorithms import gradient
from dlx.data import Dataset, Provenance, fingerprint, flat, read
from dlx.inspect.weights import near_zero
from dlx.losses.penalties import l2, penalised
from dlx.losses.supervised import cross_entropy, mean_of, misclassified
from dlx.nets.module import STATISTICS, model
from dlx.optim import adam, max_norm
from dlx.stage import chain, evaluate
from dlx.study import ERRORS, Claim, Figure, Metric, Result, Row, Study, Unit, claims, command, figures
from dlx.train import fit, minibatches, valid
from dlx.types import Data, Labelled

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
OF_README: dict[str, Any] = {}
exec(re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[-1], OF_README)
Padded, Unlabelled = OF_README["Padded"], OF_README["Unlabelled"]
SIZES = (240, 100, 100)


class Ways(NamedTuple):
    """A rate, and how much weights are kept small."""

    rate: float
    l2: float = 0.0
    norm: float = 1e6


@dataclass(frozen=True)
class TrainNet:
    """The training of one of the README's nets. Keeps it."""

    net: str
    epochs: int
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        labelled = hasattr(data.train, "y")
        net = model(OF_README[self.net](self.classes) if labelled else OF_README[self.net]())
        loss = cross_entropy(net) if labelled else mean_of(OF_README["rebuilt"], net)
        error = misclassified(net) if labelled else OF_README["error"]
        rule = optax.chain(adam(hypers.rate), max_norm(hypers.norm))
        train = fit(
            gradient(penalised(loss, l2(hypers.l2)), rule),
            minibatches(20),
            epochs=self.epochs,
            score=valid(error),
            patience=self.epochs,
            progress=progress("net", epochs=self.epochs, percent=labelled),
        )
        key_init, key_train = jax.random.split(key)
        start = net.init(key_init, jax.tree.map(lambda leaf: leaf[0], data.train.x))
        params, (curve, errors) = chain(train, evaluate(error=error))(key_train, start, data)
        result = Result.of(curve, errors)
        return params, result._replace(measures={**result.measures, "weights": {"small": near_zero(params)}})


def images(options):
    dataset = read("digits")
    splits = (Labelled(split.x[:n], split.y[:n]) for split, n in zip(dataset.data, SIZES, strict=True))
    return dataset._replace(data=Data(*splits))


def sequences(options):
    """Each is labelled by its last token that counts; what follows is at random."""
    rng, splits = np.random.default_rng(0), []
    for n in SIZES:
        tokens, lengths = rng.integers(0, 4, (n, 6)).astype(np.int32), rng.integers(1, 7, n).astype(np.int32)
        splits.append(Labelled(Padded(tokens, lengths), tokens[np.arange(n), lengths - 1]))
    data = Data(*splits)
    return Dataset(data, Provenance("sequences", "generated", "generated", fingerprint(data)), (6,), 4)


def unlabelled(options):
    data = Data(*(Unlabelled((split.x / 255).astype(np.float32)) for split in flat(images(options).data)))
    return Dataset(data, Provenance("unlabelled", "generated", "generated", fingerprint(data)), (8, 8), 0)


SMALL = Metric("weights/small", "small weights")
PAGES = {
    "Convolutional": (images, ERRORS, [0.001, 0.01], 8),
    "Recurrent": (sequences, ERRORS, [0.0001, 0.03], 12),
    "Autoencoder": (unlabelled, [Metric("test/error", "squared error")], [0.0001, 0.01], 5),
}


def page(name):
    data, metrics, rates, epochs = PAGES[name]

    def build(seed, rate, **more):
        return Unit(TrainNet(name, epochs), Ways(rate, **more), seed=seed)

    rows = [
        Row("free", "free", build, [{"rate": rates}], keep=1),
        Row("bounded", "bounded", build, [{"rate": rates[-1], "l2": 0.01, "norm": 0.5}], keep=1),
    ]
    test = metrics[-1]
    return Study(
        "Is it so?\n\nA net of one's own.",
        data,
        lambda options, about: rows,
        metrics=[*metrics, SMALL],
        claims=[Claim("More bounded weights are small.", claims.higher(SMALL, "bounded", "free"))],
        figures={
            "bars.png": Figure(figures.bars(test), "Errors."),
            "search.png": Figure(figures.search("score"), "Of each rate."),
        },
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_net_of_ones_own_goes_from_the_library_to_the_report(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "prepare", lambda options: options.check())
    options = study.CommonOptions(out=tmp_path, seeds=2, devices=1)
    command.train_and_publish(page(name), name, options, "python -m page")
    outcome = tmp_path / name
    content, report = json.loads((outcome / "results.json").read_text()), (outcome / "report.md").read_text()
    assert "could not be drawn" not in report
    assert all((outcome / file).exists() for file in ("bars.png", "search.png", "report.html", "records.tar.xz"))
    assert "; 2 seeds" in content["claims"][0]["words"]
    rows = {(entry["row"], entry["metric"]): entry for entry in content["rows"]}
    test = page(name).metrics[-2].label
    free, other = rows["free", test], rows["bounded", test]
    assert (free["n"], free["diverged"]) == (2, 0)
    tried = {entry["rate"]: entry for entry in content["search"] if entry["row"] == "free"}
    assert tried[PAGES[name][2][-1]]["chosen"], "the larger rate learns, the smaller one does not yet"
    assert free["mean"] < {"Convolutional": 25, "Recurrent": 15, "Autoencoder": 5}[name]
    assert (other["n"], other["diverged"]) == (2, 0)

    found = study.find(page(name), options)
    unit = found["free"].units[0]
    record, kept = found["free"].records[0], study.load(page(name), unit, options)
    labelled = name != "Autoencoder"
    assert ("wrong" in record["measures"]["test"]) == labelled, "of squared errors no example is right or wrong"
    assert bool(content["tests"]) == labelled
    assert unit.program.classes == {"Convolutional": 10, "Recurrent": 4, "Autoencoder": 10}[name]
    bounded = study.load(page(name), found["bounded"].units[0], options)
    for kernel in (leaf for path, leaf in jax.tree.leaves_with_path(bounded) if "kernel" in jax.tree_util.keystr(path)):
        norms = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]).astype(float), axis=0)
        assert norms.max() <= 0.5 * (1 + 1e-5)
    if name == "Convolutional":
        assert (kept[STATISTICS]["BatchNorm_0"]["mean"] != 0).all()
    assert "warning" not in capsys.readouterr().err
