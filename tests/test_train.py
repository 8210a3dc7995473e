"""Fitting: early stopping, minibatches and divergence against scripted runs, descent against NumPy."""

import math
import operator
from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit, softmax

from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import MLP, init, logits
from dlx.optim import adam, sgd
from dlx.train import each, fit, gradient, renewing
from dlx.types import Algorithm, Data, Split

EPOCHS = 9
NET = MLP((8,))
NET_LOGITS = partial(logits, NET)


class State(NamedTuple):
    params: Any


def scripted_step(key, state, batch):
    """The training inputs are each epoch's loss, the validation inputs its score; parameters count the updates."""
    del key
    return State(state.params + 1), {"loss": batch.x[0, state.params]}


def scripted_score(updates, split):
    return split.x[:, updates - 1]


SCRIPTED = Algorithm(State, scripted_step)


class Script(NamedTuple):
    loss: np.ndarray
    valid: np.ndarray


def run_script(script, patience, report=None):
    """Number of updates in the parameters returned, and curve, of every run of a script [runs, EPOCHS]."""
    stage = fit(SCRIPTED, scripted_score, epochs=EPOCHS, batch_size=2, patience=patience, report=report)
    train, valid = (Split(np.stack([x, x], 1), np.zeros((len(x), 2), np.int32)) for x in script)
    run = jax.jit(jax.vmap(partial(stage, jax.random.key(0), np.int32(0))))
    return jax.device_get(run(Data(train, valid, valid)))


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
    for run, (loss, valid) in enumerate(zip(*script, strict=True)):
        epochs, best, diverged = stop_early(loss, valid, patience)
        assert (curve.epochs[run], curve.best[run], curve.diverged[run]) == (epochs, best, diverged)
        assert updates[run] == best + 1, "the parameters returned are those of the epoch `best`"
        for found, expected in ((curve.loss[run], loss), (curve.valid[run], valid)):
            np.testing.assert_array_equal(found[:epochs], expected[:epochs])
            assert np.isnan(found[epochs:]).all()
    assert diverging <= curve.diverged.any()
    if patience is not None:
        assert len(set(curve.epochs)) > 2, "runs that stop at different epochs"


def test_a_diverged_epoch_is_never_the_best():
    loss, valid = [1, 1, np.nan] + [1] * 6, [5, 4, 3] + [9] * 6
    updates, curve = run_script(Script(*np.array([[loss], [valid]], np.float32)), patience=5)
    assert curve.diverged.all()
    assert curve.best.tolist() == [1]
    assert updates.tolist() == [2]


def test_report_is_told_of_active_runs_only():
    told = []
    script = random_script(diverging=False, runs=7)
    _, curve = run_script(
        script, 2, report=lambda epoch, valid, active: told.append((int(epoch), float(valid), bool(active)))
    )
    jax.effects_barrier()
    expected = [
        (epoch, float(valid)) for run in range(7) for epoch, valid in enumerate(curve.valid[run, : curve.epochs[run]])
    ]
    assert Counter((epoch, valid) for epoch, valid, active in told if active) == Counter(expected)
    assert curve.epochs.min() < curve.epochs.max()


def test_results_do_not_depend_on_the_report():
    script = random_script(diverging=True, runs=7)
    silent, reported = (run_script(script, 2, report) for report in (None, lambda *_: None))
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
    split = Split(index[:, None].astype(np.float32), index)
    stage = fit(
        Algorithm(State, step),
        lambda params, split: 0.0 * split.x[:, 0],
        epochs=epochs,
        batch_size=batch_size,
    )
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
    assert not curve.loss.any(), "inputs and labels stay together"


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
    params = jax.tree.map(np.asarray, init(jax.random.key(2), NET, 64))
    algorithm = gradient(cross_entropy(NET_LOGITS), sgd(rate, momentum))
    stage = fit(algorithm, misclassified(NET_LOGITS), epochs=epochs, batch_size=len(float_data.train.y))
    found, curve = jax.jit(stage)(jax.random.key(3), params, float_data)

    losses, velocity = [], jax.tree.map(np.zeros_like, params)
    for _ in range(epochs):
        loss, grads = numpy_gradient(params, float_data.train.x.astype(float), float_data.train.y)
        losses.append(loss)
        velocity = jax.tree.map(lambda v, g: (momentum or 0) * v + g, velocity, grads)
        params = jax.tree.map(lambda p, v: p - rate * v, params, velocity)
    np.testing.assert_allclose(curve.loss, losses, rtol=1e-5)
    assert curve.first_loss == pytest.approx(losses[0], rel=1e-5), "before any update"
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), found, params)


