"""What hidden units do, the gradient check, counts and faults, against NumPy, enumeration and XLA's own counts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.inspect import faults, units
from dlx.inspect.check import check, slope_gaps
from dlx.inspect.counts import count
from dlx.losses.supervised import cross_entropy
from dlx.nets.layer import RELU, SIGMOID, TANH
from dlx.nets.mlp import hidden, mlp
from dlx.nets.noise import dropout
from dlx.nets.rectified import rectified
from dlx.nets.standardised import STANDARD, standardised
from dlx.types import Data, Labelled

N, VISIBLE, CLASSES = 6, 5, 3


def batch(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return Labelled(jnp.asarray(rng.random((n, VISIBLE)), jnp.float32), jnp.asarray(rng.integers(0, CLASSES, n)))


def far(net, seed=0):
    """Parameters none of which is 0."""
    start, rng = net.init(jax.random.key(seed), batch().x[0]), np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype), start)


NETS = {
    "sigmoid": mlp((4,), CLASSES),
    "tanh, two layers": mlp((4, 3), CLASSES, units=TANH),
    "rectified linear": mlp((4,), CLASSES, units=RELU),
    "dropout": rectified((4,), CLASSES, noise=dropout(0.2, 0.5)),
    "batch normalisation": rectified((4,), CLASSES, normalised=True),
    "standardised inputs": standardised(mlp((4,), CLASSES)),
}


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_of_every_net_is_right(name):
    params = far(NETS[name])
    held = {STANDARD: params.pop(STANDARD)} if STANDARD in params else {}  # no gradient is meant to reach it

    def loss(params, key, batch):
        return cross_entropy(NETS[name])({**params, **held}, key, batch)

    gaps = check(loss, jax.random.key(1), params, batch())
    assert gaps.relative < 1e-6
    assert max(abs(entry.gradient) for entry in gaps.worst) > 0


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.01])
def test_a_wrong_gradient_is_found_where_it_is(factor):
    net = NETS["tanh, two layers"]
    wrong = faults.wrong_gradient(cross_entropy(net), hidden(1), factor)
    gaps = check(wrong, jax.random.key(1), far(net), batch())
    np.testing.assert_allclose(gaps.relative, abs(1 - factor) / max(1, abs(factor)), rtol=0.01)
    assert all(entry.path.startswith("['hidden_1']") for entry in gaps.worst)
    np.testing.assert_allclose(
        [one.gradient for one in gaps.worst], [factor * one.difference for one in gaps.worst], rtol=1e-5, atol=1e-9
    )


def test_a_single_wrong_entry_is_named_by_its_index():
    def loss(params, key, batch):
        bent = jnp.zeros((2, 3)).at[1, 2].set(1e-3) * params["w"]
        return jnp.sin(params["w"]).sum() + (bent - jax.lax.stop_gradient(bent)).sum(), {}

    gaps = check(loss, jax.random.key(0), {"w": jnp.ones((2, 3))}, ())
    assert gaps.worst[0].index == (1, 2)
    assert gaps.relative == pytest.approx(1e-3 / (np.cos(1) + 1e-3), rel=1e-3)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="no parameter"):
        check(lambda params, key, batch: (jnp.zeros(()), {}), jax.random.key(0), {}, ())
    with pytest.raises(ValueError, match="not finite"):
        check(lambda w, key, batch: (jnp.log(-w).sum(), {}), jax.random.key(0), jnp.ones(2), ())


@pytest.mark.parametrize("start", [0.3, 1.0, 10.0])
def test_slopes_agree_with_right_gradients_and_not_with_wrong_ones_at_any_start(start):
    net = NETS["tanh, two layers"]
    params = jax.tree.map(lambda leaf: start * leaf, far(net))
    wrong = faults.wrong_gradient(cross_entropy(net), hidden(0), -1.0)
    find = jax.jit(lambda loss, params: slope_gaps(loss, jax.random.key(0), params, batch(n=50)), static_argnums=0)
    assert find(cross_entropy(net), params).max() < 0.1
    gaps = dict(zip(params, find(wrong, params), strict=True))
    assert gaps.pop(hidden(0)) == pytest.approx(2, rel=0.1)
    assert max(gaps.values()) < 0.1


def test_a_gradient_of_0_has_no_slope_to_compare():
    def loss(params, key, batch):
        return jnp.square(params["used"]).sum(), {}

    params = {"used": jnp.ones(3), "unused": jnp.ones(2)}
    np.testing.assert_allclose(slope_gaps(loss, jax.random.key(0), params, ()), [0, 0], atol=1e-2)


def test_counts_are_those_of_the_connections_and_of_xla():
    net, x = mlp((40, 30), 10), jnp.zeros(20)
    params = net.init(jax.random.key(0), x)
    counts = count(net.apply, params, x)
    connections = 20 * 40 + 40 * 30 + 30 * 10
    assert (counts.forward, counts.training) == (2 * connections, 6 * connections)
    assert counts.parameters == connections + (40 + 20) + (30 + 40) + 10
    images, kernel = jnp.zeros((2, 9, 9, 3)), jnp.zeros((4, 4, 3, 5))

    def convolve(kernel, x):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def steps(w, x):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=7)[0]

    square, row = jnp.zeros((8, 8)), jnp.zeros((3, 8))
    for function, params, x in ((convolve, kernel, images), (partial(jnp.matmul), square, square)):
        by_xla = jax.jit(function).lower(params, x).compile().cost_analysis()["flops"]
        assert count(function, params, x).forward == by_xla
    assert count(steps, square, row).forward == 7 * 2 * 3 * 8 * 8


def codes(seed=0, n=200, width=6):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def test_correlations_are_those_of_numpy_and_a_constant_unit_is_correlated_with_all():
    h = jnp.asarray(codes() @ codes(1, 6))
    expected = np.abs(np.corrcoef(np.asarray(h).T))
    np.testing.assert_allclose(units.correlations(h), expected, atol=1e-5)
    others = expected[~np.eye(6, dtype=bool)]
    assert units.correlation(h) == pytest.approx(others.mean(), rel=1e-4)
    matrix = np.asarray(units.correlations(h.at[:, 2].set(0.7)))
    assert (matrix[2] == 1).all()
    np.testing.assert_allclose(
        np.delete(np.delete(matrix, 2, 0), 2, 1), np.delete(np.delete(expected, 2, 0), 2, 1), atol=1e-5
    )


@pytest.mark.parametrize(
    ("spoil", "share"),
    [
        (lambda h: h, 0),
        (lambda h: h.at[:, 0].set(3.0), 1 / 6),
        (lambda h: h.at[:, 0].set(-2 * h[:, 1]), 2 / 6),
        (lambda h: h.at[:, 0].set(jnp.nan), 1 / 6),
        (lambda h: 0 * h, 1),
    ],
)
def test_redundant_units_ignore_the_input_or_go_with_another(spoil, share):
    assert units.redundant(spoil(jnp.asarray(codes()))) == pytest.approx(share)


@pytest.mark.parametrize("on", [1, 20, 200])
def test_the_activity_of_a_unit_that_is_on_or_off_is_its_share_of_examples(on):
    h = jnp.zeros((200, 3)).at[:on].set(jnp.array([1.0, 5.0, 1e-3]))
    assert units.activity(h) == pytest.approx(on / 200, rel=1e-4)
    assert units.activity(jnp.zeros((200, 3))) == 1


def test_saturated_and_dead_units_are_counted():
    h = jnp.array([[0.0, 0.01, 0.5, 0.99], [0.0, 0.3, 0.04, 1.0]])
    assert units.saturated(h, 0.0, 1.0) == pytest.approx(6 / 8)
    assert units.saturated(h, 0.0, jnp.inf) == 0
    assert units.saturated(2 * h - 1, -1.0, 1.0) == pytest.approx(6 / 8)
    assert units.dead(h) == pytest.approx(1 / 4)


def test_twins_have_equal_weights_and_no_others_have():
    w = jnp.asarray(codes(2, 30, 5))
    assert units.twins(w) == 0
    assert units.twins(w.at[:, 0].set(w[:, 3])) == pytest.approx(2 / 5)
    assert units.twins(1e25 * w) == 0
    assert units.twins(jnp.ones((30, 5))) == 1


def test_a_picture_is_ordered_by_class_and_goes_from_0_to_1():
    h, y = jnp.array([[1.0, 3.0], [2.0, 5.0], [1.0, 2.0]]), jnp.array([2, 0, 1])
    np.testing.assert_allclose(units.picture(h, y), [[0.25, 1], [0, 0.25], [0, 0.5]])


def data():
    return Data(batch(0, 20), batch(1, 8), batch(2, 7))


def test_without_faults_data_are_normalised_and_nothing_else_is_changed():
    spoiled = faults.spoil_data(jax.random.key(0), data(), faults.Faults(0.1))
    x = np.asarray(data().train.x)
    for ours, before in zip(spoiled, data(), strict=True):
        np.testing.assert_allclose(ours.x, (np.asarray(before.x) - x.mean()) / x.std(), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(ours.y, before.y)


def test_faults_of_the_data_are_what_they_say():
    how = faults.Faults(0.1, inputs=255.0, normalised=0.0, leaked=0.5)
    spoiled = faults.spoil_data(jax.random.key(0), data(), how)
    np.testing.assert_allclose(spoiled.train.x[:4], 255 * data().valid.x[:4], rtol=1e-6)
    np.testing.assert_array_equal(spoiled.train.y[:4], data().valid.y[:4])
    np.testing.assert_allclose(spoiled.train.x[4:], 255 * data().train.x[4:], rtol=1e-6)
    y = jnp.arange(5000)
    for share in (0.0, 0.3, 1.0):
        moved = faults.shuffled(jax.random.key(1), y, share)
        assert (moved != y).mean() == pytest.approx(share, abs=0.03)


def test_faults_of_the_start():
    params = far(mlp((4,), CLASSES, units=SIGMOID))
    spoiled = faults.spoil_start(params, faults.Faults(0.1, start=3.0, bias=-2.0))
    np.testing.assert_allclose(spoiled[hidden(0)]["w"], 3 * params[hidden(0)]["w"], rtol=1e-6)
    np.testing.assert_allclose(spoiled[hidden(0)]["b"], params[hidden(0)]["b"] - 2, rtol=1e-6)
    np.testing.assert_array_equal(spoiled["output"]["b"], params["output"]["b"])
    alike = faults.spoil_start(params, faults.Faults(0.1, equal=1.0))
    assert len(np.unique(alike[hidden(0)]["w"])) == len(np.unique(alike["output"]["w"])) == 1


@pytest.mark.parametrize("on", [0.0, 1.0])
def test_a_frozen_entry_gets_no_update(on):
    updates = {"a": jnp.ones(2), "b": jnp.ones(3)}
    rule = faults.frozen("a", on)
    kept, _ = rule.update(updates, rule.init(updates), updates)
    np.testing.assert_array_equal(kept["a"], np.full(2, 1 - on))
    np.testing.assert_array_equal(kept["b"], np.ones(3))


def test_a_loss_that_does_not_fit_asks_for_certainty():
    logits = jnp.asarray(codes(3, 9, CLASSES))
    of = Labelled(logits, jnp.zeros(9, int))
    p = jax.nn.softmax(logits)
    np.testing.assert_allclose(faults.log_loss()(logits, of), -jnp.log(p[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(faults.log_loss(1.0)(logits, of), -jnp.log(p.max(1)), rtol=1e-5, atol=1e-6)
