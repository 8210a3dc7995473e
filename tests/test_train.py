"""Fitting: early stopping, minibatches and divergence against scripted runs, descent against NumPy."""

import math
import operator
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.train import by_batches, examples, first, fit, generated, minibatches, valid
from dlx.types import Algorithm, Data, Labelled, Model

EPOCHS = 9
NET = mlp((8,))
ERROR = misclassified(NET)


def fresh(seed):
    return NET.init(jax.random.key(seed), np.zeros(64, np.uint8))


class State(NamedTuple):
    params: Any


def scripted_step(key, state, batch):
    """The training inputs are each epoch's loss, the validation inputs its score; parameters count the updates."""
    del key
    loss = batch.x[0, state.params]
    return State(state.params + 1), {"loss": loss, "both": jnp.stack([loss, 2 * loss])}


def scripted_score(updates, split):
    return split.x[:, updates - 1]


SCRIPTED = Algorithm(lambda key, params: State(params), scripted_step)


class Script(NamedTuple):
    loss: np.ndarray
    valid: np.ndarray


def run_script(script, patience, progress=None):
    """Number of updates in the parameters returned, and curve, of every run of a script [runs, EPOCHS]."""
    how = {"score": valid(scripted_score), "patience": patience, "progress": progress}
    stage = fit(SCRIPTED, minibatches(2), epochs=EPOCHS, watch=lambda updates, data: {"twice": 2 * updates}, **how)
    train, held_out = (Labelled(np.stack([x, x], 1), np.zeros((len(x), 2), np.int32)) for x in script)
    run = jax.jit(jax.vmap(partial(stage, jax.random.key(0), np.int32(0))))
    return jax.device_get(run(Data(train, held_out, held_out)))


def stop_early(loss, valid, patience):
    """Epochs run, epoch returned, whether diverged: the rule in plain Python."""
    best = 0
    for epoch in range(EPOCHS):
        if patience is None or valid[epoch] < valid[best]:
            best = epoch
        if not (math.isfinite(loss[epoch]) and math.isfinite(valid[epoch])):
            return epoch + 1, best, True
        if patience is not None and epoch - best == patience:
            return epoch + 1, best, False
    return EPOCHS, best, False


def random_script(diverging, runs=200):
    """Scores with many ties; where `diverging`, a loss or score that is not finite after the first epoch."""
    rng = np.random.default_rng(0)
    loss = rng.random((runs, EPOCHS)).astype(np.float32)
    valid = rng.integers(0, 6, (runs, EPOCHS)).astype(np.float32)
    if diverging:
        for run, epoch in enumerate(rng.integers(1, EPOCHS, runs)):
            bad = rng.choice([np.nan, np.inf])
            loss[run, epoch], valid[run, epoch] = (bad, 99) if run % 2 else (0.5, bad)
    return Script(loss, valid)


@pytest.mark.parametrize("diverging", [False, True])
@pytest.mark.parametrize("patience", [None, 1, 3])
def test_early_stopping_agrees_with_the_rule_in_plain_python(patience, diverging):
    script = random_script(diverging)
    updates, curve = run_script(script, patience)
    for run, (loss, scores) in enumerate(zip(*script, strict=True)):
        epochs, best, diverged = stop_early(loss, scores, patience)
        assert (curve.epochs[run], curve.best[run], curve.diverged[run]) == (epochs, best, diverged)
        assert updates[run] == best + 1, "the parameters returned are those of the epoch `best`"
        both, twice = np.stack([loss, 2 * loss], 1), 2 * np.arange(1, EPOCHS + 1)
        for ours, expected in (
            (curve.metrics["loss"][run], loss),
            (curve.metrics["both"][run], both),
            (curve.score[run], scores),
            (curve.watched["twice"][run], twice),
        ):
            np.testing.assert_array_equal(ours[:epochs], expected[:epochs])
            assert np.isposinf(ours[epochs:]).all()
    assert diverging <= curve.diverged.any()
    if patience is not None:
        assert len(set(curve.epochs)) > 2, "runs that stop at different epochs"


def test_a_diverged_epoch_is_never_the_best():
    loss, valid = [1, 1, np.nan] + [1] * 6, [5, 4, 3] + [9] * 6
    updates, curve = run_script(Script(*np.array([[loss], [valid]], np.float32)), patience=5)
    assert curve.diverged.all()
    assert curve.best.tolist() == [1]
    assert updates.tolist() == [2]


