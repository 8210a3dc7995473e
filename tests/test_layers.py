"""What is said of a net layer by layer, against NumPy, finite differences in float64, and known sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.inspect import layers
from dlx.losses.supervised import cross_entropy
from dlx.nets.deep import activations, deep, plain, skip
from dlx.nets.layer import INITIALIZERS, RELU, TANH
from dlx.types import Labelled

DEPTH, WIDTH = 3, 4
RNG = np.random.default_rng(0)
BATCH = Labelled(RNG.random((6, 5)), RNG.integers(0, 10, 6))


def net_of(units, kind=plain):
    net = deep(kind, DEPTH, WIDTH, units=units)
    return net, activations(kind(units, INITIALIZERS["glorot"]), units)


def looked_at(units):
    """By layer, in float64, with the parameters and the loss."""
    net, view = net_of(units)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), net.init(jax.random.key(0), BATCH.x[0]))
    loss = cross_entropy(net)
    told = layers.by_layer(jax.random.key(1), loss, view, params, jax.tree.map(jnp.asarray, BATCH))
    return told, params, loss, np.asarray(view(params, jnp.asarray(BATCH.x)))


def test_the_norm_of_the_gradient_is_that_of_finite_differences():
    with jax.enable_x64(True):
        told, params, loss, _ = looked_at(TANH)
        batch = jax.tree.map(jnp.asarray, BATCH)
        value = jax.jit(lambda params: loss(params, jax.random.key(1), batch)[0])
        stacked = [np.asarray(params["input"]["w"])[None], np.asarray(params["layers"]["w"])]
        norms = []
        for part, entry in zip(stacked, ("input", "layers"), strict=True):
            for i, w in enumerate(part):
                slopes = []
                for place in np.ndindex(w.shape):
                    ends = []
                    for step in (1e-6, -1e-6):
                        moved = part.copy()
                        moved[(i, *place)] += step
                        here = {**params[entry], "w": jnp.asarray(moved if entry == "layers" else moved[0])}
                        ends.append(float(value({**params, entry: here})))
                    slopes.append((ends[0] - ends[1]) / 2e-6)
                norms.append(np.linalg.norm(slopes))
    np.testing.assert_allclose(told["gradient"], norms, rtol=1e-5)


@pytest.mark.parametrize("units", [TANH, RELU])
def test_units_are_described_as_by_numpy(units):
    with jax.enable_x64(True):
        told, *_, h = looked_at(units)
    np.testing.assert_allclose(told["variance"], [layer.var() for layer in h], rtol=1e-9)
    np.testing.assert_allclose(told["active"], [(layer != 0).mean() for layer in h])
    np.testing.assert_allclose(told["inactive"], [(layer.max(0) <= 0).mean() for layer in h])


def test_decades_and_steps_of_known_sequences():
    falling = jnp.array([1e-4, 1e-3, 1e-2, 1e-1])
    np.testing.assert_allclose(layers.decades_lost(falling), 1, rtol=1e-5)
    np.testing.assert_allclose(layers.decades_lost(falling[::-1]), -1, rtol=1e-5)
    np.testing.assert_allclose(layers.largest_step(jnp.array([1.0, 4.0, 2.0, 8.0])), 2)
    np.testing.assert_allclose(layers.decades_apart(jnp.array([3.0, 0.3, 30.0])), 2, rtol=1e-5)
    values = RNG.random(7).astype(np.float32)
    slope = np.polyfit(np.arange(7), np.log10(values), 1)[0]
    np.testing.assert_allclose(layers.decades_lost(jnp.asarray(values)), slope, rtol=1e-4)
    assert np.isfinite(layers.decades_lost(jnp.zeros(4)))


def test_the_gradient_of_a_plain_net_is_proportional_to_inputs_and_that_of_another_is_seen_to_differ():
    one = Labelled(jnp.asarray(BATCH.x[:1], jnp.float32), jnp.asarray(BATCH.y[:1]))
    for kind, alike in ((plain, True), (skip, False)):
        net, view = net_of(TANH, kind)
        params = net.init(jax.random.key(2), one.x[0])
        wrong = view if alike else lambda params, x, view=view: 2 * view(params, x)
        gap = layers.gap_to_inputs(jax.random.key(3), cross_entropy(net), wrong, params, one)
        assert (float(gap) < 1e-6) == alike
