"""A masked net against the net of its own width."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.data.generated import Targets
from dlx.losses.supervised import squared_error
from dlx.nets.layer import RELU, TANH
from dlx.nets.masked import masked

X = jnp.asarray(np.random.default_rng(0).normal(size=(7, 3)), jnp.float32)


def of_own_width(params, width, depth, function):
    """The same in NumPy, from the first units of each layer."""
    x = np.asarray(X)
    for i in range(depth):
        w, b = (np.asarray(params[f"hidden_{i}"][name]) for name in ("w", "b"))
        x = function(x @ w[: x.shape[1], :width] + b[:width])
    return x @ np.asarray(params["output"]["w"])[:width] + np.asarray(params["output"]["b"])


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize(
    ("depth", "units", "function"), [(1, TANH, np.tanh), (3, RELU, lambda u: np.maximum(u, 0))], ids=["tanh", "relu"]
)
def test_it_is_the_net_of_its_first_units(width, depth, units, function):
    def output(width):
        net = masked(width, 5, depth, 2, units)
        params = net.init(jax.random.key(0), X[0])
        return params, net.apply(params, X)

    params, outputs = jax.jit(output)(float(width))
    np.testing.assert_allclose(outputs, of_own_width(params, width, depth, function), rtol=1e-4, atol=1e-6)
    bounds = [3, *[width] * depth]
    for layer, count in zip(params.values(), bounds, strict=True):
        for leaf in layer.values():
            assert np.abs(leaf).max() <= count**-0.5


@pytest.mark.parametrize("width", [4.0, 60.0])
def test_narrow_nets_start_from_as_wide_a_range_as_their_own_units_ask_for(width):
    params = masked(jnp.asarray(width), 60, 2).init(jax.random.key(0), X[0])
    for layer, count in zip(params.values(), [3, width, width], strict=True):
        for leaf in layer.values():
            if leaf.size > 1:
                assert 0.9 < np.abs(leaf).max() * count**0.5 <= 1
                assert np.std(leaf) * count**0.5 == pytest.approx(3**-0.5, rel=0.25)


def test_units_that_do_not_count_get_no_gradient():
    net = masked(2, 5, 2)
    params = net.init(jax.random.key(0), X[0])
    batch = Targets(X, jnp.ones((7, 1)))
    grads = jax.grad(squared_error(net), has_aux=True)(params, jax.random.key(1), batch)[0]
    first, second, output = (grads[name] for name in ("hidden_0", "hidden_1", "output"))
    for leaf in (first["w"][:, 2:], first["b"][2:], second["w"][2:], second["w"][:, 2:], output["w"][2:]):
        assert not jnp.any(leaf)
    for leaf in (first["w"][:, :2], second["w"][:2, :2], output["w"][:2]):
        assert jnp.all(leaf != 0)


@pytest.mark.parametrize(
    ("sizes", "words"), [((1, 0), "at least"), ((1, 4, 0), "at least"), ((5, 4), "1 to 4"), ((0, 4), "1 to 4")]
)
def test_a_net_that_cannot_be_is_an_error(sizes, words):
    with pytest.raises(ValueError, match=words):
        masked(*sizes)