def test_progress_is_told_of_active_runs_only():
    told = []
    script = random_script(diverging=False, runs=7)
    _, curve = run_script(
        script, 2, progress=lambda epoch, valid, active: told.append((int(epoch), float(valid), bool(active)))
    )
    jax.effects_barrier()
    expected = [
        (epoch, float(valid)) for run in range(7) for epoch, valid in enumerate(curve.score[run, : curve.epochs[run]])
    ]
    assert Counter((epoch, valid) for epoch, valid, active in told if active) == Counter(expected)
    assert curve.epochs.min() < curve.epochs.max()


def test_results_do_not_depend_on_whether_anybody_watches():
    script = random_script(diverging=True, runs=7)
    silent, reported = (run_script(script, 2, progress) for progress in (None, lambda *_: None))
    jax.effects_barrier()
    jax.tree.map(np.testing.assert_array_equal, silent, reported)


def test_an_epoch_visits_every_example_once_but_for_an_incomplete_batch():
    n, batch_size, epochs, steps = 23, 5, 3, 4

    def step(key, state, batch):
        rows, keys, at = state.params
        rows = rows.at[at].set(batch.y)
        keys = keys.at[at].set(jax.random.key_data(key))
        np.testing.assert_equal(batch.x.shape, (batch_size, 1))
        return State((rows, keys, at + 1)), {"loss": jnp.abs(batch.x[:, 0] - batch.y).max()}

    index = np.arange(n, dtype=np.int32)
    split = Labelled(index[:, None].astype(np.float32), index)
    stage = fit(Algorithm(lambda key, params: State(params), step), minibatches(batch_size), epochs=epochs)
    start = (
        jnp.full((epochs * steps, batch_size), -1),
        jnp.zeros((epochs * steps, 2), jnp.uint32),
        jnp.asarray(0),
    )
    (rows, keys, at), curve = jax.jit(stage)(jax.random.key(1), start, Data(split, split, split))
    assert at == epochs * steps
    orders = np.asarray(rows).reshape(epochs, steps * batch_size)
    assert all(len(set(order.tolist())) == steps * batch_size for order in orders)
    assert len({order.tobytes() for order in orders}) == epochs, "a new order in every epoch"
    assert len({key.tobytes() for key in np.asarray(keys)}) == epochs * steps, "a new key in every step"
    assert not curve.metrics["loss"].any(), "inputs and labels stay together"


def numpy_gradient(params, x, y):
    """Mean cross-entropy of a net with one hidden layer, and its gradient by backpropagation."""
    layer, output = params["hidden_0"], params["output"]
    h = expit(x @ layer["w"] + layer["b"])
    p = softmax(h @ output["w"] + output["b"], axis=1)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    delta = (p - np.eye(p.shape[1])[y]) / len(y)
    back = delta @ output["w"].T * h * (1 - h)
    return loss, {
        "hidden_0": {"w": x.T @ back, "b": back.sum(0), "c": np.zeros_like(layer["c"])},
        "output": {"w": h.T @ delta, "b": delta.sum(0)},
    }


@pytest.mark.parametrize("momentum", [None, 0.9])
def test_descent_agrees_with_numpy(float_data, momentum):
    rate, epochs = 0.3, 5
    params = jax.tree.map(np.asarray, fresh(2))
    algorithm = gradient(cross_entropy(NET), sgd(rate, momentum))
    stage = fit(algorithm, minibatches(len(float_data.train.y)), epochs=epochs)
    trained, curve = jax.jit(stage)(jax.random.key(3), params, float_data)

    losses, velocity = [], jax.tree.map(np.zeros_like, params)
    for _ in range(epochs):
        loss, grads = numpy_gradient(params, float_data.train.x.astype(float), float_data.train.y)
        losses.append(loss)
        velocity = jax.tree.map(lambda v, g: (momentum or 0) * v + g, velocity, grads)
        params = jax.tree.map(lambda p, v: p - rate * v, params, velocity)
    np.testing.assert_allclose(curve.metrics["loss"], losses, rtol=1e-5)
    assert curve.first_loss == pytest.approx(losses[0], rel=1e-5), "before any update"
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), trained, params)


