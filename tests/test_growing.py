"""Growing nets against loops in Python, NumPy and what is known of small tasks; weights by their size."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlx.data.generated import two_spirals
from dlx.growing import (
    cascade,
    cascade_features,
    cascade_output,
    correlation,
    create_nodes,
    layer_output,
    learnt,
    nats,
    smallest,
    wrong,
)
from dlx.inspect.weights import largest, near_zero, pruned
from dlx.nets.masked import masked
from dlx.nets.weights import is_weight
from dlx.types import Labelled

KEY, RULE = jax.random.key(1), optax.adam(0.1)
CORNERS = jnp.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
XOR, AND = Labelled(CORNERS, jnp.array([0, 1, 1, 0])), Labelled(CORNERS, jnp.array([0, 0, 0, 1]))
SPIRALS = two_spirals(3.0, 20)


def by_hand(split, most, window, windows, start, slope):
    """Ash's rule as a loop in Python: units, and the loss after each window."""
    params, units, losses = masked(most, most).init(KEY, split.x[0]), start, []
    state, loss = RULE.init(params), lambda p, n: nats(masked(n, most).apply(p, split.x)[:, 0], split.y)
    slopes = jax.jit(jax.grad(loss))
    before = at_last = loss(params, units)
    for _ in range(windows):
        for _ in range(window):
            updates, state = RULE.update(slopes(params, units), state)
            params = optax.apply_updates(params, updates)
        losses.append(float(loss(params, units)))
        flat, before = abs(before - losses[-1]) / at_last < slope, losses[-1]
        if flat and units < most:
            units, at_last = units + 1, losses[-1]
    return units, losses


@pytest.mark.parametrize(("start", "slope"), [(2.0, 0.0), (1.0, 0.08), (1.0, 100.0)])
def test_a_unit_comes_when_the_loss_is_flat_by_ashs_rule(start, slope):
    units, losses = by_hand(SPIRALS, 4, 10, 6, start, slope)
    params, growth = jax.jit(partial(create_nodes, KEY, SPIRALS, RULE, 4, 10, 6))(start, slope)
    assert (growth.units, growth.weights, growth.steps, growth.solved) == (units, 4 * units + 1, 60, False)
    came = growth.losses[np.isfinite(growth.losses)]
    assert came[-1] == pytest.approx(losses[-1], rel=1e-4)
    # Units that never came give nothing: all units, or those that came, are one net.
    np.testing.assert_allclose(
        layer_output(params, SPIRALS.x), layer_output(params, SPIRALS.x, growth.units), rtol=1e-5, atol=1e-6
    )


def cascade_by_hand(split, most, candidates, steps):
    """Cascade correlation as a loop in Python: weights of the units and of the output, and losses."""

    def down(loss, value):
        state, slopes = RULE.init(value), jax.jit(jax.grad(loss))
        for _ in range(steps):
            updates, state = RULE.update(slopes(value), state)
            value = optax.apply_updates(value, updates)
        return value

    def loss(v):
        return nats(f @ v, split.y)

    def agreement(pool):
        h, left = jnp.tanh(f @ pool.T), jax.nn.sigmoid(f @ v) - split.y
        return jnp.abs((h * (left - left.mean())[:, None]).mean(0))

    f = jnp.concatenate([jnp.ones((len(split.x), 1)), split.x, jnp.zeros((len(split.x), most))], 1)
    w, losses, v = [], [], jnp.zeros(3 + most)
    v = down(loss, v)
    for i in range(most):
        pool = jax.random.uniform(jax.random.fold_in(KEY, i), (candidates, 3 + most), minval=-1, maxval=1)
        pool = down(lambda pool: -agreement(pool).sum(), pool.at[:, 3 + i :].set(0))
        w.append(pool[np.argmax(agreement(pool))])
        f = f.at[:, 3 + i].set(jnp.tanh(f @ w[-1]))
        v = down(loss, v)
        losses.append(loss(v))
    return {"w": np.stack(w), "v": v}, losses


def test_a_cascade_trains_candidates_then_the_output_from_where_it_was():
    expected, losses = cascade_by_hand(SPIRALS, 2, 3, 15)
    params, growth = cascade(KEY, SPIRALS, RULE, 2, 3, 15)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), params, expected)
    np.testing.assert_allclose(growth.losses, losses, rtol=1e-4)
    assert (growth.units, growth.steps) == (2, 15 + 2 * 2 * 15)


