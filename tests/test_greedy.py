"""Greedy layer-wise training: what each stage may touch and see, and what it is good for, on real digits."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from dlx import greedy
from dlx.data import load
from dlx.nets.mlp import MLP, hidden, init
from dlx.stage import chain
from dlx.types import Data, Split

VISIBLE = 64
NET = MLP((8, 6))
KEY = jax.random.key(1)
PHASE = {"rate": 0.3, "epochs": 2, "batch_size": 7}

PRETRAIN = {
    "tied": greedy.autoassociate,
    "untied": partial(greedy.autoassociate, tied=False),
    "denoising": partial(greedy.autoassociate, masking=0.25),
    "boltzmann": greedy.boltzmann,
    "supervise": greedy.supervise,
}


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def params():
    return init(jax.random.key(0), NET, VISIBLE)


@cache
def pretrained_bottom_up(name):
    """Both hidden layers, one after the other."""
    return jax.jit(chain(*(PRETRAIN[name](NET, i, **PHASE) for i in range(2))))


every_way = pytest.mark.parametrize("name", PRETRAIN)


@every_way
def test_hidden_layers_change_and_the_output_layer_is_that_of_the_beginning(name, params, data):
    """The output layers of supervised pre-training are others, made afresh and thrown away."""
    end, curves = pretrained_bottom_up(name)(KEY, params, data)
    identical(end["output"], params["output"])
    visible_bias = {"w", "b"} if name == "supervise" else {"w", "b", "c"}
    for i in range(2):
        changed = {k for k in params[hidden(i)] if not np.array_equal(end[hidden(i)][k], params[hidden(i)][k])}
        assert changed == visible_bias
    assert [int(curve.epochs) for curve in curves] == [2, 2]


@every_way
def test_neither_validation_nor_test_digits_are_seen(name, params, data):
    garbage = Data(data.train, *(Split(255 - x[::-1], 9 - y) for x, y in data[1:]))
    ends = [pretrained_bottom_up(name)(KEY, params, given) for given in (data, garbage)]
    identical(ends[0][0], ends[1][0])
    identical([curve.loss for curve in ends[0][1]], [curve.loss for curve in ends[1][1]])
    assert any((a.valid != b.valid).any() for a, b in zip(ends[0][1], ends[1][1], strict=True))


@pytest.mark.parametrize("name", [name for name in PRETRAIN if name != "supervise"])
def test_labels_are_not_seen_without_supervision(name, params, data):
    relabelled = Data(*(Split(x, 9 - y) for x, y in data))
    ends = [pretrained_bottom_up(name)(KEY, params, given) for given in (data, relabelled)]
    identical(*ends)


def test_an_untied_decoder_is_drawn_from_the_initializer_and_leaves_no_entry(params, data):
    """At rate 0 the first loss is that of the untouched encoder and a decoder of the transposed shape."""
    tied, untied = (
        jax.jit(greedy.autoassociate(NET, 0, rate=0.0, epochs=1, batch_size=60, tied=tied))(KEY, params, data)
        for tied in (True, False)
    )
    assert set(untied[0][hidden(0)]) == {"w", "b", "c"}
    decoder = NET.initializer(jax.random.split(KEY)[0], (8, VISIBLE))
    layer, x = params[hidden(0)], data.train.x / 255
    h = expit(x @ layer["w"] + layer["b"])
    for (_, curve), weights in ((tied, layer["w"].T), (untied, decoder)):
        u = h @ weights + layer["c"]
        expected = (np.logaddexp(0, u) - x * u).sum(1).mean()
        assert float(curve.first_loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["tied", "boltzmann", "supervise"])
def test_fine_tuning_starts_from_the_pretrained_layers(name, params, data):
    tuned = greedy.finetune(NET, rate=0.0, epochs=1, batch_size=60, patience=1)
    train = jax.jit(chain(*(PRETRAIN[name](NET, i, **PHASE) for i in range(2)), tuned))
    start, (*_, curve) = train(KEY, params, data)
    identical(start, pretrained_bottom_up(name)(KEY, params, data)[0])
    code = data.train.x / 255
    for layer in (start[hidden(0)], start[hidden(1)], start["output"]):
        u = code @ layer["w"] + layer["b"]
        code = expit(u)
    expected = -log_softmax(u, axis=1)[np.arange(60), data.train.y].mean()
    assert float(curve.first_loss) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def digits():
    return Data(*(Split(x.reshape(-1, VISIBLE), y) for x, y in load("digits")))


def first_epoch(pretrain, key, data):
    """The loss of the first epoch of fine-tuning, after this pre-training of each layer."""
    net = MLP((64, 64, 64))
    phase = {"rate": 0.1, "epochs": 5, "batch_size": 20}
    tuned = greedy.finetune(net, rate=0.5, epochs=1, batch_size=20, patience=1)
    stages = [pretrain(net, i, **phase) for i in range(3)] if pretrain else []
    return chain(*stages, tuned)(key, init(key, net, VISIBLE), data)[1][-1].loss[0]


@pytest.fixture(scope="module")
def plain_first_epoch(digits):
    return jax.jit(partial(first_epoch, None))(KEY, digits)


@pytest.mark.parametrize("name", ["tied", "denoising", "boltzmann", "supervise"])
def test_pretraining_lowers_the_loss_of_the_first_epoch_of_fine_tuning(name, digits, plain_first_epoch):
    assert jax.jit(partial(first_epoch, PRETRAIN[name]))(KEY, digits) < 0.8 * plain_first_epoch


def test_a_net_learns_500_digits_by_heart(digits):
    few = Split(*(array[:500] for array in digits.train))
    net = MLP((64,))
    tuned = greedy.finetune(net, rate=1.0, epochs=60, batch_size=20, patience=60)
    _, curve = jax.jit(tuned)(KEY, init(KEY, net, VISIBLE), Data(few, few, few))
    assert curve.valid[curve.best] == 0
    assert jnp.nanmin(curve.loss) < 0.1
