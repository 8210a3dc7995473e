"""Optimizers against NumPy, and against optax's projection."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlx.optim import adam, max_norm, sgd

STEPS = 6


def tree(seed):
    """A net's parameters, or their gradients; the columns of `w` have norms of about 2."""
    rng = np.random.default_rng(seed)
    shapes = {"hidden_0": {"w": (5, 7), "b": (7,)}, "norm_0": {"scale": (7,)}, "odd": {"w": (9,), "v": (5, 7)}}
    return jax.tree.map(
        lambda shape: rng.normal(size=shape).astype(np.float32), shapes, is_leaf=lambda leaf: isinstance(leaf, tuple)
    )


def descend(optimizer, params, steps=STEPS):
    state = optimizer.init(params)
    for step in range(steps):
        updates, state = optimizer.update(tree(step), state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("momentum", [None, 0.5, 0.9])
def test_descent_with_classical_momentum_agrees_with_numpy(momentum):
    """v <- momentum * v + gradient, w <- w - rate * v."""
    start, rate = tree(99), 0.3
    found = jax.jit(lambda rate: descend(sgd(rate, momentum), start))(rate)
    expected, velocity = start, jax.tree.map(np.zeros_like, start)
    for step in range(STEPS):
        velocity = jax.tree.map(lambda v, g: (momentum or 0) * v + g, velocity, tree(step))
        expected = jax.tree.map(lambda w, v: w - rate * v, expected, velocity)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), found, expected)


def numpy_adam(rate, params, steps=STEPS):
    params = params.astype(float)
    s = r = np.zeros_like(params)
    for t in range(1, steps + 1):
        g = tree(t - 1)["hidden_0"]["w"].astype(float)
        s, r = 0.9 * s + 0.1 * g, 0.999 * r + 0.001 * g**2
        params = params - rate * (s / (1 - 0.9**t)) / (np.sqrt(r / (1 - 0.999**t)) + 1e-8)
    return params


def test_adam_agrees_with_numpy():
    start = tree(99)
    rates = np.array([0.1, 0.003], np.float32)
    found = jax.jit(jax.vmap(lambda rate: descend(adam(rate), start)))(rates)
    for i, rate in enumerate(rates):
        expected = numpy_adam(rate, start["hidden_0"]["w"])
        np.testing.assert_allclose(found["hidden_0"]["w"][i], expected, rtol=1e-4, atol=1e-5)


def by_columns(w, c):
    return np.stack([optax.projections.projection_l2_ball(column, c) for column in w.T], 1)


@pytest.mark.parametrize("make", [partial(sgd, 0.3), partial(sgd, 0.3, 0.9), partial(adam, 0.3)])
def test_every_step_with_max_norm_is_a_step_and_a_projection_of_the_columns(make):
    c, free, bound = np.float32(1.8), make(), jax.jit(lambda c: descend(optax.chain(make(), max_norm(c)), tree(99), 1))
    found, moved = bound(c), descend(free, tree(99), 1)
    w, expected = found["hidden_0"].pop("w"), moved["hidden_0"].pop("w")
    np.testing.assert_allclose(w, by_columns(expected, c), rtol=1e-5, atol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), found, moved)


def test_norms_stay_within_the_bound_and_shorter_columns_are_not_touched():
    params, zero = tree(99), jax.tree.map(np.zeros_like, tree(99))
    norms = np.linalg.norm(params["hidden_0"]["w"], axis=0)
    c = float(np.median(norms)) + 1e-3
    updates, _ = max_norm(c).update(zero, optax.EmptyState(), params)
    changed = updates["hidden_0"].pop("w").any(0)
    np.testing.assert_array_equal(changed, norms > c)
    assert 0 < changed.sum() < len(changed)
    assert not any(leaf.any() for leaf in jax.tree.leaves(updates))
    end = descend(optax.chain(sgd(0.3, 0.9), max_norm(c)), params)["hidden_0"]["w"]
    assert np.linalg.norm(end, axis=0).max() <= c * (1 + 1e-5)


def test_a_column_of_zeros_is_short():
    params = {"w": jnp.zeros((3, 2))}
    end, _ = max_norm(1.0).update(params, optax.EmptyState(), params)
    np.testing.assert_array_equal(end["w"], params["w"])


@pytest.mark.parametrize("c", [0.0, -1.0, float("nan")])
def test_a_bound_that_is_not_positive_is_refused_in_words(c):
    with pytest.raises(ValueError, match="must be above 0, not"):
        max_norm(c)
