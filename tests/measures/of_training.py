"""Nets that are looked into while they are trained, and what is said of them afterwards: by hand."""

from functools import partial

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
    layers,
    nats,
    random_net,
    said,
    start_of,
    told_by,
    wrong,
)
from scipy.special import expit, log_softmax, softmax

from dlx.nets.layer import INITIALIZERS
from dlx.nets.mlp import mlp
from dlx.nets.normalised import normalised
from dlx.programs import Rate
from dlx.programs.tuned import Tuned
from dlx.unit import Result
from experiments.erhan2009 import Embedded
from experiments.ioffe2015 import Followed, Normalised
from experiments.larochelle2009 import Reconstructed

GLOROT = mlp((6, 5), initializer=INITIALIZERS["glorot"])


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
    watched = {
        name: np.array([np.quantile(one[:, 0], q) for one in u])
        for name, q in (("low", 0.15), ("middle", 0.5), ("high", 0.85))
    }
    watched["saturated"] = np.array([(np.abs(one) > 3).mean() for one in u])
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
    }
    race = {f"to_{i + 1}": raced(score, target, 4) for i, target in enumerate(targets)}
    race |= {f"log_{name}": np.log2(steps) for name, steps in race.items()}
    last = {"saturated": watched["saturated"][-1]}
    fit = fitted.result(score)
    measures = {**fit.measures, **end, "race": race, "last": last}
    return fit._replace(score=end["valid"]["error"], measures=measures, curves={**fit.curves, "watched": watched})


@told_by(Followed("batch", (6, 5), 10, 6, 4, 5, 30, (0.85, 0.0), (1.55, 0.03), 25), Rate(1.0))
@told_by(Followed("plain", (6, 5), 10, 5, 4, targets=(0.88,)), Rate(3.0))
def followed(run):
    """The statistics of a net in use are those of the first training examples, layer by layer."""
    key_init, key_train, _ = jax.random.split(run.key, 3)
    batch = run.program.kind == "batch"
    net, data = (normalised((6, 5), ghost=5), first(run.data, 30)) if batch else (GLOROT, run.data)
    fitted = descended(
        key_train,
        start_of(net, key_init, data),
        data,
        net,
        optax.sgd(float(run.hypers.rate)),
        10,
        run.program.parts,
        steps=4,
    )
    seen = first(data, 25).train if batch else data.train

    def statistics(params):
        stored, h = {}, floats(seen.x)
        for i, layer in enumerate(layers(params) if batch else ()):
            z = h @ layer["w"]
            stored[f"hidden_{i}"] = {"mean": z.mean(0), "var": z.var(0)}
            h = expit(layer["scale"] * (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) + layer["b"])
        return stored or None

    def told(params, x, stored):
        return log_softmax(inputs_of_units(params, x, stored)[-1], -1)

    in_use = [(one, statistics(one)) for one in fitted.params]
    valid, test = (
        np.array([wrong(told(one, split.x, stored), split.y).mean() for one, stored in in_use])
        for split in (data.valid, data.test)
    )
    running = [wrong(told(one, data.valid.x, one.get("batch_stats")), data.valid.y).mean() for one in fitted.params]
    saturated = np.array([(np.abs(inputs_of_units(one, seen.x, stored)[1]) > 3).mean() for one, stored in in_use])
    end = judged(data, lambda x: told(*in_use[-1][:1], x, in_use[-1][1]), with_nats=True)
    end["test"] |= {"by_running": test[np.argmin(running)], "by_stored": test[np.argmin(valid)]}
    fit = fitted.result(running)
    curves = {**fit.curves, "valid": {"score": np.array(running), "stored": valid}, "test": {"error": test}}
    if batch:
        train_nats, test_nats = (
            np.array([nats(told(one, split.x, stored), split.y) for one, stored in in_use])
            for split in (seen, data.test)
        )
        i = int(np.argmax(train_nats <= 1.55))
        assert 0 < i < 6
        crossing = np.interp(-1.55, -train_nats[[i - 1, i]], test_nats[[i - 1, i]])
        end["test"] |= {"at_1.55": crossing, "at_0.03": np.inf}
        curves["train"] = {**curves["train"], "nats": train_nats}
        curves["test"] |= {"nats": test_nats}
    race = {f"to_{i}": raced(list(valid), target, 4) for i, target in enumerate(run.program.targets, 1)}
    measures = {**fit.measures, **end, "race": race, "last": {"saturated": saturated[-1]}}
    return fit._replace(
        score=end["valid"]["error"], measures=measures, curves={**curves, "watched": {"saturated": saturated}}
    )


LEVELS = (2.1, 0.1)
"""Training nats of which the net comes to the first alone."""


@told_by(
    Tuned((6, 5), 5, 10, 30, 4, LEVELS, shown=7),
    Rate(2.0),
    tuple({name: layer} for name, layer in random_net(mlp((6, 5)), 3).items() if name == "hidden_0"),
)
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
        train, test = (
            np.array([nats(one, split.y) for one in of[name]])
            for name, split in (("train", data.train), ("test", data.test))
        )
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
    assert np.isfinite(run.kept["points"]).all()
    ends, kind = [one["said"][-1].ravel() for one in SAID], [0, 0, 1, 1, 1]
    far = {(i, j): np.linalg.norm(ends[i] - ends[j]) for i in range(5) for j in range(5) if i != j}
    between = np.mean([one for (i, j), one in far.items() if kind[i] != kind[j]])
    within = np.mean([one for (i, j), one in far.items() if kind[i] == kind[j]])
    nearest = [min((far[i, j], j) for j in range(5) if j != i)[1] for i in range(5)]
    mixed = np.mean([kind[i] != kind[j] for i, j in enumerate(nearest)])
    told = {"between": between, "within": within, "mixed": mixed, "ratio": between / within}
    return Result(measures={"functions": told})
