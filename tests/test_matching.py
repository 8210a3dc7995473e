"""The order of hidden units: what it leaves as it is, and the best one, against SciPy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from dlx.nets.matching import correlations, match, reorder
from dlx.nets.mlp import codes, mlp

WIDTHS = (7, 5)
NET = mlp(WIDTHS, 3)
X = jax.random.uniform(jax.random.key(0), (40, 4))
ONE, OTHER = (NET.init(jax.random.key(i), X[0]) for i in (1, 2))
ORDERS = [jax.random.permutation(jax.random.key(i), n) for i, n in enumerate(WIDTHS)]


def test_the_order_of_units_does_not_change_what_a_net_computes():
    other = reorder(ONE, ORDERS)
    np.testing.assert_allclose(NET.apply(other, X), NET.apply(ONE, X), rtol=1e-5, atol=1e-6)
    assert jax.tree.map(jnp.shape, other) == jax.tree.map(jnp.shape, ONE)
    np.testing.assert_array_equal(codes(1)(other, X), codes(1)(ONE, X)[:, ORDERS[0]])


def test_a_net_whose_units_were_moved_gets_its_order_back():
    jax.tree.map(np.testing.assert_array_equal, match(reorder(ONE, ORDERS), ONE, X), ONE)


def test_units_in_the_same_place_are_correlated_as_strongly_as_any_order_makes_them():
    ordered = match(OTHER, ONE, X)
    for depth, n in enumerate(WIDTHS, 1):
        ours, theirs, now = (np.asarray(codes(depth)(net, X)) for net in (ONE, OTHER, ordered))
        expected = np.corrcoef(ours.T, theirs.T)[:n, n:]
        np.testing.assert_allclose(correlations(jnp.asarray(ours), jnp.asarray(theirs)), expected, atol=1e-5)
        best = expected[linear_sum_assignment(-expected)].sum()
        np.testing.assert_allclose(np.trace(np.corrcoef(ours.T, now.T)[:n, n:]), best, rtol=1e-5)


def test_a_constant_unit_is_correlated_with_none():
    assert not np.asarray(correlations(jnp.ones((9, 2)), X[:9])).any()


def test_each_hidden_layer_needs_an_order():
    with pytest.raises(ValueError, match="1 orders are given for 2 hidden layers"):
        reorder(ONE, ORDERS[:1])
