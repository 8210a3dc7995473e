"""Minimum and maximum as AND and OR, circuits and layers for parity, against enumeration."""

from itertools import combinations, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.nets import logical

X = np.array(list(product((0, 1), repeat=4)))
PARITY = X.sum(1) % 2


def test_gates_are_those_of_the_truth_table():
    np.testing.assert_array_equal(logical.conjunction(X), [all(row) for row in X])
    np.testing.assert_array_equal(logical.disjunction(X), [any(row) for row in X])
    np.testing.assert_array_equal(logical.pairs(X), [(a or b) and (c or d) for a, b, c, d in X])


def test_a_net_of_minima_and_maxima_is_what_loops_make_of_it():
    net, x = logical.min_max(3, 2), jax.random.normal(jax.random.key(1), (5, 4))
    params = net.init(jax.random.key(0), x[0])
    params = params | {"b": jnp.arange(6.0).reshape(3, 2) - 2}
    w, b = (np.asarray(params[name], float) for name in ("w", "b"))
    true = [min(max(row @ w[j, k] + b[j, k] for k in range(2)) for j in range(3)) for row in np.asarray(x)]
    np.testing.assert_allclose(net.apply(params, x), np.column_stack([np.zeros(5), true]), rtol=1e-5)


def by_enumeration(y):
    """Every term, as the set of its literals (bit, value), whose patterns all have y = 1."""
    terms = set()
    for size in range(5):
        for bits in combinations(range(4), size):
            for values in product((0, 1), repeat=size):
                if y[(X[:, list(bits)] == values).all(1)].all():
                    terms.add(frozenset(zip(bits, values, strict=True)))
    return terms


@pytest.mark.parametrize("y", [PARITY, X[:, 1], (X.sum(1) > 2).astype(int)], ids=["parity", "a bit", "three bits"])
def test_implicants_are_all_terms_that_imply_y_and_their_or_is_y(y):
    terms = logical.implicants(X, y)
    sets = {frozenset((i % 4, int(i < 4)) for i in np.flatnonzero(term)) for term in terms}
    assert sets == by_enumeration(y)
    assert len(terms) == len(sets)
    np.testing.assert_array_equal(logical.or_of_ands(terms, X), y)


def test_parity_has_no_term_of_fewer_literals_than_bits():
    terms = logical.implicants(X, PARITY)
    assert len(terms) == 8
    assert (terms.sum(1) == 4).all()
    assert (logical.true_of(terms, X).sum(1) == 1).all()


@pytest.mark.parametrize("circuit", [logical.chain_of_xors, logical.counting_units])
def test_deep_circuits_and_threshold_units_give_the_parity(circuit):
    np.testing.assert_array_equal(circuit(X), PARITY)


@pytest.mark.parametrize("check", [logical.wrong_gates, logical.wrong_circuits, logical.wrong_counts])
def test_nothing_is_wrong_up_to_5_bits(check):
    assert check(5) == 0


@pytest.mark.parametrize(
    ("check", "part", "broken"),
    [
        (logical.wrong_gates, "conjunction", lambda x: x.max(-1)),
        (logical.wrong_circuits, "chain_of_xors", lambda x: x[:, 0]),
        (logical.wrong_circuits, "implicants", lambda x, y: np.eye(2 * x.shape[1], dtype=bool)),
        (logical.wrong_counts, "counting_units", lambda x: x[:, 0]),
    ],
)
def test_what_is_wrong_would_be_found(monkeypatch, check, part, broken):
    monkeypatch.setattr(logical, part, broken)
    assert check(3) > 0


@pytest.mark.parametrize("sizes", [(0, 2), (2, 0)])
def test_a_net_of_no_minimum_or_no_maximum_is_an_error(sizes):
    with pytest.raises(ValueError, match="one of each"):
        logical.min_max(*sizes)