def test_first_loss_is_the_loss_before_any_update_and_loss_the_mean_over_minibatches(data, float_data):
    params = fresh(4)
    loss = cross_entropy(NET)

    def one_epoch(rate, data):
        stage = fit(gradient(loss, sgd(rate)), minibatches(20), epochs=1)
        return stage(jax.random.key(5), params, data)[1]

    still, moving = (jax.jit(one_epoch)(rate, data) for rate in (0.0, 5.0))
    whole = loss(params, jax.random.key(0), jax.tree.map(jnp.asarray, float_data.train))[0]
    assert still.metrics["loss"][0] == pytest.approx(float(whole), rel=1e-5), "three batches of 20 without an update"
    assert moving.first_loss == still.first_loss
    assert moving.metrics["loss"][0] != pytest.approx(float(whole), rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 23, 1000])
def test_a_measure_by_batches_is_that_of_all_at_once(data, float_data, batch_size):
    params, score = fresh(6), ERROR
    values = jax.jit(partial(by_batches, score, batch_size=batch_size))(params, data.test)
    assert values.shape == (23,)
    whole = jax.tree.map(jnp.asarray, float_data.test)
    np.testing.assert_array_equal(values, score(params, whole))


def rates_run(rate, data, *, epochs, batch_size, patience=None):
    params = fresh(7)
    algorithm = gradient(cross_entropy(NET), sgd(rate))
    stage = fit(algorithm, minibatches(batch_size), epochs=epochs, score=valid(ERROR), patience=patience)
    return stage(jax.random.key(8), params, data)


def numpy_errors(params, split):
    layer, output = params["hidden_0"], params["output"]
    h = expit(np.asarray(split.x) @ layer["w"] + layer["b"])
    return (h @ output["w"] + output["b"]).argmax(1) != split.y


@pytest.mark.parametrize("patience", [None, 2])
def test_the_score_at_the_epoch_best_is_that_of_the_parameters_returned(float_data, patience):
    """To learn labels that the validation split contradicts makes its error worse sooner or later."""
    contrary = float_data._replace(valid=Labelled(float_data.train.x, 9 - float_data.train.y))
    run = jax.jit(partial(rates_run, epochs=20, batch_size=20, patience=patience))
    params, curve = run(2.0, contrary)
    assert curve.score[curve.best] == pytest.approx(numpy_errors(params, contrary.valid).mean())
    assert curve.best == (19 if patience is None else np.argmin(curve.score))
    assert curve.epochs == (20 if patience is None else curve.best + 1 + patience)


def brightened(data):
    """Training intensities of up to 1e6: a rate near the largest float overflows in one update."""
    return data._replace(train=data.train._replace(x=1e6 * data.train.x))


def all_finite(tree, lane=...):
    return all(np.isfinite(leaf[lane]).all() for leaf in jax.tree.leaves(tree))


def test_a_diverged_run_is_recorded_and_stops_and_disturbs_no_other(float_data):
    data = brightened(float_data)
    run = partial(rates_run, epochs=4, batch_size=20)
    rates = np.array([0.01, 1e38, 0.02, 1e10], np.float32)
    params, curve = jax.device_get(jax.jit(jax.vmap(run, in_axes=(0, None)))(rates, data))
    assert curve.diverged[:3].tolist() == [False, True, False]
    assert curve.epochs[1] < 4
    for lane in range(4):
        assert all_finite(params, lane) or curve.diverged[lane]
    alone = jax.jit(run)
    for lane in (0, 2):
        assert all_finite(curve, lane)
        batched = jax.tree.map(operator.itemgetter(lane), (params, curve))
        close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
        jax.tree.map(close, batched, alone(rates[lane], data))


def test_divergence_in_the_very_last_update_is_recorded(float_data):
    """The loss before that update is finite, and so is the error of a net whose logits are NaN."""

    def linear(params, x):
        return 1000 * x @ params["w"]

    net = Model(NET.init, linear, lambda params, key, x: (linear(params, x), {}))
    stage = fit(gradient(cross_entropy(net), sgd(1e38)), minibatches(60), epochs=1, score=valid(misclassified(net)))
    params, curve = jax.jit(stage)(jax.random.key(9), {"w": jnp.zeros((64, 10))}, float_data)
    assert np.isfinite([curve.metrics["loss"], curve.score]).all()
    assert not all_finite(params)
    assert curve.diverged


