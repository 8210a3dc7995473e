"""What is measured of optimizers, curves and gradients, against NumPy and enumeration."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.inspect.curves import at, epochs_to, stopped
from dlx.inspect.formulas import gap
from dlx.inspect.gradients import spread
from dlx.optim import RULES
from dlx.train import fit, generated
from dlx.types import Algorithm, Data, Labelled

INF = float("inf")


@pytest.mark.parametrize("rule", RULES)
def test_of_all_rules_only_the_rule_itself_goes_where_its_formula_does(rule):
    """At a rate at which float32 rounds the parameters by little of the way that they go."""
    gaps = {name: gap(jax.random.key(3), rule, make(10.0), 10.0, 4) for name, make in RULES.items()}
    assert gaps.pop(rule) < 1e-5
    assert min(gaps.values()) > 0.05


@pytest.mark.parametrize("rule", ["plain", "adam"])
def test_another_rate_than_that_of_the_formula_is_a_gap_of_its_share(rule):
    wrong = gap(jax.random.key(3), rule, RULES[rule](0.12), 0.1, 3)
    np.testing.assert_allclose(wrong, 0.2, rtol=1e-4)


@pytest.mark.parametrize(
    ("curve", "target", "epochs"),
    [
        ([0.5, 0.4, 0.2], 0.6, 1.0),
        ([0.5, 0.4, 0.2], 0.5, 1.0),
        ([0.5, 0.4, 0.2], 0.45, 1.5),
        ([0.5, 0.4, 0.2], 0.4, 2.0),
        ([0.5, 0.4, 0.2], 0.25, 2.75),
        ([0.5, 0.4, 0.2], 0.2, 3.0),
        ([0.5, 0.4, 0.2], 0.1, INF),
        ([0.5, 0.4, 0.4, 0.3], 0.4, 2.0),
        ([0.5, 0.4, 0.4, 0.3], 0.35, 3.5),
        ([0.5, 0.6, 0.2, 0.5, 0.1], 0.4, 2.5),
        ([0.3], 0.3, 1.0),
        ([0.3], 0.2, INF),
    ],
)
def test_epochs_to_a_target_are_counted_along_the_line_until_it_is_first_reached(curve, target, epochs):
    find = jax.jit(partial(epochs_to, target))
    np.testing.assert_allclose(find(jnp.array(curve)), epochs, rtol=1e-5)
    np.testing.assert_allclose(find(jnp.array([*curve, INF, INF])), epochs, rtol=1e-5, err_msg="with padding")


def test_epochs_to_a_target_are_those_of_interpolation_where_a_curve_falls():
    curve = np.sort(np.random.default_rng(0).uniform(0.1, 0.9, 12))[::-1].astype(np.float32)
    targets = np.linspace(curve[-1] + 1e-3, curve[0] - 1e-3, 30)
    expected = np.interp(targets, curve[::-1], np.arange(12, 0, -1))
    epochs = [epochs_to(float(target), jnp.array(curve)) for target in targets]
    np.testing.assert_allclose(epochs, expected, rtol=1e-4)


@pytest.mark.parametrize("curve", [[INF, INF, INF], [float("nan"), INF, INF]])
def test_a_curve_without_a_number_reaches_no_target(curve):
    assert epochs_to(0.5, jnp.array(curve)) == INF


class Count(NamedTuple):
    """Parameters that count the steps."""

    params: jax.Array


def fitted(score, patience):
    """The epoch that a fit with these scores returns, and how many it runs."""
    counting = Algorithm(lambda key, params: Count(params), lambda key, state, batch: (Count(state.params + 1.0), {}))
    train = fit(
        counting,
        generated(lambda key: None, 1),
        epochs=len(score),
        patience=patience,
        score=lambda params, data: jnp.asarray(score)[params.astype(int) - 1],
    )
    params, curve = train(jax.random.key(0), jnp.zeros(()), Data(None, None, None))
    assert curve.best == params - 1
    return int(curve.best), int(curve.epochs)


@pytest.mark.parametrize("patience", [1, 2, 4, 100])
def test_a_curve_is_stopped_where_a_fit_with_that_patience_stops(patience):
    find = jax.jit(stopped)
    rng = np.random.default_rng(0)
    curves = [*np.round(rng.random((6, 9)), 1), np.arange(9.0), np.arange(9.0)[::-1], np.ones(9)]
    lost = np.array([0.5, 0.6, 0.4, np.nan, 0.1, 0.2, 0.0, 0.0, 0.0])
    for curve in [*curves, lost, np.where(np.isnan(lost), np.inf, lost)]:
        score = curve.astype(np.float32)
        assert tuple(map(int, find(score, patience))) == fitted(score, patience), curve


def test_what_another_curve_says_where_a_target_is_reached_is_that_of_interpolation():
    score, other = np.array([0.9, 0.5, 0.3, 0.35, 0.1]), np.array([5.0, 1.0, 2.0, 9.0, 7.0])
    find = at
    for target in (0.8, 0.5, 0.4, 0.31):
        expected = np.interp(-target, -score[:3], other[:3])
        assert find(target, jnp.array(score), jnp.array(other)) == pytest.approx(expected, rel=1e-5)
    assert find(0.2, jnp.array(score), jnp.array(other)) == pytest.approx(9 - 2 * 0.6, rel=1e-5), "first it rises"
    assert find(0.95, jnp.array(score), jnp.array(other)) == 5, "reached within the first epoch"
    assert find(0.05, jnp.array(score), jnp.array(other)) == INF


def test_a_patience_of_no_epoch_is_refused_in_words():
    with pytest.raises(ValueError, match="patience must be at least 1, not 0"):
        stopped(jnp.ones(3), 0)


def squares(params, key, batch):
    """The mean square of x w + b - y, with two outputs that are asked to be y and 2 y."""
    del key
    apart = batch.x @ params["w"] + params["b"] - batch.y[:, None] * jnp.array([1.0, 2.0])
    return jnp.square(apart).sum(-1).mean(), {}


def line():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 3)).astype(np.float32), rng.integers(0, 4, 12).astype(np.int32)
    params = {"w": jnp.array(rng.normal(size=(3, 2)), jnp.float32), "b": jnp.array([0.3, -0.2])}
    return params, Labelled(jnp.array(x), jnp.array(y))


def test_the_spread_of_minibatches_is_the_variance_of_an_examples_gradient_over_their_size():
    params, train = line()
    w, b, x, y = (np.asarray(leaf, float) for leaf in (params["w"], params["b"], train.x, train.y))
    apart = 2 * (x @ w + b - y[:, None] * [1, 2])
    each = np.concatenate([np.einsum("ni,nj->nij", x, apart).reshape(len(x), -1), apart], axis=1)
    whole = each.mean(0)
    squared = ((each - whole) ** 2).sum(1) / (whole**2).sum()
    sizes, draws = (1, 2, 5, 20), 4000
    spreads = jax.jit(lambda params: spread(jax.random.key(0), squares, params, train, sizes, draws))(params)
    np.testing.assert_allclose(spreads, squared.mean() / np.array(sizes), rtol=0.1)
    error = squared.std() / np.sqrt(draws)
    np.testing.assert_allclose(spreads[0], squared.mean(), atol=4 * error)


def test_minibatches_of_equal_examples_have_no_spread():
    params, train = line()
    same = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), train)
    np.testing.assert_allclose(spread(jax.random.key(0), squares, params, same, (1, 3), 5), 0, atol=1e-10)
