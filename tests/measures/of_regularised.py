"""Training with what is to keep nets from over-fitting: by hand."""

from itertools import pairwise

import jax
import numpy as np
import optax
from measures.by_hand import (
    close,
    descended,
    errors,
    first,
    floats,
    inputs_of_units,
    judged,
    labelled_by,
    random_net,
    said,
    start_of,
    told_by,
    wrong,
)
from scipy.special import expit, log_softmax

from dlx.losses.penalties import l1, l2, penalised
from dlx.losses.supervised import cross_entropy
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import mlp
from dlx.nets.noise import dropout
from dlx.nets.normalised import normalised
from dlx.types import Labelled
from dlx.unit import Result
from experiments.regularization import EDGES, Regular, Regularised, Ridge, StopHypers, Stopped

GLOROT = mlp((6, 5), initializer=INITIALIZERS["glorot"])


def sizes_of(params):
    """The sizes of all weights."""
    return np.abs(np.concatenate([np.ravel(layer["w"]) for layer in params.values() if "w" in layer]).astype(float))


def of_size(params, data, told):
    """What is said of a net by `judged` and by the sizes of its weights."""
    end, sizes = judged(data, told, with_nats=True), sizes_of(params)
    del end["test"]["wrong"]
    end["test"]["gap"] = end["test"]["nats"] - end["train"]["nats"]
    about = {"norm": np.linalg.norm(sizes), "small": np.mean(sizes < 1e-3), "largest": np.quantile(sizes, 0.99)}
    counts = [np.sum((sizes >= a) & (sizes < b)) for a, b in pairwise(EDGES)]
    curves = {"weights": {"counts": np.array(counts) / sizes.size}}
    return Result(end["valid"]["error"], {**end, "weights": about}, curves)


def stop(score, look_ahead):
    """The best epoch and how many were run, when the error was not better for so many epochs and one more."""
    best = 0
    for epoch, value in enumerate(score):
        best = epoch if value < score[best] else best
        if epoch - best > look_ahead:
            break
    return best, epoch + 1


STOPS = (0, 1, 3)
MANY_PARTS = Regularised("plain", (6, 5), 10, 9, 2, 30, STOPS, shape=(4, 4))


@told_by(MANY_PARTS, Regular(1.5, 0.01, 0.002, shuffled=1.0), (random_net(GLOROT),))
def regularised(run):
    data, (_, key_train, _, key_labels) = first(run.data, 30), jax.random.split(run.key, 4)
    dealt = np.asarray(jax.random.permutation(key_labels, data.train.y))
    data = data._replace(train=Labelled(data.train.x, dealt))
    loss = penalised(cross_entropy(GLOROT), l2(0.01), l1(0.002))
    rule = optax.sgd(1.5, 0.9)
    fitted = descended(key_train, run.given[0], data, GLOROT, rule, 10, 9, loss=loss, steps=2)
    score, measured = errors(data, fitted), of_size(fitted.end, data, lambda x: said(fitted.end, x))
    stops = [stop(score, one) for one in STOPS]
    assert len({*stops}) == 3
    best, count = zip(*stops, strict=True)
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *(fitted.params[one] for one in best))
    close(run.kept, {"params": params, "best": np.array(best), "run": np.array(count)})
    fit = fitted.result(score)
    return measured._replace(measures={**fit.measures, **measured.measures}, curves={**fit.curves, **measured.curves})


@told_by(Regularised("dropout", (6, 5), 10, 2, 3, 40, normalised=True), Regular(0.5, amount=0.5))
def regularised_and_normalised(run):
    net = normalised((6, 5), noise=dropout(0.2, 0.5))
    key_init, key_train, *_ = jax.random.split(run.key, 4)
    fitted = descended(key_train, start_of(net, key_init, run.data), run.data, net, optax.sgd(0.5, 0.9), 10, 2, steps=3)

    def told(params):
        return lambda x: log_softmax(inputs_of_units(params, x, params["batch_stats"])[-1], -1)

    valid = run.data.valid
    fit = fitted.result([wrong(told(one)(valid.x), valid.y).mean() for one in fitted.params])
    measured = of_size(fitted.end, run.data, told(fitted.end))
    return measured._replace(measures={**fit.measures, **measured.measures}, curves={**fit.curves, **measured.curves})


AT_STOPS = {
    "params": jax.tree.map(lambda *leaves: np.stack(leaves), *(random_net(GLOROT, seed) for seed in range(3))),
    "best": np.array([2, 5, 6], np.int32),
    "run": np.array([3, 7, 10], np.int32),
}


@told_by(Stopped(30), StopHypers(1.0), (AT_STOPS,), labelled_by(random_net(GLOROT, 1), expit))
def stopped(run):
    params = random_net(GLOROT, 1)
    measured = of_size(params, first(run.data, 30), lambda x: said(params, x))
    return measured._replace(measures={**measured.measures, "fit": {"run": 7, "best": 5}})


@told_by(Ridge(30, 4), Regular(0.0, l2=0.3))
def ridge(run):
    x, y = floats(run.data.train.x[:30]), np.eye(10)[run.data.train.y[:30]]
    gram, decay = 2 * x.T @ x / 30, 0.3
    closed = np.linalg.solve(gram + decay * np.eye(16), 2 * x.T @ y / 30)
    steepest = gram.sum(1).max() + decay
    ratio, w, m, losses = (decay / steepest) ** 0.5, np.zeros((16, 10)), 0.0, []
    momentum = (1 - ratio) / (1 + ratio)
    for _ in range(4):
        losses.append(np.square(x @ w - y).sum(1).mean() + decay / 2 * np.square(w).sum())
        slope = gram @ w - 2 * x.T @ y / 30 + decay * w
        m = momentum * m + slope
        w = w - (slope + momentum * m) / steepest
    apart = np.linalg.norm(w - closed) / np.linalg.norm(closed)
    return Result(apart, {"ridge": {"apart": apart, "slope": 0.0}}, {"train": {"loss": np.array([np.mean(losses)])}})