def recorded(feed, data, epochs=2):
    """The batches [epochs * steps, ...] of a feed, in order, and the keys of the steps."""
    _, (xs, batch) = jax.random.key(0), feed(jax.random.key(0), data.train)
    steps = examples(xs)
    like = jax.eval_shape(batch, jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], xs))

    def step(key, state, batch):
        seen, keys, at = state.params
        seen = jax.tree.map(lambda all, one: all.at[at].set(one), seen, batch)
        return State((seen, keys.at[at].set(jax.random.key_data(key)), at + 1)), {"at": at}

    start = jax.tree.map(lambda leaf: jnp.zeros((epochs * steps, *leaf.shape), leaf.dtype), like)
    stage = fit(Algorithm(lambda key, params: State(params), step), feed, epochs=epochs)
    params = start, jnp.zeros((epochs * steps, 2), jnp.uint32), 0
    (seen, keys, _), _ = jax.jit(stage)(jax.random.key(5), params, data)
    return jax.device_get(seen), keys, steps


def test_keys_of_plain_minibatches_are_derived_as_ever(data):
    """Epoch: fold_in of the stage's key; then order and steps by one split. A record can be made again by that."""
    seen, keys, steps = recorded(minibatches(7), data)
    for epoch in range(2):
        key_order, key_steps = jax.random.split(jax.random.fold_in(jax.random.key(5), epoch))
        order = np.asarray(jax.random.permutation(key_order, 60))[:56].reshape(8, 7)
        now = slice(epoch * steps, (epoch + 1) * steps)
        np.testing.assert_array_equal(seen.x[now], data.train.x[order])
        np.testing.assert_array_equal(seen.y[now], data.train.y[order])
        np.testing.assert_array_equal(keys[now], jax.random.key_data(jax.random.split(key_steps, 8)))


def test_a_split_is_any_tree_with_a_leading_axis():
    index = np.arange(12, dtype=np.int32)
    train = {"pair": (index, 2.0 * index[:, None]), "tree": [index.astype(np.uint8)]}
    seen, _, _ = recorded(minibatches(4), Data(train, (), ()), epochs=1)
    one, two = seen["pair"]
    assert sorted(one.ravel()) == list(range(12))
    np.testing.assert_array_equal(two[..., 0], 2 * one)
    np.testing.assert_array_equal(seen["tree"][0], one)


@pytest.mark.parametrize(
    ("train", "said"),
    [((np.zeros(4), np.zeros(5)), "lengths are: 4, 5"), ((), "lengths are: none"), (np.zeros(()), "no axis")],
)
def test_arrays_that_are_no_split_are_refused_in_words(train, said):
    with pytest.raises(ValueError, match=said):
        examples(train)


@pytest.mark.parametrize(("n", "kept"), [(1, 1), (5, 5), (12, 12), (13, 12), (None, 12)])
def test_the_first_examples_of_a_split_are_those_of_each_of_its_arrays(n, kept):
    index = np.arange(12, dtype=np.int32)
    split = Labelled({"pair": (index, np.float32(index[:, None])), "tree": [index.astype(np.uint8)]}, index[::-1])
    for part in (first(split, n), jax.jit(lambda split: first(split, n))(split)):
        jax.tree.map(lambda leaf, whole: np.testing.assert_array_equal(leaf, whole[:kept], strict=True), part, split)
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        first(split, 0)


@pytest.mark.parametrize("steps", [3, 8, 20])
def test_an_epoch_of_stated_steps_takes_whole_passes_one_after_the_other(data, steps):
    index = np.arange(60, dtype=np.int32)
    seen, _, steps_made = recorded(minibatches(7, steps=steps), data._replace(train=index), epochs=1)
    assert steps_made == steps == len(seen)
    for start in range(0, steps, 8):
        one = seen[start : start + 8].ravel()
        assert len(set(one.tolist())) == len(one), "within a pass no example comes twice"
    assert steps < 9 or not np.array_equal(seen[:8], seen[8:16])


def test_prepare_has_a_key_of_its_own_in_every_step(data):
    def prepare(key, batch):
        return batch, jax.random.key_data(key)

    (batches, prepared), keys, _ = recorded(minibatches(7, prepare), data)
    np.testing.assert_array_equal(batches.x, recorded(minibatches(7), data)[0].x)
    every = np.concatenate([prepared, keys])
    assert len({key.tobytes() for key in every}) == len(every)


def test_generated_batches_are_drawn_anew_in_every_step_and_no_data_are_needed():
    seen, _, steps = recorded(generated(lambda key: jax.random.normal(key, (2,)), 5), Data((), (), ()))
    assert steps == 5
    assert len(np.unique(seen[:, 0])) == 10


