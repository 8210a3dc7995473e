"""Combinators against hand-made chains, recomputed codes and their own inner stages."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit

from dlx.algorithms import gradient
from dlx.losses.reconstruction import autoassociator, reconstruction
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.standardised import STANDARD, standard, standardised
from dlx.optim import adam, sgd
from dlx.stage import chain, evaluate, focus, standardise, temporary
from dlx.train import by_batches, fit, minibatches, valid
from dlx.types import Labelled

VISIBLE = 64
NET = mlp((8, 6, 5))
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def params():
    """Weights large enough that codes of different inputs differ."""
    return jax.tree.map(lambda leaf: 4 * leaf, NET.init(jax.random.key(0), np.zeros(VISIBLE, np.uint8)))


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
    view = codes(depth)
    code = jax.jit(lambda params, x: by_batches(view, params, x, batch_size))(params, data.test.x)
    assert code.dtype == jnp.float32
    np.testing.assert_allclose(code, numpy_codes(params, data.test.x, depth), rtol=1e-5)


def test_codes_of_depth_zero_are_the_pixels_as_they_were(params, data):
    _, below = focus(hidden(0), codes(0), lambda key, layer, below: (layer, below))(KEY, params, data)
    assert below is data


def test_focus_equals_recomputing_the_codes_in_every_batch(params, data):
    i, feed = 2, minibatches(7)
    loss, per_example = autoassociator(0.25), reconstruction()

    def below(params, split):
        return Labelled(codes(i)(params, split.x), split.y)

    def recomputing(key, params, data):
        """Train the same layer on pixels, through the layers below it."""
        inner = fit(
            gradient(lambda layer, key, batch: loss(layer, key, below(params, batch)), sgd(0.5)),
            feed,
            epochs=3,
            score=valid(lambda layer, split: per_example(layer, below(params, split))),
        )
        return inner(key, params[hidden(i)], data)

    cached = focus(hidden(i), codes(i), fit(gradient(loss, sgd(0.5)), feed, epochs=3, score=valid(per_example)))
    end, curve = jax.jit(cached)(KEY, params, data)
    layer, curve_again = jax.jit(recomputing)(KEY, params, data)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, (end[hidden(i)], curve), (layer, curve_again))
    assert curve.metrics["loss"][2] < curve.metrics["loss"][0]

    others = {name for name in params if name != hidden(i)}
    identical({name: end[name] for name in others}, {name: params[name] for name in others})
    assert not np.array_equal(end[hidden(i)]["w"], params[hidden(i)]["w"])


def test_focus_hands_all_three_splits_over_as_codes(params, data):
    def keep(key, layer, below):
        return layer, below

    _, below = focus(hidden(2), codes(2), keep)(KEY, params, jax.tree.map(jnp.asarray, data))
    for coded, split in zip(below, data, strict=True):
        np.testing.assert_allclose(coded.x, numpy_codes(params, split.x, 2), rtol=1e-5)
        np.testing.assert_array_equal(coded.y, split.y)


def test_an_entry_that_is_not_there_is_named_beside_those_that_are(params, data):
    with pytest.raises(ValueError, match=r"no entry 'hidden_9'; they have .*hidden_0"):
        focus("hidden_9", None, plus(1.0))(KEY, params, data)


def test_temporary_lends_an_entry_for_the_time_of_the_stage(params, data):
    def stage(key, lent, data):
        return jax.tree.map(lambda leaf: leaf + 1, lent), (jax.random.key_data(key), lent)

    def make(key, params):
        return jax.random.normal(key, params["output"]["b"].shape)

    end, (key_stage, lent) = temporary("lent", make, stage)(KEY, params, data)
    identical(end, jax.tree.map(lambda leaf: leaf + 1, params))
    assert set(lent) == {*params, "lent"}
    identical({name: lent[name] for name in params}, params)
    assert "lent" not in params
    key_init, key_expected = jax.random.split(KEY)
    identical(lent["lent"], make(key_init, params))
    identical(key_stage, jax.random.key_data(key_expected))


def test_temporary_may_be_nested_under_different_names(params, data):
    def stage(key, lent, data):
        return lent, lent["a"] + lent["b"]

    one = temporary("a", lambda key, params: 1.0, temporary("b", lambda key, params: 10 * params["a"], stage))
    end, log = one(KEY, params, data)
    identical(end, params)
    assert log == 11


def test_evaluate_leaves_the_parameters_and_counts_the_errors_of_each_split(params, data):
    measures = {"error": misclassified(NET), "shade": lambda params, split: split.x.mean(-1) / 255}
    end, means = jax.jit(evaluate(**measures))(KEY, params, data)
    identical(end, params)
    output = params["output"]
    wrong = [(numpy_codes(params, x, 3) @ output["w"] + output["b"]).argmax(1) != y for x, y in data]
    np.testing.assert_allclose([split["error"] for split in means[:3]], [w.mean() for w in wrong], rtol=1e-6)
    np.testing.assert_array_equal(means.per_example["error"], wrong[2])
    np.testing.assert_allclose([split["shade"] for split in means[:3]], [x.mean() / 255 for x, _ in data], rtol=1e-5)
    np.testing.assert_allclose(means.per_example["shade"], data.test.x.mean(1) / 255, rtol=1e-5)


def test_intensities_may_be_integers_or_floats(params, data, float_data):
    train = fit(gradient(cross_entropy(NET), sgd(0.5)), minibatches(7), epochs=2, score=valid(misclassified(NET)))
    ends = [jax.jit(train)(KEY, params, given) for given in (data, float_data)]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), *ends)


def test_a_stage_takes_numpy_data_outside_jit(data, params):
    inner = fit(gradient(autoassociator(), sgd(0.1)), minibatches(20), epochs=1, score=valid(reconstruction()))
    stage = focus(hidden(0), codes(0), inner)
    inside, outside = jax.jit(stage)(KEY, params, data)[1], stage(KEY, params, data)[1]
    np.testing.assert_allclose(outside.score, inside.score, rtol=1e-5)


def constant_input(data):
    """The data with a first input that never varies in training."""
    train = data.train._replace(x=np.concatenate([np.full((60, 1), 51, np.uint8), data.train.x[:, 1:]], 1))
    return data._replace(train=train)


def test_standardised_inputs_have_mean_0_and_deviation_1_and_a_constant_one_is_0(data):
    data, net = constant_input(data), standardised(mlp((5,)))
    start = net.init(jax.random.key(0), data.train.x[0])
    np.testing.assert_allclose(standard(start, jnp.asarray(data.test.x)), data.test.x / np.float32(255), rtol=1e-6)
    params, log = jax.jit(standardise)(KEY, start, data)
    assert log is None
    x = np.asarray(standard(params, jnp.asarray(data.train.x)), float)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), np.arange(64) > 0, atol=1e-5)
    seen, test = data.train.x[:, 1:] / 255, standard(params, jnp.asarray(data.test.x))
    expected = (data.test.x[:, 1:] / 255 - seen.mean(0)) / seen.std(0)
    np.testing.assert_allclose(test[:, 1:], expected, rtol=1e-4, atol=1e-5)
    inner = mlp((5,)).apply({name: params[name] for name in params if name != STANDARD}, test)
    np.testing.assert_array_equal(net.apply(params, jnp.asarray(data.test.x)), inner)


def test_training_leaves_the_statistics_as_they_are(data):
    net = standardised(mlp((5,)))
    params, _ = standardise(KEY, net.init(jax.random.key(0), data.train.x[0]), data)
    rule = optax.chain(adam(0.1), optax.add_decayed_weights(0.1))
    end, curve = jax.jit(fit(gradient(cross_entropy(net), rule), minibatches(20), epochs=2))(KEY, params, data)
    identical(end[STANDARD], params[STANDARD])
    assert curve.metrics["loss"][1] < curve.metrics["loss"][0]
