"""The shared programs of deep nets against the same steps by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx import greedy
from dlx.inspect.layers import by_layer
from dlx.losses.supervised import cross_entropy
from dlx.nets.deep import activations, deep, plain, skip
from dlx.nets.layer import BINARY, INITIALIZERS, TANH, UNITS, number_of
from dlx.programs import Rate, Stack
from dlx.programs.deep import Deep, NetHypers
from dlx.show.progress import silent
from dlx.study.record import one_run
from dlx.train import take

KEY = jax.random.key(3)
TANH_GLOROT = NetHypers(number_of("tanh", UNITS), number_of("glorot", INITIALIZERS), 0.1)


def run(program, hypers, given, data):
    return jax.jit(one_run(program, silent))(KEY, (hypers, given), data)


def test_a_stack_is_trained_layer_by_layer_on_the_codes_below(data):
    kept, result = run(Stack(3, 6, 2, 20), Rate(0.3), (), data)
    stage = greedy.boltzmann(rate=0.3, epochs=2, batch_size=20, mean_field=True)
    layers, scores, seen = [], [], data
    for key in jax.random.split(KEY, 3):
        key_init, key_train = jax.random.split(key)
        visible = seen.train.x.shape[1]
        w = INITIALIZERS["glorot"](key_init, (visible, 6), jnp.float32)
        layer, curve = stage(key_train, {"w": w, "b": jnp.zeros(6), "c": jnp.zeros(visible)}, seen)
        layers.append(layer)
        scores.append(curve.score[-1])
        seen = type(data)(*(split._replace(x=BINARY.encode(layer, jnp.asarray(split.x))) for split in seen))
    np.testing.assert_allclose(kept["input"]["w"], layers[0]["w"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kept["layers"]["w"], [one["w"] for one in layers[1:]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(kept["layers"]["b"], [one["b"] for one in layers[1:]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.score, np.mean(scores[1:]), rtol=1e-4)


@pytest.mark.parametrize("kind", [plain, skip])
def test_a_net_is_looked_into_at_its_start(data, kind):
    program = Deep(kind.__name__, 3, 6, 0, 20, looked_at=15)
    _, result = run(program, TANH_GLOROT, (), data)
    net = deep(kind, 3, 6, units=TANH)
    key_init, _, key_look = jax.random.split(KEY, 3)
    view, batch = activations(kind(TANH, INITIALIZERS["glorot"]), TANH), take(data.train, jnp.arange(15))
    expected = by_layer(key_look, cross_entropy(net), view, net.init(key_init, data.train.x[0]), batch)
    for name, values in expected.items():
        np.testing.assert_allclose(result.curves["start"][name], values, rtol=1e-4, atol=1e-6)


def test_a_net_starts_from_what_is_given_its_bias_and_its_scale_and_obeys_the_limit(data):
    given = ({"input": {"w": jnp.zeros((data.train.x.shape[1], 6)), "b": jnp.ones(6)}},)
    start = run(Deep("plain", 3, 6, 0, 20), TANH_GLOROT, given, data)[1].curves["start"]
    np.testing.assert_allclose(start["variance"][0], 0, atol=1e-10)
    plainly = run(Deep("plain", 3, 6, 1, 20), TANH_GLOROT, (), data)[1]
    for changed in ({"scale": 3.0}, {"bias": -2.0}):
        other = run(Deep("plain", 3, 6, 0, 20), TANH_GLOROT._replace(**changed), (), data)[1]
        assert np.abs(other.curves["start"]["variance"] - plainly.curves["start"]["variance"]).max() > 1e-3
    limited = run(Deep("plain", 3, 6, 1, 20), TANH_GLOROT._replace(limit=1e-6), (), data)[1]
    assert 0 < limited.measures["end"]["moved"] < 1e-4 < plainly.measures["end"]["moved"]
