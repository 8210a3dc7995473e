"""Recurrent nets that are unfolded: against layers written out in NumPy, and their gradient against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.nets.recurrent import CELLS, recurrent
from dlx.nets.unfolded import unfolded, unfolded_gaps

RNG = np.random.default_rng(0)


def test_a_layer_a_step_reads_its_input_and_the_layer_below():
    x, output = RNG.normal(size=(4, 3, 2)), {"w": RNG.normal(size=(5, 2)), "b": RNG.normal(size=2)}
    layers = [
        {"i": {"kernel": RNG.normal(size=(2, 5)), "bias": RNG.normal(size=5)}, "h": {"kernel": RNG.normal(size=(5, 5))}}
        for _ in range(3)
    ]
    h = np.zeros((4, 5))
    for t, layer in enumerate(layers):
        h = np.tanh(x[:, t] @ layer["i"]["kernel"] + layer["i"]["bias"] + h @ layer["h"]["kernel"])
    with jax.enable_x64(True):
        found = unfolded("simple", jax.tree.map(jnp.asarray, layers), output, jnp.asarray(x))
    np.testing.assert_allclose(found, h @ output["w"] + output["b"], rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_those_of_the_recurrent_net(cell):
    gaps = unfolded_gaps(jax.random.key(1), cell, 5)
    assert max(gaps) < 1e-12


def test_the_gap_shows_a_layer_whose_weights_are_others():
    net, x = recurrent("gru", (5,), 2), jnp.asarray(RNG.normal(size=(4, 3, 2)), jnp.float32)
    params = net.init(jax.random.key(0), x[0])
    own = jax.tree.map(lambda leaf: 1.1 * leaf, params["forward_0"])
    apart = unfolded("gru", [own, *[params["forward_0"]] * 2], params["output"], x) - net.apply(params, x)
    assert np.abs(apart).max() > 1e-4