def test_an_entry_renewed_by_the_loss_is_seen_by_neither_gradient_nor_optimizer(float_data):
    """Two updates: the entry scales the loss and is doubled by it, Adam and weight decay act on the others."""
    params = init(jax.random.key(2), NET, 64)
    batch, key = jax.tree.map(jnp.asarray, float_data.train), jax.random.key(0)
    optimizer = optax.chain(adam(0.1), optax.add_decayed_weights(0.1))

    def loss(params, key, batch):
        value, _ = cross_entropy(NET_LOGITS)({"hidden_0": params["hidden_0"], "output": params["output"]}, key, batch)
        return params["scale"] * value, {"scale": 2 * params["scale"], "value": value}

    algorithm = renewing("scale", loss, optimizer)
    state = algorithm.init({**params, "scale": jnp.float32(3)})
    identical = partial(jax.tree.map, np.testing.assert_array_equal)
    identical(state.optimizer, optimizer.init(params))
    inner = optimizer.init(params)
    for scale in (3, 6):
        value, grads = jax.value_and_grad(lambda p, s: loss({**p, "scale": s}, key, batch)[0])(params, float(scale))
        updates, inner = optimizer.update(grads, inner, params)
        params = optax.apply_updates(params, updates)
        state, metrics = algorithm.step(key, state, batch)
        assert metrics["loss"] == value
        assert set(metrics) == {"loss", "value"}
        identical(state, state._replace(params={**params, "scale": np.float32(2 * scale)}, optimizer=inner))


def test_first_loss_is_the_loss_before_any_update_and_loss_the_mean_over_minibatches(data, float_data):
    params = init(jax.random.key(4), NET, 64)
    loss = cross_entropy(NET_LOGITS)

    def first(rate, data):
        stage = fit(gradient(loss, sgd(rate)), misclassified(NET_LOGITS), epochs=1, batch_size=20)
        return stage(jax.random.key(5), params, data)[1]

    still, moving = (jax.jit(first)(rate, data) for rate in (0.0, 5.0))
    whole = loss(params, jax.random.key(0), jax.tree.map(jnp.asarray, float_data.train))[0]
    assert still.loss[0] == pytest.approx(float(whole), rel=1e-5), "three batches of 20 without an update"
    assert moving.first_loss == still.first_loss
    assert moving.loss[0] != pytest.approx(float(whole), rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 23, 1000])
def test_each_agrees_with_the_score_of_all_at_once(data, float_data, batch_size):
    params, score = init(jax.random.key(6), NET, 64), misclassified(NET_LOGITS)
    found = jax.jit(partial(each, score, batch_size=batch_size))(params, data.test)
    assert found.shape == (23,)
    whole = jax.tree.map(jnp.asarray, float_data.test)
    np.testing.assert_array_equal(found, score(params, whole))


def rates_run(rate, data, *, epochs, batch_size, patience=None):
    params = init(jax.random.key(7), NET, 64)
    algorithm = gradient(cross_entropy(NET_LOGITS), sgd(rate))
    stage = fit(algorithm, misclassified(NET_LOGITS), epochs=epochs, batch_size=batch_size, patience=patience)
    return stage(jax.random.key(8), params, data)


def numpy_errors(params, split):
    layer, output = params["hidden_0"], params["output"]
    h = expit(np.asarray(split.x) @ layer["w"] + layer["b"])
    return (h @ output["w"] + output["b"]).argmax(1) != split.y


@pytest.mark.parametrize("patience", [None, 2])
def test_the_score_at_the_epoch_best_is_that_of_the_parameters_returned(float_data, patience):
    """To learn labels that the validation split contradicts makes its error worse sooner or later."""
    contrary = float_data._replace(valid=Split(float_data.train.x, 9 - float_data.train.y))
    run = jax.jit(partial(rates_run, epochs=20, batch_size=20, patience=patience))
    params, curve = run(2.0, contrary)
    assert curve.valid[curve.best] == pytest.approx(numpy_errors(params, contrary.valid).mean())
    assert curve.best == (19 if patience is None else np.nanargmin(curve.valid))
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

    algorithm = gradient(cross_entropy(linear), sgd(1e38))
    stage = fit(algorithm, misclassified(linear), epochs=1, batch_size=60)
    params, curve = jax.jit(stage)(jax.random.key(9), {"w": jnp.zeros((64, 10))}, float_data)
    assert np.isfinite([curve.loss, curve.valid]).all()
    assert not all_finite(params)
    assert curve.diverged
