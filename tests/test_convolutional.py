"""Layers that see images, and the nets that are stacked of them, against NumPy, SciPy and the papers' numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.signal import correlate2d

from dlx.inspect.counts import count, parameter_count
from dlx.nets.convnetjs import STRIDE, convnetjs, convnetjs_layers
from dlx.nets.convolutional import Biased, Conv, Local, Scaled, Table, Transposed, as_images, flat, network, outputs
from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.lenet import TABLE, lenet5, lenet5_layers
from dlx.nets.module import Affine
from dlx.nets.pooling import POOLS, average_pool, max_pool
from dlx.nets.weights import is_weight

KEY = jax.random.key(0)
DIGITS = np.random.default_rng(0).integers(0, 256, (3, 784), np.uint8)
X = np.random.default_rng(1).normal(size=(2, 5, 6, 3))


def start(layer, x=X):
    """Parameters of one layer, drawn in float64, biases too; call it with x64."""
    fresh = layer.init(KEY, jnp.asarray(x))["params"]
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), fresh)


def correlated(x, w):
    """[..., unit] of one image, by SciPy."""
    channels, units = w.shape[2:]
    made = [sum(correlate2d(x[..., i], w[..., i, u], "valid") for i in range(channels)) for u in range(units)]
    return np.stack(made, -1)


def of_conv(params, x):
    return np.stack([correlated(one, params["w"]) for one in x]) + params["b"]


def of_table(params, x):
    pairs = [(0, 0), (2, 0), (1, 1), (0, 2), (1, 2), (2, 2)]
    kernel = np.zeros((3, 2, 3, 3))
    for place, (channel, unit) in enumerate(pairs):
        kernel[:, :, channel, unit] = params["w"][..., place]
    return of_conv({"w": kernel, "b": params["b"]}, x)


def of_local(params, x):
    x = np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    w, made = params["w"].reshape(3, 2, 3, 3, 5, 4), np.zeros((2, 3, 5, 4))
    for n, i, j, u in np.ndindex(made.shape):
        made[n, i, j, u] = (x[n, 2 * i : 2 * i + 3, j : j + 2] * w[:, :, :, i, j, u]).sum()
    return made + params["b"].reshape(3, 5, 4)


def of_transposed(params, x):
    made = np.zeros((2, 11, 12, 4))
    for i, j in np.ndindex(5, 6):
        made[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2] += np.einsum("nc,abcu->nabu", x[:, i, j], params["w"])
    return made + params["b"]


LAYERS = {
    "shared": (Conv(4, (3, 2)), of_conv, (3, 2, 3, 4)),
    "table": (Table(((0, 2), (1,), (0, 1, 2)), (3, 2)), of_table, (3, 2, 6)),
    "local": (Local(4, (3, 2), (2, 1), (1, 0)), of_local, (3, 2, 3, 60)),
    "transposed": (Transposed(4, (3, 2), 2), of_transposed, (3, 2, 3, 4)),
    "biased": (Biased(), lambda params, x: x + params["b"].reshape(1, 5, 6, 3), None),
    "scaled": (Scaled(), lambda params, x: x * params["scale"] + params["bias"], None),
}


@pytest.mark.parametrize(("layer", "by_hand", "shape"), LAYERS.values(), ids=LAYERS)
def test_layers_are_what_loops_make_and_are_differentiated(layer, by_hand, shape):
    with jax.enable_x64(True):
        params = start(layer)
        run = jax.jit(lambda params, x: layer.apply({"params": params}, x))
        expected = by_hand(jax.tree.map(np.asarray, params), X)
        np.testing.assert_allclose(run(params, jnp.asarray(X)), expected, rtol=1e-9, atol=1e-9)
        check_grads(run, (params, jnp.asarray(X)), order=1, modes=["rev"], rtol=1e-5)
    if shape is not None:
        assert params["w"].shape == shape
        assert is_weight(params) == {"w": True, "b": False}


def test_local_weights_are_drawn_place_by_place_and_those_of_a_table_as_one_layer():
    local, table = (one.init(KEY, jnp.zeros((1, 9, 9, 4)))["params"]["w"] for one in (Local(6, 3), Table(((0, 1),), 3)))
    limits = (6 / (9 * 4 + 6)) ** 0.5, (6 / (9 * 2 + 9)) ** 0.5
    for w, limit in zip((local, table), limits, strict=True):
        assert 0.8 * limit < np.abs(w).max() <= limit
    assert len(np.unique(local)) > 0.99 * local.size, "no place has the weights of another"


def test_lenet5_has_the_papers_numbers_of_parameters_and_connections():
    counts = {}
    for name, options in {"plain": {}, "original": {"original": True}, "local": {"shared": False}}.items():
        net = lenet5(**options)
        params = jax.eval_shape(net.init, KEY, DIGITS[0])
        counts[name] = {layer: parameter_count(entry) for layer, entry in params.items()}
    plain = {"c1": 156, "c3": 2416, "c5": 48_120, "f6": 10_164, "output": 850}
    assert counts["plain"] == plain
    assert sum(plain.values()) == 61_706
    assert counts["original"] == {**plain, "c3": 1516, "s2": 12, "s4": 32}
    assert sum(counts["original"].values()) - 850 == 60_000
    assert counts["local"] == {**plain, "c1": 28 * 28 * 6 * 26, "c3": 10 * 10 * 16 * 151}
    assert [len(seen) for seen in TABLE] == [3] * 6 + [4] * 9 + [6]
    assert TABLE[4:6] == ((0, 4, 5), (0, 1, 5)), "columns 4 and 5 of the paper's table"
    assert TABLE[12:15] == ((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5))
    connections = 784 * 6 * 25 + 100 * 16 * 150 + 400 * 120 + 120 * 84 + 840
    net = lenet5()
    assert count(net.apply, jax.eval_shape(net.init, KEY, DIGITS[0]), DIGITS[:1]).forward == 2 * connections, (
        "on any platform"
    )


def squash(u):
    return 1.7159 * np.tanh(2 / 3 * u)


def halved(x):
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).mean((1, 3))


def test_lenet5_is_what_scipy_makes_of_its_parameters():
    net = lenet5()
    given = jax.tree.map(lambda leaf: leaf + 0.01, net.init(KEY, DIGITS[0]))
    params, logits = jax.tree.map(np.asarray, given), []
    for digit in DIGITS / 255:
        h = squash(correlated(np.pad(digit.reshape(28, 28, 1), ((2, 2), (2, 2), (0, 0))), params["c1"]["w"]) + 0.01)
        h = halved(squash(correlated(halved(h), params["c3"]["w"]) + 0.01)).ravel()
        for name in ("c5", "f6"):
            h = squash(h @ params[name]["w"] + 0.01)
        logits.append(h @ params["output"]["w"] + 0.01)
    np.testing.assert_allclose(jax.jit(net.apply)(given, jnp.asarray(DIGITS)), logits, rtol=1e-3, atol=1e-4)


def test_convnetjs_is_what_scipy_makes_of_its_parameters():
    net = convnetjs()
    params = net.init(KEY, DIGITS[0])
    for name in ("first", "second"):
        np.testing.assert_allclose(params[name]["b"], 0.1)
    assert params["first"]["w"].std() == pytest.approx(1 / 5, rel=0.2)
    given, params, logits = params, jax.tree.map(np.asarray, params), []
    for digit in DIGITS / 255:
        h = digit.reshape(28, 28, 1)[2:26, 2:26]
        for name, size in (("first", 2), ("second", 3)):
            h = np.maximum(correlated(np.pad(h, ((2, 2), (2, 2), (0, 0))), params[name]["w"]) + 0.1, 0)
            h = h.reshape(h.shape[0] // size, size, h.shape[1] // size, size, -1).max((1, 3))
        logits.append(h.ravel() @ params["output"]["w"])
    np.testing.assert_allclose(jax.jit(net.apply)(given, jnp.asarray(DIGITS)), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pool", [*POOLS, STRIDE])
def test_convnetjs_has_the_same_parameters_however_it_pools(pool):
    shapes = [
        jax.tree.map(np.shape, jax.eval_shape(net.init, KEY, DIGITS[0])) for net in (convnetjs(), convnetjs(pool=pool))
    ]
    assert shapes[0] == shapes[1]


def test_groups_cut_the_weights_of_the_second_convolution():
    made = [jax.eval_shape(convnetjs(groups=groups).init, KEY, DIGITS[0])["second"]["w"].shape for groups in (1, 2, 4)]
    assert made == [(5, 5, fan_in, 16) for fan_in in (8, 4, 2)]


def test_what_each_layer_makes_is_at_hand():
    layers = convnetjs_layers()
    params = network(layers).init(KEY, DIGITS[0])
    made = jax.jit(outputs(layers))(params, jnp.asarray(DIGITS))
    maps, flats = [(28, 8), (28, 8), (14, 8), (14, 16), (14, 16), (4, 16)], [(3, 256), (3, 10)]
    assert [one.shape for one in made] == [(3, side, side, units) for side, units in maps] + flats
    np.testing.assert_allclose(made[-1], jax.jit(network(layers).apply)(params, jnp.asarray(DIGITS)), rtol=1e-5)
    np.testing.assert_array_equal(made[1], np.maximum(made[0], 0))


@pytest.mark.parametrize(
    ("shape", "image", "seen"),
    [
        ((9,), None, (3, 3, 1)),
        ((4, 5), None, (4, 5, 1)),
        ((4, 5, 3), None, (4, 5, 3)),
        ((20,), (4, 5), (4, 5, 1)),
        ((60,), (4, 5, 3), (4, 5, 3)),
        ((1,), None, (1, 1, 1)),
    ],
)
def test_images_of_all_shapes_are_seen(shape, image, seen):
    pixels = np.random.default_rng(5).integers(0, 256, (2, *shape), np.uint8)
    made = as_images(jnp.asarray(pixels), image)
    np.testing.assert_allclose(made, pixels.reshape(2, *seen) / 255, rtol=1e-6)
    net = network((Conv(2, 1, name="a"), flat, Affine(3, INITIALIZERS["glorot"], name="b")), image)
    params = jax.eval_shape(net.init, KEY, pixels[0])
    assert jax.eval_shape(net.apply, params, jnp.asarray(pixels)).shape == (2, 3)


REFUSED = {
    "no square": (lambda: lenet5().init(KEY, np.zeros(783, np.uint8)), r"no image of 27 x 27.*image=\(28, 28\)"),
    "other image": (lambda: lenet5(image=(8, 9)).init(KEY, np.zeros(64)), "is no image of 8 x 9 pixels"),
    "a volume": (lambda: lenet5().init(KEY, np.zeros((4, 4, 4, 4))), "an image has a height, a width"),
    "tiny": (lambda: lenet5().init(KEY, np.zeros(64)), "a window of 5 x 5 is larger than the image, which has 4 x 4"),
    "groups": (lambda: convnetjs(groups=3).init(KEY, np.zeros(784)), "3 groups do not divide 8 channels and 16 units"),
    "stride": (lambda: network((Conv(1, 3, 0, name="a"),)).init(KEY, np.zeros(9)), "the stride .* not .0, 0."),
    "units": (lambda: network((Local(0, 3, name="a"),)).init(KEY, np.zeros(9)), "units must be at least 1, not 0"),
    "table": (lambda: network((Table(((1,),), 2, name="a"),)).init(KEY, np.zeros(9)), "more channels than the 1 that"),
    "pool": (lambda: lenet5(pool="mean"), "'mean'.*max, average, l2, none"),
    "pool of convnetjs": (lambda: convnetjs(pool="mean"), "'mean'.*max, average, l2, none, stride"),
    "local original": (lambda: lenet5(original=True, shared=False), "choose one of the two"),
    "part": (lambda: convnetjs(side=30).init(KEY, np.zeros(784)), "28 x 28 pixels has no part of 30 x 30"),
    "places": (lambda: convnetjs(parts=((0.5, 1.5),)), "shares from 0 to 1"),
}


@pytest.mark.parametrize(("make", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_words_before_anything_compiles(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_options_of_lenet5_change_its_layers():
    layers = lenet5_layers(pool="max", units=RELU)
    assert jax.nn.relu in layers
    x = jnp.asarray(X)
    np.testing.assert_array_equal(layers[2](x), max_pool(2)(x))
    np.testing.assert_array_equal(lenet5_layers()[2](x), average_pool(2)(x))
