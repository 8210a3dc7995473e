"""Deep nets against NumPy, and switched units and starts against those that they switch to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dlx.nets.deep import BLOCKS, activations, deep, gated, plain, skip
from dlx.nets.layer import INITIALIZERS, TANH, UNITS, number_of, switch_initializers, switch_units
from dlx.nets.mlp import mlp

DEPTH, WIDTH, VISIBLE = 4, 6, 7
X = jnp.asarray(np.random.default_rng(0).random((5, VISIBLE)), jnp.float32)
GLOROT = INITIALIZERS["glorot"]


def drawn(kind, depth=DEPTH):
    """A net, and parameters of its shapes that are all random."""
    net = deep(kind, depth, WIDTH, classes=3, units=TANH)
    rng = np.random.default_rng(1)
    fresh = net.init(jax.random.key(0), X[0])
    return net, jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), fresh)


def by_numpy(kind, params, x):
    """The units of every layer."""
    z = np.tanh(x @ params["input"]["w"] + params["input"]["b"])
    units = [z]
    for i in range(len(params["layers"]["w"])):
        layer = {name: leaf[i] for name, leaf in params["layers"].items()}
        f = np.tanh(z @ layer["w"] + layer["b"])
        if kind == "gated":
            g = expit(z @ layer["v"] + layer["a"])
            z = g * f + (1 - g) * z
        else:
            z = {"plain": f, "skip": z + f}[kind]
        units.append(z)
    return np.stack(units)


@pytest.mark.parametrize("depth", [1, DEPTH])
@pytest.mark.parametrize("kind", BLOCKS)
def test_logits_and_units_agree_with_numpy(kind, depth):
    net, params = drawn(BLOCKS[kind], depth)
    units = by_numpy(kind, params, X)
    np.testing.assert_allclose(activations(BLOCKS[kind](TANH, GLOROT), TANH)(params, X), units, rtol=1e-4, atol=1e-5)
    logits = units[-1] @ params["output"]["w"] + params["output"]["b"]
    np.testing.assert_allclose(net.apply(params, X), logits, rtol=1e-4, atol=1e-4)
    outputs, carried = net.train(params, jax.random.key(0), X)
    np.testing.assert_array_equal(outputs, net.apply(params, X))
    assert carried == {}


def test_layers_start_from_different_weights_as_their_kind_says():
    starts = {kind: deep(BLOCKS[kind], 50, 40).init(jax.random.key(1), X[0])["layers"] for kind in BLOCKS}
    for layers in starts.values():
        assert len(np.unique(layers["w"], axis=0)) == 49
        assert not layers["b"].any()
    bound = (6 / 80) ** 0.5
    assert 0.99 * bound < np.abs(starts["plain"]["w"]).max() <= bound
    np.testing.assert_allclose(starts["skip"]["w"], starts["plain"]["w"] / 50**0.5, rtol=1e-6)
    np.testing.assert_array_equal(starts["gated"]["a"], np.full((49, 40), -3.0))
    assert np.abs(starts["gated"]["v"] - starts["gated"]["w"]).max() > bound


@pytest.mark.parametrize(("kind", "passes"), [(skip, True), (gated, True), (plain, False)])
def test_only_plain_layers_of_weights_near_0_lose_the_input(kind, passes):
    block = kind(TANH, lambda key, shape, dtype: jnp.full(shape, 1e-6, dtype))
    layer = block.init(jax.random.key(0), 10, WIDTH)
    z = block.apply(layer, jnp.ones((1, WIDTH)))
    assert bool((jnp.abs(z - 1) < 0.1).all()) == passes


@pytest.mark.parametrize("name", UNITS)
def test_switched_units_are_those_of_the_index(name):
    u = jnp.linspace(-3, 3, 13)
    values = jax.jit(lambda index: switch_units(index).mean(u))(float(number_of(name, UNITS)))
    expected = {
        "sigmoid": expit,
        "tanh": np.tanh,
        "relu": lambda u: np.maximum(u, 0),
        "leaky": lambda u: np.where(u > 0, u, u / 100),
        "identity": lambda u: u,
    }[name](np.asarray(u))
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(UNITS[name].mean(u), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_switched_starts_are_those_of_the_index_times_the_scale(name):
    key, shape = jax.random.key(2), (30, 50)
    draw = jax.jit(lambda index, scale: switch_initializers(index, scale)(key, shape))
    drawn = draw(float(number_of(name, INITIALIZERS)), 3.0)
    np.testing.assert_allclose(drawn, 3 * INITIALIZERS[name](key, shape, jnp.float32), rtol=1e-5)


def test_he_starts_have_the_stated_deviation_and_the_others_one_value():
    key = jax.random.key(3)
    w = np.asarray(INITIALIZERS["he"](key, (400, 300), jnp.float32))
    np.testing.assert_allclose(w.std(), (2 / 400) ** 0.5, rtol=0.01)
    assert {len(np.unique(INITIALIZERS[name](key, (4, 3), jnp.float32))) for name in ("zeros", "equal")} == {1}


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="'sigmod'; choose one of sigmoid, tanh, relu, leaky, identity"):
        number_of("sigmod", UNITS)
    with pytest.raises(ValueError, match="depth must be at least 1, not 0"):
        deep(plain, 0, 5)
    with pytest.raises(ValueError, match="width must be at least 1, not 0"):
        deep(plain, 3, 0)
    with pytest.raises(ValueError, match="width 2 must be at least 1, not 0"):
        mlp((5, 0))
    with pytest.raises(ValueError, match="classes must be at least 1, not 0"):
        mlp((5,), 0)
