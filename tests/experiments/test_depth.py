"""The shared programs of deep nets against the same steps by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from dlx.nets.layer import INITIALIZERS, UNITS, number_of
from dlx.show.progress import silent
from dlx.study.run.record import one_run
from experiments.depth import Deep, NetHypers

KEY = jax.random.key(3)
TANH_GLOROT = NetHypers(number_of("tanh", UNITS), number_of("glorot", INITIALIZERS), 0.1)


def run(program, hypers, given, data):
    return jax.jit(one_run(program, silent))(KEY, (hypers, given), data)


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
