"""Combinators against hand-made chains, recomputed codes and their own inner stages."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dlx.losses.reconstruction import autoassociator, reconstruction
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import MLP, hidden, init, logits
from dlx.optim import sgd
from dlx.stage import chain, codes, evaluate, focus, scratch
from dlx.train import fit, gradient
from dlx.types import Split

VISIBLE = 64
NET = MLP((8, 6, 5))
NET_LOGITS = partial(logits, NET)
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def params():
    """Weights large enough that codes of different inputs differ."""
    return jax.tree.map(lambda leaf: 4 * leaf, init(jax.random.key(0), NET, VISIBLE))


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def plus(amount):
    """A stage that moves every parameter and logs its key and what the first bias was."""

    def stage(key, params, data):
        log = jax.random.key_data(key), params["output"]["b"][0]
        return jax.tree.map(lambda leaf: leaf + amount, params), log

    return stage


def test_chain_hands_parameters_on_and_derives_a_key_for_each_stage(params, data):
    end, logs = chain(plus(1.0), plus(20.0), plus(300.0))(KEY, params, data)
    identical([b for _, b in logs], [jnp.asarray(b) for b in (0.0, 1.0, 21.0)])
    identical([k for k, _ in logs], [jax.random.key_data(jax.random.fold_in(KEY, i)) for i in range(3)])
    np.testing.assert_array_equal(end["output"]["b"], np.full(10, 321.0))


def test_an_empty_chain_does_nothing(params, data):
    end, logs = chain()(KEY, params, data)
    identical(end, params)
    assert logs == ()


def test_chains_nest(params, data):
    """A stage keeps its key when more stages are put after it."""
    short = chain(plus(1.0), plus(2.0))(KEY, params, data)[1]
    long = chain(plus(1.0), plus(2.0), plus(3.0))(KEY, params, data)[1]
    identical(short, long[:2])
    nested = chain(plus(1.0), chain(plus(2.0)))(KEY, params, data)[1]
    identical(nested[1][0][0], jax.random.key_data(jax.random.fold_in(jax.random.fold_in(KEY, 1), 0)))


def numpy_codes(params, x, depth):
    x = x.astype(np.float32) / (255 if x.dtype == np.uint8 else 1)
    for i in range(depth):
        x = expit(x @ params[hidden(i)]["w"] + params[hidden(i)]["b"])
    return x


@pytest.mark.parametrize(("depth", "batch_size"), [(1, 1000), (3, 7), (2, 23)])
def test_codes_agree_with_numpy_also_batch_by_batch(params, data, depth, batch_size):
    found = jax.jit(lambda params, split: codes(NET, params, split, depth, batch_size))(params, data.test)
    assert found.x.dtype == jnp.float32
    np.testing.assert_allclose(found.x, numpy_codes(params, data.test.x, depth), rtol=1e-5)
    np.testing.assert_array_equal(found.y, data.test.y)


def test_codes_of_depth_zero_are_the_pixels_as_they_were(params, data):
    assert codes(NET, params, data.test, 0) is data.test


def test_focus_equals_recomputing_the_codes_in_every_batch(params, data):
    i, phase = 2, {"epochs": 3, "batch_size": 7}
    loss, score = autoassociator(0.25), reconstruction()

    def below(params, split):
        return Split(codes(NET, params, split, i).x, split.y)

    def recomputing(key, params, data):
        """Train the same layer on pixels, through the layers below it."""
        inner = fit(
            gradient(lambda layer, key, batch: loss(layer, key, below(params, batch)), sgd(0.5)),
            lambda layer, split: score(layer, below(params, split)),
            **phase,
        )
        return inner(key, params[hidden(i)], data)

    cached = focus(NET, i, fit(gradient(loss, sgd(0.5)), score, **phase))
    end, curve = jax.jit(cached)(KEY, params, data)
    layer, curve_again = jax.jit(recomputing)(KEY, params, data)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, (end[hidden(i)], curve), (layer, curve_again))
    assert curve.loss[2] < curve.loss[0]

    others = {name for name in params if name != hidden(i)}
    identical({name: end[name] for name in others}, {name: params[name] for name in others})
    assert not np.array_equal(end[hidden(i)]["w"], params[hidden(i)]["w"])


def test_focus_hands_all_three_splits_over_as_codes(params, data):
    def keep(key, layer, below):
        return layer, below

    _, below = focus(NET, 2, keep)(KEY, params, jax.tree.map(jnp.asarray, data))
    for found, split in zip(below, data, strict=True):
        np.testing.assert_allclose(found.x, numpy_codes(params, split.x, 2), rtol=1e-5)


def test_scratch_lends_an_entry_for_the_time_of_the_stage(params, data):
    def stage(key, lent, data):
        return jax.tree.map(lambda leaf: leaf + 1, lent), (jax.random.key_data(key), lent)

    def make(key, params):
        return jax.random.normal(key, params["output"]["b"].shape)

    end, (key_stage, lent) = scratch("temporary", make, stage)(KEY, params, data)
    identical(end, jax.tree.map(lambda leaf: leaf + 1, params))
    assert set(lent) == {*params, "temporary"}
    identical({name: lent[name] for name in params}, params)
    assert "temporary" not in params
    key_init, key_expected = jax.random.split(KEY)
    identical(lent["temporary"], make(key_init, params))
    identical(key_stage, jax.random.key_data(key_expected))


def test_scratch_may_be_nested_under_different_names(params, data):
    def stage(key, lent, data):
        return lent, lent["a"] + lent["b"]

    one = scratch("a", lambda key, params: 1.0, scratch("b", lambda key, params: 10 * params["a"], stage))
    end, log = one(KEY, params, data)
    identical(end, params)
    assert log == 11


def test_evaluate_leaves_the_parameters_and_counts_the_errors_of_each_split(params, data):
    end, errors = jax.jit(evaluate(misclassified(NET_LOGITS)))(KEY, params, data)
    identical(end, params)
    output = params["output"]
    wrong = [(numpy_codes(params, x, 3) @ output["w"] + output["b"]).argmax(1) != y for x, y in data]
    np.testing.assert_allclose(errors[:3], [w.mean() for w in wrong], rtol=1e-6)
    np.testing.assert_array_equal(errors.test_each, wrong[2])


def test_intensities_may_be_integers_or_floats(params, data, float_data):
    train = fit(gradient(cross_entropy(NET_LOGITS), sgd(0.5)), misclassified(NET_LOGITS), epochs=2, batch_size=7)
    ends = [jax.jit(train)(KEY, params, given) for given in (data, float_data)]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), *ends)


def test_a_stage_takes_numpy_data_outside_jit(data, params):
    stage = focus(NET, 0, fit(gradient(autoassociator(), sgd(0.1)), reconstruction(), epochs=1, batch_size=20))
    inside, outside = jax.jit(stage)(KEY, params, data)[1], stage(KEY, params, data)[1]
    np.testing.assert_allclose(outside.valid, inside.valid, rtol=1e-5)
