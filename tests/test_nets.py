"""Networks against a forward pass in NumPy, and their initial values against the stated distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest, uniform

from dlx.nets.deep import deep, plain
from dlx.nets.layer import BINARY, INITIALIZERS, RELU, TANH, as_float
from dlx.nets.logical import min_max
from dlx.nets.masked import masked
from dlx.nets.mlp import codes, hidden, in_order, mlp, widths_of
from dlx.nets.normalised import normalised
from dlx.nets.rectified import rectified
from dlx.nets.standardised import standardised

NET = mlp((8, 6), classes=5)
VISIBLE = 7


def fresh(seed, net, visible):
    return net.init(jax.random.key(seed), np.zeros(visible, np.uint8))


@pytest.fixture(scope="module")
def params():
    zeros = fresh(0, NET, VISIBLE)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), zeros)


def numpy_codes(params, x, depth):
    for i in range(depth):
        layer = params[hidden(i)]
        x = expit(x @ layer["w"] + layer["b"])
    return x


@pytest.mark.parametrize("shape", [(VISIBLE,), (4, VISIBLE), (2, 3, VISIBLE)])
def test_logits_agree_with_numpy(params, shape):
    x = np.random.default_rng(1).random(shape).astype(np.float32)
    expected = numpy_codes(params, x, 2) @ params["output"]["w"] + params["output"]["b"]
    np.testing.assert_allclose(NET.apply(params, jnp.asarray(x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
def test_codes_agree_with_numpy_at_every_depth(params, depth):
    x = np.random.default_rng(2).random((4, VISIBLE)).astype(np.float32)
    code = codes(depth)(params, jnp.asarray(x))
    np.testing.assert_allclose(code, numpy_codes(params, x, depth), rtol=1e-5)


def test_a_layer_reads_in_both_directions(params):
    layer, rng = params[hidden(0)], np.random.default_rng(3)
    x, h = rng.random((4, VISIBLE)).astype(np.float32), rng.random((4, 8)).astype(np.float32)
    up, down = BINARY.encode(layer, jnp.asarray(x)), BINARY.decode(layer, jnp.asarray(h))
    np.testing.assert_allclose(up, expit(x @ layer["w"] + layer["b"]), rtol=1e-5)
    np.testing.assert_allclose(down, expit(h @ layer["w"].T + layer["c"]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("fan", lambda i, o: max(i, o) ** -0.5), ("glorot", lambda i, o: (6 / (i + o)) ** 0.5)],
)
def test_weights_start_uniform_within_the_stated_bound_and_biases_at_zero(name, bound):
    params = fresh(4, mlp((200, 60), classes=90, initializer=INITIALIZERS[name]), 100)
    for layer in params.values():
        w = np.asarray(layer["w"])
        limit = bound(*w.shape)
        assert 0.99 * limit < np.abs(w).max() <= limit * (1 + 1e-6)
        assert kstest(w.ravel(), uniform(-limit, 2 * limit).cdf).pvalue > 1e-3
        assert not any(np.any(layer[bias]) for bias in set(layer) - {"w"})


def test_the_initialization_is_that_of_2006_unless_another_is_given():
    given = fresh(4, mlp((200, 60), initializer=INITIALIZERS["fan"]), 100)
    jax.tree.map(np.testing.assert_array_equal, fresh(4, mlp((200, 60)), 100), given)
    assert given["output"]["w"].shape == (60, 10)


@pytest.mark.parametrize(
    "net",
    [
        mlp((5,)),
        rectified((5,)),
        normalised((5,)),
        deep(plain, 2, 5),
        masked(3, 5),
        min_max(2, 2),
        standardised(mlp((5,))),
    ],
)
def test_nets_of_full_layers_refuse_images_by_name_and_tell_the_remedy(net):
    said = (
        r"takes vectors, and an input has the shape \(8, 8\); make images flat, by dlx.data.flat.*images\(flat=True\)"
    )
    with pytest.raises(ValueError, match=said):
        net.init(jax.random.key(0), np.zeros((8, 8), np.uint8))


def test_layers_start_from_different_numbers():
    params = fresh(5, mlp((9, 9, 9), classes=9), 9)
    weights = [np.asarray(layer["w"]) for layer in params.values()]
    assert len({w.tobytes() for w in weights}) == 4


def test_parameters_have_the_stated_names_and_shapes():
    shapes = jax.tree.map(np.shape, fresh(6, NET, VISIBLE), is_leaf=lambda x: hasattr(x, "shape"))
    assert shapes == {
        "hidden_0": {"w": (VISIBLE, 8), "b": (8,), "c": (VISIBLE,)},
        "hidden_1": {"w": (8, 6), "b": (6,), "c": (8,)},
        "output": {"w": (6, 5), "b": (5,)},
    }


def test_layers_come_from_below_and_tell_how_wide_the_net_is(params):
    shuffled = {name: params[name] for name in ("output", "hidden_1", "hidden_0")}
    assert [layer["b"].size for layer in in_order(shuffled)] == [8, 6, 5]
    assert widths_of(shuffled) == ((8, 6), 5)
    assert widths_of(fresh(0, mlp((), classes=3), VISIBLE)) == ((), 3)


def test_as_float_scales_intensities_and_leaves_floats():
    x = as_float(jnp.arange(256, dtype=jnp.uint8))
    assert x.dtype == jnp.float32
    np.testing.assert_array_max_ulp(np.asarray(x), np.arange(256, dtype=np.float32) / np.float32(255), 1)
    same = jnp.array([-2.0, 0.5, 300.0])
    np.testing.assert_array_equal(as_float(same), same)


@pytest.mark.parametrize(("units", "activation"), [(TANH, np.tanh), (RELU, lambda u: np.maximum(u, 0))])
def test_units_of_other_kinds_agree_with_numpy(params, units, activation):
    x = expected = np.random.default_rng(4).random((4, VISIBLE)).astype(np.float32)
    for i in range(2):
        expected = activation(expected @ params[hidden(i)]["w"] + params[hidden(i)]["b"])
    np.testing.assert_allclose(codes(2, units)(params, jnp.asarray(x)), expected, rtol=1e-4, atol=1e-5)
    logits = mlp((8, 6), 5, units=units).apply(params, jnp.asarray(x))
    outputs = expected @ params["output"]["w"] + params["output"]["b"]
    np.testing.assert_allclose(logits, outputs, rtol=1e-4, atol=1e-5)


def test_pixels_are_seen_as_floats_and_in_training_as_in_use(params):
    pixels = np.random.default_rng(5).integers(0, 256, (4, VISIBLE), np.uint8)
    expected = NET.apply(params, jnp.asarray(pixels / np.float32(255)))
    np.testing.assert_allclose(NET.apply(params, jnp.asarray(pixels)), expected, rtol=1e-6)
    outputs, carried = NET.train(params, jax.random.key(0), jnp.asarray(pixels))
    np.testing.assert_array_equal(outputs, NET.apply(params, jnp.asarray(pixels)))
    assert carried == {}
