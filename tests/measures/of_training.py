"""Nets that are looked into while they are trained, regularised or spoiled: by hand."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
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
    said,
    start_of,
    told_by,
    units,
    wrong,
)
from scipy.special import expit, log_softmax, softmax

from dlx.inspect.check import slope_gaps
from dlx.inspect.diagnose import Signs, diagnose
from dlx.inspect.faults import Faults, wrong_gradient
from dlx.losses.penalties import l1, l2, penalised
from dlx.losses.supervised import cross_entropy
from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import mlp
from dlx.nets.noise import dropout
from dlx.nets.normalised import normalised
from dlx.programs import Rate
from dlx.programs.museum import Gradients, Museum
from dlx.programs.normalised import Normalised
from dlx.programs.regularised import EDGES, Regular, Regularised, Ridge, Stop, Stopped
from dlx.programs.tuned import Embedded, Reconstructed, Tuned
from dlx.types import Labelled
from dlx.unit import Result

GLOROT = mlp((6, 5), initializer=INITIALIZERS["glorot"])


def inputs_of_units(params, x, statistics=None):
    """What the units of each hidden layer get, and the logits. With statistics there is batch normalisation."""
    h, found = floats(x), []
    for i, layer in enumerate(layers(params)):
        z = h @ layer["w"]
        if statistics is not None:
            of = statistics[f"hidden_{i}"]
            z = layer["scale"] * (z - of["mean"]) / np.sqrt(np.asarray(of["var"], float) + 1e-5)
        found.append(z + layer["b"])
        h = expit(found[-1])
    return [*found, h @ params["output"]["w"] + params["output"]["b"]]


def raced(score, target, steps):
    i = int(np.argmax(np.array(score) <= target))
    if min(score) > target:
        return np.inf
    return steps * (i + np.interp(-target, -np.array(score)[[i - 1, i]], [0, 1]) if i else 1.0)


@told_by(Normalised("batch", (6, 5), 10, 6, 4, (0.85, 0.6), 30), Rate(1.0))
def in_parts(run):
    return of_parts(run, normalised((6, 5)), first(run.data, 30), 6, (0.85, 0.6))


@told_by(Normalised("plain", (6, 5), 10, 5, 4, (0.85, 0.0)), Rate(3.0))
def in_parts_without(run):
    return of_parts(run, GLOROT, run.data, 5, (0.85, 0.0))


def of_parts(run, net, data, parts, targets):
    batch = net is not GLOROT
    key_init, key_train, _ = jax.random.split(run.key, 3)
    start = start_of(net, key_init, data)
    fitted = descended(key_train, start, data, net, optax.sgd(float(run.hypers.rate)), 10, parts, steps=4)

    def told(params, statistics):
        return lambda x: log_softmax(inputs_of_units(params, x, statistics)[-1], -1)

    valid = data.valid
    score = [wrong(told(one, one.get("batch_stats"))(valid.x), valid.y).mean() for one in fitted.params]
    u = [inputs_of_units(one, data.train.x, one.get("batch_stats"))[1] for one in fitted.params]
    watched = {name: np.array([np.quantile(one[:, 0], q) for one in u])
               for name, q in (("low", 0.15), ("middle", 0.5), ("high", 0.85))}  # fmt: skip
    watched["saturated"] = np.array([(np.abs(one) > 3).mean() for one in u])
    medians = np.array([np.median(one, 0) for one in u])[parts // 2 :]
    stored, h = dict(fitted.end.get("batch_stats", {})), floats(data.train.x)
    for i, layer in enumerate(layers(fitted.end) if batch else ()):
        z = h @ layer["w"]
        stored[f"hidden_{i}"] = {"mean": z.mean(0), "var": z.var(0)}
        h = expit(layer["scale"] * (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) + layer["b"])
    end = judged(data, told(fitted.end, fitted.end.get("batch_stats")), with_nats=True)
    again = judged(data, told(fitted.end, stored or None))["test"]["error"]
    end["test"] |= {
        "gap": end["test"]["nats"] - end["train"]["nats"],
        "stored": again,
        "apart": abs(again - end["test"]["error"]),
    }
    race = {f"to_{i + 1}": raced(score, target, 4) for i, target in enumerate(targets)}
    race |= {f"log_{name}": np.log2(steps) for name, steps in race.items()}
    last = {"saturated": watched["saturated"][-1], "drift": medians.std(0).mean()}
    found = fitted.result(score)
    measures = {**found.measures, **end, "race": race, "last": last}
    return found._replace(score=end["valid"]["error"], measures=measures, curves={**found.curves, "watched": watched})


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
    score, found = errors(data, fitted), of_size(fitted.end, data, lambda x: said(fitted.end, x))
    stops = [stop(score, one) for one in STOPS]
    assert len({*stops}) == 3
    best, count = zip(*stops, strict=True)
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *(fitted.params[one] for one in best))
    close(run.kept, {"params": params, "best": np.array(best), "run": np.array(count)})
    fit = fitted.result(score)
    return found._replace(measures={**fit.measures, **found.measures}, curves={**fit.curves, **found.curves})


@told_by(Regularised("dropout", (6, 5), 10, 2, 3, 40, normalised=True), Regular(0.5, amount=0.5))
def regularised_and_normalised(run):
    net = normalised((6, 5), noise=dropout(0.2, 0.5))
    key_init, key_train, *_ = jax.random.split(run.key, 4)
    fitted = descended(key_train, start_of(net, key_init, run.data), run.data, net, optax.sgd(0.5, 0.9), 10, 2, steps=3)

    def told(params):
        return lambda x: log_softmax(inputs_of_units(params, x, params["batch_stats"])[-1], -1)

    valid = run.data.valid
    fit = fitted.result([wrong(told(one)(valid.x), valid.y).mean() for one in fitted.params])
    found = of_size(fitted.end, run.data, told(fitted.end))
    return found._replace(measures={**fit.measures, **found.measures}, curves={**fit.curves, **found.curves})


AT_STOPS = {
    "params": jax.tree.map(lambda *leaves: np.stack(leaves), *(random_net(GLOROT, seed) for seed in range(3))),
    "best": np.array([2, 5, 6], np.int32),
    "run": np.array([3, 7, 10], np.int32),
}


@told_by(Stopped(30), Stop(1.0), (AT_STOPS,), labelled_by(random_net(GLOROT, 1), expit))
def stopped(run):
    params = random_net(GLOROT, 1)
    found = of_size(params, first(run.data, 30), lambda x: said(params, x))
    return found._replace(measures={**found.measures, "fit": {"run": 7, "best": 5}})


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


LEVELS = (2.1, 0.1)
"""Training nats of which the net comes to the first alone."""


@told_by(Tuned((6, 5), 5, 10, 30, 4, LEVELS, shown=7), Rate(2.0), tuple(
    {name: layer} for name, layer in random_net(mlp((6, 5)), 3).items() if name == "hidden_0"))  # fmt: skip
@told_by(Tuned((6, 5), 5, 10), Rate(1.0))
def tuned(run):
    net, data, more = mlp((6, 5)), run.data, {}
    followed = bool(run.given)
    if followed:
        data, more = first(data, 30), {"steps": 4}
    key_init, key_train = jax.random.split(run.key)
    start = start_of(net, key_init, data) | (run.given[0] if followed else {})
    fitted = descended(key_train, start, data, net, optax.sgd(float(run.hypers.rate)), 10, 5, **more)
    score = errors(data, fitted)
    best = int(np.argmin(score))
    end = judged(data, lambda x: said(fitted.params[best], x), with_nats=True)
    del end["test"]["wrong"]
    curves = {"valid": {"score": np.array(score)}}
    if followed:
        of = {name: [said(one, split.x) for one in fitted.params] for name, split in data._asdict().items()}
        train, test = (np.array([nats(one, split.y) for one in of[name]])
                       for name, split in (("train", data.train), ("test", data.test)))  # fmt: skip
        wrongs = np.array([wrong(one, data.train.y).mean() for one in of["train"]])
        curves |= {"train": {"error": wrongs, "nats": train}, "test": {"nats": test}}
        end["train"]["end"] = wrongs[-1]
        i = int(np.argmax(train <= 2.1))
        assert 0 < i < 5
        end["test"] |= {"at_2.1": np.interp(-2.1, -train[[i - 1, i]], test[[i - 1, i]]), "at_0.1": np.inf}
        close(run.kept, {"said": np.array([np.exp(one[:7]) for one in of["valid"]])})
    return Result(end["valid"]["error"], {**end, "fit": {"best": best}}, curves)


STACK = tuple({name: layer} for name, layer in random_net(mlp((6, 5)), 3).items() if name != "output")


@told_by(Reconstructed("squared", shown=4), given=STACK)
def reconstructed(run, out=lambda u: u):
    stack = layers({name: layer for one in STACK for name, layer in one.items()})

    def back(code, below):
        for layer in below[::-1]:
            code = out(code @ layer["w"].T + layer["c"])
        return code

    def share(x, rebuilt):
        return np.square(x - rebuilt).sum() / (len(x) * x.var(0).sum())

    measures = {}
    for name in ("valid", "test"):
        codes = [floats(getattr(run.data, name).x)]
        for layer in stack:
            codes.append(expit(codes[-1] @ layer["w"] + layer["b"]))
        measures[name] = {f"left_{i + 1}": share(codes[i], back(codes[i + 1], stack[i : i + 1])) for i in range(2)}
        measures[name]["pixels"] = share(codes[0], back(codes[2], stack))
        if name == "valid":
            images = np.array([back(codes[i][:4], stack[:i]) for i in range(3)])
    largest = np.argsort(-np.linalg.norm(stack[0]["w"], axis=0))[:4]
    close(run.kept, {"filters": stack[0]["w"][:, largest], "images": images}, atol=1e-2)
    return Result(measures["valid"]["pixels"], measures)


told_by(Reconstructed("contractive", shown=4), given=STACK)(partial(reconstructed, out=expit))

RNG = np.random.default_rng(0)
SAID = tuple({"said": softmax(2 * RNG.normal(size=(3, 4, 10)), -1)} for _ in range(5))


@told_by(Embedded(), given=SAID)
def embedded(run):
    assert run.kept["points"].shape == (5, 3, 2)
    ends, kind = [one["said"][-1].ravel() for one in SAID], [0, 0, 1, 1, 1]
    far = {(i, j): np.linalg.norm(ends[i] - ends[j]) for i in range(5) for j in range(5) if i != j}
    between = np.mean([one for (i, j), one in far.items() if kind[i] != kind[j]])
    within = np.mean([one for (i, j), one in far.items() if kind[i] == kind[j]])
    nearest = [min((far[i, j], j) for j in range(5) if j != i)[1] for i in range(5)]
    mixed = np.mean([kind[i] != kind[j] for i, j in enumerate(nearest)])
    told = {"between": between, "within": within, "mixed": mixed, "ratio": between / within}
    return Result(measures={"functions": told})


HOW = Faults(0.5, units=0.0, start=15.0, bias=0.1, factor=-1.0, share=0.5, inputs=3.0, leaked=0.2)


@told_by(Museum(6, 30, 15, epochs=3), HOW)
def museum(run):
    """Sigmoid units, nearly saturated at the start; the gradient of half the lower ones has a wrong sign."""
    _, key_init, key_check, key_train = jax.random.split(run.key, 4)
    splits = [Labelled(3 * floats(x[:n]), y[:n].copy()) for (x, y), n in zip(run.data, (30, 15, None), strict=True)]
    mean, deviation = splits[0].x.mean(), splits[0].x.std()
    train, valid, test = (split._replace(x=((split.x - mean) / deviation).astype("f4")) for split in splits)
    train.x[:3], train.y[:3] = valid.x[:3], valid.y[:3]
    data = type(run.data)(train, valid, test)
    net = mlp((6, 6))
    start = jax.tree.map(np.array, start_of(net, key_init, data))
    for name, layer in start.items():
        layer["w"] = 15 * layer["w"]
        layer["b"] = layer["b"] + np.float32(0.1 if name != "output" else 0)

    def turned(updates, _):
        half = np.where(np.arange(6) < 3, -1, 1)
        layer = updates["hidden_0"]
        return {**updates, "hidden_0": {**layer, "w": half * layer["w"], "b": half * layer["b"]}}

    rule = optax.chain(optax.stateless(turned), optax.sgd(0.5))
    fitted = descended(jax.random.fold_in(key_train, 0), start, data, net, rule, 10, 3)
    found, end = fitted.result(errors(data, fitted)), judged(data, lambda x: said(fitted.end, x))
    del end["test"]["wrong"]
    before, after = (units(params, train.x) for params in (start, fitted.end))

    def gap(params):
        bent = wrong_gradient(cross_entropy(net), "hidden_0", -1.0, 0.5)
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[np.minimum(np.arange(50), 29)]), train)
        return slope_gaps(bent, key_check, params, batch).max()

    assert abs(gap(fitted.end) - gap(start)) > 0.01
    loss = fitted.metrics["loss"] / fitted.first_loss
    names = ("hidden_0", "hidden_1", "output")
    ways = [np.linalg.norm(fitted.end[name]["w"] - start[name]["w"]) / np.linalg.norm(start[name]["w"])
            for name in names]  # fmt: skip
    signs = Signs(
        gradient=gap(start),
        leaked=np.mean([(one == train.x).all(1).any() for one in valid.x]),
        inputs=np.sqrt(np.square(train.x).mean()),
        twins=0.0,
        dead=0.0,
        saturated=max(((h < 0.05) | (h > 0.95)).mean() for h in before),
        diverged=False,
        peak=loss.max(),
        bounce=np.maximum(np.diff(loss), 0).sum(),
        still=min(ways),
        fall=1 - loss[-1],
        late=(loss[1] - loss[2]) / (1 - loss[-1]) if loss[-1] < 1 else 0.0,
        train_error=end["train"]["error"],
        valid_error=end["valid"]["error"],
        chance=1 - np.bincount(valid.y).max() / 15,
    )
    flags = diagnose(jax.tree.map(jnp.asarray, signs))
    raised = [i for i, value in enumerate(flags.values()) if value]
    called = {**flags, "sound": not raised, "first": raised[0] if raised else len(flags)}
    top = after[-1]
    alike = np.abs(np.corrcoef(top.T)) * (1 - np.eye(6))
    measures = {
        "signs": signs._asdict(),
        "flags": jax.tree.map(float, called),
        "units": {
            "redundant": np.mean(alike.max(0) > 0.95),
            "correlation": alike.sum() / 30,
            "activity": np.mean(top.mean(0) ** 2 / np.square(top).mean(0)),
        },
        "model": {"flops": 6 * (16 * 6 + 6 * 6 + 6 * 10)},
    }
    picture = ((top - top.min()) / (top.max() - top.min()))[np.argsort(train.y, kind="stable")][::5]
    close(run.kept, {"units": picture}, atol=1e-3)
    return found._replace(score=end["valid"]["error"], measures={**found.measures, **end, **measures})


def quadratic(wrong_by):
    """Half the sum of squares, the gradient of which is multiplied by a number."""

    def loss(params, key, batch):
        value = sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(params)) / 2
        return wrong_by * value + (1 - wrong_by) * jax.lax.stop_gradient(value), {}

    return "net", lambda params, key, batch: loss(params, key, batch)


@told_by(Gradients(), patches={"dlx.programs.museum.SLIPPED": [quadratic(1.25), quadratic(1.0)]})
def gradients(run):
    """Of these two the first is always wrong, and the second never."""
    return Result(0.0, {"checked": {"gap": 0.25 / 1.25, "missed": 1}})
