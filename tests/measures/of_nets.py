"""Descent, dropout, ensembles: by hand."""

import itertools

import jax
import numpy as np
import optax
from measures.by_hand import (
    close,
    descended,
    errors,
    first,
    floats,
    judged,
    labelled_by,
    layers,
    nats,
    random_net,
    rectified,
    said,
    start_of,
    told_by,
    units,
    wrong,
)
from scipy.special import log_softmax

from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.mlp import mlp
from dlx.nets.noise import dropout
from dlx.nets.rectified import rectified as rectified_net
from dlx.optim import max_norm
from dlx.programs import Rate
from dlx.unit import Result
from experiments.ensembles import Ensemble, Member, Which
from experiments.optimizers import Descent
from experiments.srivastava2014 import AllMasks, Averaged, Dropped, Dropping

HE = mlp((6, 5), initializer=INITIALIZERS["he"], units=RELU)


@told_by(Descent("decay", (7,), 8, 5, 0.7), Rate(4.0))
def decay(run):
    return descent(run, run.data, optax.sgd(optax.exponential_decay(4.0, 8 * 8, 0.01)))


@told_by(Descent("nesterov", (7,), 8, 5, 0.7, examples=20), Rate(1.0))
def on_a_subset(run):
    fit = descent(run, first(run.data, 20), optax.sgd(1.0, 0.9, nesterov=True))
    fell = fit.curves["train"]["loss"][-1] < fit.measures["fit"]["first_loss"]
    return fit._replace(score=-1.0 if fell else np.inf)


def descent(run, data, rule):
    net, (key_init, key_train) = mlp((7,)), jax.random.split(run.key)
    fitted = descended(jax.random.fold_in(key_train, 0), start_of(net, key_init, data), data, net, rule, 5, 8)
    score = errors(data, fitted)
    fit, end = fitted.result(score), judged(data, lambda x: said(fitted.end, x))
    i = int(np.argmax(np.array(score) <= 0.7))
    race = i + np.interp(-0.7, -np.array(score)[[i - 1, i]], [0, 1]) if i else 1.0
    race = race if min(score) <= 0.7 else np.inf
    return fit._replace(score=end["valid"]["error"], measures={**fit.measures, **end, "race": {"epochs": race}})


DROPS = Dropping(0.05, 0.2, 0.5, norm=0.8)


@told_by(Dropped("sigmoid", (6, 5), 3, 10, rule="adam"), DROPS)
def dropped(run):
    net = mlp((6, 5), initializer=INITIALIZERS["fan"], noise=dropout(0.2, 0.5))
    rule = optax.adam(optax.exponential_decay(0.05, 3 * 4, 0.01))
    key_init, key_train = jax.random.split(run.key)
    fitted = descended(
        jax.random.fold_in(key_train, 0),
        start_of(net, key_init, run.data),
        run.data,
        net,
        optax.chain(rule, max_norm(0.8)),
        10,
        3,
    )
    close(run.kept, fitted.end)
    fit = fitted.result(errors(run.data, fitted))
    end = judged(run.data, lambda x: said(fitted.end, x), with_nats=True)
    end["test"]["gap"] = end["test"]["nats"] - end["train"]["nats"]
    h = units(fitted.end, run.data.valid.x)[0]
    apart = np.abs(np.corrcoef(h.T))[~np.eye(6, dtype=bool)]
    measures = {**fit.measures, **end, "hidden": {"correlation": apart.mean()}}
    return fit._replace(score=end["valid"]["error"], measures=measures)


@told_by(Dropped("relu", (6, 5), 3, 10, 30, normalised=True), DROPS)
def dropped_and_normalised(run):
    net, data = rectified_net((6, 5), normalised=True, noise=dropout(0.2, 0.5)), first(run.data, 30)
    rule = optax.sgd(optax.exponential_decay(0.05, 3 * 3, 0.01), 0.9)
    key_init, key_train = jax.random.split(run.key)
    fitted = descended(
        jax.random.fold_in(key_train, 0),
        start_of(net, key_init, data),
        data,
        net,
        optax.chain(rule, max_norm(0.8)),
        10,
        3,
    )
    close(run.kept, fitted.end)

    def told(x):
        h, params = floats(x), fitted.end
        for i in range(2):
            norm, running = params[f"norm_{i}"], params["batch_stats"][f"norm_{i}"]
            z = (h @ params[f"hidden_{i}"]["w"] - running["mean"]) / np.sqrt(running["var"] + 1e-5)
            h = rectified(norm["scale"] * z + norm["bias"])
        return log_softmax(h @ params["output"]["w"] + params["output"]["b"], -1)

    fit, end = fitted.result(), judged(data, told, with_nats=True)
    end["test"]["gap"] = end["test"]["nats"] - end["train"]["nats"]
    return fit._replace(score=end["valid"]["error"], measures={**fit.measures, **end})