@pytest.mark.parametrize(
    ("train", "output"),
    [
        (partial(create_nodes, most=8, window=50, windows=60), layer_output),
        (partial(smallest, sizes=(1, 2, 4, 8), window=50, windows=10), layer_output),
        (partial(cascade, most=8, candidates=4, steps=100), cascade_output),
    ],
    ids=["create", "smallest", "cascade"],
)
def test_exclusive_or_needs_hidden_units_and_is_then_learnt(train, output):
    params, growth = jax.jit(partial(train, split=XOR, rule=RULE))(KEY)
    least = 2 if output is layer_output else 1  # a cascade's output sees the inputs, too
    assert growth.solved
    assert least <= growth.units <= 4
    z = output(params, XOR.x)
    assert learnt(z, XOR.y)
    assert wrong(z, XOR.y) == 0
    assert growth.losses[int(growth.units) - 1] == pytest.approx(float(nats(z, XOR.y)), rel=1e-4)
    assert not np.isfinite(growth.losses[int(growth.units) :]).any()


def test_a_cascade_gets_no_unit_for_what_is_linear():
    params, growth = cascade(KEY, AND, RULE, 3, 2, 200)
    assert (growth.units, growth.weights, growth.solved) == (0, 3, True)
    assert not params["w"].any()
    assert not params["v"][3:].any()


def test_the_smallest_net_that_learns_is_taken_or_else_the_last():
    _, growth = smallest(KEY, XOR, RULE, (1, 8), 50, 10)
    assert (growth.units, growth.solved) == (8, True)
    _, growth = smallest(KEY, XOR, RULE, (1, 2), window=1, windows=1)
    assert (growth.units, growth.solved, growth.steps) == (2, False, 2)


def test_units_of_a_cascade_see_the_units_before_them():
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(3, 6)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    features = np.concatenate([np.ones((5, 1)), x], 1)
    for i in range(3):
        features = np.column_stack([features, np.tanh(features @ w[i, : 3 + i])])
    np.testing.assert_allclose(cascade_features(jnp.asarray(w), jnp.asarray(x)), features, rtol=1e-4, atol=1e-6)


def test_units_of_a_cascade_have_no_weight_for_later_units():
    params, growth = cascade(KEY, SPIRALS, RULE, 2, 2, 20)
    assert not np.triu(params["w"][:, 3:]).any()
    assert params["w"][1, :4].all()
    assert growth.weights == np.count_nonzero(params["w"]) + params["v"].size


def test_the_correlation_is_the_size_of_the_covariance():
    rng = np.random.default_rng(0)
    h, residual = rng.normal(size=(9, 4)), rng.normal(size=9)
    expected = [abs(np.cov(column, residual, bias=True)[0, 1]) for column in h.T]
    np.testing.assert_allclose(correlation(jnp.asarray(h), jnp.asarray(residual)), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "train", [partial(create_nodes, most=0, window=1, windows=1), partial(cascade, most=1, candidates=0, steps=1)]
)
def test_a_net_that_cannot_grow_is_an_error(train):
    with pytest.raises(ValueError, match="must be 1 at least"):
        train(KEY, XOR, RULE)


PARAMS = {
    "hidden": {"w": jnp.array([[1.0, -5.0], [0.01, 3.0]]), "b": jnp.array([0.1, 0.2]), "c": jnp.zeros(2)},
    "output": {"w": jnp.array([[-2.0], [0.0]]), "b": jnp.array([0.001])},
}


@pytest.mark.parametrize(("share", "count"), [(1.0, 6), (0.5, 3), (1 / 3, 2), (0.0, 1)])
def test_only_the_largest_weights_are_left_and_biases_stay(share, count):
    cut, left = pruned(PARAMS, share), largest(PARAMS, share)
    sizes = sorted(np.abs(np.concatenate([PARAMS[name]["w"].ravel() for name in PARAMS])))[::-1]
    kept = np.abs(np.concatenate([cut[name]["w"].ravel() for name in PARAMS]))
    np.testing.assert_allclose(sorted(kept)[::-1], [*sizes[:count], *[0] * (6 - count)])
    assert sum(int(left[name]["w"].sum()) for name in PARAMS) == count
    for name in PARAMS:
        np.testing.assert_array_equal(cut[name]["b"], PARAMS[name]["b"])
        assert left[name]["b"].all()
        assert is_weight(PARAMS)[name] == {place: place == "w" for place in PARAMS[name]}


def test_weights_near_0_are_counted_by_their_size_beside_the_others():
    assert near_zero(PARAMS) == pytest.approx(2 / 6)
    assert near_zero(jax.tree.map(lambda leaf: 7 * leaf, PARAMS)) == pytest.approx(2 / 6)
    assert near_zero(PARAMS, 1.0) == pytest.approx(4 / 6)  # the root of the mean square is 2.55
