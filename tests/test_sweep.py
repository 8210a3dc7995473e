"""Many runs as one program: each gives what it gives alone, on however many devices."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx import greedy
from dlx.nets.mlp import MLP, init
from dlx.sweep import sweep

NET = MLP((4,))
TRACES = []


class Rate(NamedTuple):
    rate: jax.Array


def run(key, hypers, data):
    TRACES.append(hypers)
    key_init, key_train = jax.random.split(key)
    stage = greedy.finetune(NET, rate=hypers.rate, epochs=6, batch_size=7, patience=1)
    return stage(key_train, init(key_init, NET, 64), data)


SWEPT, ALONE = sweep(run), jax.jit(run)


def batch(seeds):
    return jax.vmap(jax.random.key)(seeds), Rate(0.1 + 0.6 * seeds)


@pytest.mark.parametrize("runs", [3, 4])
def test_every_run_gives_what_it_gives_alone(data, runs):
    keys, hypers = batch(jnp.arange(runs))
    found = SWEPT(keys, hypers, data)
    used = max(n for n in range(1, jax.device_count() + 1) if runs % n == 0)
    for leaf in jax.tree.leaves(found):
        assert len(leaf.sharding.device_set) == used
    found, close = jax.device_get(found), partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    for i in range(runs):
        alone = ALONE(keys[i], Rate(hypers.rate[i]), data)
        jax.tree.map(close, jax.tree.map(lambda leaf, i=i: leaf[i], found), alone)


def test_one_and_two_devices_give_the_same(data):
    """Three and four runs that begin alike: the four are shared out over two devices, the three are not."""
    if jax.device_count() != 2:
        pytest.skip("needs two devices")
    three, four = (SWEPT(*batch(jnp.arange(runs)), data) for runs in (3, 4))
    assert [len(curve.loss.sharding.device_set) for _, curve in (three, four)] == [1, 2]
    four = jax.tree.map(lambda leaf: leaf[:3], jax.device_get(four))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), jax.device_get(three), four)
    assert len(set(four[1].epochs.tolist())) > 1, "runs that stop at different epochs"


def test_a_second_call_does_not_trace_again(data):
    keys, hypers = batch(jnp.arange(4))
    first = SWEPT(keys, hypers, data)
    before = len(TRACES)
    second = SWEPT(*batch(jnp.arange(10, 14)), data)
    assert len(TRACES) == before
    assert not np.array_equal(first[1].loss, second[1].loss)