def test_without_a_score_the_last_parameters_come_back_and_the_curve_has_none():
    train = Labelled(np.full((2, EPOCHS), 0.5, np.float32), np.zeros(2, np.int32))
    updates, curve = fit(SCRIPTED, minibatches(2), epochs=4)(jax.random.key(0), np.int32(0), Data(train, (), ()))
    assert updates == 4
    assert curve.score is None
    assert (curve.epochs, curve.best, curve.diverged) == (4, 3, False)


def test_without_a_score_progress_is_told_the_loss():
    told, split = [], Labelled(np.arange(18, dtype=np.float32).reshape(2, 9), np.zeros(2, np.int32))
    stage = fit(SCRIPTED, minibatches(2), epochs=3, progress=lambda *heard: told.append(tuple(map(float, heard))))
    _, curve = jax.jit(stage)(jax.random.key(1), np.int32(0), Data(split, (), ()))
    jax.effects_barrier()
    assert told == [(epoch, float(curve.metrics["loss"][epoch]), 1.0) for epoch in range(3)]


def test_the_algorithm_is_made_from_a_key_of_its_own(data):
    def init(key, params):
        return State(jax.random.key_data(key))

    stage = fit(Algorithm(init, lambda key, state, batch: (state, {"n": batch.y[0]})), minibatches(20), epochs=3)
    key, _ = stage(jax.random.key(1), np.zeros(2, np.uint32), data)
    epochs = [jax.random.key_data(jax.random.fold_in(jax.random.key(1), i)).tolist() for i in range(3)]
    assert np.asarray(key).tolist() not in epochs


@pytest.mark.parametrize(
    ("algorithm", "how", "said"),
    [
        (SCRIPTED, {"patience": 2}, "patience goes by a score; give fit one"),
        (SCRIPTED._replace(review=lambda state, score: state), {}, "review goes by a score; give fit one"),
    ],
)
def test_what_goes_by_a_score_is_refused_without_one(algorithm, how, said):
    with pytest.raises(ValueError, match=said):
        fit(algorithm, minibatches(2), epochs=1, **how)


def test_a_review_sees_every_score_and_its_state_is_gone_on_with():
    """The scripted loss is read at the parameters, which the review moves on by one."""
    algorithm = SCRIPTED._replace(review=lambda state, score: State(state.params + (score > 1)))
    split = Labelled(np.tile(np.arange(9, dtype=np.float32), (2, 1)), np.zeros(2, np.int32))
    stage = fit(algorithm, minibatches(2), epochs=4, score=valid(scripted_score))
    _, curve = stage(jax.random.key(0), np.int32(0), Data(split, split, split))
    assert curve.metrics["loss"].tolist() == [0, 1, 2, 4], "scores are 0, 1, 2: the third moves on"


NANS = """
import jax, jax.numpy as jnp, numpy as np
from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.stage import chain, evaluate
from dlx.sweep import Sweep
from dlx.train import fit, minibatches, valid
from dlx.types import Data, Labelled

net = mlp((4,))
split = Labelled(np.arange(60, dtype=np.uint8).reshape(20, 3), np.arange(20) % 2)
error = misclassified(net)
algorithm = gradient(cross_entropy(net), sgd(0.1))
fits = [fit(algorithm, minibatches(5), epochs=3),
        fit(algorithm, minibatches(5), epochs=30, score=valid(error), patience=1), evaluate(error=error)]
root = lambda key, params, data: (jax.tree.map(lambda leaf: jnp.sqrt(leaf - 1e3), params), ())
params, data = net.init(jax.random.key(0), split.x[0]), Data(split, split, split)
many = jax.tree.map(lambda leaf: np.stack([leaf] * 2), params)
healthy = chain(*fits)
_, logs = Sweep(healthy)(jax.random.split(jax.random.key(1)), many, data)
assert (logs[1].epochs < 30).all(), "there is something past the last epoch"
fits[0](jax.random.key(1), params, data)
print("healthy")
try:
    jax.jit(chain(fits[0], root))(jax.random.key(1), params, data)
except FloatingPointError:
    print("NaN")
"""


def test_the_search_for_nans_finds_those_of_a_stage_and_no_other():
    environment = {**os.environ, "JAX_DEBUG_NANS": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", NANS], env=environment, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stdout.splitlines() if line in ("healthy", "NaN")]
    assert said == ["healthy", "NaN"], done.stderr[-2000:]
