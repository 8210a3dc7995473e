"""The shared programs: each option of a layer reaches its stage in `dlx.pretrain`."""

from functools import partial

import jax
import numpy as np
import pytest

from dlx import pretrain
from dlx.classify import merge
from dlx.losses.penalties import contraction
from dlx.nets.layer import GAUSSIAN, INITIALIZERS, SIGMOID, UNITS, LayerKind
from dlx.nets.mlp import codes, hidden, mlp
from dlx.programs import Layer, LayerHypers, greedy_layers
from dlx.show.progress import silent
from dlx.stage import focus
from dlx.study.run.record import one_run
from dlx.unit import Unit
from experiments.expressiveness import FORMULAS

WIDTHS = (8, 6)
KEY = jax.random.key(3)
RATE = 0.4
PHASE = {"rate": RATE, "epochs": 2, "batch_size": 20}
FAN, GLOROT = (mlp(WIDTHS, 10, INITIALIZERS[name]) for name in ("fan", "glorot"))
UNIFORM = INITIALIZERS["fan"]
RBM, AUTO = partial(pretrain.boltzmann, mean_field=True), pretrain.autoassociate
OTHERS = {"initializer": "glorot", "batch_size": 15, "epochs": 1}
OTHER_PHASE = {**PHASE, "batch_size": 15, "epochs": 1}
TWELVE, HEAD = mlp(WIDTHS, 12), partial(pretrain.supervise, classes=12)
VARIANTS = {
    "dbn": (Layer("dbn", (8,), 2), {}, FAN, partial(RBM, **PHASE)),
    "dbn, other options": (Layer("dbn", (8,), k=3, **OTHERS), {}, GLOROT, partial(RBM, k=3, **OTHER_PHASE)),
    "tied": (Layer("autoassociator", (8,), 2), {}, FAN, partial(AUTO, **PHASE)),
    "untied": (Layer("autoassociator", (8,), 2, tied=False), {}, FAN, partial(AUTO, decoder=UNIFORM, **PHASE)),
    "denoising": (Layer("denoising", (8,), 2), {"masking": 0.5}, FAN, partial(AUTO, masking=0.5, **PHASE)),
    "denoising, untied": (
        Layer("denoising", (8,), 2, tied=False),
        {"masking": 0.5},
        FAN,
        partial(AUTO, masking=0.5, decoder=UNIFORM, **PHASE),
    ),
    "squared": (Layer("squared", (8,), 2), {}, FAN, partial(AUTO, kind=LayerKind(SIGMOID, GAUSSIAN), **PHASE)),
    "contractive": (
        Layer("contractive", (8,), 2),
        {"contraction": 0.5},
        FAN,
        partial(AUTO, penalties=[contraction(0.5)], **PHASE),
    ),
    "supervised": (Layer("supervised", (8,), 2, classes=12), {}, TWELVE, partial(HEAD, **PHASE)),
}


@pytest.mark.parametrize(
    ("kinds", "order"),
    [
        (UNITS, "sigmoid tanh relu leaky identity"),
        (INITIALIZERS, "fan glorot he zeros equal"),
        (FORMULAS, "AND/OR/AND of the ORs of pairs"),
    ],
)
def test_records_name_these_by_their_place_so_that_they_only_grow_at_their_ends(kinds, order):
    known = order.split("/" if "/" in order else None)
    assert list(kinds)[: len(known)] == known


def on_layer(i, stage):
    return focus(hidden(i), codes(i), stage)


def run(program, hypers, given, data):
    return jax.jit(one_run(program, silent))(KEY, (hypers, given), data)


@pytest.fixture(scope="module")
def trained(data):
    """What each variant keeps and has found."""
    return {name: run(program, LayerHypers(RATE, **more), (), data) for name, (program, more, *_) in VARIANTS.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_layer_is_trained_as_its_stage_trains_it(trained, data, name):
    _, _, net, stage = VARIANTS[name]
    kept, result = trained[name]

    def by_hand(key, data):
        key_init, key_train = jax.random.split(key)
        return on_layer(0, stage())(jax.random.fold_in(key_train, 0), net.init(key_init, data.train.x[0]), data)

    params, curve = jax.jit(by_hand)(KEY, data)
    assert set(kept) == {"hidden_0"}
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), kept["hidden_0"], params["hidden_0"])
    np.testing.assert_allclose(result.curves["train"]["loss"], curve.metrics["loss"], rtol=1e-4)
    np.testing.assert_allclose(result.score, curve.score[-1], rtol=1e-4)


def test_ways_to_train_a_layer_differ(trained):
    weights = {name: np.asarray(kept["hidden_0"]["w"]) for name, (kept, _) in trained.items()}
    alike = [
        (a, b) for a in weights for b in weights if a < b and np.allclose(weights[a], weights[b], rtol=1e-3, atol=1e-5)
    ]
    assert not alike


def test_mean_field_updates_are_what_an_rbm_is_trained_by(trained, data):
    def sampled(key, data):
        key_init, key_train = jax.random.split(key)
        stage = on_layer(0, pretrain.boltzmann(mean_field=False, **PHASE))
        return stage(jax.random.fold_in(key_train, 0), FAN.init(key_init, data.train.x[0]), data)

    params, _ = jax.jit(sampled)(KEY, data)
    assert not np.allclose(params["hidden_0"]["w"], trained["dbn"][0]["hidden_0"]["w"], atol=1e-4)


def test_a_layer_stands_on_those_below_it_which_it_leaves_as_they_are(trained, data):
    below = trained["tied"][0]
    above, _ = run(Layer("supervised", WIDTHS, 2, initializer="glorot"), LayerHypers(RATE), (below,), data)
    assert set(above) == {"hidden_1"}

    def by_hand(key, below, data):
        key_init, key_train = jax.random.split(key)
        start = {**GLOROT.init(key_init, data.train.x[0]), **below}
        stage = on_layer(1, pretrain.supervise(initializer=INITIALIZERS["glorot"], **PHASE))
        return stage(jax.random.fold_in(key_train, 1), start, data)

    params, _ = jax.jit(by_hand)(KEY, below, data)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), above["hidden_1"], params["hidden_1"])


def test_its_progress_is_told_by_layer_and_only_errors_in_percent(data):
    told = []

    def progress(stage, **more):
        told.append((stage, more))

    for method, given in (("supervised", ()), ("dbn", ({},))):
        program = Layer(method, WIDTHS, 5)
        jax.eval_shape(one_run(program, progress), KEY, (LayerHypers(RATE), given), data)
    assert told == [("layer 1", {"epochs": 5, "percent": True}), ("layer 2", {"epochs": 5, "percent": False})]


def test_greedy_layers_stand_each_on_all_below_it():
    program = partial(Layer, "dbn", epochs=4, k=2)
    first, second, third = greedy_layers(program, (5, 4, 3), LayerHypers(0.1), 7)
    assert first == Unit(program(widths=(5,)), LayerHypers(0.1), (), 7)
    assert second == Unit(program(widths=(5, 4)), LayerHypers(0.1), (first,), 7)
    assert third == Unit(program(widths=(5, 4, 3)), LayerHypers(0.1), (first, second), 7)
    assert greedy_layers(program, (5, 4), LayerHypers(0.1), 7) == (first, second), "shared with deeper nets"


def test_of_entries_of_the_same_name_the_last_one_counts():
    assert merge(({"a": 1, "b": 2}, {"b": 3}, {})) == {"a": 1, "b": 3}
    assert merge(()) == {}