NETS = tuple(random_net(HE, seed) for seed in range(4))
GIVEN = random_net(mlp((5,), units=RELU)), random_net(HE)


def averaged(run, average, f=rectified):
    """The measures, from the averages of log-probabilities over masks."""
    (params,), (x, y) = run.given, run.data.test
    average, used = log_softmax(average(params, x), -1), said(params, x, f)
    wrongs, apart = [wrong(one, y).mean() for one in (used, average)], np.abs(np.exp(average) - np.exp(used))
    told = {"error": wrongs[0], "average": wrongs[1], "excess": wrongs[0] - wrongs[1]}
    return Result(measures={"test": {**told, "apart": apart.max(), "mean": apart.mean()}})


@told_by(AllMasks("relu"), given=GIVEN[:1], data=labelled_by(GIVEN[0], rectified))
def over_all_masks(run):
    def average(params, x):
        h, end = units(params, x, rectified)[0], params["output"]
        masks = itertools.product((0, 1), repeat=5)
        return np.mean([log_softmax(2 * np.array(mask) * h @ end["w"] + end["b"], -1) for mask in masks], 0)

    return averaged(run, average)


@told_by(Averaged("relu", (6, 5), 7), given=GIVEN[1:], data=labelled_by(GIVEN[1], rectified))
def over_drawn_masks(run):
    def of_one(params, x, key):
        h, key_values = floats(x), jax.random.split(key)[0]
        for i, layer in enumerate(layers(params), 1):
            h = rectified(h @ layer["w"] + layer["b"])
            h = 2 * h * np.asarray(jax.random.bernoulli(jax.random.fold_in(key_values, i), 0.5, (1, h.shape[1])))
        return log_softmax(h @ params["output"]["w"] + params["output"]["b"], -1)

    return averaged(run, lambda params, x: np.mean([of_one(params, x, key) for key in jax.random.split(run.key, 7)], 0))


@told_by(Member((6, 5), 3, 10, 30), Which(0.3, 1.0, 2.0))
def member(run):
    data, (key_start, key_order) = first(run.data, 30), jax.random.split(run.key)
    start = start_of(HE, jax.random.fold_in(key_start, 1), data)
    fitted = descended(jax.random.fold_in(key_order, 2), start, data, HE, optax.sgd(0.3), 10, 3)
    close(run.kept, fitted.end)
    score = wrong(said(fitted.end, data.valid.x, rectified), data.valid.y).mean()
    return Result(score, curves={"train": fitted.metrics})


@told_by(Ensemble((1, 2, 4, 8)), given=NETS, data=labelled_by(NETS[0], rectified))
def ensemble(run):
    (x, y), valid = run.data.test, run.data.valid
    each = np.exp([said(params, x, rectified) for params in run.given])
    by_size = [np.mean([wrong(each[i : i + size].mean(0), y).mean() for i in range(0, 4, size)]) for size in (1, 2, 4)]
    together, classes = np.log(each.mean(0)), each.argmax(-1)
    score = wrong(np.exp([said(params, valid.x, rectified) for params in run.given]).mean(0), valid.y).mean()
    test = {
        "error": by_size[2],
        "nats": nats(together, y),
        "wrong": wrong(together, y),
        "gain": by_size[0] - by_size[2],
        "early": by_size[0] - by_size[1] - (by_size[0] - by_size[2]) / 2,
        "left": nats(together, y) / np.mean([nats(np.log(one), y) for one in each]),
        "disagreement": np.mean([np.mean(a != b) for a, b in itertools.combinations(classes, 2)]),
    }
    curves = {"test": {"by_size": np.array([*by_size, by_size[2]])}}
    return Result(score, {"valid": {"error": score}, "test": test}, curves)


@told_by(Ensemble((1, 2)), given=NETS[:1], data=labelled_by(NETS[0], rectified))
def ensemble_of_one(run):
    (x, y), valid = run.data.test, run.data.valid
    test, score = said(run.given[0], x, rectified), wrong(said(run.given[0], valid.x, rectified), valid.y).mean()
    error = wrong(test, y).mean()
    measures = {"valid": {"error": score}, "test": {"error": error, "nats": nats(test, y), "wrong": wrong(test, y)}}
    return Result(score, measures, {"test": {"by_size": np.full(2, error)}})
