"""Optimizers against NumPy, and against optax's projection."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlx.optim import RULES, adam, averaged, max_norm, sgd

STEPS = 6


def tree(seed):
    """A net's parameters, or their gradients; the columns of `w` have norms of about 2."""
    rng = np.random.default_rng(seed)
    shapes = {"hidden_0": {"w": (5, 7), "b": (7,)}, "norm_0": {"scale": (7,)}, "odd": {"w": (9,), "v": (5, 7)}}
    return jax.tree.map(
        lambda shape: rng.normal(size=shape).astype(np.float32), shapes, is_leaf=lambda leaf: isinstance(leaf, tuple)
    )


def gradients(step):
    """A long gradient, whose norm is about 10, and after it one of norm .03, and so on."""
    return jax.tree.map(lambda leaf: leaf * np.float32((1, 0.003)[step % 2]), tree(step))


def vector(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(float)


def descend(optimizer, params, steps=STEPS, grads=gradients):
    state = optimizer.init(params)
    for step in range(steps):
        updates, state = optimizer.update(grads(step), state, params)
        params = optax.apply_updates(params, updates)
    return params


def summed(decay, g):
    """The sum of all gradients [steps, n] up to now, each times decay to the power of its age."""
    return decay ** np.arange(len(g))[::-1] @ g


def mean(decay, g):
    """The mean by those weights: what correcting for a start at 0 comes to."""
    return summed(decay, g) / summed(decay, np.ones(len(g)))


def singular(m):
    """Singular values through the quintic polynomial, five times, from m / |m|: the same as on the matrix itself."""
    left, values, right = np.linalg.svd(m / np.linalg.norm(m), full_matrices=False)
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    return left * values @ right


def by_matrices(g):
    """Matrices by their singular values, at the size of Adam's steps; all other parameters by Adam."""
    change, place = FORMULAS["adam"](g), 0
    for leaf in jax.tree.leaves(tree(0)):
        if leaf.ndim == 2:
            m = summed(0.95, g[:, place : place + leaf.size]).reshape(leaf.shape)
            change[place : place + leaf.size] = 0.2 * max(leaf.shape) ** 0.5 * singular(m).ravel()
        place += leaf.size
    return change


FORMULAS = {
    "plain": lambda g: g[-1],
    "momentum": lambda g: summed(0.9, g),
    "average": lambda g: 0.1 * summed(0.9, g),
    "nesterov": lambda g: g[-1] + 0.9 * summed(0.9, g),
    "adagrad": lambda g: g[-1] / np.sqrt((g**2).sum(0) + 1e-8),
    "rmsprop": lambda g: g[-1] / np.sqrt(0.1 * summed(0.9, g**2) + 1e-8),
    "adam": lambda g: mean(0.9, g) / (np.sqrt(mean(0.999, g**2)) + 1e-8),
    "clipped": lambda g: g[-1] * min(1, 0.1 / np.linalg.norm(g[-1])),
    "muon": by_matrices,
}
"""What the rate is multiplied by, from all gradients up to now [steps, n], over all parameters."""


def by_formula(change, rates, start, steps=STEPS):
    g = np.stack([vector(gradients(step)) for step in range(steps)])
    return vector(start) - sum(rate * change(g[: step + 1]) for step, rate in enumerate(rates))


def test_the_formulas_are_of_the_rules():
    assert list(FORMULAS) == list(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_agrees_with_its_formula_over_all_leaves_at_traced_rates(rule):
    start, rates = tree(99), np.array([0.1, 0.003], np.float32)
    ends = jax.jit(jax.vmap(lambda rate: descend(RULES[rule](rate), start)))(rates)
    for i, rate in enumerate(rates):
        expected = by_formula(FORMULAS[rule], [float(rate)] * STEPS, start)
        np.testing.assert_allclose(vector(jax.tree.map(lambda leaf, i=i: leaf[i], ends)), expected, 1e-4, 1e-5)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [None, 0.5])
def test_a_schedule_gives_the_rate_of_each_update_with_any_momentum(momentum, nesterov):
    """v <- momentum * v + gradient, w <- w - rate * v, or Nesterov's w <- w - rate * (gradient + momentum * v)."""
    start, m = tree(99), momentum or 0.0
    change = (lambda g: g[-1] + m * summed(m, g)) if nesterov else (lambda g: summed(m, g))
    scheduled = partial(sgd, momentum=momentum, nesterov=nesterov)
    end = jax.jit(lambda rate: descend(scheduled(lambda count: rate / (1 + count)), start))(0.3)
    expected = by_formula(change, [0.3 / n for n in range(1, STEPS + 1)], start)
    np.testing.assert_allclose(vector(end), expected, 1e-4, 1e-5)


def test_momentum_as_an_average_is_momentum_at_a_tenth_of_the_rate():
    end, expected = (vector(descend(make, tree(99))) for make in (averaged(0.7), sgd(0.7 * 0.1, 0.9)))
    np.testing.assert_allclose(end, expected, 1e-5, 1e-6)
    slow = descend(averaged(0.7, 0.5), tree(99))
    np.testing.assert_allclose(vector(slow), vector(descend(sgd(0.35, 0.5), tree(99))), 1e-5, 1e-6)


def by_columns(w, c):
    return np.stack([optax.projections.projection_l2_ball(column, c) for column in w.T], 1)


@pytest.mark.parametrize("make", [partial(sgd, 0.3), partial(sgd, 0.3, 0.9), partial(adam, 0.3)])
def test_every_step_with_max_norm_is_a_step_and_a_projection_of_the_columns(make):
    c, free, bound = (
        np.float32(1.8),
        make(),
        jax.jit(lambda c: descend(optax.chain(make(), max_norm(c)), tree(99), 1, tree)),
    )
    clipped, moved = bound(c), descend(free, tree(99), 1, tree)
    w, expected = clipped["hidden_0"].pop("w"), moved["hidden_0"].pop("w")
    np.testing.assert_allclose(w, by_columns(expected, c), rtol=1e-5, atol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), clipped, moved)


def test_norms_stay_within_the_bound_and_shorter_columns_are_not_touched():
    params, zero = tree(99), jax.tree.map(np.zeros_like, tree(99))
    norms = np.linalg.norm(params["hidden_0"]["w"], axis=0)
    c = float(np.median(norms)) + 1e-3
    updates, _ = max_norm(c).update(zero, optax.EmptyState(), params)
    changed = updates["hidden_0"].pop("w").any(0)
    np.testing.assert_array_equal(changed, norms > c)
    assert 0 < changed.sum() < len(changed)
    assert not any(leaf.any() for leaf in jax.tree.leaves(updates))
    end = descend(optax.chain(sgd(0.3, 0.9), max_norm(c)), params, grads=tree)["hidden_0"]["w"]
    assert np.linalg.norm(end, axis=0).max() <= c * (1 + 1e-5)


def test_a_column_of_zeros_is_short():
    params = {"w": jnp.zeros((3, 2))}
    end, _ = max_norm(1.0).update(params, optax.EmptyState(), params)
    np.testing.assert_array_equal(end["w"], params["w"])


@pytest.mark.parametrize("c", [0.0, -1.0, float("nan")])
def test_a_bound_that_is_not_positive_is_refused_in_words(c):
    with pytest.raises(ValueError, match="must be above 0, not"):
        max_norm(c)
