"""Greedy layer-wise training: what each stage may touch and see, and what it is good for, on real digits.

The compiled stages and procedures are those of the laws.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax
from test_laws import HYPERS, KEYS, NET, VISIBLE, identical, lane, member

from dlx import greedy
from dlx.data import load
from dlx.nets.mlp import MLP, hidden, init
from dlx.stage import chain
from dlx.types import Data, Split

LAYER_TRAINED = {
    "autoassociate, tied": 1,
    "autoassociate, untied": 1,
    "autoassociate, denoising": 0,
    "boltzmann, k=1": 1,
    "boltzmann, k=3": 0,
    "supervise": 1,
}


def run(name, data, **hypers):
    """A stage of the laws: parameters and log."""
    changed = lane(0, HYPERS)._replace(**{key: jnp.full((), value, jnp.float32) for key, value in hypers.items()})
    result = member(name).alone(KEYS[0], changed, member(name).params, data)
    assert member(name).traces.count("alone") == 1
    return result


every_way = pytest.mark.parametrize("name", LAYER_TRAINED)


@every_way
def test_one_layer_is_trained_and_all_else_stays_bit_identical(name, data):
    start, trained = member(name).params, hidden(LAYER_TRAINED[name])
    end, curve = run(name, data)
    others = {entry for entry in start if entry != trained}
    identical({entry: end[entry] for entry in others}, {entry: start[entry] for entry in others})
    changed = {entry for entry in start[trained] if not np.array_equal(end[trained][entry], start[trained][entry])}
    assert changed == ({"w", "b"} if name == "supervise" else {"w", "b", "c"})
    assert curve.epochs == 2


@every_way
def test_neither_validation_nor_test_digits_are_seen(name, data):
    garbage = Data(data.train, *(Split(255 - x[::-1], 9 - y) for x, y in data[1:]))
    (end, curve), (end_again, curve_again) = run(name, data), run(name, garbage)
    identical((end, curve.loss), (end_again, curve_again.loss))
    assert (curve.valid != curve_again.valid).any()


@every_way
def test_labels_are_seen_by_supervised_pretraining_alone(name, data):
    relabelled = Data(*(Split(x, 9 - y) for x, y in data))
    (end, curve), (end_again, curve_again) = run(name, data), run(name, relabelled)
    if name == "supervise":
        assert (curve.loss != curve_again.loss).any()
    else:
        identical((end, curve), (end_again, curve_again))


def test_an_untied_decoder_is_drawn_from_the_initializer(data):
    """At rate 0 the first loss is that of the untouched encoder and a decoder of the transposed shape."""
    end, curve = run("autoassociate, untied", data, pretrain_rate=0.0)
    identical(end, member("autoassociate, untied").params)
    below, layer = end[hidden(0)], end[hidden(1)]
    x = expit(data.train.x / 255 @ below["w"] + below["b"])
    decoder = NET.initializer(jax.random.split(KEYS[0])[0], layer["w"].T.shape)
    u = np.asarray(expit(x @ layer["w"] + layer["b"]) @ decoder + layer["c"])
    losses = (np.logaddexp(0, u) - x * u).sum(1)
    assert losses.min() <= curve.first_loss <= losses.max()
    assert float(curve.loss[0]) == pytest.approx(float(losses.mean()), rel=0.01), "56 of the 60 examples"


@pytest.mark.parametrize("row", ["deep", "autoassociator", "denoising", "supervised", "dbn"])
def test_fine_tuning_starts_from_the_pretrained_layers_and_a_fresh_output_layer(row, data):
    """Fine-tuning at rate 0 returns what it was given, and its loss is that of those parameters."""
    name = f"experiment 2, {row}"
    end, (*_, (curve, errors)) = run(name, data, rate=0.0)
    start = init(jax.random.split(KEYS[0])[0], MLP((8, 6)), VISIBLE)
    identical(end["output"], start["output"])
    for i in range(2):
        trained = not np.array_equal(end[hidden(i)]["w"], start[hidden(i)]["w"])
        assert trained == (row != "deep")
    x = data.train.x / 255
    for layer in (end[hidden(0)], end[hidden(1)], end["output"]):
        u = np.asarray(x @ layer["w"] + layer["b"])
        x = expit(u)
    expected = -log_softmax(u, axis=1)[np.arange(60), data.train.y].mean()
    assert float(curve.loss[0]) == pytest.approx(expected, rel=1e-5)
    assert errors.train == pytest.approx((u.argmax(1) != data.train.y).mean())


@pytest.fixture(scope="module")
def digits():
    return Data(*(Split(x.reshape(-1, VISIBLE), y) for x, y in load("digits")))


def first_epoch(pretrain, key, data):
    """The loss of the first epoch of fine-tuning, after this pre-training of each layer."""
    net = MLP((64, 64))
    tuned = greedy.finetune(net, rate=0.5, epochs=1, batch_size=20, patience=1)
    stages = [pretrain(net, i, epochs=10, batch_size=20) for i in range(2)] if pretrain else []
    return chain(*stages, tuned)(key, init(key, net, VISIBLE), data)[1][-1].loss[0]


@pytest.fixture(scope="module")
def loss_without(digits):
    return jax.jit(partial(first_epoch, None))(KEYS[0], digits)


@pytest.mark.parametrize(
    ("stage", "rate"), [(greedy.autoassociate, 0.1), (greedy.boltzmann, 0.2), (greedy.supervise, 0.5)]
)
def test_pretraining_lowers_the_loss_of_the_first_epoch_of_fine_tuning(stage, rate, digits, loss_without):
    loss = jax.jit(partial(first_epoch, partial(stage, rate=rate)))(KEYS[0], digits)
    assert loss < 0.9 * loss_without


def test_a_net_learns_500_digits_by_heart(digits):
    few = Split(*(array[:500] for array in digits.train))
    net = MLP((64,))
    tuned = greedy.finetune(net, rate=1.0, epochs=60, batch_size=20, patience=60)
    _, curve = jax.jit(tuned)(KEYS[0], init(KEYS[1], net, VISIBLE), Data(few, few, few))
    assert curve.valid[curve.best] == 0
    assert jnp.nanmin(curve.loss) < 0.1
