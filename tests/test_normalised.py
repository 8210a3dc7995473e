"""Nets with batch normalisation, against flax, NumPy and finite differences."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from dlx.losses.supervised import cross_entropy
from dlx.nets.layer import RELU, SIGMOID
from dlx.nets.mlp import hidden
from dlx.nets.module import STATISTICS
from dlx.nets.normalised import DECAY, EPSILON, normalised, pre_activations, to_normalise
from dlx.stage import population
from dlx.types import Data, Labelled

WIDTHS = (5, 4)
X = jax.random.normal(jax.random.key(0), (30, 3))
Y = jax.random.randint(jax.random.key(1), (30,), 0, 2)


def drawn(units=SIGMOID):
    """A net, and parameters none of which is 0 or 1."""
    net = normalised(WIDTHS, 2, units=units)
    leaves, tree = jax.tree.flatten(net.init(jax.random.key(2), X[0]))
    keys = jax.random.split(jax.random.key(3), len(leaves))
    moved = [leaf + 0.2 * jax.random.uniform(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return net, tree.unflatten(moved)


class Flax(nn.Module):
    """The same net by flax."""

    units: object

    @nn.compact
    def __call__(self, x, training):
        for width in WIDTHS:
            x = nn.Dense(width, use_bias=False)(x)
            x = self.units(nn.BatchNorm(momentum=DECAY, epsilon=EPSILON)(x, use_running_average=not training))
        return nn.Dense(2)(x)


def as_flax(params):
    trained = {f"Dense_{i}": {"kernel": params[hidden(i)]["w"]} for i in range(len(WIDTHS))}
    trained |= {
        f"BatchNorm_{i}": {"scale": params[hidden(i)]["scale"], "bias": params[hidden(i)]["b"]}
        for i in range(len(WIDTHS))
    }
    trained["Dense_2"] = {"kernel": params["output"]["w"], "bias": params["output"]["b"]}
    running = {f"BatchNorm_{i}": params[STATISTICS][hidden(i)] for i in range(len(WIDTHS))}
    return {"params": trained, "batch_stats": running}


@pytest.mark.parametrize("units", [SIGMOID, RELU], ids=lambda units: units.name)
def test_it_computes_what_flax_does_in_training_and_in_use(units):
    net, params = drawn(units)
    module = Flax(units.mean)
    np.testing.assert_allclose(net.apply(params, X), module.apply(as_flax(params), X, False), rtol=1e-4, atol=1e-5)
    expected, renewed = module.apply(as_flax(params), X, True, mutable=["batch_stats"])
    output, carried = net.train(params, jax.random.key(4), X)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)
    for i in range(len(WIDTHS)):
        for of, value in renewed["batch_stats"][f"BatchNorm_{i}"].items():
            np.testing.assert_allclose(carried[STATISTICS][hidden(i)][of], value, rtol=1e-4, atol=1e-5)


def test_ghost_batches_are_normalised_each_by_itself_and_their_mean_statistics_are_carried():
    net, params = drawn()
    ghosts = normalised(WIDTHS, 2, ghost=10)
    key = jax.random.key(4)
    output, carried = ghosts.train(params, key, X)
    expected = [net.train(params, key, part) for part in X.reshape(3, 10, -1)]
    np.testing.assert_allclose(output, np.concatenate([one for one, _ in expected]), rtol=1e-5, atol=1e-6)
    for i in range(len(WIDTHS)):
        for of in ("mean", "var"):
            mean = np.mean([one[STATISTICS][hidden(i)][of] for _, one in expected], 0)
            np.testing.assert_allclose(carried[STATISTICS][hidden(i)][of], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ghosts.apply(params, X), net.apply(params, X))
    with pytest.raises(ValueError, match="a minibatch of 30 does not fall into parts of 8; choose a multiple"):
        normalised(WIDTHS, 2, ghost=8).train(params, key, X)


def test_in_training_units_get_the_mean_and_deviation_that_are_learnt():
    net, params = drawn()
    params, _ = population(to_normalise(WIDTHS))(jax.random.key(5), params, Data(*[Labelled(X, Y)] * 3))
    for i in range(len(WIDTHS)):
        z = np.asarray(pre_activations(i)(params, X))
        np.testing.assert_allclose(z.mean(0), params[hidden(i)]["b"], atol=1e-4)
        np.testing.assert_allclose(z.std(0), params[hidden(i)]["scale"], rtol=1e-2)
    np.testing.assert_allclose(net.apply(params, X), net.train(params, jax.random.key(4), X)[0], rtol=1e-3, atol=1e-5)


def test_stored_statistics_are_those_of_all_training_examples_layer_by_layer():
    _, params = drawn()
    stored, _ = population(to_normalise(WIDTHS))(jax.random.key(5), params, Data(*[Labelled(X, Y)] * 3))
    x = np.asarray(X, float)
    for i in range(len(WIDTHS)):
        layer = jax.tree.map(np.asarray, params[hidden(i)])
        z = x @ layer["w"]
        np.testing.assert_allclose(stored[STATISTICS][hidden(i)]["mean"], z.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(stored[STATISTICS][hidden(i)]["var"], z.var(0), rtol=1e-4, atol=1e-6)
        z = layer["scale"] * (z - z.mean(0)) / np.sqrt(z.var(0) + EPSILON) + layer["b"]
        x = 1 / (1 + np.exp(-z))
    assert jax.tree.structure(stored) == jax.tree.structure(params)


def test_the_scale_of_weights_does_not_change_the_loss():
    net, params = drawn()
    loss, batch = cross_entropy(net), Labelled(X, Y)
    longer = {**params, "hidden_0": {**params["hidden_0"], "w": 30 * params["hidden_0"]["w"]}}
    values = [loss(one, jax.random.key(6), batch)[0] for one in (params, longer)]
    np.testing.assert_allclose(*values, rtol=1e-3)


def test_a_width_is_positive():
    with pytest.raises(ValueError, match="width 2"):
        normalised((5, 0))
