"""The training of the rows of Bengio et al. 2006 against the same stages of `dlx` put together by hand."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from dlx import pretrain
from dlx.classify import classify
from dlx.losses.supervised import misclassified
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.noise import SILENT, dropout
from dlx.nets.rectified import rectified
from dlx.optim import adam, max_norm, sgd
from dlx.programs import Rate
from dlx.show.progress import silent
from dlx.stage import chain, evaluate, focus
from dlx.study.run.record import one_run
from dlx.unit import Unit
from experiments.bengio2006 import Finetune, Options, unit

KEY = jax.random.key(3)
TINY = {"epochs": 4, "patience": 1, "batch_size": 10}
OTHER = {"epochs": 4, "patience": 4, "batch_size": 20}
NETS = {
    "sigmoid": (Finetune("sigmoid", (8, 6), **TINY), 2.0),
    "sigmoid, other options": (Finetune("sigmoid", (8, 6), initializer="glorot", **OTHER), 2.0),
    "relu": (Finetune("relu", (8, 6), **TINY), 0.01),
    "dropout": (Finetune("dropout", (8, 6), **TINY), 0.3),  # a rate at which weights grow to the largest norm
    "batchnorm": (Finetune("batchnorm", (8, 6), **TINY), 0.01),
}


def stage(name, rate):
    """Net and stage of a way to fine-tune, by hand."""
    if name.startswith("sigmoid"):
        start, phase = ("fan", TINY) if name == "sigmoid" else ("glorot", OTHER)
        net = mlp((8, 6), 10, INITIALIZERS[start])
        return net, classify(net, sgd(rate), **phase)
    noise = dropout() if name == "dropout" else SILENT
    net = rectified((8, 6), 10, normalised=name == "batchnorm", noise=noise)
    rule = {"dropout": optax.chain(adam(rate), max_norm(3.0))}.get(name, adam(rate))
    return net, classify(net, rule, **TINY)


def program_of(units, data):
    """The results of all units, each given what those before it keep."""

    def run(data):
        kept, results = {}, {}
        for one in units:
            given = tuple(kept[other] for other in one.given)
            kept[one], results[one] = one_run(one.program, silent)(jax.random.key(one.seed), (one.hypers, given), data)
        return list(results.values()), kept[units[-1]]

    return jax.jit(run)(data)


close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def tuned(data):
    return {name: program_of([Unit(program, Rate(rate), (), 3)], data) for name, (program, rate) in NETS.items()}


@pytest.mark.parametrize("name", NETS)
def test_a_net_is_fine_tuned_as_its_stage_does_it(tuned, data, name):
    net, tune = stage(name, NETS[name][1])

    def by_hand(data):
        key_init, key_train = jax.random.split(KEY)
        train = chain(tune, evaluate(error=misclassified(net)))
        return train(jax.random.fold_in(key_train, 0), net.init(key_init, data.train.x[0]), data)

    params, (curve, errors) = jax.jit(by_hand)(data)
    (result,), kept = tuned[name]
    close(result.curves["train"]["loss"], curve.metrics["loss"])
    close(result.curves["valid"]["score"], curve.score)
    assert float(result.measures["fit"]["best"]) == curve.best
    for split in ("train", "valid", "test"):
        close(result.measures[split]["error"], getattr(errors, split)["error"])
    assert float(result.score) == float(errors.valid["error"])
    ours, theirs = (w[:, np.argsort(w[0])] for w in (np.asarray(kept["filters"]), np.asarray(params["hidden_0"]["w"])))
    np.testing.assert_allclose(ours, theirs, rtol=1e-2, atol=1e-2)


def test_ways_to_fine_tune_differ(tuned):
    losses = {name: np.nan_to_num(result.curves["train"]["loss"]) for name, ((result,), _) in tuned.items()}
    assert not [(a, b) for a in losses for b in losses if a < b and np.allclose(losses[a], losses[b], rtol=1e-3)]


PHASE, GLOROT = {"rate": 0.3, "epochs": 2, "batch_size": 20}, INITIALIZERS["glorot"]
ROWS = {
    "dbn": (Options(k=2), {}, pretrain.boltzmann(mean_field=True, k=2, **PHASE)),
    "autoassociator": (Options(), {}, pretrain.autoassociate(**PHASE)),
    "denoising": (
        Options(tied=False),
        {"masking": 0.4, "initializer": "glorot"},
        pretrain.autoassociate(masking=0.4, decoder=GLOROT, **PHASE),
    ),
    "supervised": (Options(), {"initializer": "glorot"}, pretrain.supervise(initializer=GLOROT, **PHASE)),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_units_of_a_row_one_after_the_other_are_its_chain(row, data):
    options, more, layer = ROWS[row]
    trial = {"width": 8, "top": 6, "depth": 2, "rate": 1.5, "pretrain_epochs": 2, "pretrain_rate": 0.3, **TINY}
    last = unit(row, options, 3, **trial, **more)
    net = mlp((8, 6), 10, INITIALIZERS[more.get("initializer", "fan")])
    tune = chain(classify(net, sgd(1.5), **TINY), evaluate(error=misclassified(net)))

    def by_hand(data):
        key_init, key_train = jax.random.split(KEY)
        layers = [focus(hidden(i), codes(i), layer) for i in range(2)]
        return chain(*layers, tune)(key_train, net.init(key_init, data.train.x[0]), data)

    _, (first, second, (curve, errors)) = jax.jit(by_hand)(data)
    results, _ = program_of(last.lineage, data)
    assert len(results) == 3
    for result, expected in zip(results, (first, second, curve), strict=True):
        close(result.curves["train"]["loss"], expected.metrics["loss"])
        close(result.curves["valid"]["score"], expected.score)
    close(results[-1].measures["test"]["error"], errors.test["error"])
    np.testing.assert_array_equal(results[-1].measures["test"]["wrong"], np.asarray(errors.per_example["error"]) > 0)
