"""Each rule of descent is taken, and the race and the search on a subset are counted as the lecture says."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import mlp
from dlx.optim import halve_on_plateau
from dlx.programs import Rate
from dlx.show.progress import silent
from dlx.stage import chain, evaluate
from dlx.study.run.record import one_run
from dlx.train import fit, minibatches, valid
from dlx.types import Data, Labelled
from experiments.optimizers import Descent

KEY = jax.random.key(3)
EPOCHS, STEPS, TARGET = 6, 6, 0.7
RATES = np.array([1, 2, 8], np.float32)
"""At these plain descent is slow, soon at the target, and never there."""


def descent(rule, examples=None):
    """The descent as a function of rates and data."""
    run = one_run(Descent(rule, (8,), EPOCHS, 10, TARGET, examples), silent)
    return jax.jit(jax.vmap(lambda rate, data: run(KEY, (Rate(rate), ()), data)[1], in_axes=(0, None)))


@pytest.fixture(scope="module")
def plain(data):
    return descent("plain")(RATES, data)


def falling(rate):
    """A hundredth of the rate after all updates, by optax's own schedule."""
    return optax.sgd(optax.exponential_decay(rate, EPOCHS * STEPS, 0.01))


def by_numpy(data):
    """The data with each input standardised by its mean and deviation over the training examples."""
    x = data.train.x / 255
    mean, deviation = x.mean(0), x.std(0)
    return Data(*(split._replace(x=((split.x / 255 - mean) / deviation).astype(np.float32)) for split in data))


@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [("adam", optax.adam), ("halving", optax.sgd), ("decay", falling), ("standardised", optax.sgd)],
)
def test_a_net_descends_by_its_rule_and_not_as_by_plain_descent(data, plain, rule, optimizer):
    """Against the same net, trained and evaluated by the parts of the library, with optax's optimizers."""
    result = descent(rule)(RATES, data)
    net, prepared = mlp((8,)), rule == "standardised"

    def by_hand(rate, data):
        key_init, key_train = jax.random.split(KEY)
        how = halve_on_plateau(optimizer(rate), 2) if rule == "halving" else (optimizer(rate),)
        score = valid(misclassified(net))
        train = fit(gradient(cross_entropy(net), *how), minibatches(10), epochs=EPOCHS, score=score)
        before = [lambda key, params, data: (params, None)] if prepared else []
        stages = chain(*before, train, evaluate(error=misclassified(net)))
        return stages(key_train, net.init(key_init, data.train.x[0]), data)[1][-2:]

    curve, errors = jax.jit(jax.vmap(by_hand, in_axes=(0, None)))(RATES, by_numpy(data) if prepared else data)
    loss, close = result.curves["train"]["loss"], partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    close(loss, curve.metrics["loss"])
    close(result.curves["valid"]["score"], curve.score)
    for split in ("train", "valid", "test"):
        close(result.measures[split]["error"], getattr(errors, split)["error"])
    np.testing.assert_array_equal(result.score, result.measures["valid"]["error"])
    assert abs(loss - plain.curves["train"]["loss"])[:, -1].max() > 0.05


def test_the_race_counts_the_epochs_in_which_the_curve_of_validation_errors_falls_to_the_target(plain):
    curves = np.asarray(plain.curves["valid"]["score"])
    slow, soon = (int(np.argmax(curve <= TARGET)) for curve in curves[:2])
    assert curves[2].min() > TARGET
    assert slow > soon > 0
    expected = [
        end + np.interp(-TARGET, -curve[[end - 1, end]], [0, 1])
        for curve, end in zip(curves[:2], (slow, soon), strict=True)
    ]
    np.testing.assert_allclose(plain.measures["race"]["epochs"], [*expected, np.inf], rtol=1e-5)


def test_on_some_examples_the_score_is_the_largest_rate_at_which_the_loss_fell(data):
    """And they are the first ones, whatever the others are."""
    rates = np.array([0.3, 1, 3e3, 1e38], np.float32)
    run = descent("plain", examples=20)
    result = run(rates, data)
    loss = result.curves["train"]["loss"]
    fell = np.asarray(loss[:, -1] < result.measures["fit"]["first_loss"])
    assert fell.tolist() == [True, True, False, False]
    assert np.asarray(result.diverged).tolist() == [False, False, False, True], "a loss may rise and stay finite"
    np.testing.assert_array_equal(result.score, np.where(fell, -rates, np.inf))
    cut = data._replace(train=Labelled(*(leaf[:20] for leaf in data.train)))
    spoiled = data._replace(train=Labelled(np.concatenate([data.train.x[:20], data.train.x[20:] // 2]), data.train.y))
    few = descent("plain")(rates, cut)
    np.testing.assert_allclose(loss, few.curves["train"]["loss"], rtol=1e-4)
    np.testing.assert_allclose(result.measures["train"]["error"], few.measures["train"]["error"])
    jax.tree.map(np.testing.assert_array_equal, run(rates, spoiled), result)


def test_the_progress_of_a_descent_is_told_by_its_rule(data):
    told = []
    run = one_run(Descent("halving", (8,), 5, 10, TARGET), lambda stage, **more: told.append((stage, more)))
    jax.eval_shape(run, KEY, (Rate(1.0), ()), data)
    assert told == [("halving", {"epochs": 5})]
